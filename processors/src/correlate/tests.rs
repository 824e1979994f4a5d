//! The processor as configuration sees it.

use std::sync::Arc;

use sluice_config::tree::Node;
use sluice_config::{Diagnostic, Problems};
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::clock::VirtualClock;
use sluice_pipeline::component::Environment;
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::factory::{Factory, Validate};
use sluice_pipeline::processor::Processor;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::verdict::VerdictBoard;
use sluice_pipeline::{ComponentId, Signal};

use super::{Config, CorrelateFactory};

fn findings(yaml: &str) -> Vec<String> {
    let node: Node = sluice_config::parse(yaml.as_bytes()).unwrap();
    let config: Config = match sluice_config::decode(&node) {
        Ok(config) => config,
        Err(found) => return found.iter().map(|it: &Diagnostic| it.message.clone()).collect(),
    };
    let mut problems = Problems::new(&node);
    config.validate("", &mut problems);
    problems.into_diagnostics().into_iter().filter(Diagnostic::is_error).map(|it| it.message).collect()
}

#[test]
fn defaults_are_valid() {
    assert_eq!(findings("{}"), [""; 0]);
    assert_eq!(findings("{mode: decide, sampling: {rules: [{name: all, action: keep}]}}"), [""; 0]);
}

#[test]
fn what_cannot_work_is_said() {
    for (yaml, expected) in [
        ("{mode: decide}", "mode `decide` needs `sampling`"),
        ("{sampling: {rules: [{name: all, action: keep}]}}", "`sampling` needs mode `decide`"),
        ("{mode: decide, sampling: {}}", "exactly one of `policies` and `rules` must be given"),
        ("{hold: {log: {max: 61s}}}", "`hold::log::max` must not exceed 60s"),
        ("{hold: {log: {severity: {LOUD: 1s}}}}", "unknown severity"),
        ("{attach: {log: {fields: [span.colour]}}}", "unknown field \"span.colour\""),
        ("{memory_limit_mib: 0}", "`memory_limit_mib` must be positive"),
        ("{exemplars: {kept_topic: x}}", "`kept_topic` is not supported yet"),
        ("{taint: {enabled: true, max_literals: 0}}", "`max_literals` must be between 1 and 64"),
        ("{colour: red}", "colour"),
    ] {
        let found = findings(yaml);
        assert!(found.iter().any(|text| text.contains(expected)), "{yaml}: {found:?}");
    }
}

fn environment(board: &VerdictBoard, telemetry: &Telemetry) -> Environment {
    let clock = Arc::new(VirtualClock::default());
    Environment {
        id: ComponentId::new("correlate", ""),
        signals: Arc::from([Signal::Traces, Signal::Logs]),
        pipeline: None,
        pipelines: Arc::from([]),
        clock: clock.clone(),
        rng: Arc::new(SplitMix::seeded(1)),
        memory: MemBudget::new(1 << 30, clock),
        telemetry: telemetry.clone(),
        extensions: Extensions::default(),
        verdicts: board.clone(),
        gates: Default::default(),
    }
}

fn build(yaml: &str, board: &VerdictBoard, telemetry: &Telemetry) -> Box<dyn sluice_pipeline::stage::Stage> {
    let node = sluice_config::parse(yaml.as_bytes()).unwrap();
    let config = sluice_config::decode(&node).unwrap();
    match CorrelateFactory.build(&config, environment(board, telemetry)).unwrap() {
        Processor::Stage(stage) => stage,
        _ => panic!("no stage"),
    }
}

const DECIDE: &str = "{mode: decide, sampling: {rules: [{name: all, action: keep}]}}";

#[test]
fn only_who_decides_makes_verdicts_known() {
    let (board, telemetry) = (VerdictBoard::default(), Telemetry::new());
    build("{}", &board, &telemetry);
    assert!(board.find(None).is_none());
    build(DECIDE, &board, &telemetry);
    assert!(board.find(None).is_some());
}

#[test]
fn a_successor_takes_over_from_one_of_its_mode_only() {
    let (board, telemetry) = (VerdictBoard::default(), Telemetry::new());
    let mut annotate = build("{}", &board, &telemetry);
    assert!(annotate.succeed(build("{dedupe: exact_spans}", &board, &telemetry)).is_none());
    assert!(annotate.succeed(build(DECIDE, &board, &telemetry)).is_some());
}

#[test]
fn metrics_are_set_at_a_scrape() {
    let (board, telemetry) = (VerdictBoard::default(), Telemetry::new());
    let stage = build("{}", &board, &telemetry);
    telemetry.refresh();
    let window = telemetry.value("otelcol_processor_correlate_window_spans", &[("processor", "correlate")]);
    assert_eq!(window, Some(0.0));
    drop(stage);
}
