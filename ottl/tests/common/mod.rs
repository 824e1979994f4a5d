//! A record in memory, and short ways to compile and evaluate.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod otlp;

use std::borrow::Cow;

use sluice_ottl::time::Time;
use sluice_ottl::value::{Handle, HandleKind};
use sluice_ottl::{Compiler, Context, EvalError, Field, Map, Path, Record, Registry, Scope, Value};

/// Values by path; everything else is nil.
#[derive(Debug, Default)]
pub struct TestRecord {
    pub values: Vec<(Path, Value<'static>)>,
    pub points: Vec<Value<'static>>,
}

impl TestRecord {
    pub fn set(&mut self, level: Context, field: Field, value: Value<'static>) {
        self.values.push((Path { level, field }, value));
    }
}

impl Record for TestRecord {
    fn read(&self, path: Path) -> Result<Value<'_>, EvalError> {
        Ok(self.values.iter().find(|(known, _)| *known == path).map_or(Value::Nil, |(_, value)| value.reborrow()))
    }

    fn each_data_point(&self, visit: &mut dyn FnMut(Map<'_>) -> Result<bool, EvalError>) -> Result<(), EvalError> {
        for point in &self.points {
            if let Value::Map(map) = point.reborrow()
                && !visit(map)?
            {
                break;
            }
        }
        Ok(())
    }
}

pub fn text(text: &str) -> Value<'static> {
    Value::string(text)
}

pub fn map(entries: &[(&str, Value<'static>)]) -> Value<'static> {
    Value::map(entries.iter().map(|(key, value)| (Cow::Owned(key.as_bytes().to_vec()), value.clone())).collect())
}

/// A log record with a bit of everything.
pub fn log() -> TestRecord {
    let mut record = TestRecord::default();
    let attributes = map(&[
        ("http.route", text("/healthz")),
        ("status", Value::Int(200)),
        ("ratio", Value::Float(0.5)),
        ("ok", Value::Bool(true)),
        ("empty", Value::Nil),
        ("raw", Value::Bytes(Cow::Borrowed(b"\x01\xff"))),
        ("list", Value::list(vec![text("a"), Value::Int(2), Value::list(vec![text("deep")])])),
        ("nested", map(&[("x", map(&[("y", text("z"))])), ("name", text("x"))])),
        ("ip", text("10.1.2.3")),
        ("card", text("4539 1488 0343 6467")),
        ("json", text(r#"{"a": [1, {"b": "c"}], "n": null}"#)),
        ("dup", text("first")),
        ("dup", text("second")),
        ("mixed", text("  HTTPServer-v2Api ")),
    ]);
    record.set(Context::Log, Field::Attributes, attributes);
    record.set(Context::Log, Field::Body, text("GET /healthz 200"));
    record.set(Context::Log, Field::BodyString, text("GET /healthz 200"));
    record.set(Context::Log, Field::SeverityNumber, Value::Int(17));
    record.set(Context::Log, Field::SeverityText, text("ERROR"));
    record.set(Context::Log, Field::TraceId, Value::TraceId([0xab; 16]));
    record.set(Context::Log, Field::SpanId, Value::SpanId([0; 8]));
    record.set(Context::Log, Field::Time, Value::Time(Time::from_unix(1_709_251_199, 123_456_789)));
    record.set(Context::Log, Field::TimeUnixNano, Value::Int(1_709_251_199_123_456_789));
    record.set(Context::Log, Field::ObservedTime, Value::Time(Time::from_unix(1_709_251_200, 0)));
    record.set(Context::Resource, Field::Attributes, map(&[("service.name", text("shop"))]));
    record.set(Context::Scope, Field::Name, text("library"));
    record
}

/// A span whose handles and trace state can be looked at.
pub fn span() -> TestRecord {
    let mut record = TestRecord::default();
    record.set(Context::Span, Field::Name, text("GET"));
    record.set(Context::Span, Field::TraceState, text("a=1,b=2"));
    record.set(Context::Span, Field::ParentSpanId, Value::SpanId([0; 8]));
    record.set(Context::Span, Field::Events, Value::Handle(Handle { kind: HandleKind::Events, len: 3 }));
    record.set(Context::Span, Field::Status, Value::Handle(Handle { kind: HandleKind::Status, len: 0 }));
    record.set(Context::Span, Field::Kind, Value::Int(2));
    record
}

/// A clock that always says the same.
pub fn noon() -> Time {
    Time::from_unix(1_700_000_000, 0)
}

/// Compiles a condition without its context's prefix and evaluates it; the error of either step as text.
pub fn condition(context: Context, record: &TestRecord, source: &str) -> Result<bool, String> {
    let registry = Registry::filter();
    let mut compiler = Compiler::new(context, &registry).allow_unprefixed();
    let condition = compiler.condition(source).map_err(|error| error.to_string())?;
    condition.eval(record, &noon).map_err(|error| error.to_string())
}

/// Compiles a value expression and evaluates it; the result printed, or the error of either step.
pub fn value(context: Context, record: &TestRecord, source: &str) -> Result<String, String> {
    let registry = Registry::filter();
    let mut compiler = Compiler::new(context, &registry).allow_unprefixed();
    let expression = compiler.value_expression(source).map_err(|error| error.to_string())?;
    let value = expression.eval(Scope::new(record, &noon)).map_err(|error| error.to_string())?;
    Ok(shown(&value))
}

/// A value as a short text with its type.
pub fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Float(x) => format!("{x:?}"),
        Value::Str(text) => format!("{:?}", String::from_utf8_lossy(text)),
        Value::Bytes(bytes) => format!("0x{}", String::from_utf8_lossy(&sluice_ottl::text::hex(bytes))),
        Value::Time(time) => time.rfc3339(),
        Value::Duration(nanos) => format!("{nanos}ns"),
        Value::TraceId(id) => format!("trace {}", String::from_utf8_lossy(&sluice_ottl::text::hex(id))),
        Value::SpanId(id) => format!("span {}", String::from_utf8_lossy(&sluice_ottl::text::hex(id))),
        Value::ProfileId(id) => format!("profile {}", String::from_utf8_lossy(&sluice_ottl::text::hex(id))),
        Value::Handle(handle) => format!("{:?} of {}", handle.kind, handle.len),
        Value::List(list) => {
            let items: Vec<String> = list.iter().map(|item| item.map_or("?".to_owned(), |item| shown(&item))).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|entry| match entry {
                    Ok((key, value)) => format!("{}: {}", String::from_utf8_lossy(&key), shown(&value)),
                    Err(_) => "?".to_owned(),
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}
