//! gRPC servers and clients (collector-compat §2.3, §2.4).

use serde::{Deserialize, Serialize};
use sluice_config::{GoDuration, Headers, Problems};
use sluice_net::ListenerLimits;

use super::connections::Connections;
use super::{Auth, Balancer, GrpcCompression, Middleware, TlsClient, TlsServer, check_listen};
use crate::factory::{Validate, field};

/// A gRPC listener. Zero means our default, never unlimited (security §5).
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcServer {
    /// `host:port`; of the transport `unix`, the path of the socket.
    pub endpoint: String,
    /// `tcp` (default) or `unix`.
    pub transport: String,
    /// TLS of the listener; without it, plain text.
    pub tls: Option<TlsServer>,
    /// Upstream 4 MiB; here the content limits, unless written.
    pub max_recv_msg_size_mib: i64,
    /// Calls at a time on one connection; 0 for our default.
    pub max_concurrent_streams: u32,
    /// Read, and without effect.
    pub read_buffer_size: u64,
    /// Read, and without effect.
    pub write_buffer_size: u64,
    /// When connections are probed and ended.
    pub keepalive: KeepaliveServer,
    /// Who may send: an extension that authenticates.
    pub auth: Option<Auth>,
    /// Keep request headers, for those components that read them.
    pub include_metadata: bool,
    /// Ids of extensions that see each request, such as `memory_limiter`.
    pub middlewares: Vec<Middleware>,
    /// Connections in all; 0 for our default of 4,096.
    pub max_connections: u32,
    /// Connections of one address, or IPv6 network of 64 bits; 0 for our default of 256.
    pub max_connections_per_ip: u32,
    /// Addresses and blocks such as `10.0.0.0/8` that may have as many as there are.
    pub trusted_proxies: Vec<String>,
    /// Exempt from the exposure rule (security §4.1).
    pub allow_insecure: bool,
}

impl GrpcServer {
    /// Most bytes of a message, if written.
    pub fn max_message_bytes(&self) -> Option<u64> {
        u64::try_from(self.max_recv_msg_size_mib).ok().filter(|&mib| mib > 0).map(|mib| mib << 20)
    }

    /// Sets how many connections may be open, as far as it is written.
    pub fn bound_connections(&self, limits: &mut ListenerLimits) {
        self.connections().apply(limits);
    }

    fn connections(&self) -> Connections<'_> {
        let (most, per_ip) = (self.max_connections, self.max_connections_per_ip);
        Connections { most, per_ip, proxies: &self.trusted_proxies }
    }
}

/// The largest message a protobuf library takes, in MiB.
const MAX_MIB: i64 = 2047;

impl Validate for GrpcServer {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if !(0..=MAX_MIB).contains(&self.max_recv_msg_size_mib) {
            let text = format!("invalid max_recv_msg_size_mib value, must be between 1 and {MAX_MIB}");
            problems.error(&field(at, "max_recv_msg_size_mib"), text);
        }
        check_listen(at, &self.endpoint, &self.transport, problems);
        self.connections().validate(at, problems);
        if let Some(tls) = &self.tls {
            tls.validate(&field(at, "tls"), problems);
        }
    }
}

/// `keepalive` of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeepaliveServer {
    /// What the server does.
    pub server_parameters: ServerParameters,
    /// What clients may do.
    pub enforcement_policy: EnforcementPolicy,
}

/// `keepalive::server_parameters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerParameters {
    /// A connection without calls for this long is ended.
    pub max_connection_idle: Option<GoDuration>,
    /// A connection is asked to end after this long, so that clients look for other replicas.
    pub max_connection_age: Option<GoDuration>,
    /// How long its calls may go on after that.
    pub max_connection_age_grace: Option<GoDuration>,
    /// After so much silence the client is pinged.
    pub time: Option<GoDuration>,
    /// How long a ping may be unanswered.
    pub timeout: Option<GoDuration>,
}

/// `keepalive::enforcement_policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnforcementPolicy {
    /// Clients that ping more often are cut off.
    pub min_time: Option<GoDuration>,
    /// Clients may ping without a call under way.
    pub permit_without_stream: bool,
}

