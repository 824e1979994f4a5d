//! One payload: converted, sent request by request, accounted for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_net::http::{Client, ClientSettings, HeaderMap, HeaderName, HeaderValue};
use sluice_pdata::Signal;
use sluice_pdata::view::{MetricsView, ResourceMetricsView};
use sluice_pipeline::clock::Clock;
use sluice_pipeline::component::{Component, Environment};
use sluice_pipeline::exporter::{Attempt, Capabilities, Exporter, Payload};
use sluice_pipeline::extension::ClientAuth;
use sluice_pipeline::send::SendOutcome;
use sluice_pipeline::{BoxFuture, ComponentId, Error};

use super::config::Config;
use super::counters::Counters;
use super::encode::{Content, Encoder, V1, V2};
use super::pending::{Pending, PendingPayloads};
use super::response::{Reading, Reply, Written, refusal_reason};
use super::sender::Sender;
use super::series::{Converted, Converter, INVALID, Limits, PARTIAL_WRITE, Plan, Request, Targets};
use super::translate::Options;
use super::validate::endpoint;
use super::version::{Heard, Negotiation, Version, nothing_written};

/// Bytes that are converted before other tasks get their turn.
const SLICE: usize = 128 << 10;
/// Converters that are kept for the next payload.
const MAX_CONVERTERS: usize = 2;
/// A learned limit on the size of requests does not fall below this.
const MIN_BATCH_BYTES: usize = 64 << 10;

/// Sends metrics to one remote-write endpoint.
pub struct RemoteWriteExporter {
    id: ComponentId,
    auth: Option<Arc<dyn ClientAuth>>,
    sender: Sender,
    negotiation: Negotiation,
    reprobe: Duration,
    options: Arc<Options>,
    limits: Limits,
    /// As configured or learned.
    max_bytes: AtomicUsize,
    send_metadata: bool,
    sample_age_limit: Option<Duration>,
    converters: Mutex<Vec<(Version, Box<dyn Convert>)>>,
    targets: Targets,
    pending: PendingPayloads,
    counters: Counters,
    refusals: AtomicU64,
    clock: Arc<dyn Clock>,
}

/// A converter, whatever the version.
trait Convert: Send {
    fn begin(&mut self, plan: Plan, limits: Limits);
    fn resource(&mut self, metrics: ResourceMetricsView<'_>);
    fn finish(&mut self) -> Converted;
}

impl<E: Encoder> Convert for Converter<E> {
    fn begin(&mut self, plan: Plan, limits: Limits) {
        Converter::begin(self, plan, limits);
    }
    fn resource(&mut self, metrics: ResourceMetricsView<'_>) {
        Converter::resource(self, metrics);
    }
    fn finish(&mut self) -> Converted {
        Converter::finish(self)
    }
}

impl RemoteWriteExporter {
    /// Prepares the client; nothing is connected yet.
    pub fn new(config: &Config, environment: &Environment) -> Result<Self, Error> {
        let invalid = Error::Network;
        let http = config.http();
        let endpoint = endpoint(&http.endpoint).ok_or_else(|| Error::config("invalid endpoint"))?;
        let tls = match endpoint.scheme_str() {
            Some("https") => Some(crate::client::tls(&http.tls, environment)?),
            _ => None,
        };
        let settings = ClientSettings {
            tls,
            headers: HeaderMap::new(),
            idle_timeout: *http.idle_conn_timeout,
            http2: http.force_attempt_http2,
            http2_read_idle_timeout: Some(*http.http2_read_idle_timeout).filter(|timeout| !timeout.is_zero()),
            http2_ping_timeout: *http.http2_ping_timeout,
            max_idle_per_host: if http.disable_keep_alives { 0 } else { 100 },
            proxy: crate::client::proxy(&http.proxy_url),
            ..ClientSettings::default()
        };
        let mut headers = HeaderMap::new();
        for (name, value) in http.headers.iter() {
            let invalid = || Error::config(format!("invalid header {name:?}"));
            let mut value: HeaderValue = value.expose().parse().map_err(|_| invalid())?;
            value.set_sensitive(true);
            headers.insert(name.parse::<HeaderName>().map_err(|_| invalid())?, value);
        }
        let auth = crate::client::auth(http.auth.as_ref(), &http.middlewares, "HTTP", environment)?;
        let limits = config.limits();
        let counters = Counters::new(&environment.telemetry, &environment.id);
        counters.consumers.set(1.0);
        let negotiation = Negotiation::new(config.protobuf_message, *config.version_reprobe_interval);
        counters.speaks(negotiation.version(environment.clock.now()));
        Ok(RemoteWriteExporter {
            id: environment.id.clone(),
            auth,
            sender: Sender {
                client: Client::new(settings).map_err(invalid)?,
                endpoint,
                headers,
                timeout: config.timeout(),
                reading: Reading { retry_429: config.retry_on_http_429, max_retry_after: *config.max_retry_after },
            },
            negotiation,
            reprobe: *config.version_reprobe_interval,
            options: Arc::new(config.options()),
            limits,
            max_bytes: AtomicUsize::new(limits.bytes),
            send_metadata: config.send_metadata,
            sample_age_limit: Some(*config.sample_age_limit).filter(|limit| !limit.is_zero()),
            converters: Mutex::default(),
            targets: Targets::default(),
            pending: PendingPayloads::default(),
            counters,
            refusals: AtomicU64::new(0),
            clock: Arc::clone(&environment.clock),
        })
    }

