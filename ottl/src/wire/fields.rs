//! The fields of each level.

use std::borrow::Cow;

use sluice_pdata::tags::{metric, span};
use sluice_pdata::view::{
    AttributesView, DataView, EventView, LogRecordView, Messages, MetricView, ResourceView, ScopeView, Temporality,
};

use super::{Item, WireRecord, cached, point};
use crate::context::Context;
use crate::error::EvalError;
use crate::path::Field;
use crate::text::{body_string, hex};
use crate::time::Time;
use crate::value::{Handle, HandleKind, Map, Value};

impl<'a> WireRecord<'a> {
    pub(super) fn read_span(&self, field: Field) -> Result<Value<'a>, EvalError> {
        let Some(view) = self.span_view()? else { return Ok(Value::Nil) };
        Ok(match field {
            Field::TraceId => Value::TraceId(id(view.trace_id)),
            Field::TraceIdString => Value::string(hex(&id::<16>(view.trace_id))),
            Field::SpanId => Value::SpanId(id(view.span_id)),
            Field::SpanIdString => Value::string(hex(&id::<8>(view.span_id))),
            Field::ParentSpanId => Value::SpanId(id(view.parent_span_id)),
            Field::ParentSpanIdString => Value::string(hex(&id::<8>(view.parent_span_id))),
            Field::TraceState => text(view.trace_state),
            Field::Name => text(view.name),
            Field::Kind => Value::Int(view.kind.into()),
            Field::KindString => Value::str(kind_name(view.kind)),
            Field::KindDeprecatedString => Value::str(deprecated_kind_name(view.kind)),
            Field::StartTime => time(view.start_time_unix_nano),
            Field::StartTimeUnixNano => nanos(view.start_time_unix_nano),
            Field::EndTime => time(view.end_time_unix_nano),
            Field::EndTimeUnixNano => nanos(view.end_time_unix_nano),
            Field::Flags => Value::Int(view.flags.into()),
            Field::DroppedAttributesCount => Value::Int(view.dropped_attributes_count.into()),
            Field::DroppedEventsCount => Value::Int(view.dropped_events_count.into()),
            Field::DroppedLinksCount => Value::Int(view.dropped_links_count.into()),
            Field::Events => count(view.bytes, span::EVENTS, HandleKind::Events)?,
            Field::Links => count(view.bytes, span::LINKS, HandleKind::Links)?,
            Field::Status => Value::Handle(Handle { kind: HandleKind::Status, len: 0 }),
            Field::StatusCode => Value::Int(view.status()?.unwrap_or_default().code.into()),
            Field::StatusMessage => text(view.status()?.unwrap_or_default().message),
            _ => Value::Nil,
        })
    }

    pub(super) fn read_event(&self, field: Field) -> Result<Value<'a>, EvalError> {
        let Item::SpanEvent { event, index, .. } = self.item else { return Ok(Value::Nil) };
        let Some(view) = cached(&self.event, || EventView::parse(event))? else { return Ok(Value::Nil) };
        Ok(match field {
            Field::Name => text(view.name),
            Field::Time => time(view.time_unix_nano),
            Field::TimeUnixNano => nanos(view.time_unix_nano),
            Field::EventIndex => Value::Int(index as i64),
            Field::DroppedAttributesCount => Value::Int(view.dropped_attributes_count.into()),
            _ => Value::Nil,
        })
    }

    pub(super) fn read_log(&self, field: Field) -> Result<Value<'a>, EvalError> {
        let Item::Log(log) = self.item else { return Ok(Value::Nil) };
        let Some(view) = cached(&self.log, || LogRecordView::parse(log))? else { return Ok(Value::Nil) };
        Ok(match field {
            Field::TraceId => Value::TraceId(id(view.trace_id)),
            Field::TraceIdString => Value::string(hex(&id::<16>(view.trace_id))),
            Field::SpanId => Value::SpanId(id(view.span_id)),
            Field::SpanIdString => Value::string(hex(&id::<8>(view.span_id))),
            Field::Time => time(view.time_unix_nano),
            Field::TimeUnixNano => nanos(view.time_unix_nano),
            Field::ObservedTime => time(view.observed_time_unix_nano),
            Field::ObservedTimeUnixNano => nanos(view.observed_time_unix_nano),
            Field::SeverityNumber => Value::Int(view.severity_number.into()),
            Field::SeverityText => text(view.severity_text),
            Field::Body => view.body()?.into(),
            Field::BodyString => Value::Str(body_string(&view.body()?.into())?),
            Field::EventName => text(view.event_name),
            Field::Flags => Value::Int(view.flags.into()),
            Field::DroppedAttributesCount => Value::Int(view.dropped_attributes_count.into()),
            _ => Value::Nil,
        })
    }

    pub(super) fn read_metric(&self, field: Field) -> Result<Value<'a>, EvalError> {
        let Some(metric) = self.own_metric() else { return Ok(Value::Nil) };
        let temporality = |temporality| match temporality {
            Temporality::Unspecified => Value::Int(0),
            Temporality::Delta => Value::Int(1),
            Temporality::Cumulative => Value::Int(2),
        };
        Ok(match field {
            Field::Type => Value::Int(type_number(metric.kind)),
            Field::AggregationTemporality => metric.data()?.temporality().map_or(Value::Nil, temporality),
            Field::IsMonotonic => match metric.data()? {
                DataView::Sum { is_monotonic, .. } => Value::Bool(is_monotonic),
                _ => Value::Nil,
            },
            Field::DataPoints if metric.kind == 0 => Value::Nil,
            Field::DataPoints => count(metric.data, point::DATA_POINTS, HandleKind::DataPoints)?,
            Field::Metadata => Value::Map(Map::Attributes(AttributesView::new(metric.fields, metric::METADATA))),
            field => match (field, cached(&self.metric, || MetricView::parse(metric.fields))?) {
                (Field::Name, Some(view)) => text(view.name),
                (Field::Description, Some(view)) => text(view.description),
                (Field::Unit, Some(view)) => text(view.unit),
                _ => Value::Nil,
            },
        })
    }

    pub(super) fn read_outer(&self, level: Context, field: Field) -> Result<Value<'a>, EvalError> {
        Ok(match (level, field) {
            (Context::Scope, Field::Name) => text(ScopeView(self.scope).name()?),
            (Context::Scope, Field::Version) => text(ScopeView(self.scope).version()?),
            (Context::Scope, Field::DroppedAttributesCount) => {
                Value::Int(ScopeView(self.scope).dropped_attributes_count()?.into())
            }
            (Context::Scope, Field::SchemaUrl) => schema_url(self.scope_envelope)?,
            (_, Field::DroppedAttributesCount) => {
                Value::Int(ResourceView(self.resource).dropped_attributes_count()?.into())
            }
            (_, Field::SchemaUrl) => schema_url(self.resource_envelope)?,
            _ => Value::Nil,
        })
    }

    pub(super) fn read_request(&self, field: Field) -> Value<'a> {
        let Some(request) = self.request else { return Value::Nil };
        match field {
            Field::ClientAddr => request.client_addr.reborrow(),
            Field::ClientAuthAttributes => Value::Map(request.auth_attributes.clone()),
            Field::ClientMetadata => Value::Map(request.client_metadata.clone()),
            Field::GrpcMetadata => Value::Map(request.grpc_metadata.clone()),
            _ => Value::Nil,
        }
    }
}

