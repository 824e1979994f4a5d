//! `service::telemetry`: the collector's own logs and metrics (collector-compat §1.11).

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use crate::decode::{GoDuration, Problems, decode, word};
use crate::diagnostic::Diagnostic;
use crate::service::resource::ResourceAttributes;
use crate::tree::Node;

/// `service::telemetry`.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The collector's log.
    pub logs: Logs,
    /// The collector's metrics.
    pub metrics: Metrics,
    /// The collector's traces; accepted as it is, off unless a processor is given.
    pub traces: Option<Node>,
    /// Attributes of the collector's own resource.
    pub resource: ResourceAttributes,
}

/// `logs`.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// Least severity that is logged.
    pub level: LogLevel,
    /// Stack traces from WARN on, and no sampling.
    pub development: bool,
    /// Shape of a line.
    pub encoding: Encoding,
    /// Leave out file and line.
    pub disable_caller: bool,
    /// Leave out stack traces.
    pub disable_stacktrace: bool,
    /// Repeated messages.
    pub sampling: Sampling,
    /// Files, `stdout` or `stderr`.
    pub output_paths: Vec<String>,
    /// Where errors of the logger itself go.
    pub error_output_paths: Vec<String>,
    /// Fields of every line.
    pub initial_fields: BTreeMap<String, Node>,
    /// Leave the resource out of the lines.
    pub disable_zap_resource: bool,
    /// Log processors; accepted as they are.
    pub processors: Vec<Node>,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            development: false,
            encoding: Encoding::Console,
            disable_caller: false,
            disable_stacktrace: false,
            sampling: Sampling::default(),
            output_paths: vec!["stderr".to_owned()],
            error_output_paths: vec!["stderr".to_owned()],
            initial_fields: BTreeMap::new(),
            disable_zap_resource: false,
            processors: Vec::new(),
        }
    }
}

/// `logs::sampling`: of equal messages within `tick`, the first `initial` and then every `thereafter`-th are logged.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Whether messages are sampled.
    pub enabled: bool,
    /// The interval.
    pub tick: GoDuration,
    /// Messages let through first.
    pub initial: u64,
    /// Then one of so many.
    pub thereafter: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { enabled: true, tick: GoDuration::from_secs(10), initial: 10, thereafter: 100 }
    }
}

/// An enum of words, read without regard to case, with upstream's text for a word it does not know.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $error:literal, $(empty = $empty:ident,)? { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// The word in configuration.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = word(deserializer, crate::one_of!($($word),*))?;
                match text.to_ascii_lowercase().as_str() {
                    $($word => Ok($name::$variant),)*
                    $("" => Ok($name::$empty),)?
                    _ => Err(D::Error::custom(format_args!(concat!($error, " {}; write one of", $(" ", $word,)*), crate::quote(&text)))),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}

words! {
    /// Severity of the collector's log lines.
    LogLevel, "unrecognized level:", empty = Info, {
        /// Everything.
        Debug = "debug",
        /// The default.
        Info = "info",
        /// Something needs attention.
        Warn = "warn",
        /// Something failed.
        Error = "error",
        /// As error.
        Dpanic = "dpanic",
        /// As error.
        Panic = "panic",
        /// As error.
        Fatal = "fatal",
    }
}

words! {
    /// Shape of a log line.
    Encoding, "no encoder registered for name", {
        /// For people.
        Console = "console",
        /// For programs.
        Json = "json",
    }
}

words! {
    /// How much the collector tells of itself.
    MetricsLevel, "unknown metrics level", empty = Normal, {
        /// No metrics.
        None = "none",
        /// The essential ones.
        Basic = "basic",
        /// The default.
        Normal = "normal",
        /// All.
        Detailed = "detailed",
    }
}

/// `metrics`.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// How many metrics.
    pub level: MetricsLevel,
    /// Who gets them. Default: a Prometheus endpoint on `localhost:8888`.
    pub readers: Vec<Reader>,
    /// Accepted only at level `detailed`.
    pub views: Vec<Node>,
    /// Removed upstream in 0.123; means one pull reader on that address.
    pub address: Option<String>,
}

impl Default for Metrics {
    fn default() -> Self {
        let prometheus = Some(PrometheusReader::default());
        let reader = Reader { pull: Some(Pull { exporter: PullExporter { prometheus } }), periodic: None };
        Self { level: MetricsLevel::Normal, readers: vec![reader], views: Vec::new(), address: None }
    }
}

