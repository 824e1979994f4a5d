//! Fields of the exporter, under upstream's names (collector-compat §2.4, §6.1).

use serde::{Deserialize, Serialize};
use sluice_config::{Problems, Toggle};
use sluice_pipeline::blocks::{GrpcClient, Protection, Retry, SendingQueue, Timeout};
use sluice_pipeline::exporter::Delivery;
use sluice_pipeline::factory::{Validate, field};

/// `exporters: otlp_grpc:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    #[serde(rename = "..client")]
    pub client: GrpcClient,
    #[serde(rename = "..timeout")]
    pub timeout: Timeout,
    /// What waits for the destination.
    pub sending_queue: Toggle<SendingQueue>,
    /// How attempts are repeated.
    pub retry_on_failure: Toggle<Retry>,
    #[serde(rename = "..protection")]
    pub protection: Protection,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            client: GrpcClient::default(),
            timeout: Timeout::default(),
            sending_queue: Toggle::on(),
            retry_on_failure: Toggle::on(),
            protection: Protection::default(),
        }
    }
}

impl Config {
    /// The name of the compression; gzip unless written.
    pub fn compression(&self) -> &str {
        self.client.compression.as_deref().unwrap_or("gzip")
    }

    /// The blocks that the delivery helper reads.
    pub fn delivery(&self) -> Delivery {
        Delivery {
            queue: self.sending_queue.as_ref().cloned(),
            retry: self.retry_on_failure.as_ref().copied(),
            timeout: *self.timeout.timeout,
            protection: self.protection,
            partition: Vec::new(),
        }
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.client.endpoint.is_empty() {
            problems.add("E0104", &field(at, "endpoint"), "requires a non-empty \"endpoint\"").help =
                Some("add `endpoint: host:4317`".to_owned());
        }
        self.client.validate(at, problems);
        if let Some(queue) = self.sending_queue.as_ref() {
            queue.validate(&field(at, "sending_queue"), problems);
        }
        if let Some(retry) = self.retry_on_failure.as_ref() {
            retry.validate(&field(at, "retry_on_failure"), problems);
        }
        self.protection.validate(at, problems);
    }
}

#[cfg(test)]
mod tests {
    use sluice_config::{Args, FixedSources, resolve};

    use super::*;

    #[test]
    fn compression_is_gzip_unless_written() {
        for (written, name) in [("", "gzip"), (", timeout: 3s", "gzip"), (", compression: none", "none")] {
            let text = format!("endpoint: a:1{}\n", written.replace(", ", "\n"));
            let sources = FixedSources::default().file("a.yaml", text.as_str());
            let args = Args { configs: vec!["a.yaml".into()], ..Args::default() };
            let config: Config = sluice_config::decode(&resolve(&args, &sources).unwrap().root).unwrap();
            assert_eq!(config.compression(), name, "{written:?}");
        }
    }
}
