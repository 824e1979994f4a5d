//! The OTLP messages as data: one table drives JSON, canonical form, error paths and cold walks.
//!
//! Source: opentelemetry-proto 1.10 (`common`, `resource`, `trace`, `logs`, `metrics` and their collector requests). Field
//! numbers are also constants of [`crate::tags`]; the hot paths are hand-written and use those.

use crate::error::Error;
use crate::wire::{Reader, Value};

/// What a field holds and how it is laid out on the wire.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
    String,
    Bytes,
    /// Bytes that JSON writes in hexadecimal: trace and span ids.
    Id,
    /// An enumeration with the names of its values.
    Enum(&'static [(&'static str, i32)]),
    Message(&'static Message),
}

/// How often a field may occur, and what a second occurrence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// The last one wins; messages merge. Absent equals the default value.
    Singular,
    /// As singular, but absence is told from the default value.
    Optional,
    Repeated,
    /// Member of the message's only oneof: the last member wins.
    Oneof,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct FieldSchema {
    pub number: u32,
    /// Name in the `.proto` file.
    pub name: &'static str,
    /// Name in JSON (lower camel case).
    pub json: &'static str,
    pub kind: Kind,
    pub label: Label,
}

/// A message type. Fields are sorted by number.
#[derive(Debug)]
pub struct Message {
    pub name: &'static str,
    pub fields: &'static [FieldSchema],
}

impl Message {
    /// The field with this number, if the message defines it.
    #[inline]
    pub fn field(&self, number: u32) -> Option<&'static FieldSchema> {
        self.fields.iter().find(|field| field.number == number)
    }
}

/// Names the path and message of the field at `offset` of `bytes`, a message of type `root`, such as
/// `resource_spans[0].scope_spans[2].spans[17].attributes[3].value`. For error messages: walks from the start.
pub fn locate(root: &'static Message, bytes: &[u8], offset: usize) -> String {
    let mut path = String::new();
    let (mut message, mut bytes, mut offset) = (root, bytes, offset);
    while let Some((field, index, inner, base)) = child_at(message, bytes, offset) {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(field.name);
        if field.label == Label::Repeated {
            path.push_str(&format!("[{index}]"));
        }
        let Kind::Message(next) = field.kind else { break };
        (message, bytes, offset) = (next, inner, offset - base);
    }
    if path.is_empty() { root.name.to_owned() } else { path }
}

/// The field of `message` whose payload covers `offset`, how many of its number came before, its payload, where that starts.
fn child_at<'a>(
    message: &'static Message,
    bytes: &'a [u8],
    offset: usize,
) -> Option<(&'static FieldSchema, usize, &'a [u8], usize)> {
    let mut reader = Reader::new(bytes);
    let mut seen = [0usize; 17]; // no OTLP message has a field number above 16
    loop {
        let read: Result<_, Error> = reader.field();
        let field = read.ok()??;
        let count = &mut seen[field.number.min(16) as usize];
        if offset < field.end {
            let index = *count;
            let schema = message.field(field.number)?;
            let Value::Len(inner) = field.value else { return Some((schema, index, &[], offset)) };
            let base = field.end - inner.len();
            return (offset >= base).then_some((schema, index, inner, base));
        }
        *count += 1;
    }
}

const fn field(number: u32, name: &'static str, json: &'static str, kind: Kind, label: Label) -> FieldSchema {
    FieldSchema { number, name, json, kind, label }
}

pub static ANY_VALUE: Message = Message {
    name: "AnyValue",
    fields: &[
        field(1, "string_value", "stringValue", Kind::String, Label::Oneof),
        field(2, "bool_value", "boolValue", Kind::Bool, Label::Oneof),
        field(3, "int_value", "intValue", Kind::Int64, Label::Oneof),
        field(4, "double_value", "doubleValue", Kind::Double, Label::Oneof),
        field(5, "array_value", "arrayValue", Kind::Message(&ARRAY_VALUE), Label::Oneof),
        field(6, "kvlist_value", "kvlistValue", Kind::Message(&KEY_VALUE_LIST), Label::Oneof),
        field(7, "bytes_value", "bytesValue", Kind::Bytes, Label::Oneof),
        field(8, "string_value_strindex", "stringValueStrindex", Kind::Int32, Label::Oneof),
    ],
};

