//! The processor's tasks: what refusals do to it, and what it tells about itself.

use super::collector::*;
use super::world::{START, secs};

const APP: &str = "{ingest_metrics: off, jobs: [{job_name: app, scrape_interval: 15s, expected_interval: 60s, \
                   static_configs: [{targets: [\"a:1\"]}]}]}";

#[tokio::test]
async fn a_collector_that_refuses_does_not_blame_its_targets() {
    let mut collector = Collector::start(APP, 2_000).await;
    let mut refusals = 0;
    for minute in 0..20 {
        collector.run_until(secs(minute * 60)).await;
        // The destination hangs from minute 5 to 12, several deadlines long.
        collector.delivers = !(5..12).contains(&minute);
        refusals += usize::from(collector.push(&pushed("a:1")).await.is_err());
    }
    collector.run_until(secs(1_200)).await;
    assert!((4..8).contains(&refusals), "the queue was full: {refusals}");
    let up = collector.samples("up");
    assert!(up.iter().all(|(.., value)| *value == Some(1.0)), "{up:?}");
    assert!(up.iter().any(|(at, ..)| *at < 300) && up.iter().any(|(at, ..)| *at > 1_100), "{up:?}");
}

#[tokio::test]
async fn a_target_that_dies_while_its_collector_refuses_others_is_down_a_deadline_later() {
    let yaml = APP.replace("[\"a:1\"]", "[\"a:1\", \"b:1\"]");
    let mut collector = Collector::start(&yaml, 2_000).await;
    for minute in 0..20 {
        collector.run_until(secs(minute * 60)).await;
        collector.delivers = !(5..8).contains(&minute);
        let _ = collector.push(&pushed("a:1")).await;
        if minute < 5 {
            collector.push(&pushed("b:1")).await.expect("accepted");
        }
    }
    let zeros: Vec<_> = collector.samples("up").into_iter().filter(|(.., value)| *value == Some(0.0)).collect();
    assert!(zeros.iter().all(|(_, instance, _)| instance == "b:1"), "{zeros:?}");
    // The last refusal comes at minute 8; D is 135 s, G 15 s.
    let first = zeros.first().expect("its outage is not hidden").0;
    assert!((480 + 135..480 + 135 + 16).contains(&first), "{first}");
}

#[tokio::test]
async fn what_the_spine_refuses_is_sent_again_with_the_newest_value() {
    let mut collector = Collector::start(APP, 2_000).await;
    collector.push(&pushed("a:1")).await.expect("accepted");
    collector.run_until(secs(20)).await;
    assert_eq!(collector.up(), [Some(1.0), Some(1.0)]);
    collector.delivers = false;
    // Silent from now on: 1 until 135 s, then 0; nothing comes through once the queue is full.
    collector.run_until(secs(400)).await;
    assert_eq!(collector.up(), [Some(1.0), Some(1.0)]);
    collector.delivers = true;
    collector.run_until(secs(411)).await;
    let before: Vec<_> = collector.samples("up");
    let (at, _, value) = before.last().expect("samples");
    assert_eq!(*value, Some(0.0));
    assert!(*at > 380, "the newest grid point, not the oldest: {at}");
    let superseded = collector.exposed("otlp_liveness_withheld_total{reason=\"superseded\",processor=\"up\"} ");
    assert!(superseded.is_some_and(|count| count > 5.0), "{superseded:?}");
    let refused = collector.exposed("otlp_liveness_emissions_refused_total{cause=\"quota_full\",processor=\"up\"} ");
    assert!(refused.is_some_and(|count| count > 5.0), "{refused:?}");
    // No grid point twice.
    let mut points: Vec<u64> = before.iter().map(|(at, ..)| *at).collect();
    points.dedup();
    assert_eq!(points.len(), before.len());
}

#[tokio::test]
async fn a_stale_marker_that_is_refused_comes_as_soon_as_there_is_room() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("targets.json");
    std::fs::write(&file, "[{\"targets\": [\"a:1\"]}]").expect("written");
    let yaml = format!(
        "{{ingest_metrics: off, jobs: [{{job_name: app, scrape_interval: 15s, expected_interval: 60s, \
         file_sd_configs: [{{files: [{:?}]}}]}}]}}",
        file.display().to_string()
    );
    let mut collector = Collector::start(&yaml, 2_000).await;
    collector.push(&pushed("a:1")).await.expect("accepted");
    collector.run_until(secs(30)).await;
    collector.delivers = false;
    for _ in 0..20 {
        let _ = collector.push(&pushed("a:1")).await;
    }
    std::fs::write(&file, "[]").expect("written");
    collector.run_until(secs(600)).await;
    assert!(!collector.up().contains(&None), "no room for it");
    collector.delivers = true;
    collector.run_until(secs(615)).await;
    let up = collector.samples("up");
    assert_eq!(up.last().map(|(.., value)| *value), Some(None), "{up:?}");
    assert_eq!(up.iter().filter(|(.., value)| value.is_none()).count(), 1, "once");
}

