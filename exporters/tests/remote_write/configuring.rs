//! Fields, defaults, and what is refused.

use std::time::Duration;

use sluice_config::Problems;
use sluice_exporters::prometheus_remote_write::Config;
use sluice_exporters::prometheus_remote_write::translate::{Compat, NhcbOnV1, Options, Strategy};
use sluice_pipeline::factory::Validate as _;

use crate::sending::config;

/// Messages of what is wrong.
fn found(yaml: &str) -> Vec<String> {
    let node = sluice_config::parse(yaml.as_bytes()).unwrap();
    match sluice_config::decode::<Config>(&node) {
        Err(found) => found.iter().map(|found| found.message.clone()).collect(),
        Ok(config) => {
            let mut problems = Problems::new(&node);
            config.validate("", &mut problems);
            problems.into_diagnostics().iter().map(|found| found.message.clone()).collect()
        }
    }
}

#[test]
fn the_example_of_the_documentation_is_valid() {
    let page = include_str!("../../../docs/components/prometheus_remote_write.md");
    let examples: Vec<_> = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let example = examples[0].strip_prefix("exporters:\n  prometheus_remote_write:\n").unwrap();
    let example = example.split("\n\n").next().unwrap();
    let config = config(example);
    assert_eq!(config.options().external_labels, [("cluster".to_owned(), "eu-1".to_owned())]);
    assert_eq!(config.delivery().queue.unwrap().num_consumers, Some(5));
}

#[test]
fn defaults_are_those_of_the_table() {
    let config = config("endpoint: http://localhost:9090/api/v1/write");
    assert_eq!(config.timeout(), Duration::from_secs(5));
    let limits = config.limits();
    assert_eq!((limits.values, limits.bytes), (2000, 3_000_000));
    let delivery = config.delivery();
    let retry = delivery.retry.unwrap();
    assert_eq!(retry.initial_interval(), Duration::from_millis(30));
    assert_eq!(retry.max_interval(), Duration::from_secs(5));
    assert_eq!((retry.multiplier(), retry.max_elapsed_time()), (2.0, None));
    let queue = delivery.queue.unwrap();
    assert_eq!(queue.batching().unwrap().flush_timeout, Duration::from_millis(200));
    assert_eq!(delivery.timeout, Duration::ZERO);
    assert_eq!(format!("{:?}", config.options()), format!("{:?}", Options::default()));
}

#[test]
fn every_field_is_read() {
    let config = config(
        "http:
  endpoint: https://x/w
  timeout: 7s
  proxy_url: http://proxy:3128
namespace: ns
external_labels: {a: b, my.label: c}
remote_write_queue: {enabled: true, queue_size: 5, num_consumers: 2}
wal: {directory: /x, buffer_size: 1, truncate_frequency: 1m, lag_record_frequency: 15s}
retry_on_failure: {enabled: true, initial_interval: 1s, max_interval: 2s, max_elapsed_time: 1m}
retry_on_http_429: false
resource_to_telemetry_conversion: {enabled: true, exclude_service_attributes: true}
keep_identifying_resource_attributes: true
label_name_underscore_sanitization: false
label_name_preserve_multiple_underscores: false
target_info: {enabled: false, stale_on_change: false}
disable_scope_info: true
translation_strategy: NoTranslation
compat: otel-spec
le_format: openmetrics
nhcb_on_v1: drop
send_exemplars: false
send_native_histograms: false
send_metadata: true
max_batch_size_bytes: 1000
max_samples_per_send: 10
flush_linger: 0s
max_batch_request_parallelism: 3
protobuf_message: prometheus.WriteRequest
version_reprobe_interval: 1h
sample_age_limit: 1h
max_future: 10m
max_retry_after: 1m
shard_by: series
convert_histograms_to_nhcb: true
write_relabel_configs: []",
    );
    assert_eq!(config.timeout(), Duration::from_secs(7));
    assert_eq!(config.http().endpoint, "https://x/w");
    let options = config.options();
    assert_eq!((options.strategy, options.compat), (Strategy::NoTranslation, Compat::OtelSpec));
    assert!(options.promotes(b"host.name") && !options.promotes(b"service.name"));
    assert_eq!(options.external_labels.len(), 2);
    assert_eq!(options.max_future_ms, 600_000);
    assert!(options.convert_histograms_to_nhcb && options.nhcb_on_v1 == NhcbOnV1::Drop);
    let delivery = config.delivery();
    assert_eq!(delivery.retry.unwrap().initial_interval(), Duration::from_secs(1));
    let queue = delivery.queue.unwrap();
    assert_eq!((queue.queue_size, queue.num_consumers), (Some(5), Some(2)));
    assert!(queue.batching().is_none());
}

