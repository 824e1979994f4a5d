//! One payload, one Export call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sluice_net::compression::compress;
use sluice_net::grpc::{CallError, Client, ClientSettings, Keepalive, Outgoing};
use sluice_net::{Encoding, Endpoint};
use sluice_pipeline::answer::Code;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::component::{Component, Environment};
use sluice_pipeline::exporter::{Attempt, Capabilities, Exporter, Payload};
use sluice_pipeline::extension::ClientAuth;
use sluice_pipeline::send::{RetryCause, SendOutcome};
use sluice_pipeline::{BoxFuture, Error};

use super::config::Config;
use crate::export_response::PartialSuccess;

/// Sends payloads to one OTLP/gRPC endpoint.
pub struct OtlpExporter {
    client: Client,
    clock: Arc<dyn Clock>,
    /// Index into [`FALLBACKS`]: the destination may have said that it does not read what was configured.
    encoding: AtomicUsize,
    configured: Option<Encoding>,
    auth: Option<Arc<dyn ClientAuth>>,
}

/// Requests are built up to 64 MiB (delivery §7).
const MAX_BYTES: usize = 64 << 20;
/// Fast levels: what changed is compressed for the wire, not for an archive.
const GZIP_LEVEL: i32 = 1;
const ZSTD_LEVEL: i32 = 1;

impl OtlpExporter {
    /// A client that connects when it is started.
    pub fn new(config: &Config, environment: &Environment) -> Result<Self, Error> {
        let invalid = Error::Network;
        let client = &config.client;
        let mut settings = ClientSettings::new(Endpoint::parse(&client.endpoint).map_err(invalid)?);
        settings.tls = if client.is_plain() { None } else { Some(crate::client::tls(&client.tls, environment)?) };
        settings.headers = crate::client::headers(&client.headers)?;
        if !client.user_agent.is_empty() {
            settings.user_agent = client.user_agent.clone();
        }
        settings.authority = (!client.authority.is_empty()).then(|| client.authority.clone());
        settings.wait_for_ready = client.wait_for_ready;
        let keepalive = &client.keepalive;
        settings.keepalive = (!keepalive.time.is_zero()).then(|| Keepalive {
            time: *keepalive.time,
            timeout: *keepalive.timeout,
            permit_without_stream: keepalive.permit_without_stream,
        });
        Ok(OtlpExporter {
            client: Client::new(settings).map_err(invalid)?,
            clock: Arc::clone(&environment.clock),
            encoding: AtomicUsize::new(0),
            configured: Encoding::parse(config.compression()).map_err(invalid)?,
            auth: crate::client::auth(client.auth.as_ref(), &client.middlewares, "gRPC", environment)?,
        })
    }

    /// The encoding in use: what was configured, unless the destination does not read it.
    fn encoding(&self) -> Option<Encoding> {
        if self.encoding.load(Ordering::Relaxed) == 0 { self.configured } else { None }
    }

    /// The metadata keys by which payloads must be kept apart.
    pub fn partition(&self) -> Vec<String> {
        crate::client::partition(self.auth.as_ref())
    }

    async fn export(&self, payload: Payload, attempt: &Attempt) -> SendOutcome {
        let headers = match crate::client::credentials(self.auth.as_deref(), &payload.context).await {
            Ok(headers) => headers,
            Err(outcome) => return outcome,
        };
        let encoding = self.encoding();
        let (message, encoding) = match (&payload.compressed, encoding) {
            (Some(body), Some(encoding)) if pipeline_encoding(encoding) == Some(body.encoding) => {
                (body.bytes.clone().into(), Some(encoding))
            }
            (_, Some(encoding)) => match compress(encoding, level(encoding), &payload.contiguous()) {
                Ok(bytes) => (bytes.into(), Some(encoding)),
                Err(error) => return SendOutcome::Internal { message: error.to_string() },
            },
            (_, None) => (payload.parts.into_iter().collect(), None),
        };
        let timeout = attempt.deadline.map(|deadline| deadline.since(self.clock.now()));
        let outgoing = Outgoing { path: payload.signal.grpc_path(), message, encoding, timeout, headers };
        match self.client.call(outgoing).await {
            Ok(response) => PartialSuccess::from_protobuf(&response.message).outcome(),
            Err(error) => self.outcome(error, encoding.is_some()),
        }
    }

    fn outcome(&self, error: CallError, compressed: bool) -> SendOutcome {
        let message = crate::client::sanitised(&error.to_string());
        match error {
            CallError::Status(status) => {
                let reads_no_such_encoding = compressed
                    && status.code == sluice_net::grpc::Code::Unimplemented
                    && status.accept_encoding.is_some();
                if reads_no_such_encoding {
                    tracing::info!(accepts = ?status.accept_encoding, "destination does not read this compression; sending without");
                    self.encoding.store(1, Ordering::Relaxed);
                    return SendOutcome::Retry { after: None, cause: RetryCause::Unavailable, message };
                }
                let code = Code::from_number(status.code as u32);
                match status.http_status {
                    Some(http) => SendOutcome::from_http(http.as_u16(), status.retry_delay, message),
                    None => SendOutcome::from_grpc(code, status.retry_delay, message),
                }
            }
            CallError::Timeout(_) => SendOutcome::Retry { after: None, cause: RetryCause::Ambiguous, message },
            CallError::Connect { certificate: true, .. } => SendOutcome::ConfigError { message },
            CallError::TooLarge { .. } | CallError::Protocol(_) => SendOutcome::Internal { message },
            _ => SendOutcome::Retry { after: None, cause: RetryCause::Connection, message },
        }
    }
}

impl Component for OtlpExporter {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        // Eager, and never in the way of the start.
        self.client.connect();
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Exporter for OtlpExporter {
    fn send<'a>(&'a self, payload: Payload, attempt: &'a Attempt) -> BoxFuture<'a, SendOutcome> {
        Box::pin(self.export(payload, attempt))
    }

    fn probe(&self) -> BoxFuture<'_, bool> {
        Box::pin(self.client.is_reachable())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            encoding: self.encoding().and_then(pipeline_encoding),
            max_bytes: Some(MAX_BYTES),
            ..Capabilities::default()
        }
    }
}

fn level(encoding: Encoding) -> Option<i32> {
    match encoding {
        Encoding::Gzip | Encoding::Deflate => Some(GZIP_LEVEL),
        Encoding::Zstd => Some(ZSTD_LEVEL),
        Encoding::Snappy | Encoding::Lz4 => None,
    }
}

fn pipeline_encoding(encoding: Encoding) -> Option<sluice_pipeline::Encoding> {
    match encoding {
        Encoding::Gzip => Some(sluice_pipeline::Encoding::Gzip),
        Encoding::Zstd => Some(sluice_pipeline::Encoding::Zstd),
        Encoding::Deflate | Encoding::Snappy | Encoding::Lz4 => None,
    }
}
