//! What expressions evaluate to, as the OpenTelemetry Collector 0.159.0 does it: its filter was given each of them and one
//! log record (`testdata/log.json`), and its verdicts and error texts were recorded.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of the tests below")]

mod common;

use common::noon;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::Value as Json;
use sluice_ottl::{Compiler, Context, Registry, Scope, Value, WireRecord};

/// Where we mean to differ from the Collector.
fn meant(expression: &str, kind: &str, ours: &(&str, String), theirs: &str) -> bool {
    // Its functions wrap the errors of what they call in names of Go types and steps.
    let wrapped = kind == "error" && ours.0 == "error" && theirs.ends_with(&ours.1);
    // Readers of JSON word their errors differently.
    let json = kind == "error" && ours.0 == "error" && expression.starts_with("ParseJSON(");
    // Ids print as hexadecimal and are accepted as bytes.
    let ids =
        ["log.trace_id", "log.span_id"].iter().any(|id| expression.contains(id)) || expression.starts_with("SpanID(");
    // Asking for the type of a literal is no error.
    let tests = kind == "load"
        && ["IsInt(", "IsMap(", "IsBool(", "IsDouble(", "IsString("].iter().any(|f| expression.starts_with(f));
    // Lists of maps may be written out.
    let lists = kind == "load" && expression.starts_with("SliceToMap([{");
    // A literal key of the wrong type is named as a computed one is; lists have one type.
    let keys = theirs.ends_with("invalid key type") || theirs.starts_with("type []string");
    // Where a base64 text goes wrong is counted differently.
    let base64 = theirs.contains("illegal base64 data") && ours.1.contains("illegal base64 data");
    // Character sets follow the WHATWG standard, which lacks some and fills gaps in others.
    let charsets = ["utf-7", "ibm437", "cp850", "0x81, \"windows-1252\""];
    let charsets = expression.starts_with("Decode(") && charsets.iter().any(|name| expression.contains(name));
    // Addresses of memory, hexadecimal floats, types of lists.
    let other = theirs.contains("{0x") || theirs == "0X1.CP+01" || theirs.ends_with("|[]interface {}");
    // The result of a call counts as a literal if it is constant.
    let literal = ours.0 == "load" && ours.1 == format!("couldn't create function: {theirs}");
    wrapped || json || ids || tests || lists || keys || literal || base64 || charsets || other
}

fn any(json: &Json) -> Option<AnyValue> {
    let list = |json: &Json| json["values"].as_array().unwrap().clone();
    let (kind, value) = json.as_object()?.iter().next()?;
    let value = match kind.as_str() {
        "stringValue" => Any::StringValue(value.as_str().unwrap().to_owned()),
        "intValue" => Any::IntValue(value.as_str().unwrap().parse().unwrap()),
        "doubleValue" => Any::DoubleValue(value.as_f64().unwrap()),
        "boolValue" => Any::BoolValue(value.as_bool().unwrap()),
        "bytesValue" => Any::BytesValue(vec![0x01, 0xff]),
        "arrayValue" => {
            Any::ArrayValue(ArrayValue { values: list(value).iter().map(|v| any(v).unwrap_or_default()).collect() })
        }
        "kvlistValue" => Any::KvlistValue(KeyValueList { values: list(value).iter().map(pair).collect() }),
        other => panic!("{other}"),
    };
    Some(AnyValue { value: Some(value) })
}

fn pair(json: &Json) -> KeyValue {
    KeyValue { key: json["key"].as_str().unwrap().to_owned(), value: any(&json["value"]), ..Default::default() }
}

