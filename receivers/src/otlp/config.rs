//! Fields of the receiver, under upstream's names and with upstream's defaults (collector-compat §3.1). The servers' fields
//! are the shared blocks.

use serde::{Deserialize, Serialize};
use sluice_config::{Problems, Toggle};
use sluice_pipeline::blocks::{GrpcServer, HttpServer};
use sluice_pipeline::factory::{Validate, field};

/// `receivers: otlp:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What is spoken. At least one.
    pub protocols: Protocols,
}

/// A protocol is on if its key is there.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protocols {
    /// OTLP/gRPC.
    pub grpc: Toggle<GrpcProtocol>,
    /// OTLP/HTTP.
    pub http: Toggle<HttpProtocol>,
}

/// `protocols: grpc:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcProtocol {
    #[serde(rename = "..server")]
    pub server: GrpcServer,
}

const GRPC: &str = "localhost:4317";
const HTTP: &str = "localhost:4318";

impl Default for GrpcProtocol {
    fn default() -> Self {
        GrpcProtocol { server: GrpcServer { endpoint: GRPC.to_owned(), ..GrpcServer::default() } }
    }
}

impl GrpcProtocol {
    /// Where to listen. As soon as any field of the block is written, the block's own default counts for the others, and that
    /// is no address.
    pub fn endpoint(&self) -> &str {
        if self.server.endpoint.is_empty() { GRPC } else { &self.server.endpoint }
    }
}

/// `protocols: http:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpProtocol {
    #[serde(rename = "..server")]
    pub server: HttpServer,
    /// Where traces are posted.
    pub traces_url_path: String,
    /// Where metrics are posted.
    pub metrics_url_path: String,
    /// Where logs are posted.
    pub logs_url_path: String,
}

impl Default for HttpProtocol {
    fn default() -> Self {
        HttpProtocol {
            server: HttpServer { endpoint: HTTP.to_owned(), ..HttpServer::default() },
            traces_url_path: "/v1/traces".to_owned(),
            metrics_url_path: "/v1/metrics".to_owned(),
            logs_url_path: "/v1/logs".to_owned(),
        }
    }
}

impl HttpProtocol {
    /// Where to listen.
    pub fn endpoint(&self) -> &str {
        if self.server.endpoint.is_empty() { HTTP } else { &self.server.endpoint }
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

#[cfg(test)]
mod tests {
    use sluice_config::{Args, FixedSources, resolve};

    use super::*;

    fn endpoints(protocols: &str) -> [String; 2] {
        let sources = FixedSources::default().file("a.yaml", format!("protocols: {protocols}\n").as_str());
        let args = Args { configs: vec!["a.yaml".into()], ..Args::default() };
        let config: Config = sluice_config::decode(&resolve(&args, &sources).unwrap().root).unwrap();
        let (grpc, http) = (config.protocols.grpc.as_ref().unwrap(), config.protocols.http.as_ref().unwrap());
        [grpc.endpoint().to_owned(), http.endpoint().to_owned()]
    }

    #[test]
    fn the_usual_addresses_hold_whatever_else_is_written() {
        let usual = ["localhost:4317", "localhost:4318"];
        assert_eq!(endpoints("{grpc: , http: }"), usual);
        assert_eq!(endpoints("{grpc: {max_recv_msg_size_mib: 4}, http: {include_metadata: true}}"), usual);
        assert_eq!(endpoints("{grpc: {endpoint: 'a:1'}, http: {endpoint: 'b:2'}}"), ["a:1", "b:2"]);
    }
}
