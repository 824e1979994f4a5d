//! Which traces simple policies keep.

use std::collections::HashMap;

use super::read::{Arrivals, SpanSeen, TraceId};
use crate::settings::Nanos;

/// What is kept. The first policy of a list that holds decides; none: the trace is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    Always,
    /// A span has status ERROR.
    Errors,
    /// A log of ERROR or above.
    ErrorLogs,
    /// From the first start to the last end, more than this.
    LongerThan(Nanos),
    /// At least so many spans.
    Spans(usize),
    /// The consistent share: randomness in the trace id at or above this threshold (0 to 2^56).
    Threshold(u64),
}

/// When a trace is decided: at the first of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub after_root: Nanos,
    pub after_first: Nanos,
}

impl Window {
    /// With everything that ever arrives.
    pub const WHOLE: Window = Window { after_root: Nanos::MAX, after_first: Nanos::MAX };
}

impl Arrivals {
    /// When a trace is decided; `None` if nothing of it has arrived. Logs count as items of the trace.
    pub fn decided_at(&self, window: Window) -> HashMap<TraceId, Nanos> {
        let mut times: HashMap<TraceId, Nanos> = HashMap::new();
        let mut earlier = |trace: TraceId, at: Nanos| {
            let time = times.entry(trace).or_insert(Nanos::MAX);
            *time = at.min(*time);
        };
        for log in &self.logs {
            let Some(trace) = log.trace else { continue };
            earlier(trace, log.at.saturating_add(window.after_first));
        }
        for ((trace, _), span) in &self.spans {
            earlier(*trace, span.at.saturating_add(window.after_first));
            if span.is_root {
                earlier(*trace, span.at.saturating_add(window.after_root));
            }
        }
        times
    }

    /// The verdict on each trace: whether it is kept.
    pub fn verdicts(&self, policies: &[Policy], window: Window) -> HashMap<TraceId, bool> {
        let times = self.decided_at(window);
        let mut logged: HashMap<TraceId, Nanos> = HashMap::new();
        for log in self.logs.iter().filter(|log| log.severity >= 17) {
            let Some(trace) = log.trace else { continue };
            let first = logged.entry(trace).or_insert(log.at);
            *first = log.at.min(*first);
        }
        let verdict = |(trace, until): (&TraceId, &Nanos)| {
            let keys = self.traces.get(trace).map(Vec::as_slice).unwrap_or_default();
            let spans: Vec<_> = keys.iter().map(|key| &self.spans[key]).filter(|span| span.at <= *until).collect();
            let error_logged = logged.get(trace).is_some_and(|at| at <= until);
            (*trace, policies.iter().any(|policy| policy.holds(trace, &spans, error_logged)))
        };
        times.iter().map(verdict).collect()
    }
}

impl Policy {
    fn holds(self, trace: &TraceId, spans: &[&SpanSeen], error_logged: bool) -> bool {
        match self {
            Policy::Always => true,
            Policy::Errors => spans.iter().any(|span| span.error),
            Policy::ErrorLogs => error_logged,
            Policy::LongerThan(limit) => {
                let start = spans.iter().map(|span| span.start).min();
                let end = spans.iter().map(|span| span.end).max();
                start.zip(end).is_some_and(|(start, end)| end.saturating_sub(start) > limit)
            }
            Policy::Spans(least) => spans.len() >= least,
            Policy::Threshold(threshold) => randomness(trace) >= threshold,
        }
    }
}

/// The low 56 bits of a trace id.
pub(super) fn randomness(id: &TraceId) -> u64 {
    id[9..].iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}
