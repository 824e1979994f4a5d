//! Everything a hostile peer can do to the listeners, with good clients beside it: what it is answered, how much memory it costs,
//! and what the good clients notice (security §12).
//!
//! `cargo test -p sluice --test process hostile -- --nocapture` prints the tables. `SLUICE_HOSTILE_SECONDS=3` with a release
//! build on a quiet machine holds good clients to twice their p99 with no more than 20 ms allowed for chance.

mod arena;
mod ask;
mod bombs;
mod connections;
mod floods;
mod frames;
mod good;
mod malformed;
mod raw;
mod refused;
mod resident;
mod slow;
mod table;
