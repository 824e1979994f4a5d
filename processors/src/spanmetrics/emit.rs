//! What is written at a flush, as an OTLP metrics request.

use sluice_pdata::tags::{
    buckets, exemplar, exponential_histogram, exponential_histogram_data_point as exponential_point, histogram,
    histogram_data_point as histogram_point, metric, metrics_request, number_data_point as number_point,
    resource_metrics, scope, scope_metrics, sum,
};
use sluice_pdata::wire::{
    Reader, WireType, put_fixed64, put_len, put_message, put_tag, put_varint, put_varint_field, to_zigzag,
};

use super::exemplar::{Candidate, best, best_by_bucket};
use super::exponential::ExponentialPoint;
use super::plan::{Buckets, Plan};
use super::resource::Resource;
use super::series::{Durations, Series};
use super::slab::Slab;

/// Upstream's name of the scope.
const SCOPE: &str = "spanmetricsconnector";
const DELTA: u64 = 1;
const CUMULATIVE: u64 = 2;

/// A series that is due, with the exemplars that are ready for it.
pub struct Row {
    pub series: u32,
    pub family: u8,
    pub ready: Vec<Candidate>,
}

/// Writes the metrics of resources.
pub struct Writer<'p> {
    plan: &'p Plan,
    names: [String; 3],
    /// Explicit bounds, as they are in every point.
    bounds: Vec<u8>,
    /// Time of all points.
    time: u64,
    counts: Vec<u8>,
    /// Data points written.
    pub points: usize,
}

/// What is true of a point.
struct Point<'r> {
    start: u64,
    time: u64,
    ready: &'r [Candidate],
}

impl<'p> Writer<'p> {
    pub fn new(plan: &'p Plan, namespace: &str, time: u64) -> Self {
        let name =
            |metric: &str| if namespace.is_empty() { metric.to_owned() } else { format!("{namespace}.{metric}") };
        let bounds = match &plan.buckets {
            Buckets::Explicit(bounds) => bounds.iter().flat_map(|bound| bound.to_le_bytes()).collect(),
            Buckets::Exponential(_) => Vec::new(),
        };
        let names = [name("calls"), name("duration"), name("events")];
        Writer { plan, names, bounds, time, counts: Vec::new(), points: 0 }
    }

    /// Writes the due series of one resource. `rows` are those of its families, one family behind the other.
    pub fn resource(&mut self, out: &mut Vec<u8>, resource: &Resource, rows: &[Row], slab: &mut Slab<Series>) {
        put_message(out, metrics_request::RESOURCE_METRICS, |out| {
            put_len(out, resource_metrics::RESOURCE, &resource.message);
            put_message(out, resource_metrics::SCOPE_METRICS, |out| {
                put_message(out, scope_metrics::SCOPE, |out| put_len(out, scope::NAME, SCOPE.as_bytes()));
                for (number, family) in self.plan.families.iter().enumerate() {
                    let start = rows.partition_point(|row| usize::from(row.family) < number);
                    let end = rows.partition_point(|row| usize::from(row.family) <= number);
                    let rows = &rows[start..end];
                    if rows.is_empty() {
                        continue;
                    }
                    if family.calls {
                        put_message(out, scope_metrics::METRICS, |out| self.sum(out, 0, rows, slab));
                    }
                    if family.duration {
                        put_message(out, scope_metrics::METRICS, |out| self.durations(out, rows, slab));
                    }
                    if family.events {
                        put_message(out, scope_metrics::METRICS, |out| self.sum(out, 2, rows, slab));
                    }
                }
            });
        });
    }

    fn temporality(&self) -> u64 {
        if self.plan.delta { DELTA } else { CUMULATIVE }
    }

    fn start(&self, series: &Series) -> u64 {
        if self.plan.delta && series.written != 0 { series.written } else { series.start }
    }

    fn sum(&mut self, out: &mut Vec<u8>, name: usize, rows: &[Row], slab: &mut Slab<Series>) {
        put_len(out, metric::NAME, self.names[name].as_bytes());
        put_message(out, metric::SUM, |out| {
            for row in rows {
                let Some(series) = slab.get_mut(row.series) else { continue };
                let value = series.count.write(self.plan.delta);
                let start = self.start(series);
                if !self.plan.delta && series.written == 0 && start < self.time {
                    // A new series begins with 0, so that what it begins with is seen as an increase. Upstream writes the
                    // 0 now and the value at the next flush; then a crash in between would lose it.
                    let point = Point { start, time: start, ready: &[] };
                    put_message(out, sum::DATA_POINTS, |out| number(out, &point, series, 0, 0));
                    self.points += 1;
                }
                let point = Point { start, time: self.time, ready: &row.ready };
                let most = self.plan.exemplars.unwrap_or(0);
                put_message(out, sum::DATA_POINTS, |out| number(out, &point, series, value, most));
                self.points += 1;
            }
            put_varint_field(out, sum::AGGREGATION_TEMPORALITY, self.temporality());
            put_varint_field(out, sum::IS_MONOTONIC, 1);
        });
    }

