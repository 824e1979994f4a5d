//! The three signals and where OTLP sends them.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// An OTLP signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl Signal {
    pub const ALL: [Self; 3] = [Self::Traces, Self::Logs, Self::Metrics];

    /// Path of the gRPC Export call.
    pub fn grpc_path(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }

    /// Default path of OTLP/HTTP.
    pub fn http_path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
            Self::Metrics => "/v1/metrics",
        }
    }

    /// The signal a gRPC path belongs to.
    pub fn of_grpc_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.grpc_path() == path)
    }

    /// The signal an OTLP/HTTP path belongs to.
    pub fn of_http_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.http_path() == path)
    }
}
