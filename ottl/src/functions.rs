//! The standard functions, one file a family (ottl.md §6). A family is a table; adding a function is adding a row.

mod case;
mod codec;
mod collections;
mod csv;
mod editors;
mod filter;
mod flow;
mod format;
mod hash;
mod ids;
mod json;
mod key_value;
mod network;
mod number;
mod patterns;
mod severity;
mod strings;
mod time;
mod types;
mod uuid;

use crate::function::Function;

pub use filter::METRIC_FILTER;

/// The converters that every component has, by family.
pub(crate) const CONVERTERS: &[&[Function]] = &[
    types::FAMILY,
    strings::FAMILY,
    case::FAMILY,
    patterns::FAMILY,
    json::FAMILY,
    key_value::FAMILY,
    collections::FAMILY,
    hash::FAMILY,
    ids::FAMILY,
    network::FAMILY,
    number::FAMILY,
    time::FAMILY,
    filter::SPAN,
    codec::FAMILY,
    csv::FAMILY,
    flow::FAMILY,
    format::FAMILY,
    severity::FAMILY,
    uuid::FAMILY,
];

/// The editors that every component has.
pub const EDITORS: &[Function] = editors::FAMILY;
