//! What is generated. Plain data.

/// Nanoseconds of virtual time since the run began.
pub type Nanos = u64;

/// A millisecond in virtual time.
pub const MILLISECOND: Nanos = 1_000_000;
/// A second in virtual time.
pub const SECOND: Nanos = 1_000_000_000;

/// A run of the scenario `shop`. The same settings always give the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub seed: u64,
    /// What virtual zero is in Unix nanoseconds: timestamps count from here.
    pub epoch: u64,
    /// How long new traces begin. What began is exported whole, so arrivals go on a little longer.
    pub duration: Nanos,
    /// Mean; arrivals are a Poisson process.
    pub traces_per_second: f64,
    /// Instances of each service: each has timers, a clock and connections of its own.
    pub instances: u16,
    pub timers: Timers,
    pub disturbances: Disturbances,
    pub sampling: Sampling,
    /// Share of logs that carry a broken or misleading context, and of spans with a broken id.
    pub pathologies: f64,
    /// Share of spans and logs into which a secret is planted.
    pub secrets: f64,
    /// One trace with this many spans, beginning in the middle of the run.
    pub giant: Option<u32>,
}

impl Default for Settings {
    /// A minute of an undisturbed shop with the timers that SDKs have unless configured.
    fn default() -> Self {
        Settings {
            seed: 1,
            // 2026-01-01T00:00:00Z.
            epoch: 1_767_225_600 * SECOND,
            duration: 60 * SECOND,
            traces_per_second: 10.0,
            instances: 3,
            timers: Timers::default(),
            disturbances: Disturbances::default(),
            sampling: Sampling::default(),
            pathologies: 0.0,
            secrets: 0.0,
            giant: None,
        }
    }
}

/// When SDKs export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    pub spans: Nanos,
    pub logs: Nanos,
    pub metrics: Nanos,
    /// Spans or logs in one export. So many waiting are exported at once.
    pub max_export_batch_size: usize,
}

impl Default for Timers {
    /// The defaults of the SDK specification: 5 s, 1 s, 60 s, 512.
    fn default() -> Self {
        Timers { spans: 5 * SECOND, logs: SECOND, metrics: 60 * SECOND, max_export_batch_size: 512 }
    }
}

impl Timers {
    /// The same interval for all signals.
    pub fn every(interval: Nanos) -> Self {
        Timers { spans: interval, logs: interval, metrics: interval, ..Timers::default() }
    }
}

/// What goes wrong between an SDK and the collector. Default: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disturbances {
    /// Share of exports that come late.
    pub late: f64,
    /// The longest they are late.
    pub lateness: Nanos,
    /// Share of exports that come twice.
    pub duplicated: f64,
    /// Share of exports that never come.
    pub lost: f64,
    /// How far the clock of an instance may be off, either way. Arrivals are not affected.
    pub skew: Nanos,
}

impl Disturbances {
    /// An ordinary bad day.
    pub fn ordinary() -> Self {
        Disturbances { late: 0.02, lateness: 8 * SECOND, duplicated: 0.01, lost: 0.005, skew: 200 * MILLISECOND }
    }
}

/// Head sampling by the SDKs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Share of traces whose spans are exported (flags bit 0). Logs and metrics are exported always.
    pub ratio: f64,
    /// Whether `tracestate` says so.
    pub trace_state: TraceState,
}

/// What the `ot` member of `tracestate` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceState {
    /// There is none.
    Absent,
    /// `th`, over the randomness in the trace id.
    Threshold,
    /// `rv` and `th`.
    RandomValue,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { ratio: 1.0, trace_state: TraceState::Absent }
    }
}

/// Why settings make no run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0} must be between 0 and 1")]
    Share(&'static str),
    #[error("{0} must be more than 0")]
    Positive(&'static str),
    #[error("a giant trace has at most {0} spans")]
    Giant(u32),
}

/// The largest giant trace.
pub const LARGEST_TRACE: u32 = 1_000_000;

impl Settings {
    /// Checks what would make a run impossible.
    ///
    /// # Errors
    /// Names the field.
    pub fn validate(&self) -> Result<(), Error> {
        let shares = [
            ("disturbances.late", self.disturbances.late),
            ("disturbances.duplicated", self.disturbances.duplicated),
            ("disturbances.lost", self.disturbances.lost),
            ("sampling.ratio", self.sampling.ratio),
            ("pathologies", self.pathologies),
            ("secrets", self.secrets),
        ];
        if let Some((name, _)) = shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return Err(Error::Share(name));
        }
        let positive = [
            ("traces_per_second", self.traces_per_second > 0.0 && self.traces_per_second.is_finite()),
            ("instances", self.instances > 0),
            ("timers.spans", self.timers.spans > 0),
            ("timers.logs", self.timers.logs > 0),
            ("timers.metrics", self.timers.metrics > 0),
            ("timers.max_export_batch_size", self.timers.max_export_batch_size > 0),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, good)| !good) {
            return Err(Error::Positive(name));
        }
        match self.giant {
            Some(spans) if spans > LARGEST_TRACE => Err(Error::Giant(LARGEST_TRACE)),
            _ => Ok(()),
        }
    }
}
