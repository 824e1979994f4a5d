//! `redaction`: removes secrets and personal data from every string-bearing place of OTLP.
//!
//! Upstream's fields keep their names and meaning; built-in detectors with validators come on top. The processor is a step
//! of the fused pass: one search over the whole request finds candidates, and only values that hold one are looked at.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | the block as written |
//! | `pattern`, `split` | the user's patterns |
//! | `scan`, `digits` | candidates in the raw bytes of a request |
//! | [`detect`] | the built-in detectors, one file each |
//! | `source`, `engine` | the compiled block |
//! | `key_plan` | what a key decides |
//! | `leaf`, `number`, `findings`, `confidence`, `allow`, `decide`, `replace` | judging and editing one value |
//! | `hash`, `url` | hashes and join tokens, URL paths |
//! | `step`, `visit`, `summary`, `telemetry` | the step of the fused pass, its walk, summary attributes, metrics |

mod allow;
mod confidence;
pub mod config;
mod counts;
mod decide;
pub mod detect;
mod digits;
mod engine;
mod error;
mod factory;
mod findings;
mod hash;
mod key_plan;
mod leaf;
mod number;
mod pattern;
mod place;
mod replace;
mod scan;
mod source;
mod split;
mod step;
mod summary;
mod taint;
mod telemetry;
mod url;
mod visit;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use counts::{Counts, FailClosed, Suppressed, Tally};
pub use engine::{Engine, Scratch};
pub use error::RedactionError;
pub use factory::RedactionFactory;
pub use leaf::{Dropped, KeyVerdict, Leaf, LeafVerdict};
pub use place::Place;
pub use scan::Candidates;
pub use step::Redaction;
