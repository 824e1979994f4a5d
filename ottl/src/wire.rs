//! Records over OTLP bytes: every path is read from the wire form when it is asked for, without copying.

mod point;

use std::borrow::Cow;
use std::cell::OnceCell;

use sluice_pdata::tags::{log_record, metric, resource, scope, span, span_event};
use sluice_pdata::view::{
    AttributesView, DataView, EventView, LogRecordView, Messages, MetricView, ResourceView, ScopeView, SpanView,
    Temporality,
};
use sluice_pdata::wire::{Value as WireValue, fields};

use crate::context::Context;
use crate::error::EvalError;
use crate::path::{Field, Path};
use crate::record::{AttributeKey, Record};
use crate::text::{body_string, hex};
use crate::time::Time;
use crate::value::{Handle, HandleKind, Map, Value};
use point::PointKind;

/// What is known of the request that a record came with. Keys of metadata are lower-case.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub client_addr: Value<'a>,
    pub auth_attributes: Map<'a>,
    pub client_metadata: Map<'a>,
    pub grpc_metadata: Map<'a>,
}

/// A metric, with or without its data points.
#[derive(Clone, Copy, Debug)]
pub struct Metric<'a> {
    /// The `Metric` message; its data member is not read.
    fields: &'a [u8],
    /// Field number of the data member; 0 if there is none.
    kind: u32,
    /// The data message.
    data: &'a [u8],
}

impl<'a> Metric<'a> {
    /// A whole `Metric` message.
    ///
    /// # Errors
    /// Malformed bytes.
    pub fn whole(bytes: &'a [u8]) -> Result<Metric<'a>, EvalError> {
        let (mut kind, mut data) = (0, &[][..]);
        for field in fields(bytes) {
            let field = field?;
            if let (number, WireValue::Len(payload)) = (field.number, field.value)
                && PointKind::of(number).is_some()
            {
                (kind, data) = (number, payload);
            }
        }
        Ok(Metric { fields: bytes, kind, data })
    }

    /// A metric whose parts are known: its own fields, the number of its data member, and that member, which may lack
    /// its points (then `data_points` counts none).
    pub fn parts(fields: &'a [u8], kind: u32, data: &'a [u8]) -> Metric<'a> {
        Metric { fields, kind, data }
    }

    fn data(&self) -> Result<DataView<'a>, EvalError> {
        Ok(DataView::parse(self.kind, self.data)?.unwrap_or(DataView::Empty))
    }
}

/// What an expression runs on.
#[derive(Clone, Copy, Debug)]
enum Item<'a> {
    /// A resource or scope: the levels that every record has.
    None,
    Span(&'a [u8]),
    SpanEvent {
        span: &'a [u8],
        event: &'a [u8],
        index: usize,
    },
    Log(&'a [u8]),
    Metric(Metric<'a>),
    DataPoint {
        metric: Metric<'a>,
        point: &'a [u8],
    },
}

/// A record in wire form.
#[derive(Clone, Debug)]
pub struct WireRecord<'a> {
    item: Item<'a>,
    resource: &'a [u8],
    resource_envelope: &'a [u8],
    scope: &'a [u8],
    scope_envelope: &'a [u8],
    request: Option<&'a Request<'a>>,
    // The scalars of a message are read in one walk, at the first question.
    span: OnceCell<SpanView<'a>>,
    log: OnceCell<LogRecordView<'a>>,
    event: OnceCell<EventView<'a>>,
    metric: OnceCell<MetricView<'a>>,
}

impl<'a> WireRecord<'a> {
    fn new(item: Item<'a>) -> Self {
        WireRecord {
            item,
            resource: &[],
            resource_envelope: &[],
            scope: &[],
            scope_envelope: &[],
            request: None,
            span: OnceCell::new(),
            log: OnceCell::new(),
            event: OnceCell::new(),
            metric: OnceCell::new(),
        }
    }

    /// A resource or a scope: what [`in_resource`](Self::in_resource) and [`in_scope`](Self::in_scope) add.
    pub fn outer() -> Self {
        Self::new(Item::None)
    }

    /// A `Span` message.
    pub fn span(span: &'a [u8]) -> Self {
        Self::new(Item::Span(span))
    }

    /// The event with this index of a `Span` message.
    pub fn span_event(span: &'a [u8], event: &'a [u8], index: usize) -> Self {
        Self::new(Item::SpanEvent { span, event, index })
    }

    /// A `LogRecord` message.
    pub fn log(log: &'a [u8]) -> Self {
        Self::new(Item::Log(log))
    }

    /// A metric.
    pub fn metric(metric: Metric<'a>) -> Self {
        Self::new(Item::Metric(metric))
    }

    /// A data point message of a metric.
    pub fn data_point(metric: Metric<'a>, point: &'a [u8]) -> Self {
        Self::new(Item::DataPoint { metric, point })
    }

    /// The `Resource` around it, and the message that holds the resource's schema URL in field 3.
    #[must_use]
    pub fn in_resource(self, resource: &'a [u8], envelope: &'a [u8]) -> Self {
        WireRecord { resource, resource_envelope: envelope, ..self }
    }

    /// The `InstrumentationScope` around it, and the message that holds the scope's schema URL in field 3.
    #[must_use]
    pub fn in_scope(self, scope: &'a [u8], envelope: &'a [u8]) -> Self {
        WireRecord { scope, scope_envelope: envelope, ..self }
    }

    /// The request it came with.
    #[must_use]
    pub fn in_request(self, request: &'a Request<'a>) -> Self {
        WireRecord { request: Some(request), ..self }
    }

    fn span_view(&self) -> Result<Option<&SpanView<'a>>, EvalError> {
        match self.item {
            Item::Span(bytes) | Item::SpanEvent { span: bytes, .. } => cached(&self.span, || SpanView::parse(bytes)),
            _ => Ok(None),
        }
    }

    fn own_metric(&self) -> Option<Metric<'a>> {
        match self.item {
            Item::Metric(metric) | Item::DataPoint { metric, .. } => Some(metric),
            _ => None,
        }
    }

    fn attributes(&self, level: Context) -> Option<AttributesView<'a>> {
        let (message, number) = match (level, self.item) {
            (Context::Resource, _) => (self.resource, resource::ATTRIBUTES),
            (Context::Scope, _) => (self.scope, scope::ATTRIBUTES),
            (Context::Span, Item::Span(span) | Item::SpanEvent { span, .. }) => (span, span::ATTRIBUTES),
            (Context::SpanEvent, Item::SpanEvent { event, .. }) => (event, span_event::ATTRIBUTES),
            (Context::Log, Item::Log(log)) => (log, log_record::ATTRIBUTES),
            (Context::DataPoint, Item::DataPoint { metric, point }) => {
                (point, PointKind::of(metric.kind)?.attributes())
            }
            _ => return None,
        };
        Some(AttributesView::new(message, number))
    }

    fn read_span(&self, field: Field) -> Result<Value<'a>, EvalError> {
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

    fn read_event(&self, field: Field) -> Result<Value<'a>, EvalError> {
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

    fn read_log(&self, field: Field) -> Result<Value<'a>, EvalError> {
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

    fn read_metric(&self, field: Field) -> Result<Value<'a>, EvalError> {
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

    fn read_outer(&self, level: Context, field: Field) -> Result<Value<'a>, EvalError> {
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

    fn read_request(&self, field: Field) -> Value<'a> {
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

