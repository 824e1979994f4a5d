//! Values that redaction has found leave in no item of their trace (correlation §9).

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span::Event};
use prost::Message as _;
use sluice_pipeline::ComponentId;
use sluice_pipeline::context::Tenant;
use sluice_pipeline::stage::StageOutput;
use sluice_pipeline::taint::{Literal, TaintBoard};

use super::kit::*;
use crate::trace_window::{OnLost, Settings, TaintSettings};

const CANARY: &str = "canary-7731";
const TOKEN: &str = "<secret:1>";

fn tainted(mut world: World, on_lost: OnLost) -> (World, TaintBoard) {
    let board = TaintBoard::default();
    let settings = TaintSettings { max_literals: 8, on_lost };
    world.engine.use_taints(Some((board.clone(), ComponentId::new("correlate", ""), settings)));
    (world, board)
}

fn publish(world: &World, board: &TaintBoard, tenant: &str, trace: u64) {
    let id = trace_id(trace).try_into().unwrap();
    board.publish(&Tenant::new(tenant), id, Literal::new(CANARY.as_bytes(), TOKEN.as_bytes()), world.wall());
}

/// A span with the canary in every text that is searched.
fn full_span(trace: u64) -> Span {
    let mut full = failed(span(trace, 1, 0));
    full.name = format!("GET /{CANARY}/x");
    full.status = Some(Status { code: 2, message: format!("{CANARY}{CANARY}") });
    full.attributes.push(text("who", &format!("it was {CANARY}")));
    full.events.push(Event {
        name: CANARY.into(),
        attributes: vec![text("exception.message", &format!("<{CANARY}>"))],
        ..Event::default()
    });
    full
}

fn full_log(trace: u64) -> LogRecord {
    let mut full = LogRecord { severity_number: 17, ..log(trace, 1, &format!("user {CANARY} failed")) };
    let inner = vec![AnyValue { value: Some(Value::StringValue(format!("a {CANARY}"))) }];
    let mut list = text("list", "");
    list.value = Some(AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: inner })) });
    full.attributes.push(list);
    full
}