/// A gRPC client.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcClient {
    /// `host:port`, or with the scheme `http`, `https`, `dns` or `unix`; `https` forces TLS.
    pub endpoint: String,
    /// `gzip`, `snappy`, `zstd` or `none`. Each component has its own default; empty is none.
    pub compression: Option<GrpcCompression>,
    /// TLS of the connection: on, unless `insecure`.
    pub tls: TlsClient,
    /// When the connection is probed.
    pub keepalive: KeepaliveClient,
    /// Read, and without effect.
    pub read_buffer_size: u64,
    /// Read, and without effect.
    pub write_buffer_size: u64,
    /// An attempt waits for a connection, instead of failing while there is none.
    pub wait_for_ready: bool,
    /// Sent with each request.
    pub headers: Headers,
    /// Instead of ours.
    pub user_agent: String,
    /// How one of several addresses is chosen.
    pub balancer_name: Balancer,
    /// Instead of the endpoint's, as `:authority`.
    pub authority: String,
    /// An extension that authenticates this client.
    pub auth: Option<Auth>,
    /// Read; an entry is refused, because no middleware is available.
    pub middlewares: Vec<Middleware>,
}

impl Default for GrpcClient {
    fn default() -> Self {
        GrpcClient {
            endpoint: String::new(),
            compression: None,
            tls: TlsClient::default(),
            keepalive: KeepaliveClient::default(),
            read_buffer_size: 0,
            write_buffer_size: 512 * 1024,
            wait_for_ready: false,
            headers: Headers::default(),
            user_agent: String::new(),
            balancer_name: "round_robin".into(),
            authority: String::new(),
            auth: None,
            middlewares: Vec::new(),
        }
    }
}

impl GrpcClient {
    /// The endpoint without its scheme.
    pub fn target(&self) -> &str {
        let endpoint = self.endpoint.trim_start_matches("dns:///");
        endpoint.split_once("://").map_or(endpoint, |(_, target)| target)
    }

    /// Whether the connection is in plain text.
    pub fn is_plain(&self) -> bool {
        if self.endpoint.starts_with("https://") {
            return false;
        }
        self.endpoint.starts_with("http://") || self.endpoint.starts_with("unix:") || self.tls.is_plain()
    }
}

impl Validate for GrpcClient {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if !matches!(self.balancer_name.as_str(), "" | "round_robin" | "pick_first") {
            let text = format!("invalid balancer_name: {}", self.balancer_name.as_str());
            problems.add("E0106", &field(at, "balancer_name"), &text).help =
                Some("write round_robin or pick_first".to_owned());
        }
        let compression = self.compression.as_deref().unwrap_or_default();
        if !matches!(compression, "" | "none" | "gzip" | "snappy" | "zstd") {
            let text = format!("unsupported compression type {compression:?}");
            problems.add("E0106", &field(at, "compression"), &text).help = Some("write gzip, zstd or none".to_owned());
        }
        if !self.endpoint.starts_with("unix:") && !self.endpoint.is_empty() {
            let target = self.target().trim_end_matches('/');
            match target.rsplit_once(':') {
                Some((_, port)) if port.parse::<u16>().is_ok() => {}
                Some((_, port)) if !port.contains(']') => {
                    problems.add("E0211", &field(at, "endpoint"), &format!("invalid port {port:?}")).help = port_help();
                }
                _ if self.endpoint.contains("://") => {}
                _ => {
                    problems.add("E0211", &field(at, "endpoint"), "missing port in address").help = port_help();
                }
            }
        }
        self.tls.validate(&field(at, "tls"), problems);
    }
}

fn port_help() -> Option<String> {
    Some("OTLP/gRPC uses 4317; 4318 is the HTTP port (exporter otlp_http)".to_owned())
}

/// `keepalive` of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeepaliveClient {
    /// After so much silence the server is pinged.
    pub time: GoDuration,
    /// How long a ping may be unanswered.
    pub timeout: GoDuration,
    /// Ping without a call under way, too.
    pub permit_without_stream: bool,
}

impl Default for KeepaliveClient {
    fn default() -> Self {
        KeepaliveClient {
            time: GoDuration::from_secs(10),
            timeout: GoDuration::from_secs(10),
            permit_without_stream: false,
        }
    }
}
