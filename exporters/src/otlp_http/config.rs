//! Fields of the exporter, under upstream's names (collector-compat §2.2, §6.1).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_config::{Problems, Toggle, text_of_words};
use sluice_pipeline::blocks::{HttpClient, Protection, Retry, SendingQueue};
use sluice_pipeline::exporter::Delivery;
use sluice_pipeline::factory::{Validate, field};

use super::body::Compression;
use super::endpoints;

text_of_words!(
    /// How payloads are written.
    PayloadEncoding, "proto", "json"
);

/// `exporters: otlp_http:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    #[serde(rename = "..client")]
    pub client: HttpClient,
    /// Whole URLs, each instead of `endpoint` for its signal.
    pub traces_endpoint: String,
    /// The same for metrics.
    pub metrics_endpoint: String,
    /// The same for logs.
    pub logs_endpoint: String,
    /// Read and not used: there is no such signal here.
    pub profiles_endpoint: String,
    /// `proto` or `json`.
    pub encoding: PayloadEncoding,
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
            client: HttpClient::default(),
            traces_endpoint: String::new(),
            metrics_endpoint: String::new(),
            logs_endpoint: String::new(),
            profiles_endpoint: String::new(),
            encoding: "proto".into(),
            sending_queue: Toggle::on(),
            retry_on_failure: Toggle::on(),
            protection: Protection::default(),
        }
    }
}

impl Config {
    /// The blocks that the delivery helper reads.
    pub fn delivery(&self) -> Delivery {
        Delivery {
            queue: self.sending_queue.as_ref().cloned(),
            retry: self.retry_on_failure.as_ref().copied(),
            timeout: self.timeout(),
            protection: self.protection,
            partition: Vec::new(),
        }
    }

    /// Of one attempt; 30 s unless written, zero for none.
    pub fn timeout(&self) -> Duration {
        self.client.timeout.map_or(Duration::from_secs(30), |written| *written)
    }

    /// The name of the compression; gzip unless written.
    pub fn compression(&self) -> &str {
        self.client.compression.as_deref().unwrap_or("gzip")
    }

    /// The endpoints of single signals, with their names.
    pub(super) fn of_signals(&self) -> [(&'static str, &str); 4] {
        [
            ("traces_endpoint", &self.traces_endpoint),
            ("metrics_endpoint", &self.metrics_endpoint),
            ("logs_endpoint", &self.logs_endpoint),
            ("profiles_endpoint", &self.profiles_endpoint),
        ]
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        let client = &self.client;
        let of_signals = self.of_signals();
        if client.endpoint.is_empty() && of_signals.iter().all(|(_, written)| written.is_empty()) {
            problems.error(&field(at, "endpoint"), "at least one endpoint must be specified");
        }
        for (name, written) in [("endpoint", client.endpoint.as_str())].into_iter().chain(of_signals) {
            let base = name == "endpoint";
            if !written.is_empty()
                && let Err(text) = endpoints::check(written, base)
            {
                problems.error(&field(at, name), text);
            }
        }
        if !matches!(self.encoding.as_str(), "proto" | "json") {
            problems.error(&field(at, "encoding"), format!("invalid encoding type: {}", self.encoding.as_str()));
        }
        client.validate(at, problems);
        if let Err(text) = Compression::new(self.compression(), client.compression_params.level) {
            problems.error(&field(at, "compression"), text);
        }
        if let Err(text) = crate::client::check_proxy(&client.proxy_url) {
            problems.error(&field(at, "proxy_url"), text);
        }
        if !client.middlewares.is_empty() {
            problems.error(&field(at, "middlewares"), "`middlewares` is not available in this version");
        }
        if let Some(queue) = self.sending_queue.as_ref() {
            queue.validate(&field(at, "sending_queue"), problems);
        }
        if let Some(retry) = self.retry_on_failure.as_ref() {
            retry.validate(&field(at, "retry_on_failure"), problems);
        }
        self.protection.validate(at, problems);
    }
}
