//! Content limits (security §6): what one item, and what is around it, may hold.
//!
//! Resources, scopes, spans, events, links and log records are trimmed, and what was left out is added to their
//! `dropped_*_count`. What identifies a metric series is never trimmed, because that would merge series: the points are
//! rejected. So are items nested too deep, with ids of a length that no id has, or with buckets that do not fit their bounds.
//!
//! | file | concept |
//! |---|---|
//! | `shape` | the messages, as far as limits apply to them |
//! | `inspect` | whether a message is over a limit |
//! | `trim` | the message within its limits |
//! | `step` | the limits as a step of the fused pass, in front of all others |

mod inspect;
mod shape;
mod step;
mod trim;

#[cfg(test)]
mod tests;

use sluice_config::service::{LimitAction, Limits};
use sluice_pdata::pass::Reason;

use crate::ledger::reasons::{INVALID, LIMIT_CARDINALITY, LIMIT_DEPTH, LIMIT_SIZE};

pub use step::LimitStep;

/// The limits, as a step needs them.
#[derive(Clone, Copy, Debug)]
pub struct ContentLimits {
    value_depth: usize,
    attributes: usize,
    key_bytes: usize,
    identity_value_bytes: usize,
    payload_value_bytes: usize,
    events: usize,
    links: usize,
    exemplars: usize,
    buckets: usize,
    quantiles: usize,
    /// Whether an item is rejected where it could be trimmed.
    reject: bool,
}

impl From<&Limits> for ContentLimits {
    fn from(limits: &Limits) -> Self {
        let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        ContentLimits {
            // Deeper ones would be a danger to the stack.
            value_depth: limits.value_depth.min(1_000) as usize,
            attributes: size(limits.attributes),
            key_bytes: size(limits.key_bytes.0),
            identity_value_bytes: size(limits.identity_value_bytes.0),
            payload_value_bytes: size(limits.payload_value_bytes.0),
            events: size(limits.events),
            links: size(limits.links),
            exemplars: size(limits.exemplars),
            buckets: size(limits.buckets),
            quantiles: size(limits.quantiles),
            reject: limits.action == LimitAction::Reject,
        }
    }
}

/// Which limit was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    ValueDepth,
    Attributes,
    KeyBytes,
    IdentityValueBytes,
    PayloadValueBytes,
    Events,
    Links,
    Exemplars,
    Buckets,
    Quantiles,
    /// Not configurable: 0 or 16 bytes for trace ids, 0 or 8 for span ids.
    IdLength,
    /// Not configurable: one bucket more than bounds.
    BucketBounds,
}

impl Limit {
    const ALL: [Limit; 12] = [
        Limit::ValueDepth,
        Limit::Attributes,
        Limit::KeyBytes,
        Limit::IdentityValueBytes,
        Limit::PayloadValueBytes,
        Limit::Events,
        Limit::Links,
        Limit::Exemplars,
        Limit::Buckets,
        Limit::Quantiles,
        Limit::IdLength,
        Limit::BucketBounds,
    ];

    /// The value of the label `limit`: the name in the configuration, where there is one.
    const fn name(self) -> &'static str {
        match self {
            Limit::ValueDepth => "value_depth",
            Limit::Attributes => "attributes",
            Limit::KeyBytes => "key_bytes",
            Limit::IdentityValueBytes => "identity_value_bytes",
            Limit::PayloadValueBytes => "payload_value_bytes",
            Limit::Events => "events",
            Limit::Links => "links",
            Limit::Exemplars => "exemplars",
            Limit::Buckets => "buckets",
            Limit::Quantiles => "quantiles",
            Limit::IdLength => "id_length",
            Limit::BucketBounds => "bucket_bounds",
        }
    }

    /// The ledger's reason for items that are rejected.
    const fn reason(self) -> Reason {
        match self {
            Limit::ValueDepth => LIMIT_DEPTH,
            Limit::KeyBytes | Limit::IdentityValueBytes | Limit::PayloadValueBytes => LIMIT_SIZE,
            Limit::IdLength | Limit::BucketBounds => INVALID,
            _ => LIMIT_CARDINALITY,
        }
    }
}

/// What has to be done about a message over a limit; the later the graver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Remedy {
    /// Something goes that identifies nothing: an event, an exemplar.
    Cut,
    /// Something is shortened or goes that may identify a series.
    Trim,
    Reject,
}

/// The gravest excess of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Excess {
    limit: Limit,
    remedy: Remedy,
}