#[test]
fn compat_sets_defaults_that_explicit_options_override() {
    let base = "endpoint: http://x/w\ncompat: otel-spec\n";
    let specified = config(base).options();
    assert!(!specified.label_name_underscore_sanitization && !specified.label_name_preserve_multiple_underscores);
    let explicit = config(&format!("{base}label_name_preserve_multiple_underscores: true")).options();
    assert!(explicit.label_name_preserve_multiple_underscores);
}

#[test]
fn suffixes_follow_the_older_switch_only_without_a_strategy() {
    let base = "endpoint: http://x/w\nadd_metric_suffixes: false\n";
    assert_eq!(config(base).strategy(), Strategy::UnderscoreEscapingWithoutSuffixes);
    let both = config(&format!("{base}translation_strategy: NoUTF8EscapingWithSuffixes"));
    assert_eq!(both.strategy(), Strategy::NoUTF8EscapingWithSuffixes);
}

#[test]
fn external_labels_are_escaped_where_names_are() {
    let escaped = config("endpoint: http://x/w\nexternal_labels: {my.label: a}").options();
    assert_eq!(escaped.external_labels[0].0, "my_label");
    let kept = config("endpoint: http://x/w\nexternal_labels: {my.label: a}\ntranslation_strategy: NoTranslation");
    assert_eq!(kept.options().external_labels[0].0, "my.label");
}

#[test]
fn problems_are_told_in_upstreams_words() {
    let cases = [
        ("{}", "invalid endpoint"),
        ("endpoint: localhost:9090", "invalid endpoint"),
        ("endpoint: ftp://x/w", "invalid endpoint"),
        ("compression: gzip", "compression \"gzip\" is not supported: remote write is snappy only"),
        ("headers: {content-type: x}", "content-type is a reserved header, it must not be changed"),
        ("headers: {X-Prometheus-Remote-Write-Version: x}", "is a reserved header"),
        ("remote_write_queue: {queue_size: -1}", "remote write queue size can't be negative"),
        ("remote_write_queue: {num_consumers: -1}", "remote write consumer number can't be negative"),
        ("remote_write_queue: {}\nsending_queue: {}", "are the same queue"),
        ("max_batch_request_parallelism: 0", "max_batch_request_parallelism can't be set to below 1"),
        ("max_batch_size_bytes: -1", "max_batch_byte_size must be greater than 0"),
        ("external_labels: {a: ''}", "external labels configuration contains an empty key or value"),
        ("external_labels: {'': a}", "external labels configuration contains an empty key or value"),
        ("external_labels: {__name__: a}", "\"__name__\" is not a valid name of an external label"),
        (
            "promote_all_resource_attributes: true\npromote_resource_attributes: [a]",
            "cannot be configured simultaneously",
        ),
        ("ignore_resource_attributes: [a]", "can only be set when 'promote_all_resource_attributes' is enabled"),
        ("proxy_url: socks5://p:1080", "proxies are reached by http://"),
        ("nhcb_on_v1: native", "nhcb_on_v1"),
        ("sigv4: {}", "`sigv4` is not available in this version"),
        ("write_relabel_configs: [{action: drop}]", "`write_relabel_configs` is not available in this version"),
        ("protobuf_message: v3", "protobuf_message"),
        ("nonsense: 1", "nonsense"),
    ];
    for (yaml, text) in cases {
        let whole = if yaml.starts_with("endpoint") || yaml == "{}" {
            yaml.to_owned()
        } else {
            format!("endpoint: http://x/w\n{yaml}")
        };
        let found = found(&whole);
        assert!(found.iter().any(|found| found.contains(text)), "{yaml}: {found:?}");
    }
}