/// The log record, its resource, the message with the resource's schema URL, its scope.
fn record() -> (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>) {
    let json: Json = serde_json::from_str(include_str!("testdata/log.json")).unwrap();
    let outer = &json["resourceLogs"][0];
    let log = &outer["scopeLogs"][0]["logRecords"][0];
    let number = |key: &str| log[key].as_str().unwrap().parse::<u64>().unwrap();
    let text = |key: &str| log[key].as_str().unwrap().to_owned();
    let pairs = |json: &Json| json.as_array().unwrap().iter().map(pair).collect::<Vec<_>>();
    let record = LogRecord {
        time_unix_nano: number("timeUnixNano"),
        observed_time_unix_nano: number("observedTimeUnixNano"),
        severity_number: log["severityNumber"].as_i64().unwrap() as i32,
        severity_text: text("severityText"),
        body: any(&log["body"]),
        trace_id: vec![0xab; 16],
        flags: 1,
        event_name: text("eventName"),
        attributes: pairs(&log["attributes"]),
        ..Default::default()
    };
    let resource = Resource { attributes: pairs(&outer["resource"]["attributes"]), ..Default::default() };
    let envelope = ScopeLogs { schema_url: "https://r".to_owned(), ..Default::default() };
    let scope = InstrumentationScope { name: "library".to_owned(), version: "1".to_owned(), ..Default::default() };
    (record.encode_to_vec(), resource.encode_to_vec(), envelope.encode_to_vec(), scope.encode_to_vec())
}

#[test]
fn comparisons_agree_with_the_collector() {
    let (log, resource, envelope, scope) = record();
    let record = WireRecord::log(&log).in_resource(&resource, &envelope).in_scope(&scope, &[]);
    let registry = Registry::filter();
    let mut compiler = Compiler::new(Context::Log, &registry);
    let (mut values, mut differences, mut compared) = (Vec::new(), Vec::new(), 0);
    for line in include_str!("testdata/compared.tsv").lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [left, right, verdicts] = columns[..] else {
            values.push(columns[1]);
            continue;
        };
        let (left, right): (usize, usize) = (left.parse().unwrap(), right.parse().unwrap());
        let operators: &[&str] = if left == right { &["==", "<"] } else { &["==", "!=", "<", ">="] };
        for (op, verdict) in operators.iter().zip(verdicts.chars()) {
            let source = format!("{} {op} {}", values[left], values[right]);
            let ours = compiler.condition(&source).unwrap().eval(&record, &noon);
            let theirs = match verdict {
                'T' => true,
                'F' => false,
                _ => continue, // the Collector crashed
            };
            compared += 1;
            // The Collector has several types of list.
            let lists = source.starts_with("Split(");
            if ours != Ok(theirs) && !lists {
                differences.push(format!("{source}: they {theirs}, we {ours:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{} of {compared}:\n{}", differences.len(), differences.join("\n"));
    assert!(compared > 6_000);
}

#[test]
fn values_and_errors_agree_with_the_collector() {
    let (log, resource, envelope, scope) = record();
    let record = WireRecord::log(&log).in_resource(&resource, &envelope).in_scope(&scope, &[]);
    let registry = Registry::filter();
    let mut compiler = Compiler::new(Context::Log, &registry);
    let mut differences = Vec::new();
    let mut compared = 0;
    for line in include_str!("testdata/evaluated.jsonl").lines() {
        let [expression, kind, theirs]: [String; 3] = serde_json::from_str(line).unwrap();
        let source = format!("Concat([{expression}], \"\")");
        let ours = match compiler.value_expression(&source) {
            Ok(compiled) => match compiled.eval(Scope::new(&record, &noon)) {
                Ok(Value::Str(text)) => ("value", String::from_utf8_lossy(&text).into_owned()),
                Ok(other) => panic!("{other:?}"),
                Err(error) => ("error", error.to_string()),
            },
            Err(error) => {
                let error = error.to_string();
                let inner = error.split("error while parsing list argument at index 0: ").nth(1).unwrap_or(&error);
                ("load", inner.to_owned())
            }
        };
        compared += 1;
        let theirs = theirs.split("[*github.com/").next().unwrap_or(&theirs).to_owned();
        if ours != (kind.as_str(), theirs.clone()) && !meant(&expression, &kind, &ours, &theirs) {
            differences.push(format!("{expression}\n  they: {kind} {theirs:?}\n  we:   {} {:?}", ours.0, ours.1));
        }
    }
    assert!(differences.is_empty(), "{} of {compared}:\n{}", differences.len(), differences.join("\n"));
    assert!(compared > 1_900);
}