fn holds(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

#[test]
fn a_canary_leaves_in_no_signal_of_its_trace_and_its_token_does() {
    let attach = crate::trace_window::Attach {
        span: vec![
            crate::trace_window::SpanField::FirstError,
            crate::trace_window::SpanField::ExceptionEvent,
            crate::trace_window::SpanField::StatusFromLogs,
        ],
        ..Settings::default().attach
    };
    let world = |decides: bool| {
        let settings = if decides { deciding() } else { Settings::default() };
        let settings = Settings { attach: attach.clone(), ..settings };
        if decides { decider(settings) } else { World::new(settings, None) }
    };
    for decides in [false, true] {
        // What is found when it comes, while things wait, and before anything has come.
        for found in 0..3 {
            let (mut world, board) = tainted(world(decides), OnLost::RedactBody);
            if found == 0 {
                publish(&world, &board, "", 1);
            }
            world.logs("shop", vec![full_log(1), full_log(2)]);
            if found == 1 {
                publish(&world, &board, "", 1);
            }
            world.spans("shop", vec![full_span(1), full_span(2)]);
            if found == 2 && !world.engine.decides() {
                // The log has met its span and left; spans are still there.
                world.out_logs();
                publish(&world, &board, "", 1);
            }
            // Late ones, while the trace is in the window or its verdict is known.
            world.pass(if decides { 40_000 } else { 4_000 });
            world.logs("shop", vec![full_log(1)]);
            world.spans("shop", vec![full_span(1)]);
            world.pass(60_000);
            if found == 2 && world.engine.decides() {
                continue;
            }
            let mut items: Vec<(Vec<u8>, Vec<u8>)> =
                world.out_spans().into_iter().map(|it| (it.trace_id.clone(), it.encode_to_vec())).collect();
            items.extend(world.out_logs().into_iter().map(|it| (it.trace_id.clone(), it.encode_to_vec())));
            assert!(items.iter().filter(|(trace, _)| *trace == trace_id(1)).count() >= 3);
            for (trace, bytes) in items {
                assert_eq!(holds(&bytes, CANARY), trace == trace_id(2), "{found}");
                assert_eq!(holds(&bytes, TOKEN), trace == trace_id(1), "{found}");
            }
            assert!(world.engine.statistics().taint_applied >= 10);
            assert_eq!(world.engine.statistics().taint_missed > 0, found == 2);
        }
    }
}

#[test]
fn another_tenant_keeps_its_own_words_and_the_window_ends() {
    let (world, board) = tainted(World::annotate(), OnLost::RedactBody);
    let mut world = world.with_tenant("a");
    publish(&world, &board, "b", 1);
    world.spans("shop", vec![full_span(1)]);
    world.pass(3_000);
    assert!(holds(&world.out_spans()[0].encode_to_vec(), CANARY));
    assert!(!board.is_empty());
    world.pass(20_000);
    world.spans("shop", vec![span(9, 9, 0)]);
    world.pass(1_000);
    assert!(board.is_empty());
}

#[test]
fn after_a_restart_traces_that_had_values_are_lost_and_nothing_of_them_leaves_unseen() {
    for (on_lost, count) in [(OnLost::RedactBody, 2), (OnLost::Drop, 0), (OnLost::Pass, 2)] {
        let (mut before, board) = tainted(World::annotate(), on_lost);
        publish(&before, &board, "", 1);
        before.pass(100);
        before.logs("shop", vec![full_log(1)]);
        assert!(before.notes.iter().all(|note| !holds(note, CANARY) && !holds(note, TOKEN)));

        let (mut after, board) = tainted(World::annotate(), on_lost);
        after.now_ms = before.now_ms;
        for note in &before.notes {
            let now = after.wall();
            after.engine.recall(note, now);
        }
        assert!(!board.is_empty());
        after.logs("shop", vec![full_log(1), log(2, 1, "other")]);
        after.spans("shop", vec![full_span(1)]);
        after.pass(10_000);
        let (spans, logs) = (after.out_spans(), after.out_logs());
        assert_eq!(spans.len() + logs.len(), 1 + count);
        for log in logs.iter().filter(|log| log.trace_id == trace_id(1)) {
            assert_eq!(body(log) == "[REDACTED:taint_lost]", on_lost == OnLost::RedactBody);
        }
        for span in &spans {
            let message = &span.status.as_ref().unwrap().message;
            assert_eq!(message == "[REDACTED:taint_lost]", on_lost == OnLost::RedactBody);
            assert_eq!(span.status.as_ref().unwrap().code, 2);
        }
        assert_eq!(after.dropped.get("redaction_failed").copied().unwrap_or(0), 2 - count);
        assert_eq!(after.engine.statistics().taint_lost, 2);
    }
}

#[test]
fn a_crash_before_the_stage_has_noted_it_loses_no_taint() {
    for decides in [false, true] {
        let world = || if decides { decider(deciding()) } else { World::annotate() };
        // Redaction publishes, the record is kept, and the process dies: nothing was noted.
        let (mut before, board) = tainted(world(), OnLost::RedactBody);
        publish(&before, &board, "", 1);
        before.tainted = vec![trace_id(1).try_into().unwrap()];
        let request = log_request("shop", &[full_log(1)]);
        let entry = before.request(sluice_pdata::Signal::Logs, request, 1);
        // While it lives, the record changes nothing.
        before.feed(sluice_pipeline::stage::Port(1), &entry);
        before.spans("shop", vec![full_span(1)]);
        before.pass(40_000);
        assert!(before.engine.statistics().taint_lost == 0 && before.engine.statistics().taint_applied > 0);
        // Its replay, with a board that knows nothing.
        let (mut after, board) = tainted(world(), OnLost::RedactBody);
        assert!(board.is_empty());
        after.feed(sluice_pipeline::stage::Port(1), &entry);
        after.spans("shop", vec![full_span(1)]);
        assert!(!board.is_empty() && !after.notes.is_empty());
        after.pass(40_000);
        assert!(after.out.iter().all(|(_, batch)| batch.context().tainted.is_empty()));
        let (logs, spans) = (after.out_logs(), after.out_spans());
        assert_eq!((logs.len(), spans.len()), (1, 1));
        assert_eq!(body(&logs[0]), "[REDACTED:taint_lost]");
        assert_eq!(spans[0].status.as_ref().unwrap().message, "[REDACTED:taint_lost]");
    }
}

#[test]
fn a_reload_keeps_what_is_known() {
    use crate::trace_window::{Engine, SharedEngine};
    let (mut world, board) = tainted(World::annotate(), OnLost::RedactBody);
    publish(&world, &board, "", 1);
    world.spans("shop", vec![full_span(1)]);
    let mut new = Engine::new(Settings::default(), None);
    let settings = TaintSettings { max_literals: 3, on_lost: OnLost::Drop };
    new.use_taints(Some((board.clone(), ComponentId::new("correlate", ""), settings)));
    let old = std::mem::replace(&mut world.engine, Engine::new(Settings::default(), None));
    let (old, new) = (SharedEngine::new(old), SharedEngine::new(new));
    assert!(new.succeed(&old));
    let mut out = StageOutput::default();
    world.now_ms += Duration::from_secs(3).as_millis() as u64;
    new.lock().tick(world.wall(), &mut out);
    assert_eq!(out.batches.len(), 1);
    assert!(!holds(out.batches[0].1.bytes(), CANARY) && holds(out.batches[0].1.bytes(), TOKEN));
}
