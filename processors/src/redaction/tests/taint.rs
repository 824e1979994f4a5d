//! Values that were masked for their key are told to who wants to know, and to nobody else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Member};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message as _;
use sluice_pdata::Signal;
use sluice_pdata::pass::{Chain, Passed, Scratch, Step};
use sluice_pipeline::ComponentId;
use sluice_pipeline::Context;
use sluice_pipeline::clock::{Monotonic, WallTime};
use sluice_pipeline::context::{Arrival, Tenant};
use sluice_pipeline::taint::TaintBoard;

use super::*;
use crate::redaction::taint::Tainting;

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(Member::StringValue(value.into())) }),
        ..KeyValue::default()
    }
}

fn run(board: &TaintBoard, trace: u8) -> Vec<KeyValue> {
    let block = serde_json::json!({"allow_all_keys": true, "blocked_key_patterns": ["(?i)card"]});
    let step: Arc<dyn Step<Context>> = Arc::new(Tainting::new(Redaction::new("redaction", engine(block)), board));
    let record = LogRecord {
        trace_id: vec![trace; 16],
        span_id: vec![1; 8],
        attributes: vec![text("card", "4711-8"), text("Card.note", "abc"), text("plain", "harmless")],
        ..LogRecord::default()
    };
    let scope = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() }],
    };
    let arrival = Arrival { monotonic: Monotonic::default(), wall: WallTime(5) };
    let mut context = Context::internal(ComponentId::new("otlp", ""), arrival);
    context.tenant = Tenant::new("acme");
    let chain = Chain::<Context>::new(Signal::Logs, vec![step]);
    let passed: Passed = chain.run(Bytes::from(request.encode_to_vec()), 1, &context, &mut Scratch::default()).unwrap();
    let mut out = ExportLogsServiceRequest::decode(passed.bytes.clone()).unwrap();
    out.resource_logs.remove(0).scope_logs.remove(0).log_records.remove(0).attributes
}

#[test]
fn values_under_sensitive_keys_are_told_with_what_was_written_for_them() {
    let board = TaintBoard::default();
    run(&board, 1);
    assert!(board.is_empty(), "nobody wants to know");
    board.read_by(ComponentId::new("correlate", ""), 8, Duration::from_secs(10));
    let attributes = run(&board, 2);
    let Some(Member::StringValue(token)) = attributes[0].value.clone().unwrap().value else { panic!() };
    let found = board.find(&Tenant::new("acme"), &[2; 16]).unwrap();
    // The other one is too short, and the third stood under no such key.
    assert_eq!(found.literals.len(), 1);
    assert_eq!((found.literals[0].text(), found.literals[0].token()), (&b"4711-8"[..], token.as_bytes()));
    assert!(!token.contains("4711") && !found.lost);
    assert!(board.find(&Tenant::default(), &[2; 16]).is_none() && board.find(&Tenant::new("acme"), &[1; 16]).is_none());
}
