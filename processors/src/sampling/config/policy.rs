//! Policies of `tail_sampling`, as upstream's (correlation §11).

use serde::Deserialize;
use sluice_config::tree::Node;

/// One policy, or sub-policy. Only the block that is named like the type counts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub latency: LatencyConfig,
    pub numeric_attribute: NumericAttributeConfig,
    pub string_attribute: StringAttributeConfig,
    pub boolean_attribute: BooleanAttributeConfig,
    pub status_code: StatusCodeConfig,
    pub trace_state: TraceStateConfig,
    /// It has no fields; the block is allowed.
    pub trace_flags: Option<Node>,
    pub always_sample: Option<Node>,
    pub span_count: SpanCountConfig,
    pub probabilistic: ProbabilisticConfig,
    pub rate_limiting: RateLimitingConfig,
    pub bytes_limiting: BytesLimitingConfig,
    pub ottl_condition: OttlConditionConfig,
    pub and: AndConfig,
    pub drop: DropConfig,
    pub not: NotConfig,
    pub composite: CompositeConfig,
}

/// How long the trace takes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LatencyConfig {
    /// Longer than this.
    pub threshold_ms: i64,
    /// And not longer than this; 0: no bound.
    pub upper_threshold_ms: i64,
}

/// An integer attribute of a resource or span.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NumericAttributeConfig {
    pub key: String,
    /// Inclusive; 0: no bound.
    pub min_value: i64,
    /// Inclusive; 0: no bound.
    pub max_value: i64,
    pub invert_match: bool,
}

/// A string attribute of a resource or span.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StringAttributeConfig {
    pub key: String,
    pub values: Vec<String>,
    /// The values are patterns, found anywhere in the attribute.
    pub enabled_regex_matching: bool,
    /// Without effect: matching is fast enough without a cache.
    pub cache_max_size: i64,
    pub invert_match: bool,
}

/// A boolean attribute of a resource or span.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BooleanAttributeConfig {
    pub key: String,
    pub value: bool,
    pub invert_match: bool,
}

/// The status of any span.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatusCodeConfig {
    /// `OK`, `ERROR`, `UNSET`.
    pub status_codes: Vec<String>,
}

/// A member of the trace state of any span.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceStateConfig {
    pub key: String,
    pub values: Vec<String>,
}

/// The number of spans.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpanCountConfig {
    /// Inclusive.
    pub min_spans: i32,
    /// Inclusive; 0: no bound.
    pub max_spans: i32,
}

/// A share of the traces.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbabilisticConfig {
    /// If given, the decision is the Go Collector's hash of salt and trace id, and no threshold is written.
    pub hash_salt: String,
    /// 0 to 100.
    pub sampling_percentage: f64,
}

/// A number of spans per second.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitingConfig {
    pub spans_per_second: i64,
    /// 0: twice the rate.
    pub burst_capacity: i64,
}

/// A number of bytes per second.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BytesLimitingConfig {
    pub bytes_per_second: i64,
    /// 0: twice the rate.
    pub burst_capacity: i64,
}

/// OTTL conditions of which one must hold for a span or an event.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OttlConditionConfig {
    pub error_mode: String,
    pub span: Vec<String>,
    pub spanevent: Vec<String>,
}

/// All must match.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AndConfig {
    pub and_sub_policy: Vec<PolicyConfig>,
}

/// If all match, the trace is dropped, whatever other policies say.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropConfig {
    pub drop_sub_policy: Vec<PolicyConfig>,
}

/// The opposite.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotConfig {
    pub not_sub_policy: Option<Box<PolicyConfig>>,
}

/// Sub-policies that share a number of spans per second.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompositeConfig {
    pub max_total_spans_per_second: i64,
    pub policy_order: Vec<String>,
    pub composite_sub_policy: Vec<PolicyConfig>,
    pub rate_allocation: Vec<RateAllocationConfig>,
}

/// The share of one sub-policy.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateAllocationConfig {
    pub policy: String,
    /// Of `max_total_spans_per_second`.
    pub percent: i64,
}
