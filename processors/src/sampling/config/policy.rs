//! Policies of `tail_sampling`, as upstream's (correlation §11).

use serde::{Deserialize, Serialize};
use sluice_config::text_of_words;
use sluice_config::tree::Node;
use sluice_pipeline::blocks::ErrorMode;

text_of_words!(
    /// What a policy looks at, or what it makes of others.
    PolicyType,
    "always_sample",
    "latency",
    "numeric_attribute",
    "string_attribute",
    "boolean_attribute",
    "status_code",
    "trace_state",
    "trace_flags",
    "span_count",
    "probabilistic",
    "rate_limiting",
    "bytes_limiting",
    "ottl_condition",
    "and",
    "drop",
    "not",
    "composite"
);

/// One policy, or sub-policy. Only the block that is named like the type counts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// Its name, in metrics and explanations.
    pub name: String,
    /// What it looks at, or what it makes of others.
    #[serde(rename = "type")]
    pub kind: PolicyType,
    pub latency: LatencyConfig,
    pub numeric_attribute: NumericAttributeConfig,
    pub string_attribute: StringAttributeConfig,
    pub boolean_attribute: BooleanAttributeConfig,
    pub status_code: StatusCodeConfig,
    pub trace_state: TraceStateConfig,
    /// It has no fields; the block is allowed.
    pub trace_flags: Option<Node>,
    /// It has no fields; the block is allowed.
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
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LatencyConfig {
    /// Longer than this.
    pub threshold_ms: i64,
    /// And not longer than this; 0: no bound.
    pub upper_threshold_ms: i64,
}

/// An integer attribute of a resource or span.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct NumericAttributeConfig {
    /// The attribute.
    pub key: String,
    /// Inclusive; 0: no bound.
    pub min_value: i64,
    /// Inclusive; 0: no bound.
    pub max_value: i64,
    /// Values outside match.
    pub invert_match: bool,
}

/// A string attribute of a resource or span.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StringAttributeConfig {
    /// The attribute.
    pub key: String,
    /// Values that match.
    pub values: Vec<String>,
    /// The values are patterns, found anywhere in the attribute.
    pub enabled_regex_matching: bool,
    /// Without effect: matching is fast enough without a cache.
    pub cache_max_size: i64,
    /// All others match.
    pub invert_match: bool,
}

/// A boolean attribute of a resource or span.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BooleanAttributeConfig {
    /// The attribute.
    pub key: String,
    /// The value that matches.
    pub value: bool,
    /// The other one matches.
    pub invert_match: bool,
}

/// The status of any span.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatusCodeConfig {
    /// `OK`, `ERROR`, `UNSET`.
    pub status_codes: Vec<String>,
}

/// A member of the trace state of any span.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceStateConfig {
    /// The member's key.
    pub key: String,
    /// Values that match.
    pub values: Vec<String>,
}

/// The number of spans.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpanCountConfig {
    /// Inclusive.
    pub min_spans: i32,
    /// Inclusive; 0: no bound.
    pub max_spans: i32,
}

/// A share of the traces.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbabilisticConfig {
    /// If given, the decision is the Go Collector's hash of salt and trace id, and no threshold is written.
    pub hash_salt: String,
    /// 0 to 100.
    pub sampling_percentage: f64,
}

/// A number of spans per second.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitingConfig {
    /// The rate.
    pub spans_per_second: i64,
    /// 0: twice the rate.
    pub burst_capacity: i64,
}

/// A number of bytes per second.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BytesLimitingConfig {
    /// The rate.
    pub bytes_per_second: i64,
    /// 0: twice the rate.
    pub burst_capacity: i64,
}

/// OTTL conditions of which one must hold for a span or an event.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OttlConditionConfig {
    /// What happens to a condition that cannot be evaluated.
    pub error_mode: ErrorMode,
    /// Conditions of spans.
    pub span: Vec<String>,
    /// Conditions of span events.
    pub spanevent: Vec<String>,
}

/// All must match.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AndConfig {
    /// The policies.
    pub and_sub_policy: Vec<PolicyConfig>,
}

/// If all match, the trace is dropped, whatever other policies say.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropConfig {
    /// The policies.
    pub drop_sub_policy: Vec<PolicyConfig>,
}

/// The opposite.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotConfig {
    /// The policy.
    pub not_sub_policy: Option<Box<PolicyConfig>>,
}

/// Sub-policies that share a number of spans per second.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompositeConfig {
    /// Of all of them together.
    pub max_total_spans_per_second: i64,
    /// Their names, in the order in which they are asked.
    pub policy_order: Vec<String>,
    /// The policies.
    pub composite_sub_policy: Vec<PolicyConfig>,
    /// Shares of the rate.
    pub rate_allocation: Vec<RateAllocationConfig>,
}

/// The share of one sub-policy.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateAllocationConfig {
    /// Its name.
    pub policy: String,
    /// Of `max_total_spans_per_second`.
    pub percent: i64,
}
