//! The two remote-write messages, written by hand into buffers that are used again for every request.
//!
//! A series is put together from pieces that were encoded before: labels that do not change from point to point are encoded
//! once and copied. What a piece looks like is the encoder's business; in version 2 it holds references into the request's
//! symbol table, so a piece is good for one [`Encoder::epoch`] only.

mod order;
mod symbols;
mod v1;
mod v2;

pub use order::TimeOrder;
pub use v1::V1;
pub use v2::V2;

use sluice_pdata::wire::{put_varint, varint_len};

/// The type of a metric, with the numbers that both versions use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    Unknown = 0,
    Counter = 1,
    Gauge = 2,
    Histogram = 3,
    GaugeHistogram = 4,
    Summary = 5,
    Info = 6,
    StateSet = 7,
}

/// When a sample was taken and since when it counts, encoded once for all samples of a data point.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Milliseconds since the epoch; 0 for unset.
    pub start: i64,
    bytes: [u8; 22],
    len_v1: u8,
    len_v2: u8,
}

impl Stamp {
    /// `start` 0 means unset.
    pub fn new(timestamp: i64, start: i64) -> Self {
        let mut stamp = Stamp { timestamp, start, bytes: [0; 22], len_v1: 0, len_v2: 0 };
        let mut at = 0;
        if timestamp != 0 {
            stamp.put(&mut at, 0x10, timestamp as u64);
        }
        stamp.len_v1 = at as u8;
        if start != 0 {
            stamp.put(&mut at, 0x18, start as u64);
        }
        stamp.len_v2 = at as u8;
        stamp
    }

    /// Two fields of one tag byte and ten varint bytes each fit.
    fn put(&mut self, at: &mut usize, tag: u8, mut value: u64) {
        let mut push = |byte| {
            self.bytes[*at] = byte;
            *at += 1;
        };
        push(tag);
        while value >= 0x80 {
            push(value as u8 | 0x80);
            value >>= 7;
        }
        push(value as u8);
    }

    fn v1(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len_v1)]
    }

    fn v2(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len_v2)]
    }
}

/// What stands behind the labels of a series.
#[derive(Clone, Copy, Debug)]
pub enum Value<'v> {
    /// A float.
    Sample(f64),
    /// The content of a native histogram without timestamps, as both versions have it.
    Histogram(&'v [u8]),
}

/// What an encoded request holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub samples: usize,
    pub histograms: usize,
    pub exemplars: usize,
    /// Metadata entries.
    pub metadata: usize,
    /// Series that have a start time, where the message has no place for it.
    pub starts_left_out: usize,
}

impl Content {
    /// Samples and histograms.
    pub fn values(&self) -> usize {
        self.samples + self.histograms
    }

    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Content::default()
    }
}

/// Writes one request after another.
pub trait Encoder: Send + Default {
    /// Pieces that were written in another epoch are no good now.
    fn epoch(&self) -> u32;

    /// Appends the piece of a label's name to `piece`.
    fn name(&mut self, name: &str, piece: &mut Vec<u8>);

    /// Appends the piece of a label to `out`. Ill-formed UTF-8 in the value is replaced.
    fn label(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>);

    /// Appends what every series of a metric says about it to `piece`.
    fn metadata(&mut self, metric_type: MetricType, help: &[u8], unit: &str, piece: &mut Vec<u8>);

    /// Appends one exemplar to `out`. `labels` are pieces of labels.
    fn exemplar(&mut self, labels: &[u8], value: f64, timestamp: i64, out: &mut Vec<u8>);

    /// Adds a series with one sample or histogram. `labels` are pieces, sorted by label name when put together.
    fn series(&mut self, labels: &[&[u8]], value: Value<'_>, stamp: &Stamp, exemplars: Exemplars<'_>, metadata: &[u8]);

    /// Whether metadata travels in entries of its own ([`Encoder::metadata_entry`]) and not on each series.
    const METADATA_ENTRIES: bool;

    /// Whether native histograms belong to the version, whatever the options say.
    const ALWAYS_NATIVE: bool;

    /// Adds a metadata entry.
    fn metadata_entry(&mut self, _family: &str, _metric_type: MetricType, _help: &[u8], _unit: &str) {}

    /// Adds a series that differs from the one just added in its fourth piece of five and in its value, and has no
    /// exemplars. Returns whether it did; if not, it must be added as a whole.
    fn again(&mut self, extra: &[u8], value: f64) -> bool;

    /// What the request holds by now.
    fn content(&self) -> Content;

    /// Size of the request by now, before compression.
    fn size(&self) -> usize;

    /// Ends the request and lets `read` see its bytes; series are in the order of their timestamps. The next one begins.
    fn finish<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> R;
}

/// Encoded exemplars and how many they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exemplars<'e> {
    pub bytes: &'e [u8],
    pub count: usize,
}

/// Appends the `Sample` of a series as its field 2. Returns where its value lies.
#[inline]
fn put_sample(out: &mut Vec<u8>, value: f64, stamp: &[u8]) -> usize {
    // 9 + 22 bytes at most: the length fits one byte.
    let mut head = [0x12, stamp.len() as u8 + 9, 0x09, 0, 0, 0, 0, 0, 0, 0, 0];
    head[3..].copy_from_slice(&value.to_bits().to_le_bytes());
    let at = out.len() + 3;
    out.extend_from_slice(&head);
    out.extend_from_slice(stamp);
    at
}

/// Size of what [`put_sample`] appends.
fn sample_len(stamp: &[u8]) -> usize {
    11 + stamp.len()
}

/// Where the parts lie of a series that was just written, when another can be made from it.
#[derive(Clone, Copy, Debug, Default)]
struct Template {
    /// The message with its tag and length, and without.
    start: usize,
    body: usize,
    /// The piece that varies.
    extra: usize,
    extra_len: usize,
    /// The eight bytes of the value.
    value: usize,
    end: usize,
}

/// Appends a native histogram under `tag`: its content, then the timestamps.
fn put_histogram(out: &mut Vec<u8>, tag: u8, content: &[u8], stamp: &Stamp, with_start: bool) {
    let len = histogram_body_len(content, stamp, with_start);
    out.push(tag);
    put_varint(out, len as u64);
    out.extend_from_slice(content);
    if stamp.timestamp != 0 {
        out.push(0x78); // 15, varint
        put_varint(out, stamp.timestamp as u64);
    }
    if with_start && stamp.start != 0 {
        out.extend_from_slice(&[0x88, 0x01]); // 17, varint
        put_varint(out, stamp.start as u64);
    }
}

fn histogram_body_len(content: &[u8], stamp: &Stamp, with_start: bool) -> usize {
    let timestamp = if stamp.timestamp != 0 { 1 + varint_len(stamp.timestamp as u64) } else { 0 };
    let start = if with_start && stamp.start != 0 { 2 + varint_len(stamp.start as u64) } else { 0 };
    content.len() + timestamp + start
}

/// Size of what [`put_histogram`] appends.
fn histogram_len(content: &[u8], stamp: &Stamp, with_start: bool) -> usize {
    let len = histogram_body_len(content, stamp, with_start);
    1 + varint_len(len as u64) + len
}

/// A text that must be UTF-8 on the wire.
fn utf8(bytes: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.into(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned().into_bytes().into(),
    }
}

#[cfg(test)]
mod tests;
