//! Items leave without the values that redaction has found in their trace (correlation §9).

use sluice_pdata::Signal;
use sluice_pdata::view::{LogRecordView, SpanView};
use sluice_pipeline::clock::WallTime;
use sluice_pipeline::context::Tenant;
use sluice_pipeline::id::ComponentId;
use sluice_pipeline::ledger::reasons;
use sluice_pipeline::spine::Entry;
use sluice_pipeline::stage::StageOutput;
use sluice_pipeline::taint::TaintBoard;

use super::Engine;
use super::reread::each_item;
use crate::trace_window::cleanse::{blank, cleanse};
use crate::trace_window::entry::{Held, SlotState};
use crate::trace_window::note;
use crate::trace_window::outbox::Base;
use crate::trace_window::settings::{OnLost, TaintSettings};
use crate::trace_window::slab::NONE;
use crate::trace_window::verdict_cache::TraceKey;

/// The board, as an engine reads it.
pub(super) struct Tainted {
    board: TaintBoard,
    id: ComponentId,
    settings: TaintSettings,
    /// What was found up to here is known.
    seen: u64,
    /// Items dropped since the last flush, by signal.
    dropped: [usize; 3],
}

/// What becomes of an item that leaves.
pub(super) enum Cleansed {
    /// It leaves as it was to leave.
    Same,
    /// It was written anew.
    Written(Base),
    Dropped,
}

impl Engine {
    /// Reads the board from now on; `None` for no more.
    pub fn use_taints(&mut self, taints: Option<(TaintBoard, ComponentId, TaintSettings)>) {
        self.tainted = taints.map(|(board, id, settings)| {
            let seen = self.tainted.as_ref().map_or(0, |before| before.seen);
            Tainted { board, id, settings, seen, dropped: [0; 3] }
        });
        self.register_taints();
    }

    /// Makes the board remember for as long as items may come here.
    fn register_taints(&self) {
        let Some(tainted) = &self.tainted else { return };
        let window = match self.settings.decide {
            Some(decide) => decide.wait + self.settings.verdict_retention,
            None => std::time::Duration::from_millis(self.settings.window_ms().into()),
        };
        tainted.board.read_by(tainted.id.clone(), tainted.settings.max_literals, window);
    }

    /// Takes over how another engine reads the board.
    pub(super) fn succeed_taints(&mut self, other: &mut Engine) {
        let seen = self.tainted.as_ref().map_or(0, |before| before.seen);
        self.tainted = other.tainted.take().map(|tainted| Tainted { seen, ..tainted });
    }

    /// A call begins: tells the board the time, and notes which traces have literals, never which.
    pub(super) fn note_taints(&mut self, out: &mut StageOutput) {
        let now = WallTime(self.time.unix_ns());
        let Some(tainted) = &mut self.tainted else { return };
        tainted.board.pass(&tainted.id, now);
        if tainted.board.is_empty() {
            return;
        }
        let (found, seen) = tainted.board.found_since(tainted.seen);
        tainted.seen = seen;
        let mut bytes = Vec::new();
        for (tenant, trace) in &found {
            note::write_tainted(&mut bytes, tenant.name(), trace);
            self.count_missed(tenant, trace);
        }
        if !bytes.is_empty() {
            let window = self.settings.decide.map_or(0, |decide| decide.wait.as_millis());
            let hold = window.max(self.settings.window_ms().into()) + self.settings.verdict_retention.as_millis();
            out.note(bytes.into(), WallTime(now.0.saturating_add(hold as u64 * 1_000_000)));
        }
    }

    /// Items of the trace that have left: a literal that is found now may be in them.
    fn count_missed(&mut self, tenant: &Tenant, trace: &[u8; 16]) {
        let Some(tenant) = self.origins.known_tenant(tenant) else { return };
        let Some(trace) = self.find_trace(TraceKey { tenant, id: *trace }) else { return };
        let mut left = 0;
        let mut at = self.traces.get(trace).head;
        while at != NONE {
            let slot = self.spans.get(at);
            let mut held = 0;
            let mut item = slot.held;
            while item != NONE {
                held += u64::from(self.held.get(item).kind == crate::trace_window::entry::HeldKind::Log);
                item = self.held.get(item).next;
            }
            left += u64::from(slot.logs).saturating_sub(held) + u64::from(slot.state == SlotState::Left);
            at = slot.next;
        }
        self.statistics.taint_missed += left;
    }

