//! What is done to the series that targets push themselves: alignment, and stale markers at their end.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, number_data_point,
};
use prost::Message;

use super::collector::*;
use super::world::{secs, seed};
use crate::up::config::StaleTrackerConfig;
use crate::up::stale::{Marked, mark};
use crate::up::state::Timing;
use crate::up::tracker::StaleTracker;

const APP: &str = "{ingest_metrics: off, jobs: [{job_name: app, scrape_interval: 15s, expected_interval: 60s, \
                   static_configs: [{targets: [\"a:1\"]}]}]}";

fn markers(collector: &Collector, name: &str) -> Vec<u64> {
    collector.samples(name).into_iter().filter(|(.., value)| value.is_none()).map(|(at, ..)| at).collect()
}

#[tokio::test]
async fn when_a_target_goes_down_its_own_series_end_at_the_first_0_and_once() {
    let mut collector = Collector::start(APP, 1 << 20).await;
    for minute in 0..4 {
        collector.run_until(secs(minute * 60)).await;
        collector.push(&pushed("a:1")).await.expect("accepted");
    }
    collector.run_until(secs(900)).await;
    let first_0 = collector.samples("up").into_iter().find(|(.., value)| *value == Some(0.0)).expect("down").0;
    assert_eq!(markers(&collector, "load"), [first_0]);
    // The marker is the series it ends.
    let all = collector.delivered.iter().flat_map(|request| &request.resource_metrics);
    let ended = all.filter(|resource| resource.scope_metrics[0].metrics[0].name == "load").collect::<Vec<_>>();
    let (before, marker) = (ended[0], ended[ended.len() - 1]);
    assert_eq!(before.resource, marker.resource);
    // It comes back, and ends again.
    collector.push(&pushed("a:1")).await.expect("accepted");
    collector.run_until(secs(1_200)).await;
    assert_eq!(markers(&collector, "load").len(), 2);
}

#[tokio::test]
async fn a_sender_that_splits_its_push_has_all_its_series_ended_and_those_that_vanished_are_not() {
    let mut collector = Collector::start(APP, 1 << 20).await;
    let from_a = [("service.name", "app"), ("service.instance.id", "a:1")];
    collector.push(&pushed_by(&from_a, &["early"])).await.expect("accepted");
    for minute in 1..6 {
        collector.run_until(secs(minute * 60)).await;
        collector.push(&pushed_by(&from_a, &["load", "heat"])).await.expect("accepted");
        collector.push(&pushed_by(&from_a, &["rain"])).await.expect("accepted");
    }
    collector.run_until(secs(900)).await;
    for (name, count) in [("load", 1), ("heat", 1), ("rain", 1), ("early", 0)] {
        assert_eq!(markers(&collector, name).len(), count, "{name}");
    }
}

#[tokio::test]
async fn when_discovery_drops_a_target_its_own_series_end_with_up() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("targets.json");
    std::fs::write(&file, "[{\"targets\": [\"a:1\"]}]").expect("written");
    let yaml = format!(
        "{{ingest_metrics: off, jobs: [{{job_name: app, scrape_interval: 15s, expected_interval: 60s, \
         file_sd_configs: [{{files: [{:?}]}}]}}]}}",
        file.display().to_string()
    );
    let mut collector = Collector::start(&yaml, 1 << 20).await;
    collector.push(&pushed("a:1")).await.expect("accepted");
    collector.run_until(secs(20)).await;
    std::fs::write(&file, "[]").expect("written");
    collector.run_until(secs(120)).await;
    assert_eq!(markers(&collector, "load").len(), 1);
    assert_eq!(markers(&collector, "load"), markers(&collector, "up"));
}

#[tokio::test]
async fn without_stale_on_down_or_without_a_target_nothing_is_marked() {
    let yaml = APP.replace("{ingest_metrics", "{stale_on_down: false, ingest_metrics");
    let mut collector = Collector::start(&yaml, 1 << 20).await;
    collector.push(&pushed("a:1")).await.expect("accepted");
    collector.run_until(secs(600)).await;
    assert!(markers(&collector, "load").is_empty());
    let mut collector = Collector::start(APP, 1 << 20).await;
    collector.push(&pushed("b:1")).await.expect("accepted");
    collector.run_until(secs(600)).await;
    assert!(markers(&collector, "load").is_empty());
}

