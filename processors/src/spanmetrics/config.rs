//! Fields of the connector, upstream's and `exemplars::verdicts` (correlation §13).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sluice_config::{GoDuration, Problems};
use sluice_pipeline::factory::{Validate, field};

use super::dimension::DEFAULT_DIMENSIONS;
use super::glob::Glob;

/// Upper bounds of the default buckets, in milliseconds.
pub const DEFAULT_BUCKETS_MS: [f64; 16] =
    [2.0, 4.0, 6.0, 8.0, 10.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1000.0, 1400.0, 2000.0, 5000.0, 10_000.0, 15_000.0];

/// Buckets of an exponential histogram, unless configured.
const DEFAULT_MAX_SIZE: i32 = 160;
/// Fewest and most buckets an exponential histogram can have: what the histogram library of upstream takes.
const MAX_SIZES: std::ops::RangeInclusive<i32> = 2..=16_384;

/// `connectors: span_metrics:`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Further dimensions of all metrics.
    pub dimensions: Vec<Dimension>,
    /// Further dimensions of calls only.
    pub calls_dimensions: Vec<Dimension>,
    /// Default dimensions that are left out.
    pub exclude_dimensions: Vec<String>,
    /// Deprecated, without effect.
    pub dimensions_cache_size: i64,
    /// Resources that are remembered over a flush.
    pub resource_metrics_cache_size: i64,
    /// Resource attributes that tell resources apart; empty: all.
    pub resource_metrics_key_attributes: Vec<String>,
    /// `AGGREGATION_TEMPORALITY_CUMULATIVE` or `AGGREGATION_TEMPORALITY_DELTA`.
    pub aggregation_temporality: String,
    /// How durations are measured.
    pub histogram: Histogram,
    /// How often metrics are sent.
    pub metrics_flush_interval: GoDuration,
    /// A resource without spans for this long is forgotten; 0: never.
    pub metrics_expiration: GoDuration,
    /// A series without spans for this long is forgotten; 0: never.
    pub series_expiration: GoDuration,
    /// Delta: series of which the last flush is remembered.
    pub metric_timestamp_cache_size: i64,
    /// In front of the metric names, with a dot.
    pub namespace: String,
    /// Traces attached to the metrics.
    pub exemplars: Exemplars,
    /// Counts of span events.
    pub events: Events,
    /// Scopes whose name and version become dimensions.
    pub include_instrumentation_scope: Vec<String>,
    /// Series of a metric and resource; 0: only the hard cap over all resources.
    pub aggregation_cardinality_limit: i64,
    /// Accepted: resource attributes are always added, as upstream does without its gate `excludeResourceMetrics`.
    pub add_resource_attributes: bool,
    /// Adds `sampling.method`.
    pub enable_metrics_sampling_method: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            dimensions: Vec::new(),
            calls_dimensions: Vec::new(),
            exclude_dimensions: Vec::new(),
            dimensions_cache_size: 0,
            resource_metrics_cache_size: 1000,
            resource_metrics_key_attributes: Vec::new(),
            aggregation_temporality: "AGGREGATION_TEMPORALITY_CUMULATIVE".into(),
            histogram: Histogram::default(),
            metrics_flush_interval: GoDuration::from_secs(60),
            metrics_expiration: GoDuration::default(),
            series_expiration: GoDuration::default(),
            metric_timestamp_cache_size: 1000,
            namespace: "traces.span.metrics".into(),
            exemplars: Exemplars::default(),
            events: Events::default(),
            include_instrumentation_scope: Vec::new(),
            aggregation_cardinality_limit: 0,
            add_resource_attributes: false,
            enable_metrics_sampling_method: false,
        }
    }
}

/// One dimension: an attribute by name, with what stands in for a missing one, or all attributes that a glob matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dimension {
    /// The attribute.
    pub name: String,
    /// Where it is missing.
    pub default: Option<String>,
    /// Instead of a name: all attributes that it matches.
    pub glob: String,
}

/// `histogram:`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Histogram {
    /// No histogram.
    pub disable: bool,
    /// In what durations are measured.
    pub unit: Unit,
    /// An exponential histogram.
    pub exponential: Option<Exponential>,
    /// One with bounds of its own.
    pub explicit: Option<Explicit>,
    /// Further dimensions of the duration only.
    pub dimensions: Vec<Dimension>,
}

/// In what durations are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Unit {
    #[default]
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "s")]
    Seconds,
}

impl Unit {
    /// As metrics have it.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
        }
    }

    /// Nanoseconds in one.
    pub const fn nanos(self) -> f64 {
        match self {
            Unit::Milliseconds => 1e6,
            Unit::Seconds => 1e9,
        }
    }
}

/// `histogram::exponential:`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exponential {
    /// Most buckets.
    pub max_size: i32,
}

impl Default for Exponential {
    fn default() -> Self {
        Exponential { max_size: DEFAULT_MAX_SIZE }
    }
}

impl Exponential {
    /// Most buckets; 0 means the default, as upstream has it.
    pub fn size(&self) -> usize {
        usize::try_from(self.max_size).ok().filter(|size| *size > 0).unwrap_or(DEFAULT_MAX_SIZE as usize)
    }
}

/// `histogram::explicit:`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Explicit {
    /// Upper bounds.
    pub buckets: Option<Vec<GoDuration>>,
}

/// `exemplars:`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exemplars {
    /// Switches them on.
    pub enabled: bool,
    /// Most of them.
    pub max_per_data_point: i64,
    /// Ours: the component that decides which traces are kept; empty: the only one that decides.
    pub verdicts: String,
}

