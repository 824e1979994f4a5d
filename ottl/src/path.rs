//! Paths: the table of what can be read in each context, and its lookup (ottl.md §3.2).

use crate::ast;
use crate::context::Context;
use crate::error::{Diagnostic, Span};
use crate::quote::quoted;

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What a path names within its level, without keys.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Field { $($(#[$doc])* $name),* }
    };
}

fields! {
    Attributes, DroppedAttributesCount, SchemaUrl, Name, Version, EventName,
    TraceId, TraceIdString, SpanId, SpanIdString, ParentSpanId, ParentSpanIdString, TraceState,
    Time, TimeUnixNano, ObservedTime, ObservedTimeUnixNano, StartTime, StartTimeUnixNano, EndTime, EndTimeUnixNano,
    SeverityNumber, SeverityText, Body, BodyString, Flags,
    Status, StatusCode, StatusMessage, Kind, KindString, KindDeprecatedString,
    Events, Links, DroppedEventsCount, DroppedLinksCount, EventIndex,
    Description, Unit, Type, Metadata, AggregationTemporality, IsMonotonic, DataPoints,
    ValueInt, ValueDouble, Exemplars, Count, Sum, Min, Max, BucketCounts, ExplicitBounds, Scale, ZeroCount,
    Positive, PositiveOffset, PositiveBucketCounts, Negative, NegativeOffset, NegativeBucketCounts, QuantileValues,
    ClientAddr, ClientAuthAttributes, ClientMetadata, GrpcMetadata,
    /// The scratch map of one record and one group of statements.
    Cache,
}

/// A resolved path: which level, which field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    pub level: Context,
    pub field: Field,
}

/// Whether a path may be indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    No,
    Yes,
}
use Keys::{No, Yes};

type Entry = (&'static str, Field, Keys);

const RESOURCE: &[Entry] = &[
    ("attributes", Field::Attributes, Yes),
    ("dropped_attributes_count", Field::DroppedAttributesCount, No),
    ("schema_url", Field::SchemaUrl, No),
    ("cache", Field::Cache, Yes),
];

const SCOPE: &[Entry] = &[
    ("name", Field::Name, No),
    ("version", Field::Version, No),
    ("attributes", Field::Attributes, Yes),
    ("dropped_attributes_count", Field::DroppedAttributesCount, No),
    ("schema_url", Field::SchemaUrl, No),
    ("cache", Field::Cache, Yes),
];

const LOG: &[Entry] = &[
    ("attributes", Field::Attributes, Yes),
    ("event_name", Field::EventName, No),
    ("trace_id", Field::TraceId, No),
    ("trace_id.string", Field::TraceIdString, No),
    ("span_id", Field::SpanId, No),
    ("span_id.string", Field::SpanIdString, No),
    ("time", Field::Time, No),
    ("time_unix_nano", Field::TimeUnixNano, No),
    ("observed_time", Field::ObservedTime, No),
    ("observed_time_unix_nano", Field::ObservedTimeUnixNano, No),
    ("severity_number", Field::SeverityNumber, No),
    ("severity_text", Field::SeverityText, No),
    ("body", Field::Body, Yes),
    ("body.string", Field::BodyString, No),
    ("dropped_attributes_count", Field::DroppedAttributesCount, No),
    ("flags", Field::Flags, No),
    ("cache", Field::Cache, Yes),
];

const SPAN: &[Entry] = &[
    ("attributes", Field::Attributes, Yes),
    ("trace_id", Field::TraceId, No),
    ("trace_id.string", Field::TraceIdString, No),
    ("span_id", Field::SpanId, No),
    ("span_id.string", Field::SpanIdString, No),
    ("parent_span_id", Field::ParentSpanId, No),
    ("parent_span_id.string", Field::ParentSpanIdString, No),
    ("trace_state", Field::TraceState, Yes),
    ("status", Field::Status, No),
    ("status.code", Field::StatusCode, No),
    ("status.message", Field::StatusMessage, No),
    ("name", Field::Name, No),
    ("kind", Field::Kind, No),
    ("kind.string", Field::KindString, No),
    ("kind.deprecated_string", Field::KindDeprecatedString, No),
    ("start_time", Field::StartTime, No),
    ("start_time_unix_nano", Field::StartTimeUnixNano, No),
    ("end_time", Field::EndTime, No),
    ("end_time_unix_nano", Field::EndTimeUnixNano, No),
    ("events", Field::Events, No),
    ("links", Field::Links, No),
    ("flags", Field::Flags, No),
    ("dropped_attributes_count", Field::DroppedAttributesCount, No),
    ("dropped_events_count", Field::DroppedEventsCount, No),
    ("dropped_links_count", Field::DroppedLinksCount, No),
    ("cache", Field::Cache, Yes),
];

const SPAN_EVENT: &[Entry] = &[
    ("attributes", Field::Attributes, Yes),
    ("name", Field::Name, No),
    ("time", Field::Time, No),
    ("time_unix_nano", Field::TimeUnixNano, No),
    ("event_index", Field::EventIndex, No),
    ("dropped_attributes_count", Field::DroppedAttributesCount, No),
    ("cache", Field::Cache, Yes),
];

const METRIC: &[Entry] = &[
    ("name", Field::Name, No),
    ("description", Field::Description, No),
    ("unit", Field::Unit, No),
    ("type", Field::Type, No),
    ("metadata", Field::Metadata, Yes),
    ("aggregation_temporality", Field::AggregationTemporality, No),
    ("is_monotonic", Field::IsMonotonic, No),
    ("data_points", Field::DataPoints, No),
    ("cache", Field::Cache, Yes),
];

const DATA_POINT: &[Entry] = &[
    ("attributes", Field::Attributes, Yes),
    ("start_time", Field::StartTime, No),
    ("start_time_unix_nano", Field::StartTimeUnixNano, No),
    ("time", Field::Time, No),
    ("time_unix_nano", Field::TimeUnixNano, No),
    ("value_int", Field::ValueInt, No),
    ("value_double", Field::ValueDouble, No),
    ("exemplars", Field::Exemplars, No),
    ("flags", Field::Flags, No),
    ("count", Field::Count, No),
    ("sum", Field::Sum, No),
    ("min", Field::Min, No),
    ("max", Field::Max, No),
    ("bucket_counts", Field::BucketCounts, No),
    ("explicit_bounds", Field::ExplicitBounds, No),
    ("scale", Field::Scale, No),
    ("zero_count", Field::ZeroCount, No),
    ("positive", Field::Positive, No),
    ("positive.offset", Field::PositiveOffset, No),
    ("positive.bucket_counts", Field::PositiveBucketCounts, No),
    ("negative", Field::Negative, No),
    ("negative.offset", Field::NegativeOffset, No),
    ("negative.bucket_counts", Field::NegativeBucketCounts, No),
    ("quantile_values", Field::QuantileValues, No),
    ("cache", Field::Cache, Yes),
];

const OTELCOL: &[Entry] = &[
    ("client.addr", Field::ClientAddr, No),
    ("client.auth.attributes", Field::ClientAuthAttributes, Yes),
    ("client.metadata", Field::ClientMetadata, Yes),
    ("grpc.metadata", Field::GrpcMetadata, Yes),
];

fn table(level: Context) -> &'static [Entry] {
    match level {
        Context::Resource => RESOURCE,
        Context::Scope => SCOPE,
        Context::Log => LOG,
        Context::Span => SPAN,
        Context::SpanEvent => SPAN_EVENT,
        Context::Metric => METRIC,
        Context::DataPoint => DATA_POINT,
        Context::Otelcol => OTELCOL,
    }
}

