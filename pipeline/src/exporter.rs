//! Exporters: where telemetry goes out.
//!
//! An exporter only knows how to send one payload once. Reading, merging, retrying, breaking and completing are the
//! delivery helper's, the same for all.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::batch::{Batch, Compressed, Encoding, Redacted};
use crate::blocks::{Protection, Retry, SendingQueue};
use crate::clock::Monotonic;
use crate::component::Component;
use crate::context::Context;
use crate::send::SendOutcome;
use crate::spine::SeqRange;
use crate::{BoxFuture, Signal};

/// What an exporter's factory builds. One instance serves all signals of its id.
pub enum ExporterKind {
    /// Has a cursor on the spine, a quota, retries; what it owes is part of every ack.
    Destination(Arc<dyn Exporter>, Box<Delivery>),
    /// Sees what was accepted, and owes nothing (`debug`, `nop`, the pull `prometheus`).
    Observer(Arc<dyn Observer>),
}

/// How payloads get to a destination: the blocks that every exporter's config has.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// `None` for `sending_queue: {enabled: false}`: sent before the append, within the request.
    pub queue: Option<SendingQueue>,
    /// `None` for `retry_on_failure: {enabled: false}`: one attempt.
    pub retry: Option<Retry>,
    /// Longest wait for one attempt; zero for none.
    pub timeout: Duration,
    pub protection: Protection,
    /// Metadata keys by whose values payloads are kept apart, beyond those of the queue's `batch`: what the headers of a request
    /// depend on ([`crate::extension::ClientAuth::metadata_keys`]).
    pub partition: Vec<String>,
}

/// Sends payloads to one destination.
pub trait Exporter: Component {
    /// One attempt. Never retries, never waits for anything but the destination, and ends at the attempt's deadline. Safe to
    /// drop; what was sent by then counts as ambiguous.
    fn send<'a>(&'a self, payload: Payload, attempt: &'a Attempt) -> BoxFuture<'a, SendOutcome>;

    /// What the delivery helper must know. Asked before each payload, as limits are learned.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// A cheap probe without data, for an open breaker: whether a connection can be made. `false` where nothing can tell
    /// without data.
    fn probe(&self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(false))
    }
}

/// Looks at batches that were accepted. Must not block, and has nothing to lose.
pub trait Observer: Component {
    fn observe(&self, batch: &Redacted<Batch>);
}

/// What an exporter can do with payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The encoding that it sends OTLP in: bodies that came in it and did not change are handed over as they are.
    pub encoding: Option<Encoding>,
    /// Converts to another format, so that compressed bodies are of no use.
    pub converts: bool,
    /// Must get payloads one after another, in order.
    pub ordered: bool,
    /// Most items in a payload.
    pub max_items: Option<usize>,
    /// Most uncompressed bytes in a payload, configured or learned.
    pub max_bytes: Option<usize>,
}

/// One or more batches of the same signal, tenant and partition, merged for sending. Concatenated, the parts are one valid
/// request. Clones share everything.
#[derive(Clone, Debug)]
pub struct Payload {
    pub signal: Signal,
    /// Wire bytes, to be sent one behind the other.
    pub parts: SmallVec<[Bytes; 1]>,
    pub items: usize,
    /// The context of the first batch; the helper merges only what may share it.
    pub context: Arc<Context>,
    /// The whole payload as it came, if it is one batch in the encoding that the exporter asked for.
    pub compressed: Option<Compressed>,
    /// The records it was made of. A payload that is sent again carries the same range and the same bytes.
    pub range: SeqRange,
}

impl Payload {
    /// One batch as it is. Its compressed body comes along if it is in the encoding that the exporter asked for.
    pub fn of(batch: &Batch, encoding: Option<Encoding>, range: SeqRange) -> Self {
        Payload {
            signal: batch.signal(),
            parts: SmallVec::from_buf([batch.bytes().clone()]),
            items: batch.items(),
            context: Arc::clone(batch.context()),
            compressed: batch.compressed().filter(|body| Some(body.encoding) == encoding).cloned(),
            range,
        }
    }

    /// Uncompressed size.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(Bytes::is_empty)
    }

    /// The request in one piece; copies only if there are several parts.
    pub fn contiguous(&self) -> Bytes {
        match &self.parts[..] {
            [] => Bytes::new(),
            [only] => only.clone(),
            parts => parts.concat().into(),
        }
    }
}

/// Which try this is.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// 0 for the first.
    pub number: u32,
    /// When to give up waiting for the destination; `None` for no `timeout`.
    pub deadline: Option<Monotonic>,
}
