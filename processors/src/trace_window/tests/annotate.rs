//! Mode `annotate`, case by case (correlation §6, §7).

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use sluice_pdata::Signal;

use super::kit::*;
use crate::trace_window::{LogField, LogHold, Outcome, Settings, SpanField};

#[test]
fn a_log_waits_for_its_span_and_learns_of_it() {
    let mut world = World::annotate();
    world.logs("shop", vec![log(1, 2, "hello")]);
    world.pass(800);
    assert!(world.out.is_empty());
    let root = span(1, 1, 0);
    world.spans("shop", vec![root, failed(span(1, 2, 1))]);
    let logs = world.out_logs();
    assert_eq!(logs.len(), 1);
    let given = |key: &str| string(&logs[0].attributes, key);
    assert_eq!(given("span.name").unwrap(), "span 2");
    assert_eq!(given("span.kind").unwrap(), "SPAN_KIND_SERVER");
    assert_eq!(given("span.status_code").unwrap(), "STATUS_CODE_ERROR");
    assert_eq!(given("http.route").unwrap(), "/x");
    assert_eq!(given("trace.root.service.name").unwrap(), "shop");
    assert_eq!(given("trace.root.span.name").unwrap(), "span 1");
    assert_eq!(given("span.duration_ms"), None, "opt-in");
    assert_eq!(world.engine.statistics().items(Signal::Logs, Outcome::MatchedHold), 1);
    world.pass(1600);
    let spans = world.out_spans();
    assert_eq!(spans[0], span(1, 1, 0), "a span without logs leaves as it came");
    assert_eq!(string(&spans[1].attributes, "log.count").unwrap(), "1");
    world.pass(30_000);
    assert_eq!((world.engine.window().spans, world.engine.window().traces), (0, 0));
}

#[test]
fn a_log_behind_its_span_leaves_at_once() {
    let mut world = World::annotate();
    world.spans("shop", vec![span(1, 1, 0)]);
    world.logs("shop", vec![log(1, 1, "held still")]);
    assert_eq!(string(&world.out_logs()[0].attributes, "span.name").unwrap(), "span 1");
    world.pass(3000);
    assert_eq!(string(&world.out_spans()[0].attributes, "log.count").unwrap(), "1");
    world.logs("shop", vec![log(1, 1, "the span has left")]);
    assert_eq!(string(&world.out_logs()[0].attributes, "span.name").unwrap(), "span 1");
    let statistics = world.engine.statistics();
    assert_eq!(statistics.items(Signal::Logs, Outcome::MatchedImmediate), 1);
    assert_eq!(statistics.items(Signal::Logs, Outcome::SpanSummaryLate), 1);
}

#[test]
fn a_log_whose_span_does_not_come_leaves_at_its_deadline_as_it_came() {
    let mut world = World::annotate();
    world.logs("shop", vec![log(1, 1, "alone")]);
    world.pass(4_999);
    assert!(world.out.is_empty());
    world.pass(101);
    assert_eq!(world.out_logs(), [log(1, 1, "alone")]);
    world.pass(2_000);
    world.spans("shop", vec![span(1, 1, 0)]);
    assert_eq!(world.engine.recall_by_service().collect::<Vec<_>>(), [("shop".to_owned(), 0, 1)]);
    world.pass(2_000);
    assert_eq!(string(&world.out_spans()[0].attributes, "log.count").unwrap(), "1", "counted all the same");
}

#[test]
fn joins_need_both_ids_and_the_tenant() {
    let mut world = World::annotate().with_tenant("a");
    world.spans("shop", vec![span(1, 1, 0)]);
    world.set_tenant("b");
    world.logs("shop", vec![log(1, 1, "another tenant")]);
    world.set_tenant("a");
    world.logs("shop", vec![log(1, 2, "another span"), log(2, 1, "another trace")]);
    let mut odd = log(1, 0, "no span id");
    odd.trace_id.push(0);
    world.logs("shop", vec![log(1, 0, "zero span"), odd]);
    assert_eq!(world.out_logs().len(), 2);
    assert_eq!(world.engine.statistics().items(Signal::Logs, Outcome::BypassNoContext), 2);
    world.pass(60_000);
    assert!(world.out_logs().iter().all(|log| log.attributes.is_empty()));
}