pub static ARRAY_VALUE: Message =
    Message { name: "ArrayValue", fields: &[field(1, "values", "values", Kind::Message(&ANY_VALUE), Label::Repeated)] };

pub static KEY_VALUE_LIST: Message = Message {
    name: "KeyValueList",
    fields: &[field(1, "values", "values", Kind::Message(&KEY_VALUE), Label::Repeated)],
};

pub static KEY_VALUE: Message = Message {
    name: "KeyValue",
    fields: &[
        field(1, "key", "key", Kind::String, Label::Singular),
        field(2, "value", "value", Kind::Message(&ANY_VALUE), Label::Singular),
        field(3, "key_strindex", "keyStrindex", Kind::Int32, Label::Singular),
    ],
};

pub static ENTITY_REF: Message = Message {
    name: "EntityRef",
    fields: &[
        field(1, "schema_url", "schemaUrl", Kind::String, Label::Singular),
        field(2, "type", "type", Kind::String, Label::Singular),
        field(3, "id_keys", "idKeys", Kind::String, Label::Repeated),
        field(4, "description_keys", "descriptionKeys", Kind::String, Label::Repeated),
    ],
};

pub static RESOURCE: Message = Message {
    name: "Resource",
    fields: &[
        field(1, "attributes", "attributes", Kind::Message(&KEY_VALUE), Label::Repeated),
        field(2, "dropped_attributes_count", "droppedAttributesCount", Kind::Uint32, Label::Singular),
        field(3, "entity_refs", "entityRefs", Kind::Message(&ENTITY_REF), Label::Repeated),
    ],
};

pub static SCOPE: Message = Message {
    name: "InstrumentationScope",
    fields: &[
        field(1, "name", "name", Kind::String, Label::Singular),
        field(2, "version", "version", Kind::String, Label::Singular),
        field(3, "attributes", "attributes", Kind::Message(&KEY_VALUE), Label::Repeated),
        field(4, "dropped_attributes_count", "droppedAttributesCount", Kind::Uint32, Label::Singular),
    ],
};

pub static TRACES_REQUEST: Message = Message {
    name: "ExportTraceServiceRequest",
    fields: &[field(1, "resource_spans", "resourceSpans", Kind::Message(&RESOURCE_SPANS), Label::Repeated)],
};

pub static RESOURCE_SPANS: Message = Message {
    name: "ResourceSpans",
    fields: &[
        field(1, "resource", "resource", Kind::Message(&RESOURCE), Label::Singular),
        field(2, "scope_spans", "scopeSpans", Kind::Message(&SCOPE_SPANS), Label::Repeated),
        field(3, "schema_url", "schemaUrl", Kind::String, Label::Singular),
    ],
};

pub static SCOPE_SPANS: Message = Message {
    name: "ScopeSpans",
    fields: &[
        field(1, "scope", "scope", Kind::Message(&SCOPE), Label::Singular),
        field(2, "spans", "spans", Kind::Message(&SPAN), Label::Repeated),
        field(3, "schema_url", "schemaUrl", Kind::String, Label::Singular),
    ],
};

