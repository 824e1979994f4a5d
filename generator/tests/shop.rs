//! What the shop produces: the same for the same seed, well-formed, in order, and as common as it should be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::{HashMap, HashSet};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Exemplar};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use sluice_generator::settings::{Disturbances, Sampling, Timers, TraceState};
use sluice_generator::settings::{MILLISECOND, SECOND};
use sluice_generator::truth::LogKind;
use sluice_generator::{Error, Export, Settings, Shop, Truth};
use sluice_pdata::Signal;

/// Twenty seconds of everything at once.
fn everything() -> Settings {
    Settings {
        duration: 20 * SECOND,
        disturbances: Disturbances::ordinary(),
        sampling: Sampling { ratio: 0.5, trace_state: TraceState::RandomValue },
        pathologies: 0.02,
        secrets: 0.05,
        giant: Some(2_000),
        timers: Timers { metrics: 5 * SECOND, ..Timers::default() },
        ..Settings::default()
    }
}

fn run(settings: Settings) -> (Vec<Export>, Truth) {
    let mut shop = Shop::new(settings).unwrap();
    let exports = shop.by_ref().collect();
    (exports, shop.into_truth())
}

fn spans(exports: &[Export]) -> Vec<Span> {
    let of = exports.iter().filter(|export| export.signal == Signal::Traces);
    of.flat_map(|export| ExportTraceServiceRequest::decode(export.bytes.as_slice()).unwrap().resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect()
}

fn logs(exports: &[Export]) -> Vec<LogRecord> {
    let of = exports.iter().filter(|export| export.signal == Signal::Logs);
    of.flat_map(|export| ExportLogsServiceRequest::decode(export.bytes.as_slice()).unwrap().resource_logs)
        .flat_map(|resource| resource.scope_logs)
        .flat_map(|scope| scope.log_records)
        .collect()
}

#[test]
fn a_seed_names_every_byte_and_another_seed_others() {
    let (one, truth) = run(everything());
    let (same, same_truth) = run(everything());
    assert!(one == same && truth.planted == same_truth.planted && truth.logs == same_truth.logs);
    let (other, _) = run(Settings { seed: 2, ..everything() });
    assert!(one.iter().zip(&other).all(|(one, other)| one.bytes != other.bytes));
}

#[test]
fn exports_arrive_in_order_and_hold_what_they_say() {
    let (exports, truth) = run(everything());
    assert!(exports.windows(2).all(|pair| pair[0].arrival <= pair[1].arrival));
    for export in &exports {
        let framing = sluice_pdata::framing::check(export.signal, &export.bytes).unwrap();
        assert!(framing.plain && framing.items == export.items && export.items > 0);
        assert!(export.items <= 512 || export.signal == Signal::Metrics);
    }
    let count = |signal: Signal, duplicate: bool| {
        let of = exports.iter().filter(|export| export.signal == signal && export.duplicate == duplicate);
        of.map(|export| export.items).sum::<usize>()
    };
    assert_eq!(Signal::ALL.map(|signal| count(signal, true)), truth.duplicated);
    assert_eq!(count(Signal::Logs, false), truth.logs.iter().filter(|log| log.at.is_some()).count());
    assert_eq!(count(Signal::Metrics, false), truth.points - truth.points_lost);
    let good = truth.spans.iter().filter(|span| span.at.is_some()).count();
    let broken = count(Signal::Traces, false) - good;
    assert!((1..good / 20).contains(&broken), "{broken} broken spans of {good}");
}

#[test]
fn arrivals_of_an_undisturbed_run_are_complete() {
    let (_, truth) = run(Settings::default());
    assert!(truth.traces.len() > 500 && truth.traces.iter().all(|trace| trace.complete_at().is_some()));
    assert!(truth.logs.iter().all(|log| log.at.is_some_and(|at| at >= log.emitted)));
    assert!(truth.spans.iter().all(|span| span.at.is_some_and(|at| at >= span.ended)));
    let spans: usize = truth.traces.iter().map(|trace| trace.spans).sum();
    assert_eq!(spans, truth.spans.len());
}

#[test]
fn every_span_has_a_parent_that_began_before_and_the_attributes_of_its_kind() {
    let (exports, truth) = run(Settings::default());
    let all = spans(&exports);
    let by_id: HashMap<_, _> = all.iter().map(|span| ((span.trace_id.clone(), span.span_id.clone()), span)).collect();
    assert_eq!(by_id.len(), truth.spans.len());
    let key_of = |span: &Span| {
        let has = |key: &str| span.attributes.iter().any(|attribute| attribute.key == key);
        ["http.route", "rpc.method", "db.system.name", "messaging.system", "http.request.method"]
            .into_iter()
            .find(|key| has(key))
    };
    let mut kinds: HashMap<(i32, Option<&str>), usize> = HashMap::new();
    for span in &all {
        *kinds.entry((span.kind, key_of(span))).or_default() += 1;
        assert!(span.end_time_unix_nano > span.start_time_unix_nano && span.flags & 0x101 == 0x101, "{span:?}");
        let failed = span.status.as_ref().is_some_and(|status| status.code == 2);
        assert_eq!(failed, span.events.iter().any(|event| event.name == "exception"), "{span:?}");
        if !span.parent_span_id.is_empty() {
            let parent = by_id[&(span.trace_id.clone(), span.parent_span_id.clone())];
            assert!(parent.start_time_unix_nano <= span.start_time_unix_nano);
        }
    }
    let expected =
        [(2, "http.route"), (2, "rpc.method"), (3, "rpc.method"), (3, "db.system.name"), (3, "http.request.method")];
    for (kind, key) in expected.into_iter().chain([(4, "messaging.system"), (5, "messaging.system")]) {
        assert!(kinds.get(&(kind, Some(key))).is_some_and(|count| *count > 10), "{kind} {key}: {kinds:?}");
    }
    assert!(!kinds.keys().any(|(_, key)| key.is_none()), "{kinds:?}");
}

#[test]
fn logs_are_mixed_as_in_life() {
    let settings =
        Settings { sampling: Sampling { ratio: 0.5, ..Sampling::default() }, pathologies: 0.02, ..Settings::default() };
    let (exports, truth) = run(settings);
    let mut kinds: HashMap<LogKind, usize> = HashMap::new();
    truth.logs.iter().for_each(|log| *kinds.entry(log.kind).or_default() += 1);
    let share = |kind| kinds.get(&kind).copied().unwrap_or(0) as f64 / truth.logs.len() as f64;
    let expected = [
        (LogKind::Inside, 0.35..0.55),
        (LogKind::Unsampled, 0.35..0.55),
        (LogKind::AfterEnd, 0.002..0.03),
        (LogKind::NoContext, 0.005..0.1),
        (LogKind::Orphan, 0.001..0.02),
        (LogKind::Pathological, 0.01..0.03),
    ];
    for (kind, range) in expected {
        assert!(range.contains(&share(kind)), "{kind:?}: {} of {kinds:?}", share(kind));
    }
    let all = logs(&exports);
    let mut severities: HashMap<&str, usize> = HashMap::new();
    all.iter().for_each(|log| *severities.entry(&log.severity_text).or_default() += 1);
    assert!(severities["INFO"] > severities["DEBUG"] && severities["DEBUG"] > severities["ERROR"], "{severities:?}");
    assert!(severities["WARN"] > 0);
    for log in all.iter().filter(|log| log.severity_number == 17) {
        assert!(log.attributes.iter().any(|attribute| attribute.key == "exception.type"), "{log:?}");
    }
    let numbers: HashSet<_> = all.iter().map(|log| format!("{:?}", log.attributes[0])).collect();
    assert_eq!(numbers.len(), all.len());
}

#[test]
fn failures_are_as_common_as_the_shop_says_and_leave_an_error_log() {
    let (_, truth) = run(Settings { duration: 300 * SECOND, ..Settings::default() });
    let failed = truth.traces.iter().filter(|trace| trace.errors > 0).count() as f64 / truth.traces.len() as f64;
    assert!((0.01..0.08).contains(&failed), "{failed}");
    assert!(truth.traces.iter().filter(|trace| trace.log_errors > 0).all(|trace| trace.errors > 0));
    let per_second = truth.traces.len() as f64 / 300.0;
    assert!((per_second - 10.0).abs() < 1.0, "{per_second}");
    let mut durations: Vec<_> = truth.traces.iter().map(|trace| trace.duration()).collect();
    durations.sort_unstable();
    let quantile = |share: f64| durations[(durations.len() as f64 * share) as usize];
    assert!((20 * MILLISECOND..200 * MILLISECOND).contains(&quantile(0.5)), "{}", quantile(0.5));
    assert!((200 * MILLISECOND..10 * SECOND).contains(&quantile(0.99)), "{}", quantile(0.99));
}

#[test]
fn metrics_have_every_kind_of_point_and_exemplars_of_real_spans() {
    let settings = Settings { timers: Timers { metrics: 10 * SECOND, ..Timers::default() }, ..Settings::default() };
    let (exports, truth) = run(settings);
    let known: HashSet<_> = truth
        .spans
        .iter()
        .map(|span| (truth.traces[span.trace as usize].trace_id.to_vec(), span.span_id.to_vec()))
        .collect();
    let mut kinds: HashMap<String, usize> = HashMap::new();
    let mut count = 0;
    let mut check = |kind: String, exemplars: &[Exemplar], counted: Option<(u64, u64)>| {
        if let Some((count, sum)) = counted {
            assert_eq!(count, sum, "{kind}");
        }
        for exemplar in exemplars {
            assert!(known.contains(&(exemplar.trace_id.clone(), exemplar.span_id.clone())));
            *kinds.entry(kind.clone()).or_default() += 1;
            count += 1;
        }
    };
    let temporality = |number: i32| AggregationTemporality::try_from(number).unwrap().as_str_name();
    for export in exports.iter().filter(|export| export.signal == Signal::Metrics) {
        let request = ExportMetricsServiceRequest::decode(export.bytes.as_slice()).unwrap();
        let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            match metric.data.unwrap() {
                Data::Histogram(data) => data.data_points.iter().for_each(|point| {
                    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                    let sum = point.bucket_counts.iter().sum();
                    check(
                        format!("histogram {}", temporality(data.aggregation_temporality)),
                        &point.exemplars,
                        Some((point.count, sum)),
                    );
                }),
                Data::ExponentialHistogram(data) => data.data_points.iter().for_each(|point| {
                    let sum = point.positive.iter().flat_map(|buckets| &buckets.bucket_counts).sum::<u64>()
                        + point.zero_count;
                    let kind = format!("exponential {}", temporality(data.aggregation_temporality));
                    check(kind, &point.exemplars, Some((point.count, sum)));
                }),
                Data::Sum(data) => {
                    data.data_points.iter().for_each(|point| check("sum".into(), &point.exemplars, None))
                }
                Data::Gauge(data) => {
                    data.data_points.iter().for_each(|point| check("gauge".into(), &point.exemplars, None))
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(count, truth.exemplars);
    for kind in ["histogram", "exponential"] {
        for temporality in ["DELTA", "CUMULATIVE"] {
            let kind = format!("{kind} AGGREGATION_TEMPORALITY_{temporality}");
            assert!(kinds.contains_key(&kind), "{kind}: {kinds:?}");
        }
    }
    assert!(kinds.contains_key("sum") && kinds.contains_key("gauge"), "{kinds:?}");
}

#[test]
fn what_is_not_sampled_leaves_logs_and_no_spans() {
    let settings =
        Settings { sampling: Sampling { ratio: 0.25, trace_state: TraceState::Threshold }, ..Settings::default() };
    let (exports, truth) = run(settings);
    let sampled: HashSet<_> =
        truth.traces.iter().filter(|trace| trace.sampled).map(|trace| trace.trace_id.to_vec()).collect();
    let share = sampled.len() as f64 / truth.traces.len() as f64;
    assert!((share - 0.25).abs() < 0.06, "{share}");
    let all = spans(&exports);
    assert!(
        !all.is_empty() && all.iter().all(|span| sampled.contains(&span.trace_id) && span.trace_state == "ot=th:c")
    );
    for log in logs(&exports).iter().filter(|log| log.trace_id.len() == 16 && log.flags & 1 == 1) {
        let of_trace = truth.traces.iter().any(|trace| trace.trace_id.as_slice() == log.trace_id);
        assert!(sampled.contains(&log.trace_id) || !of_trace);
    }
}

#[test]
fn planted_secrets_are_where_the_list_says() {
    let (exports, truth) = run(Settings { secrets: 0.1, duration: 10 * SECOND, ..Settings::default() });
    let kinds: HashSet<_> = truth.planted.iter().map(|planted| (planted.kind, planted.place)).collect();
    assert_eq!(kinds.len(), 9, "{kinds:?}");
    for planted in &truth.planted {
        let found = exports
            .iter()
            .any(|export| export.bytes.windows(planted.value.len()).any(|window| window == planted.value.as_bytes()));
        assert!(found, "{planted:?}");
    }
}

#[test]
fn a_giant_trace_comes_in_full_batches_when_they_are_full() {
    let settings =
        Settings { giant: Some(50_000), traces_per_second: 1.0, duration: 30 * SECOND, ..Settings::default() };
    let (exports, truth) = run(settings);
    let giant = truth.traces.iter().max_by_key(|trace| trace.spans).unwrap();
    assert_eq!((giant.spans, giant.arrived), (50_000, 50_000));
    assert_eq!(spans(&exports).iter().filter(|span| span.trace_id == giant.trace_id).count(), 50_000);
    assert!(exports.iter().filter(|export| export.items == 512).count() >= 97);
    assert!(exports.windows(2).all(|pair| pair[0].arrival <= pair[1].arrival));
    // About ten seconds of spans, and not one timer for each batch.
    let first = truth.spans.iter().filter_map(|span| span.at).min().unwrap();
    assert!(giant.complete_at().unwrap() - first < 40 * SECOND);
}

#[test]
fn settings_that_make_no_run_are_refused() {
    let share = Settings { secrets: 1.5, ..Settings::default() };
    assert_eq!(share.validate(), Err(Error::Share("secrets")));
    let nan = Settings { pathologies: f64::NAN, ..Settings::default() };
    assert_eq!(nan.validate(), Err(Error::Share("pathologies")));
    let none = Settings { instances: 0, ..Settings::default() };
    assert_eq!(none.validate(), Err(Error::Positive("instances")));
    assert!(Shop::new(Settings { giant: Some(u32::MAX), ..Settings::default() }).is_err());
}
