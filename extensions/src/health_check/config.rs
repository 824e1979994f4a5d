//! Upstream's fields.

use serde::{Deserialize, Serialize};
use sluice_config::{Node, Problems};
use sluice_pipeline::blocks::HttpServer;
use sluice_pipeline::factory::{Validate, field};

/// `extensions: health_check:`, on `localhost:13133` unless written.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    #[serde(rename = "..server")]
    pub server: HttpServer,
    /// What is asked for.
    pub path: String,
    /// Instead of the answers in JSON.
    pub response_body: Option<ResponseBody>,
    /// Read and not used, as upstream has it.
    pub check_collector_pipeline: Option<Node>,
}

/// `response_body`: what is answered instead of JSON.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseBody {
    /// While data is taken.
    pub healthy: String,
    /// Otherwise.
    pub unhealthy: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            server: HttpServer::default(),
            path: "/".to_owned(),
            response_body: None,
            check_collector_pipeline: None,
        }
    }
}

impl Config {
    /// Where to listen.
    pub fn endpoint(&self) -> &str {
        if self.server.endpoint.is_empty() { "localhost:13133" } else { &self.server.endpoint }
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        self.server.validate(at, problems);
        if !self.path.starts_with('/') {
            problems.error(&field(at, "path"), "path must start with /");
        }
        if self.check_collector_pipeline.is_some() {
            let text =
                "`check_collector_pipeline` has no effect: the queues are told by `sluice_destination_*` metrics";
            problems.add("N0602", &field(at, "check_collector_pipeline"), text);
        }
        for (name, written) in [("auth", self.server.auth.is_some()), ("cors", self.server.cors.is_some())] {
            if written {
                problems.error(&field(at, name), format!("`{name}` is not available here"));
            }
        }
    }
}
