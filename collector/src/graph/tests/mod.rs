//! Graphs with stages and connectors, of toy components.

mod connectors;
mod stages;
mod toys;

use std::sync::Arc;
use std::time::Duration;

use sluice_config::{Args, FixedSources};
use sluice_pipeline::clock::SystemClock;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::{Batch, Context, Refusal, Signal};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::exposure::Trusted;
use crate::plan::Loaded;
use toys::{Toys, registries, request};

/// A running graph, and what came out of it.
struct Rig {
    graph: Graph,
    around: Surroundings,
    toys: Arc<Toys>,
    sunk: mpsc::UnboundedReceiver<(String, String)>,
    patience: Patience,
    _hurry: watch::Sender<bool>,
}

fn surroundings() -> Surroundings {
    let telemetry = Telemetry::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    Surroundings {
        ledger: Ledger::new(&telemetry, crate::catalog::registries().reasons()),
        memory: MemBudget::new(256 << 20, Arc::clone(&clock)),
        rng: Arc::new(SplitMix::from_entropy()),
        telemetry,
        clock,
        verdicts: VerdictBoard::default(),
        gates: Default::default(),
        data_dir: None,
    }
}

fn load(toys: &Arc<Toys>, yaml: &str) -> Loaded {
    let args = Args { configs: vec!["file:test.yaml".to_owned()], ..Args::default() };
    let sources = FixedSources::default().file("test.yaml", yaml);
    crate::plan::load(&args, &sources, &registries(toys), &Trusted::None)
}

fn messages(loaded: &Loaded) -> Vec<&str> {
    loaded.findings.iter().filter(|found| found.is_error()).map(|found| found.message.as_str()).collect()
}

impl Rig {
    async fn start(yaml: &str) -> Rig {
        let toys = Arc::new(Toys::default());
        let (tell, sunk) = mpsc::unbounded_channel();
        *toys.sunk.lock().unwrap() = Some(tell);
        let around = surroundings();
        let graph = Graph::new(&around).unwrap();
        let (hurry, patient) = watch::channel(false);
        let mut rig = Rig { graph, around, toys, sunk, patience: Patience::new(patient), _hurry: hurry };
        rig.reload(yaml).await;
        rig
    }

    async fn reload(&mut self, yaml: &str) {
        let loaded = load(&self.toys, yaml);
        let plan = loaded.plan.unwrap_or_else(|| panic!("{:?}\n{yaml}", loaded.findings));
        self.graph.load(plan, &self.around, &self.patience).await.unwrap();
    }

    async fn send(&self, door: &str, signal: Signal, names: &[&str]) -> Result<(), Refusal> {
        let ingress = self.toys.doors.lock().unwrap()[&ComponentId::from(door)].get();
        let context = Context::internal(ComponentId::from(door), self.around.clock.arrival());
        let batch = Batch::new(signal, request(names).into(), names.len(), Arc::new(context));
        ingress.consume(batch).await.map(drop)
    }

    async fn spans(&self, names: &[&str]) {
        self.send("door", Signal::Traces, names).await.unwrap();
    }

    async fn logs(&self, names: &[&str]) {
        self.send("door", Signal::Logs, names).await.unwrap();
    }

    /// The next that come out, as `exporter name`, sorted.
    async fn come(&mut self, count: usize) -> Vec<String> {
        let mut came = Vec::new();
        while came.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(20), self.sunk.recv()).await;
            let (exporter, name) = next.unwrap_or_else(|_| panic!("only {came:?}")).expect("the toys live");
            came.push(format!("{exporter} {name}"));
        }
        came.sort();
        came
    }

    /// Nothing came out that was not asked for, and every account balances.
    fn assert_quiet(&mut self) {
        assert!(self.sunk.try_recv().is_err());
        self.assert_balanced();
    }

    fn assert_balanced(&self) {
        let snapshot = self.around.ledger.check();
        assert_eq!(snapshot.errors().collect::<Vec<_>>(), Vec::<&sluice_pipeline::ledger::AccountSnapshot>::new());
    }

    /// Items that a stage holds.
    fn held(&self, stage: &str) -> u64 {
        let snapshot = self.around.ledger.snapshot();
        snapshot.get(&format!("stage/{stage}")).map_or(0, |account| account.held[0])
    }

    /// Until a stage holds so many items.
    async fn holds(&self, stage: &str, items: u64) {
        let held = async {
            while self.held(stage) != items {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), held).await.unwrap_or_else(|_| panic!("{}", self.held(stage)));
    }

    async fn stop(&mut self) {
        let graph = std::mem::replace(&mut self.graph, Graph::new(&self.around).unwrap());
        graph.stop(Duration::from_secs(2), Duration::from_millis(3500)).await;
        self.assert_balanced();
    }
}
