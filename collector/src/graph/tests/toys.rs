//! Toy components: a door by which batches come in, a sink that tells what came out, and stages that hold until told to go.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use sluice_config::Problems;
use sluice_pdata::wire::{Value, fields, put_len, put_message};
use sluice_pipeline::blocks::SendingQueue;
use sluice_pipeline::clock::WallTime;
use sluice_pipeline::component::{Component, Environment, Stability};
use sluice_pipeline::connector::{Between, Connector, InlineConnector, Routed};
use sluice_pipeline::exporter::{Attempt, Delivery, Exporter, ExporterKind, Payload};
use sluice_pipeline::factory::{
    Connectors, Exporters, Factory, Instances, Meta, NoConfig, Processors, Receivers, Registries, Validate,
};
use sluice_pipeline::processor::Processor;
use sluice_pipeline::receiver::{CurrentIngress, Ingress, Receiver};
use sluice_pipeline::send::SendOutcome;
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Held, Port, Stage, StageOutput};
use sluice_pipeline::{Batch, BoxFuture, ComponentId, Error, Refusal};
use tokio::sync::mpsc;

/// Field number of a span's name; it is that of a log record's body, too, so that one encoding does for both.
const NAME: u32 = 5;

/// A request with one span or log record for each name.
pub fn request(names: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    put_message(&mut out, 1, |resource| {
        put_message(resource, 2, |scope| {
            for name in names {
                put_message(scope, 2, |item| put_message(item, NAME, |body| put_len(body, 1, name.as_bytes())));
            }
        });
    });
    out
}

/// The names in a request.
pub fn names(request: &[u8]) -> Vec<String> {
    fn inner(message: &[u8], number: u32) -> Vec<&[u8]> {
        let of_number = |field: &sluice_pdata::wire::Field<'_>| field.number == number;
        let found = fields(message).map(Result::unwrap).filter(of_number);
        found.filter_map(|field| if let Value::Len(inside) = field.value { Some(inside) } else { None }).collect()
    }
    let items = inner(request, 1).into_iter().flat_map(|it| inner(it, 2)).flat_map(|it| inner(it, 2));
    let names = items.flat_map(|it| inner(it, NAME)).flat_map(|it| inner(it, 1));
    names.map(|name| String::from_utf8(name.to_vec()).unwrap()).collect()
}

/// What tests and toys share.
#[derive(Default)]
pub struct Toys {
    pub doors: Mutex<BTreeMap<ComponentId, CurrentIngress>>,
    pub sunk: Mutex<Option<mpsc::UnboundedSender<(String, String)>>>,
    /// How many stages were built.
    pub built: Mutex<Vec<String>>,
}

/// The components of the build with those of the toys.
pub fn registries(toys: &Arc<Toys>) -> Registries {
    let mut all = crate::catalog::registries();
    all.receivers.register(DoorFactory(Arc::clone(toys)));
    all.exporters.register(SinkFactory(Arc::clone(toys)));
    all.processors.register(HoldFactory("hold", Instances::PerPipeline, Arc::clone(toys)));
    all.processors.register(HoldFactory("join", Instances::Shared, Arc::clone(toys)));
    all.connectors.register(TallyFactory);
    all.connectors.register(PassFactory);
    all
}

struct DoorFactory(Arc<Toys>);

struct Door(ComponentId, Arc<Toys>);

impl Component for Door {
    fn stop(&self, _grace: std::time::Duration) -> BoxFuture<'_, ()> {
        // What lies behind is let go of.
        self.1.doors.lock().unwrap().remove(&self.0);
        Box::pin(std::future::ready(()))
    }
}

impl Receiver for Door {
    fn connect(&self, ingress: Ingress) -> Result<(), Error> {
        let mut doors = self.1.doors.lock().unwrap();
        match doors.get(&self.0) {
            Some(door) => door.set(ingress),
            None => drop(doors.insert(self.0.clone(), CurrentIngress::new(ingress))),
        }
        Ok(())
    }
}

impl Factory<Receivers> for DoorFactory {
    type Config = NoConfig;

    fn meta(&self) -> Meta {
        Meta::new("door", Stability::Stable)
    }

    fn build(&self, _config: &NoConfig, environment: Environment) -> Result<Arc<dyn Receiver>, Error> {
        Ok(Arc::new(Door(environment.id, Arc::clone(&self.0))))
    }
}

struct SinkFactory(Arc<Toys>);

struct Sink(ComponentId, Arc<Toys>);

impl Component for Sink {}

impl Exporter for Sink {
    fn send<'a>(&'a self, payload: Payload, _attempt: &'a Attempt) -> BoxFuture<'a, SendOutcome> {
        for name in names(&payload.contiguous()) {
            if let Some(sunk) = &*self.1.sunk.lock().unwrap() {
                let _ = sunk.send((self.0.to_string(), name));
            }
        }
        Box::pin(std::future::ready(SendOutcome::Delivered { dropped: Default::default() }))
    }
}

impl Factory<Exporters> for SinkFactory {
    type Config = NoConfig;

    fn meta(&self) -> Meta {
        Meta::new("sink", Stability::Stable)
    }

    fn build(&self, _config: &NoConfig, environment: Environment) -> Result<ExporterKind, Error> {
        let delivery = Delivery { queue: Some(SendingQueue::default()), ..Delivery::default() };
        let sink = Sink(environment.id, Arc::clone(&self.0));
        Ok(ExporterKind::Destination(Arc::new(sink), Box::new(delivery)))
    }
}

