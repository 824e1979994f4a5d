//! The processor `up`: synthetic liveness for pushed telemetry.
//!
//! Pull has `up` because the scraper knows whom it expects. Here an expected set (service discovery) is joined with
//! observed pushes, and `up` is written with the labels that a scrape would have given. Two laws stand above all
//! others: a fault of the collector or of discovery never makes a 0, and a real outage is never hidden for ever.
//!
//! | module | concept |
//! |---|---|
//! | [`config`] | the configuration: plain data |
//! | [`discovery`], [`target`], [`relabel`] | from discovery to expected targets |
//! | [`identity`], [`ladder`] | from a pushed resource to its target |
//! | [`state`], [`interval`], [`grid`], [`fault`], [`absence`] | when a target is up, and when that is written |
//! | [`engine`] | the join; pure, time comes in as an argument |
//! | [`observer`] | the handle by which receivers' tasks report pushes |
//! | [`measure`], [`known`], [`align`] | what a push holds, what is remembered of its resource, the labels that it gets |
//! | [`tracker`], [`stale`] | what each target pushed last, and the markers that end it |
//! | [`emit`] | what the engine writes, as OTLP |
//! | [`outbox`], [`sender`] | what the pipeline has not accepted yet, and who tries again |
//! | [`step`], [`task`], [`factory`], [`ways`] | the processor: its step in the pass, its task, how it is made, its pipelines |
//! | [`telemetry`] | what it tells about itself |
//! | [`snapshot`], [`store`], [`saver`] | what survives a restart |

pub mod absence;
pub mod align;
pub mod config;
pub mod discovery;
pub mod duration;
pub mod emit;
pub mod engine;
pub mod error;
pub mod factory;
pub mod fault;
pub mod grid;
pub mod identity;
pub mod interval;
pub mod known;
pub mod labels;
pub mod ladder;
pub mod lru;
pub mod measure;
pub mod observer;
pub mod outbox;
pub mod relabel;
pub mod saver;
pub mod sender;
pub mod series;
pub mod snapshot;
pub mod stale;
pub mod state;
pub mod step;
pub mod store;
pub mod target;
pub mod task;
pub mod telemetry;
pub mod tracker;
pub mod ways;

#[cfg(test)]
mod tests;