/// One of `metrics::readers`.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reader {
    /// Scraped.
    pub pull: Option<Pull>,
    /// Pushed.
    pub periodic: Option<Periodic>,
}

impl Reader {
    /// The Prometheus endpoint of this reader, if it is one.
    pub fn prometheus(&self) -> Option<&PrometheusReader> {
        self.pull.as_ref().and_then(|pull| pull.exporter.prometheus.as_ref())
    }
}

/// `pull`.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pull {
    /// How it is exposed.
    pub exporter: PullExporter,
}

/// `pull::exporter`.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PullExporter {
    /// A Prometheus endpoint.
    pub prometheus: Option<PrometheusReader>,
}

/// `pull::exporter::prometheus`. All three flags default to true (collector-compat §8).
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrometheusReader {
    /// Listen address.
    pub host: String,
    /// Listen port.
    pub port: u16,
    /// No `otel_scope_*` labels and no `otel_scope_info`.
    pub without_scope_info: bool,
    /// No unit suffixes.
    pub without_units: bool,
    /// No `_total`.
    pub without_type_suffix: bool,
    /// Resource attributes that become labels of every series.
    pub with_resource_constant_labels: ConstantLabels,
}

impl Default for PrometheusReader {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 8888,
            without_scope_info: true,
            without_units: true,
            without_type_suffix: true,
            with_resource_constant_labels: ConstantLabels::default(),
        }
    }
}

/// `with_resource_constant_labels`.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConstantLabels {
    /// Patterns of attributes that are labels.
    pub included: Vec<String>,
    /// Patterns of attributes that are not.
    pub excluded: Vec<String>,
}

/// `periodic`.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Periodic {
    /// Milliseconds between two exports.
    pub interval: u64,
    /// Milliseconds one export may take.
    pub timeout: u64,
    /// The exporter as written, for example `{otlp: {protocol: grpc, endpoint: …}}`.
    pub exporter: Option<Node>,
}

impl Default for Periodic {
    fn default() -> Self {
        Self { interval: 60_000, timeout: 30_000, exporter: None }
    }
}

/// Decodes and validates the section; defaults if it is wrong.
pub(super) fn read(node: &Node, found: &mut Vec<Diagnostic>) -> Telemetry {
    let node = node.clone().with_label("service::telemetry");
    let mut telemetry = match decode::<Telemetry>(&node) {
        Ok(telemetry) => telemetry,
        Err(problems) => {
            found.extend(problems);
            return Telemetry::default();
        }
    };
    let mut problems = Problems::new(&node);
    let metrics = &mut telemetry.metrics;
    if let Some(address) = metrics.address.take() {
        match host_port(&address) {
            Some((host, port)) => {
                let prometheus = Some(PrometheusReader { host, port, ..PrometheusReader::default() });
                let pull = Some(Pull { exporter: PullExporter { prometheus } });
                metrics.readers = vec![Reader { pull, periodic: None }];
                problems.add("W0516", "metrics::address", "`address` was replaced by a pull reader").help =
                    Some(format!("readers: [{{pull: {{exporter: {{prometheus: {{host, port}}}}}}}}] on {address}"));
            }
            None => {
                problems.error("metrics::address", "`address` must be host:port");
            }
        }
    }
    if metrics.level != MetricsLevel::None && metrics.readers.is_empty() {
        let text = "collector telemetry metrics reader should exist when metric level is not none";
        problems.error("metrics::readers", text);
    }
    for (index, reader) in metrics.readers.iter().enumerate() {
        if reader.prometheus().is_none() && reader.periodic.is_none() {
            problems.error(&format!("metrics::readers::{index}"), "no valid metric exporter");
        }
    }
    if !metrics.views.is_empty() && metrics.level != MetricsLevel::Detailed {
        let text =
            "service::telemetry::metrics::views can only be set when service::telemetry::metrics::level is detailed";
        problems.error("metrics::views", text);
    }
    if telemetry.resource.legacy {
        let text = "attributes directly under `resource` are the old form";
        problems.add("W0516", "resource", text).help =
            Some("write resource: {attributes: [{name: …, value: …}]}".to_owned());
    }
    found.extend(problems.into_diagnostics());
    telemetry
}

fn host_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.parse().ok()?))
}
