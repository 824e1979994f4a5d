//! The engine: the tables together, and time.

mod absorb;
mod ahead;
mod append;
mod close;
mod decide;
mod facts;
mod infer;
mod late;
mod logs;
mod metrics;
mod pressure;
mod read;
mod record;
mod release;
mod reread;
mod restart;
mod spans;
mod taint;
mod window;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::RandomState;
use sluice_pdata::Signal;
use sluice_pipeline::admission::{Class, MemBudget};
use sluice_pipeline::clock::WallTime;
use sluice_pipeline::context::Tenant;
use sluice_pipeline::ledger::reasons;
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Held as HeldBack, Port, StageOutput};
use sluice_pipeline::verdict::{Verdict, Verdicts};

use super::entry::{Held, SpanSlot, TraceEntry, TraceExtension, TraceState};
use super::errors::ErrorArena;
use super::index::HandleIndex;
use super::inputs::Inputs;
use super::judge::Judge;
use super::origin::Origins;
use super::outbox::{Outbox, Tables};
use super::payload::Payload;
use super::settings::Settings;
use super::slab::{Beside, Slab};
use super::source::Sources;
use super::statistics::Statistics;
use super::symbols::Symbols;
use super::verdict_cache::{Known, TraceKey, VerdictCache};
use super::wheel::{TICK_NS, Wheel};
use super::written::Written;
use crate::sampling::{EarlySigns, RuleIndex, Weight};

pub use window::Window;

/// Traces held until they have met or are decided. See the [module documentation](super).
pub struct Engine {
    pub(crate) settings: Settings,
    judge: Option<Box<dyn Judge>>,
    /// When it is worth asking the judge before a trace's time.
    early_signs: EarlySigns,
    time: Time,
    hasher: RandomState,
    traces: Slab<TraceEntry>,
    extensions: Beside<TraceExtension>,
    trace_index: HandleIndex,
    spans: Slab<SpanSlot>,
    span_index: HandleIndex,
    held: Slab<Held>,
    payload: Payload,
    inputs: Inputs,
    origins: Origins,
    sources: Sources,
    symbols: Symbols,
    errors: ErrorArena,
    wheel: Wheel,
    verdicts: VerdictCache,
    outbox: Outbox,
    written: Option<Written>,
    /// Verdicts of this call, to be noted with its output.
    note: Vec<u8>,
    restart: restart::Restart,
    tainted: Option<taint::Tainted>,
    pressure: pressure::Pressure,
    reread: reread::Reread,
    /// `decide`: whether slots note what their span's bytes are when it comes, because these may be given up.
    notes_contents: bool,
    /// The part of a `composite` policy that keeps the trace at hand.
    sub_rule: Option<u16>,
    exemplars: metrics::Exemplars,
    pub(crate) statistics: Statistics,
    /// Items dropped since the last flush, by signal: for their verdict, and as repetitions.
    dropped: [usize; 3],
    deduplicated: [usize; 3],
}

/// Stage time, counted from the first call.
#[derive(Clone, Copy, Debug, Default)]
struct Time {
    base: Option<u64>,
    ns: u64,
}

impl Time {
    /// Time never runs backwards.
    fn advance(&mut self, now: WallTime) {
        // Ticks are the same after a restart, and none is zero, which means "never" in some places.
        let base = *self.base.get_or_insert((now.0 / TICK_NS * TICK_NS).saturating_sub(TICK_NS));
        self.ns = self.ns.max(now.0.saturating_sub(base));
    }

    /// Milliseconds, which wrap after 49 days: only differences within the window count.
    fn ms(self) -> u32 {
        (self.ns / 1_000_000) as u32
    }

    fn tick(self) -> u32 {
        (self.ns / TICK_NS) as u32
    }

    /// The first tick at which `ms` from now have passed.
    fn tick_in(self, ms: u32) -> u32 {
        (self.ns + u64::from(ms) * 1_000_000).div_ceil(TICK_NS) as u32
    }

    fn wall(self, tick: u32) -> WallTime {
        WallTime(self.base.unwrap_or_default().saturating_add(u64::from(tick) * TICK_NS))
    }

    fn unix_ns(self) -> u64 {
        self.base.unwrap_or_default().saturating_add(self.ns)
    }
}

impl Engine {
    /// An engine with nothing in it. A judge is needed exactly if it decides.
    pub fn new(settings: Settings, judge: Option<Box<dyn Judge>>) -> Self {
        let retention = ticks(settings.verdict_retention.as_millis());
        let verdicts = VerdictCache::new(retention, settings.verdicts_kept, settings.verdicts_dropped);
        let mut engine = Engine {
            early_signs: early_signs(judge.as_deref()),
            judge,
            time: Time::default(),
            hasher: RandomState::new(),
            traces: Slab::default(),
            extensions: Beside::default(),
            trace_index: HandleIndex::default(),
            spans: Slab::default(),
            span_index: HandleIndex::default(),
            held: Slab::default(),
            payload: Payload::default(),
            inputs: Inputs::default(),
            origins: Origins::new(),
            sources: Sources::new(),
            symbols: Symbols::new(0),
            errors: ErrorArena::default(),
            wheel: Wheel::default(),
            verdicts,
            outbox: Outbox::default(),
            written: Written::of(&settings.attach.log),
            note: Vec::new(),
            restart: restart::Restart::default(),
            tainted: None,
            pressure: pressure::Pressure::default(),
            reread: reread::Reread::default(),
            notes_contents: false,
            sub_rule: None,
            exemplars: metrics::Exemplars::default(),
            statistics: Statistics::default(),
            dropped: [0; 3],
            deduplicated: [0; 3],
            settings,
        };
        engine.symbols.set_lifetime(engine.lifetime());
        engine
    }

