//! The journal: a durable, segmented log with a cursor for each destination. Bytes in, bytes out; it knows nothing of
//! telemetry, and imports no other room.
//!
//! Records are appended in commit groups: one write, one sync, and only then the answer. Every destination reads with a
//! cursor of its own; a segment is deleted when no cursor needs it. Whatever happens to the process, the machine or the disk,
//! what was answered with success is delivered or its loss is counted.
//!
//! It must never: answer before the sync; give out a sequence twice; delete what a cursor on disk still wants; believe a
//! length before its checksum; retry on a file handle that failed; refuse to open because of damage.
//!
//! File system, clock and randomness are arguments. Everything is synchronous: [`threads::run`] drives a journal in the
//! product, the simulation step by step on a simulated disk.
//!
//! | file | what it defines |
//! |---|---|
//! | [`Journal`] | the journal as its users see it |
//! | `recovery/` | opening whatever is on the disk |
//! | `format/` | what is on disk, as pure functions |
//! | `writer`, `roll`, `group`, `queue` | appending: commit groups, write failures |
//! | `reader`, `chain_reader`, `tail`, `scan`, `walk` | reading, from memory and from segments |
//! | `dest`, `cursors`, `slots` | destinations, their cursors, and where those are kept |
//! | `keeper` | upkeep: `reclaim`, `compaction`, `space`, `room` (quotas), `audit` (damage), `quarantine` |
//! | [`dlq`] | dead letters |
//! | [`vfs`], [`clock`], [`rng`], [`observer`] | what comes in as an argument |
//! | [`threads`], `pace`, `upkeep` | the two threads of a running journal, and when they wake |
//! | `sim/` | the simulated disk, the workload and its oracle |

mod audit;
mod bugs;
mod chain_reader;
mod checksum;
pub mod clock;
mod codec;
mod compaction;
mod config;
mod cursors;
mod dest;
pub mod dlq;
mod error;
mod format;
mod group;
mod journal;
mod keeper;
mod names;
pub mod observer;
mod pace;
mod quarantine;
mod queue;
mod reader;
mod reclaim;
mod record;
mod recovery;
pub mod rng;
mod roll;
mod room;
mod route;
mod scan;
mod segment;
#[cfg(any(test, feature = "simulation"))]
pub mod sim;
mod slots;
mod space;
mod state;
mod tail;
mod tally;
#[cfg(test)]
mod tests;
pub mod threads;
mod upkeep;
pub mod vfs;
mod walk;
mod writer;

#[cfg(any(test, feature = "simulation"))]
pub use bugs::Bug;
pub use bugs::Bugs;
pub use config::{Config, DestSpec, OnQuota, Quota};
pub use error::Error;
pub use format::routes::NAME_BYTES;
pub use journal::Journal;
pub use queue::Answer;
pub use record::{Attachment, CONTEXT_BYTES, Entry, ReadLimit, Record, SeqRange};
pub use recovery::{Parts, Recovered};
pub use route::{Dest, RouteSet};
pub use state::Stats;
pub use tally::{Items, SIGNALS, Tally};
