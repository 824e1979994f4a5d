//! Configurations: upstream's examples load, and what upstream refuses is refused.

use sluice_config::parse;
use sluice_pipeline::factory::{Connectors, Registry};

fn problems(yaml: &str) -> Vec<String> {
    let mut registry = Registry::<Connectors>::new();
    crate::register_connectors(&mut registry);
    let node = parse(yaml.as_bytes()).unwrap();
    match registry.decode("span_metrics", &node).unwrap() {
        Ok(_) => Vec::new(),
        Err(found) => found.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn configurations_that_upstream_documents_load() {
    let configs = [
        "",
        "histogram: {explicit: }",
        "{histogram: {unit: s, explicit: {buckets: [10ms, 100ms, 250ms]}}, exemplars: {enabled: true}, \
         resource_metrics_cache_size: 1600, dimensions: [{name: http.method, default: GET}, {name: http.status_code}], \
         aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA, metrics_flush_interval: 30s}",
        "histogram: {exponential: {max_size: 10}}",
        "series_expiration: 5m",
        "exemplars: {enabled: true, max_per_data_point: 10}",
        "resource_metrics_key_attributes: [service.name, telemetry.sdk.language, telemetry.sdk.name]",
        "{aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA, metric_timestamp_cache_size: 123}",
        "{histogram: {dimensions: [{name: http.status_code}]}, dimensions: [{name: http.method, default: GET}], \
         calls_dimensions: [{name: http.url}]}",
        "dimensions: [{name: http.method, default: GET}, {glob: db.*}]",
        "{histogram: {dimensions: [{name: url.scheme, default: https}], \
         explicit: {buckets: [100us, 1ms, 2ms, 6ms, 10ms, 100ms, 250ms]}}, \
         dimensions: [{name: http.method, default: GET}, {name: http.status_code}, {glob: 'k8s.*.name'}, \
         {glob: 'db.**.name'}], calls_dimensions: [{name: http.url, default: /ping}], exemplars: {enabled: true}, \
         exclude_dimensions: ['status.code'], aggregation_temporality: AGGREGATION_TEMPORALITY_CUMULATIVE, \
         metrics_flush_interval: 15s, metrics_expiration: 5m, series_expiration: 5m, \
         events: {enabled: true, dimensions: [{name: exception.type}, {name: exception.message}]}, \
         resource_metrics_key_attributes: [service.name], include_instrumentation_scope: [express]}",
        "{dimensions_cache_size: 1000, add_resource_attributes: true, enable_metrics_sampling_method: true, \
         aggregation_cardinality_limit: 5000, namespace: span.metrics}",
        "exemplars: {enabled: true, verdicts: correlate}",
    ];
    for yaml in configs {
        assert_eq!(problems(yaml), Vec::<String>::new(), "{yaml}");
    }
}

#[test]
fn what_upstream_refuses_is_refused() {
    let cases = [
        (
            "histogram: {exponential: {max_size: 10}, explicit: {buckets: [10ms]}}",
            "use either `explicit` or `exponential` buckets histogram",
        ),
        ("histogram: {unit: h}", "h"),
        ("metrics_expiration: -20s", "metrics_expiration"),
        ("series_expiration: -20s", "series_expiration"),
        (
            "{aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA, metric_timestamp_cache_size: 0}",
            "invalid cache size: 0",
        ),
        ("dimensions: [{name: service.name}]", r#"duplicate dimension name "service.name""#),
        ("dimensions: [{name: a}, {name: a}]", r#"duplicate dimension name "a""#),
        ("dimensions: [{name: a, glob: b}]", "dimension entry must set only one of `name` or `glob`"),
        ("dimensions: [{default: b}]", "dimension entry must set one of `name` or `glob`"),
        ("dimensions: [{glob: a, default: b}]", "`default` is not supported on `glob` dimension"),
        ("calls_dimensions: [{glob: 'span.*'}]", "conflicting with glob"),
        ("dimensions: [{glob: '[a'}]", "invalid dimension glob"),
        ("events: {enabled: true}", "no dimensions configured for events"),
        ("aggregation_cardinality_limit: -1", "the limit should be positive"),
        ("exemplars: {enabled: true, max_per_data_point: -1}", "invalid max_per_data_point"),
        ("histogram: {explicit: {buckets: [2s, 1s]}}", "increasing order"),
        ("histogram: {exponential: {max_size: 1}}", "must be between 2 and"),
        ("unknown: 1", "unknown"),
    ];
    for (yaml, text) in cases {
        let found = problems(yaml);
        assert!(found.iter().any(|problem| problem.contains(text)), "{yaml}: {found:?}");
    }
}
