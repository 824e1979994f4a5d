//! What conditions read: paths of every context, drawn at random, written as OTTL and read from the generated types.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::{Span, span};
use sluice_pdata::testing::Rng;

use super::KEYS;
use super::pairs::value_of;
use super::walk::{Around, Item};

/// Where a path starts. Inner ones see outer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Resource,
    Scope,
    Metric,
    Span,
    Event,
    Point,
    Log,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Level::Resource => "resource",
            Level::Scope => "scope",
            Level::Metric => "metric",
            Level::Span => "span",
            Level::Event => "spanevent",
            Level::Point => "datapoint",
            Level::Log => "log",
        }
    }

    /// The levels that a condition of this one sees.
    pub fn seen(self) -> &'static [Level] {
        use Level::{Event, Log, Metric, Point, Resource, Scope, Span};
        match self {
            Resource => &[Resource],
            Scope => &[Scope, Resource],
            Metric => &[Metric, Metric, Scope, Resource],
            Span => &[Span, Span, Span, Scope, Resource],
            Event => &[Event, Event, Span, Scope, Resource],
            Point => &[Point, Point, Metric, Scope, Resource],
            Log => &[Log, Log, Log, Scope, Resource],
        }
    }

    fn fields(self) -> &'static [&'static str] {
        match self {
            Level::Resource => &["dropped_attributes_count", "schema_url"],
            Level::Scope => &["name", "version", "dropped_attributes_count", "schema_url"],
            Level::Metric => &["name", "description", "unit", "type", "aggregation_temporality", "is_monotonic"],
            Level::Span => &[
                "name",
                "kind",
                "kind.string",
                "status.code",
                "status.message",
                "trace_state",
                "start_time_unix_nano",
                "end_time_unix_nano",
                "flags",
                "dropped_attributes_count",
                "dropped_events_count",
                "dropped_links_count",
            ],
            Level::Event => &["name", "time_unix_nano", "event_index", "dropped_attributes_count"],
            Level::Point => &[
                "time_unix_nano",
                "start_time_unix_nano",
                "flags",
                "value_int",
                "value_double",
                "count",
                "sum",
                "min",
                "max",
                "scale",
                "zero_count",
            ],
            Level::Log => &[
                "body",
                "body",
                "severity_number",
                "severity_text",
                "event_name",
                "time_unix_nano",
                "observed_time_unix_nano",
                "flags",
                "dropped_attributes_count",
            ],
        }
    }
}

/// One path.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    pub level: Level,
    /// A field, `attributes` or `body`.
    pub field: &'static str,
    pub keys: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    Name(&'static str),
    Index(i64),
}

impl Operand {
    /// A path that a condition of `level` may have.
    pub fn random(rng: &mut Rng, level: Level) -> Self {
        let level = rng.pick(level.seen());
        let attribute = level != Level::Metric && rng.chance(50);
        let field = if attribute { "attributes" } else { rng.pick(level.fields()) };
        let mut keys = Vec::new();
        if attribute {
            keys.push(Key::Name(rng.pick(&KEYS)));
        }
        if attribute && rng.chance(12) || field == "body" && rng.chance(20) {
            keys.push(if rng.chance(75) { Key::Name(rng.pick(&KEYS)) } else { Key::Index(rng.below(3) as i64) });
        }
        Operand { level, field, keys }
    }

    /// The path as OTTL, without the name of its context if it is `bare`'s.
    pub fn text(&self, bare: Option<Level>) -> String {
        let prefix = if bare == Some(self.level) { String::new() } else { format!("{}.", self.level.name()) };
        let keys: String = self
            .keys
            .iter()
            .map(|key| match key {
                Key::Name(name) => format!("[{}]", quoted(name)),
                Key::Index(index) => format!("[{index}]"),
            })
            .collect();
        format!("{prefix}{}{keys}", self.field)
    }
}