    /// The metadata keys by which payloads must be kept apart.
    pub fn partition(&self) -> Vec<String> {
        crate::client::partition(self.auth.as_ref())
    }

    async fn convert(&self, payload: &Payload, version: Version, skip: usize, retry: bool) -> Converted {
        let now = i64::try_from(self.clock.wall().0 / 1_000_000).unwrap_or(i64::MAX);
        let oldest = match self.sample_age_limit {
            Some(limit) if retry => now.saturating_sub(i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)),
            _ => i64::MIN,
        };
        let plan = Plan { skip, now, oldest, metadata: self.send_metadata };
        let mut converter = self.converter(version);
        let limits = Limits { bytes: self.max_bytes.load(Ordering::Relaxed), ..self.limits };
        converter.begin(plan, limits);
        let mut since_yield = 0;
        for part in &payload.parts {
            for metrics in MetricsView(part).resource_metrics() {
                let Ok(metrics) = metrics else { break };
                converter.resource(metrics);
                since_yield += metrics.0.len();
                if since_yield >= SLICE {
                    since_yield = 0;
                    tokio::task::yield_now().await;
                }
            }
        }
        let mut converted = converter.finish();
        self.keep(version, converter);
        // What the walk did not reach lies behind malformed bytes.
        converted.drops.add(INVALID, payload.items.saturating_sub(converted.points));
        self.counters.translated(&converted);
        converted
    }