#[tokio::test]
async fn what_still_waits_at_the_end_is_tried_once_more() {
    let mut collector = Collector::start(APP, 2_000).await;
    collector.push(&pushed("a:1")).await.expect("accepted");
    collector.delivers = false;
    collector.run_until(secs(200)).await;
    let before = collector.up().len();
    collector.delivers = true;
    // Room is there, but the sender waits for its next attempt: the end comes first.
    collector.settle().await;
    collector.stop().await;
    assert!(collector.up().len() > before);
}

#[tokio::test]
async fn what_it_knows_is_shown_at_each_scrape() {
    let yaml = APP.replace("[\"a:1\"]", "[\"a:1\", \"b:1\"]");
    let mut collector = Collector::start(&yaml, 1 << 20).await;
    let targets = |collector: &Collector, state: &str| {
        collector.exposed(&format!("otlp_liveness_targets{{job=\"app\",state=\"{state}\",processor=\"up\"}} "))
    };
    assert_eq!((targets(&collector, "unknown"), targets(&collector, "up")), (Some(2.0), Some(0.0)));
    assert_eq!(collector.exposed("otlp_liveness_warming_up{processor=\"up\"} "), Some(1.0));
    collector.push(&pushed("a:1")).await.expect("accepted");
    collector.push(&pushed("who:1")).await.expect("accepted");
    collector.run_until(secs(20)).await;
    assert_eq!((targets(&collector, "unknown"), targets(&collector, "up")), (Some(1.0), Some(1.0)));
    let shown = |series: &str| collector.exposed(&format!("{series} "));
    assert_eq!(shown("otlp_liveness_match_total{key=\"job_instance\",processor=\"up\"}"), Some(1.0));
    assert_eq!(shown("otlp_liveness_match_total{key=\"peer_ip\",processor=\"up\"}"), Some(0.0));
    assert_eq!(shown("otlp_liveness_unexpected_identities{processor=\"up\"}"), Some(1.0));
    let success = "otlp_liveness_sd_last_success_timestamp_seconds{job=\"app\",processor=\"up\"}";
    assert!(shown(success).is_some_and(|at| at >= START.as_secs_f64() + 15.0), "{:?}", shown(success));
    collector.run_until(secs(600)).await;
    assert_eq!((targets(&collector, "down"), targets(&collector, "never_seen")), (Some(1.0), Some(1.0)));
    assert_eq!(collector.exposed("otlp_liveness_warming_up{processor=\"up\"} "), Some(0.0));
}

#[tokio::test]
async fn with_resource_attributes_the_series_name_the_pod_that_discovery_knows() {
    let job = "jobs: [{job_name: app, scrape_interval: 15s, static_configs: [{targets: [\"a:1\"], labels: \
               {__meta_kubernetes_pod_name: web-0, __meta_kubernetes_namespace: shop}}]}]";
    for (switch, expected) in [("true", 2), ("false", 0)] {
        let yaml = format!("{{ingest_metrics: off, resource_attributes: {switch}, {job}}}");
        let mut collector = Collector::start(&yaml, 1 << 20).await;
        collector.push(&pushed("a:1")).await.expect("accepted");
        collector.run_until(secs(30)).await;
        let written = collector.delivered.iter().flat_map(|request| &request.resource_metrics);
        let written: Vec<_> = written.filter(|r| r.scope_metrics[0].metrics[0].name == "up").collect();
        assert!(!written.is_empty());
        for resource in written {
            let attributes = &resource.resource.as_ref().expect("resource").attributes;
            let pod: Vec<_> = attributes.iter().filter(|kv| kv.key.starts_with("k8s.")).map(text).collect();
            assert_eq!(pod.len(), expected, "{pod:?}");
            assert!(pod.iter().all(|value| value == "web-0" || value == "shop"));
        }
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_sender_is_who_the_proxy_says() {
    // Proxy and header, and whether the target at 10.0.0.7 is seen.
    let cases = [
        ("10.9.9.9", vec!["10.0.0.7"], true),
        ("10.9.9.9", vec!["6.6.6.6, 10.0.0.7, 10.9.9.8"], true),
        ("10.9.9.9", vec!["10.0.0.7, 6.6.6.6"], false),
        ("10.9.9.9", vec!["10.0.0.7", "10.9.9.8"], true),
        ("10.9.9.9", vec!["10.0.0.7, unknown"], false),
        ("10.9.9.9", vec![], false),
        ("6.6.6.6", vec!["10.0.0.7"], false),
        ("10.0.0.7", vec!["6.6.6.6"], true),
    ];
    for (peer, headers, seen) in cases {
        let yaml = "{ingest_metrics: off, trusted_proxies: [10.9.9.9, 10.9.9.8], jobs: [{job_name: app, \
                    scrape_interval: 15s, match: [peer_ip], static_configs: [{targets: [\"10.0.0.7:80\"]}]}]}";
        let mut collector = Collector::start(yaml, 1 << 20).await;
        collector.push_from(peer, &headers, &pushed("x")).await.expect("accepted");
        collector.run_until(secs(30)).await;
        assert_eq!(!collector.up().is_empty(), seen, "{peer} {headers:?}");
    }
}