/// A string literal.
pub fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|char| match char {
            '"' | '\\' => format!("\\{char}"),
            char if char.is_control() => format!("\\u{:04x}", u32::from(char)),
            char => char.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// What a path gives.
#[derive(Clone, Debug)]
pub enum Val {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
    Map(Vec<KeyValue>),
    List(Vec<AnyValue>),
}

/// A condition cannot be evaluated on this record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Failed;

/// The record that a condition runs on.
pub struct Record<'a, 'i> {
    pub around: &'a Around<'a>,
    pub metric: Option<&'a Metric>,
    pub item: Option<&'a Item<'i>>,
    pub event: Option<(usize, &'a span::Event)>,
}

impl<'a> Record<'a, '_> {
    fn span(&self) -> Option<&'a Span> {
        match self.item {
            Some(Item::Span(span)) => Some(span),
            _ => None,
        }
    }

    /// Reads a path.
    pub fn read(&self, operand: &Operand) -> Result<Val, Failed> {
        let mut value = match (operand.field, operand.keys.first()) {
            ("attributes", Some(Key::Name(key))) => match value_of(self.attributes(operand.level), key) {
                Some(value) => any(value),
                None => return Ok(Val::Nil),
            },
            _ => self.field(operand.level, operand.field),
        };
        let behind = if operand.field == "attributes" { 1 } else { 0 };
        for key in operand.keys.iter().skip(behind) {
            value = match (value, key) {
                (Val::Map(pairs), Key::Name(key)) => match value_of(&pairs, key) {
                    Some(value) => any(value),
                    None => return Ok(Val::Nil),
                },
                (Val::List(list), Key::Index(index)) => match list.get(*index as usize) {
                    Some(value) => any(value.value.as_ref()),
                    None => return Err(Failed),
                },
                _ => return Err(Failed),
            };
        }
        Ok(value)
    }

    fn attributes(&self, level: Level) -> &'a [KeyValue] {
        match (level, self.item) {
            (Level::Resource, _) => &self.around.resource.attributes,
            (Level::Scope, _) => &self.around.scope.attributes,
            (Level::Event, _) => self.event.map_or(&[], |(_, event)| &event.attributes),
            (_, Some(Item::Span(span))) => &span.attributes,
            (_, Some(Item::Log(record))) => &record.attributes,
            (_, Some(Item::Number(point))) => &point.attributes,
            (_, Some(Item::Histogram(point))) => &point.attributes,
            (_, Some(Item::Exponential(point))) => &point.attributes,
            (_, Some(Item::Summary(point))) => &point.attributes,
            (_, None) => &[],
        }
    }

    fn field(&self, level: Level, field: &str) -> Val {
        match level {
            Level::Resource => match field {
                "schema_url" => Val::Str(self.around.resource_url.to_owned()),
                _ => Val::Int(self.around.resource.dropped_attributes_count.into()),
            },
            Level::Scope => match field {
                "name" => Val::Str(self.around.scope.name.clone()),
                "version" => Val::Str(self.around.scope.version.clone()),
                "schema_url" => Val::Str(self.around.scope_url.to_owned()),
                _ => Val::Int(self.around.scope.dropped_attributes_count.into()),
            },
            Level::Metric => self.metric.map_or(Val::Nil, |metric| metric_field(metric, field)),
            Level::Span => self.span().map_or(Val::Nil, |span| span_field(span, field)),
            Level::Event => self.event.map_or(Val::Nil, |(index, event)| match field {
                "name" => Val::Str(event.name.clone()),
                "time_unix_nano" => Val::Int(event.time_unix_nano as i64),
                "event_index" => Val::Int(index as i64),
                _ => Val::Int(event.dropped_attributes_count.into()),
            }),
            Level::Point => self.item.map_or(Val::Nil, |item| point_field(item, field)),
            Level::Log => {
                let Some(Item::Log(record)) = self.item else { return Val::Nil };
                match field {
                    "body" => any(record.body.as_ref().and_then(|body| body.value.as_ref())),
                    "severity_number" => Val::Int(record.severity_number.into()),
                    "severity_text" => Val::Str(record.severity_text.clone()),
                    "event_name" => Val::Str(record.event_name.clone()),
                    "time_unix_nano" => Val::Int(record.time_unix_nano as i64),
                    "observed_time_unix_nano" => Val::Int(record.observed_time_unix_nano as i64),
                    "flags" => Val::Int(record.flags.into()),
                    _ => Val::Int(record.dropped_attributes_count.into()),
                }
            }
        }
    }
}

fn any(value: Option<&Value>) -> Val {
    match value {
        None | Some(Value::StringValueStrindex(_)) => Val::Nil,
        Some(Value::StringValue(text)) => Val::Str(text.clone()),
        Some(Value::BoolValue(flag)) => Val::Bool(*flag),
        Some(Value::IntValue(number)) => Val::Int(*number),
        Some(Value::DoubleValue(number)) => Val::Float(*number),
        Some(Value::ArrayValue(list)) => Val::List(list.values.clone()),
        Some(Value::KvlistValue(list)) => Val::Map(list.values.clone()),
        Some(Value::BytesValue(bytes)) => Val::Bytes(bytes.clone()),
    }
}

