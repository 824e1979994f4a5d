//! What could not be sent, by reason.

use sluice_pdata::pass::Reason;
use smallvec::SmallVec;

pub const DELTA_TEMPORALITY: Reason = "delta_temporality";
pub const UNSPECIFIED_TEMPORALITY: Reason = "unspecified_temporality";
pub const EMPTY_DATA_POINTS: Reason = "empty_data_points";
pub const INVALID_METRIC_NAME: Reason = "invalid_metric_name";
pub const INVALID_LABEL_NAME: Reason = "invalid_label_name";
pub const EXPONENTIAL_SCALE: Reason = "exponential_scale";
pub const MISSING_SUM: Reason = "missing_sum";
pub const NHCB_V1: Reason = "nhcb_v1";
pub const NATIVE_HISTOGRAM_DISABLED: Reason = "native_histogram_disabled";
pub const FUTURE: Reason = "future";
pub const SAMPLE_AGE: Reason = "sample_age";
pub const PARTIAL_WRITE: Reason = "partial_write";
/// Bytes that are no data point.
pub const INVALID: Reason = "invalid";

/// Data points that were dropped, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops(SmallVec<[(Reason, usize); 1]>);

impl Drops {
    /// Adds data points.
    pub fn add(&mut self, reason: Reason, points: usize) {
        if points == 0 {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += points,
            None => self.0.push((reason, points)),
        }
    }

    /// All data points.
    pub fn total(&self) -> usize {
        self.0.iter().map(|(_, points)| points).sum()
    }

    /// By reason, in the order they first came.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, usize)> {
        self.0.iter().copied()
    }

    /// The list, for an outcome.
    pub fn into_inner(self) -> SmallVec<[(Reason, usize); 1]> {
        self.0
    }
}