pub static SPAN: Message = Message {
    name: "Span",
    fields: &[
        field(1, "trace_id", "traceId", Kind::Id, Label::Singular),
        field(2, "span_id", "spanId", Kind::Id, Label::Singular),
        field(3, "trace_state", "traceState", Kind::String, Label::Singular),
        field(4, "parent_span_id", "parentSpanId", Kind::Id, Label::Singular),
        field(5, "name", "name", Kind::String, Label::Singular),
        field(6, "kind", "kind", Kind::Enum(&SPAN_KIND), Label::Singular),
        field(7, "start_time_unix_nano", "startTimeUnixNano", Kind::Fixed64, Label::Singular),
        field(8, "end_time_unix_nano", "endTimeUnixNano", Kind::Fixed64, Label::Singular),
        field(9, "attributes", "attributes", Kind::Message(&KEY_VALUE), Label::Repeated),
        field(10, "dropped_attributes_count", "droppedAttributesCount", Kind::Uint32, Label::Singular),
        field(11, "events", "events", Kind::Message(&SPAN_EVENT), Label::Repeated),
        field(12, "dropped_events_count", "droppedEventsCount", Kind::Uint32, Label::Singular),
        field(13, "links", "links", Kind::Message(&SPAN_LINK), Label::Repeated),
        field(14, "dropped_links_count", "droppedLinksCount", Kind::Uint32, Label::Singular),
        field(15, "status", "status", Kind::Message(&STATUS), Label::Singular),
        field(16, "flags", "flags", Kind::Fixed32, Label::Singular),
    ],
};

pub static SPAN_EVENT: Message = Message {
    name: "Event",
    fields: &[
        field(1, "time_unix_nano", "timeUnixNano", Kind::Fixed64, Label::Singular),
        field(2, "name", "name", Kind::String, Label::Singular),
        field(3, "attributes", "attributes", Kind::Message(&KEY_VALUE), Label::Repeated),
        field(4, "dropped_attributes_count", "droppedAttributesCount", Kind::Uint32, Label::Singular),
    ],
};

pub static SPAN_LINK: Message = Message {
    name: "Link",
    fields: &[
        field(1, "trace_id", "traceId", Kind::Id, Label::Singular),
        field(2, "span_id", "spanId", Kind::Id, Label::Singular),
        field(3, "trace_state", "traceState", Kind::String, Label::Singular),
        field(4, "attributes", "attributes", Kind::Message(&KEY_VALUE), Label::Repeated),
        field(5, "dropped_attributes_count", "droppedAttributesCount", Kind::Uint32, Label::Singular),
        field(6, "flags", "flags", Kind::Fixed32, Label::Singular),
    ],
};

pub static STATUS: Message = Message {
    name: "Status",
    fields: &[
        field(2, "message", "message", Kind::String, Label::Singular),
        field(3, "code", "code", Kind::Enum(&STATUS_CODE), Label::Singular),
    ],
};

pub static LOGS_REQUEST: Message = Message {
    name: "ExportLogsServiceRequest",
    fields: &[field(1, "resource_logs", "resourceLogs", Kind::Message(&RESOURCE_LOGS), Label::Repeated)],
};

pub static RESOURCE_LOGS: Message = Message {
    name: "ResourceLogs",
    fields: &[
        field(1, "resource", "resource", Kind::Message(&RESOURCE), Label::Singular),
        field(2, "scope_logs", "scopeLogs", Kind::Message(&SCOPE_LOGS), Label::Repeated),
        field(3, "schema_url", "schemaUrl", Kind::String, Label::Singular),
    ],
};

pub static SCOPE_LOGS: Message = Message {
    name: "ScopeLogs",
    fields: &[
        field(1, "scope", "scope", Kind::Message(&SCOPE), Label::Singular),
        field(2, "log_records", "logRecords", Kind::Message(&LOG_RECORD), Label::Repeated),
        field(3, "schema_url", "schemaUrl", Kind::String, Label::Singular),
    ],
};

