//! OTLP names, units and values as Prometheus has them (Prometheus 3, or the OpenTelemetry specification where chosen).
//!
//! Pure functions of texts. What they return is cached by [`crate::prometheus_remote_write::series`], so that a name seen
//! before costs a look-up.

pub mod label_name;
pub mod metric_name;
pub mod number;
mod options;
pub mod unit;
pub mod value;

pub use label_name::LabelNamer;
pub use metric_name::{MetricKind, MetricNamer};
pub use number::LeFormat;
pub use options::{Compat, NhcbOnV1, Options, Strategy};

#[cfg(test)]
mod tests;