    /// Changes settings and judge, and keeps everything else: what is held, and what is known.
    pub fn reconfigure(&mut self, settings: Settings, mut judge: Option<Box<dyn Judge>>) {
        if let (Some(judge), Some(before)) = (&mut judge, self.judge.take()) {
            let names = judge.succeed(before);
            for extension in self.extensions.iter_mut() {
                extension.leaves = names.translate(extension.leaves);
            }
        }
        let retention = ticks(settings.verdict_retention.as_millis());
        self.verdicts.set_limits(retention, settings.verdicts_kept, settings.verdicts_dropped);
        let before = self.settings.window_ms();
        self.early_signs = early_signs(judge.as_deref());
        self.written = Written::of(&settings.attach.log);
        (self.settings, self.judge) = (settings, judge);
        self.symbols.set_lifetime(self.lifetime());
        if self.settings.window_ms() > before {
            self.renew_alarms();
        }
    }

    /// Forgets everything that came in; what was counted stays.
    pub fn reset(&mut self) {
        let fresh = Engine::new(std::mem::take(&mut self.settings), self.judge.take());
        let before = std::mem::replace(self, fresh);
        (self.tainted, self.statistics) = (before.tainted, before.statistics);
        self.pressure.keep_lag(before.pressure);
    }

    /// Whether it decides, or only annotates.
    pub fn decides(&self) -> bool {
        self.settings.decide.is_some()
    }

    /// How long a slot may refer to symbols, in ticks.
    fn lifetime(&self) -> u32 {
        let decide = self.settings.decide.map_or(0, |it| it.wait.as_millis());
        ticks(decide.max(self.settings.window_ms().into())) + 2
    }

    /// Takes an entry in, as [`sluice_pipeline::stage::Stage::absorb`] does.
    pub fn absorb(&mut self, port: Port, entry: &Entry, now: WallTime, out: &mut StageOutput) {
        self.checkpoint(Some(entry.seq()), now, out);
        self.confirm_taints(entry, now);
        self.note_taints(out);
        self.run_until(now, out);
        self.take_in(port, entry, out);
        self.finish(out);
    }

    /// Does what is due.
    pub fn tick(&mut self, now: WallTime, out: &mut StageOutput) {
        self.checkpoint(None, now, out);
        self.note_taints(out);
        self.run_until(now, out);
        self.finish(out);
    }

    /// When something may be due next.
    pub fn next_deadline(&self) -> Option<WallTime> {
        let next = [self.wheel.next(), self.checkpoint_due()].into_iter().flatten().min();
        next.map(|tick| self.time.wall(tick))
    }

    /// The oldest entry of which something is held.
    pub fn low_watermark(&self) -> Option<Seq> {
        self.inputs.low_watermark()
    }

    /// What is held.
    pub fn held(&self) -> HeldBack {
        HeldBack { items: self.held.len(), bytes: self.accounted() }
    }

    /// Texts that found no room among the symbols.
    pub fn symbol_overflows(&self) -> u64 {
        self.symbols.overflows()
    }

    /// Totals since the start.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The name of a rule, for labels.
    pub fn rule_name(&self, rule: RuleIndex) -> &str {
        self.judge.as_ref().map_or("", |judge| judge.rule_name(rule))
    }

    /// Whether it only counts what it would decide.
    pub fn is_dry_run(&self) -> bool {
        self.settings.decide.is_some_and(|decide| decide.dry_run)
    }

    /// The judge, for counts of its own.
    pub fn judge(&mut self) -> Option<&mut dyn Judge> {
        match &mut self.judge {
            Some(judge) => Some(&mut **judge),
            None => None,
        }
    }

