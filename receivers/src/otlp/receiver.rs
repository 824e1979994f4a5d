//! The receiver: its listeners, from start to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sluice_net::http::{HeaderName, HeaderValue};
use sluice_net::listen::{Listener, ListenerSettings, Server, Sockets, Versions};
use sluice_net::tls::ServerTls;
use sluice_net::{Bind, BufferPool, Encoding, ListenerLimits, Reserve};
use sluice_pipeline::blocks::{GrpcServer, HttpServer, TlsServer};
use sluice_pipeline::component::{Component, Environment};
use sluice_pipeline::context::Transport;
use sluice_pipeline::extension::ServerAuth;
use sluice_pipeline::receiver::{CurrentIngress, Ingress, Receiver};
use sluice_pipeline::telemetry::{ReceiverMetrics, Telemetry, show_certificates};
use sluice_pipeline::{BoxFuture, ComponentId, Error};
use tokio::sync::watch;
use tokio::time::Instant;

use super::config::{Config, HttpProtocol};
use super::grpc::GrpcService;
use super::health::Health;
use super::http::Http;
use super::intake::Intake;
use super::reserve::Bodies;
use crate::cors::Cors;
use crate::gate::{Gate, check_middlewares, server_auth};
use crate::listener_metrics::{ListenerMetrics, publish};

/// OTLP over gRPC and HTTP.
pub struct OtlpReceiver {
    id: ComponentId,
    config: Config,
    grpc_auth: Option<Arc<dyn ServerAuth>>,
    http_auth: Option<Arc<dyn ServerAuth>>,
    telemetry: Telemetry,
    ingress: OnceLock<CurrentIngress>,
    bound: Mutex<Option<Bound>>,
    running: Mutex<Option<Running>>,
    /// Whether requests are taken; who watches the health service is told.
    serving: watch::Sender<bool>,
}

/// What listens and does not accept yet.
struct Bound {
    /// Of both listeners.
    pool: BufferPool,
    grpc: Option<Listener>,
    http: Option<(Listener, Vec<(HeaderName, HeaderValue)>)>,
}

/// What the blocks of both protocols say of requests.
struct Way {
    size: Option<u64>,
    include_metadata: bool,
}

struct Running {
    servers: Vec<Server>,
    metrics: Arc<ListenerMetrics>,
}

impl OtlpReceiver {
    /// A receiver that listens once it is started.
    ///
    /// # Errors
    /// An authenticator or middleware that is not there, or is none for servers.
    pub fn new(config: Config, environment: &Environment) -> Result<Self, Error> {
        let grpc = config.protocols.grpc.as_ref().and_then(|grpc| grpc.server.auth.as_ref());
        let http = config.protocols.http.as_ref().and_then(|http| http.server.auth.as_ref());
        let protocols = &config.protocols;
        let of_grpc = protocols.grpc.as_ref().map(|grpc| &grpc.server.middlewares);
        for middlewares in of_grpc.into_iter().chain(protocols.http.as_ref().map(|http| &http.server.middlewares)) {
            check_middlewares(middlewares, environment)?;
        }
        Ok(OtlpReceiver {
            id: environment.id.clone(),
            grpc_auth: server_auth(grpc, environment)?,
            http_auth: server_auth(http, environment)?,
            config,
            telemetry: environment.telemetry.clone(),
            ingress: OnceLock::new(),
            bound: Mutex::new(None),
            running: Mutex::new(None),
            serving: watch::Sender::new(true),
        })
    }

