//! What an engine is told by its shell. Plain values; the shells have configuration of their own.

use std::time::Duration;

use super::attach::{LogField, SpanField};

/// How an engine works.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `None`: annotate.
    pub decide: Option<Deciding>,
    /// Accounted bytes.
    pub memory_limit: usize,
    pub max_live_spans: usize,
    /// Traces in the window; more are decided, the oldest first.
    pub max_traces: usize,
    /// How long verdicts are known.
    pub verdict_retention: Duration,
    /// How many verdicts a generation holds.
    pub verdicts_kept: usize,
    pub verdicts_dropped: usize,
    /// `annotate`: how long spans are held.
    pub hold_span: Duration,
    pub hold_log: LogHold,
    /// A trace beyond these is decided and streamed.
    pub trace_max_bytes: usize,
    pub trace_max_spans: usize,
    /// What becomes of a trace that is larger than `trace_max_bytes`: dropped, instead of decided.
    pub drop_oversize: bool,
    /// Drop spans that repeat one byte by byte.
    pub dedupe: bool,
    pub attach: Attach,
    pub exemplars: ExemplarSettings,
    /// At the end, drop what is not decided.
    pub drop_pending_on_drain: bool,
    /// Write the policy that kept a trace into the attributes of the scopes of its spans.
    pub record_policy: bool,
}

/// When traces are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deciding {
    /// From the first item.
    pub wait: Duration,
    /// From the first root; zero for never.
    pub wait_after_root: Duration,
    /// Decide and count, but keep everything as it is.
    pub dry_run: bool,
}

/// `annotate`: how long logs wait for their span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHold {
    /// By what the source's spans needed; else always `max`.
    pub adaptive: bool,
    pub max: Duration,
    /// By severity: first and last severity number, and the hold.
    pub severity: Vec<(u8, u8, Duration)>,
}

/// What is attached (correlation §7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    pub log: Vec<LogField>,
    pub log_max_bytes: usize,
    pub span: Vec<SpanField>,
    pub span_max_bytes: usize,
}

/// What becomes of exemplars (correlation §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExemplarSettings {
    pub keep_unknown: bool,
    pub max_defer: Duration,
    /// Make some for histograms without any.
    pub synthesize: bool,
}

/// What is removed from traces in which redaction has found values (correlation §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaintSettings {
    /// Most values of a trace.
    pub max_literals: usize,
    pub on_lost: OnLost,
}

/// What becomes of items of traces whose values nobody knows any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLost {
    /// Bodies of logs and status messages of spans go.
    RedactBody,
    Drop,
    Pass,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            decide: None,
            memory_limit: 256 << 20,
            max_live_spans: 1_000_000,
            max_traces: usize::MAX,
            verdict_retention: Duration::from_secs(180),
            verdicts_kept: 100_000,
            verdicts_dropped: 1_000_000,
            hold_span: Duration::from_millis(1500),
            hold_log: LogHold { adaptive: true, max: Duration::from_secs(5), severity: Vec::new() },
            trace_max_bytes: 4 << 20,
            trace_max_spans: 32_000,
            drop_oversize: false,
            dedupe: false,
            attach: Attach {
                log: LogField::DEFAULT.to_vec(),
                log_max_bytes: 512,
                span: SpanField::DEFAULT.to_vec(),
                span_max_bytes: 768,
            },
            exemplars: ExemplarSettings { keep_unknown: true, max_defer: Duration::from_secs(120), synthesize: false },
            drop_pending_on_drain: false,
            record_policy: false,
        }
    }
}

impl Settings {
    /// How long a slot is known in `annotate`, ms: long enough to see by how much a log was let go too early.
    pub(crate) fn window_ms(&self) -> u32 {
        let log = self.hold_log.max.as_millis() as u32;
        let span = self.hold_span.as_millis() as u32;
        (log * 2).max(log + span).max(10_000)
    }
}