#[test]
fn an_untouched_request_is_the_same_memory() {
    let mut world = World::annotate();
    let plain = opentelemetry_proto::tonic::logs::v1::LogRecord { trace_id: Vec::new(), ..log(1, 1, "x") };
    world.logs("shop", vec![plain.clone(), plain]);
    let sent = world.log[0].1.batch().bytes();
    assert_eq!(world.out[0].1.bytes().as_ptr(), sent.as_ptr());
}

#[test]
fn items_keep_their_envelopes_unknown_fields_and_order() {
    let mut world = World::annotate();
    let mut request = traces("shop", &[span(1, 1, 0), span(1, 2, 1)]);
    // Fields that no schema has: in the request, and in a span of another one.
    sluice_pdata::wire::put_len(&mut request, 1000, b"unknown");
    world.absorb(0, Signal::Traces, request.clone(), 2);
    world.spans("pay", vec![span(1, 3, 1)]);
    world.pass(10);
    world.spans("shop", vec![span(1, 4, 1)]);
    world.pass(3000);
    let all: Vec<u8> = world.out.iter().flat_map(|(_, batch)| batch.bytes().to_vec()).collect();
    assert_eq!(all.windows(7).filter(|window| *window == b"unknown").count(), 1);
    let decoded = ExportTraceServiceRequest::decode(&all[..]).unwrap();
    let expected = ExportTraceServiceRequest::decode(&request[..]).unwrap();
    assert_eq!(decoded.resource_spans[0], expected.resource_spans[0]);
    let names = world.out_spans().into_iter().map(|span| span.name).collect::<Vec<_>>();
    assert_eq!(names, ["span 1", "span 2", "span 3", "span 4"]);
    assert_eq!(world.out.len(), 0);
}