    /// The addresses that are listened on, gRPC first.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().flat_map(|running| &running.servers).filter_map(Server::local_addr).collect()
    }

    async fn bind_all(&self, sockets: &mut Sockets) -> Result<Bound, Error> {
        let pool = BufferPool::default();
        let failed = Error::Network;
        let grpc = match self.config.protocols.grpc.as_ref() {
            None => None,
            Some(protocol) => {
                let grpc = &protocol.server;
                let settings = ListenerSettings {
                    bind: bind(protocol.endpoint(), &grpc.transport),
                    limits: grpc_listener(grpc),
                    tls: self.tls(grpc.tls.as_ref(), Versions::Http2, Transport::GRPC)?,
                    pool: pool.clone(),
                };
                Some(Listener::bind_or_take(settings, sockets).await.map_err(failed)?)
            }
        };
        let http = match self.config.protocols.http.as_ref() {
            None => None,
            Some(http) => {
                let settings = ListenerSettings {
                    bind: bind(http.endpoint(), &http.server.transport),
                    limits: http_listener(&http.server),
                    tls: self.tls(http.server.tls.as_ref(), Versions::Both, Transport::HTTP)?,
                    pool: pool.clone(),
                };
                let headers = response_headers(http)?;
                Some((Listener::bind_or_take(settings, sockets).await.map_err(failed)?, headers))
            }
        };
        Ok(Bound { pool, grpc, http })
    }

    /// Loads what a `tls` block names, and shows from now on how it is doing.
    fn tls(
        &self,
        block: Option<&TlsServer>,
        versions: Versions,
        transport: Transport,
    ) -> Result<Option<ServerTls>, Error> {
        let Some(block) = block else { return Ok(None) };
        let settings = block.settings();
        let invalid = Error::Network;
        settings.validate().map_err(invalid)?;
        let tls = ServerTls::new(settings, versions).map_err(invalid)?;
        let labels = [("receiver", self.id.as_str()), ("transport", transport.0)];
        show_certificates(&self.telemetry, &labels, tls.watch());
        Ok(Some(tls))
    }

    fn serve(&self, bound: Bound) -> Result<(), Error> {
        let Some(ingress) = self.ingress.get() else {
            return Err(Error::config("the receiver is not part of any pipeline"));
        };
        let reserve: Arc<dyn Reserve> = Arc::new(Bodies(ingress.get().memory.clone()));
        if let Some(pages) = ingress.get().pages {
            bound.pool.use_pages(pages);
        }
        let (mut servers, mut counters) = (Vec::new(), Vec::new());
        if let (Some(listener), Some(grpc)) = (bound.grpc, self.config.protocols.grpc.as_ref()) {
            let service = GrpcService {
                intake: self.intake(ingress, Transport::GRPC, &grpc_way(&grpc.server), self.grpc_auth.clone()),
                reserve: Arc::clone(&reserve),
                health: Health::new(self.serving.subscribe()),
            };
            tracing::info!(endpoint = %grpc.endpoint(), "Starting GRPC server");
            let server = listener.serve(sluice_net::grpc::Server::new(Arc::new(service)));
            counters.push((Transport::GRPC, server.counters_handle()));
            servers.push(server);
        }
        if let (Some((listener, response_headers)), Some(http)) = (bound.http, self.config.protocols.http.as_ref()) {
            let service = Http {
                intake: self.intake(ingress, Transport::HTTP, &http_way(&http.server), self.http_auth.clone()),
                reserve,
                paths: [&http.traces_url_path, &http.metrics_url_path, &http.logs_url_path]
                    .map(|path| with_slash(path)),
                response_headers,
                cors: http.server.cors.as_ref().and_then(Cors::new),
                encodings: encodings(&http.server),
            };
            tracing::info!(endpoint = %http.endpoint(), "Starting HTTP server");
            let server = listener.serve(sluice_net::http::Server::new(Arc::new(service)));
            counters.push((Transport::HTTP, server.counters_handle()));
            servers.push(server);
        }
        let metrics = publish(&self.telemetry, &self.id, counters);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Running { servers, metrics });
        Ok(())
    }

    async fn end<F: Future<Output = usize> + Send + 'static>(&self, how: impl Fn(Server) -> F) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { servers, metrics }) = running else { return };
        self.serving.send_replace(false);
        // All at once: each has the whole grace.
        let tasks: Vec<_> = servers.into_iter().map(|server| tokio::spawn(how(server))).collect();
        for task in tasks {
            if let Ok(cut) = task.await
                && cut > 0
            {
                tracing::warn!(connections = cut, "connections were still busy at the end of the grace period");
            }
        }
        metrics.show();
    }

    /// Parameters of the query that authenticators read; gRPC has no query.
    fn request_params(&self, transport: Transport) -> &[String] {
        let http = self.config.protocols.http.as_ref().filter(|_| transport == Transport::HTTP);
        http.and_then(|http| http.server.auth.as_ref()).map_or(&[], |auth| auth.request_params.as_slice())
    }

    fn intake(
        &self,
        ingress: &CurrentIngress,
        transport: Transport,
        way: &Way,
        auth: Option<Arc<dyn ServerAuth>>,
    ) -> Intake {
        let clock = Arc::clone(&ingress.get().clock);
        Intake {
            gate: Gate::new(auth, self.id.clone(), transport, clock).with_params(self.request_params(transport)),
            ingress: ingress.clone(),
            receiver: self.id.clone(),
            transport,
            include_metadata: way.include_metadata,
            size: way.size,
            metrics: ReceiverMetrics::new(&self.telemetry, &self.id, transport),
        }
    }
}

impl Component for OtlpReceiver {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner).take();
            let bound = match bound {
                Some(bound) => bound,
                None => self.bind_all(&mut Sockets::default()).await?,
            };
            self.serve(bound)
        })
    }

    fn stop(&self, grace: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.end(move |server| server.shutdown(grace)))
    }
}

