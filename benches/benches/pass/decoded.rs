//! The chain as it is done without wire form: everything is decoded into generated types, edited there and encoded again.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use regex::Regex;
use std::borrow::Cow;

const INFO: i32 = 9;

/// What the chain scenarios configure, over decoded requests.
pub(crate) struct Edits {
    mail: Regex,
}

impl Edits {
    pub(crate) fn new() -> Result<Self, regex::Error> {
        Ok(Self { mail: Regex::new(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")? })
    }

    /// Values without an `@` are passed over by a byte search, as one would do by hand.
    fn text(&self, text: &mut String) {
        if memchr::memchr(b'@', text.as_bytes()).is_some()
            && let Cow::Owned(masked) = self.mail.replace_all(text, "****")
        {
            *text = masked;
        }
    }

    fn value(&self, value: &mut AnyValue) {
        match &mut value.value {
            Some(Value::StringValue(text)) => self.text(text),
            Some(Value::ArrayValue(list)) => list.values.iter_mut().for_each(|value| self.value(value)),
            Some(Value::KvlistValue(list)) => self.attributes(&mut list.values),
            _ => {}
        }
    }

    fn attributes(&self, attributes: &mut [KeyValue]) {
        attributes.iter_mut().filter_map(|pair| pair.value.as_mut()).for_each(|value| self.value(value));
    }

    fn resource(&self, resource: &mut Option<Resource>) {
        const KEY: &str = "deployment.environment.name";
        let resource = resource.get_or_insert_default();
        self.attributes(&mut resource.attributes);
        if resource.attributes.iter().all(|pair| pair.key != KEY) {
            let value = Some(AnyValue { value: Some(Value::StringValue("production".into())) });
            resource.attributes.push(KeyValue { key: KEY.into(), value, ..KeyValue::default() });
        }
    }

    pub(crate) fn traces(&self, request: &mut ExportTraceServiceRequest) {
        for group in &mut request.resource_spans {
            self.resource(&mut group.resource);
            for scope in &mut group.scope_spans {
                scope.scope.iter_mut().for_each(|scope| self.attributes(&mut scope.attributes));
                scope.spans.retain_mut(|span| {
                    let route = span.attributes.iter().find(|pair| pair.key == "http.route");
                    let route = route.and_then(|pair| pair.value.as_ref()).and_then(|value| value.value.as_ref());
                    if matches!(route, Some(Value::StringValue(route)) if route == "/healthz") {
                        return false;
                    }
                    self.text(&mut span.name);
                    self.attributes(&mut span.attributes);
                    for event in &mut span.events {
                        self.text(&mut event.name);
                        self.attributes(&mut event.attributes);
                    }
                    span.links.iter_mut().for_each(|link| self.attributes(&mut link.attributes));
                    span.status.iter_mut().for_each(|status| self.text(&mut status.message));
                    true
                });
            }
        }
    }

    pub(crate) fn logs(&self, request: &mut ExportLogsServiceRequest) {
        for group in &mut request.resource_logs {
            self.resource(&mut group.resource);
            for scope in &mut group.scope_logs {
                scope.scope.iter_mut().for_each(|scope| self.attributes(&mut scope.attributes));
                scope.log_records.retain_mut(|record| {
                    if record.severity_number < INFO {
                        return false;
                    }
                    record.body.iter_mut().for_each(|body| self.value(body));
                    self.attributes(&mut record.attributes);
                    true
                });
            }
        }
    }
}
