//! Field numbers of the OTLP messages, for the hand-written paths. The table they come from is [`crate::schema`].

/// Field numbers of `AnyValue`.
pub mod any_value {
    pub const STRING_VALUE: u32 = 1;
    pub const BOOL_VALUE: u32 = 2;
    pub const INT_VALUE: u32 = 3;
    pub const DOUBLE_VALUE: u32 = 4;
    pub const ARRAY_VALUE: u32 = 5;
    pub const KVLIST_VALUE: u32 = 6;
    pub const BYTES_VALUE: u32 = 7;
    pub const STRING_VALUE_STRINDEX: u32 = 8;
}

/// Field numbers of `ArrayValue`.
pub mod array_value {
    pub const VALUES: u32 = 1;
}

/// Field numbers of `KeyValueList`.
pub mod key_value_list {
    pub const VALUES: u32 = 1;
}

/// Field numbers of `KeyValue`.
pub mod key_value {
    pub const KEY: u32 = 1;
    pub const VALUE: u32 = 2;
    pub const KEY_STRINDEX: u32 = 3;
}

/// Field numbers of `EntityRef`.
pub mod entity_ref {
    pub const SCHEMA_URL: u32 = 1;
    pub const TYPE: u32 = 2;
    pub const ID_KEYS: u32 = 3;
    pub const DESCRIPTION_KEYS: u32 = 4;
}

/// Field numbers of `Resource`.
pub mod resource {
    pub const ATTRIBUTES: u32 = 1;
    pub const DROPPED_ATTRIBUTES_COUNT: u32 = 2;
    pub const ENTITY_REFS: u32 = 3;
}

/// Field numbers of `InstrumentationScope`.
pub mod scope {
    pub const NAME: u32 = 1;
    pub const VERSION: u32 = 2;
    pub const ATTRIBUTES: u32 = 3;
    pub const DROPPED_ATTRIBUTES_COUNT: u32 = 4;
}

/// Field numbers of `ExportTraceServiceRequest`.
pub mod traces_request {
    pub const RESOURCE_SPANS: u32 = 1;
}

/// Field numbers of `ResourceSpans`.
pub mod resource_spans {
    pub const RESOURCE: u32 = 1;
    pub const SCOPE_SPANS: u32 = 2;
    pub const SCHEMA_URL: u32 = 3;
}

/// Field numbers of `ScopeSpans`.
pub mod scope_spans {
    pub const SCOPE: u32 = 1;
    pub const SPANS: u32 = 2;
    pub const SCHEMA_URL: u32 = 3;
}

/// Field numbers of `Span`.
pub mod span {
    pub const TRACE_ID: u32 = 1;
    pub const SPAN_ID: u32 = 2;
    pub const TRACE_STATE: u32 = 3;
    pub const PARENT_SPAN_ID: u32 = 4;
    pub const NAME: u32 = 5;
    pub const KIND: u32 = 6;
    pub const START_TIME_UNIX_NANO: u32 = 7;
    pub const END_TIME_UNIX_NANO: u32 = 8;
    pub const ATTRIBUTES: u32 = 9;
    pub const DROPPED_ATTRIBUTES_COUNT: u32 = 10;
    pub const EVENTS: u32 = 11;
    pub const DROPPED_EVENTS_COUNT: u32 = 12;
    pub const LINKS: u32 = 13;
    pub const DROPPED_LINKS_COUNT: u32 = 14;
    pub const STATUS: u32 = 15;
    pub const FLAGS: u32 = 16;
}

/// Field numbers of `Event`.
pub mod span_event {
    pub const TIME_UNIX_NANO: u32 = 1;
    pub const NAME: u32 = 2;
    pub const ATTRIBUTES: u32 = 3;
    pub const DROPPED_ATTRIBUTES_COUNT: u32 = 4;
}

/// Field numbers of `Link`.
pub mod span_link {
    pub const TRACE_ID: u32 = 1;
    pub const SPAN_ID: u32 = 2;
    pub const TRACE_STATE: u32 = 3;
    pub const ATTRIBUTES: u32 = 4;
    pub const DROPPED_ATTRIBUTES_COUNT: u32 = 5;
    pub const FLAGS: u32 = 6;
}

/// Field numbers of `Status`.
pub mod status {
    pub const MESSAGE: u32 = 2;
    pub const CODE: u32 = 3;
}

/// Field numbers of `ExportLogsServiceRequest`.
pub mod logs_request {
    pub const RESOURCE_LOGS: u32 = 1;
}

/// Field numbers of `ResourceLogs`.
pub mod resource_logs {
    pub const RESOURCE: u32 = 1;
    pub const SCOPE_LOGS: u32 = 2;
    pub const SCHEMA_URL: u32 = 3;
}

/// Field numbers of `ScopeLogs`.
pub mod scope_logs {
    pub const SCOPE: u32 = 1;
    pub const LOG_RECORDS: u32 = 2;
    pub const SCHEMA_URL: u32 = 3;
}

/// Field numbers of `LogRecord`.
pub mod log_record {
    pub const TIME_UNIX_NANO: u32 = 1;
    pub const SEVERITY_NUMBER: u32 = 2;
    pub const SEVERITY_TEXT: u32 = 3;
    pub const BODY: u32 = 5;
    pub const ATTRIBUTES: u32 = 6;
    pub const DROPPED_ATTRIBUTES_COUNT: u32 = 7;
    pub const FLAGS: u32 = 8;
    pub const TRACE_ID: u32 = 9;
    pub const SPAN_ID: u32 = 10;
    pub const OBSERVED_TIME_UNIX_NANO: u32 = 11;
    pub const EVENT_NAME: u32 = 12;
}

