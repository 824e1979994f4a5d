//! Records over OTLP bytes: every path is read from the wire form when it is asked for, without copying.

mod fields;
mod point;

use std::cell::OnceCell;

use sluice_pdata::tags::{log_record, resource, scope, span, span_event};
use sluice_pdata::view::{
    AttributesView, DataView, EventView, KeyValueView, LogRecordView, Messages, MetricView, SpanView, last_varint,
};
use sluice_pdata::wire::{Value as WireValue, fields};

use crate::context::Context;
use crate::error::EvalError;
use crate::path::{Field, Path};
use crate::record::{AttributeKey, Record};
use crate::value::{Map, Value};
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
    /// The span's own attributes, where they have been read.
    span_attributes: Option<&'a [KeyValueView<'a>]>,
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
            span_attributes: None,
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

    /// All attributes of the span, in their order, where they have been read already: they are not looked for again.
    #[must_use]
    pub fn with_span_attributes(self, attributes: &'a [KeyValueView<'a>]) -> Self {
        WireRecord { span_attributes: Some(attributes), ..self }
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

    #[inline]
    fn int(&self, path: Path) -> Result<Option<i64>, EvalError> {
        match (path.level, path.field, self.item, self.log.get()) {
            // The most common question of all, and often the only one: cheaper than the whole view.
            (Context::Log, Field::SeverityNumber, Item::Log(log), None) => {
                Ok(Some((last_varint(log, log_record::SEVERITY_NUMBER)? as i32).into()))
            }
            _ => Ok(None),
        }
    }

    fn attribute(&self, key: &AttributeKey) -> Result<Option<Value<'_>>, EvalError> {
        if let (Context::Span, Some(read)) = (key.level, self.span_attributes) {
            let pair = read.iter().find(|pair| *pair.key() == *key.key);
            return Ok(pair.map(|pair| pair.value()).transpose()?.map(Value::from));
        }
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
