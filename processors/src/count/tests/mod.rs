mod counting;
mod laws;

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;
use sluice_config::parse;
use sluice_pipeline::clock::{Monotonic, WallTime};
use sluice_pipeline::component::Environment;
use sluice_pipeline::connector::{Between, Connector, InlineConnector, Routed};
use sluice_pipeline::context::{Arrival, Context};
use sluice_pipeline::factory::{Connectors, Registry};
use sluice_pipeline::{Batch, ComponentId, PipelineId, Refusal, Signal};

use super::CountFactory;
use crate::model::chain::environment;

/// When all requests came.
const NOW: u64 = 1_760_000_000_000_000_000;

/// A connector in front of that many pipelines, or what is wrong with its config.
fn build(signal: Signal, config: &str, pipelines: usize) -> Result<Arc<dyn InlineConnector>, String> {
    let mut registry = Registry::<Connectors>::new();
    registry.register(CountFactory);
    let node = parse(config.as_bytes()).unwrap();
    let texts = |found: Vec<sluice_config::Diagnostic>| {
        found.into_iter().map(|found| found.message).collect::<Vec<_>>().join("\n")
    };
    let configured = registry.decode("count", &node).unwrap().map_err(texts)?;
    let targets = (0..pipelines).map(|at| PipelineId::new(Signal::Metrics, &at.to_string())).collect();
    let between = Between { from: signal, to: Signal::Metrics, targets };
    let environment: Environment = environment(signal, "count", 0);
    match configured.build((environment, between)).map_err(|error| error.to_string())? {
        Connector::Inline(connector) => Ok(connector),
        Connector::Stage(_) => Err("a stage".to_owned()),
    }
}

fn batch(signal: Signal, bytes: Vec<u8>) -> Batch {
    let items = sluice_pdata::split::count(signal, &bytes).unwrap();
    let arrival = Arrival { monotonic: Monotonic::default(), wall: WallTime(NOW) };
    Batch::new(signal, bytes.into(), items, Arc::new(Context::internal(ComponentId::new("otlp", ""), arrival)))
}

/// What one pipeline gets; the ledger must balance.
fn routed(
    connector: &dyn InlineConnector,
    batch: &Batch,
    pipelines: usize,
) -> Result<ExportMetricsServiceRequest, Refusal> {
    let Routed { outputs, dropped, created } = connector.route(batch)?;
    let emitted: usize = outputs.iter().map(|(_, output)| output.items()).sum();
    let dropped: usize = dropped.iter().map(|(_, items)| items).sum();
    assert_eq!(batch.items() + created, emitted + dropped, "the ledger balances");
    assert!(outputs.is_empty() || outputs.len() == pipelines, "every pipeline gets the same");
    let Some((_, output)) = outputs.first() else { return Ok(ExportMetricsServiceRequest::default()) };
    let found = sluice_pdata::framing::check(Signal::Metrics, output.bytes()).unwrap();
    assert!(found.items == output.items() && found.plain, "{found:?}");
    Ok(ExportMetricsServiceRequest::decode(output.bytes().clone()).unwrap())
}
