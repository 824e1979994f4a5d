//! Correlated telemetry from a seed, and an oracle that knows what can be made of it.
//!
//! A virtual shop serves virtual customers: each request becomes a trace of spans, logs inside and outside of them, and metrics
//! with exemplars. Each process has an SDK of its own that exports by timer, a clock that may be off, and a network that may be
//! late, repeat and lose. What comes out are the requests that a collector would receive, in order of arrival, and the truth
//! behind them.
//!
//! Everything here is a function of its arguments: no clock, no I/O, no randomness but that of the seed. The same settings give
//! the same bytes (on one machine: logarithms and the like are those of its mathematical library).
//!
//! | module | what it holds |
//! |---|---|
//! | [`settings`] | what is generated |
//! | [`shop`] | the scenario: exports in order of arrival |
//! | [`stream`] | single requests of one signal, for load |
//! | [`truth`] | what really happened |
//! | [`secrets`] | what was planted to be found |
//! | [`oracle`] | what is the best that a collector can make of it |
//!
//! # How often signals find each other
//!
//! `cargo test -p sluice-generator --test figures -- --nocapture` prints the table that the defaults of `correlate` come from,
//! for this shop with the default timers of SDKs (seed 1, 12 instances of each service, ten minutes), beside the figures of the
//! design in brackets:
//!
//! | wait | 0 s | 1 s | 1.5 s | 2 s | 3 s | 5 s |
//! |---|---|---|---|---|---|---|
//! | logs that find their span | 9.8 % (9) | 29.9 % (28) | 39.4 % | 49.7 % (48) | 69.4 % (68) | 99.9 % (99.4) |
//! | spans that have all their logs | 89.9 % (90) | 100.0 % (99.9) | 100.0 % (100) | 100.0 % | 100.0 % | 100.0 % |
//! | traces complete after root arrival | 24.8 % (8) | 46.3 % (39) | 55.2 % | 63.5 % (59) | 81.4 % (70) | 100.0 % (100) |
//!
//! The second row is of the spans that have logs at all; most client spans have none. The third row differs from the design,
//! and is meant to: most requests of this shop touch two to five processes and only orders about ten, as all of the design's
//! do; every process more is another timer to wait for. Both agree on what matters: nothing but waiting out the timer completes the rest.

pub mod encode;
mod metrics;
pub mod oracle;
mod random;
pub mod secrets;
pub mod settings;
pub mod shop;
pub mod stream;
pub mod truth;

pub use random::Random;
pub use settings::{Error, Settings};
pub use shop::{Export, Shop};
pub use truth::Truth;

/// The attribute by which the truth knows a log record: its number, in hexadecimal.
pub const UID: &str = "log.record.uid";