pub static LOG_RECORD: Message = Message {
    name: "LogRecord",
    fields: &[
        field(1, "time_unix_nano", "timeUnixNano", Kind::Fixed64, Label::Singular),
        field(2, "severity_number", "severityNumber", Kind::Enum(&SEVERITY_NUMBER), Label::Singular),
        field(3, "severity_text", "severityText", Kind::String, Label::Singular),
        field(5, "body", "body", Kind::Message(&ANY_VALUE), Label::Singular),
        field(6, "attributes", "attributes", Kind::Message(&KEY_VALUE), Label::Repeated),
        field(7, "dropped_attributes_count", "droppedAttributesCount", Kind::Uint32, Label::Singular),
        field(8, "flags", "flags", Kind::Fixed32, Label::Singular),
        field(9, "trace_id", "traceId", Kind::Id, Label::Singular),
        field(10, "span_id", "spanId", Kind::Id, Label::Singular),
        field(11, "observed_time_unix_nano", "observedTimeUnixNano", Kind::Fixed64, Label::Singular),
        field(12, "event_name", "eventName", Kind::String, Label::Singular),
    ],
};

pub static METRICS_REQUEST: Message = Message {
    name: "ExportMetricsServiceRequest",
    fields: &[field(1, "resource_metrics", "resourceMetrics", Kind::Message(&RESOURCE_METRICS), Label::Repeated)],
};

pub static RESOURCE_METRICS: Message = Message {
    name: "ResourceMetrics",
    fields: &[
        field(1, "resource", "resource", Kind::Message(&RESOURCE), Label::Singular),
        field(2, "scope_metrics", "scopeMetrics", Kind::Message(&SCOPE_METRICS), Label::Repeated),
        field(3, "schema_url", "schemaUrl", Kind::String, Label::Singular),
    ],
};

pub static SCOPE_METRICS: Message = Message {
    name: "ScopeMetrics",
    fields: &[
        field(1, "scope", "scope", Kind::Message(&SCOPE), Label::Singular),
        field(2, "metrics", "metrics", Kind::Message(&METRIC), Label::Repeated),
        field(3, "schema_url", "schemaUrl", Kind::String, Label::Singular),
    ],
};

pub static METRIC: Message = Message {
    name: "Metric",
    fields: &[
        field(1, "name", "name", Kind::String, Label::Singular),
        field(2, "description", "description", Kind::String, Label::Singular),
        field(3, "unit", "unit", Kind::String, Label::Singular),
        field(5, "gauge", "gauge", Kind::Message(&GAUGE), Label::Oneof),
        field(7, "sum", "sum", Kind::Message(&SUM), Label::Oneof),
        field(9, "histogram", "histogram", Kind::Message(&HISTOGRAM), Label::Oneof),
        field(10, "exponential_histogram", "exponentialHistogram", Kind::Message(&EXPONENTIAL_HISTOGRAM), Label::Oneof),
        field(11, "summary", "summary", Kind::Message(&SUMMARY), Label::Oneof),
        field(12, "metadata", "metadata", Kind::Message(&KEY_VALUE), Label::Repeated),
    ],
};

pub static GAUGE: Message = Message {
    name: "Gauge",
    fields: &[field(1, "data_points", "dataPoints", Kind::Message(&NUMBER_DATA_POINT), Label::Repeated)],
};

pub static SUM: Message = Message {
    name: "Sum",
    fields: &[
        field(1, "data_points", "dataPoints", Kind::Message(&NUMBER_DATA_POINT), Label::Repeated),
        field(2, "aggregation_temporality", "aggregationTemporality", Kind::Enum(&TEMPORALITY), Label::Singular),
        field(3, "is_monotonic", "isMonotonic", Kind::Bool, Label::Singular),
    ],
};

pub static HISTOGRAM: Message = Message {
    name: "Histogram",
    fields: &[
        field(1, "data_points", "dataPoints", Kind::Message(&HISTOGRAM_DATA_POINT), Label::Repeated),
        field(2, "aggregation_temporality", "aggregationTemporality", Kind::Enum(&TEMPORALITY), Label::Singular),
    ],
};

pub static EXPONENTIAL_HISTOGRAM: Message = Message {
    name: "ExponentialHistogram",
    fields: &[
        field(1, "data_points", "dataPoints", Kind::Message(&EXPONENTIAL_HISTOGRAM_DATA_POINT), Label::Repeated),
        field(2, "aggregation_temporality", "aggregationTemporality", Kind::Enum(&TEMPORALITY), Label::Singular),
    ],
};