#[test]
fn what_leaves_together_is_regrouped_by_origin() {
    let mut world = World::annotate();
    for n in 1..=20 {
        world.spans(if n % 2 == 0 { "even" } else { "odd" }, vec![span(1, n, 0)]);
    }
    world.pass(3000);
    assert_eq!(world.out.len(), 1, "one batch");
    let request = ExportTraceServiceRequest::decode(world.out[0].1.bytes().clone()).unwrap();
    let services: Vec<_> =
        request.resource_spans.iter().map(|it| (it.scope_spans.len(), it.scope_spans[0].spans.len())).collect();
    assert_eq!(services, [(1, 10), (1, 10)]);
    let ids: Vec<_> = request.resource_spans[0].scope_spans[0].spans.iter().map(|span| span.span_id[7]).collect();
    assert_eq!(ids, [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
}

#[test]
fn nothing_is_overwritten_and_room_is_respected() {
    let mut settings = Settings::default();
    settings.attach.log_max_bytes = 60;
    let mut world = World::new(settings, None);
    world.spans("shop", vec![span(1, 1, 0)]);
    let mut own = log(1, 1, "x");
    own.attributes.push(text("span.name", "mine"));
    world.logs("shop", vec![own]);
    let out = world.out_logs();
    assert_eq!(string(&out[0].attributes, "span.name").unwrap(), "mine");
    assert!(string(&out[0].attributes, "span.kind").is_some());
    assert!(world.engine.statistics().fields_skipped > 0);
}

#[test]
fn opt_in_fields_of_both_sides() {
    let mut settings = Settings::default();
    settings.attach.log = vec![LogField::DurationMs, LogField::ParentSpanId];
    settings.attach.span = vec![SpanField::FirstError, SpanField::ExceptionEvent, SpanField::StatusFromLogs];
    let mut world = World::new(settings, None);
    world.spans("shop", vec![span(1, 2, 1)]);
    let mut error = log(1, 2, "boom");
    error.severity_number = 17;
    error.attributes = vec![text("exception.type", "IOError"), text("exception.message", "disk")];
    world.logs("shop", vec![error]);
    let logs = world.out_logs();
    assert_eq!(string(&logs[0].attributes, "span.duration_ms").unwrap(), "1");
    assert_eq!(string(&logs[0].attributes, "parent.span_id").unwrap(), "0000000000000001");
    world.pass(2000);
    let spans = world.out_spans();
    assert_eq!(string(&spans[0].attributes, "log.first_error.body").unwrap(), "boom");
    assert_eq!(spans[0].status.as_ref().unwrap().code, 2);
    assert_eq!(spans[0].events.len(), 1);
    assert_eq!(string(&spans[0].events[0].attributes, "exception.type").unwrap(), "IOError");
}

#[test]
fn a_severity_may_leave_at_once() {
    let hold_log = LogHold { severity: vec![(17, 20, Duration::ZERO)], ..Settings::default().hold_log };
    let mut world = World::new(Settings { hold_log, ..Settings::default() }, None);
    let mut error = log(1, 1, "now");
    error.severity_number = 17;
    world.logs("shop", vec![error, log(1, 1, "later")]);
    let out = world.out_logs();
    assert_eq!((out.len(), string(&out[0].attributes, "correlation.status").unwrap()), (1, "pending".to_owned()));
    world.pass(100);
    world.spans("shop", vec![span(1, 1, 0)]);
    assert_eq!(world.out_logs().len(), 1);
    world.pass(2000);
    assert_eq!(string(&world.out_spans()[0].attributes, "log.error.count").unwrap(), "1");
}

#[test]
fn repeated_and_conflicting_spans_are_forwarded_or_deduplicated() {
    for dedupe in [false, true] {
        let mut world = World::new(Settings { dedupe, ..Settings::default() }, None);
        world.spans("shop", vec![span(1, 1, 0)]);
        let other = opentelemetry_proto::tonic::trace::v1::Span { name: "other".into(), ..span(1, 1, 0) };
        world.spans("shop", vec![span(1, 1, 0), other]);
        world.logs("shop", vec![log(1, 1, "x")]);
        assert_eq!(string(&world.out_logs()[0].attributes, "span.name").unwrap(), "span 1", "the first counts");
        world.pass(3000);
        assert_eq!(world.out_spans().len(), if dedupe { 2 } else { 3 });
        let statistics = world.engine.statistics();
        assert_eq!((statistics.duplicate_spans, statistics.id_conflicts), (1, 1));
        assert_eq!(world.dropped.get("dedup").copied(), dedupe.then_some(1));
    }
}

#[test]
fn the_hold_of_logs_adapts_to_the_lag_of_their_spans() {
    let mut world = World::annotate();
    for n in 1..=400 {
        world.logs("quick", vec![log(n, n, "x")]);
        world.pass(300);
        world.spans("quick", vec![span(n, n, 0)]);
    }
    world.pass(5_000);
    world.out.clear();
    world.logs("quick", vec![log(9_999, 1, "never")]);
    world.pass(600);
    assert_eq!(world.out_logs().len(), 1, "no five seconds");
}

#[test]
fn event_times_do_not_matter() {
    let mut world = World::annotate();
    for (n, (start, end)) in
        [(0, 0), (u64::MAX, 1), (9_214_646_400_000_000_000, u64::MAX), (5, 3)].into_iter().enumerate()
    {
        let id = n as u64 + 1;
        let mut odd = span(id, id, 0);
        (odd.start_time_unix_nano, odd.end_time_unix_nano) = (start, end);
        let mut entry = log(id, id, "x");
        (entry.time_unix_nano, entry.observed_time_unix_nano) = (u64::MAX - start, end);
        world.logs("shop", vec![entry]);
        world.pass(50);
        world.spans("shop", vec![odd]);
        assert_eq!(world.out_logs().len(), 1);
    }
    world.pass(1_700);
    assert_eq!(world.out_spans().len(), 4);
    assert!(world.engine.statistics().odd_times >= 3);
}
