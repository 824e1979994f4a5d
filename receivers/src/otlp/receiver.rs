//! The receiver: its listeners, from start to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_net::http::{HeaderName, HeaderValue};
use sluice_net::listen::{Listener, ListenerSettings, Server, Versions};
use sluice_net::tls::ServerTls;
use sluice_net::{Bind, BufferPool, ListenerLimits, Reserve};
use sluice_pipeline::blocks::{GrpcServer, HttpServer, TlsServer};
use sluice_pipeline::component::{Component, Environment};
use sluice_pipeline::context::Transport;
use sluice_pipeline::receiver::{Ingress, Receiver, RequestLimits};
use sluice_pipeline::telemetry::{ReceiverMetrics, Telemetry};
use sluice_pipeline::{BoxFuture, ComponentId, Error};

use super::config::{Config, HttpProtocol};
use super::grpc::GrpcService;
use super::http::Http;
use super::intake::Intake;
use super::reserve::Bodies;
use crate::listener_metrics::publish;

/// OTLP over gRPC and HTTP.
pub struct OtlpReceiver {
    id: ComponentId,
    config: Config,
    telemetry: Telemetry,
    ingress: Mutex<Option<Ingress>>,
    servers: Mutex<Vec<Server>>,
}

impl OtlpReceiver {
    /// A receiver that listens once it is started.
    pub fn new(config: Config, environment: &Environment) -> Self {
        OtlpReceiver {
            id: environment.id.clone(),
            config,
            telemetry: environment.telemetry.clone(),
            ingress: Mutex::new(None),
            servers: Mutex::new(Vec::new()),
        }
    }

    /// The addresses that are listened on, gRPC first.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.iter().filter_map(Server::local_addr).collect()
    }

    async fn listen(&self) -> Result<(), Error> {
        let ingress = self.ingress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(ingress) = ingress else { return Err(Error::config("the receiver is not part of any pipeline")) };
        let pool = BufferPool::default();
        let (mut servers, mut counters) = (Vec::new(), Vec::new());
        if let Some(grpc) = self.config.protocols.grpc.as_ref().map(|grpc| &grpc.server) {
            let service = GrpcService {
                intake: self.intake(&ingress, Transport::GRPC, grpc.max_message_bytes()),
                reserve: Arc::new(Bodies(ingress.memory.clone())) as Arc<dyn Reserve>,
            };
            let listener = Listener::bind(ListenerSettings {
                bind: bind(&grpc.endpoint, &grpc.transport),
                limits: grpc_listener(grpc),
                tls: tls(grpc.tls.as_ref(), Versions::Http2)?,
                pool: pool.clone(),
            })
            .await
            .map_err(|error| Error::config(error.to_string()))?;
            tracing::info!(endpoint = %grpc.endpoint, "Starting GRPC server");
            let server = listener.serve(sluice_net::grpc::Server::new(Arc::new(service)));
            counters.push((Transport::GRPC, server.counters_handle()));
            servers.push(server);
        }
        if let Some(http) = self.config.protocols.http.as_ref() {
            let service = Http {
                intake: self.intake(&ingress, Transport::HTTP, http.server.max_body_bytes()),
                reserve: Arc::new(Bodies(ingress.memory.clone())) as Arc<dyn Reserve>,
                paths: [&http.traces_url_path, &http.metrics_url_path, &http.logs_url_path]
                    .map(|path| with_slash(path)),
                response_headers: response_headers(http)?,
            };
            let listener = Listener::bind(ListenerSettings {
                bind: bind(&http.server.endpoint, &http.server.transport),
                limits: http_listener(&http.server),
                tls: tls(http.server.tls.as_ref(), Versions::Both)?,
                pool,
            })
            .await
            .map_err(|error| Error::config(error.to_string()))?;
            tracing::info!(endpoint = %http.server.endpoint, "Starting HTTP server");
            let server = listener.serve(sluice_net::http::Server::new(Arc::new(service)));
            counters.push((Transport::HTTP, server.counters_handle()));
            servers.push(server);
        }
        publish(&self.telemetry, &self.id, counters);
        *self.servers.lock().unwrap_or_else(PoisonError::into_inner) = servers;
        Ok(())
    }

    fn intake(&self, ingress: &Ingress, transport: Transport, size: Option<u64>) -> Intake {
        Intake {
            ingress: ingress.clone(),
            receiver: self.id.clone(),
            transport,
            limits: with_size(ingress.limits, size),
            metrics: ReceiverMetrics::new(&self.telemetry, &self.id, transport),
        }
    }
}

