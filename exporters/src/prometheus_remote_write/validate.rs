//! What is wrong with a config, in upstream's words where upstream has them.

use sluice_config::Problems;
use sluice_net::http::Uri;
use sluice_pipeline::factory::{Validate, field};

use super::config::Config;
use super::sender::RESERVED_HEADERS;

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        self.client(at, problems);
        self.queue(at, problems);
        self.batches(at, problems);
        self.labels(at, problems);
        self.promotion(at, problems);
        if let Some(retry) = self.retry_on_failure.as_ref() {
            retry.validate(&field(at, "retry_on_failure"), problems);
        }
        let absent = [
            ("sigv4", self.sigv4.is_some()),
            ("azuread", self.azuread.is_some()),
            ("google_iam", self.google_iam.is_some()),
            ("write_relabel_configs", !self.write_relabel_configs.is_empty()),
        ];
        for (name, written) in absent {
            if written {
                problems.error(&field(at, name), format!("`{name}` is not available in this version"));
            }
        }
    }
}

impl Config {
    fn client(&self, at: &str, problems: &mut Problems<'_>) {
        let at = if self.http.is_some() { field(at, "http") } else { at.to_owned() };
        let client = self.http();
        if endpoint(&client.endpoint).is_none() {
            problems.error(&field(&at, "endpoint"), "invalid endpoint");
        }
        if let Some(other) = client.compression.as_deref().filter(|name| !matches!(*name, "" | "snappy")) {
            let text = format!("compression {other:?} is not supported: remote write is snappy only");
            problems.error(&field(&at, "compression"), text);
        } else {
            client.validate(&at, problems);
        }
        if let Err(text) = crate::client::check_proxy(&client.proxy_url) {
            problems.error(&field(&at, "proxy_url"), text);
        }
        for (name, _) in client.headers.iter() {
            if RESERVED_HEADERS.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
                let text = format!("{name} is a reserved header, it must not be changed");
                problems.error(&field(&at, "headers"), text);
            }
        }
    }

    fn queue(&self, at: &str, problems: &mut Problems<'_>) {
        if let Some(queue) = &self.remote_write_queue {
            let at = field(at, "remote_write_queue");
            if queue.queue_size.is_some_and(|size| size < 0) {
                problems.error(&field(&at, "queue_size"), "remote write queue size can't be negative");
            }
            if queue.enabled && queue.queue_size == Some(0) {
                problems.error(&field(&at, "queue_size"), "a 0 size queue will drop all the data");
            }
            if queue.num_consumers < 0 {
                problems.error(&field(&at, "num_consumers"), "remote write consumer number can't be negative");
            }
            if self.sending_queue.is_some() {
                problems.error(&at, "`remote_write_queue` and `sending_queue` are the same queue: write one of them");
            }
        }
        if let Some(queue) = self.sending_queue.as_ref().and_then(|queue| queue.as_ref()) {
            queue.validate(&field(at, "sending_queue"), problems);
        }
        self.protection.validate(at, problems);
    }

    fn batches(&self, at: &str, problems: &mut Problems<'_>) {
        if self.max_batch_request_parallelism.is_some_and(|parallelism| parallelism < 1) {
            let text = "max_batch_request_parallelism can't be set to below 1";
            problems.error(&field(at, "max_batch_request_parallelism"), text);
        }
        if self.max_batch_size_bytes < 0 {
            let text = "max_batch_byte_size must be greater than 0";
            problems.error(&field(at, "max_batch_size_bytes"), text);
        }
        if self.max_samples_per_send < 1 {
            problems.error(&field(at, "max_samples_per_send"), "`max_samples_per_send` must be positive");
        }
    }

    fn labels(&self, at: &str, problems: &mut Problems<'_>) {
        let at = field(at, "external_labels");
        let namer = self.options().label_namer();
        for (name, value) in &self.external_labels {
            if name.is_empty() || value.is_empty() {
                let text = "prometheus remote write: external labels configuration contains an empty key or value";
                problems.error(&at, text);
            } else if name == "__name__" || namer.build(name).is_none() {
                problems.error(&at, format!("{name:?} is not a valid name of an external label"));
            }
        }
    }

    fn promotion(&self, at: &str, problems: &mut Problems<'_>) {
        let all = self.promote_all_resource_attributes;
        if all && !self.promote_resource_attributes.is_empty() {
            let text = "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured simultaneously";
            problems.error(&field(at, "promote_resource_attributes"), text);
        }
        if !all && !self.ignore_resource_attributes.is_empty() {
            let text = "'ignore_resource_attributes' can only be set when 'promote_all_resource_attributes' is enabled";
            problems.error(&field(at, "ignore_resource_attributes"), text);
        }
    }
}

/// The endpoint, if it is a whole URL.
pub(super) fn endpoint(written: &str) -> Option<Uri> {
    let uri: Uri = written.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    (known && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}
