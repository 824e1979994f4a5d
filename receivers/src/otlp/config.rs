//! Fields of the receiver, under upstream's names and with upstream's defaults (collector-compat §3.1). The servers' fields
//! are the shared blocks.

use serde::Deserialize;
use sluice_config::{Problems, Toggle};
use sluice_pipeline::blocks::{GrpcServer, HttpServer};
use sluice_pipeline::factory::{Validate, field};

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
    pub grpc: Toggle<GrpcProtocol>,
    pub http: Toggle<HttpProtocol>,
}

/// `protocols: grpc:`, on `localhost:4317` unless written.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcProtocol {
    #[serde(rename = "..server")]
    pub server: GrpcServer,
}

impl Default for GrpcProtocol {
    fn default() -> Self {
        GrpcProtocol { server: GrpcServer { endpoint: "localhost:4317".to_owned(), ..GrpcServer::default() } }
    }
}

/// `protocols: http:`, on `localhost:4318` unless written.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpProtocol {
    #[serde(rename = "..server")]
    pub server: HttpServer,
    pub traces_url_path: String,
    pub metrics_url_path: String,
    pub logs_url_path: String,
}

impl Default for HttpProtocol {
    fn default() -> Self {
        HttpProtocol {
            server: HttpServer { endpoint: "localhost:4318".to_owned(), ..HttpServer::default() },
            traces_url_path: "/v1/traces".to_owned(),
            metrics_url_path: "/v1/metrics".to_owned(),
            logs_url_path: "/v1/logs".to_owned(),
        }
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if !self.protocols.grpc.is_on() && !self.protocols.http.is_on() {
            let text = "must specify at least one protocol when using the OTLP receiver";
            problems.add("E0104", at, text).help = Some("add `protocols: {grpc: , http: }`".to_owned());
        }
        if let Some(grpc) = self.protocols.grpc.as_ref() {
            grpc.server.validate(&field(at, "protocols::grpc"), problems);
        }
        if let Some(http) = self.protocols.http.as_ref() {
            let at = field(at, "protocols::http");
            http.server.validate(&at, problems);
            let paths = [
                ("traces_url_path", &http.traces_url_path),
                ("metrics_url_path", &http.metrics_url_path),
                ("logs_url_path", &http.logs_url_path),
            ];
            for (name, path) in paths {
                if path.is_empty() {
                    problems.error(&field(&at, name), format!("{name} must not be empty"));
                }
            }
        }
    }
}
