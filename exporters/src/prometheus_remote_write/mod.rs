//! Exporter `prometheusremotewrite`: OTLP metrics to Prometheus remote write 1.0 and 2.0.

pub mod encode;
pub mod series;
pub mod translate;
