//! One payload, one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sluice_net::http::{Client, ClientSettings, HeaderMap, Method, Outgoing, SendError, StatusCode, Uri, header};
use sluice_pipeline::clock::Clock;
use sluice_pipeline::component::{Component, Environment};
use sluice_pipeline::exporter::{Attempt, Capabilities, Exporter, Payload};
use sluice_pipeline::extension::ClientAuth;
use sluice_pipeline::send::{RetryCause, SendOutcome};
use sluice_pipeline::{BoxFuture, Context, Error};

use super::answer;
use super::body::{BodyError, Compression, Format, body};
use super::config::Config;
use super::endpoints::Endpoints;

/// Sends payloads to the OTLP/HTTP endpoints of one destination.
pub struct OtlpHttpExporter {
    client: Client,
    endpoints: Endpoints,
    format: Format,
    compression: Option<Compression>,
    /// The destination has said that it does not read what is configured.
    plain: AtomicBool,
    auth: Option<Arc<dyn ClientAuth>>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

/// Requests are built up to 64 MiB (delivery §7).
const MAX_BYTES: usize = 64 << 20;
/// Idle connections kept to a host, unless configured.
const MAX_IDLE: usize = 100;
/// What is larger is encoded and compressed away from the tasks that serve sockets.
const INLINE: usize = 256 << 10;

impl OtlpHttpExporter {
    /// Prepares the client; nothing is connected yet.
    pub fn new(config: &Config, environment: &Environment) -> Result<Self, Error> {
        let invalid = Error::Network;
        let http = &config.client;
        let endpoints = Endpoints::new(config, &environment.signals)?;
        let tls = if endpoints.has_https() { Some(crate::client::tls(&http.tls, environment)?) } else { None };
        let configured_idle = usize::try_from(http.max_idle_conns_per_host).unwrap_or(MAX_IDLE);
        let settings = ClientSettings {
            tls,
            headers: crate::client::headers(&http.headers)?,
            user_agent: user_agent(),
            idle_timeout: *http.idle_conn_timeout,
            max_idle_per_host: match (http.disable_keep_alives, configured_idle) {
                (true, _) => 0,
                (false, 0) => MAX_IDLE,
                (false, configured) => configured,
            },
            http2: http.force_attempt_http2,
            http2_read_idle_timeout: Some(*http.http2_read_idle_timeout).filter(|timeout| !timeout.is_zero()),
            http2_ping_timeout: *http.http2_ping_timeout,
            max_response_bytes: answer::MAX_RESPONSE,
            proxy: crate::client::proxy(&http.proxy_url),
            ..ClientSettings::default()
        };
        let compression =
            Compression::new(config.compression(), http.compression_params.level).map_err(Error::config)?;
        Ok(OtlpHttpExporter {
            client: Client::new(settings).map_err(invalid)?,
            endpoints,
            format: Format::new(&config.encoding),
            compression,
            plain: AtomicBool::new(false),
            auth: crate::client::auth(http.auth.as_ref(), &http.middlewares, "HTTP", environment)?,
            timeout: config.timeout(),
            clock: Arc::clone(&environment.clock),
        })
    }

    /// What was configured, unless the destination does not read it.
    fn compression(&self) -> Option<Compression> {
        self.compression.filter(|_| !self.plain.load(Ordering::Relaxed))
    }

    /// The metadata keys by which payloads must be kept apart.
    pub fn partition(&self) -> Vec<String> {
        crate::client::partition(self.auth.as_ref())
    }

    async fn export(&self, payload: Payload, attempt: &Attempt) -> SendOutcome {
        let Some(uri) = self.endpoints.of(payload.signal) else {
            return SendOutcome::Internal { message: format!("no endpoint for {}", payload.signal.name()) };
        };
        let compression = self.compression();
        let context = Arc::clone(&payload.context);
        let body = match self.body(payload, compression).await {
            Ok(body) => body,
            Err(BodyError::Payload(message)) => return SendOutcome::Permanent { message },
            Err(BodyError::Compressor(message)) => return SendOutcome::Internal { message },
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, self.format.content_type());
        if let Some(compression) = compression {
            headers.insert(header::CONTENT_ENCODING, compression.name());
        }
        // What is left of the time, so that a late answer is ours to name.
        let left = attempt.deadline.map(|deadline| deadline.since(self.clock.now()));
        match self.exchange(uri, &context, headers, body, left).await {
            Ok(answer) if self.reads_no_such_encoding(&answer, compression) => {
                tracing::info!(accepts = ?answer.headers.get(header::ACCEPT_ENCODING),
                    "destination does not read this compression; sending without");
                self.plain.store(true, Ordering::Relaxed);
                let message = "destination does not read this compression".to_owned();
                SendOutcome::Retry { after: None, cause: RetryCause::Unavailable, message }
            }
            Ok(answer) => answer::outcome(&answer, uri),
            Err(outcome) => outcome,
        }
    }

    /// The body; a large one is made on a thread that may block.
    async fn body(&self, payload: Payload, compression: Option<Compression>) -> Result<Bytes, BodyError> {
        let format = self.format;
        let as_it_is = format == Format::Protobuf && (compression.is_none() || payload.compressed.is_some());
        if as_it_is || payload.len() <= INLINE {
            return body(&payload, format, compression);
        }
        let made = tokio::task::spawn_blocking(move || body(&payload, format, compression)).await;
        made.unwrap_or_else(|error| Err(BodyError::Compressor(error.to_string())))
    }

    async fn exchange(
        &self,
        uri: &Uri,
        context: &Context,
        mut headers: HeaderMap,
        body: Bytes,
        left: Option<Duration>,
    ) -> Result<sluice_net::http::Answer, SendOutcome> {
        let sent = async {
            headers.extend(crate::client::credentials(self.auth.as_deref(), context).await?);
            let outgoing = Outgoing { method: Method::POST, uri: uri.clone(), headers, body, timeout: None };
            self.client.send(outgoing).await.map_err(|error| answer::failure(&error))
        };
        let Some(left) = left else { return sent.await };
        match tokio::time::timeout(left, sent).await {
            Ok(sent) => sent,
            Err(_) => Err(answer::failure(&SendError::Timeout(self.timeout))),
        }
    }

    /// RFC 7694: 415 with `Accept-Encoding` is about the compression, and without it about the content.
    fn reads_no_such_encoding(&self, answer: &sluice_net::http::Answer, sent: Option<Compression>) -> bool {
        sent.is_some()
            && answer.status == StatusCode::UNSUPPORTED_MEDIA_TYPE
            && answer.headers.contains_key(header::ACCEPT_ENCODING)
    }
}

impl Component for OtlpHttpExporter {}

impl Exporter for OtlpHttpExporter {
    fn send<'a>(&'a self, payload: Payload, attempt: &'a Attempt) -> BoxFuture<'a, SendOutcome> {
        Box::pin(self.export(payload, attempt))
    }

    fn probe(&self) -> BoxFuture<'_, bool> {
        Box::pin(async {
            match self.endpoints.any() {
                Some(uri) => self.client.is_reachable(uri).await,
                None => false,
            }
        })
    }

    fn capabilities(&self) -> Capabilities {
        let encoding = match self.format {
            Format::Protobuf => self.compression().and_then(Compression::of_batches),
            Format::Json => None,
        };
        Capabilities {
            encoding,
            converts: self.format == Format::Json,
            max_bytes: Some(MAX_BYTES),
            ..Capabilities::default()
        }
    }
}

/// As upstream writes it: product, version, system.
fn user_agent() -> String {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("sluice/{} ({os}/{arch})", env!("CARGO_PKG_VERSION"))
}
