//! The series that are written for a target, and what one grid point writes.

use super::config::Signal;
use super::labels::Labels;
use super::state::State;

/// Why a push was refused as invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// The payload is not what its content type says.
    Malformed,
    /// The payload is larger or deeper than allowed.
    TooLarge,
    /// The payload breaks a rule of OTLP.
    Invalid,
}

impl RejectReason {
    /// All reasons, in the order of their indices.
    pub const ALL: [RejectReason; 3] = [RejectReason::Malformed, RejectReason::TooLarge, RejectReason::Invalid];

    /// The value of the label `reason`.
    pub fn name(self) -> &'static str {
        ["malformed", "too_large", "invalid"][self as usize]
    }
}

/// A series of a target (`up`, What is written).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Series {
    /// `up`
    Up,
    /// `otlp_up{signal}`
    OtlpUp(Signal),
    /// `otlp_ingest_samples`
    Samples,
    /// `otlp_ingest_requests`
    Requests,
    /// `otlp_ingest_bytes`
    Bytes,
    /// `otlp_ingest_last_seen_timestamp_seconds{signal}`
    LastSeen(Signal),
    /// `otlp_ingest_data_delay_seconds`
    DataDelay,
    /// `otlp_ingest_expected_interval_seconds`
    ExpectedInterval,
    /// `otlp_ingest_observed_interval_seconds`
    ObservedInterval,
    /// `otlp_ingest_rejected_total{reason}`
    Rejected(RejectReason),
    /// `otlp_target_state{state}`
    TargetState(State),
    /// `otlp_target_deadline_seconds`
    Deadline,
}

impl Series {
    /// The metric name, which goes out verbatim.
    pub fn name(self) -> &'static str {
        match self {
            Series::Up => "up",
            Series::OtlpUp(_) => "otlp_up",
            Series::Samples => "otlp_ingest_samples",
            Series::Requests => "otlp_ingest_requests",
            Series::Bytes => "otlp_ingest_bytes",
            Series::LastSeen(_) => "otlp_ingest_last_seen_timestamp_seconds",
            Series::DataDelay => "otlp_ingest_data_delay_seconds",
            Series::ExpectedInterval => "otlp_ingest_expected_interval_seconds",
            Series::ObservedInterval => "otlp_ingest_observed_interval_seconds",
            Series::Rejected(_) => "otlp_ingest_rejected_total",
            Series::TargetState(_) => "otlp_target_state",
            Series::Deadline => "otlp_target_deadline_seconds",
        }
    }

    /// The label that the series has beside those of the target.
    pub fn label(self) -> Option<(&'static str, &'static str)> {
        match self {
            Series::OtlpUp(signal) | Series::LastSeen(signal) => Some(("signal", signal.name())),
            Series::Rejected(reason) => Some(("reason", reason.name())),
            Series::TargetState(state) => Some(("state", state.name())),
            _ => None,
        }
    }

    /// Whether it is a monotonic sum; all others are gauges.
    pub fn is_counter(self) -> bool {
        matches!(self, Series::Rejected(_))
    }

    /// All series, in the order in which they are written; the position is the bit in a [`SeriesSet`].
    pub const ALL: [Series; 25] = [
        Series::Up,
        Series::OtlpUp(Signal::Metrics),
        Series::OtlpUp(Signal::Logs),
        Series::OtlpUp(Signal::Traces),
        Series::Samples,
        Series::Requests,
        Series::Bytes,
        Series::LastSeen(Signal::Metrics),
        Series::LastSeen(Signal::Logs),
        Series::LastSeen(Signal::Traces),
        Series::DataDelay,
        Series::ExpectedInterval,
        Series::ObservedInterval,
        Series::Rejected(RejectReason::Malformed),
        Series::Rejected(RejectReason::TooLarge),
        Series::Rejected(RejectReason::Invalid),
        Series::TargetState(State::Unknown),
        Series::TargetState(State::NeverSeen),
        Series::TargetState(State::Up),
        Series::TargetState(State::Late),
        Series::TargetState(State::Down),
        Series::TargetState(State::Frozen),
        Series::TargetState(State::Leaving),
        Series::TargetState(State::Gone),
        Series::Deadline,
    ];

    fn bit(self) -> u32 {
        let index = match self {
            Series::Up => 0,
            Series::OtlpUp(signal) => 1 + signal.index() as u32,
            Series::Samples => 4,
            Series::Requests => 5,
            Series::Bytes => 6,
            Series::LastSeen(signal) => 7 + signal.index() as u32,
            Series::DataDelay => 10,
            Series::ExpectedInterval => 11,
            Series::ObservedInterval => 12,
            Series::Rejected(reason) => 13 + reason as u32,
            Series::TargetState(state) => 16 + state as u32,
            Series::Deadline => 24,
        };
        1 << index
    }
}

/// Which series of a target have been written and are not marked stale yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesSet(u32);

impl SeriesSet {
    /// Adds a series.
    pub fn insert(&mut self, series: Series) {
        self.0 |= series.bit();
    }

    /// Whether nothing was written.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The series, in the order of [`Series::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Series> {
        Series::ALL.into_iter().filter(move |series| self.0 & series.bit() != 0)
    }
}

/// One value of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Which series.
    pub series: Series,
    /// The value; None is the stale marker (`NoRecordedValue`).
    pub value: Option<f64>,
}

/// What one target writes at one point of its grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Emission {
    /// The labels of the series.
    pub labels: Labels,
    /// The grid point, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// When counters of this target began, in milliseconds since the Unix epoch.
    pub start_ms: u64,
    /// Further attributes of the resource (`resource_attributes`): names of semantic conventions.
    pub resource: Labels,
    /// At least one sample.
    pub samples: Vec<Sample>,
}

impl Emission {
    /// Whether it ends series instead of writing values. An emission never does both.
    pub fn is_marker(&self) -> bool {
        self.samples.first().is_some_and(|sample| sample.value.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_has_a_bit_of_its_own() {
        for (i, series) in Series::ALL.into_iter().enumerate() {
            assert_eq!(series.bit(), 1 << i, "{series:?}");
        }
    }
}
