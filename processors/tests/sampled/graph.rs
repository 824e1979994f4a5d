//! Stages in a graph, on virtual time. After each step every item must be accounted for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_config::parse;
use sluice_generator::settings::{Nanos, SECOND};
use sluice_generator::shop::Export;
use sluice_pdata::Signal;
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::batch::{Batch, NoRedaction};
use sluice_pipeline::clock::{Clock, Monotonic, VirtualClock, WallTime};
use sluice_pipeline::component::Environment;
use sluice_pipeline::context::{Arrival, Context};
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::factory::{Processors, Registry};
use sluice_pipeline::processor::Processor;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Port, Stage, StageOutput};
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::verdict::VerdictBoard;
use sluice_pipeline::{ComponentId, PipelineId};
use sluice_processors::spanmetrics::{self, SpanMetrics};

/// Where a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Stage(usize, u16),
    Sink(usize),
}

struct Node {
    stage: Box<dyn Stage>,
    edges: Vec<(u16, To)>,
    accepted: usize,
    created: usize,
    forwarded: usize,
    dropped: usize,
}

/// Stages, what lies between them, and what came out.
#[derive(Default)]
pub struct Graph {
    nodes: Vec<Node>,
    board: VerdictBoard,
    now: Nanos,
    seq: u64,
    epoch: u64,
    sinks: Vec<Vec<Batch>>,
}

/// How long time goes on behind the last arrival: longer than any wait.
const REST: Nanos = 120 * SECOND;

impl Graph {
    /// Nothing yet; `epoch` is what virtual zero is in Unix nanoseconds.
    pub fn new(epoch: u64, sinks: usize) -> Self {
        Graph { epoch, sinks: vec![Vec::new(); sinks], ..Graph::default() }
    }

    /// A processor that is a stage, by its name and configuration. Its number.
    pub fn processor(&mut self, name: &str, yaml: &str, edges: &[(u16, To)]) -> usize {
        let mut registry = Registry::<Processors>::new();
        sluice_processors::register(&mut registry);
        let configured = registry.decode(name, &parse(yaml.as_bytes()).unwrap()).unwrap();
        let configured = configured.unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
        match configured.build(self.environment(name)).unwrap() {
            Processor::Stage(stage) => self.add(stage, edges),
            _ => panic!("{name} is no stage"),
        }
    }

    /// A connector `span_metrics`. Its number.
    pub fn span_metrics(&mut self, yaml: &str, edges: &[(u16, To)]) -> usize {
        let config: spanmetrics::Config = sluice_config::decode(&parse(yaml.as_bytes()).unwrap()).unwrap();
        let stage = SpanMetrics::new(&config, &self.environment("span_metrics"), "me", 1);
        self.add(Box::new(stage), edges)
    }

    fn add(&mut self, stage: Box<dyn Stage>, edges: &[(u16, To)]) -> usize {
        let edges = edges.to_vec();
        self.nodes.push(Node { stage, edges, accepted: 0, created: 0, forwarded: 0, dropped: 0 });
        self.nodes.len() - 1
    }

    fn environment(&self, name: &str) -> Environment {
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(self.wall()));
        Environment {
            id: ComponentId::new(name, ""),
            signals: Arc::new([Signal::Traces]),
            pipeline: Some(PipelineId::new(Signal::Traces, "")),
            pipelines: Arc::from([]),
            memory: MemBudget::new(1 << 30, Arc::clone(&clock)),
            clock,
            rng: Arc::new(SplitMix::seeded(1)),
            telemetry: Telemetry::new(),
            extensions: Extensions::default(),
            verdicts: self.board.clone(),
            gates: Default::default(),
        }
    }

    fn wall(&self) -> WallTime {
        WallTime(self.epoch + self.now)
    }

    /// Feeds exports when they arrive, then lets time pass until nothing waits, and ends. What came out, by sink.
    pub fn run(mut self, exports: &[Export], inputs: impl Fn(Signal) -> Vec<To>) -> Vec<Vec<Batch>> {
        for export in exports {
            self.pass(export.arrival);
            let context = Context::internal(ComponentId::new("otlp", ""), self.arrival());
            let bytes = Bytes::from(export.bytes.clone());
            let batch = Batch::new(export.signal, bytes, export.items, Arc::new(context));
            inputs(export.signal).into_iter().for_each(|to| self.deliver(to, batch.clone()));
        }
        self.pass(self.now + REST);
        for number in 0..self.nodes.len() {
            let mut out = StageOutput::default();
            let now = self.wall();
            self.nodes[number].stage.drain(now, &mut out);
            self.take(number, out);
            assert_eq!(self.nodes[number].stage.held().items, 0);
        }
        self.sinks
    }

    fn arrival(&self) -> Arrival {
        Arrival { monotonic: Monotonic(Duration::from_nanos(self.now)), wall: self.wall() }
    }

    /// The earliest deadline, and whose it is.
    fn next(&self) -> Option<(Nanos, usize)> {
        let due = |node: &Node| Some(node.stage.next_deadline()?.0.saturating_sub(self.epoch));
        self.nodes.iter().enumerate().filter_map(|(number, node)| Some((due(node)?, number))).min()
    }

    /// Lets time pass, telling each stage its deadlines in their order.
    fn pass(&mut self, end: Nanos) {
        while let Some((at, number)) = self.next().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            let now = self.wall();
            let mut out = StageOutput::default();
            self.nodes[number].stage.tick(now, &mut out);
            let next = self.nodes[number].stage.next_deadline();
            assert!(next.is_none_or(|next| next > now), "a deadline that has passed");
            self.take(number, out);
        }
        self.now = end;
    }

    fn deliver(&mut self, to: To, batch: Batch) {
        match to {
            To::Sink(sink) => self.sinks[sink].push(batch),
            To::Stage(number, port) => {
                self.seq += 1;
                self.nodes[number].accepted += batch.items();
                let entry = Entry::new(Seq(self.seq), NoRedaction.waive(batch), self.arrival(), Box::new(()));
                let mut out = StageOutput::default();
                let now = self.wall();
                self.nodes[number].stage.absorb(Port(port), &entry, now, &mut out);
                self.take(number, out);
            }
        }
    }

    fn take(&mut self, number: usize, out: StageOutput) {
        let node = &mut self.nodes[number];
        node.created += out.created;
        node.dropped += out.dropped.iter().map(|(.., items)| items).sum::<usize>();
        node.forwarded += out.batches.iter().map(|(_, batch)| batch.items()).sum::<usize>();
        let held = node.stage.held().items;
        assert_eq!(node.accepted + node.created, node.forwarded + node.dropped + held, "stage {number}: conservation");
        for (port, batch) in out.batches {
            let targets: Vec<To> =
                self.nodes[number].edges.iter().filter(|(from, _)| *from == port.0).map(|(_, to)| *to).collect();
            assert!(!targets.is_empty(), "stage {number} emits at {port:?}");
            targets.into_iter().for_each(|to| self.deliver(to, batch.clone()));
        }
    }
}