pub static SUMMARY: Message = Message {
    name: "Summary",
    fields: &[field(1, "data_points", "dataPoints", Kind::Message(&SUMMARY_DATA_POINT), Label::Repeated)],
};

pub static NUMBER_DATA_POINT: Message = Message {
    name: "NumberDataPoint",
    fields: &[
        field(2, "start_time_unix_nano", "startTimeUnixNano", Kind::Fixed64, Label::Singular),
        field(3, "time_unix_nano", "timeUnixNano", Kind::Fixed64, Label::Singular),
        field(4, "as_double", "asDouble", Kind::Double, Label::Oneof),
        field(5, "exemplars", "exemplars", Kind::Message(&EXEMPLAR), Label::Repeated),
        field(6, "as_int", "asInt", Kind::Sfixed64, Label::Oneof),
        field(7, "attributes", "attributes", Kind::Message(&KEY_VALUE), Label::Repeated),
        field(8, "flags", "flags", Kind::Uint32, Label::Singular),
    ],
};

pub static HISTOGRAM_DATA_POINT: Message = Message {
    name: "HistogramDataPoint",
    fields: &[
        field(2, "start_time_unix_nano", "startTimeUnixNano", Kind::Fixed64, Label::Singular),
        field(3, "time_unix_nano", "timeUnixNano", Kind::Fixed64, Label::Singular),
        field(4, "count", "count", Kind::Fixed64, Label::Singular),
        field(5, "sum", "sum", Kind::Double, Label::Optional),
        field(6, "bucket_counts", "bucketCounts", Kind::Fixed64, Label::Repeated),
        field(7, "explicit_bounds", "explicitBounds", Kind::Double, Label::Repeated),
        field(8, "exemplars", "exemplars", Kind::Message(&EXEMPLAR), Label::Repeated),
        field(9, "attributes", "attributes", Kind::Message(&KEY_VALUE), Label::Repeated),
        field(10, "flags", "flags", Kind::Uint32, Label::Singular),
        field(11, "min", "min", Kind::Double, Label::Optional),
        field(12, "max", "max", Kind::Double, Label::Optional),
    ],
};

pub static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = Message {
    name: "ExponentialHistogramDataPoint",
    fields: &[
        field(1, "attributes", "attributes", Kind::Message(&KEY_VALUE), Label::Repeated),
        field(2, "start_time_unix_nano", "startTimeUnixNano", Kind::Fixed64, Label::Singular),
        field(3, "time_unix_nano", "timeUnixNano", Kind::Fixed64, Label::Singular),
        field(4, "count", "count", Kind::Fixed64, Label::Singular),
        field(5, "sum", "sum", Kind::Double, Label::Optional),
        field(6, "scale", "scale", Kind::Sint32, Label::Singular),
        field(7, "zero_count", "zeroCount", Kind::Fixed64, Label::Singular),
        field(8, "positive", "positive", Kind::Message(&BUCKETS), Label::Singular),
        field(9, "negative", "negative", Kind::Message(&BUCKETS), Label::Singular),
        field(10, "flags", "flags", Kind::Uint32, Label::Singular),
        field(11, "exemplars", "exemplars", Kind::Message(&EXEMPLAR), Label::Repeated),
        field(12, "min", "min", Kind::Double, Label::Optional),
        field(13, "max", "max", Kind::Double, Label::Optional),
        field(14, "zero_threshold", "zeroThreshold", Kind::Double, Label::Singular),
    ],
};

pub static BUCKETS: Message = Message {
    name: "Buckets",
    fields: &[
        field(1, "offset", "offset", Kind::Sint32, Label::Singular),
        field(2, "bucket_counts", "bucketCounts", Kind::Uint64, Label::Repeated),
    ],
};