/// What a list holds.
pub fn element(value: &AnyValue) -> Val {
    any(value.value.as_ref())
}

fn span_field(span: &Span, field: &str) -> Val {
    let status = span.status.clone().unwrap_or_default();
    let kinds = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
    match field {
        "name" => Val::Str(span.name.clone()),
        "kind" => Val::Int(span.kind.into()),
        "kind.string" => {
            let kind = usize::try_from(span.kind).ok().and_then(|kind| kinds.get(kind));
            Val::Str(kind.copied().unwrap_or_default().to_owned())
        }
        "status.code" => Val::Int(status.code.into()),
        "status.message" => Val::Str(status.message),
        "trace_state" => Val::Str(span.trace_state.clone()),
        "start_time_unix_nano" => Val::Int(span.start_time_unix_nano as i64),
        "end_time_unix_nano" => Val::Int(span.end_time_unix_nano as i64),
        "flags" => Val::Int(span.flags.into()),
        "dropped_attributes_count" => Val::Int(span.dropped_attributes_count.into()),
        "dropped_events_count" => Val::Int(span.dropped_events_count.into()),
        _ => Val::Int(span.dropped_links_count.into()),
    }
}

fn metric_field(metric: &Metric, field: &str) -> Val {
    let temporality = |number: i32| Val::Int(if (0..=2).contains(&number) { number.into() } else { 0 });
    match (field, &metric.data) {
        ("name", _) => Val::Str(metric.name.clone()),
        ("description", _) => Val::Str(metric.description.clone()),
        ("unit", _) => Val::Str(metric.unit.clone()),
        ("type", data) => Val::Int(match data {
            None => 0,
            Some(Data::Gauge(_)) => 1,
            Some(Data::Sum(_)) => 2,
            Some(Data::Histogram(_)) => 3,
            Some(Data::ExponentialHistogram(_)) => 4,
            Some(Data::Summary(_)) => 5,
        }),
        ("is_monotonic", Some(Data::Sum(sum))) => Val::Bool(sum.is_monotonic),
        ("aggregation_temporality", Some(Data::Sum(sum))) => temporality(sum.aggregation_temporality),
        ("aggregation_temporality", Some(Data::Histogram(data))) => temporality(data.aggregation_temporality),
        ("aggregation_temporality", Some(Data::ExponentialHistogram(data))) => {
            temporality(data.aggregation_temporality)
        }
        _ => Val::Nil,
    }
}

fn point_field(item: &Item<'_>, field: &str) -> Val {
    macro_rules! common {
        ($point:expr) => {
            match field {
                "time_unix_nano" => return Val::Int($point.time_unix_nano as i64),
                "start_time_unix_nano" => return Val::Int($point.start_time_unix_nano as i64),
                "flags" => return Val::Int($point.flags.into()),
                _ => {}
            }
        };
    }
    let optional = |value: Option<f64>| value.map_or(Val::Nil, Val::Float);
    match item {
        Item::Number(point) => {
            common!(point);
            use number_data_point::Value::{AsDouble, AsInt};
            match (field, &point.value) {
                ("value_int", Some(AsInt(value))) => Val::Int(*value),
                ("value_int", _) => Val::Int(0),
                ("value_double", Some(AsDouble(value))) => Val::Float(*value),
                ("value_double", _) => Val::Float(0.0),
                _ => Val::Nil,
            }
        }
        Item::Histogram(point) => {
            common!(point);
            match field {
                "count" => Val::Int(point.count as i64),
                "sum" => Val::Float(point.sum.unwrap_or_default()),
                "min" => optional(point.min),
                "max" => optional(point.max),
                _ => Val::Nil,
            }
        }
        Item::Exponential(point) => {
            common!(point);
            match field {
                "count" => Val::Int(point.count as i64),
                "sum" => Val::Float(point.sum.unwrap_or_default()),
                "min" => optional(point.min),
                "max" => optional(point.max),
                "scale" => Val::Int(point.scale.into()),
                "zero_count" => Val::Int(point.zero_count as i64),
                _ => Val::Nil,
            }
        }
        Item::Summary(point) => {
            common!(point);
            match field {
                "count" => Val::Int(point.count as i64),
                "sum" => Val::Float(point.sum),
                _ => Val::Nil,
            }
        }
        Item::Span(_) | Item::Log(_) => Val::Nil,
    }
}
