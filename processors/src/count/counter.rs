//! The counts of one kind of item in one resource, and what is written of them.

use ahash::HashMap;
use sluice_ottl::time::Time;
use sluice_ottl::{EvalError, WireRecord};
use sluice_pdata::Error;
use sluice_pdata::tags::{any_value, key_value, metric, number_data_point as point, scope_metrics, sum};
use sluice_pdata::view::{AnyValueView, AttributesView, KeyValueView};
use sluice_pdata::wire::{put_fixed64, put_len, put_message, put_varint_field};

use super::definition::{Definition, Dimension};

const DELTA: u64 = 1;
/// Bytes of attributes that the points of one metric may hold in one resource. What is beyond counts in the point with
/// `otel.metric.overflow`, or a long attribute of the resource could be written once for each item.
const POINT_BYTES: usize = 4 << 20;
const OVERFLOW: &[u8] = b"otel.metric.overflow";

/// Where an attribute is looked up, the nearest owner first: the item, its scope, its resource.
pub(super) type Owners<'a> = [AttributesView<'a>; 3];

/// Why counting ends.
pub(super) enum Failure {
    /// Malformed bytes.
    Malformed(Error),
    /// A condition failed.
    Condition,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Malformed(error)
    }
}

/// Counts of several metrics over the same items.
pub(super) struct Counter<'d> {
    definitions: &'d [Definition],
    tallies: Vec<Tally>,
    /// Earliest and latest time of all items, counted or not; 0 for none.
    earliest: u64,
    latest: u64,
    /// The attributes of the item at hand, as a point has them.
    scratch: Vec<u8>,
}

/// The points of one metric.
#[derive(Default)]
struct Tally {
    /// Attributes, each under its tag, and how many items have them.
    points: Vec<(Box<[u8]>, u64)>,
    index: HashMap<Box<[u8]>, usize>,
    bytes: usize,
    /// The point for what there was no room for.
    overflow: Option<usize>,
}

impl<'d> Counter<'d> {
    pub(super) fn new(definitions: &'d [Definition]) -> Self {
        let tallies = definitions.iter().map(|_| Tally::default()).collect();
        Counter { definitions, tallies, earliest: 0, latest: 0, scratch: Vec::new() }
    }

    /// Whether nothing is to be counted at all.
    pub(super) fn is_idle(&self) -> bool {
        self.definitions.is_empty()
    }

    /// Takes note of a time of an item; 0 is none.
    pub(super) fn see(&mut self, time: u64) {
        if time != 0 {
            self.earliest = if self.earliest == 0 { time } else { self.earliest.min(time) };
            self.latest = self.latest.max(time);
        }
    }

    /// Counts an item in all metrics that it belongs to.
    ///
    /// # Errors
    /// Malformed attributes; a condition that fails.
    pub(super) fn count(&mut self, record: &WireRecord<'_>, owners: &Owners<'_>, now: Time) -> Result<(), Failure> {
        let clock = || now;
        for (definition, tally) in self.definitions.iter().zip(&mut self.tallies) {
            self.scratch.clear();
            if !attributes(&definition.dimensions, owners, &mut self.scratch)? {
                continue;
            }
            let counts = match &definition.conditions {
                None => true,
                Some(conditions) => {
                    let mut passed_over = |_: usize, _: &EvalError| {};
                    conditions.eval(record, &clock, &mut passed_over).map_err(|error| {
                        let metric = definition.name.as_str();
                        tracing::warn!(metric, %error, "condition failed; the request is refused, as upstream does");
                        Failure::Condition
                    })?
                }
            };
            if counts {
                tally.add(&self.scratch);
            }
        }
        Ok(())
    }