/// Field numbers of `ExportMetricsServiceRequest`.
pub mod metrics_request {
    pub const RESOURCE_METRICS: u32 = 1;
}

/// Field numbers of `ResourceMetrics`.
pub mod resource_metrics {
    pub const RESOURCE: u32 = 1;
    pub const SCOPE_METRICS: u32 = 2;
    pub const SCHEMA_URL: u32 = 3;
}

/// Field numbers of `ScopeMetrics`.
pub mod scope_metrics {
    pub const SCOPE: u32 = 1;
    pub const METRICS: u32 = 2;
    pub const SCHEMA_URL: u32 = 3;
}

/// Field numbers of `Metric`.
pub mod metric {
    pub const NAME: u32 = 1;
    pub const DESCRIPTION: u32 = 2;
    pub const UNIT: u32 = 3;
    pub const GAUGE: u32 = 5;
    pub const SUM: u32 = 7;
    pub const HISTOGRAM: u32 = 9;
    pub const EXPONENTIAL_HISTOGRAM: u32 = 10;
    pub const SUMMARY: u32 = 11;
    pub const METADATA: u32 = 12;
}

/// Field numbers of `Gauge`.
pub mod gauge {
    pub const DATA_POINTS: u32 = 1;
}

/// Field numbers of `Sum`.
pub mod sum {
    pub const DATA_POINTS: u32 = 1;
    pub const AGGREGATION_TEMPORALITY: u32 = 2;
    pub const IS_MONOTONIC: u32 = 3;
}

/// Field numbers of `Histogram`.
pub mod histogram {
    pub const DATA_POINTS: u32 = 1;
    pub const AGGREGATION_TEMPORALITY: u32 = 2;
}

/// Field numbers of `ExponentialHistogram`.
pub mod exponential_histogram {
    pub const DATA_POINTS: u32 = 1;
    pub const AGGREGATION_TEMPORALITY: u32 = 2;
}

/// Field numbers of `Summary`.
pub mod summary {
    pub const DATA_POINTS: u32 = 1;
}

/// Field numbers of `NumberDataPoint`.
pub mod number_data_point {
    pub const START_TIME_UNIX_NANO: u32 = 2;
    pub const TIME_UNIX_NANO: u32 = 3;
    pub const AS_DOUBLE: u32 = 4;
    pub const EXEMPLARS: u32 = 5;
    pub const AS_INT: u32 = 6;
    pub const ATTRIBUTES: u32 = 7;
    pub const FLAGS: u32 = 8;
}

/// Field numbers of `HistogramDataPoint`.
pub mod histogram_data_point {
    pub const START_TIME_UNIX_NANO: u32 = 2;
    pub const TIME_UNIX_NANO: u32 = 3;
    pub const COUNT: u32 = 4;
    pub const SUM: u32 = 5;
    pub const BUCKET_COUNTS: u32 = 6;
    pub const EXPLICIT_BOUNDS: u32 = 7;
    pub const EXEMPLARS: u32 = 8;
    pub const ATTRIBUTES: u32 = 9;
    pub const FLAGS: u32 = 10;
    pub const MIN: u32 = 11;
    pub const MAX: u32 = 12;
}

/// Field numbers of `ExponentialHistogramDataPoint`.
pub mod exponential_histogram_data_point {
    pub const ATTRIBUTES: u32 = 1;
    pub const START_TIME_UNIX_NANO: u32 = 2;
    pub const TIME_UNIX_NANO: u32 = 3;
    pub const COUNT: u32 = 4;
    pub const SUM: u32 = 5;
    pub const SCALE: u32 = 6;
    pub const ZERO_COUNT: u32 = 7;
    pub const POSITIVE: u32 = 8;
    pub const NEGATIVE: u32 = 9;
    pub const FLAGS: u32 = 10;
    pub const EXEMPLARS: u32 = 11;
    pub const MIN: u32 = 12;
    pub const MAX: u32 = 13;
    pub const ZERO_THRESHOLD: u32 = 14;
}

/// Field numbers of `Buckets`.
pub mod buckets {
    pub const OFFSET: u32 = 1;
    pub const BUCKET_COUNTS: u32 = 2;
}

/// Field numbers of `SummaryDataPoint`.
pub mod summary_data_point {
    pub const START_TIME_UNIX_NANO: u32 = 2;
    pub const TIME_UNIX_NANO: u32 = 3;
    pub const COUNT: u32 = 4;
    pub const SUM: u32 = 5;
    pub const QUANTILE_VALUES: u32 = 6;
    pub const ATTRIBUTES: u32 = 7;
    pub const FLAGS: u32 = 8;
}

/// Field numbers of `ValueAtQuantile`.
pub mod value_at_quantile {
    pub const QUANTILE: u32 = 1;
    pub const VALUE: u32 = 2;
}

/// Field numbers of `Exemplar`.
pub mod exemplar {
    pub const TIME_UNIX_NANO: u32 = 2;
    pub const AS_DOUBLE: u32 = 3;
    pub const SPAN_ID: u32 = 4;
    pub const TRACE_ID: u32 = 5;
    pub const AS_INT: u32 = 6;
    pub const FILTERED_ATTRIBUTES: u32 = 7;
}