    /// A trace had literals before a restart: nobody knows them any more.
    pub(super) fn recall_taint(&mut self, tenant: &str, trace: [u8; 16], now: WallTime) {
        if let Some(tainted) = &self.tainted {
            tainted.board.lose(&Tenant::new(tenant), trace, now);
        }
    }

    /// An entry is about to be absorbed that says in which traces something was found. After a restart nobody knows what, and
    /// perhaps nobody had noted it.
    pub(super) fn confirm_taints(&mut self, entry: &Entry, now: WallTime) {
        let context = entry.batch().context();
        let Some(tainted) = self.tainted.as_ref().filter(|_| !context.tainted.is_empty()) else { return };
        let confirm = |trace| tainted.board.confirm(&context.tenant, trace, now);
        if let Some(traces) = context.tainted.traces() {
            return traces.into_iter().for_each(confirm);
        }
        let signal = entry.batch().signal();
        let _ = each_item(entry.batch().bytes(), |_, item| {
            let id = match signal {
                Signal::Traces => SpanView::parse(item).map(|view| view.trace_id),
                _ => LogRecordView::parse(item).map(|view| view.trace_id),
            };
            if let Ok(Ok(trace)) = id.map(<[u8; 16]>::try_from) {
                confirm(trace);
            }
        });
    }

    pub(super) fn has_taints(&self) -> bool {
        self.tainted.as_ref().is_some_and(|tainted| !tainted.board.is_empty())
    }

    /// An item is about to leave, with what is in the arena from `suffix` on behind it. `input` is what it is if it comes from
    /// the request that is read.
    #[cold]
    pub(super) fn cleanse(&mut self, origin: u32, base: Base, suffix: usize, input: &[u8]) -> Cleansed {
        let Engine { tainted, origins, payload, outbox, statistics, .. } = self;
        let origin = origins.get(origin);
        let (Some(tainted), Some(context)) = (tainted, origins.context_of(origin)) else { return Cleansed::Same };
        let bytes = match base {
            Base::Input(..) => input,
            Base::Segment(place) => payload.get(place),
            Base::Arena(at, len) => &outbox.arena[at..at + len],
        };
        let id = match origin.signal {
            Signal::Traces => SpanView::parse(bytes).map(|view| view.trace_id),
            _ => LogRecordView::parse(bytes).map(|view| view.trace_id),
        };
        let Ok(Ok(id)) = id.map(<[u8; 16]>::try_from) else { return Cleansed::Same };
        let Some(taints) = tainted.board.find(&context.tenant, &id) else { return Cleansed::Same };
        let mut whole = [bytes, &outbox.arena[suffix..]].concat();
        let mut changed = false;
        if taints.lost {
            statistics.taint_lost += 1;
            let blanked = match tainted.settings.on_lost {
                OnLost::Drop => Err(()),
                OnLost::Pass => Ok(None),
                OnLost::RedactBody => blank(origin.signal, &whole).map_err(drop),
            };
            match blanked {
                Ok(None) => {}
                Ok(Some(blank)) => (whole, changed) = (blank, true),
                // What cannot be written must not leave as it is.
                Err(()) => {
                    tainted.dropped[origin.signal as usize] += 1;
                    return Cleansed::Dropped;
                }
            }
        }
        match cleanse(origin.signal, &whole, &taints.literals) {
            Ok(None) => {}
            Ok(Some((clean, found))) => {
                statistics.taint_applied += found;
                (whole, changed) = (clean, true);
            }
            Err(_) => {
                tainted.dropped[origin.signal as usize] += 1;
                return Cleansed::Dropped;
            }
        }
        if !changed {
            return Cleansed::Same;
        }
        let at = outbox.arena.len();
        outbox.arena.extend_from_slice(&whole);
        Cleansed::Written(Base::Arena(at, whole.len()))
    }

    /// A held item is dropped for its taints.
    pub(super) fn discard_tainted(&mut self, held: &Held) {
        self.outbox.discard(held.origin, held.entry, held.place());
    }

    pub(super) fn tell_tainted(&mut self, out: &mut StageOutput) {
        let Some(tainted) = &mut self.tainted else { return };
        for (signal, items) in Signal::ALL.into_iter().zip(std::mem::take(&mut tainted.dropped)) {
            if items > 0 {
                out.drop_items(signal, reasons::REDACTION_FAILED, items);
            }
        }
    }
}