impl Receiver for OtlpReceiver {
    fn connect(&self, ingress: Ingress) -> Result<(), Error> {
        // Set once; what it holds changes.
        match self.ingress.get() {
            Some(current) => current.set(ingress),
            None => drop(self.ingress.set(CurrentIngress::new(ingress))),
        }
        Ok(())
    }

    fn bind<'a>(&'a self, sockets: &'a mut Sockets) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let bound = self.bind_all(sockets).await?;
            *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = Some(bound);
            Ok(())
        })
    }

    fn offer(&self, sockets: &mut Sockets) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().flat_map(|running| &running.servers).for_each(|server| server.offer(sockets));
    }

    fn last_heartbeat(&self) -> Option<Instant> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().flat_map(|running| &running.servers).map(Server::last_heartbeat).min()
    }

    fn retire(&self, grace: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.end(move |server| server.retire(grace)))
    }
}

fn with_slash(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn bind(endpoint: &str, transport: &str) -> Bind {
    if transport == "unix" { Bind::Unix(PathBuf::from(endpoint)) } else { Bind::Tcp(endpoint.to_owned()) }
}

fn given(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

fn grpc_way(grpc: &GrpcServer) -> Way {
    Way { size: grpc.max_message_bytes(), include_metadata: grpc.include_metadata }
}

fn http_way(http: &HttpServer) -> Way {
    Way { size: http.max_body_bytes(), include_metadata: http.include_metadata }
}

fn grpc_listener(grpc: &GrpcServer) -> ListenerLimits {
    let mut limits = ListenerLimits::default();
    grpc.bound_connections(&mut limits);
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
    http.bound_connections(&mut limits);
    limits.header_timeout = given(http.read_header_timeout.0).unwrap_or(limits.header_timeout);
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

/// What of the encodings that are known is to be read.
fn encodings(http: &HttpServer) -> Vec<Encoding> {
    let Some(written) = &http.compression_algorithms else { return Encoding::ALL.to_vec() };
    let named: Vec<_> = written.iter().filter_map(|name| Encoding::parse(name).ok().flatten()).collect();
    Encoding::ALL.into_iter().filter(|encoding| named.contains(encoding)).collect()
}

#[cfg(test)]
mod tests {
    use sluice_config::GoDuration;

    use super::*;

    #[test]
    fn times_that_are_written_hold_and_zero_is_our_default() {
        let usual = ListenerLimits::default();
        let of = |http: HttpServer| http_listener(&http);
        let unwritten = of(HttpServer::default());
        assert_eq!((unwritten.header_timeout, unwritten.body_timeout), (usual.header_timeout, usual.body_timeout));
        let zero = GoDuration::from_secs(0);
        let zeros = HttpServer {
            read_header_timeout: zero,
            read_timeout: zero,
            write_timeout: zero,
            idle_timeout: zero,
            ..HttpServer::default()
        };
        let zeros = of(zeros);
        assert_eq!(zeros.header_timeout, usual.header_timeout);
        assert_eq!((zeros.body_timeout, zeros.idle_timeout), (usual.body_timeout, usual.idle_timeout));
        assert_eq!(zeros.write_timeout, usual.write_timeout);
        let seven = HttpServer {
            read_header_timeout: GoDuration::from_secs(7),
            read_timeout: GoDuration::from_secs(8),
            write_timeout: GoDuration::from_secs(9),
            idle_timeout: GoDuration::from_secs(10),
            ..HttpServer::default()
        };
        let times = of(seven);
        let times = [times.header_timeout, times.body_timeout, times.write_timeout, times.idle_timeout];
        assert_eq!(times, [7, 8, 9, 10].map(Duration::from_secs));
    }

    #[test]
    fn connections_are_bounded_as_written_on_both_protocols() {
        let of = |max_connections, max_connections_per_ip, trusted_proxies: Vec<String>| {
            let proxies = trusted_proxies.clone();
            let grpc = GrpcServer { max_connections, max_connections_per_ip, trusted_proxies, ..GrpcServer::default() };
            let http = HttpServer {
                max_connections,
                max_connections_per_ip,
                trusted_proxies: proxies,
                ..HttpServer::default()
            };
            [grpc_listener(&grpc), http_listener(&http)]
        };
        for usual in of(0, 0, Vec::new()) {
            assert_eq!((usual.connections, usual.connections_per_ip, usual.trusted_proxies.len()), (4096, 256, 0));
        }
        for written in of(10, 5, vec!["10.0.0.0/8".to_owned()]) {
            assert_eq!((written.connections, written.connections_per_ip), (10, 5));
            assert!(written.trusted_proxies[0].contains([10, 1, 2, 3].into()));
        }
    }
}
