//! What the generated types read from a request.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::{DecodeError, Message};

use crate::signal::Signal;

/// A request decoded by `prost`. Two are equal if they encode alike, so that NaN equals itself.
#[derive(Clone, Debug)]
pub enum Decoded {
    Traces(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
}

impl Decoded {
    /// Decodes a request.
    ///
    /// # Errors
    /// Whatever `prost` refuses, strings that are not UTF-8 included.
    pub fn new(signal: Signal, request: &[u8]) -> Result<Self, DecodeError> {
        Ok(match signal {
            Signal::Traces => Decoded::Traces(Message::decode(request)?),
            Signal::Metrics => Decoded::Metrics(Message::decode(request)?),
            Signal::Logs => Decoded::Logs(Message::decode(request)?),
        })
    }

    /// The request as `prost` encodes it.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Decoded::Traces(request) => request.encode_to_vec(),
            Decoded::Metrics(request) => request.encode_to_vec(),
            Decoded::Logs(request) => request.encode_to_vec(),
        }
    }

    /// Spans, data points or log records.
    pub fn items(&self) -> usize {
        use opentelemetry_proto::tonic::metrics::v1::metric::Data;
        match self {
            Decoded::Traces(request) => {
                request.resource_spans.iter().flat_map(|group| &group.scope_spans).map(|group| group.spans.len()).sum()
            }
            Decoded::Logs(request) => request
                .resource_logs
                .iter()
                .flat_map(|group| &group.scope_logs)
                .map(|group| group.log_records.len())
                .sum(),
            Decoded::Metrics(request) => request
                .resource_metrics
                .iter()
                .flat_map(|group| &group.scope_metrics)
                .flat_map(|group| &group.metrics)
                .map(|metric| match &metric.data {
                    None => 0,
                    Some(Data::Gauge(data)) => data.data_points.len(),
                    Some(Data::Sum(data)) => data.data_points.len(),
                    Some(Data::Histogram(data)) => data.data_points.len(),
                    Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
                    Some(Data::Summary(data)) => data.data_points.len(),
                })
                .sum(),
        }
    }
}

impl PartialEq for Decoded {
    fn eq(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }
}
