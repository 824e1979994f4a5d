//! The check every request passes before it is acknowledged or concatenated with another.
//!
//! It walks the envelopes (request, resource, scope, metric and its data) down to the items (spans, log records, data
//! points) and skips what is inside items, resources and scopes. What passes can be concatenated, split and counted; a
//! truncated request cannot swallow its neighbour.

use crate::error::{Error, Fault};
use crate::signal::Signal;
use crate::tags::{exponential_histogram, histogram, metric, resource_spans, scope_spans, sum, traces_request};
use crate::wire::{Reader, WireType, skip_run};

/// The largest protobuf message.
const MAX_LEN: usize = i32::MAX as usize;

/// The fields of `ResourceSpans`, `ResourceMetrics` and `ResourceLogs`, which are numbered alike.
use resource_spans as resource_group;
/// The fields of `ScopeSpans`, `ScopeMetrics` and `ScopeLogs`, which are numbered alike.
use scope_spans as scope_group;

/// The field of every metric data message that holds its points.
const DATA_POINTS: u32 = 1;

/// What a request holds, as far as its framing tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// Spans, log records or data points. In a request that is not plain this counts what is written, also points of a
    /// data message that a later one replaces.
    pub items: usize,
    /// Whether every singular field of every envelope occurs at most once and every metric has at most one data field, so
    /// that reading the first occurrence is right. Other requests are made plain by [`crate::canonical::envelopes`].
    pub plain: bool,
}

/// Walks `request` down to item framing.
///
/// # Errors
/// Names the first fault: a field that is cut off or malformed, an envelope field of the wrong wire type, or a request
/// over 2 GiB.
pub fn check(signal: Signal, request: &[u8]) -> Result<Framing, Error> {
    if request.len() > MAX_LEN {
        return Err(Error::new(Fault::TooLarge, 0));
    }
    let mut walk = Walk { signal, items: 0, plain: true };
    // All three requests hold their resources in field 1.
    let mut reader = Reader::new(request);
    while let Some((number, wire_type)) = reader.tag()? {
        match number {
            traces_request::RESOURCE_SPANS => {
                let group = payload(&mut reader, wire_type)?;
                walk.resource_group(group).map_err(|error| error.at(reader.pos() - group.len()))?;
            }
            _ => reader.skip(number, wire_type)?,
        }
    }
    Ok(Framing { items: walk.items, plain: walk.plain })
}

struct Walk {
    signal: Signal,
    items: usize,
    plain: bool,
}

/// Which singular fields of one message have been seen: a bit for each number.
#[derive(Default)]
struct Seen(u32);

impl Walk {
    #[inline]
    fn singular(&mut self, seen: &mut Seen, number: u32) {
        self.plain &= seen.0 & 1 << number == 0;
        seen.0 |= 1 << number;
    }

    fn resource_group(&mut self, group: &[u8]) -> Result<(), Error> {
        let mut reader = Reader::new(group);
        let mut seen = Seen::default();
        while let Some((number, wire_type)) = reader.tag()? {
            match number {
                resource_group::SCOPE_SPANS => {
                    let group = payload(&mut reader, wire_type)?;
                    self.scope_group(group).map_err(|error| error.at(reader.pos() - group.len()))?;
                }
                resource_group::RESOURCE | resource_group::SCHEMA_URL => {
                    self.singular(&mut seen, number);
                    payload(&mut reader, wire_type)?;
                }
                _ => reader.skip(number, wire_type)?,
            }
        }
        Ok(())
    }

    fn scope_group(&mut self, group: &[u8]) -> Result<(), Error> {
        let metrics = self.signal == Signal::Metrics;
        let mut seen = Seen::default();
        let mut pos = 0;
        loop {
            if !metrics {
                self.items += skip_run(group, &mut pos, scope_group::SPANS);
            }
            let mut reader = Reader::new(group.get(pos..).unwrap_or_default());
            let outer = |error: Error| error.at(pos);
            let Some((number, wire_type)) = reader.tag().map_err(outer)? else { return Ok(()) };
            match number {
                scope_group::SPANS => {
                    let item = payload(&mut reader, wire_type).map_err(outer)?;
                    if metrics {
                        self.metric(item).map_err(|error| error.at(pos + reader.pos() - item.len()))?;
                    } else {
                        self.items += 1;
                    }
                }
                scope_group::SCOPE | scope_group::SCHEMA_URL => {
                    self.singular(&mut seen, number);
                    payload(&mut reader, wire_type).map_err(outer)?;
                }
                _ => reader.skip(number, wire_type).map_err(outer)?,
            }
            pos += reader.pos();
        }
    }

    fn metric(&mut self, metric: &[u8]) -> Result<(), Error> {
        let mut reader = Reader::new(metric);
        let mut seen = Seen::default();
        while let Some((number, wire_type)) = reader.tag()? {
            match number {
                metric::NAME | metric::DESCRIPTION | metric::UNIT => {
                    self.singular(&mut seen, number);
                    payload(&mut reader, wire_type)?;
                }
                metric::METADATA => {
                    payload(&mut reader, wire_type)?;
                }
                metric::GAUGE | metric::SUM | metric::HISTOGRAM | metric::EXPONENTIAL_HISTOGRAM | metric::SUMMARY => {
                    // One bit for the whole oneof.
                    self.singular(&mut seen, metric::GAUGE);
                    let data = payload(&mut reader, wire_type)?;
                    self.data(number, data).map_err(|error| error.at(reader.pos() - data.len()))?;
                }
                _ => reader.skip(number, wire_type)?,
            }
        }
        Ok(())
    }

    /// The points and singular fields of a metric's data, which is field `kind` of the metric.
    fn data(&mut self, kind: u32, data: &[u8]) -> Result<(), Error> {
        let mut seen = Seen::default();
        let mut pos = 0;
        loop {
            self.items += skip_run(data, &mut pos, DATA_POINTS);
            let mut reader = Reader::new(data.get(pos..).unwrap_or_default());
            let outer = |error: Error| error.at(pos);
            let Some((number, wire_type)) = reader.tag().map_err(outer)? else { return Ok(()) };
            match (kind, number) {
                (_, DATA_POINTS) => {
                    payload(&mut reader, wire_type).map_err(outer)?;
                    self.items += 1;
                }
                (metric::SUM, sum::AGGREGATION_TEMPORALITY | sum::IS_MONOTONIC)
                | (metric::HISTOGRAM, histogram::AGGREGATION_TEMPORALITY)
                | (metric::EXPONENTIAL_HISTOGRAM, exponential_histogram::AGGREGATION_TEMPORALITY) => {
                    if wire_type != WireType::Varint {
                        return Err(Error::new(Fault::WireType, pos));
                    }
                    self.singular(&mut seen, number);
                    reader.varint().map_err(outer)?;
                }
                _ => reader.skip(number, wire_type).map_err(outer)?,
            }
            pos += reader.pos();
        }
    }
}

/// The bytes of an envelope field, which must be length-delimited.
#[inline]
fn payload<'a>(reader: &mut Reader<'a>, wire_type: WireType) -> Result<&'a [u8], Error> {
    if wire_type != WireType::Len {
        return Err(Error::new(Fault::WireType, reader.pos()));
    }
    reader.len_prefixed()
}
