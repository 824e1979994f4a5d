//! Fixtures of this crate's tests: batches whose spans have names, and a world with a virtual clock.

use std::sync::Arc;

use bytes::Bytes;
use sluice_pdata::Signal;
use sluice_pdata::pass::{BatchState, Cx, Hooks, Level, Verdict};
use sluice_pdata::wire::{fields, put_len, put_message};

use crate::admission::MemBudget;
use crate::batch::{Batch, NoRedaction, Redacted};
use crate::clock::{Clock, VirtualClock, WallTime};
use crate::context::Context;
use crate::id::{ComponentId, PipelineId};
use crate::intake::{Branch, Outputs};
use crate::ledger::Ledger;
use crate::segment::{Redaction, Segment, SegmentStep};
use crate::spine::memory::MemorySpine;
use crate::spine::{CursorRule, Destination, DestinationSpec, OnQuota, Role, RouteSet};
use crate::telemetry::Telemetry;

/// Field number of `name` in a span.
const SPAN_NAME: u32 = 5;

/// A trace request with one span for each name.
pub(crate) fn spans(names: &[&str]) -> Bytes {
    let mut out = Vec::new();
    put_message(&mut out, 1, |resource_spans| {
        put_message(resource_spans, 2, |scope_spans| {
            for name in names {
                put_message(scope_spans, 2, |span| put_len(span, SPAN_NAME, name.as_bytes()));
            }
        });
    });
    out.into()
}

/// The span names of a request.
pub(crate) fn names(request: &[u8]) -> Vec<String> {
    fn inner(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
        fields(message).map(Result::unwrap).filter(move |field| field.number == number).filter_map(|f| f.value.len())
    }
    let spans = inner(request, 1).flat_map(|resource| inner(resource, 2)).flat_map(|scope| inner(scope, 2));
    spans.flat_map(|span| inner(span, SPAN_NAME)).map(|name| String::from_utf8(name.to_vec()).unwrap()).collect()
}

pub(crate) struct World {
    pub(crate) clock: VirtualClock,
    pub(crate) telemetry: Telemetry,
    pub(crate) memory: MemBudget,
    pub(crate) ledger: Ledger,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = VirtualClock::new(WallTime(1_000_000_000_000));
        let telemetry = Telemetry::new();
        World {
            memory: MemBudget::new(1 << 30, Arc::new(clock.clone())),
            ledger: Ledger::new(&telemetry, []),
            clock,
            telemetry,
        }
    }

    pub(crate) fn context(&self) -> Arc<Context> {
        Arc::new(Context::internal(ComponentId::new("otlp", ""), self.clock.arrival()))
    }

    pub(crate) fn batch(&self, names: &[&str]) -> Batch {
        Batch::new(Signal::Traces, spans(names), names.len(), self.context())
    }

    pub(crate) fn redacted(&self, names: &[&str]) -> Redacted<Batch> {
        NoRedaction.waive(self.batch(names))
    }

    pub(crate) fn spine(&self, capacity: u64, stages: bool, rule: CursorRule, to: &[DestinationSpec]) -> MemorySpine {
        MemorySpine::new(capacity, stages, rule, self.memory.clone(), &self.ledger, to).unwrap()
    }

    pub(crate) fn segment(&self, steps: Vec<Arc<crate::Step>>) -> Segment {
        let named = |(index, step): (usize, Arc<crate::Step>)| SegmentStep {
            processor: ComponentId::new("toy", &index.to_string()),
            step,
        };
        let steps = steps.into_iter().enumerate().map(named).collect();
        Segment::new(Signal::Traces, steps, Redaction::Waived(NoRedaction), &self.telemetry)
    }

    pub(crate) fn branch(&self, name: &str, steps: Vec<Arc<crate::Step>>, outputs: Outputs) -> Arc<Branch> {
        let pipeline = PipelineId::new(Signal::Traces, name);
        let account = self.ledger.pipeline(pipeline.as_str());
        Arc::new(Branch { segment: self.segment(steps), account, outputs, pipeline })
    }

    /// Every equation of the ledger holds.
    pub(crate) fn assert_balanced(&self) {
        let snapshot = self.ledger.check();
        assert_eq!(snapshot.errors().collect::<Vec<_>>(), Vec::<&crate::ledger::AccountSnapshot>::new());
    }
}

pub(crate) fn destination(name: &str, max_bytes: Option<u64>, on_quota: OnQuota) -> DestinationSpec {
    DestinationSpec { name: name.into(), role: Role::Exporter, max_bytes, queue_size: None, on_quota }
}

pub(crate) fn to(destinations: &[u8]) -> RouteSet {
    destinations.iter().copied().map(Destination).collect()
}

/// Drops spans of a name, with a reason.
pub(crate) struct DropNamed(pub(crate) &'static str, pub(crate) &'static str);

impl sluice_pdata::pass::Step<Context> for DropNamed {
    fn hooks(&self, _signal: Signal) -> Hooks {
        Hooks { item: true, changes: Some(Level::Item), ..Hooks::default() }
    }

    fn item(
        &self,
        _cx: &mut Cx<'_, Context>,
        item: &mut sluice_pdata::msg::Message<'_>,
    ) -> Result<Verdict, sluice_pdata::Error> {
        item.index()?;
        assert_ne!(item.len_field(SPAN_NAME), Some(b"panic".as_slice()), "asked to");
        let unwanted = item.len_field(SPAN_NAME) == Some(self.0.as_bytes());
        Ok(if unwanted { Verdict::Drop(self.1) } else { Verdict::Keep })
    }
}

/// Counts the batches whose effects became lasting.
pub(crate) struct CountBatches(pub(crate) Arc<std::sync::atomic::AtomicUsize>);

struct Counted(Arc<std::sync::atomic::AtomicUsize>);

impl BatchState for Counted {
    fn apply(self: Box<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

impl sluice_pdata::pass::Step<Context> for CountBatches {
    fn hooks(&self, _signal: Signal) -> Hooks {
        Hooks { item: true, ..Hooks::default() }
    }

    fn begin(&self, _signal: Signal, _batch: &[u8]) -> Option<Box<dyn BatchState>> {
        Some(Box::new(Counted(Arc::clone(&self.0))))
    }
}
