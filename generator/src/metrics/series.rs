//! One stream of points, and the exemplars that it would show next.

use super::exponential::Buckets;
use super::{Observation, filtered};
use crate::encode::Attributes;
use crate::settings::Nanos;

/// Bounds of explicit histograms in seconds, as the semantic conventions advise.
const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Exemplars of a stream without explicit buckets.
const RESERVOIR: usize = 4;

/// A measurement that stands for others.
#[derive(Clone, Debug)]
pub(super) struct Exemplar {
    pub value: f64,
    pub at: Nanos,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub filtered: Attributes,
    bucket: usize,
}

/// A stream.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub attributes: Attributes,
    pub exponential: Option<Buckets>,
    pub bounds: Vec<f64>,
    pub counts: Vec<u64>,
    pub count: u64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    pub last: f64,
    pub chosen: Vec<Exemplar>,
}

impl Series {
    pub fn new(attributes: &Attributes, exponential: bool, seconds: bool) -> Self {
        let unit = if seconds { 1.0 } else { 1e3 };
        Series {
            attributes: attributes.clone(),
            exponential: exponential.then(Buckets::default),
            bounds: BOUNDS.iter().map(|bound| bound * unit).collect(),
            counts: vec![0; BOUNDS.len() + 1],
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            last: 0.0,
            chosen: Vec::new(),
        }
    }

    pub fn record(&mut self, observation: &Observation) {
        let value = observation.value;
        // The first bound that is not below the value: bounds are inclusive.
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        if let Some(buckets) = &mut self.exponential {
            buckets.record(value);
        }
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.last = value;
        let Some((trace_id, span_id)) = observation.context else { return };
        // With explicit buckets the newest of each, else the newest few.
        if self.exponential.is_none() {
            self.chosen.retain(|exemplar| exemplar.bucket != bucket);
        } else if self.chosen.len() >= RESERVOIR {
            self.chosen.remove(0);
        }
        self.chosen.push(Exemplar { value, at: observation.at, trace_id, span_id, filtered: filtered(), bucket });
    }

    pub fn exemplars(&self) -> usize {
        self.chosen.len()
    }

    pub fn forget_exemplars(&mut self) {
        self.chosen.clear();
    }
}
