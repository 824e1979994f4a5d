//! Cutting what is encoded into requests.

use bytes::Bytes;

use super::drops::Drops;
use crate::prometheus_remote_write::encode::{Content, Encoder};

/// When a request is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Samples and histograms.
    pub values: usize,
    /// Bytes before compression.
    pub bytes: usize,
}

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// Compressed.
    pub body: Bytes,
    pub content: Content,
    /// Data points whose last series is in it.
    pub points: usize,
    /// Data points of the payload, dropped ones included, that are done with when this request is.
    pub through: usize,
    /// Of those, what was dropped since the request before.
    pub drops: Drops,
}

/// The request that is being written, and those that are complete.
pub(super) struct Requests<E> {
    pub(super) encoder: E,
    pub(super) limits: Limits,
    pub(super) done: Vec<Request>,
    /// Data points in the request that is being written.
    pub(super) points: usize,
    /// Data points of the payload that were looked at.
    pub(super) seen: usize,
    /// What was dropped since the last complete request.
    pub(super) drops: Drops,
    snappy: snap::raw::Encoder,
    compressed: Vec<u8>,
}

impl<E: Encoder> Requests<E> {
    pub(super) fn new(limits: Limits) -> Self {
        Requests {
            encoder: E::default(),
            limits,
            done: Vec::new(),
            points: 0,
            seen: 0,
            drops: Drops::default(),
            snappy: snap::raw::Encoder::new(),
            compressed: Vec::new(),
        }
    }

    /// Whether anything has been written since the last request.
    pub(super) fn is_empty(&self) -> bool {
        self.encoder.content().is_empty()
    }

    /// Series that still fit, at `size` bytes each at most. `None` when it is better to close the request first, as fewer
    /// than `wanted` fit and more would into a new one.
    pub(super) fn room(&self, wanted: usize, size: usize) -> Option<usize> {
        let values = self.limits.values.saturating_sub(self.encoder.content().values());
        let bytes = self.limits.bytes.saturating_sub(self.encoder.size()) / size.max(1);
        let room = values.min(bytes);
        if room >= wanted || self.is_empty() { Some(room.max(1)) } else { None }
    }

    /// Ends the request, if there is one.
    pub(super) fn close(&mut self) {
        if self.is_empty() {
            return;
        }
        let content = self.encoder.content();
        let (snappy, compressed) = (&mut self.snappy, &mut self.compressed);
        let body = self.encoder.finish(|bytes| {
            compressed.resize(snap::raw::max_compress_len(bytes.len()).max(1), 0);
            // Fails only if the output is too small, which it is not, or the input over 4 GiB.
            snappy.compress(bytes, compressed).map(|len| Bytes::copy_from_slice(&compressed[..len]))
        });
        let (points, drops) = (std::mem::take(&mut self.points), std::mem::take(&mut self.drops));
        if let Ok(body) = body {
            self.done.push(Request { body, content, points, through: self.seen, drops });
        }
    }
}
