//! Fields of the receiver, under upstream's names and with upstream's defaults (collector-compat §2.1, §2.3, §3.1).

use serde::Deserialize;
use sluice_config::{GoDuration, Headers, Problems, Toggle};

/// `receivers: otlp:`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub protocols: Protocols,
}

/// A protocol is on if its key is there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protocols {
    pub grpc: Toggle<GrpcServer>,
    pub http: Toggle<HttpServer>,
}

/// `protocols: grpc:`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcServer {
    pub endpoint: String,
    /// `tcp` only, for now.
    pub transport: String,
    pub tls: Toggle<ServerTls>,
    /// 0 for the limits of `security.md` §6: 20 MiB on the wire, 64 MiB decompressed. Else both.
    pub max_recv_msg_size_mib: i64,
    /// 0 for 100.
    pub max_concurrent_streams: u32,
    /// Accepted; the transport sizes its buffers itself.
    pub read_buffer_size: i64,
    /// Accepted; as above.
    pub write_buffer_size: i64,
    pub keepalive: Toggle<Keepalive>,
    pub include_metadata: bool,
}

impl Default for GrpcServer {
    fn default() -> Self {
        GrpcServer {
            endpoint: "localhost:4317".to_owned(),
            transport: "tcp".to_owned(),
            tls: Toggle::default(),
            max_recv_msg_size_mib: 0,
            max_concurrent_streams: 0,
            read_buffer_size: 512 * 1024,
            write_buffer_size: 0,
            keepalive: Toggle::default(),
            include_metadata: false,
        }
    }
}

/// `keepalive:` of a gRPC server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keepalive {
    pub server_parameters: Toggle<KeepaliveServer>,
    /// Accepted; pings of clients are not held against them below the flood limits.
    pub enforcement_policy: Toggle<KeepaliveEnforcement>,
}

/// `keepalive::server_parameters:`. Zero means our default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeepaliveServer {
    pub max_connection_idle: GoDuration,
    pub max_connection_age: GoDuration,
    pub max_connection_age_grace: GoDuration,
    pub time: GoDuration,
    pub timeout: GoDuration,
}

/// `keepalive::enforcement_policy:`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeepaliveEnforcement {
    pub min_time: GoDuration,
    pub permit_without_stream: bool,
}

/// `protocols: http:`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpServer {
    pub endpoint: String,
    pub transport: String,
    pub tls: Toggle<ServerTls>,
    /// Bytes, on the wire and decompressed; 0 for the limits of `security.md` §6.
    pub max_request_body_size: i64,
    pub include_metadata: bool,
    pub response_headers: Headers,
    pub traces_url_path: String,
    pub metrics_url_path: String,
    pub logs_url_path: String,
    /// Zero means our default, here and below.
    pub read_timeout: GoDuration,
    pub read_header_timeout: GoDuration,
    pub write_timeout: GoDuration,
    pub idle_timeout: GoDuration,
    pub keep_alives_enabled: bool,
}

impl Default for HttpServer {
    fn default() -> Self {
        HttpServer {
            endpoint: "localhost:4318".to_owned(),
            transport: "tcp".to_owned(),
            tls: Toggle::default(),
            max_request_body_size: 0,
            include_metadata: false,
            response_headers: Headers::default(),
            traces_url_path: "/v1/traces".to_owned(),
            metrics_url_path: "/v1/metrics".to_owned(),
            logs_url_path: "/v1/logs".to_owned(),
            read_timeout: GoDuration::default(),
            read_header_timeout: GoDuration::default(),
            write_timeout: GoDuration::default(),
            idle_timeout: GoDuration::default(),
            keep_alives_enabled: true,
        }
    }
}

/// `tls:` of a server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerTls {
    pub ca_file: String,
    pub ca_pem: String,
    pub cert_file: String,
    pub cert_pem: String,
    pub key_file: String,
    pub key_pem: String,
    pub min_version: String,
    pub max_version: String,
    pub cipher_suites: Vec<String>,
    pub curve_preferences: Vec<String>,
    pub include_system_ca_certs_pool: bool,
    pub reload_interval: GoDuration,
    /// Clients must show a certificate of this authority.
    pub client_ca_file: String,
    pub client_ca_file_reload: bool,
}

impl Config {
    /// What the decoder cannot see. Texts are upstream's.
    pub fn validate(&self, problems: &mut Problems<'_>) {
        if !self.protocols.grpc.is_on() && !self.protocols.http.is_on() {
            problems.error("", "must specify at least one protocol when using the OTLP receiver");
        }
        if let Some(grpc) = self.protocols.grpc.as_ref() {
            endpoint(&grpc.endpoint, &grpc.transport, "protocols::grpc", problems);
            if !(0..=2047).contains(&grpc.max_recv_msg_size_mib) {
                problems.error(
                    "protocols::grpc::max_recv_msg_size_mib",
                    "invalid max_recv_msg_size_mib value, must be between 1 and 2047",
                );
            }
        }
        if let Some(http) = self.protocols.http.as_ref() {
            endpoint(&http.endpoint, &http.transport, "protocols::http", problems);
            let paths = [
                ("traces_url_path", &http.traces_url_path),
                ("metrics_url_path", &http.metrics_url_path),
                ("logs_url_path", &http.logs_url_path),
            ];
            for (field, path) in paths {
                if path.is_empty() {
                    problems.error(&format!("protocols::http::{field}"), format!("{field} must not be empty"));
                }
            }
        }
    }
}

fn endpoint(endpoint: &str, transport: &str, path: &str, problems: &mut Problems<'_>) {
    if !matches!(transport, "tcp" | "tcp4" | "tcp6" | "") {
        problems.error(&format!("{path}::transport"), format!("transport {transport:?} is not supported, use tcp"));
    }
    match endpoint.rsplit_once(':') {
        None => {
            problems.error(&format!("{path}::endpoint"), format!("endpoint {endpoint:?} has no port"));
        }
        Some((_, port)) if port.parse::<u16>().is_err() => {
            problems.error(&format!("{path}::endpoint"), format!("invalid port {port:?}"));
        }
        Some(_) => {}
    }
}
