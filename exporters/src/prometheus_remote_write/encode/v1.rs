//! `prometheus.WriteRequest`.

use sluice_pdata::wire::{put_varint, varint_len};

use super::{
    Content, Encoder, Exemplars, MetricType, Stamp, Template, TimeOrder, Value, histogram_len, put_histogram,
    put_sample, sample_len, utf8,
};

/// `WriteRequest.timeseries`, `TimeSeries.labels`, `Label.name`, `Exemplar.labels`.
const FIELD_1: u8 = 0x0a;
/// `Label.value`.
const FIELD_2: u8 = 0x12;
/// `WriteRequest.metadata`, `TimeSeries.exemplars`.
const FIELD_3: u8 = 0x1a;
/// `TimeSeries.histograms`.
const FIELD_4: u8 = 0x22;

/// Writes version 1. Pieces of labels are whole `labels` fields and stay good for ever.
#[derive(Default)]
pub struct V1 {
    series: Vec<u8>,
    ordered: Vec<u8>,
    order: TimeOrder,
    content: Content,
    template: Option<Template>,
    /// Whether the last series has a start time, for which there is no place.
    has_start: bool,
}

impl Encoder for V1 {
    const METADATA_ENTRIES: bool = true;
    const ALWAYS_NATIVE: bool = false;

    fn epoch(&self) -> u32 {
        1
    }

    fn name(&mut self, name: &str, piece: &mut Vec<u8>) {
        piece.push(FIELD_1);
        put_varint(piece, name.len() as u64);
        piece.extend_from_slice(name.as_bytes());
        piece.push(FIELD_2);
    }

    #[inline]
    fn label(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let value = utf8(value);
        out.push(FIELD_1);
        put_varint(out, (name.len() + varint_len(value.len() as u64) + value.len()) as u64);
        out.extend_from_slice(name);
        put_varint(out, value.len() as u64);
        out.extend_from_slice(&value);
    }

    fn metadata(&mut self, _metric_type: MetricType, _help: &[u8], _unit: &str, _piece: &mut Vec<u8>) {}

    fn exemplar(&mut self, labels: &[u8], value: f64, timestamp: i64, out: &mut Vec<u8>) {
        put_exemplar(out, FIELD_3, &[labels], value, timestamp);
    }

    #[inline]
    fn series(&mut self, labels: &[&[u8]], value: Value<'_>, stamp: &Stamp, exemplars: Exemplars<'_>, _: &[u8]) {
        self.order.note(stamp.timestamp, self.series.len());
        self.has_start = stamp.start != 0;
        self.content.starts_left_out += usize::from(self.has_start);
        let value_len = match value {
            Value::Sample(_) => sample_len(stamp.v1()),
            Value::Histogram(content) => histogram_len(content, stamp, false),
        };
        let len = labels.iter().map(|piece| piece.len()).sum::<usize>() + value_len + exemplars.bytes.len();
        let out = &mut self.series;
        out.reserve(len + 11);
        let start = out.len();
        out.push(FIELD_1);
        put_varint(out, len as u64);
        let body = out.len();
        for piece in labels {
            out.extend_from_slice(piece);
        }
        match value {
            Value::Sample(value) => {
                let value = put_sample(out, value, stamp.v1());
                out.extend_from_slice(exemplars.bytes);
                self.content.samples += 1;
                self.template = match labels {
                    [a, b, c, extra, _] if exemplars.count == 0 => {
                        let at = body + a.len() + b.len() + c.len();
                        Some(Template { start, body, extra: at, extra_len: extra.len(), value, end: out.len() })
                    }
                    _ => None,
                };
            }
            Value::Histogram(content) => {
                out.extend_from_slice(exemplars.bytes);
                put_histogram(out, FIELD_4, content, stamp, false);
                self.content.histograms += 1;
                self.template = None;
            }
        }
        self.content.exemplars += exemplars.count;
    }

    #[inline]
    fn again(&mut self, extra: &[u8], value: f64) -> bool {
        let Some(last) = self.template else { return false };
        let out = &mut self.series;
        let len = last.end - last.body - last.extra_len + extra.len();
        out.reserve(len + 11);
        let start = out.len();
        out.push(FIELD_1);
        put_varint(out, len as u64);
        let body = out.len();
        out.extend_from_within(last.body..last.extra);
        let at = out.len();
        out.extend_from_slice(extra);
        out.extend_from_within(last.extra + last.extra_len..last.end);
        let end = out.len();
        let value_at = end - (last.end - last.value);
        out[value_at..value_at + 8].copy_from_slice(&value.to_bits().to_le_bytes());
        self.template = Some(Template { start, body, extra: at, extra_len: extra.len(), value: value_at, end });
        self.content.samples += 1;
        self.content.starts_left_out += usize::from(self.has_start);
        true
    }

    fn metadata_entry(&mut self, family: &str, metric_type: MetricType, help: &[u8], unit: &str) {
        self.content.metadata += 1;
        let help = utf8(help);
        let text = |text: &[u8]| if text.is_empty() { 0 } else { 1 + varint_len(text.len() as u64) + text.len() };
        let type_len = if metric_type == MetricType::Unknown { 0 } else { 2 };
        let out = &mut self.series;
        out.push(FIELD_3);
        put_varint(out, (type_len + text(family.as_bytes()) + text(&help) + text(unit.as_bytes())) as u64);
        if metric_type != MetricType::Unknown {
            out.extend_from_slice(&[0x08, metric_type as u8]);
        }
        for (tag, text) in [(0x12, family.as_bytes()), (0x22, &*help), (0x2a, unit.as_bytes())] {
            if !text.is_empty() {
                out.push(tag);
                put_varint(out, text.len() as u64);
                out.extend_from_slice(text);
            }
        }
    }

    fn content(&self) -> Content {
        self.content
    }

    fn size(&self) -> usize {
        self.series.len()
    }

    fn finish<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> R {
        self.content = Content::default();
        self.template = None;
        let result = if self.order.is_ordered() {
            self.order.clear();
            read(&self.series)
        } else {
            self.ordered.clear();
            self.order.write(&self.series, &mut self.ordered);
            read(&self.ordered)
        };
        self.series.clear();
        result
    }
}

/// Appends an exemplar, whose value and timestamp have the same numbers in both versions.
pub(super) fn put_exemplar(out: &mut Vec<u8>, tag: u8, labels: &[&[u8]], value: f64, timestamp: i64) {
    let timestamp_len = if timestamp == 0 { 0 } else { 1 + varint_len(timestamp as u64) };
    let len = labels.iter().map(|piece| piece.len()).sum::<usize>() + 9 + timestamp_len;
    out.push(tag);
    put_varint(out, len as u64);
    for piece in labels {
        out.extend_from_slice(piece);
    }
    out.push(0x11);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
    if timestamp != 0 {
        out.push(0x18);
        put_varint(out, timestamp as u64);
    }
}
