//! What is measured: stages, made by their factories from the configuration of the scenarios.

use crate::feed::Logs;
use sluice_config::tree::Node;
use sluice_pdata::Signal;
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::clock::{VirtualClock, WallTime};
use sluice_pipeline::component::Environment;
use sluice_pipeline::connector::{Between, Connector};
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::factory::{Connectors, Processors, Registry};
use sluice_pipeline::processor::Processor;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::stage::Stage;
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::verdict::VerdictBoard;
use sluice_pipeline::{ComponentId, PipelineId};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

type Built = Result<Box<dyn Stage>, Box<dyn Error>>;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) logs: Logs,
    /// Seconds until the window is full.
    pub(crate) fill: u64,
    pub(crate) build: fn() -> Built,
}

pub(crate) const CASES: &[Case] = &[
    Case { name: "annotate-spans", logs: Logs::None, fill: 10, build: || processor("correlate", "{}") },
    Case { name: "annotate-spans-logs", logs: Logs::OneEach, fill: 10, build: || processor("correlate", "{}") },
    Case {
        name: "decide-tail_sampling",
        logs: Logs::None,
        fill: 7,
        build: || of_scenario("collector.yaml", "tail_sampling"),
    },
    Case { name: "decide-correlate", logs: Logs::None, fill: 7, build: || of_scenario("correlate.yaml", "correlate") },
    Case {
        name: "decide-correlate-logs",
        logs: Logs::OneEach,
        fill: 7,
        build: || of_scenario("correlate.yaml", "correlate"),
    },
    Case { name: "span_metrics", logs: Logs::None, fill: 2, build: || span_metrics("{}") },
    Case { name: "span_metrics-dimensions", logs: Logs::None, fill: 2, build: || span_metrics(DIMENSIONS) },
];

const DIMENSIONS: &str = "{dimensions: [{name: http.route}, {name: http.request.method}, {name: http.response.status_code}], \
     exemplars: {enabled: true}}";

/// A processor of the scenario `tail-sampling`.
fn of_scenario(file: &str, name: &str) -> Built {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/tail-sampling").join(file);
    let config = sluice_config::parse(&std::fs::read(path)?).map_err(|problem| format!("{problem:?}"))?;
    let block = config.find(&format!("processors::{name}")).ok_or("no such processor")?;
    from_node(name, block)
}

/// A processor by its configuration.
pub(crate) fn processor(name: &str, yaml: &str) -> Built {
    from_node(name, &sluice_config::parse(yaml.as_bytes()).map_err(|problem| format!("{problem:?}"))?)
}

fn from_node(name: &str, block: &Node) -> Built {
    let mut registry = Registry::<Processors>::new();
    sluice_processors::register(&mut registry);
    let configured = registry.decode(name, block).ok_or("no such processor")?;
    let configured = configured.map_err(|problems| format!("{problems:?}"))?;
    let signals: &[Signal] = if name == "correlate" { &[Signal::Traces, Signal::Logs] } else { &[Signal::Traces] };
    match configured.build(environment(name, signals))? {
        Processor::Stage(stage) => Ok(stage),
        _ => Err(format!("{name} is no stage").into()),
    }
}

fn span_metrics(yaml: &str) -> Built {
    let mut registry = Registry::<Connectors>::new();
    sluice_processors::register_connectors(&mut registry);
    let block = sluice_config::parse(yaml.as_bytes()).map_err(|problem| format!("{problem:?}"))?;
    let configured = registry.decode("span_metrics", &block).ok_or("no such connector")?;
    let configured = configured.map_err(|problems| format!("{problems:?}"))?;
    let targets = vec![PipelineId::new(Signal::Metrics, "")];
    let between = Between { from: Signal::Traces, to: Signal::Metrics, targets };
    match configured.build((environment("span_metrics", &[Signal::Traces]), between))? {
        Connector::Stage(stage) => Ok(stage),
        Connector::Inline(_) => Err("span_metrics is no stage".into()),
    }
}

fn environment(name: &str, signals: &[Signal]) -> Environment {
    let clock = Arc::new(VirtualClock::new(WallTime(1_760_000_000_000_000_000)));
    Environment {
        id: ComponentId::new(name, ""),
        signals: Arc::from(signals),
        pipeline: None,
        pipelines: Arc::from([]),
        clock: clock.clone(),
        rng: Arc::new(SplitMix::seeded(1)),
        memory: MemBudget::new(4 << 30, clock),
        telemetry: Telemetry::new(),
        extensions: Extensions::default(),
        verdicts: VerdictBoard::default(),
        gates: Default::default(),
    }
}
