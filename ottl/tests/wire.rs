//! Every path of every level, read from wire bytes and compared with the message that was encoded.

mod common;

use common::noon;
use common::otlp::{ATTRIBUTES, any, attributes, check, pair, string};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message;
use sluice_ottl::wire::Request;
use sluice_ottl::{Compiler, Context, Map, Registry, Value, WireRecord};

fn prefixed(level: &str, cases: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(source, expected): &(&str, &str)| {
        let source = match source.strip_prefix("dropped") {
            Some(_) => format!("{level}.{source}"),
            None => source.replacen("attributes", &format!("{level}.attributes"), 1),
        };
        (source, (*expected).to_owned())
    };
    cases.iter().map(owned).collect()
}

#[test]
fn resource_and_scope() {
    let resource = Resource { attributes: attributes(), dropped_attributes_count: 3, ..Default::default() };
    let scope = InstrumentationScope {
        name: "lib".to_owned(),
        version: "1.2".to_owned(),
        attributes: attributes(),
        dropped_attributes_count: 3,
    };
    let (resource, scope) = (resource.encode_to_vec(), scope.encode_to_vec());
    let outer = ScopeLogs { schema_url: "https://r".to_owned(), ..Default::default() }.encode_to_vec();
    let inner = ScopeLogs { schema_url: "https://s".to_owned(), ..Default::default() }.encode_to_vec();
    let record = WireRecord::outer().in_resource(&resource, &outer).in_scope(&scope, &inner);
    check(Context::Resource, &record, ATTRIBUTES);
    check(Context::Resource, &record, &[("schema_url", r#""https://r""#)]);
    check(Context::Scope, &record, ATTRIBUTES);
    check(
        Context::Scope,
        &record,
        &[("name", r#""lib""#), ("version", r#""1.2""#), ("schema_url", r#""https://s""#), ("cache", "{}")],
    );
    // From inside, too.
    let log = LogRecord::default().encode_to_vec();
    let record = WireRecord::log(&log).in_resource(&resource, &outer).in_scope(&scope, &inner);
    for level in ["resource", "scope", "instrumentation_scope"] {
        let cases = prefixed(level, ATTRIBUTES);
        let cases: Vec<(&str, &str)> = cases.iter().map(|(s, e)| (s.as_str(), e.as_str())).collect();
        check(Context::Log, &record, &cases);
    }
}

#[test]
fn logs() {
    let log = LogRecord {
        time_unix_nano: 1_700_000_000_000_000_001,
        observed_time_unix_nano: 1_700_000_000_500_000_000,
        severity_number: 17,
        severity_text: "ERR".to_owned(),
        body: any(Any::KvlistValue(KeyValueList { values: vec![pair("msg", string("<hi>"))] })),
        attributes: attributes(),
        dropped_attributes_count: 3,
        flags: 1,
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        event_name: "event".to_owned(),
    };
    let bytes = log.encode_to_vec();
    let record = WireRecord::log(&bytes);
    check(Context::Log, &record, ATTRIBUTES);
    check(
        Context::Log,
        &record,
        &[
            ("event_name", r#""event""#),
            ("trace_id", "trace abababababababababababababababab"),
            ("trace_id.string", r#""abababababababababababababababab""#),
            ("span_id", "span cdcdcdcdcdcdcdcd"),
            ("span_id.string", r#""cdcdcdcdcdcdcdcd""#),
            ("time", "2023-11-14T22:13:20.000000001Z"),
            ("time_unix_nano", "1700000000000000001"),
            ("observed_time", "2023-11-14T22:13:20.5Z"),
            ("observed_time_unix_nano", "1700000000500000000"),
            ("severity_number", "17"),
            ("severity_text", r#""ERR""#),
            ("body", r#"{msg: "<hi>"}"#),
            (r#"body["msg"]"#, r#""<hi>""#),
            ("body.string", r#""{\"msg\":\"<hi>\"}""#),
            ("flags", "1"),
        ],
    );
    let bytes = LogRecord::default().encode_to_vec();
    check(
        Context::Log,
        &WireRecord::log(&bytes),
        &[
            ("attributes", "{}"),
            ("trace_id", "trace 00000000000000000000000000000000"),
            ("time_unix_nano", "0"),
            ("body", "nil"),
            ("body.string", r#""""#),
            ("severity_text", r#""""#),
        ],
    );
}

#[test]
fn spans_and_events() {
    let event = Event {
        time_unix_nano: 1_000_000_000,
        name: "e1".to_owned(),
        attributes: attributes(),
        dropped_attributes_count: 3,
    };
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        trace_state: "a=1,b=2".to_owned(),
        parent_span_id: vec![3; 8],
        flags: 257,
        name: "GET /".to_owned(),
        kind: 3,
        start_time_unix_nano: 1_000_000_000,
        end_time_unix_nano: 3_500_000_000,
        attributes: attributes(),
        dropped_attributes_count: 3,
        events: vec![Event::default(), event.clone()],
        dropped_events_count: 4,
        links: vec![Link::default()],
        dropped_links_count: 5,
        status: Some(Status { message: "bad".to_owned(), code: 2 }),
    };
    let (bytes, event) = (span.encode_to_vec(), event.encode_to_vec());
    let cases = [
        ("trace_id", "trace 01010101010101010101010101010101"),
        ("trace_id.string", r#""01010101010101010101010101010101""#),
        ("span_id", "span 0202020202020202"),
        ("span_id.string", r#""0202020202020202""#),
        ("parent_span_id", "span 0303030303030303"),
        ("parent_span_id.string", r#""0303030303030303""#),
        ("trace_state", r#""a=1,b=2""#),
        (r#"trace_state["b"]"#, r#""2""#),
        ("status", "Status of 0"),
        ("status.code", "2"),
        ("status.message", r#""bad""#),
        ("name", r#""GET /""#),
        ("kind", "3"),
        ("kind.string", r#""Client""#),
        ("kind.deprecated_string", r#""SPAN_KIND_CLIENT""#),
        ("start_time", "1970-01-01T00:00:01Z"),
        ("start_time_unix_nano", "1000000000"),
        ("end_time", "1970-01-01T00:00:03.5Z"),
        ("end_time_unix_nano", "3500000000"),
        ("Seconds(end_time - start_time)", "2.5"),
        ("events", "Events of 2"),
        ("links", "Links of 1"),
        ("flags", "257"),
        ("dropped_events_count", "4"),
        ("dropped_links_count", "5"),
        ("IsRootSpan()", "false"),
    ];
    let record = WireRecord::span(&bytes);
    check(Context::Span, &record, ATTRIBUTES);
    check(Context::Span, &record, &cases);

    let record = WireRecord::span_event(&bytes, &event, 1);
    check(Context::SpanEvent, &record, ATTRIBUTES);
    check(
        Context::SpanEvent,
        &record,
        &[
            ("name", r#""e1""#),
            ("time", "1970-01-01T00:00:01Z"),
            ("time_unix_nano", "1000000000"),
            ("event_index", "1"),
            ("span.name", r#""GET /""#),
            (r#"span.attributes["s"]"#, r#""text""#),
        ],
    );
    let bytes = Span::default().encode_to_vec();
    check(
        Context::Span,
        &WireRecord::span(&bytes),
        &[
            ("IsRootSpan()", "true"),
            ("status.code", "0"),
            ("kind.string", r#""Unspecified""#),
            ("events", "Events of 0"),
        ],
    );
}

#[test]
fn the_request_is_visible_everywhere() {
    let metadata = |key: &'static str| common::map(&[(key, Value::list(vec![common::text("a"), common::text("b")]))]);
    let maps = [metadata("x-tenant"), metadata("user-agent"), common::map(&[("sub", common::text("me"))])];
    let as_map = |value: &Value<'static>| match value {
        Value::Map(map) => map.clone(),
        _ => Map::Borrowed(&[]),
    };
    let request = Request {
        client_addr: common::text("10.0.0.1"),
        client_metadata: as_map(&maps[0]),
        grpc_metadata: as_map(&maps[1]),
        auth_attributes: as_map(&maps[2]),
    };
    let bytes = Span::default().encode_to_vec();
    check(
        Context::Span,
        &WireRecord::span(&bytes).in_request(&request),
        &[
            ("otelcol.client.addr", r#""10.0.0.1""#),
            (r#"otelcol.client.metadata["X-Tenant"]"#, r#"["a", "b"]"#),
            (r#"otelcol.client.metadata["x-tenant"][1]"#, r#""b""#),
            (r#"otelcol.client.metadata["absent"]"#, "nil"),
            (r#"otelcol.grpc.metadata["User-Agent"][0]"#, r#""a""#),
            (r#"otelcol.client.auth.attributes["sub"]"#, r#""me""#),
        ],
    );
}

#[test]
fn malformed_bytes_are_an_error_of_their_own_class() {
    let bytes = [0x2a, 0x7f, b'x'];
    let registry = Registry::filter();
    let mut compiler = Compiler::new(Context::Span, &registry);
    for source in [r#"span.name == "x""#, r#"span.attributes["x"] == "y""#, "Len(span.attributes) == 1"] {
        let condition = compiler.condition(source).unwrap();
        assert_eq!(condition.eval(&WireRecord::span(&bytes), &noon).unwrap_err().class(), "malformed", "{source}");
    }
}

#[test]
fn conditions_run_on_bytes() {
    let span = Span { name: "GET".to_owned(), trace_id: vec![10; 16], attributes: attributes(), ..Default::default() };
    let span = span.encode_to_vec();
    let registry = Registry::filter();
    let mut compiler = Compiler::new(Context::Span, &registry);
    for (source, expected) in [
        (r#"span.trace_id.string == "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a""#, true),
        (r#""0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A" == span.trace_id.string"#, false),
        (r#"span.trace_id.string != "0a""#, true),
        (r#"span.parent_span_id.string == "0000000000000000""#, true),
        (r#"span.attributes["s"] == "text""#, true),
        (r#"span.attributes["s"] != "text""#, false),
        (r#"span.attributes["i"] == "text""#, false),
        (r#"span.attributes["i"] != "-5""#, true),
        (r#"span.attributes["absent"] != "text""#, true),
        (r#"IsMatch(span.attributes["s"], "^t") and span.name == "GET""#, true),
    ] {
        let condition = compiler.condition(source).unwrap();
        assert_eq!(condition.eval(&WireRecord::span(&span), &noon), Ok(expected), "{source}");
    }
}

#[test]
fn deep_values_are_refused_and_do_no_harm() {
    /// A body of lists in lists.
    fn nested(levels: usize) -> Vec<u8> {
        let value = |inner: Vec<u8>| {
            let mut list = Vec::new();
            prost::encoding::bytes::encode(1, &inner, &mut list); // ArrayValue.values
            let mut value = Vec::new();
            prost::encoding::bytes::encode(5, &list, &mut value); // AnyValue.array_value
            value
        };
        let innermost = (0..levels).fold(Vec::new(), |inner, _| value(inner));
        let mut log = Vec::new();
        prost::encoding::bytes::encode(5, &innermost, &mut log); // LogRecord.body
        log
    }
    let registry = Registry::filter();
    let mut compiler = Compiler::new(Context::Log, &registry);
    let sources = [
        "log.body == log.body",
        "String(log.body) != nil",
        r#"IsMatch(log.body, "x")"#,
        "ToKeyValueString({\"a\": log.body}) != nil",
        "Sort([log.body]) != nil",
        "Len(log.body.string) > 0",
    ];
    for source in sources {
        let condition = compiler.condition(source).unwrap();
        let shallow = nested(900);
        assert!(condition.eval(&WireRecord::log(&shallow), &noon).is_ok(), "{source}");
        let deep = nested(3_000);
        let result = condition.eval(&WireRecord::log(&deep), &noon);
        if source.starts_with("Sort") {
            assert_eq!(result, Ok(true)); // nested elements are not looked into
        } else {
            assert_eq!(result.unwrap_err().class(), "limit", "{source}");
        }
    }
    let text = |levels: usize| format!("ParseJSON(\"{}{}\") != nil", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(compiler.condition(&text(1_000)).unwrap().constant(), Some(true));
    let condition = compiler.condition(&text(1_001)).unwrap();
    let log = LogRecord::default().encode_to_vec();
    assert_eq!(condition.eval(&WireRecord::log(&log), &noon).unwrap_err().class(), "limit");
}