#[tokio::test]
async fn what_is_too_much_to_be_kept_is_not_half_marked_but_counted() {
    let yaml = APP.replace("{ingest_metrics", "{stale_tracker: {max_bytes_per_target: 120}, ingest_metrics");
    let mut collector = Collector::start(&yaml, 1 << 20).await;
    let from_a = [("service.name", "app"), ("service.instance.id", "a:1")];
    collector.push(&pushed_by(&from_a, &["load"])).await.expect("accepted");
    let names: Vec<String> = (0..100).map(|i| format!("name{}", i * 7919 % 1000)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    collector.push(&pushed_by(&from_a, &names)).await.expect("accepted");
    collector.run_until(secs(600)).await;
    assert!(collector.up().contains(&Some(0.0)));
    assert!(markers(&collector, "load").is_empty());
    let degraded = collector.exposed("otlp_liveness_stale_tracker_degraded_total{processor=\"up\"} ");
    assert_eq!(degraded, Some(1.0));
}

#[tokio::test]
async fn with_sd_alignment_pushed_metrics_get_the_labels_of_their_target_from_the_first_push_on() {
    let yaml = "{ingest_metrics: off, align_labels: sd, jobs: [{job_name: shop/web, scrape_interval: 15s, \
                expected_interval: 60s, static_configs: [{targets: [\"web-1.example.com:80\"]}]}]}";
    let mut collector = Collector::start(yaml, 1 << 20).await;
    let own = [
        ("service.name", "checkout"),
        ("host.name", "web-1"),
        ("service.instance.id", "5e9d"),
        ("service.name", "again"),
    ];
    collector.push(&pushed_by(&own, &["load"])).await.expect("accepted");
    let stranger = [("service.name", "checkout"), ("host.name", "web-9")];
    collector.push(&pushed_by(&stranger, &["load"])).await.expect("accepted");
    collector.run_until(secs(30)).await;
    let attributes = |request: &ExportMetricsServiceRequest| {
        let resource = request.resource_metrics[0].resource.clone().expect("resource");
        let mut pairs: Vec<(String, String)> =
            resource.attributes.iter().map(|kv| (kv.key.clone(), text(kv))).collect();
        pairs.sort();
        pairs
    };
    let expected = [
        ("host.name", "web-1"),
        ("service.instance.id", "web-1.example.com:80"),
        ("service.name", "web"),
        ("service.namespace", "shop"),
    ];
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(attributes(&collector.delivered[0]), owned(&expected));
    assert_eq!(attributes(&collector.delivered[1]), owned(&[("host.name", "web-9"), ("service.name", "checkout")]));
    // `up` joins with it on job and instance.
    let up =
        collector.delivered.iter().find(|request| request.resource_metrics[0].scope_metrics[0].metrics[0].name == "up");
    let labels = owned(&[("service.instance.id", "web-1.example.com:80"), ("service.name", "shop/web")]);
    assert_eq!(attributes(up.expect("written")), labels);
    // Its end has the labels that it had.
    collector.run_until(secs(600)).await;
    assert_eq!(markers(&collector, "load").len(), 1);
    let (_, instance, _) = collector.samples("load").pop().expect("marker");
    assert_eq!(instance, "web-1.example.com:80");
}

#[tokio::test]
async fn another_ones_up_for_the_same_labels_withholds_the_synthetic_one() {
    let mut collector = Collector::start(APP, 1 << 20).await;
    let from_a = [("service.name", "app"), ("service.instance.id", "a:1")];
    for minute in 0..4 {
        collector.run_until(secs(minute * 60)).await;
        collector.push(&pushed_by(&from_a, &["up", "load"])).await.expect("accepted");
    }
    collector.run_until(secs(240)).await;
    // What came in went out, and nothing else.
    assert_eq!(collector.samples("up").len(), 4);
    let withheld = collector.exposed("otlp_liveness_withheld_total{reason=\"scraped\",processor=\"up\"} ");
    assert!(withheld.is_some_and(|count| count >= 15.0), "{withheld:?}");
}

#[test]
fn markers_name_every_series_of_every_kind_and_carry_no_value() {
    let attributes = vec![attribute("k", "v")];
    let exemplars = vec![Exemplar::default()];
    let number = NumberDataPoint {
        attributes: attributes.clone(),
        start_time_unix_nano: 5,
        time_unix_nano: 6,
        value: Some(number_data_point::Value::AsInt(7)),
        exemplars: exemplars.clone(),
        ..NumberDataPoint::default()
    };
    let histogram = HistogramDataPoint {
        attributes: attributes.clone(),
        bucket_counts: vec![1, 2],
        explicit_bounds: vec![0.5],
        count: 3,
        sum: Some(1.0),
        time_unix_nano: 6,
        exemplars: exemplars.clone(),
        ..HistogramDataPoint::default()
    };
    let exponential = ExponentialHistogramDataPoint {
        attributes: attributes.clone(),
        scale: 3,
        time_unix_nano: 6,
        exemplars,
        ..ExponentialHistogramDataPoint::default()
    };
    let quantile_values = vec![ValueAtQuantile { quantile: 0.9, value: 4.0 }];
    let summary = SummaryDataPoint { attributes, quantile_values, time_unix_nano: 6, ..SummaryDataPoint::default() };
    let sum = Sum { data_points: vec![number.clone(), number], is_monotonic: true, aggregation_temporality: 2 };
    let kinds = [
        Data::Sum(sum),
        Data::Histogram(Histogram { data_points: vec![histogram.clone()], aggregation_temporality: 2 }),
        Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![exponential.clone()],
            aggregation_temporality: 2,
        }),
        Data::Summary(Summary { data_points: vec![summary.clone()] }),
    ];
    let metric = |data| Metric { name: "m".to_owned(), unit: "s".to_owned(), data: Some(data), ..Metric::default() };
    let metrics = kinds.into_iter().enumerate().map(|(i, data)| Metric { name: format!("m{i}"), ..metric(data) });
    let scope_metrics = vec![ScopeMetrics { metrics: metrics.collect(), ..ScopeMetrics::default() }];
    let kept = ResourceMetrics { scope_metrics, schema_url: "u".to_owned(), ..ResourceMetrics::default() };
    let (mut out, mut marked) = (Vec::new(), Marked::new(seed()));
    // The same point twice is one series, and the next batch has nothing new.
    assert_eq!(mark(&kept.encode_to_vec(), 9, &mut marked, &mut out).expect("wire"), 4);
    assert_eq!(mark(&kept.encode_to_vec(), 9, &mut marked, &mut out).expect("wire"), 0);
    let request = ExportMetricsServiceRequest::decode(&*out).expect("OTLP");
    assert_eq!(request.resource_metrics.len(), 1);
    let resource = &request.resource_metrics[0];
    assert_eq!(resource.schema_url, "u");
    let data: Vec<_> =
        resource.scope_metrics[0].metrics.iter().map(|metric| metric.data.clone().expect("data")).collect();
    let [Data::Sum(sum), Data::Histogram(h), Data::ExponentialHistogram(e), Data::Summary(s)] = &*data else {
        panic!("{data:?}");
    };
    assert!(sum.is_monotonic && sum.data_points.len() == 1);
    let point = &sum.data_points[0];
    assert_eq!((point.time_unix_nano, point.flags, point.value), (9_000_000, 1, None));
    assert_eq!((point.start_time_unix_nano, point.attributes.len(), point.exemplars.len()), (5, 1, 0));
    // Bounds and quantiles stay: each is a series.
    let expected = HistogramDataPoint { time_unix_nano: 9_000_000, flags: 1, exemplars: vec![], ..histogram };
    assert_eq!(h.data_points, [expected]);
    let expected =
        ExponentialHistogramDataPoint { time_unix_nano: 9_000_000, flags: 1, exemplars: vec![], ..exponential };
    assert_eq!(e.data_points, [expected]);
    assert_eq!(s.data_points, [SummaryDataPoint { time_unix_nano: 9_000_000, flags: 1, ..summary }]);
}

