//! `io.prometheus.write.v2.Request`.

use sluice_pdata::wire::{put_varint, varint_len};

use super::symbols::Symbols;
use super::v1::put_exemplar;
use super::{
    Content, Encoder, Exemplars, MetricType, Stamp, TimeOrder, Value, histogram_len, put_histogram, put_sample,
    sample_len,
};

/// `Request.timeseries`, `TimeSeries.metadata`.
const FIELD_5: u8 = 0x2a;
/// `labels_refs`, packed.
const LABELS_REFS: u8 = 0x0a;
/// `TimeSeries.histograms`.
const HISTOGRAMS: u8 = 0x1a;
/// `TimeSeries.exemplars`.
const EXEMPLARS: u8 = 0x22;

/// Writes version 2. Pieces are references into the symbol table of the request at hand.
pub struct V2 {
    symbols: Symbols,
    series: Vec<u8>,
    order: TimeOrder,
    content: Content,
    epoch: u32,
}

impl Default for V2 {
    fn default() -> Self {
        V2 {
            symbols: Symbols::default(),
            series: Vec::new(),
            order: TimeOrder::default(),
            content: Content::default(),
            epoch: 1,
        }
    }
}

impl V2 {
    #[inline]
    fn reference(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let number = self.symbols.intern(text);
        put_varint(out, u64::from(number));
    }
}

impl Encoder for V2 {
    const METADATA_ENTRIES: bool = false;
    const ALWAYS_NATIVE: bool = true;

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn name(&mut self, name: &str, piece: &mut Vec<u8>) {
        self.reference(name.as_bytes(), piece);
    }

    #[inline]
    fn label(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(name);
        self.reference(value, out);
    }

    fn metadata(&mut self, metric_type: MetricType, help: &[u8], unit: &str, piece: &mut Vec<u8>) {
        piece.extend_from_slice(&[FIELD_5, 0]);
        let start = piece.len();
        if metric_type != MetricType::Unknown {
            piece.extend_from_slice(&[0x08, metric_type as u8]);
        }
        for (tag, text) in [(0x18, help), (0x20, unit.as_bytes())] {
            if !text.is_empty() {
                piece.push(tag);
                self.reference(text, piece);
            }
        }
        // Three fields of six bytes at most.
        piece[start - 1] = (piece.len() - start) as u8;
    }

    fn exemplar(&mut self, labels: &[u8], value: f64, timestamp: i64, out: &mut Vec<u8>) {
        if labels.is_empty() {
            return put_exemplar(out, EXEMPLARS, &[], value, timestamp);
        }
        let mut head = [LABELS_REFS, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let head = with_len(&mut head, labels.len());
        put_exemplar(out, EXEMPLARS, &[head, labels], value, timestamp);
    }

    #[inline]
    fn series(&mut self, labels: &[&[u8]], value: Value<'_>, stamp: &Stamp, exemplars: Exemplars<'_>, metadata: &[u8]) {
        self.order.note(stamp.timestamp, self.series.len());
        let refs: usize = labels.iter().map(|piece| piece.len()).sum();
        let value_len = match value {
            Value::Sample(value) => sample_len(value, stamp.v2()),
            Value::Histogram(content) => histogram_len(content, stamp, true),
        };
        let len = 1 + varint_len(refs as u64) + refs + value_len + exemplars.bytes.len() + metadata.len();
        let out = &mut self.series;
        out.reserve(len + 11);
        out.push(FIELD_5);
        put_varint(out, len as u64);
        out.push(LABELS_REFS);
        put_varint(out, refs as u64);
        for piece in labels {
            out.extend_from_slice(piece);
        }
        match value {
            Value::Sample(value) => {
                put_sample(out, value, stamp.v2());
                self.content.samples += 1;
            }
            Value::Histogram(content) => {
                put_histogram(out, HISTOGRAMS, content, stamp, true);
                self.content.histograms += 1;
            }
        }
        out.extend_from_slice(exemplars.bytes);
        out.extend_from_slice(metadata);
        self.content.exemplars += exemplars.count;
    }

    fn content(&self) -> Content {
        self.content
    }

    fn size(&self) -> usize {
        self.series.len() + self.symbols.bytes().len()
    }

    fn finish<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> R {
        self.content = Content::default();
        self.order.write(&self.series, self.symbols.bytes_mut());
        self.series.clear();
        let result = read(self.symbols.bytes());
        self.symbols.clear();
        self.epoch = self.epoch.wrapping_add(1);
        result
    }
}

/// A tag byte followed by a length varint.
fn with_len(head: &mut [u8; 11], mut len: usize) -> &[u8] {
    let mut at = 1;
    while len >= 0x80 {
        head[at] = len as u8 | 0x80;
        len >>= 7;
        at += 1;
    }
    head[at] = len as u8;
    &head[..=at]
}
