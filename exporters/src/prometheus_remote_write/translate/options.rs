//! What can be chosen about the translation.

use serde::{Deserialize, Serialize};

use super::{LabelNamer, LeFormat, MetricNamer};

/// How metric and label names are written (`translation_strategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Strategy {
    /// Legacy names, with unit and type suffixes.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Legacy names as they are.
    UnderscoreEscapingWithoutSuffixes,
    /// UTF-8 names, with unit and type suffixes.
    NoUTF8EscapingWithSuffixes,
    /// Names verbatim.
    NoTranslation,
}

impl Strategy {
    /// Whether names keep to the legacy character set.
    pub fn escapes(self) -> bool {
        matches!(self, Strategy::UnderscoreEscapingWithSuffixes | Strategy::UnderscoreEscapingWithoutSuffixes)
    }

    /// Whether metric names get suffixes.
    pub fn suffixes(self) -> bool {
        matches!(self, Strategy::UnderscoreEscapingWithSuffixes | Strategy::NoUTF8EscapingWithSuffixes)
    }
}

/// Whose reading of the translation is followed where they differ. Sets defaults; explicit options win.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Compat {
    /// As Prometheus 3 does.
    #[default]
    #[serde(rename = "prometheus")]
    Prometheus,
    /// As the OpenTelemetry specification says.
    #[serde(rename = "otel-spec")]
    OtelSpec,
}

/// What happens to histograms with custom buckets where the message cannot hold them (`nhcb_on_v1`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NhcbOnV1 {
    /// They go out as `_bucket`, `_sum` and `_count`.
    #[default]
    Classic,
    Drop,
}

/// The translation of one exporter.
#[derive(Clone, Debug)]
pub struct Options {
    pub strategy: Strategy,
    pub compat: Compat,
    /// Put in front of metric names; empty for none.
    pub namespace: String,
    /// Labels that series get which lack them, by name.
    pub external_labels: Vec<(String, String)>,
    /// Resource attributes that become labels, unless `promote_all_resource_attributes`.
    pub promote_resource_attributes: Vec<String>,
    pub promote_all_resource_attributes: bool,
    /// Those that do not, where all do.
    pub ignore_resource_attributes: Vec<String>,
    /// `service.*` stay on `target_info`.
    pub keep_identifying_resource_attributes: bool,
    /// `otel_scope_*` labels.
    pub scope_labels: bool,
    /// A label with one leading underscore gets `key` in front.
    pub label_name_underscore_sanitization: bool,
    pub label_name_preserve_multiple_underscores: bool,
    pub le_format: LeFormat,
    pub target_info: bool,
    /// The last `target_info` of a target gets a staleness marker when its labels change.
    pub stale_on_change: bool,
    pub send_exemplars: bool,
    pub send_native_histograms: bool,
    /// Histograms with explicit bounds become native ones with custom buckets, in version 2.
    pub convert_histograms_to_nhcb: bool,
    /// And in version 1.
    pub nhcb_on_v1: NhcbOnV1,
    /// Samples further ahead of now are dropped, in milliseconds; 0 for no limit.
    pub max_future_ms: i64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            strategy: Strategy::default(),
            compat: Compat::default(),
            namespace: String::new(),
            external_labels: Vec::new(),
            promote_resource_attributes: Vec::new(),
            promote_all_resource_attributes: false,
            ignore_resource_attributes: Vec::new(),
            keep_identifying_resource_attributes: false,
            scope_labels: true,
            label_name_underscore_sanitization: true,
            label_name_preserve_multiple_underscores: true,
            le_format: LeFormat::default(),
            target_info: true,
            stale_on_change: true,
            send_exemplars: true,
            send_native_histograms: true,
            convert_histograms_to_nhcb: false,
            nhcb_on_v1: NhcbOnV1::default(),
            max_future_ms: 0,
        }
    }
}

impl Options {
    /// Names of metrics.
    pub fn metric_namer(&self) -> MetricNamer {
        MetricNamer { strategy: self.strategy, compat: self.compat, namespace: self.namespace.clone() }
    }

    /// Names of labels.
    pub fn label_namer(&self) -> LabelNamer {
        LabelNamer {
            utf8: !self.strategy.escapes(),
            prefix_single_underscore: self.label_name_underscore_sanitization,
            preserve_multiple_underscores: self.label_name_preserve_multiple_underscores,
        }
    }

    /// Whether a resource attribute becomes a label of every series.
    pub fn promotes(&self, key: &[u8]) -> bool {
        let listed = |list: &[String]| list.iter().any(|listed| listed.as_bytes() == key);
        if self.promote_all_resource_attributes {
            !listed(&self.ignore_resource_attributes)
        } else {
            listed(&self.promote_resource_attributes)
        }
    }
}
