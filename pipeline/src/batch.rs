//! A batch of telemetry in wire form, and the type rule that guards what is kept.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use sluice_pdata::Signal;

use crate::context::Context;

/// One request's worth of telemetry: the bytes of an `Export*ServiceRequest` whose framing was checked down to the items.
/// Clones share everything.
#[derive(Clone, Debug)]
pub struct Batch {
    signal: Signal,
    bytes: Bytes,
    items: usize,
    context: Arc<Context>,
    compressed: Option<Compressed>,
}

/// The body of a batch as it came, still compressed. Exactly the batch's bytes when decompressed.
#[derive(Clone, Debug)]
pub struct Compressed {
    pub encoding: Encoding,
    pub bytes: Bytes,
}

/// Content encodings of OTLP bodies, by their names on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    Gzip,
    Zstd,
    Snappy,
    /// `zlib`, and what HTTP calls `deflate`.
    Zlib,
    Lz4,
}

impl Encoding {
    /// The name in `grpc-encoding` and `Content-Encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
            Encoding::Snappy => "snappy",
            Encoding::Zlib => "zlib",
            Encoding::Lz4 => "lz4",
        }
    }
}

impl Batch {
    /// A batch of `items` spans, data points or log records. The caller has checked the framing and counted.
    pub fn new(signal: Signal, bytes: Bytes, items: usize, context: Arc<Context>) -> Self {
        Batch { signal, bytes, items, context, compressed: None }
    }

    /// The same batch, remembering the body it was decompressed from.
    #[must_use]
    pub fn with_compressed(mut self, encoding: Encoding, bytes: Bytes) -> Self {
        self.compressed = Some(Compressed { encoding, bytes });
        self
    }

    /// The same batch with other contents. What was compressed stays only if `bytes` is the very same memory.
    #[must_use]
    pub fn replaced(mut self, bytes: Bytes, items: usize) -> Self {
        if !same_memory(&self.bytes, &bytes) {
            self.compressed = None;
        }
        self.bytes = bytes;
        self.items = items;
        self
    }

    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The request in wire form.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Number of spans, data points or log records.
    pub fn items(&self) -> usize {
        self.items
    }

    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// The body as it came, if nothing has changed since.
    pub fn compressed(&self) -> Option<&Compressed> {
        self.compressed.as_ref()
    }

    /// Bytes that this batch keeps alive: contents and compressed body.
    pub fn held_bytes(&self) -> usize {
        self.bytes.len() + self.compressed.as_ref().map_or(0, |body| body.bytes.len())
    }

    /// Whether the two hold the same contents, so that destinations of both can share one record.
    pub fn same_output(&self, other: &Batch) -> bool {
        self.signal == other.signal
            && self.items == other.items
            && Arc::ptr_eq(&self.context, &other.context)
            && (same_memory(&self.bytes, &other.bytes) || self.bytes == other.bytes)
    }
}

fn same_memory(a: &Bytes, b: &Bytes) -> bool {
    a.len() == b.len() && a.as_ptr() == b.as_ptr()
}

/// What has passed its pipeline's redaction, and may be kept (delivery §2: redaction before the first durable write).
///
/// Obtained from a run of a segment that redacts, or through the explicit [`NoRedaction`]
/// policy. The spine takes nothing else.
#[derive(Clone, Debug)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    pub(crate) fn proven(inner: T) -> Self {
        Redacted(inner)
    }

    /// The contents. There is no way back.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Redacted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The statement that a pipeline is meant to run without redaction. Made by the planner, once per such pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRedaction;

impl NoRedaction {
    /// Lets a batch through as it is.
    pub fn waive(self, batch: Batch) -> Redacted<Batch> {
        Redacted(batch)
    }
}