/// Every path of a level, without the level's name.
pub fn names(level: Context) -> impl Iterator<Item = &'static str> {
    table(level).iter().map(|entry| entry.0)
}

/// Finds the field that names (behind the context) refer to; returns it with the keys that index it. `text` is the whole
/// path for error texts.
///
/// # Errors
/// A name that does not exist, names too many, or keys where none are possible.
pub(crate) fn resolve<'t>(
    level: Context,
    text: &str,
    span: Span,
    fields: &'t [ast::Field],
) -> Result<(Path, &'t [ast::Key]), Diagnostic> {
    let mut name = String::new();
    let mut used = 0;
    for field in fields {
        let longer = if used == 0 { field.name.clone() } else { format!("{name}.{}", field.name) };
        let known = table(level).iter().any(|(entry, _, _)| {
            entry.strip_prefix(&longer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        if !known {
            let deeper = used == 0 || table(level).iter().any(|(entry, _, _)| entry.starts_with(&format!("{name}.")));
            if deeper {
                return Err(unknown(level, text, span, &name, &field.name));
            }
            break;
        }
        name = longer;
        used += 1;
    }
    let Some((_, field, keys)) = table(level).iter().find(|(entry, _, _)| *entry == name) else {
        return Err(unknown(level, text, span, "", &name));
    };
    for (index, segment) in fields.iter().enumerate() {
        let segment_name = quoted(segment.name.as_bytes());
        if index >= used {
            let message = format!(
                "the path section {segment_name} was not used by the context - this likely means you are using extra path sections"
            );
            return Err(Diagnostic::new(span, message));
        }
        if !segment.keys.is_empty() && (*keys == No || index + 1 < used) {
            let message = format!(
                "the keys indexing {segment_name} were not used by the context - this likely means you are trying to index a path that does not support indexing"
            );
            return Err(Diagnostic::new(span, message));
        }
    }
    let keys = fields.get(used - 1).map_or(&[][..], |segment| segment.keys.as_slice());
    Ok((Path { level, field: *field }, keys))
}

fn unknown(level: Context, text: &str, span: Span, parent: &str, segment: &str) -> Diagnostic {
    let message = format!(
        "segment {} from path {} is not a valid path nor a valid OTTL keyword for the {} context - review {} to see all valid paths",
        quoted(segment.as_bytes()),
        quoted(text.as_bytes()),
        level.name(),
        level.documentation(),
    );
    let mut diagnostic = Diagnostic::new(span, message);
    let wanted = if parent.is_empty() { segment.to_owned() } else { format!("{parent}.{segment}") };
    let close = crate::suggest::closest(&wanted, names(level));
    diagnostic.suggestion = close.map(|name| format!("{}.{name}", level.name()));
    diagnostic
}
