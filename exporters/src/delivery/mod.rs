//! Delivery: from a destination's cursor on the spine to its exporter.
//!
//! One reader and a bounded number of senders per destination. The reader takes what is readable, `merge` puts records into
//! payloads by concatenation, a `sender` tries one payload until its fate is known, and completes each record it was made
//! of. The `gate` says when: a destination that fails is probed by one attempt at a time; its backlog stays in the spine, and
//! no other destination notices. What a destination will never take is found by the `poison` search, and goes to the dead
//! letters.
//!
//! | file | what it decides |
//! |---|---|
//! | `pump` | what is read, and by whom it is sent |
//! | `merge` | what goes into one payload |
//! | `gate` | when a payload may be read and tried: `breaker`, `budget`, `concurrency` and `congestion` together |
//! | `sender` | what an answer means, and when to try again |
//! | `poison`, `piece` | which items of a refused payload are to blame |
//! | `fate` | what became of each record |
//! | `age`, `learned` | what is too old, and what is too large |

mod age;
mod breaker;
mod budget;
mod caught;
mod concurrency;
mod congestion;
mod fate;
mod gate;
mod learned;
mod merge;
mod metrics;
mod piece;
mod poison;
mod pump;
mod sender;

#[cfg(test)]
mod tests;

pub use merge::Merge;
pub use metrics::forget;
pub use pump::{Parts, Pump};
