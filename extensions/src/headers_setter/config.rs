//! Upstream's fields.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sluice_config::{Problems, Secret};
use sluice_net::http::HeaderName;
use sluice_pipeline::factory::{Validate, field};

/// `extensions: headers_setter:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// At least one; they are gone through in order.
    pub headers: Vec<Header>,
    /// Another authenticator, whose headers come on top.
    pub additional_auth: Option<String>,
}

/// What is done to one header.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Header {
    /// `insert`, `update`, `upsert` (default) or `delete`.
    pub action: String,
    /// The header.
    pub key: String,
    /// The value as it is.
    pub value: Option<Secret>,
    /// A file with the value; read again when it changes.
    pub value_file: Option<PathBuf>,
    /// A header of the request that brought the data.
    pub from_context: Option<String>,
    /// An attribute of who sent the data, as its authenticator says; ours: `subject`, `tenant`.
    pub from_attribute: Option<String>,
    /// Where `from_context` and `from_attribute` find nothing.
    pub default_value: Option<Secret>,
}

const ACTIONS: [&str; 4] = ["insert", "update", "upsert", "delete"];
/// What of a request the exporter alone knows.
const RESERVED: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "grpc-encoding",
    "grpc-timeout",
    "host",
    "te",
    "transfer-encoding",
];
/// Headers of senders that are never kept.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.headers.is_empty() {
            problems.error(&field(at, "headers"), "missing headers configuration");
        }
        for (index, header) in self.headers.iter().enumerate() {
            header.validate(&field(at, &format!("headers::{index}")), problems);
        }
    }
}

impl Validate for Header {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.key.is_empty() {
            problems.error(at, "missing header name");
        } else if self.key.parse::<HeaderName>().is_err() {
            problems.error(&field(at, "key"), format!("invalid header name {:?}", self.key));
        } else if RESERVED.iter().any(|name| name.eq_ignore_ascii_case(&self.key)) {
            problems.error(&field(at, "key"), format!("header {:?} is the exporter's to set", self.key));
        }
        if !self.action.is_empty() && !ACTIONS.contains(&self.action.as_str()) {
            let text = format!("unknown action {:?}", self.action);
            problems.add("E0106", &field(at, "action"), &text).help = Some(format!("write {}", ACTIONS.join(", ")));
        }
        if self.action != "delete" {
            let sources = [
                self.value.is_some(),
                self.value_file.is_some(),
                self.from_context.is_some(),
                self.from_attribute.is_some(),
            ];
            match sources.into_iter().filter(|given| *given).count() {
                0 => {
                    let text =
                        "missing header source, must be 'from_context', 'from_attribute', 'value', or 'value_file'";
                    problems.error(at, text);
                }
                1 => {}
                _ => {
                    let text = "invalid header source, must be only one of 'from_context', 'from_attribute', 'value', or 'value_file'";
                    problems.error(at, text);
                }
            }
        }
        let passed_on = |name: &String| CREDENTIALS.iter().any(|known| known.eq_ignore_ascii_case(name));
        if let Some(name) = self.from_context.as_ref().filter(|name| passed_on(name)) {
            let text = format!("header {name:?} of a request is a credential: it is not kept, and cannot be passed on");
            problems.error(&field(at, "from_context"), text).help =
                Some("use `from_attribute`, or name an authenticator with credentials of its own".to_owned());
        }
        if self.from_attribute.as_deref() == Some("raw") {
            let text = "\"raw\" is the credential itself: it is not kept, and cannot be passed on";
            problems.error(&field(at, "from_attribute"), text).help =
                Some("name an authenticator with credentials of its own".to_owned());
        }
    }
}
