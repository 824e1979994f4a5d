//! What stays, what is replaced, what comes and what goes.

use sluice_config::{Args, FixedSources};

use super::Change::{Add, Keep, Remove, Replace};
use super::*;
use crate::exposure::Trusted;

const BASE: &str = "
receivers:
  otlp: {protocols: {grpc: {endpoint: \"127.0.0.1:1\"}}}
processors:
  filter: {trace_conditions: [\"span.name == \\\"a\\\"\"]}
  batch:
exporters:
  nop:
  otlp_grpc: {endpoint: \"127.0.0.1:2\", tls: {insecure: true}}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [filter, batch], exporters: [otlp_grpc]}
";

fn plan(yaml: &str) -> Plan {
    let args = Args { configs: vec!["file:test.yaml".to_owned()], ..Args::default() };
    let sources = FixedSources::default().file("test.yaml", yaml);
    let loaded = crate::plan::load(&args, &sources, &crate::catalog::registries(), &Trusted::None);
    loaded.plan.unwrap_or_else(|| panic!("{:?}\n{yaml}", loaded.findings))
}

fn table(changes: &Changes) -> Vec<(&str, Change)> {
    changes.iter().map(|(id, change)| (id.as_str(), *change)).collect()
}

/// The changes from the base to the base with one text in place of another.
fn edited(from: &str, to: &str) -> Diff {
    assert!(BASE.contains(from), "{from}");
    Diff::between(Some(&plan(BASE)), &plan(&BASE.replace(from, to)))
}

#[test]
fn from_nothing_everything_that_is_used_is_added() {
    let diff = Diff::between(None, &plan(BASE));
    assert_eq!(table(&diff.receivers), [("otlp", Add)]);
    assert_eq!(table(&diff.processors), [("batch", Add), ("filter", Add)]);
    assert_eq!(table(&diff.exporters), [("otlp_grpc", Add)], "`nop` is in no pipeline");
}

#[test]
fn what_is_written_otherwise_and_means_the_same_is_kept() {
    let rewritten = "# a comment\n".to_owned()
        + &BASE
            .replace(
                "{endpoint: \"127.0.0.1:2\", tls: {insecure: true}}",
                "{tls: {insecure: true}, endpoint: 127.0.0.1:2}",
            )
            .replace("\"127.0.0.1:1\"", "'127.0.0.1:1'");
    let diff = Diff::between(Some(&plan(BASE)), &plan(&rewritten));
    assert_eq!(diff.count(Keep), 4);
    assert_eq!(diff.count(Replace) + diff.count(Add) + diff.count(Remove), 0);
}

#[test]
fn a_component_is_replaced_if_its_own_config_changed() {
    let diff = edited("\"127.0.0.1:1\"", "\"127.0.0.1:3\"");
    assert_eq!(table(&diff.receivers), [("otlp", Replace)]);
    assert_eq!((diff.count(Keep), diff.count(Replace)), (3, 1));
    let diff = edited("127.0.0.1:2", "127.0.0.1:3");
    assert_eq!(table(&diff.exporters), [("otlp_grpc", Replace)]);
    assert_eq!(table(&diff.receivers), [("otlp", Keep)], "its sockets stay whatever is behind it");
}

#[test]
fn what_pipelines_name_decides_who_comes_and_who_goes() {
    let diff = edited("exporters: [otlp_grpc]", "exporters: [nop]");
    assert_eq!(table(&diff.exporters), [("nop", Add), ("otlp_grpc", Remove)]);
    let diff = edited("processors: [filter, batch]", "processors: [batch]");
    assert_eq!(table(&diff.processors), [("batch", Keep), ("filter", Remove)]);
    let more = "    logs: {receivers: [otlp], exporters: [otlp_grpc, nop]}\n";
    let diff = Diff::between(Some(&plan(BASE)), &plan(&(BASE.to_owned() + more)));
    assert_eq!(table(&diff.receivers), [("otlp", Keep)]);
    assert_eq!(table(&diff.exporters), [("nop", Add), ("otlp_grpc", Keep)]);
}

#[test]
fn what_stays_shares_its_config_with_the_plan_before() {
    let old = plan(BASE);
    let mut new = plan(&BASE.replace("127.0.0.1:2", "127.0.0.1:3"));
    let diff = Diff::between(Some(&old), &new);
    diff.adopt(&old, &mut new);
    assert!(Arc::ptr_eq(&old.receivers[0].configured, &new.receivers[0].configured));
    let of = |plan: &Plan| {
        let exporter = plan.exporters.iter().find(|exporter| exporter.id.as_str() == "otlp_grpc");
        Arc::clone(&exporter.expect("configured").configured)
    };
    assert!(!Arc::ptr_eq(&of(&old), &of(&new)));
}
