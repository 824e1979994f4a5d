//! The processor as a stage under virtual time.

use sluice_config::Problems;
use sluice_pipeline::component::Environment;
use sluice_pipeline::factory::Validate as _;

use super::*;
use crate::tail_sampling::tests::{Fed, environment, span};

const SECOND: u64 = 1_000_000_000;

fn fed(yaml: &str, environment: &Environment) -> Fed<crate::trace_window::WindowStage> {
    let config: Config = sluice_config::decode(&sluice_config::parse(yaml.as_bytes()).unwrap()).unwrap();
    Fed::new(GroupByTrace::stage(&config, environment))
}

#[test]
fn spans_of_a_trace_go_together_and_unchanged() {
    let environment = environment("groupbytrace", "");
    let mut fed = fed("{wait_duration: 2s}", &environment);
    let mut first = span(1, 1, "first");
    first.trace_state = "ot=th:ff, a=b".to_owned(); // not ours to mend
    fed.send(vec![first.clone()]);
    fed.pass(SECOND);
    fed.send(vec![span(1, 2, "second"), span(2, 1, "other")]);
    fed.pass(SECOND + SECOND / 5);
    assert_eq!(fed.names(), ["first", "second"]);
    assert_eq!(fed.spans.iter().find(|span| span.name == "first"), Some(&first));
    fed.pass(SECOND);
    assert_eq!(fed.names(), ["first", "other", "second"]);
    // What comes behind waits again.
    fed.send(vec![span(1, 3, "third")]);
    fed.pass(SECOND);
    assert_eq!(fed.spans.len(), 3);
    fed.pass(SECOND + SECOND / 5);
    assert_eq!(fed.names(), ["first", "other", "second", "third"]);
    assert_eq!(fed.dropped, 0);
    environment.telemetry.refresh();
    let value = |name: &str| {
        let name = format!("otelcol_processor_groupbytrace_{name}");
        environment.telemetry.value(&name, &[("processor", "groupbytrace")])
    };
    assert_eq!(value("traces_released"), Some(3.0));
    assert_eq!(value("spans_released"), Some(4.0));
    assert_eq!(value("num_traces_in_memory"), Some(0.0));
    assert_eq!(value("conf_num_traces"), Some(1_000_000.0));
    assert_eq!(value("traces_evicted"), Some(0.0));
    let shown = environment.telemetry.render(&sluice_pipeline::telemetry::Naming::default());
    let line =
        "otelcol_processor_groupbytrace_event_latency_count{processor=\"groupbytrace\",event=\"onTraceReceived\"} 3";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn beyond_num_traces_the_oldest_go_before_their_time() {
    let environment = environment("groupbytrace", "");
    let mut fed = fed("{wait_duration: 60s, num_traces: 2}", &environment);
    fed.send(vec![span(1, 1, "a")]);
    fed.pass(SECOND);
    fed.send(vec![span(2, 1, "b")]);
    fed.pass(SECOND);
    fed.send(vec![span(3, 1, "c")]);
    assert_eq!(fed.names(), ["a"]);
}

#[test]
fn upstreams_fields_load() {
    for (yaml, notes, error) in [
        ("{}", 0, None),
        ("{wait_duration: 10s, num_traces: 1000, num_workers: 2}", 1, None),
        ("{num_traces: 0}", 0, Some("must be positive")),
        ("{discard_orphans: true}", 0, Some("discard orphans")),
        ("{store_on_disk: true}", 0, Some("disk storage")),
    ] {
        let node = sluice_config::parse(yaml.as_bytes()).unwrap();
        let config: Config = sluice_config::decode(&node).unwrap();
        let mut problems = Problems::new(&node);
        config.validate("", &mut problems);
        match (problems.finish(), error) {
            (Ok(found), None) => assert_eq!(found.len(), notes, "{yaml}"),
            (Err(found), Some(error)) => assert!(found[0].message.contains(error), "{yaml}: {found:?}"),
            (found, _) => panic!("{yaml}: {found:?}"),
        }
    }
}
