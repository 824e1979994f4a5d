//! What a judge is told of a trace.

use smallvec::SmallVec;

use super::Engine;
use crate::sampling::TraceFacts;
use crate::sampling::threshold::randomness;
use crate::trace_window::entry::TraceEntry;
use crate::trace_window::slab::NONE;
use crate::trace_window::symbols::Symbol;
use crate::trace_window::verdict_cache::UNKNOWN_WEIGHT;

impl Engine {
    /// What is known of a trace; services are counted when it is decided.
    pub(super) fn facts(&self, trace: u32) -> TraceFacts {
        let (entry, extension) = (self.traces.get(trace), &self.extensions[trace]);
        let timed = extension.end > 0;
        TraceFacts {
            trace_id: entry.id,
            randomness: self.randomness_of(trace),
            leaves: extension.leaves,
            spans: entry.spans,
            errors: entry.errors.into(),
            logs: entry.logs,
            log_errors: entry.log_errors.into(),
            services: 0,
            root: entry.flags & TraceEntry::ROOT != 0,
            start: timed.then_some(extension.start),
            end: timed.then_some(extension.end),
            bytes: extension.bytes,
        }
    }

    pub(super) fn randomness_of(&self, trace: u32) -> u64 {
        match self.extensions[trace].randomness {
            UNKNOWN_WEIGHT => randomness(None, &self.traces.get(trace).id),
            stated => stated,
        }
    }

    pub(super) fn services(&self, trace: u32) -> u32 {
        let mut services: SmallVec<[Symbol; 16]> = SmallVec::new();
        let mut at = self.traces.get(trace).head;
        while at != NONE {
            let slot = self.spans.get(at);
            if slot.state.has_span() {
                let service = self.service(slot.source);
                // Neighbours are mostly of one service.
                if services.last() != Some(&service) {
                    services.push(service);
                }
            }
            at = slot.next;
        }
        services.sort_unstable();
        services.dedup();
        services.len() as u32
    }
}
