//! The loss ledger (delivery §10): every item is in exactly one place, at every instant.
//!
//! - Pipeline: `admitted + created = appended + discarded + in_pass`. Refused requests are not admitted.
//! - Stage and connector: `consumed + created = emitted + dropped + held`.
//! - Destination: `restored + routed = delivered + dropped + parked + backlog`.
//!
//! Each account has one lock, so that its snapshot is consistent. Left minus right is the conservation error: zero, always.

mod account;
mod book;
mod publish;
pub mod reasons;

pub use account::{DestinationAccount, InPass, PipelineAccount, StageAccount, Tally};
pub use book::{AccountSnapshot, Ledger, Snapshot};

#[cfg(test)]
mod tests;
