//! The configuration: defaults, and what is refused.

use sluice_config::service::{Catalog, Gates, Service};
use sluice_config::{Args, Diagnostic, FixedSources, Kind, Problems, resolve};
use sluice_pipeline::factory::Validate;

use crate::up::config::{AlignLabels, Config, Expect, HaMode, IngestMetrics};
use crate::up::duration::AutoDuration;

/// Reads a configuration as the collector does.
fn parse(yaml: &str) -> Result<Config, String> {
    let body: String = yaml.lines().map(|line| format!("    {line}\n")).collect();
    let args = Args { configs: vec!["a.yaml".into()], ..Args::default() };
    let all = format!("processors:\n  up:\n{body}");
    let text = |found: Vec<Diagnostic>| found.iter().map(|d| format!("{d:?}")).collect::<Vec<_>>().join("\n");
    let document = resolve(&args, &FixedSources::default().file("a.yaml", &all)).map_err(text)?;
    let catalog = Catalog { processors: &["up"], ..Catalog::default() };
    let (service, _) = Service::load(&document, &catalog, Gates::default());
    let component = service.of_kind(Kind::Processor).next().ok_or("no processor")?;
    let config: Config = component.decode().map_err(text)?;
    let mut problems = Problems::new(&component.node);
    config.validate("", &mut problems);
    problems.finish().map_err(text)?;
    Ok(config)
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let documented = "
        jobs: []
        entity_events: {enabled: false, types: [service, service.instance, k8s.pod, host, container], entity_ttl: 24h, relabel_configs: []}
        learned: {enabled: false, min_observations: 3}
        tolerated_losses: 1
        grace: 10s
        startup_grace: auto
        up_after: 1
        any_signal_keeps_up: true
        require_fresh_data: false
        max_data_age: auto
        strict: false
        mass_absence_ratio: 0.5
        sd_max_shrink: 0.8
        keep_down_over_restart: true
        state: {directory: \"\", interval: 10s}
        ha: {mode: single, collector_label: collector}
        align_labels: otlp
        ingest_metrics: full
        resource_attributes: false
        stale_on_down: true
        stale_tracker: {max_bytes_per_target: 65536, max_bytes: 268435456}
        trusted_proxies: []
        max_targets: 200000
        max_unexpected_identities: 10000
        emit_to: []";
    assert_eq!(parse(documented).expect("config"), Config::default());
    let job = "
        jobs:
          - job_name: checkout
            scrape_interval: 1m
            relabel_configs: []
            expected_interval: auto
            match: [pod_uid, k8s_instance, pod_name, job_instance, container_id, host_id, host_name, pod_ip, peer_ip]
            expect: long_running
            liveness_signals: [metrics]
            per_signal: []
            min_instances: 0";
    assert_eq!(parse(job).expect("config"), parse("{jobs: [{job_name: checkout}]}").expect("config"));
}

#[test]
fn the_examples_of_the_documentation_are_valid() {
    let page = include_str!("../../../../docs/components/up.md");
    let examples: Vec<Config> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next()?.strip_prefix("processors:\n  up:\n"))
        .map(|example| parse(example).unwrap_or_else(|e| panic!("{e}")))
        .collect();
    assert_eq!(examples.len(), 2);
    // The list of all keys shows the defaults.
    assert_eq!(examples[1], parse("{jobs: [{job_name: checkout}]}").expect("config"));
}

#[test]
fn every_key_is_read() {
    let config = parse(
        "{jobs: [{job_name: a, expected_interval: 5m, expect: ephemeral, tolerated_losses: 2, grace: 1s,
                  startup_grace: 30s, up_after: 2, max_data_age: 1h, file_sd_configs: [{files: [a.yml]}]}],
          ha: {mode: evidence}, align_labels: sd, ingest_metrics: basic, startup_grace: 1m30s}",
    )
    .expect("config");
    let job = &config.jobs[0];
    assert_eq!(job.expected_interval, AutoDuration::Fixed(std::time::Duration::from_secs(300)));
    assert_eq!((job.expect, job.tolerated_losses, job.up_after), (Expect::Ephemeral, Some(2), Some(2)));
    assert_eq!(
        (config.ha.mode, config.align_labels, config.ingest_metrics),
        (HaMode::Evidence, AlignLabels::Sd, IngestMetrics::Basic)
    );
    assert_eq!(config.startup_grace, AutoDuration::Fixed(std::time::Duration::from_secs(90)));
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    for (yaml, reason) in [
        ("{jobs: [{}]}", "job_name"),
        ("{jobs: [{job_name: a}, {job_name: a}]}", "twice"),
        ("{jobs: [{job_name: a, scrape_interval: 5m}]}", "lookback"),
        ("{jobs: [{job_name: a, scrape_interval: 0s}]}", "above 0"),
        ("{jobs: [{job_name: a, expected_interval: 0s}]}", "expected_interval"),
        ("{jobs: [{job_name: a, expected_interval: often}]}", "often"),
        ("{jobs: [{job_name: a, liveness_signals: []}]}", "liveness_signals"),
        ("{jobs: [{job_name: a, match: []}]}", "match"),
        ("{jobs: [{job_name: a, match: [nose]}]}", "nose"),
        ("{jobs: [{job_name: a, kubernetes_sd_configs: [{role: pod}]}]}", "kubernetes_sd_configs"),
        ("{jobs: [{job_name: a, relabel_configs: [{action: nose}]}]}", "relabel_configs: unknown action `nose`"),
        ("{jobs: [{job_name: a, file_sd_configs: [{files: [a.txt]}]}]}", "a.txt"),
        ("{jobs: [{job_name: a, scrape_timeout_: 1s}]}", "scrape_timeout_"),
        ("{up_after: 0}", "up_after"),
        ("{mass_absence_ratio: 2}", "mass_absence_ratio"),
        ("{sd_max_shrink: -1}", "sd_max_shrink"),
        ("{learned: {min_observations: 0}}", "min_observations"),
        ("{ha: {mode: owner}}", "owner"),
        ("{ha: {mode: node}}", "Kubernetes"),
        ("{ha: {collector_label: job}}", "collector_label"),
        ("{entity_events: {enabled: true}}", "entity"),
        ("{max_targets: 0}", "max_targets"),
        ("{grace: 5}", "5"),
        ("{nonsense: 1}", "nonsense"),
    ] {
        let error = parse(yaml).expect_err(yaml);
        assert!(error.contains(reason), "{yaml}: {error}");
    }
}