    fn converter(&self, version: Version) -> Box<dyn Convert> {
        let mut kept = self.converters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|(of, _)| *of == version) {
            return kept.swap_remove(at).1;
        }
        let (options, targets) = (Arc::clone(&self.options), self.targets.clone());
        match version {
            Version::V1 => Box::new(Converter::<V1>::new(options, self.limits, targets)),
            Version::V2 => Box::new(Converter::<V2>::new(options, self.limits, targets)),
        }
    }

    fn keep(&self, version: Version, converter: Box<dyn Convert>) {
        let mut kept = self.converters.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_CONVERTERS {
            kept.push((version, converter));
        }
    }

    async fn export(&self, payload: Payload, attempt: &Attempt) -> SendOutcome {
        if payload.signal != Signal::Metrics {
            return SendOutcome::Internal { message: format!("{} cannot be remote-written", payload.signal.name()) };
        }
        let credentials = match crate::client::credentials(self.auth.as_deref(), &payload.context).await {
            Ok(credentials) => credentials,
            Err(outcome) => return outcome,
        };
        let retry = attempt.number > 0;
        let mut pending = match self.pending.take(&payload) {
            Some(mut pending) => {
                let falls_back =
                    pending.version == Version::V2 && self.negotiation.version(self.clock.now()) == Version::V1;
                if falls_back {
                    // It waited while another one found out.
                    let converted = self.convert(&payload, Version::V1, pending.through, retry).await;
                    pending.replace(Version::V1, converted);
                }
                pending
            }
            None => {
                let version = self.negotiation.version(self.clock.now());
                let converted = self.convert(&payload, version, 0, retry).await;
                Pending::new(&payload, version, converted)
            }
        };
        if retry && self.sample_age_limit.is_some() {
            let converted = self.convert(&payload, pending.version, pending.through, true).await;
            pending.replace(pending.version, converted);
        }
        let mut held = self.pending.hold(pending);
        loop {
            let Some(pending) = held.get() else { return SendOutcome::delivered() };
            let Some(request) = pending.requests.front() else {
                let (dropped, refused) = (pending.all_drops().into_inner(), std::mem::take(&mut pending.refused));
                held.finish();
                return if refused.is_empty() {
                    SendOutcome::Delivered { dropped }
                } else {
                    SendOutcome::Refused { dropped, refused }
                };
            };
            let version = pending.version;
            let reply = self.sender.send(request, &credentials, version, attempt.number).await;
            self.counters.sent_batches.increment(1);
            if version == Version::V2 && self.reads_v1_only(&reply) {
                let converted = self.convert(&payload, Version::V1, pending.through, retry).await;
                pending.replace(Version::V1, converted);
                continue;
            }
            match reply {
                Reply::Delivered { written } => self.delivered(pending, version, written),
                Reply::Retry { after, cause, message } => return SendOutcome::Retry { after, cause, message },
                Reply::Refused { status: status @ (401 | 403 | 404), message, .. } => {
                    self.warn_refused(status, &message);
                    return SendOutcome::ConfigError { message };
                }
                Reply::Refused { status: 415, written, message } if nothing_written(written) => {
                    return SendOutcome::ConfigError { message };
                }
                Reply::Refused { status, written, message } => self.refused(pending, status, written, &message),
            }
        }
    }

    /// Whether an answer to a version 2 message means that the batch must be sent again, as version 1. Who hears it first tells.
    fn reads_v1_only(&self, reply: &Reply) -> bool {
        match self.negotiation.hear(reply, self.clock.now()) {
            Heard::ReadsV1 { news } => {
                if news {
                    self.counters.fell_back();
                    tracing::info!(exporter = %self.id, sign = reply.sign(), next_try = ?self.reprobe,
                        "endpoint does not read remote write 2.0, sending 1.0");
                }
                true
            }
            Heard::ReadsV2 { news } => {
                if news {
                    self.counters.speaks(Version::V2);
                    tracing::info!(exporter = %self.id, "endpoint reads remote write 2.0 now");
                }
                false
            }
            Heard::Nothing => false,
        }
    }

    /// The first request was taken.
    fn delivered(&self, pending: &mut Pending, version: Version, written: Option<Written>) {
        let Some(request) = pending.requests.front() else { return };
        let written = match version {
            // A version 1 endpoint need not say anything.
            Version::V1 => None,
            Version::V2 => Some(written.unwrap_or_default()),
        };
        self.counters.written(&request.content, written);
        if version == Version::V1 {
            self.counters.left_out(&request.content, self.send_metadata);
        }
        if let Some(written) = written {
            let values = written.samples.saturating_add(written.histograms);
            self.counters.nothing_written.set(if values == 0 { 1.0 } else { 0.0 });
            let missing = missing_points(request, values);
            if missing > 0 {
                tracing::warn!(exporter = %self.id, written = values, sent = request.content.values(),
                    "endpoint acknowledged a batch of which it did not write everything");
            }
            pending.drops.add(PARTIAL_WRITE, missing);
        }
        pending.advance();
    }

    /// The first request must not be sent again.
    fn refused(&self, pending: &mut Pending, status: u16, written: Option<Written>, message: &str) {
        let Some(request) = pending.requests.front() else { return };
        self.warn_refused(status, message);
        let written = written.unwrap_or_default();
        self.counters.written(&Content::default(), Some(written));
        let values = written.samples.saturating_add(written.histograms);
        let missing = missing_points(request, values);
        if status == 413 {
            let halved = |bytes: usize| Some((bytes / 2).max(MIN_BATCH_BYTES).min(bytes));
            let _ = self.max_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, halved);
        }
        if values == 0 {
            pending.refuse(refusal_reason(status), message);
            return;
        }
        // Some of it was written, and nobody knows what.
        pending.drops.add(refusal_reason(status), missing);
        pending.advance();
    }

    /// The first, second, fourth, eighth … refusal is told.
    fn warn_refused(&self, status: u16, message: &str) {
        let count = self.refusals.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::error!(exporter = %self.id, status, refusals = count, error = %message, "endpoint refused a batch");
        }
    }
}

/// Data points of a request that were not written, when of its samples and histograms so many were. An endpoint does not say
/// which: each point has equally many series for this purpose.
fn missing_points(request: &Request, written: u64) -> usize {
    let sent = request.content.values() as u64;
    let missing = sent.saturating_sub(written);
    if sent == 0 || missing == 0 {
        return 0;
    }
    // u128: neither product overflows. At most `points`, as `missing` is at most `sent`.
    (u128::from(missing) * request.points as u128).div_ceil(u128::from(sent)) as usize
}

impl Component for RemoteWriteExporter {}

impl Exporter for RemoteWriteExporter {
    fn send<'a>(&'a self, payload: Payload, attempt: &'a Attempt) -> BoxFuture<'a, SendOutcome> {
        Box::pin(self.export(payload, attempt))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { converts: true, ordered: true, ..Capabilities::default() }
    }
}

#[cfg(test)]
mod tests;
