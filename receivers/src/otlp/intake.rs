//! What gRPC and HTTP share: from a received body to an accepted or refused batch.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use sluice_net::body::Body;
use sluice_net::compression::{DecompressError, DecompressLimits};
use sluice_net::listen::{Peer, RequestHead};
use sluice_net::{Encoding, Exhausted, MustFinish};
use sluice_pdata::{Signal, canonical, framing, json, schema};
use sluice_pipeline::context::{Metadata, TaintedTraces, Transport};
use sluice_pipeline::outcome::{Refusal, SizeLimit, retry_delay};
use sluice_pipeline::receiver::{CurrentIngress, Ingress, RequestLimits};
use sluice_pipeline::telemetry::ReceiverMetrics;
use sluice_pipeline::{Accepted, Batch, ComponentId, Context};
use tokio::time::Instant;

use crate::gate::{Admitted, Gate};

/// One protocol's way in.
pub(super) struct Intake {
    pub(super) ingress: CurrentIngress,
    pub(super) receiver: ComponentId,
    pub(super) transport: Transport,
    /// Whether request headers are kept for whoever reads them.
    pub(super) include_metadata: bool,
    /// Largest request that is written for this listener, in bytes.
    pub(super) size: Option<u64>,
    pub(super) metrics: ReceiverMetrics,
    pub(super) gate: Gate,
}

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

/// What a body may be, as it comes and as it is inflated.
pub(super) struct Sizes {
    pub(super) wire_bytes: usize,
    pub(super) decompress: DecompressLimits,
}

impl Intake {
    /// Brings a body through the pipelines, and counts what became of it.
    pub(super) async fn take(
        &self,
        signal: Signal,
        head: &RequestHead,
        admitted: Admitted,
        body: Body,
        format: Format,
        must_finish: &MustFinish,
    ) -> Result<Accepted, Refusal> {
        let ingress = self.ingress.get();
        // The body, and with it the reservation, lives until the batch is accepted or refused.
        let mut body = body;
        let batch = match self.read(&ingress, signal, head, admitted, &mut body, format).await {
            Ok(batch) => batch,
            Err(refusal) => {
                self.metrics.refused(signal, 0, &refusal);
                ingress.refused(signal, &refusal);
                return Err(refusal);
            }
        };
        let items = batch.items();
        // From here on the append may have begun: losing the client no longer stops it.
        must_finish.set();
        let outcome = ingress.consume(batch).await;
        match &outcome {
            Ok(accepted) => {
                let rejected = accepted.partial.as_ref().map_or(0, |partial| partial.rejected);
                self.metrics.accepted(signal, items.saturating_sub(rejected as usize));
            }
            Err(refusal) => self.metrics.refused(signal, items, refusal),
        }
        outcome
    }

    /// Decompresses, converts and checks a body.
    async fn read(
        &self,
        ingress: &Ingress,
        signal: Signal,
        head: &RequestHead,
        admitted: Admitted,
        body: &mut Body,
        format: Format,
    ) -> Result<Batch, Refusal> {
        let request = self.limits(ingress);
        let plain = body.decompressed(&decompress(&request)).await.map_err(|error| refusal(error, body.bytes.len()))?;
        let (bytes, as_it_came) = match format {
            Format::Protobuf => (plain, true),
            Format::Json => {
                let mut wire = Vec::with_capacity(plain.len() / 2);
                json::read_message(signal.request(), &plain, request.json_depth, &mut wire)
                    .map_err(|error| Refusal::Malformed { message: error.to_string() })?;
                (Bytes::from(wire), false)
            }
        };
        let found = framing::check(signal, &bytes).map_err(|error| malformed(signal, &bytes, error))?;
        if found.items > request.items {
            return Err(Refusal::TooLarge {
                what: SizeLimit::Items,
                size: found.items as u64,
                limit: request.items as u64,
            });
        }
        let (bytes, as_it_came) = if found.plain {
            (bytes, as_it_came)
        } else {
            let wire = canonical::envelopes(signal, &bytes).map_err(|error| malformed(signal, &bytes, error))?;
            (Bytes::from(wire), false)
        };
        let mut batch = Batch::new(signal, bytes, found.items, Arc::new(self.context(ingress, head, admitted)));
        if as_it_came && let Some(encoding) = body.encoding.and_then(encoding_of) {
            batch = batch.with_compressed(encoding, body.bytes.clone());
        }
        Ok(batch)
    }

