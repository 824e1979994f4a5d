//! What an engine counts, for its shells to show under their names. Totals since the start.

use std::collections::BTreeMap;

use crate::sampling::RuleIndex;

/// What became of an item (correlation §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// No valid trace and span id, or a record that cannot be read.
    BypassNoContext,
    BypassUnsampled,
    BypassPressure,
    MatchedHold,
    MatchedImmediate,
    SpanSummaryLate,
    ReleasedTimeout,
    ReleasedPressure,
    /// Left at once by its severity, marked `correlation.status=pending`.
    Pending,
    /// A span that left after its hold, or with its trace.
    Released,
    Duplicate,
    Deduplicated,
    Kept,
    Dropped,
    LateKept,
    LateDropped,
    /// A metric point.
    Passed,
}

impl Outcome {
    pub const ALL: [Outcome; 17] = [
        Outcome::BypassNoContext,
        Outcome::BypassUnsampled,
        Outcome::BypassPressure,
        Outcome::MatchedHold,
        Outcome::MatchedImmediate,
        Outcome::SpanSummaryLate,
        Outcome::ReleasedTimeout,
        Outcome::ReleasedPressure,
        Outcome::Pending,
        Outcome::Released,
        Outcome::Duplicate,
        Outcome::Deduplicated,
        Outcome::Kept,
        Outcome::Dropped,
        Outcome::LateKept,
        Outcome::LateDropped,
        Outcome::Passed,
    ];

    /// The value of the label `outcome`.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::BypassNoContext => "bypass_no_context",
            Outcome::BypassUnsampled => "bypass_unsampled",
            Outcome::BypassPressure => "bypass_pressure",
            Outcome::MatchedHold => "matched_hold",
            Outcome::MatchedImmediate => "matched_immediate",
            Outcome::SpanSummaryLate => "span_summary_late",
            Outcome::ReleasedTimeout => "released_timeout",
            Outcome::ReleasedPressure => "released_pressure",
            Outcome::Pending => "pending",
            Outcome::Released => "released",
            Outcome::Duplicate => "duplicate",
            Outcome::Deduplicated => "deduplicated",
            Outcome::Kept => "kept",
            Outcome::Dropped => "dropped",
            Outcome::LateKept => "late_kept",
            Outcome::LateDropped => "late_dropped",
            Outcome::Passed => "passed",
        }
    }
}

/// Why a trace was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// Time after the root.
    Root,
    /// Time after the first item.
    Wait,
    Early,
    TraceLimit,
    /// The window was full of traces, or of spans.
    WindowFull,
    Pressure,
    /// A log of a trace that was never sampled.
    Unsampled,
    Drain,
    /// Dropped at ingest by the probability that pressure called for.
    Ingest,
}

impl Trigger {
    /// The value of the label `trigger`.
    pub const fn name(self) -> &'static str {
        match self {
            Trigger::Root => "root",
            Trigger::Wait => "wait",
            Trigger::Early => "early",
            Trigger::TraceLimit => "trace_limit",
            Trigger::WindowFull => "window_full",
            Trigger::Pressure => "decided_pressure",
            Trigger::Unsampled => "unsampled",
            Trigger::Drain => "drain",
            Trigger::Ingest => "ingest",
        }
    }
}

/// One kind of decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DecisionKind {
    pub kept: bool,
    pub rule: Option<RuleIndex>,
    pub trigger: Trigger,
}

/// How many traces and spans a kind of decision was about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecisionCount {
    pub traces: u64,
    pub spans: u64,
}

/// What became of an exemplar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExemplarOutcome {
    Kept,
    Removed,
    Replaced,
    Synthesized,
    Pending,
    Expired,
    Stripped,
    Unknown,
}

impl ExemplarOutcome {
    pub const ALL: [ExemplarOutcome; 8] = [
        ExemplarOutcome::Kept,
        ExemplarOutcome::Removed,
        ExemplarOutcome::Replaced,
        ExemplarOutcome::Synthesized,
        ExemplarOutcome::Pending,
        ExemplarOutcome::Expired,
        ExemplarOutcome::Stripped,
        ExemplarOutcome::Unknown,
    ];

    /// The value of the label `outcome`.
    pub const fn name(self) -> &'static str {
        match self {
            ExemplarOutcome::Kept => "kept",
            ExemplarOutcome::Removed => "removed",
            ExemplarOutcome::Replaced => "replaced",
            ExemplarOutcome::Synthesized => "synthesized",
            ExemplarOutcome::Pending => "pending",
            ExemplarOutcome::Expired => "expired",
            ExemplarOutcome::Stripped => "stripped",
            ExemplarOutcome::Unknown => "unknown",
        }
    }
}

/// Totals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Items by signal and [`Outcome`].
    pub records: [[u64; Outcome::ALL.len()]; 3],
    pub decisions: BTreeMap<DecisionKind, DecisionCount>,
    pub exemplars: [u64; ExemplarOutcome::ALL.len()],
    /// Evictions from the index, by reason.
    pub evictions: BTreeMap<&'static str, u64>,
    /// Held items whose memory was given up, and that were read again from the log when they were to leave.
    pub reread: u64,
    pub id_conflicts: u64,
    pub duplicate_spans: u64,
    /// Values removed that redaction had found; items whose values nobody knew any more; items that had left before.
    pub taint_applied: u64,
    pub taint_lost: u64,
    pub taint_missed: u64,
    /// Items that were read again after a restart, and had left before it.
    pub repeated: u64,
    pub rootless_traces: u64,
    pub threshold_errors: u64,
    /// Fields that found no room in an item.
    pub fields_skipped: u64,
    /// Spans with end before start, or in the far future.
    pub odd_times: u64,
    pub new_traces: u64,
    /// Traces that were decided twice, because a cache had forgotten.
    pub split_decisions: u64,
    /// Verdict generations that were full before their time.
    pub early_rotations: u64,
    /// Logs by how long after them their span came: upper bounds of [`LAG_BOUNDS_MS`], and above.
    pub lags: [u64; LAG_BOUNDS_MS.len() + 1],
    /// Sum of the lags, ms.
    pub lag_sum: i64,
}

/// Upper bounds of the signed lag histogram, ms.
pub const LAG_BOUNDS_MS: [i32; 14] =
    [-10_000, -5_000, -2_000, -1_000, -500, -100, 0, 100, 500, 1_000, 2_000, 5_000, 10_000, 30_000];

impl Statistics {
    pub(crate) fn record(&mut self, signal: sluice_pdata::Signal, outcome: Outcome) {
        self.records[signal as usize][outcome as usize] += 1;
    }

    pub(crate) fn lag(&mut self, ms: i32) {
        let at = LAG_BOUNDS_MS.iter().position(|&bound| ms <= bound).unwrap_or(LAG_BOUNDS_MS.len());
        self.lags[at] += 1;
        self.lag_sum += i64::from(ms);
    }

    pub(crate) fn evict(&mut self, reason: &'static str, entries: u64) {
        *self.evictions.entry(reason).or_default() += entries;
    }

    /// Items of a signal with an outcome.
    pub fn items(&self, signal: sluice_pdata::Signal, outcome: Outcome) -> u64 {
        self.records[signal as usize][outcome as usize]
    }
}