impl Component for OtlpReceiver {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.listen())
    }

    fn stop(&self, grace: Duration) -> BoxFuture<'_, ()> {
        let servers = std::mem::take(&mut *self.servers.lock().unwrap_or_else(PoisonError::into_inner));
        Box::pin(async move {
            // All at once: each has the whole grace.
            let tasks: Vec<_> = servers.into_iter().map(|server| tokio::spawn(server.shutdown(grace))).collect();
            for task in tasks {
                if let Ok(cut) = task.await
                    && cut > 0
                {
                    tracing::warn!(connections = cut, "connections were still busy at the end of the grace period");
                }
            }
        })
    }
}

impl Receiver for OtlpReceiver {
    fn connect(&self, ingress: Ingress) -> Result<(), Error> {
        *self.ingress.lock().unwrap_or_else(PoisonError::into_inner) = Some(ingress);
        Ok(())
    }
}

fn with_slash(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn bind(endpoint: &str, transport: &str) -> Bind {
    if transport == "unix" { Bind::Unix(PathBuf::from(endpoint)) } else { Bind::Tcp(endpoint.to_owned()) }
}

/// A size that is written for a listener replaces both sizes on it (security §6).
fn with_size(limits: RequestLimits, written: Option<u64>) -> RequestLimits {
    match written.and_then(|bytes| usize::try_from(bytes).ok()) {
        Some(bytes) => RequestLimits { wire_bytes: bytes, decompressed_bytes: bytes, ..limits },
        None => limits,
    }
}

fn given(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

fn grpc_listener(grpc: &GrpcServer) -> ListenerLimits {
    let mut limits = ListenerLimits::default();
    if grpc.max_concurrent_streams > 0 {
        limits.streams = grpc.max_concurrent_streams;
    }
    let given = |written: Option<sluice_config::GoDuration>| written.and_then(|duration| given(duration.0));
    let parameters = &grpc.keepalive.server_parameters;
    limits.http2_max_idle = given(parameters.max_connection_idle).or(limits.http2_max_idle);
    limits.max_age = given(parameters.max_connection_age).or(limits.max_age);
    limits.age_grace = given(parameters.max_connection_age_grace).unwrap_or(limits.age_grace);
    limits.ping_interval = given(parameters.time).unwrap_or(limits.ping_interval);
    limits.ping_timeout = given(parameters.timeout).unwrap_or(limits.ping_timeout);
    limits
}

fn http_listener(http: &HttpServer) -> ListenerLimits {
    let mut limits = ListenerLimits { http1_keep_alive: http.keep_alives_enabled, ..ListenerLimits::default() };
    limits.body_timeout = given(http.read_timeout.0).unwrap_or(limits.body_timeout);
    limits.idle_timeout = given(http.idle_timeout.0).unwrap_or(limits.idle_timeout);
    limits.write_timeout = given(http.write_timeout.0).unwrap_or(limits.write_timeout);
    limits
}

fn response_headers(http: &HttpProtocol) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let parse = |name: &str, value: &str| Some((name.parse().ok()?, value.parse().ok()?));
    http.server
        .response_headers
        .iter()
        .map(|(name, value)| {
            parse(name, value.expose()).ok_or_else(|| Error::config(format!("invalid response header {name:?}")))
        })
        .collect()
}

fn tls(block: Option<&TlsServer>, versions: Versions) -> Result<Option<ServerTls>, Error> {
    let Some(block) = block else { return Ok(None) };
    let settings = block.settings();
    let invalid = |error: sluice_net::Error| Error::config(error.to_string());
    settings.validate().map_err(invalid)?;
    ServerTls::new(settings, versions).map(Some).map_err(invalid)
}
