//! OTLP metrics to series: a walk over views that writes encoded requests, without a model in between.
//!
//! Labels of resource and scope are merged once and remembered from payload to payload, so are names of labels and metrics
//! and texts of bounds. What is remembered is bounded.

mod bounds;
mod buckets;
mod context;
mod custom_buckets;
mod drops;
mod exemplar;
mod histogram;
mod layout;
mod merge;
mod metadata;
mod metric;
mod names;
mod native;
mod number;
mod pieces;
mod point;
mod requests;
mod summary;
mod target_info;
mod walk;

pub use drops::*;
pub use requests::{Limits, Request};
pub use target_info::Targets;
pub use walk::{Converted, Converter, Plan};

/// Bits of the NaN that says that a series has ended.
pub const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Bytes that are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl From<sluice_pdata::Error> for Malformed {
    fn from(_: sluice_pdata::Error) -> Self {
        Malformed
    }
}