impl Record for WireRecord<'_> {
    fn read(&self, path: Path) -> Result<Value<'_>, EvalError> {
        if path.field == Field::Attributes {
            return Ok(self.attributes(path.level).map_or(Value::Nil, |view| Value::Map(Map::Attributes(view))));
        }
        match path.level {
            Context::Span => self.read_span(path.field),
            Context::SpanEvent => self.read_event(path.field),
            Context::Log => self.read_log(path.field),
            Context::Metric => self.read_metric(path.field),
            Context::DataPoint => match self.item {
                Item::DataPoint { metric, point } => match PointKind::of(metric.kind) {
                    Some(kind) => point::read(kind, point, path.field),
                    None => Ok(Value::Nil),
                },
                _ => Ok(Value::Nil),
            },
            Context::Resource | Context::Scope => self.read_outer(path.level, path.field),
            Context::Otelcol => Ok(self.read_request(path.field)),
        }
    }

    fn attribute(&self, key: &AttributeKey) -> Result<Option<Value<'_>>, EvalError> {
        match self.attributes(key.level) {
            Some(view) => Ok(view.get(&key.key)?.map(Value::from)),
            None => Ok(None),
        }
    }

    fn each_data_point(&self, visit: &mut dyn FnMut(Map<'_>) -> Result<bool, EvalError>) -> Result<(), EvalError> {
        let typed = self.own_metric().and_then(|metric| Some((metric, PointKind::of(metric.kind)?)));
        let Some((metric, kind)) = typed else { return Err(EvalError::Text("unknown metric type")) };
        for point in Messages::new(metric.data, point::DATA_POINTS) {
            if !visit(Map::Attributes(AttributesView::new(point?, kind.attributes())))? {
                break;
            }
        }
        Ok(())
    }
}

fn cached<T>(
    cell: &OnceCell<T>,
    parse: impl FnOnce() -> Result<T, sluice_pdata::Error>,
) -> Result<Option<&T>, EvalError> {
    if cell.get().is_none() {
        let _ = cell.set(parse()?); // just seen to be empty
    }
    Ok(cell.get())
}

fn text(bytes: &[u8]) -> Value<'_> {
    Value::Str(Cow::Borrowed(bytes))
}

fn nanos(unix: u64) -> Value<'static> {
    Value::Int(unix as i64)
}

fn time(unix: u64) -> Value<'static> {
    Value::Time(Time::from_unix_nanos(unix as i64))
}

/// An id of a wrong length counts as none.
fn id<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

fn count(message: &[u8], number: u32, kind: HandleKind) -> Result<Value<'_>, EvalError> {
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
