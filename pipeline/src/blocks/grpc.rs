//! gRPC servers and clients (collector-compat §2.3, §2.4).

use serde::Deserialize;
use sluice_config::{GoDuration, Headers, Problems};
use sluice_net::ListenerLimits;

use super::connections::Connections;
use super::{Auth, Middleware, TlsClient, TlsServer, check_listen};
use crate::factory::{Validate, field};

/// A gRPC listener. Zero means our default, never unlimited (security §5).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcServer {
    pub endpoint: String,
    /// `tcp` (default) or `unix`.
    pub transport: String,
    pub tls: Option<TlsServer>,
    /// Upstream 4 MiB; here the content limits, unless written.
    pub max_recv_msg_size_mib: i64,
    pub max_concurrent_streams: u32,
    pub read_buffer_size: u64,
    pub write_buffer_size: u64,
    pub keepalive: KeepaliveServer,
    pub auth: Option<Auth>,
    pub include_metadata: bool,
    pub middlewares: Vec<Middleware>,
    /// Connections in all.
    pub max_connections: u32,
    /// Connections of one address, or IPv6 network of 64 bits.
    pub max_connections_per_ip: u32,
    /// Addresses and CIDR blocks to which the bound per address does not apply.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeepaliveServer {
    pub server_parameters: ServerParameters,
    pub enforcement_policy: EnforcementPolicy,
}

/// `keepalive::server_parameters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerParameters {
    pub max_connection_idle: Option<GoDuration>,
    pub max_connection_age: Option<GoDuration>,
    pub max_connection_age_grace: Option<GoDuration>,
    pub time: Option<GoDuration>,
    pub timeout: Option<GoDuration>,
}

/// `keepalive::enforcement_policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnforcementPolicy {
    pub min_time: Option<GoDuration>,
    pub permit_without_stream: bool,
}

/// A gRPC client.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcClient {
    /// `host:port`, or with the scheme `http`, `https`, `dns` or `unix`; `https` forces TLS.
    pub endpoint: String,
    /// `gzip`, `snappy`, `zstd` or `none`. Each component has its own default; empty is none.
    pub compression: Option<String>,
    pub tls: TlsClient,
    pub keepalive: KeepaliveClient,
    pub read_buffer_size: u64,
    pub write_buffer_size: u64,
    pub wait_for_ready: bool,
    pub headers: Headers,
    pub user_agent: String,
    pub balancer_name: String,
    pub authority: String,
    pub auth: Option<Auth>,
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
            balancer_name: "round_robin".to_owned(),
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
            let text = format!("invalid balancer_name: {}", self.balancer_name);
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeepaliveClient {
    pub time: GoDuration,
    pub timeout: GoDuration,
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