    /// Writes the metrics that have counted anything, into a `ScopeMetrics`; the number of points. `now` stands in for the times
    /// of items that have none.
    pub(super) fn write(&self, out: &mut Vec<u8>, now: u64) -> usize {
        let (start, end) = if self.earliest == 0 { (now, now) } else { (self.earliest, self.latest) };
        let mut points = 0;
        for (definition, tally) in self.definitions.iter().zip(&self.tallies) {
            if tally.points.is_empty() {
                continue;
            }
            points += tally.points.len();
            put_message(out, scope_metrics::METRICS, |out| {
                put_len(out, metric::NAME, definition.name.as_bytes());
                if !definition.description.is_empty() {
                    put_len(out, metric::DESCRIPTION, definition.description.as_bytes());
                }
                put_message(out, metric::SUM, |out| {
                    for (attributes, count) in &tally.points {
                        put_message(out, sum::DATA_POINTS, |out| {
                            put_fixed64(out, point::START_TIME_UNIX_NANO, start);
                            put_fixed64(out, point::TIME_UNIX_NANO, end);
                            put_fixed64(out, point::AS_INT, *count);
                            out.extend_from_slice(attributes);
                        });
                    }
                    put_varint_field(out, sum::AGGREGATION_TEMPORALITY, DELTA);
                    put_varint_field(out, sum::IS_MONOTONIC, 1);
                });
            });
        }
        points
    }
}

impl Tally {
    fn add(&mut self, attributes: &[u8]) {
        if let Some((_, count)) = self.index.get(attributes).and_then(|&at| self.points.get_mut(at)) {
            *count += 1;
        } else if self.bytes + attributes.len() <= POINT_BYTES {
            self.begin(attributes);
        } else {
            match self.overflow.and_then(|at| self.points.get_mut(at)) {
                Some((_, count)) => *count += 1,
                None => {
                    self.overflow = Some(self.points.len());
                    self.begin(&overflow());
                }
            }
        }
    }

    fn begin(&mut self, attributes: &[u8]) {
        self.bytes += attributes.len();
        self.index.insert(attributes.into(), self.points.len());
        self.points.push((attributes.into(), 1));
    }
}

/// The attributes of the point for what there is no room for.
fn overflow() -> Vec<u8> {
    let mut out = Vec::new();
    put_pair(&mut out, OVERFLOW, |out| put_varint_field(out, any_value::BOOL_VALUE, 1));
    out
}

/// Appends the attributes of a point; `false` if one is missing that has no default.
fn attributes(dimensions: &[Dimension], owners: &Owners<'_>, out: &mut Vec<u8>) -> Result<bool, Error> {
    for dimension in dimensions {
        let found = owners.iter().find_map(|owner| {
            let is_it = |pair: &Result<KeyValueView<'_>, Error>| {
                pair.as_ref().map_or(true, |pair| *pair.key() == *dimension.key)
            };
            owner.iter().find(is_it)
        });
        match (found.transpose()?, &dimension.default) {
            (Some(pair), _) => put_found(out, &dimension.key, pair)?,
            (None, Some(default)) => put_pair(out, &dimension.key, |out| out.extend_from_slice(default)),
            (None, None) => return Ok(false),
        }
    }
    Ok(true)
}

/// Scalars are written anew, so that one value has one form; anything else as it is.
fn put_found(out: &mut Vec<u8>, key: &[u8], pair: KeyValueView<'_>) -> Result<(), Error> {
    match pair.value()? {
        AnyValueView::Str(text) => put_pair(out, key, |out| put_len(out, any_value::STRING_VALUE, text)),
        AnyValueView::Bool(value) => {
            put_pair(out, key, |out| put_varint_field(out, any_value::BOOL_VALUE, u64::from(value)));
        }
        AnyValueView::Int(value) => put_pair(out, key, |out| put_varint_field(out, any_value::INT_VALUE, value as u64)),
        AnyValueView::Double(value) => {
            put_pair(out, key, |out| put_fixed64(out, any_value::DOUBLE_VALUE, value.to_bits()));
        }
        _ => put_len(out, point::ATTRIBUTES, pair.bytes()),
    }
    Ok(())
}

/// A `KeyValue` of a point, with an `AnyValue` that `value` writes.
fn put_pair(out: &mut Vec<u8>, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, point::ATTRIBUTES, |out| {
        put_len(out, key_value::KEY, key);
        put_message(out, key_value::VALUE, value);
    });
}