    /// For each source that logs found their spans of: its service, logs that met their span, and logs that had to go before.
    pub fn recall_by_service(&self) -> impl Iterator<Item = (String, u64, u64)> + '_ {
        self.sources.iter().filter(|source| source.matched + source.missed > 0).map(|source| {
            let service = String::from_utf8_lossy(self.symbols.text(source.service)).into_owned();
            (if service.is_empty() { "unknown".to_owned() } else { service }, source.matched, source.missed)
        })
    }

    /// How often conditions failed since the last call, by name of rule or policy.
    pub fn take_evaluation_errors(&mut self) -> Vec<(String, u64)> {
        let Some(judge) = &mut self.judge else { return Vec::new() };
        let errors = judge.take_evaluation_errors();
        errors.into_iter().map(|(rule, count)| (judge.rule_name(rule).to_owned(), count)).collect()
    }

    /// What is known of a trace.
    pub fn verdict(&self, tenant: &Tenant, id: &[u8; 16]) -> Verdict {
        let Some(tenant) = self.origins.known_tenant(tenant) else { return Verdict::Unknown };
        let key = TraceKey { tenant, id: *id };
        if !self.decides() {
            // Nothing is sampled: what was seen stays.
            return self.find_trace(key).map_or(Verdict::Unknown, |_| Verdict::Kept { threshold: None });
        }
        match self.find_trace(key) {
            Some(trace) if self.traces.get(trace).state == TraceState::Open => Verdict::Pending,
            _ => match self.verdicts.get(key) {
                Some(Known::Dropped) => Verdict::Dropped,
                Some(Known::Kept { weight, .. }) => Verdict::Kept {
                    threshold: match weight {
                        Weight::Threshold(t) => Some(t),
                        Weight::Unknown => None,
                    },
                },
                None => Verdict::Unknown,
            },
        }
    }

    fn trace_hash(&self, key: TraceKey) -> u64 {
        self.hasher.hash_one(key)
    }

    fn find_trace(&self, key: TraceKey) -> Option<u32> {
        self.trace_index.find(self.trace_hash(key), |at| {
            let trace = self.traces.get(at);
            trace.id == key.id && trace.tenant == key.tenant
        })
    }

    fn span_hash(&self, trace: u32, id: [u8; 8]) -> u64 {
        self.hasher.hash_one((trace, id))
    }

    /// Writes out what leaves.
    fn flush(&mut self, input: &[u8], out: &mut StageOutput) {
        if !self.note.is_empty() {
            let until = self.time.tick() + ticks(self.settings.verdict_retention.as_millis());
            out.note(std::mem::take(&mut self.note).into(), self.time.wall(until));
        }
        let tables = Tables { origins: &mut self.origins, inputs: &mut self.inputs, payload: &mut self.payload };
        self.outbox.flush(input, tables, out);
        for (reason, tally) in [(reasons::SAMPLED, &mut self.dropped), (reasons::DEDUP, &mut self.deduplicated)] {
            for (signal, items) in Signal::ALL.into_iter().zip(std::mem::take(tally)).filter(|(_, items)| *items > 0) {
                out.drop_items(signal, reason, items);
            }
        }
    }

    /// The end of a call.
    fn finish(&mut self, out: &mut StageOutput) {
        self.relieve_own(out);
        self.flush(&[], out);
        self.tell_repeated(out);
        self.tell_tainted(out);
        self.inputs.forget();
        self.origins.sweep();
        self.compact();
    }
}

fn early_signs(judge: Option<&dyn Judge>) -> EarlySigns {
    judge.map_or(EarlySigns::NEVER, Judge::early_signs)
}

fn ticks(ms: u128) -> u32 {
    u32::try_from(ms.div_ceil(u128::from(TICK_NS / 1_000_000))).unwrap_or(u32::MAX / 4)
}

/// An engine that its stage works with, and others ask for verdicts.
#[derive(Clone)]
pub struct SharedEngine(Arc<Mutex<Engine>>);

impl SharedEngine {
    pub fn new(engine: Engine) -> Self {
        SharedEngine(Arc::new(Mutex::new(engine)))
    }

    /// The engine, for the time of one call.
    pub fn lock(&self) -> MutexGuard<'_, Engine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine, where its limit is what stages may hold together at most: known only when the collector has started.
    pub fn lock_within(&self, memory: &MemBudget) -> MutexGuard<'_, Engine> {
        let mut engine = self.lock();
        engine.settings.memory_limit = usize::try_from(memory.class_limit(Class::State)).unwrap_or(usize::MAX);
        engine
    }

    /// Takes over everything that the other one holds and knows; settings and judge stay its own. `false`, and nothing is
    /// done, if only one of the two decides: what waits for a verdict cannot wait for its span instead.
    pub fn succeed(&self, before: &SharedEngine) -> bool {
        if Arc::ptr_eq(&self.0, &before.0) {
            return true;
        }
        let (mut own, mut before) = (self.lock(), before.lock());
        if own.decides() != before.decides() {
            return false;
        }
        std::mem::swap(&mut *own, &mut *before);
        let (settings, judge) = (std::mem::take(&mut before.settings), before.judge.take());
        own.succeed_taints(&mut before);
        own.reconfigure(settings, judge);
        true
    }

    /// The same engine for a hook that must not keep it alive.
    pub fn inner(&self) -> &Arc<Mutex<Engine>> {
        &self.0
    }
}

impl Verdicts for SharedEngine {
    fn verdict(&self, tenant: &Tenant, trace: &[u8; 16]) -> Verdict {
        self.lock().verdict(tenant, trace)
    }
}
