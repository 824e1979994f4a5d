//! Sampling decisions over whole traces: policies and rules, and the arithmetic of consistent probability.
//!
//! Pure: no clock but what is passed in, no I/O. Whoever holds traces back shows each item once, in the pass that reads it
//! ([`Sampler::observe_span`], [`Sampler::observe_log`]), keeps [`TraceFacts`] per trace, and asks for all traces of a tick
//! together ([`Sampler::decide`]), because a rate limit ranks them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | policies with upstream's fields, and rules |
//! | [`threshold`], [`trace_state`] | thresholds, randomness and `ot=th` (correlation §12) |
//! | [`facts`], [`leaves`] | what is known of a trace |
//! | [`sampler`] | the whole |
//! | `compile` | from configuration to `plan` (policies, rules), `node` (their trees), `leaf` (conditions over items) |
//! | `observe` | which leaves hold for an item |
//! | `policies`, `rules`, `early` | how outcomes come together |
//! | `limiter`, `composite`, `hash` | rates, shares, upstream's hash |
//! | [`explain`], `evidence` | why a trace is kept or not |
//! | `aggregate` | conditions over a whole trace |

mod aggregate;
mod compile;
mod composite;
pub mod config;
pub mod count;
pub mod decision;
mod early;
mod evidence;
pub mod explain;
pub mod facts;
mod hash;
mod leaf;
pub mod leaves;
mod limiter;
mod node;
mod observe;
mod plan;
mod policies;
mod rules;
pub mod sampler;
pub mod threshold;
pub mod trace_state;

#[cfg(test)]
mod tests;

pub use config::{PolicyConfig, RuleConfig};
pub use count::{Counted, Outcome, PolicyCounts};
pub use decision::{Decision, RuleIndex, Weight};
pub use early::EarlySigns;
pub use facts::{LogItem, SpanItem, TraceFacts};
pub use leaves::Leaves;
pub use sampler::{LeafTranslation, PolicyOptions, Sampler};
pub use threshold::Threshold;
