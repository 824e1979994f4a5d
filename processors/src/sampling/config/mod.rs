//! Policies with upstream's fields, and rules: plain data. [`super::Sampler`] checks them when it compiles them.

mod policy;
mod rule;

pub use policy::{
    AndConfig, BooleanAttributeConfig, BytesLimitingConfig, CompositeConfig, DropConfig, LatencyConfig, NotConfig,
    NumericAttributeConfig, OttlConditionConfig, PolicyConfig, PolicyType, ProbabilisticConfig, RateAllocationConfig,
    RateLimitingConfig, SpanCountConfig, StatusCodeConfig, StringAttributeConfig, TraceStateConfig,
};
pub use rule::{ActionConfig, RateConfig, RuleConfig, WhenConfig};
