//! The contracts between rooms, and what every pipeline shares: admission, the memory spine, the loss ledger,
//! self-telemetry.
//!
//! A receiver reserves memory ([`admission`]), makes a [`batch::Batch`] and hands it to its [`receiver::Ingress`]. The
//! batch runs through the fused steps of each pipeline ([`segment`]) on the receiver's own task, is appended to the
//! [`spine`] once for all destinations, and only then acknowledged. Exporters and stages read from the spine with cursors
//! of their own.
//!
//! Nothing here knows a protocol, opens a socket, or names a component. Clock and randomness come in as arguments.
//!
//! | file | what it defines |
//! |---|---|
//! | [`batch`] | a batch in wire form; the type rule that only what passed its segment may be kept |
//! | [`context`] | where a batch came from: peer, identity, tenant, request metadata, arrival |
//! | [`id`] | ids of components and pipelines |
//! | [`clock`] | monotonic and wall time, and waiting, as a trait; a virtual clock |
//! | [`rng`] | seeded randomness as a trait |
//! | [`outcome`] | what a sender is told: every refusal, and partial success |
//! | [`answer`] | the refusals as OTLP/gRPC, OTLP/HTTP and remote-write answers |
//! | [`send`] | what a destination said, classified |
//! | [`factory`] | how components are made: a factory per type, a registry per kind |
//! | [`blocks`] | config blocks that many components share |
//! | [`component`] | what every component has: start and stop; what it is built with |
//! | [`receiver`], [`processor`], [`stage`], [`connector`], [`exporter`], [`extension`] | the component kinds |
//! | [`segment`] | the fused steps of a pipeline, run over a batch |
//! | [`intake`] | a batch through all pipelines behind its source: pass, route, append, settle |
//! | [`stage_driver`] | runs a stage against the spine |
//! | [`delivery`] | when a sender is told that its data is safe |
//! | [`spine`] | the log between receiving and delivering: records, cursors, quotas |
//! | [`admission`] | memory by reservation |
//! | [`content`] | what one item may hold, as a step |
//! | [`ledger`] | where every item is; the equations that must hold |
//! | [`gates`] | feature gates |
//! | [`verdict`] | what a deciding stage lets others know about traces |
//! | [`taint`] | values to be removed from the rest of their trace |
//! | [`telemetry`] | self-telemetry and its exposition |
//! | [`error`] | why a component cannot be built or started |

pub mod admission;
pub mod answer;
pub mod batch;
pub mod blocks;
pub mod clock;
pub mod component;
pub mod connector;
pub mod content;
pub mod context;
pub mod delivery;
pub mod error;
pub mod exporter;
pub mod extension;
pub mod factory;
pub mod gates;
pub mod id;
pub mod intake;
pub mod ledger;
pub mod listening;
pub mod outcome;
pub mod processor;
pub mod receiver;
pub mod rng;
pub mod segment;
pub mod send;
pub mod spine;
pub mod stage;
pub mod stage_driver;
pub mod taint;
pub mod telemetry;
pub mod verdict;

#[cfg(test)]
mod testing;

use std::future::Future;
use std::pin::Pin;

/// A future behind a pointer, as dyn traits return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A step of the fused pass, over this crate's batch context.
pub type Step = dyn sluice_pdata::pass::Step<context::Context>;

/// The steps of a segment, over this crate's batch context.
pub type Chain = sluice_pdata::pass::Chain<context::Context>;

pub use batch::{Batch, Compressed, Encoding, Redacted};
pub use context::Context;
pub use error::Error;
pub use id::{ComponentId, PipelineId};
pub use outcome::{Accepted, Partial, Refusal};
pub use sluice_pdata::Signal;
