//! Delivery: from a destination's cursor on the spine to its exporter.
//!
//! One reader and a bounded number of senders per destination. The reader takes what is readable, `merge` puts records into
//! payloads by concatenation, a `sender` tries one payload until its fate is known, and completes each record it was made
//! of. While a destination fails, the `gate` lets one attempt at a time probe it; its backlog stays in the spine, and no
//! other destination notices.

mod fate;
mod gate;
mod merge;
mod pump;
mod sender;

#[cfg(test)]
mod tests;

pub use merge::Merge;
pub use pump::{Parts, Pump, forget};
