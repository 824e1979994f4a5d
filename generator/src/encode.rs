//! OTLP messages in wire form.

use sluice_pdata::Signal;
use sluice_pdata::msg::NewValue;
use sluice_pdata::tags::{
    log_record, metrics_request, resource, resource_spans, scope, scope_spans, span, span_event, status, traces_request,
};
use sluice_pdata::wire::{put_fixed32, put_fixed64, put_len, put_message, put_varint_field};

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

/// Attributes in the order in which they are written.
pub type Attributes = Vec<(&'static str, Value)>;

/// Appends attributes to a message that has them in field `number`.
pub fn attributes(out: &mut Vec<u8>, number: u32, attributes: &[(&'static str, Value)]) {
    for (key, value) in attributes {
        let value = match value {
            Value::Text(text) => NewValue::Str(text.as_bytes()),
            Value::Int(value) => NewValue::Int(*value),
            Value::Double(value) => NewValue::Double(*value),
            Value::Bool(value) => NewValue::Bool(*value),
        };
        put_message(out, number, |out| value.write_pair(key.as_bytes(), out));
    }
}

/// The payload of a `Resource`.
pub fn resource_payload(of: &[(&'static str, Value)]) -> Vec<u8> {
    let mut out = Vec::new();
    attributes(&mut out, resource::ATTRIBUTES, of);
    out
}

/// `SpanKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// An `exception` as events and logs describe it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    pub kind: String,
    pub message: String,
    pub at: u64,
}

impl Exception {
    /// In the semantic conventions' names.
    pub fn attributes(&self) -> Attributes {
        let trace =
            format!("{}: {}\n    at shop.handle(handler:118)\n    at shop.serve(server:47)", self.kind, self.message);
        vec![
            ("exception.type", self.kind.as_str().into()),
            ("exception.message", self.message.as_str().into()),
            ("exception.stacktrace", trace.into()),
        ]
    }
}

/// A span. Times in Unix nanoseconds of its own clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub trace_id: Vec<u8>,
    pub span_id: Vec<u8>,
    pub parent_id: Vec<u8>,
    pub trace_state: String,
    pub name: String,
    pub kind: Kind,
    pub start: u64,
    pub end: u64,
    pub attributes: Attributes,
    pub exception: Option<Exception>,
    /// The status is ERROR, with this text.
    pub error: Option<String>,
    pub flags: u32,
}

impl Span {
    /// The payload of a `Span`.
    pub fn payload(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        put_len(&mut out, span::TRACE_ID, &self.trace_id);
        put_len(&mut out, span::SPAN_ID, &self.span_id);
        text(&mut out, span::TRACE_STATE, &self.trace_state);
        if !self.parent_id.is_empty() {
            put_len(&mut out, span::PARENT_SPAN_ID, &self.parent_id);
        }
        text(&mut out, span::NAME, &self.name);
        put_varint_field(&mut out, span::KIND, self.kind as u64);
        put_fixed64(&mut out, span::START_TIME_UNIX_NANO, self.start);
        put_fixed64(&mut out, span::END_TIME_UNIX_NANO, self.end);
        attributes(&mut out, span::ATTRIBUTES, &self.attributes);
        if let Some(exception) = &self.exception {
            put_message(&mut out, span::EVENTS, |out| {
                put_fixed64(out, span_event::TIME_UNIX_NANO, exception.at);
                text(out, span_event::NAME, "exception");
                attributes(out, span_event::ATTRIBUTES, &exception.attributes());
            });
        }
        if let Some(message) = &self.error {
            put_message(&mut out, span::STATUS, |out| {
                text(out, status::MESSAGE, message);
                put_varint_field(out, status::CODE, 2);
            });
        }
        put_fixed32(&mut out, span::FLAGS, self.flags);
        out
    }
}

/// `SeverityNumber` of the levels that the shop logs at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Debug = 5,
    Info = 9,
    Warn = 13,
    Error = 17,
}

impl Severity {
    /// `SeverityText`.
    pub const fn text(self) -> &'static str {
        match self {
            Severity::Debug => "DEBUG",
            Severity::Info => "INFO",
            Severity::Warn => "WARN",
            Severity::Error => "ERROR",
        }
    }
}

/// A log record.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    pub time: u64,
    pub observed: u64,
    pub severity: Severity,
    pub body: String,
    pub attributes: Attributes,
    /// Empty: no context.
    pub trace_id: Vec<u8>,
    pub span_id: Vec<u8>,
    pub flags: u32,
}

impl Log {
    /// The payload of a `LogRecord`.
    pub fn payload(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(384);
        put_fixed64(&mut out, log_record::TIME_UNIX_NANO, self.time);
        put_varint_field(&mut out, log_record::SEVERITY_NUMBER, self.severity as u64);
        text(&mut out, log_record::SEVERITY_TEXT, self.severity.text());
        put_message(&mut out, log_record::BODY, |out| NewValue::Str(self.body.as_bytes()).write(out));
        attributes(&mut out, log_record::ATTRIBUTES, &self.attributes);
        if self.flags != 0 {
            put_fixed32(&mut out, log_record::FLAGS, self.flags);
        }
        for (number, id) in [(log_record::TRACE_ID, &self.trace_id), (log_record::SPAN_ID, &self.span_id)] {
            if !id.is_empty() {
                put_len(&mut out, number, id);
            }
        }
        put_fixed64(&mut out, log_record::OBSERVED_TIME_UNIX_NANO, self.observed);
        out
    }
}

/// Appends a string unless it is empty.
pub fn text(out: &mut Vec<u8>, number: u32, text: &str) {
    if !text.is_empty() {
        put_len(out, number, text.as_bytes());
    }
}

/// Instrumentation scopes of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Server,
    Client,
    Database,
    Messaging,
    App,
}

impl Scope {
    const fn name(self) -> &'static str {
        match self {
            Scope::Server => "shop.instrumentation.server",
            Scope::Client => "shop.instrumentation.client",
            Scope::Database => "shop.instrumentation.db",
            Scope::Messaging => "shop.instrumentation.messaging",
            Scope::App => "shop.app",
        }
    }
}

/// One item of a request: the payload of a span, log record or metric.
#[derive(Clone, Debug)]
pub struct Item {
    pub scope: Scope,
    pub payload: Vec<u8>,
}

/// Appends the `Resource*` of one resource to a request, with its items by scope. The three signals number these alike.
pub fn resource_group<'i>(
    out: &mut Vec<u8>,
    signal: Signal,
    resource: &[u8],
    items: impl Iterator<Item = &'i Item> + Clone,
) {
    debug_assert_eq!(traces_request::RESOURCE_SPANS, metrics_request::RESOURCE_METRICS);
    const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";
    let scopes = [Scope::Server, Scope::Client, Scope::Database, Scope::Messaging, Scope::App];
    put_message(out, traces_request::RESOURCE_SPANS, |out| {
        put_len(out, resource_spans::RESOURCE, resource);
        for of in scopes {
            let mut mine = items.clone().filter(|item| item.scope == of).peekable();
            if mine.peek().is_none() {
                continue;
            }
            put_message(out, resource_spans::SCOPE_SPANS, |out| {
                put_message(out, scope_spans::SCOPE, |out| {
                    text(out, scope::NAME, of.name());
                    text(out, scope::VERSION, "1.12.0");
                });
                mine.for_each(|item| put_len(out, scope_spans::SPANS, &item.payload));
            });
        }
        if signal != Signal::Metrics {
            text(out, resource_spans::SCHEMA_URL, SCHEMA);
        }
    });
}