pub static SUMMARY_DATA_POINT: Message = Message {
    name: "SummaryDataPoint",
    fields: &[
        field(2, "start_time_unix_nano", "startTimeUnixNano", Kind::Fixed64, Label::Singular),
        field(3, "time_unix_nano", "timeUnixNano", Kind::Fixed64, Label::Singular),
        field(4, "count", "count", Kind::Fixed64, Label::Singular),
        field(5, "sum", "sum", Kind::Double, Label::Singular),
        field(6, "quantile_values", "quantileValues", Kind::Message(&VALUE_AT_QUANTILE), Label::Repeated),
        field(7, "attributes", "attributes", Kind::Message(&KEY_VALUE), Label::Repeated),
        field(8, "flags", "flags", Kind::Uint32, Label::Singular),
    ],
};

pub static VALUE_AT_QUANTILE: Message = Message {
    name: "ValueAtQuantile",
    fields: &[
        field(1, "quantile", "quantile", Kind::Double, Label::Singular),
        field(2, "value", "value", Kind::Double, Label::Singular),
    ],
};

pub static EXEMPLAR: Message = Message {
    name: "Exemplar",
    fields: &[
        field(2, "time_unix_nano", "timeUnixNano", Kind::Fixed64, Label::Singular),
        field(3, "as_double", "asDouble", Kind::Double, Label::Oneof),
        field(4, "span_id", "spanId", Kind::Id, Label::Singular),
        field(5, "trace_id", "traceId", Kind::Id, Label::Singular),
        field(6, "as_int", "asInt", Kind::Sfixed64, Label::Oneof),
        field(7, "filtered_attributes", "filteredAttributes", Kind::Message(&KEY_VALUE), Label::Repeated),
    ],
};

/// `Span.SpanKind`.
pub static SPAN_KIND: [(&str, i32); 6] = [
    ("SPAN_KIND_UNSPECIFIED", 0),
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
];

/// `Status.StatusCode`.
pub static STATUS_CODE: [(&str, i32); 3] = [("STATUS_CODE_UNSET", 0), ("STATUS_CODE_OK", 1), ("STATUS_CODE_ERROR", 2)];

/// `AggregationTemporality`.
pub static TEMPORALITY: [(&str, i32); 3] = [
    ("AGGREGATION_TEMPORALITY_UNSPECIFIED", 0),
    ("AGGREGATION_TEMPORALITY_DELTA", 1),
    ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2),
];

/// `SeverityNumber`.
pub static SEVERITY_NUMBER: [(&str, i32); 25] = [
    ("SEVERITY_NUMBER_UNSPECIFIED", 0),
    ("SEVERITY_NUMBER_TRACE", 1),
    ("SEVERITY_NUMBER_TRACE2", 2),
    ("SEVERITY_NUMBER_TRACE3", 3),
    ("SEVERITY_NUMBER_TRACE4", 4),
    ("SEVERITY_NUMBER_DEBUG", 5),
    ("SEVERITY_NUMBER_DEBUG2", 6),
    ("SEVERITY_NUMBER_DEBUG3", 7),
    ("SEVERITY_NUMBER_DEBUG4", 8),
    ("SEVERITY_NUMBER_INFO", 9),
    ("SEVERITY_NUMBER_INFO2", 10),
    ("SEVERITY_NUMBER_INFO3", 11),
    ("SEVERITY_NUMBER_INFO4", 12),
    ("SEVERITY_NUMBER_WARN", 13),
    ("SEVERITY_NUMBER_WARN2", 14),
    ("SEVERITY_NUMBER_WARN3", 15),
    ("SEVERITY_NUMBER_WARN4", 16),
    ("SEVERITY_NUMBER_ERROR", 17),
    ("SEVERITY_NUMBER_ERROR2", 18),
    ("SEVERITY_NUMBER_ERROR3", 19),
    ("SEVERITY_NUMBER_ERROR4", 20),
    ("SEVERITY_NUMBER_FATAL", 21),
    ("SEVERITY_NUMBER_FATAL2", 22),
    ("SEVERITY_NUMBER_FATAL3", 23),
    ("SEVERITY_NUMBER_FATAL4", 24),
];