#[test]
fn a_tracker_stays_within_its_bytes_and_asks_again_for_what_it_lost() {
    let limits = StaleTrackerConfig { max_bytes_per_target: 4_000, max_bytes: 10_000 };
    let timing = Timing::new(secs(60), 1, secs(10), secs(15));
    let mut tracker = StaleTracker::new(limits);
    // Random bytes, which do not compress.
    let noise: Vec<u8> = (0..1_000u64).flat_map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes()).collect();
    for target in 0..100u32 {
        for part in 0..5 {
            let bytes = &noise[part * 1_000..(part + 1) * 1_000];
            assert!(tracker.pushed(target, &timing, secs(1), part as u64, Some(bytes)));
        }
        assert!(tracker.bytes() <= 10_000);
    }
    assert!(tracker.degraded() > 400, "{}", tracker.degraded());
    assert!(tracker.last_pushed(0).is_empty(), "one of its batches did not fit");
    for target in 0..100 {
        tracker.forget(target);
    }
    assert_eq!(tracker.bytes(), 0);
    assert!(!tracker.pushed(7, &timing, secs(2), 1, None), "unknown");
    assert!(tracker.pushed(7, &timing, secs(2), 1, Some(b"abc")));
    assert!(tracker.pushed(7, &timing, secs(62), 1, None), "known");
    // What did not come for an interval and its slack is no longer the target's.
    assert!(tracker.pushed(7, &timing, secs(138), 2, Some(b"def")));
    let kept = tracker.last_pushed(7);
    assert_eq!(kept.len(), 1);
    assert_eq!(zstd::bulk::decompress(&kept[0], 100).expect("zstd"), b"def");
}
