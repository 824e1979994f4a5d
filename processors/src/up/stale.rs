//! Stale markers for what a target pushed last, made from its own bytes.

use std::hash::{BuildHasher, Hash, Hasher};

use sluice_pdata::Error;
use sluice_pdata::tags::{gauge, metric, number_data_point, resource_metrics, scope_metrics};
use sluice_pdata::wire::{Field, Value, fields, put_fixed64, put_message, put_varint_field};

use super::measure::{NO_RECORDED_VALUE, PointFields};

/// Series that are marked already in one request.
pub struct Marked {
    seed: ahash::RandomState,
    series: std::collections::HashSet<u64, ahash::RandomState>,
}

impl Marked {
    /// Nothing is marked yet.
    pub fn new(seed: ahash::RandomState) -> Self {
        Marked { series: std::collections::HashSet::with_hasher(seed.clone()), seed }
    }
}

/// Appends a `ResourceMetrics` with a marker at `time_ms` for each series in `kept`, the payload of another one. Series that
/// are in `marked` are left out. Returns the number of data points; without any nothing is appended.
///
/// # Errors
/// Malformed bytes. Then nothing is appended.
pub fn mark(kept: &[u8], time_ms: u64, marked: &mut Marked, out: &mut Vec<u8>) -> Result<usize, Error> {
    let mut inner = Vec::with_capacity(kept.len());
    let mut points = 0;
    let resource = marked.seed.hash_one(kept_resource(kept)?);
    for field in fields(kept) {
        let field = field?;
        match (field.number, field.value) {
            (resource_metrics::SCOPE_METRICS, Value::Len(scope)) => {
                let mut payload = Vec::with_capacity(scope.len());
                let found = mark_scope(scope, resource, time_ms, marked, &mut payload)?;
                if found > 0 {
                    points += found;
                    put_message(&mut inner, resource_metrics::SCOPE_METRICS, |out| out.extend_from_slice(&payload));
                }
            }
            _ => copy(&mut inner, kept, &field),
        }
    }
    if points > 0 {
        put_message(out, sluice_pdata::tags::metrics_request::RESOURCE_METRICS, |out| out.extend_from_slice(&inner));
    }
    Ok(points)
}

fn kept_resource(kept: &[u8]) -> Result<&[u8], Error> {
    let mut resource = &[][..];
    for field in fields(kept) {
        let field = field?;
        if let (resource_metrics::RESOURCE, Value::Len(payload)) = (field.number, field.value) {
            resource = payload;
        }
    }
    Ok(resource)
}

fn mark_scope(
    scope: &[u8],
    resource: u64,
    time_ms: u64,
    marked: &mut Marked,
    out: &mut Vec<u8>,
) -> Result<usize, Error> {
    let (mut points, mut head) = (0, resource);
    for field in fields(scope) {
        let field = field?;
        match (field.number, field.value) {
            (scope_metrics::METRICS, Value::Len(metric)) => {
                let mut payload = Vec::with_capacity(metric.len());
                let found = mark_metric(metric, head, time_ms, marked, &mut payload)?;
                if found > 0 {
                    points += found;
                    put_message(out, scope_metrics::METRICS, |out| out.extend_from_slice(&payload));
                }
            }
            (scope_metrics::SCOPE, Value::Len(payload)) => {
                head = marked.seed.hash_one((resource, payload));
                copy(out, scope, &field);
            }
            _ => copy(out, scope, &field),
        }
    }
    Ok(points)
}

fn mark_metric(
    metric: &[u8],
    scope: u64,
    time_ms: u64,
    marked: &mut Marked,
    out: &mut Vec<u8>,
) -> Result<usize, Error> {
    let (mut points, mut name) = (0, &[][..]);
    for field in fields(metric) {
        let field = field?;
        if let (metric::NAME, Value::Len(text)) = (field.number, field.value) {
            name = text;
        }
    }
    let head = marked.seed.hash_one((scope, name));
    for field in fields(metric) {
        let field = field?;
        let kinds = [metric::GAUGE, metric::SUM, metric::HISTOGRAM, metric::EXPONENTIAL_HISTOGRAM, metric::SUMMARY];
        let Some(data) = field.value.len().filter(|_| kinds.contains(&field.number)) else {
            copy(out, metric, &field);
            continue;
        };
        let mut payload = Vec::with_capacity(data.len());
        for inner in fields(data) {
            let inner = inner?;
            match (inner.number, inner.value) {
                (gauge::DATA_POINTS, Value::Len(point)) => {
                    let numbers = PointFields::of(field.number);
                    let series = series_of(&marked.seed, head, point, numbers)?;
                    if marked.series.insert(series) {
                        points += 1;
                        let marker = marker(point, field.number, numbers, time_ms)?;
                        put_message(&mut payload, gauge::DATA_POINTS, |out| out.extend_from_slice(&marker));
                    }
                }
                _ => copy(&mut payload, data, &inner),
            }
        }
        put_message(out, field.number, |out| out.extend_from_slice(&payload));
    }
    Ok(points)
}

/// The point without value, with the flag. Bounds, quantiles and counts stay: they tell which series the point stands for.
fn marker(point: &[u8], kind: u32, numbers: PointFields, time_ms: u64) -> Result<Vec<u8>, Error> {
    let mut marker = Vec::with_capacity(point.len() + 12);
    let number = matches!(kind, metric::GAUGE | metric::SUM);
    for field in fields(point) {
        let field = field?;
        let value = number && matches!(field.number, number_data_point::AS_DOUBLE | number_data_point::AS_INT);
        let replaced = field.number == numbers.time || field.number == numbers.flags;
        if !value && !replaced && Some(field.number) != numbers.exemplars {
            copy(&mut marker, point, &field);
        }
    }
    put_fixed64(&mut marker, numbers.time, time_ms.saturating_mul(1_000_000));
    put_varint_field(&mut marker, numbers.flags, NO_RECORDED_VALUE);
    Ok(marker)
}

fn series_of(seed: &ahash::RandomState, head: u64, point: &[u8], numbers: PointFields) -> Result<u64, Error> {
    let mut hasher = seed.build_hasher();
    hasher.write_u64(head);
    for field in fields(point) {
        let field = field?;
        if let (true, Value::Len(pair)) = (field.number == numbers.attributes, field.value) {
            pair.hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}

fn copy(out: &mut Vec<u8>, message: &[u8], field: &Field<'_>) {
    out.extend_from_slice(message.get(field.start..field.end).unwrap_or_default());
}
