//! What the exporter makes of every answer, and what it sends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric,
    number_data_point,
};
use prost::Message as _;
use sluice_config::Problems;
use sluice_exporters::prometheus_remote_write::{Config, RemoteWriteExporter};
use sluice_pdata::Signal;
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::clock::{Clock, VirtualClock, WallTime};
use sluice_pipeline::component::Environment;
use sluice_pipeline::exporter::{Attempt, Exporter as _, Payload};
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::factory::Validate as _;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::send::{RetryCause, SendOutcome};
use sluice_pipeline::spine::{Seq, SeqRange};
use sluice_pipeline::telemetry::{Naming, Telemetry};
use sluice_pipeline::{ComponentId, Context};

use crate::endpoint::{Endpoint, Received, is_v2, status, written};

/// 2025-10-09, in milliseconds.
const NOW: u64 = 1_760_000_000_000;

/// An exporter with its surroundings.
pub struct Rig {
    pub exporter: RemoteWriteExporter,
    pub clock: VirtualClock,
    pub telemetry: Telemetry,
}

/// Decodes and validates a config.
pub fn config(yaml: &str) -> Config {
    let node = sluice_config::parse(yaml.as_bytes()).unwrap();
    let config: Config = sluice_config::decode(&node).unwrap_or_else(|found| panic!("{found:?}"));
    let mut problems = Problems::new(&node);
    config.validate("", &mut problems);
    assert!(!problems.has_errors(), "{:?}", problems.into_diagnostics());
    config
}

impl Rig {
    pub fn new(url: &str, more: &str) -> Self {
        let clock = VirtualClock::new(WallTime(NOW * 1_000_000));
        let telemetry = Telemetry::new();
        let environment = Environment {
            id: ComponentId::new("prometheus_remote_write", ""),
            signals: Arc::new([Signal::Metrics]),
            pipeline: None,
            pipelines: Arc::from([]),
            clock: Arc::new(clock.clone()),
            rng: Arc::new(SplitMix::seeded(1)),
            memory: MemBudget::new(1 << 30, Arc::new(clock.clone())),
            telemetry: telemetry.clone(),
            extensions: Extensions::default(),
            verdicts: sluice_pipeline::verdict::VerdictBoard::default(),
            gates: Default::default(),
        };
        let config = config(&format!("endpoint: {url}\n{more}"));
        Rig { exporter: RemoteWriteExporter::new(&config, &environment).unwrap(), clock, telemetry }
    }

    async fn send(&self, payload: &Payload, number: u32) -> SendOutcome {
        self.exporter.send(payload.clone(), &Attempt { number, deadline: None }).await
    }

    fn metrics(&self) -> String {
        self.telemetry.render(&Naming::default())
    }
}

/// A payload of OTLP bytes.
pub fn payload_of(request: &ExportMetricsServiceRequest, items: usize, clock: &dyn Clock) -> Payload {
    let context = Context::internal(ComponentId::new("test", ""), clock.arrival());
    Payload {
        signal: Signal::Metrics,
        parts: [Bytes::from(request.encode_to_vec())].into_iter().collect(),
        items,
        context: Arc::new(context),
        compressed: None,
        range: SeqRange { first: Seq(1), last: Seq(1) },
    }
}

/// A gauge with so many points, one second apart.
fn gauge(rig: &Rig, points: usize) -> Payload {
    let point = |at: usize| NumberDataPoint {
        time_unix_nano: (NOW + at as u64 * 1000) * 1_000_000,
        value: Some(number_data_point::Value::AsInt(at as i64 + 1)),
        ..NumberDataPoint::default()
    };
    let metric = Metric {
        name: "g".to_owned(),
        data: Some(metric::Data::Gauge(Gauge { data_points: (0..points).map(point).collect() })),
        ..Metric::default()
    };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() }],
    };
    payload_of(&request, points, &rig.clock)
}

