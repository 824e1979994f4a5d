//! The trace window: what `correlate` and `tail_sampling` share (correlation §4). Spans and logs are held per trace until they
//! have met, or until their trace is decided; then they leave as they came, in the envelopes they came in.
//!
//! An [`Engine`] belongs to one stage, which is one reader of the spine: there is one shard, and no lock inside. It has no clock;
//! time comes with each call. Decisions are made by a [`Judge`].
//!
//! | module | what it holds |
//! |---|---|
//! | [`settings`], [`statistics`] | what goes in and what is counted |
//! | [`judge`] | who decides |
//! | `engine/` | what happens to an item, step by step |
//! | `slab`, `index`, `entry` | tables, with the size of each entry |
//! | `wheel` | time |
//! | `payload`, `inputs`, `outbox` | what is held, where it came from, and how it leaves |
//! | `origin`, `source`, `symbols`, `errors` | envelopes, resources, texts |
//! | `lag` | how long to wait |
//! | `verdict_cache`, `cuckoo`, `note` | verdicts of traces that have left, also across a restart |
//! | `exemplar`, `candidates` | exemplars that wait for a verdict, and spans that could stand as some |
//! | `cleanse` | values that redaction found are removed from the rest of their trace |
//! | [`attach`], `written` | what logs and spans learn of one another |

pub mod attach;
mod candidates;
mod cleanse;
mod cuckoo;
mod engine;
mod entry;
mod errors;
mod exemplar;
mod index;
mod inputs;
pub mod judge;
mod lag;
mod note;
mod origin;
mod outbox;
mod payload;
pub mod settings;
mod slab;
mod source;
mod stage;
pub mod statistics;
mod symbols;
mod verdict_cache;
mod wheel;
mod written;

#[cfg(test)]
mod tests;

pub use attach::{LogField, SpanField};
pub use engine::{Engine, SharedEngine, Window};
pub use judge::Judge;
pub use settings::{Attach, Deciding, ExemplarSettings, LogHold, OnLost, Settings, TaintSettings};
pub use stage::{Timing, WindowStage};
pub use statistics::{DecisionCount, DecisionKind, ExemplarOutcome, LAG_BOUNDS_MS, Outcome, Statistics, Trigger};
