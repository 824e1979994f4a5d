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

pub mod config;
pub mod decision;
pub mod facts;
pub mod leaves;
pub mod sampler;
pub mod threshold;
pub mod trace_state;

pub use config::{PolicyConfig, RuleConfig};
pub use decision::{Decision, RuleIndex, Weight};
pub use facts::{LogItem, SpanItem, TraceFacts};
pub use leaves::Leaves;
pub use sampler::{PolicyOptions, Sampler};
pub use threshold::Threshold;
