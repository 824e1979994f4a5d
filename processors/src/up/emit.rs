//! What the engine writes, as an OTLP metrics request.
//!
//! Each target is one resource with `service.name` (the label `job`) and `service.instance.id` (`instance`) only, so
//! that no further `target_info` appears (but for `resource_attributes`, which asks for more); all other labels are attributes of the data points. The metadata
//! `prometheus.type` makes names go out verbatim. The scope has no name, so that no `otel_scope_*` label appears.

use super::labels::Labels;
use super::series::{Emission, Sample};

const CUMULATIVE: u64 = 2;
const NO_RECORDED_VALUE: u64 = 1;

/// Writes emissions as the bytes of an `ExportMetricsServiceRequest`. Returns the number of data points.
pub fn encode(emissions: &[Emission], out: &mut Vec<u8>) -> usize {
    let mut points = 0;
    for emission in emissions {
        points += emission.samples.len();
        message(out, 1, |resource_metrics| {
            message(resource_metrics, 1, |resource| {
                attribute(resource, 1, "service.name", emission.labels.get("job"));
                attribute(resource, 1, "service.instance.id", emission.labels.get("instance"));
                emission.resource.iter().for_each(|(name, value)| attribute(resource, 1, name, value));
            });
            message(resource_metrics, 2, |scope_metrics| {
                // Samples of one metric stand side by side.
                for samples in emission.samples.chunk_by(|a, b| a.series.name() == b.series.name()) {
                    message(scope_metrics, 2, |m| metric(m, emission, samples));
                }
            });
        });
    }
    points
}

fn metric(out: &mut Vec<u8>, emission: &Emission, samples: &[Sample]) {
    let Some(first) = samples.first().map(|sample| sample.series) else { return };
    bytes(out, 1, first.name().as_bytes());
    if first.is_counter() {
        message(out, 7, |sum| {
            for sample in samples {
                message(sum, 1, |point| data_point(point, emission, sample));
            }
            varint_field(sum, 2, CUMULATIVE);
            varint_field(sum, 3, 1);
        });
    } else {
        message(out, 5, |gauge| {
            for sample in samples {
                message(gauge, 1, |point| data_point(point, emission, sample));
            }
        });
    }
    attribute(out, 12, "prometheus.type", if first.is_counter() { "counter" } else { "gauge" });
}

fn data_point(out: &mut Vec<u8>, emission: &Emission, sample: &Sample) {
    if sample.series.is_counter() {
        fixed64(out, 2, emission.start_ms.saturating_mul(1_000_000));
    }
    fixed64(out, 3, emission.time_ms.saturating_mul(1_000_000));
    match sample.value {
        Some(value) => fixed64(out, 4, value.to_bits()),
        None => varint_field(out, 8, NO_RECORDED_VALUE),
    }
    point_labels(out, &emission.labels);
    if let Some((name, value)) = sample.series.label() {
        attribute(out, 7, name, value);
    }
}

fn point_labels(out: &mut Vec<u8>, labels: &Labels) {
    for (name, value) in labels.iter().filter(|(name, _)| !matches!(*name, "job" | "instance")) {
        attribute(out, 7, name, value);
    }
}

/// A `KeyValue` with a text value; nothing for an empty one, which Prometheus takes as absent.
fn attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &str) {
    if !value.is_empty() {
        message(out, field, |pair| {
            bytes(pair, 1, key.as_bytes());
            message(pair, 2, |any| bytes(any, 1, value.as_bytes()));
        });
    }
}

/// An embedded message. Its length goes before it once it is known; one byte is kept free, which is mostly enough.
fn message(out: &mut Vec<u8>, field: u32, body: impl FnOnce(&mut Vec<u8>)) {
    varint(out, u64::from(field) << 3 | 2);
    let at = out.len();
    out.push(0);
    body(out);
    let mut len = out.len() - at - 1;
    let mut prefix = [0u8; 10];
    let mut used = 0;
    while len >= 0x80 {
        prefix[used] = len as u8 | 0x80;
        len >>= 7;
        used += 1;
    }
    prefix[used] = len as u8;
    out.splice(at..=at, prefix[..=used].iter().copied());
}

fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    varint(out, u64::from(field) << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint_field(out: &mut Vec<u8>, field: u32, value: u64) {
    varint(out, u64::from(field) << 3);
    varint(out, value);
}

fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    varint(out, u64::from(field) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