    fn durations(&mut self, out: &mut Vec<u8>, rows: &[Row], slab: &mut Slab<Series>) {
        put_len(out, metric::NAME, self.names[1].as_bytes());
        put_len(out, metric::UNIT, self.plan.unit.name().as_bytes());
        let explicit = matches!(self.plan.buckets, Buckets::Explicit(_));
        let kind = if explicit { metric::HISTOGRAM } else { metric::EXPONENTIAL_HISTOGRAM };
        put_message(out, kind, |out| {
            for row in rows {
                let Some(series) = slab.get_mut(row.series) else { continue };
                let point = Point { start: self.start(series), time: self.time, ready: &row.ready };
                put_message(out, histogram::DATA_POINTS, |out| self.distribution(out, &point, series));
                self.points += 1;
            }
            debug_assert_eq!(histogram::AGGREGATION_TEMPORALITY, exponential_histogram::AGGREGATION_TEMPORALITY);
            put_varint_field(out, histogram::AGGREGATION_TEMPORALITY, self.temporality());
        });
    }

    fn distribution(&mut self, out: &mut Vec<u8>, point: &Point<'_>, series: &mut Series) {
        let most = self.plan.exemplars.unwrap_or(0);
        match &mut series.durations {
            Durations::None => {}
            Durations::Explicit(totals) => {
                self.counts.clear();
                let counts = &mut self.counts;
                let (count, sum) =
                    totals.write(self.plan.delta, |value| counts.extend_from_slice(&value.to_le_bytes()));
                put_fixed64(out, histogram_point::START_TIME_UNIX_NANO, point.start);
                put_fixed64(out, histogram_point::TIME_UNIX_NANO, point.time);
                put_fixed64(out, histogram_point::COUNT, count);
                put_fixed64(out, histogram_point::SUM, sum.to_bits());
                put_len(out, histogram_point::BUCKET_COUNTS, &self.counts);
                put_len(out, histogram_point::EXPLICIT_BOUNDS, &self.bounds);
                put_exemplars(out, histogram_point::EXEMPLARS, &best_by_bucket(point.ready, most));
                put_pairs(out, histogram_point::ATTRIBUTES, &series.pairs);
            }
            Durations::Exponential(totals) => {
                let values = totals.write(self.plan.delta);
                put_pairs(out, exponential_point::ATTRIBUTES, &series.pairs);
                put_fixed64(out, exponential_point::START_TIME_UNIX_NANO, point.start);
                put_fixed64(out, exponential_point::TIME_UNIX_NANO, point.time);
                put_exponential(out, &values);
                put_exemplars(out, exponential_point::EXEMPLARS, &best_by_bucket(point.ready, most));
            }
        }
    }
}

fn number(out: &mut Vec<u8>, point: &Point<'_>, series: &Series, value: u64, most: usize) {
    put_fixed64(out, number_point::START_TIME_UNIX_NANO, point.start);
    put_fixed64(out, number_point::TIME_UNIX_NANO, point.time);
    put_exemplars(out, number_point::EXEMPLARS, &best(point.ready, most));
    put_fixed64(out, number_point::AS_INT, value.min(i64::MAX as u64));
    put_pairs(out, number_point::ATTRIBUTES, &series.pairs);
}

fn put_exponential(out: &mut Vec<u8>, point: &ExponentialPoint) {
    put_fixed64(out, exponential_point::COUNT, point.count);
    put_fixed64(out, exponential_point::SUM, point.sum.to_bits());
    put_varint_field(out, exponential_point::SCALE, sint32(point.scale));
    put_fixed64(out, exponential_point::ZERO_COUNT, point.zero);
    put_message(out, exponential_point::POSITIVE, |out| {
        if !point.buckets.is_empty() {
            put_varint_field(out, buckets::OFFSET, sint32(point.offset));
            put_message(out, buckets::BUCKET_COUNTS, |out| {
                point.buckets.iter().for_each(|&count| put_varint(out, count))
            });
        }
    });
    if let Some((min, max)) = point.range {
        put_fixed64(out, exponential_point::MIN, min.to_bits());
        put_fixed64(out, exponential_point::MAX, max.to_bits());
    }
}

fn sint32(value: i32) -> u64 {
    to_zigzag(i64::from(value))
}

fn put_exemplars(out: &mut Vec<u8>, number: u32, chosen: &[&Candidate]) {
    for candidate in chosen {
        put_message(out, number, |out| {
            put_fixed64(out, exemplar::TIME_UNIX_NANO, candidate.time);
            put_fixed64(out, exemplar::AS_DOUBLE, candidate.value.to_bits());
            put_len(out, exemplar::SPAN_ID, &candidate.span);
            put_len(out, exemplar::TRACE_ID, &candidate.trace);
        });
    }
}

/// The attributes of a series under the number that its kind of point has for them. They are as long as in the series, so they
/// are copied one by one with another tag.
fn put_pairs(out: &mut Vec<u8>, number: u32, pairs: &[u8]) {
    let mut reader = Reader::new(pairs);
    while !reader.at_end() {
        let from = reader.pos();
        // Written by `put_pair`: always whole.
        let Ok(_) = reader.len_prefixed() else { return };
        put_tag(out, number, WireType::Len);
        out.extend_from_slice(&pairs[from..reader.pos()]);
    }
}