/// A histogram of five classic series, or of one with custom buckets.
fn histogram(rig: &Rig) -> Payload {
    let point = HistogramDataPoint {
        start_time_unix_nano: (NOW - 60_000) * 1_000_000,
        time_unix_nano: NOW * 1_000_000,
        count: 6,
        sum: Some(2.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.1, 0.5],
        ..HistogramDataPoint::default()
    };
    let data = Histogram { data_points: vec![point], aggregation_temporality: 2 };
    let metric = Metric { name: "h".to_owned(), data: Some(metric::Data::Histogram(data)), ..Metric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() }],
    };
    payload_of(&request, 1, &rig.clock)
}

fn dropped(outcome: &SendOutcome) -> Vec<(&'static str, usize)> {
    match outcome {
        SendOutcome::Delivered { dropped } => dropped.to_vec(),
        SendOutcome::Refused { dropped, refused } => {
            let refused = refused.iter().map(|refused| (refused.reason, refused.items.len()));
            dropped.iter().copied().chain(refused).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn versions(received: &[Received]) -> Vec<u8> {
    received.iter().map(|request| if is_v2(request) { 2 } else { 1 }).collect()
}

#[tokio::test]
async fn headers_are_those_of_the_protocol() {
    let endpoint = Endpoint::start([written(204, 1, 0, 0)]).await;
    let rig = Rig::new(&endpoint.url, "protobuf_message: io.prometheus.write.v2.Request\nheaders: {X-Scope: a}");
    assert_eq!(dropped(&rig.send(&gauge(&rig, 1), 0).await), []);
    let rig = Rig::new(&endpoint.url, "protobuf_message: prometheus.WriteRequest");
    endpoint.answer([status(200)]);
    assert_eq!(dropped(&rig.send(&gauge(&rig, 1), 3).await), []);
    let received = endpoint.received();
    let agent = concat!("sluice/", env!("CARGO_PKG_VERSION"));
    let cases = [
        ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request", "application/x-protobuf"),
        ("x-prometheus-remote-write-version", "2.0.0", "0.1.0"),
        ("content-encoding", "snappy", "snappy"),
        ("user-agent", agent, agent),
        ("x-scope", "a", ""),
        ("retry-attempt", "", "3"),
    ];
    for (name, second, first) in cases {
        assert_eq!(received[0].header(name).unwrap_or(""), second, "{name}");
        assert_eq!(received[1].header(name).unwrap_or(""), first, "{name}");
    }
    assert_eq!(received[0].path, "/api/v1/write");
    assert!(!received[0].body.starts_with(b"\xff\x06\x00\x00sNaPpY"), "block format");
}

#[tokio::test]
async fn what_was_not_written_is_dropped_and_never_sent_again() {
    let endpoint = Endpoint::start([written(200, 6, 0, 0), written(204, 0, 0, 0), written(200, 10, 0, 0)]).await;
    let rig = Rig::new(&endpoint.url, "protobuf_message: io.prometheus.write.v2.Request");
    let payload = gauge(&rig, 10);
    assert_eq!(dropped(&rig.send(&payload, 0).await), [("partial_write", 4)]);
    assert!(rig.metrics().contains(r#"sluice_remote_write_nothing_written{exporter="prometheus_remote_write"} 0"#));
    assert_eq!(dropped(&rig.send(&payload, 0).await), [("partial_write", 10)]);
    assert!(rig.metrics().contains(r#"sluice_remote_write_nothing_written{exporter="prometheus_remote_write"} 1"#));
    assert_eq!(dropped(&rig.send(&payload, 0).await), []);
    assert_eq!(endpoint.received().len(), 3);
    let metrics = rig.metrics();
    for (name, value) in
        [("written_samples", 16), ("sent_batches", 3), ("translated_time_series", 30), ("failed_translations", 0)]
    {
        let line =
            format!("otelcol_exporter_prometheusremotewrite_{name}{{exporter=\"prometheus_remote_write\"}} {value}\n");
        let total = line.replacen('{', "_total{", 1);
        assert!(metrics.contains(&line) || metrics.contains(&total), "{line}{metrics}");
    }
}

#[tokio::test]
async fn failures_are_retried_with_the_same_bytes() {
    for (answer, cause) in [
        (status(500), RetryCause::Unavailable),
        (status(502), RetryCause::Unavailable),
        (status(503), RetryCause::Throttled),
        (status(429), RetryCause::Throttled),
        (status(0), RetryCause::Ambiguous),
    ] {
        let endpoint = Endpoint::start([answer.clone(), written(200, 2, 0, 0)]).await;
        let rig = Rig::new(&endpoint.url, "");
        let payload = gauge(&rig, 2);
        match rig.send(&payload, 0).await {
            SendOutcome::Retry { cause: found, .. } => assert_eq!(found, cause, "{answer:?}"),
            other => panic!("{answer:?}: {other:?}"),
        }
        rig.clock.advance(Duration::from_secs(1));
        assert_eq!(dropped(&rig.send(&payload, 1).await), []);
        let received = endpoint.received();
        assert_eq!(received[0].body, received[1].body);
        assert_eq!((received[0].header("retry-attempt"), received[1].header("retry-attempt")), (None, Some("1")));
    }
}

#[tokio::test]
async fn no_connection_is_a_retry() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/w", listener.local_addr().unwrap());
    drop(listener);
    let rig = Rig::new(&url, "");
    let outcome = rig.send(&gauge(&rig, 1), 0).await;
    assert!(matches!(outcome, SendOutcome::Retry { cause: RetryCause::Connection, .. }), "{outcome:?}");
}

#[tokio::test]
async fn no_answer_in_time_is_a_retry() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/w", listener.local_addr().unwrap());
    let rig = Rig::new(&url, "timeout: 20ms");
    let outcome = rig.send(&gauge(&rig, 1), 0).await;
    assert!(matches!(outcome, SendOutcome::Retry { cause: RetryCause::Ambiguous, .. }), "{outcome:?}");
}

#[tokio::test]
async fn hints_are_floors_with_a_cap() {
    let hints = [("7", Some(7)), ("100000", Some(60)), ("-1", None), ("soon", None)];
    for (hint, seconds) in hints {
        let endpoint = Endpoint::start([status(429).with("Retry-After", hint)]).await;
        let rig = Rig::new(&endpoint.url, "max_retry_after: 1m");
        match rig.send(&gauge(&rig, 1), 0).await {
            SendOutcome::Retry { after, .. } => assert_eq!(after, seconds.map(Duration::from_secs), "{hint}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn refused_batches_are_dropped_with_their_status() {
    let cases = [
        (409, "http_409"),
        (413, "http_413"),
        (422, "http_422"),
        (418, "http_4xx"),
        (301, "http_3xx"),
        (302, "http_3xx"),
        (303, "http_3xx"),
    ];
    for (code, reason) in cases {
        let endpoint = Endpoint::start([status(code).body("no")]).await;
        let rig = Rig::new(&endpoint.url, "");
        assert_eq!(dropped(&rig.send(&gauge(&rig, 3), 0).await), [(reason, 3)], "{code}");
        assert_eq!(endpoint.received().len(), 1, "{code}");
    }
    // What was written of a refused batch counts as delivered.
    let endpoint = Endpoint::start([written(400, 2, 0, 0)]).await;
    let rig = Rig::new(&endpoint.url, "");
    assert_eq!(dropped(&rig.send(&gauge(&rig, 3), 0).await), [("http_400", 1)]);
    // 429 is a refusal where it is not to be retried.
    let endpoint = Endpoint::start([status(429)]).await;
    let rig = Rig::new(&endpoint.url, "retry_on_http_429: false");
    assert_eq!(dropped(&rig.send(&gauge(&rig, 3), 0).await), [("http_429", 3)]);
}

#[tokio::test]
async fn a_destination_that_is_configured_wrongly_keeps_the_data() {
    for code in [401, 403, 404] {
        let endpoint = Endpoint::start([status(code), written(200, 3, 0, 0)]).await;
        let rig = Rig::new(&endpoint.url, "");
        let payload = gauge(&rig, 3);
        let outcome = rig.send(&payload, 0).await;
        assert!(matches!(outcome, SendOutcome::ConfigError { .. }), "{outcome:?}");
        assert_eq!(dropped(&rig.send(&payload, 1).await), []);
    }
    let endpoint = Endpoint::start([status(415)]).await;
    let rig = Rig::new(&endpoint.url, "protobuf_message: io.prometheus.write.v2.Request");
    let outcome = rig.send(&gauge(&rig, 3), 0).await;
    assert!(matches!(outcome, SendOutcome::ConfigError { .. }), "an explicit version never falls back: {outcome:?}");
    assert_eq!(endpoint.received().len(), 1);
}

#[tokio::test]
async fn each_request_of_a_payload_is_accounted_for_and_none_is_sent_twice() {
    let answers = [written(200, 2, 0, 0), written(400, 1, 0, 0), status(503)];
    let endpoint = Endpoint::start(answers).await;
    let rig = Rig::new(&endpoint.url, "max_samples_per_send: 2");
    let payload = gauge(&rig, 7);
    let outcome = rig.send(&payload, 0).await;
    assert!(matches!(outcome, SendOutcome::Retry { .. }), "{outcome:?}");
    endpoint.answer([written(200, 2, 0, 0), written(200, 0, 0, 0)]);
    let outcome = rig.send(&payload, 1).await;
    assert_eq!(dropped(&outcome), [("http_400", 1), ("partial_write", 1)]);
    let received = endpoint.received();
    assert_eq!(received.len(), 5);
    assert_eq!(received[2].body, received[3].body);
}

#[tokio::test]
async fn what_is_refused_whole_is_told_by_its_place_in_the_payload() {
    let answers = [written(200, 2, 0, 0), status(400).body("bad"), status(503)];
    let endpoint = Endpoint::start(answers).await;
    let rig = Rig::new(&endpoint.url, "max_samples_per_send: 2");
    let payload = gauge(&rig, 9);
    assert!(matches!(rig.send(&payload, 0).await, SendOutcome::Retry { .. }));
    // Over an attempt that failed, what is known stays known.
    endpoint.answer([status(400).body("bad"), written(200, 2, 0, 0), status(422)]);
    let SendOutcome::Refused { dropped, refused } = rig.send(&payload, 1).await else { panic!("some was refused") };
    let places: Vec<_> = refused.iter().map(|refused| (refused.items.clone(), refused.reason)).collect();
    assert_eq!(places, [(2..6, "http_400"), (8..9, "http_422")]);
    assert!(dropped.is_empty() && refused[0].message.contains("bad"), "{refused:?}");
}

#[tokio::test]
async fn an_attempt_that_is_cut_off_goes_on_where_it_was() {
    let endpoint = Endpoint::start([written(200, 1, 0, 0), status(1)]).await;
    let rig = Rig::new(&endpoint.url, "max_samples_per_send: 1\ntimeout: 1h");
    let payload = gauge(&rig, 2);
    {
        let attempt = Attempt { number: 0, deadline: None };
        let mut sending = rig.exporter.send(payload.clone(), &attempt);
        while endpoint.count() < 2 {
            tokio::select! {
                _ = &mut sending => panic!("the second request was answered"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    endpoint.answer([written(200, 1, 0, 0)]);
    assert_eq!(dropped(&rig.send(&payload, 1).await), []);
    let received = endpoint.received();
    assert_eq!(received.len(), 3);
    assert_eq!(received[1].body, received[2].body);
}

#[tokio::test]
async fn too_large_batches_halve_those_that_follow() {
    let endpoint = Endpoint::start([status(413)]).await;
    let rig = Rig::new(&endpoint.url, "max_batch_size_bytes: 70000\nmax_samples_per_send: 1000000");
    assert_eq!(dropped(&rig.send(&gauge(&rig, 2000), 0).await), [("http_413", 2000)]);
    let len = |received: &Received| snap::raw::decompress_len(&received.body).unwrap();
    assert!(endpoint.received().iter().all(|received| len(received) <= 70_000));
    let mut payload = gauge(&rig, 2000);
    payload.range = SeqRange { first: Seq(2), last: Seq(2) };
    endpoint.answer((0..9).map(|_| written(200, 2000, 0, 0)));
    rig.send(&payload, 0).await;
    assert!(endpoint.received().iter().all(|received| len(received) <= 64 << 10), "not below the floor");
}

#[tokio::test]
async fn version_1_is_sent_to_endpoints_that_read_nothing_else() {
    for answer in [status(415), status(400), status(200), status(204)] {
        let endpoint = Endpoint::start([answer.clone(), status(200), status(200)]).await;
        let rig = Rig::new(&endpoint.url, "");
        assert_eq!(dropped(&rig.send(&gauge(&rig, 3), 0).await), []);
        assert_eq!(dropped(&rig.send(&gauge(&rig, 3), 0).await), []);
        assert_eq!(versions(&endpoint.received()), [2, 1, 1], "{answer:?}");
        // After a while version 2 is tried again.
        rig.clock.advance(Duration::from_secs(6 * 3600));
        endpoint.answer([written(200, 3, 0, 0), written(200, 3, 0, 0)]);
        rig.send(&gauge(&rig, 3), 0).await;
        rig.send(&gauge(&rig, 3), 0).await;
        assert_eq!(versions(&endpoint.received()), [2, 2]);
    }
}

/// The value of one of the exporter's series.
fn value(rig: &Rig, name: &str, more: &[(&str, &str)]) -> f64 {
    let labels: Vec<_> = [("exporter", "prometheus_remote_write")].iter().chain(more).copied().collect();
    rig.telemetry.value(name, &labels).unwrap_or_else(|| panic!("{name} {more:?}"))
}

#[tokio::test]
async fn falling_back_is_counted_once_and_the_version_in_use_is_shown() {
    let endpoint = Endpoint::start([status(415), status(200), status(200)]).await;
    let rig = Rig::new(&endpoint.url, "");
    let fallbacks = || value(&rig, "sluice_remote_write_fallbacks_total", &[]);
    let version = || value(&rig, "sluice_remote_write_protocol_version", &[]);
    assert_eq!((fallbacks(), version()), (0.0, 2.0));
    rig.send(&gauge(&rig, 3), 0).await;
    rig.send(&gauge(&rig, 3), 0).await;
    assert_eq!((fallbacks(), version()), (1.0, 1.0));
    // At the next try it still reads nothing else, and at the one after that it does.
    rig.clock.advance(Duration::from_secs(6 * 3600));
    endpoint.answer([status(415), status(200)]);
    rig.send(&gauge(&rig, 3), 0).await;
    assert_eq!((fallbacks(), version()), (2.0, 1.0));
    rig.clock.advance(Duration::from_secs(6 * 3600));
    endpoint.answer([written(200, 3, 0, 0)]);
    rig.send(&gauge(&rig, 3), 0).await;
    assert_eq!((fallbacks(), version()), (2.0, 2.0));
    let rig = Rig::new(&endpoint.url, "protobuf_message: prometheus.WriteRequest");
    assert_eq!(value(&rig, "sluice_remote_write_protocol_version", &[]), 1.0);
}

#[tokio::test]
async fn a_batch_that_waited_while_another_found_out_goes_as_version_1_at_once() {
    let endpoint = Endpoint::start([status(503), status(415), status(200), status(200)]).await;
    let rig = Rig::new(&endpoint.url, "");
    let (first, second) = (gauge(&rig, 3), gauge(&rig, 2));
    assert!(matches!(rig.send(&first, 0).await, SendOutcome::Retry { .. }));
    assert_eq!(dropped(&rig.send(&second, 0).await), []);
    assert_eq!(dropped(&rig.send(&first, 1).await), []);
    assert_eq!(versions(&endpoint.received()), [2, 2, 1, 1]);
    assert_eq!(value(&rig, "sluice_remote_write_fallbacks_total", &[]), 1.0);
}

#[tokio::test]
async fn what_version_1_has_no_place_for_is_counted() {
    let left_out = |rig: &Rig| {
        let count = |kind| value(rig, "sluice_remote_write_left_out_total", &[("kind", kind)]);
        [count("start_timestamp"), count("metadata"), count("custom_buckets")]
    };
    let endpoint = Endpoint::start([written(200, 3, 1, 0)]).await;
    let rig = Rig::new(&endpoint.url, "convert_histograms_to_nhcb: true");
    let payload = histogram(&rig);
    assert_eq!(dropped(&rig.send(&payload, 0).await), []);
    assert_eq!(left_out(&rig), [0.0; 3], "version 2 holds it all");
    for (more, requests, expected) in [("", 1, [5.0, 5.0, 1.0]), ("send_metadata: true", 2, [5.0, 0.0, 1.0])] {
        endpoint.answer([status(415)]);
        endpoint.answer((0..requests).map(|_| status(200)));
        let rig = Rig::new(&endpoint.url, &format!("convert_histograms_to_nhcb: true\n{more}"));
        assert_eq!(dropped(&rig.send(&payload, 0).await), []);
        assert_eq!(left_out(&rig), expected, "{more}");
    }
    endpoint.answer([status(415)]);
    let rig = Rig::new(&endpoint.url, "convert_histograms_to_nhcb: true\nnhcb_on_v1: drop");
    assert_eq!(dropped(&rig.send(&payload, 0).await), [("nhcb_v1", 1)]);
}

#[tokio::test]
async fn requests_go_through_the_proxy_that_is_written() {
    let proxy = Endpoint::start([written(200, 1, 0, 0)]).await;
    let authority = proxy.url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let rig = Rig::new("http://backend.invalid/api/v1/write", &format!("proxy_url: http://user:word@{authority}"));
    assert_eq!(dropped(&rig.send(&gauge(&rig, 1), 0).await), []);
    let received = proxy.received();
    assert_eq!(received[0].path, "http://backend.invalid/api/v1/write");
    assert_eq!(received[0].header("proxy-authorization"), Some("Basic dXNlcjp3b3Jk"));
}

#[tokio::test]
async fn version_2_is_kept_where_the_endpoint_has_shown_that_it_reads_it() {
    // A refusal that counts what was written, and one after a success, are about the batch.
    for first in [written(400, 0, 0, 0), written(415, 1, 0, 0)] {
        let endpoint = Endpoint::start([first.clone()]).await;
        let rig = Rig::new(&endpoint.url, "");
        rig.send(&gauge(&rig, 3), 0).await;
        assert_eq!(versions(&endpoint.received()), [2], "{first:?}");
    }
    let endpoint = Endpoint::start([written(200, 3, 0, 0), status(400)]).await;
    let rig = Rig::new(&endpoint.url, "");
    assert_eq!(dropped(&rig.send(&gauge(&rig, 3), 0).await), []);
    assert_eq!(dropped(&rig.send(&gauge(&rig, 3), 0).await), [("http_400", 3)]);
    assert_eq!(versions(&endpoint.received()), [2, 2]);
    // An explicit version never falls back: what is not said to be written was not.
    let endpoint = Endpoint::start([status(200)]).await;
    let rig = Rig::new(&endpoint.url, "protobuf_message: io.prometheus.write.v2.Request");
    assert_eq!(dropped(&rig.send(&gauge(&rig, 3), 0).await), [("partial_write", 3)]);
}

#[tokio::test]
async fn falling_back_half_way_sends_only_the_rest() {
    let endpoint = Endpoint::start([written(200, 2, 0, 0), status(415), status(200), status(200)]).await;
    let rig = Rig::new(&endpoint.url, "max_samples_per_send: 2\ntarget_info: {enabled: false}");
    assert_eq!(dropped(&rig.send(&gauge(&rig, 5), 0).await), []);
    let received = endpoint.received();
    assert_eq!(versions(&received), [2, 2, 1, 1]);
    let samples = |received: &Received| {
        let body = snap::raw::Decoder::new().decompress_vec(&received.body).unwrap();
        let request = crate::messages::v1::WriteRequest::decode(&*body).unwrap();
        request.timeseries.iter().map(|series| series.samples[0].value).collect::<Vec<_>>()
    };
    assert_eq!((samples(&received[2]), samples(&received[3])), (vec![3.0, 4.0], vec![5.0]));
}

#[tokio::test]
async fn redirects_keep_method_and_body_and_hide_credentials_from_other_hosts() {
    let other = Endpoint::start([written(200, 1, 0, 0)]).await;
    let endpoint = Endpoint::start([
        status(307).with("Location", "/moved?x=1"),
        status(308).with("Location", "here"),
        status(307).with("Location", other.url.clone()),
    ])
    .await;
    let rig = Rig::new(&endpoint.url, "headers: {Authorization: Bearer abc}");
    assert_eq!(dropped(&rig.send(&gauge(&rig, 1), 0).await), []);
    let (first, second) = (endpoint.received(), other.received());
    assert_eq!(
        first.iter().map(|request| request.path.as_str()).collect::<Vec<_>>(),
        ["/api/v1/write", "/moved?x=1", "/here"]
    );
    assert!(first.iter().all(|request| request.header("authorization") == Some("Bearer abc")));
    assert_eq!(second[0].header("authorization"), None);
    assert_eq!(second[0].body, first[0].body);
    assert_eq!(second[0].header("content-encoding"), Some("snappy"));
}

#[tokio::test]
async fn redirects_end() {
    let endpoint = Endpoint::start((0..30).map(|_| status(307).with("Location", "/again"))).await;
    let rig = Rig::new(&endpoint.url, "");
    let outcome = rig.send(&gauge(&rig, 1), 0).await;
    assert!(matches!(outcome, SendOutcome::Retry { .. }), "{outcome:?}");
    assert_eq!(endpoint.received().len(), 11);
}

#[tokio::test]
async fn samples_too_old_for_a_retry_are_dropped() {
    let endpoint = Endpoint::start([status(503), written(200, 1, 0, 0)]).await;
    let rig = Rig::new(&endpoint.url, "sample_age_limit: 2s");
    // At 0, 1 and 2 s.
    let payload = gauge(&rig, 3);
    assert!(matches!(rig.send(&payload, 0).await, SendOutcome::Retry { .. }));
    rig.clock.advance(Duration::from_secs(4));
    assert_eq!(dropped(&rig.send(&payload, 1).await), [("sample_age", 2)]);
}

#[tokio::test]
async fn samples_too_far_ahead_are_dropped() {
    let endpoint = Endpoint::start([written(200, 2, 0, 0)]).await;
    let rig = Rig::new(&endpoint.url, "max_future: 1s");
    assert_eq!(dropped(&rig.send(&gauge(&rig, 5), 0).await), [("future", 3)]);
}

#[tokio::test]
async fn metadata_of_version_1_goes_out_once_a_minute() {
    let endpoint = Endpoint::start((0..20).map(|_| status(200))).await;
    let rig = Rig::new(&endpoint.url, "protobuf_message: prometheus.WriteRequest\nsend_metadata: true");
    let entries = |received: Vec<Received>| {
        let decode = |received: &Received| {
            let body = snap::raw::Decoder::new().decompress_vec(&received.body).unwrap();
            crate::messages::v1::WriteRequest::decode(&*body).unwrap().metadata
        };
        received.iter().flat_map(decode).collect::<Vec<_>>()
    };
    rig.send(&gauge(&rig, 1), 0).await;
    let first = entries(endpoint.received());
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].metric_family_name.as_str(), first[0].r#type), ("g", 2));
    rig.clock.advance(Duration::from_secs(59));
    rig.send(&gauge(&rig, 1), 0).await;
    assert_eq!(entries(endpoint.received()), []);
    rig.clock.advance(Duration::from_secs(1));
    rig.send(&gauge(&rig, 1), 0).await;
    assert_eq!(entries(endpoint.received()), first);
}

#[tokio::test]
async fn malformed_bytes_are_accounted_for() {
    let endpoint = Endpoint::start([]).await;
    let rig = Rig::new(&endpoint.url, "");
    let mut payload = gauge(&rig, 1);
    payload.parts = [Bytes::from_static(b"\x0a\x05\xff")].into_iter().collect();
    payload.items = 4;
    assert_eq!(dropped(&rig.send(&payload, 0).await), [("invalid", 4)]);
}
