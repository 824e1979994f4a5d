//! Processors `attributes` and `resource`: insert, update, upsert, delete, hash, extract and convert attributes.
//!
//! `attributes` acts on spans, log records and data points, optionally only on those that `include`/`exclude` select;
//! `resource` acts on resources. Both are steps of the fused pass with the same actions.

mod action;
mod config;
mod convert;
mod matcher;
mod step;

#[cfg(test)]
mod tests;

pub use config::{
    Action, ActionKind, AttributesConfig, ConvertedType, Library, MatchAttribute, MatchProperties, MatchType, ResourceConfig,
    SeverityNumberMatch,
};
pub use step::{AttributesStep, ResourceStep};
