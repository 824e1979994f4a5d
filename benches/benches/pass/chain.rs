//! Our processors, made by their factories from the `processors` block of a scenario's `collector.yaml`, as one chain.

use sluice_pdata::Signal;
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::clock::{Clock, VirtualClock, WallTime};
use sluice_pipeline::component::Environment;
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::factory::{Processors, Registry};
use sluice_pipeline::processor::Processor;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::{Chain, ComponentId, Context};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

/// A chain with the context its batches have.
pub(crate) struct Processed {
    pub(crate) chain: Chain,
    pub(crate) context: Context,
}

/// The processors of `scenario` that `wanted` names, in the order of its pipeline.
pub(crate) fn of_scenario(scenario: &str, signal: Signal, wanted: &[&str]) -> Result<Processed, Box<dyn Error>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(scenario).join("collector.yaml");
    of_config(&std::fs::read(file)?, signal, wanted)
}

/// The same of a config's text.
pub(crate) fn of_config(yaml: &[u8], signal: Signal, wanted: &[&str]) -> Result<Processed, Box<dyn Error>> {
    let config = sluice_config::parse(yaml).map_err(|problem| format!("{problem:?}"))?;
    let list = config.find(&format!("service::pipelines::{}::processors", signal.name()));
    let list = list.and_then(|list| list.as_seq()).ok_or("the pipeline has no processors")?;
    let mut registry = Registry::<Processors>::new();
    sluice_processors::register(&mut registry);
    let clock = VirtualClock::new(WallTime(1_760_000_000_000_000_000));
    let mut steps = Vec::new();
    for name in list.iter().filter_map(|name| name.text()).filter(|name| wanted.contains(name)) {
        let block = config.find(&format!("processors::{name}")).ok_or("a processor has no block")?;
        let configured = registry.decode(name, block).ok_or("no such processor")?;
        let configured = configured.map_err(|problems| format!("{problems:?}"))?;
        let processor = configured.build(Environment {
            id: ComponentId::new(name, ""),
            signals: Arc::new([signal]),
            pipeline: None,
            pipelines: Arc::from([]),
            clock: Arc::new(clock.clone()),
            rng: Arc::new(SplitMix::seeded(1)),
            memory: MemBudget::new(1 << 30, Arc::new(clock.clone())),
            telemetry: Telemetry::new(),
            extensions: Extensions::default(),
            verdicts: sluice_pipeline::verdict::VerdictBoard::default(),
            gates: Default::default(),
        })?;
        let Processor::Step(step) = processor else { return Err(format!("{name} is no step").into()) };
        steps.push(step);
    }
    if steps.len() != wanted.len() {
        return Err(format!("not all of {wanted:?} are in the pipeline").into());
    }
    let context = Context::internal(ComponentId::new("otlp", ""), clock.arrival());
    Ok(Processed { chain: Chain::new(signal, steps), context })
}