struct HoldFactory(&'static str, Instances, Arc<Toys>);

#[derive(Clone, Debug, Default, Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldConfig {
    /// Takes nothing over.
    stubborn: bool,
    /// Only to differ.
    label: String,
}

impl Validate for HoldConfig {
    fn validate(&self, _at: &str, _problems: &mut Problems<'_>) {}
}

/// Holds every batch until one named `go` comes at any port, which goes with the others.
struct Hold {
    held: Vec<(Seq, Port, Batch)>,
    stubborn: bool,
    ports: usize,
}

impl Stage for Hold {
    fn absorb(&mut self, port: Port, input: &Entry, now: WallTime, out: &mut StageOutput) {
        assert!(usize::from(port.0) < self.ports, "{port:?} of {}", self.ports);
        self.held.push((input.seq(), port, Batch::clone(input.batch())));
        if names(input.batch().bytes()) == ["go"] {
            self.drain(now, out);
        }
    }

    fn tick(&mut self, _now: WallTime, _out: &mut StageOutput) {}

    fn next_deadline(&self) -> Option<WallTime> {
        None
    }

    fn low_watermark(&self) -> Option<Seq> {
        self.held.first().map(|(seq, ..)| *seq)
    }

    fn held(&self) -> Held {
        Held { items: self.held.iter().map(|(.., batch)| batch.items()).sum(), bytes: 100 * self.held.len() }
    }

    fn drain(&mut self, _now: WallTime, out: &mut StageOutput) {
        self.held.drain(..).for_each(|(_, port, batch)| out.emit(port, batch));
    }

    fn succeed(&mut self, predecessor: Box<dyn Stage>) -> Option<Box<dyn Stage>> {
        if self.stubborn {
            return Some(predecessor);
        }
        let before = predecessor.into_any().downcast::<Hold>().expect("of the same type");
        self.held = before.held;
        None
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Factory<Processors> for HoldFactory {
    type Config = HoldConfig;

    fn meta(&self) -> Meta {
        Meta { stage: Some(self.1), holds_back: true, ..Meta::new(self.0, Stability::Stable) }
    }

    fn build(&self, config: &HoldConfig, environment: Environment) -> Result<Processor, Error> {
        let pipelines: Vec<&str> = environment.pipelines.iter().map(|pipeline| pipeline.as_str()).collect();
        self.2.built.lock().unwrap().push(format!("{} {}", environment.id, pipelines.join(" ")));
        let ports = pipelines.len();
        Ok(Processor::Stage(Box::new(Hold { held: Vec::new(), stubborn: config.stubborn, ports })))
    }
}

/// Says how many items it has seen, in as many names: a connector that keeps state.
struct TallyFactory;

struct Tally(usize);

impl Stage for Tally {
    fn absorb(&mut self, _port: Port, input: &Entry, _now: WallTime, out: &mut StageOutput) {
        self.0 += input.batch().items();
        // What it read ends here.
        out.drop_items(input.batch().signal(), sluice_pipeline::ledger::reasons::DEDUP, input.batch().items());
        let bytes = request(&[&format!("seen {}", self.0)]);
        out.create_items(1);
        let batch = Batch::new(sluice_pdata::Signal::Logs, bytes.into(), 1, Arc::clone(input.batch().context()));
        out.emit(Port(0), batch);
    }

    fn tick(&mut self, _now: WallTime, _out: &mut StageOutput) {}

    fn next_deadline(&self) -> Option<WallTime> {
        None
    }

    fn low_watermark(&self) -> Option<Seq> {
        None
    }

    fn held(&self) -> Held {
        Held::default()
    }

    fn drain(&mut self, _now: WallTime, _out: &mut StageOutput) {}

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Factory<Connectors> for TallyFactory {
    type Config = NoConfig;

    fn meta(&self) -> Meta {
        use sluice_pdata::Signal::{Logs, Traces};
        Meta { stage: Some(Instances::PerPipeline), pairs: &[(Traces, Logs)], ..Meta::new("tally", Stability::Stable) }
    }

    fn build(&self, _config: &NoConfig, _environment: (Environment, Between)) -> Result<Connector, Error> {
        Ok(Connector::Stage(Box::new(Tally(0))))
    }
}

/// Passes on to every pipeline of the same signal.
struct PassFactory;

struct Pass(usize);

impl InlineConnector for Pass {
    fn route(&self, batch: &Batch) -> Result<Routed, Refusal> {
        let outputs = (0..self.0).map(|target| (target, batch.clone())).collect();
        Ok(Routed { outputs, dropped: Vec::new(), created: batch.items() * self.0.saturating_sub(1) })
    }
}

impl Factory<Connectors> for PassFactory {
    type Config = NoConfig;

    fn meta(&self) -> Meta {
        use sluice_pdata::Signal::{Logs, Traces};
        Meta { pairs: &[(Traces, Traces), (Logs, Logs)], ..Meta::new("pass", Stability::Stable) }
    }

    fn build(&self, _config: &NoConfig, environment: (Environment, Between)) -> Result<Connector, Error> {
        Ok(Connector::Inline(Arc::new(Pass(environment.1.targets.len()))))
    }
}
