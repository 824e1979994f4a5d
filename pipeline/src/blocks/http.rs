//! HTTP servers and clients (collector-compat §2.1, §2.2).

use serde::{Deserialize, Serialize};
use sluice_config::{GoDuration, Headers, Problems};
use sluice_net::ListenerLimits;

use super::connections::Connections;
use super::{Auth, COMPRESSIONS, HttpCompression, Middleware, TlsClient, TlsServer, check_compression, check_listen};
use crate::factory::{Validate, field};

/// An HTTP listener. Zero means our default, never unlimited (security §5).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpServer {
    /// `host:port`; of the transport `unix`, the path of the socket.
    pub endpoint: String,
    /// `tcp` (default), `tcp4`, `tcp6` or `unix`.
    pub transport: String,
    /// TLS of the listener; without it, plain text.
    pub tls: Option<TlsServer>,
    /// Which pages of other origins may send.
    pub cors: Option<Cors>,
    /// Who may send: an extension that authenticates.
    pub auth: Option<Auth>,
    /// Upstream 20 MiB, of the body as sent and as inflated; here the content limits, unless written.
    pub max_request_body_size: i64,
    /// Keep request headers, for those components that read them.
    pub include_metadata: bool,
    /// Added to each answer.
    pub response_headers: Headers,
    /// Encodings that are read; all that we know unless written.
    pub compression_algorithms: Option<Vec<String>>,
    /// For a whole request; 0 for our default.
    pub read_timeout: GoDuration,
    /// Upstream 60 s; here as long as a head takes that is not held back on purpose (security §5).
    pub read_header_timeout: GoDuration,
    /// For an answer.
    pub write_timeout: GoDuration,
    /// A connection without requests for this long is ended.
    pub idle_timeout: GoDuration,
    /// Several requests on one connection.
    pub keep_alives_enabled: bool,
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

impl Default for HttpServer {
    fn default() -> Self {
        HttpServer {
            endpoint: String::new(),
            transport: String::new(),
            tls: None,
            cors: None,
            auth: None,
            max_request_body_size: 0,
            include_metadata: false,
            response_headers: Headers::default(),
            compression_algorithms: None,
            read_timeout: GoDuration::default(),
            read_header_timeout: GoDuration::from_secs(5),
            write_timeout: GoDuration::from_secs(30),
            idle_timeout: GoDuration::from_secs(60),
            keep_alives_enabled: true,
            middlewares: Vec::new(),
            max_connections: 0,
            max_connections_per_ip: 0,
            trusted_proxies: Vec::new(),
            allow_insecure: false,
        }
    }
}

impl HttpServer {
    /// Most bytes of a body, if written.
    pub fn max_body_bytes(&self) -> Option<u64> {
        u64::try_from(self.max_request_body_size).ok().filter(|&bytes| bytes > 0)
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

impl Validate for HttpServer {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        check_listen(at, &self.endpoint, &self.transport, problems);
        self.connections().validate(at, problems);
        for (index, name) in self.compression_algorithms.iter().flatten().enumerate() {
            if !COMPRESSIONS.contains(&name.as_str()) {
                let path = field(at, &format!("compression_algorithms::{index}"));
                problems.error(&path, format!("unsupported compression type {name:?}"));
            }
        }
        if let Some(cors) = &self.cors
            && cors.allowed_origins.is_empty()
            && !cors.allowed_headers.is_empty()
        {
            let text = "cors: allowed_headers without allowed_origins has no effect";
            problems.add("W0518", &field(at, "cors::allowed_headers"), text);
        }
        if let Some(tls) = &self.tls {
            tls.validate(&field(at, "tls"), problems);
        }
    }
}

/// `cors`. Credentials are always allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Origins that may send; `*` stands for any text.
    pub allowed_origins: Vec<String>,
    /// Headers that they may set.
    pub allowed_headers: Vec<String>,
    /// Headers of answers that they may read.
    pub exposed_headers: Vec<String>,
    /// Seconds that browsers may remember the answer.
    pub max_age: i64,
}

/// An HTTP client.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpClient {
    /// URL.
    pub endpoint: String,
    /// URL of a proxy, instead of the one that the environment names.
    pub proxy_url: String,
    /// TLS of the connection, for `https`.
    pub tls: TlsClient,
    /// Read, and without effect.
    pub read_buffer_size: u64,
    /// Read, and without effect.
    pub write_buffer_size: u64,
    /// Of one attempt; zero for none. Each component has its own default.
    pub timeout: Option<GoDuration>,
    /// Sent with each request.
    pub headers: Headers,
    /// An extension that authenticates this client.
    pub auth: Option<Auth>,
    /// Each component has its own default; empty is none.
    pub compression: Option<HttpCompression>,
    /// Settings of the compression.
    pub compression_params: CompressionParams,
    /// Read, and without effect.
    pub max_idle_conns: u32,
    /// Connections kept for later; 0 for our default.
    pub max_idle_conns_per_host: u32,
    /// Read, and without effect.
    pub max_conns_per_host: u32,
    /// A connection without requests for this long is closed.
    pub idle_conn_timeout: GoDuration,
    /// A connection for each request.
    pub disable_keep_alives: bool,
    /// After so much silence an HTTP/2 connection is pinged; 0 for never.
    pub http2_read_idle_timeout: GoDuration,
    /// How long that may be unanswered.
    pub http2_ping_timeout: GoDuration,
    /// Offer HTTP/2.
    pub force_attempt_http2: bool,
    /// Read; an entry is refused, because no middleware is available.
    pub middlewares: Vec<Middleware>,
}

impl Default for HttpClient {
    fn default() -> Self {
        HttpClient {
            endpoint: String::new(),
            proxy_url: String::new(),
            tls: TlsClient::default(),
            read_buffer_size: 0,
            write_buffer_size: 0,
            timeout: None,
            headers: Headers::default(),
            auth: None,
            compression: None,
            compression_params: CompressionParams::default(),
            max_idle_conns: 100,
            max_idle_conns_per_host: 0,
            max_conns_per_host: 0,
            idle_conn_timeout: GoDuration::from_secs(90),
            disable_keep_alives: false,
            http2_read_idle_timeout: GoDuration::default(),
            http2_ping_timeout: GoDuration::from_secs(15),
            force_attempt_http2: true,
            middlewares: Vec::new(),
        }
    }
}

impl Validate for HttpClient {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        check_compression(at, self.compression.as_deref().unwrap_or_default(), problems);
        self.tls.validate(&field(at, "tls"), problems);
    }
}

/// `compression_params`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionParams {
    /// Of the algorithm; 0 for its default.
    pub level: i32,
}
