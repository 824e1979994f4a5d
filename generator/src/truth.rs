//! What really happened, as no collector can know it.

use crate::secrets::Planted;
use crate::settings::Nanos;

/// Everything that was generated, and when it arrived.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub traces: Vec<TraceTruth>,
    /// By the number in each log's attribute `log.record.uid`, in hexadecimal.
    pub logs: Vec<LogTruth>,
    pub spans: Vec<SpanTruth>,
    pub exemplars: usize,
    /// Data points that were made, and those in lost exports.
    pub points: usize,
    pub points_lost: usize,
    pub planted: Vec<Planted>,
    /// Items of exports that came twice, by signal.
    pub duplicated: [usize; 3],
}

/// A trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceTruth {
    pub trace_id: [u8; 16],
    /// Where it began.
    pub root_service: &'static str,
    /// The exported spans; none if the trace is not sampled.
    pub spans: usize,
    /// Spans with status ERROR among them.
    pub errors: usize,
    /// Of the trace's own spans, without those of lost exports; by the true clock.
    pub start: Nanos,
    pub end: Nanos,
    pub logs: usize,
    pub log_errors: usize,
    pub sampled: bool,
    /// Spans that have arrived.
    pub arrived: usize,
    /// When the root span arrived.
    pub root_at: Option<Nanos>,
    /// When the latest of its spans arrived.
    pub last_at: Option<Nanos>,
}

impl TraceTruth {
    /// When its last span arrived; `None` if it is not sampled or a span was lost.
    pub fn complete_at(&self) -> Option<Nanos> {
        self.last_at.filter(|_| self.arrived == self.spans)
    }

    /// From the first start to the last end.
    pub fn duration(&self) -> Nanos {
        self.end.saturating_sub(self.start)
    }
}

/// An exported span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanTruth {
    /// Index of its trace.
    pub trace: u32,
    pub span_id: [u8; 8],
    pub is_root: bool,
    pub error: bool,
    pub ended: Nanos,
    /// When it first arrived; `None` if it was lost.
    pub at: Option<Nanos>,
}

/// A log record.
#[derive(Clone, Debug, PartialEq)]
pub struct LogTruth {
    pub kind: LogKind,
    /// Index of the span it belongs to, if that is exported and the log says so.
    pub span: Option<u32>,
    pub emitted: Nanos,
    /// When it first arrived; `None` if it was lost.
    pub at: Option<Nanos>,
}

/// How a log is related to spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogKind {
    /// Emitted while its span ran.
    Inside,
    /// Emitted in its span's context after that had ended.
    AfterEnd,
    /// Without trace and span id.
    NoContext,
    /// Of a span that is never exported, though sampled.
    Orphan,
    /// Of a trace that is not sampled.
    Unsampled,
    /// With ids that are broken or name something else.
    Pathological,
}

impl Truth {
    /// When the span of this log first arrived.
    pub fn span_at(&self, log: &LogTruth) -> Option<Nanos> {
        log.span.and_then(|index| self.spans[index as usize].at)
    }
}
