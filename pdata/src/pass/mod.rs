//! The fused pass: adjacent item-level processors run in one walk over a batch.
//!
//! A [`Chain`] is built once per pipeline from its [`Step`]s. For each batch it walks request → resource → scope →
//! (metric →) item, shows every message to each step in order, and copies what nobody changed. A batch that nobody changed
//! comes out as the same `Bytes`.
//!
//! Running a chain gives what running its steps one after another would give. Where one walk cannot promise that, because a
//! step observes at an outer level what an earlier step may have changed inside, the planner starts a new walk
//! ([`Hooks::observes`]).
//!
//! Envelopes must be plain ([`crate::framing`]): at most one resource, scope and data field each.

mod chain;
mod out;
mod step;
mod walk;

pub use chain::{Chain, Passed, Progress, Run};
pub use step::{BatchState, Cx, Hooks, Level, MetricHead, Reason, Step, Verdict};
pub use walk::Scratch;

pub(crate) use out::Out;