fn text(bytes: &[u8]) -> Value<'_> {
    Value::Str(Cow::Borrowed(bytes))
}

pub(super) fn nanos(unix: u64) -> Value<'static> {
    Value::Int(unix as i64)
}

pub(super) fn time(unix: u64) -> Value<'static> {
    Value::Time(Time::from_unix_nanos(unix as i64))
}

/// An id of a wrong length counts as none.
fn id<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

pub(super) fn count(message: &[u8], number: u32, kind: HandleKind) -> Result<Value<'_>, EvalError> {
    let len = Messages::new(message, number).try_fold(0, |count, one| one.map(|_| count + 1))?;
    Ok(Value::Handle(Handle { kind, len }))
}

/// Resource and scope envelopes of all signals have their schema URL in the same field.
fn schema_url(envelope: &[u8]) -> Result<Value<'_>, EvalError> {
    const SCHEMA_URL: u32 = sluice_pdata::tags::resource_spans::SCHEMA_URL;
    Ok(text(Messages::new(envelope, SCHEMA_URL).try_fold(&[][..], |_, payload| payload)?))
}

/// The number of a metric's type in OTTL, which is not the number of its data field.
fn type_number(kind: u32) -> i64 {
    match kind {
        metric::GAUGE => 1,
        metric::SUM => 2,
        metric::HISTOGRAM => 3,
        metric::EXPONENTIAL_HISTOGRAM => 4,
        metric::SUMMARY => 5,
        _ => 0,
    }
}

fn kind_name(kind: i32) -> &'static str {
    match kind {
        0 => "Unspecified",
        1 => "Internal",
        2 => "Server",
        3 => "Client",
        4 => "Producer",
        5 => "Consumer",
        _ => "",
    }
}

fn deprecated_kind_name(kind: i32) -> &'static str {
    match kind {
        0 => "SPAN_KIND_UNSPECIFIED",
        1 => "SPAN_KIND_INTERNAL",
        2 => "SPAN_KIND_SERVER",
        3 => "SPAN_KIND_CLIENT",
        4 => "SPAN_KIND_PRODUCER",
        5 => "SPAN_KIND_CONSUMER",
        _ => "",
    }
}