    /// What a request may be. A size that is written for a listener replaces both sizes on it (security §6).
    fn limits(&self, ingress: &Ingress) -> RequestLimits {
        match self.size.and_then(|bytes| usize::try_from(bytes).ok()) {
            Some(bytes) => RequestLimits { wire_bytes: bytes, decompressed_bytes: bytes, ..ingress.limits },
            None => ingress.limits,
        }
    }

    /// Before the body is read: who sends it, and its largest sizes, if some pipeline takes the signal, and takes anything at
    /// present.
    pub(super) async fn admit(&self, signal: Signal, head: &RequestHead) -> Result<(Admitted, Sizes), Refusal> {
        let admitted = self.gate.admit(signal, head).await?;
        let ingress = self.ingress.get();
        ingress.ready(signal)?;
        let limits = self.limits(&ingress);
        Ok((admitted, Sizes { wire_bytes: limits.wire_bytes, decompress: decompress(&limits) }))
    }

    /// How long the sender of a refused request is asked to wait.
    pub(super) fn delay(&self) -> std::time::Duration {
        retry_delay(&*self.ingress.get().rng)
    }

    /// Counts a request that was refused before its items were known, and tells who must know.
    pub(super) fn count_refusal(&self, signal: Signal, refusal: &Refusal) {
        self.metrics.refused(signal, 0, refusal);
        self.ingress.get().refused(signal, refusal);
    }

    fn context(&self, ingress: &Ingress, head: &RequestHead, admitted: Admitted) -> Context {
        let (identity, tenant) = admitted.into_parts();
        let clock = &ingress.clock;
        let headers = head.headers.iter().filter(|_| self.include_metadata);
        let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let metadata = Metadata::of_request(&ingress.metadata_keys, headers, identity.as_ref());
        let arrival = clock.arrival();
        let left = head.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        Context {
            peer: peer(&head.connection.peer),
            identity,
            tenant,
            metadata,
            arrival,
            deadline: left.map(|left| arrival.monotonic + left),
            receiver: self.receiver.clone(),
            transport: self.transport,
            tainted: TaintedTraces::default(),
        }
    }
}

fn decompress(limits: &RequestLimits) -> DecompressLimits {
    DecompressLimits {
        max_bytes: limits.decompressed_bytes,
        max_ratio: limits.compression_ratio,
        ..DecompressLimits::default()
    }
}

fn peer(peer: &Peer) -> Option<SocketAddr> {
    match peer {
        Peer::Ip(address) => Some(*address),
        _ => None,
    }
}

/// As batches name it. Snappy is passed on neither as a block nor framed: a destination may read only the other one.
fn encoding_of(encoding: Encoding) -> Option<sluice_pipeline::Encoding> {
    Some(match encoding {
        Encoding::Gzip => sluice_pipeline::Encoding::Gzip,
        Encoding::Zstd => sluice_pipeline::Encoding::Zstd,
        Encoding::Deflate => sluice_pipeline::Encoding::Zlib,
        Encoding::Lz4 => sluice_pipeline::Encoding::Lz4,
        Encoding::Snappy => return None,
    })
}

fn malformed(signal: Signal, bytes: &[u8], error: sluice_pdata::Error) -> Refusal {
    let place = schema::locate(signal.request(), bytes, error.offset as usize);
    Refusal::Malformed { message: format!("{error}, in {place}") }
}

/// A decompression that failed, as a refusal. `wire` is the size of the compressed body.
fn refusal(error: DecompressError, wire: usize) -> Refusal {
    match error {
        DecompressError::TooLarge { limit } => {
            Refusal::TooLarge { what: SizeLimit::Decompressed, size: limit as u64 + 1, limit: limit as u64 }
        }
        DecompressError::Ratio { limit } => Refusal::TooLarge {
            what: SizeLimit::Ratio,
            size: wire as u64 * (limit as u64 + 1),
            limit: wire as u64 * limit as u64,
        },
        DecompressError::Malformed { .. } => Refusal::Malformed { message: error.to_string() },
        DecompressError::Exhausted(Exhausted::Busy) => Refusal::Memory,
        DecompressError::Exhausted(Exhausted::Never { limit }) => {
            Refusal::TooLarge { what: SizeLimit::Memory, size: limit as u64 + 1, limit: limit as u64 }
        }
    }
}