impl Default for Exemplars {
    fn default() -> Self {
        Exemplars { enabled: false, max_per_data_point: 5, verdicts: String::new() }
    }
}

/// `events:`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// Switches it on.
    pub enabled: bool,
    /// Further dimensions of events, looked up in the event too.
    pub dimensions: Vec<Dimension>,
}

impl Config {
    /// Whether points hold what came since the one before. As upstream, whatever is not delta is cumulative.
    pub fn is_delta(&self) -> bool {
        self.aggregation_temporality == "AGGREGATION_TEMPORALITY_DELTA"
    }

    /// Upper bounds of the explicit buckets, in the unit of the histogram.
    pub fn bounds(&self) -> Vec<f64> {
        let unit = self.histogram.unit.nanos();
        match self.histogram.explicit.as_ref().and_then(|explicit| explicit.buckets.as_ref()) {
            Some(buckets) => buckets.iter().map(|bucket| bucket.as_nanos() as f64 / unit).collect(),
            None => DEFAULT_BUCKETS_MS.iter().map(|bound| bound * 1e6 / unit).collect(),
        }
    }

    /// Whether totals made under `other` can go on under this config.
    pub fn same_series(&self, other: &Config) -> bool {
        let shape = |config: &Config| Config {
            dimensions_cache_size: 0,
            metrics_flush_interval: GoDuration::default(),
            metrics_expiration: GoDuration::default(),
            series_expiration: GoDuration::default(),
            metric_timestamp_cache_size: 0,
            resource_metrics_cache_size: 0,
            aggregation_cardinality_limit: 0,
            exemplars: Exemplars::default(),
            add_resource_attributes: false,
            ..config.clone()
        };
        shape(self) == shape(other)
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        let lists = [
            ("dimensions", &self.dimensions),
            ("calls_dimensions", &self.calls_dimensions),
            ("histogram::dimensions", &self.histogram.dimensions),
        ];
        for (name, list) in lists {
            check_dimensions(&field(at, name), list, problems);
        }
        if self.events.enabled {
            let path = field(at, "events::dimensions");
            if self.events.dimensions.is_empty() {
                problems.error(&path, "no dimensions configured for events");
            }
            check_dimensions(&path, &self.events.dimensions, problems);
        }
        self.check_histogram(at, problems);
        if self.metrics_flush_interval.is_zero() {
            problems.error(&field(at, "metrics_flush_interval"), "must be greater than 0");
        }
        let positive = [
            ("resource_metrics_cache_size", self.resource_metrics_cache_size, true),
            ("metric_timestamp_cache_size", self.metric_timestamp_cache_size, self.is_delta()),
        ];
        for (name, value, used) in positive {
            if used && value <= 0 {
                problems.error(&field(at, name), format!("invalid cache size: {value}, it should be positive"));
            }
        }
        let limit = self.aggregation_cardinality_limit;
        if limit < 0 {
            let text = format!("invalid aggregation_cardinality_limit: {limit}, the limit should be positive");
            problems.error(&field(at, "aggregation_cardinality_limit"), text);
        }
        let most = self.exemplars.max_per_data_point;
        if self.exemplars.enabled && most < 0 {
            let text = format!("invalid max_per_data_point: {most}, the value should be positive");
            problems.error(&field(at, "exemplars::max_per_data_point"), text);
        }
    }
}

impl Config {
    fn check_histogram(&self, at: &str, problems: &mut Problems<'_>) {
        if self.histogram.explicit.is_some() && self.histogram.exponential.is_some() {
            let text = "use either `explicit` or `exponential` buckets histogram";
            problems.error(&field(at, "histogram"), text);
        }
        if let Some(exponential) = &self.histogram.exponential
            && exponential.max_size != 0
            && !MAX_SIZES.contains(&exponential.max_size)
        {
            let text = format!("must be between {} and {}", MAX_SIZES.start(), MAX_SIZES.end());
            problems.error(&field(at, "histogram::exponential::max_size"), text);
        }
        if !self.bounds().is_sorted_by(|low, high| low < high) {
            problems.error(&field(at, "histogram::explicit::buckets"), "buckets must be in increasing order");
        }
    }
}

/// Upstream's rules: a name or a glob, no name twice, none of the defaults, and no glob that matches a name.
fn check_dimensions(at: &str, list: &[Dimension], problems: &mut Problems<'_>) {
    let mut names: BTreeSet<&str> = DEFAULT_DIMENSIONS.into_iter().collect();
    let mut globs = Vec::new();
    for dimension in list {
        match (dimension.name.as_str(), dimension.glob.as_str()) {
            ("", "") => {
                problems.error(at, "dimension entry must set one of `name` or `glob`");
            }
            (name, "") => {
                if !names.insert(name) {
                    problems.error(at, format!("duplicate dimension name {name:?}"));
                }
            }
            ("", glob) if dimension.default.is_some() => {
                problems.error(at, format!("`default` is not supported on `glob` dimension {glob:?}"));
            }
            ("", text) => match Glob::new(text) {
                Some(glob) => globs.push((text, glob)),
                None => {
                    problems.error(at, format!("invalid dimension glob {text:?}"));
                }
            },
            (name, glob) => {
                let both = format!("got both: name={name:?} glob={glob:?}");
                problems.error(at, format!("dimension entry must set only one of `name` or `glob`, {both}"));
            }
        }
    }
    for (text, glob) in &globs {
        for name in names.iter().filter(|name| glob.matches(name.as_bytes())) {
            problems.error(at, format!("duplicate dimension name {name:?} conflicting with glob {text:?}"));
        }
    }
}
