//! What sampling leaves of the truth: a virtual shop, stages one behind the other on virtual time, and what comes out at the end
//! against what really was. `SLUICE_SEEDS` sets how many runs of the shop are compared (3); the first seed is always the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod exemplars;
mod graph;
mod red;
mod series;
