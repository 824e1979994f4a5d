//! Who there is, and what has been made so far.

use sluice_pdata::msg::NewValue;
use sluice_pdata::tags::resource;
use sluice_pdata::wire::put_message;

use super::context::Context;
use super::topology::{SERVICES, Service, ServiceId};
use crate::encode::{Attributes, Item, Log, Scope, resource_payload};
use crate::random::Random;
use crate::secrets::{Place, Planted, secret};
use crate::settings::{Nanos, Sampling};
use crate::truth::{LogKind, LogTruth, Truth};

/// A process of a service.
#[derive(Debug)]
pub(crate) struct Instance {
    pub service: &'static Service,
    /// `service.instance.id`.
    pub id: String,
    /// The payload of its `Resource`.
    pub resource: Vec<u8>,
    /// How far its clock is off.
    pub skew: i64,
}

/// Settings of the walk, the instances, and the truth.
#[derive(Debug)]
pub(crate) struct World {
    pub epoch: u64,
    pub sampling: Sampling,
    pub pathologies: f64,
    pub secrets: f64,
    /// Share of customers' requests that fail, instead of what each operation has for itself.
    pub error_ratio: Option<f64>,
    per_service: usize,
    pub instances: Vec<Instance>,
    pub random: Random,
    pub truth: Truth,
}

/// Who is meant by the clocks of instances, and how many there are.
pub(crate) struct Population<'a> {
    pub per_service: u16,
    pub skew: Nanos,
    /// All services carry this name instead of theirs.
    pub name: Option<&'a str>,
    /// Further attributes of their resources.
    pub attributes: &'a [(String, String)],
}

impl World {
    pub fn new(seed: u64, population: &Population<'_>) -> Self {
        let mut random = Random::new(seed);
        let mut of_instances = random.fork();
        let mut instances = Vec::new();
        for service in &SERVICES {
            for number in 0..population.per_service {
                instances.push(instance(&mut of_instances, service, number, population));
            }
        }
        World {
            epoch: 0,
            sampling: Sampling::default(),
            pathologies: 0.0,
            secrets: 0.0,
            error_ratio: None,
            per_service: usize::from(population.per_service),
            instances,
            random,
            truth: Truth::default(),
        }
    }

    /// Any instance of a service.
    pub fn any(&mut self, service: ServiceId) -> usize {
        service * self.per_service + self.random.below(self.per_service as u64) as usize
    }

    /// How often an operation fails of itself, or something that it needs outside of the shop.
    pub fn error_rate(&self, own: f64, is_root: bool) -> f64 {
        match self.error_ratio {
            None => own,
            Some(ratio) if is_root => ratio,
            Some(_) => 0.0,
        }
    }

    /// What the clock of an instance shows, in Unix nanoseconds.
    pub fn stamp(&self, instance: usize, at: Nanos) -> u64 {
        (self.epoch + at).saturating_add_signed(self.instances[instance].skew)
    }

    /// Perhaps plants a secret, and says so.
    pub fn plant(&mut self, place: Place, trace_id: &[u8]) -> Option<String> {
        if !self.random.chance(self.secrets) {
            return None;
        }
        let (kind, value) = secret(&mut self.random);
        self.truth.planted.push(Planted { kind, value: value.clone(), place, trace_id: trace_id.to_vec() });
        Some(value)
    }

    /// Makes a log record known; the number that its attribute `log.record.uid` gets.
    pub fn register_log(&mut self, kind: LogKind, span: Option<u32>, emitted: Nanos) -> u32 {
        self.truth.logs.push(LogTruth { kind, span, emitted, at: None });
        (self.truth.logs.len() - 1) as u32
    }

    /// A log without a trace behind it: of nothing in particular, or of a span that nobody exports.
    pub fn background_log(&mut self, instance: usize, at: Nanos) -> (u32, Item) {
        let orphan = self.random.chance(0.15);
        let kind = if orphan { LogKind::Orphan } else { LogKind::NoContext };
        let number = self.register_log(kind, None, at);
        let stamp = self.stamp(instance, at);
        let fills_flags = self.instances[instance].service.fills_log_flags;
        let body = *self.random.pick(&["cache refreshed", "connection pool resized", "configuration reloaded"]);
        let log = Log {
            time: stamp,
            observed: stamp,
            severity: crate::encode::Severity::Info,
            body: body.to_owned(),
            attributes: vec![uid(number), ("code.function.name", "shop.housekeeping".into())],
            trace_id: if orphan { self.random.trace_id().to_vec() } else { Vec::new() },
            span_id: if orphan { self.random.span_id().to_vec() } else { Vec::new() },
            flags: u32::from(orphan && fills_flags),
        };
        (number, Item { scope: Scope::App, payload: log.payload() })
    }

    /// The ids that a broken log carries in place of its context.
    pub fn broken_ids(&mut self, context: &Context, span: [u8; 8]) -> (Vec<u8>, Vec<u8>) {
        let other = self.random.trace_id().to_vec();
        match self.random.below(6) {
            // Of the trace, but of no span.
            0 => (context.id.to_vec(), Vec::new()),
            1 => (context.id.to_vec(), vec![0; 8]),
            2 => (vec![0; 16], vec![0; 8]),
            // Half a trace id, as from 64-bit tracers.
            3 => (context.id[8..].to_vec(), span.to_vec()),
            4 => (context.id.to_vec(), span[..4].to_vec()),
            // The span id of one trace with the id of another.
            _ => (other, span.to_vec()),
        }
    }
}

/// The attribute by which the truth knows a log record.
pub(crate) fn uid(number: u32) -> (&'static str, crate::encode::Value) {
    (crate::UID, format!("{number:016x}").into())
}

fn instance(random: &mut Random, service: &'static Service, number: u16, population: &Population<'_>) -> Instance {
    let (high, low) = (random.bits(), random.bits());
    let id = format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        0x8000 | low >> 48 & 0x3fff,
        low & 0xffff_ffff_ffff
    );
    let of: Attributes = vec![
        ("service.name", population.name.unwrap_or(service.name).into()),
        ("service.namespace", "shop".into()),
        ("service.version", service.version.into()),
        ("service.instance.id", id.as_str().into()),
        ("deployment.environment.name", "production".into()),
        ("host.name", format!("node-{}.eu-west.example.net", random.below(12)).into()),
        ("k8s.pod.name", format!("{}-{:05x}-{number}", service.name, high & 0xf_ffff).into()),
        ("telemetry.sdk.name", "opentelemetry".into()),
        ("telemetry.sdk.language", service.language.into()),
        ("telemetry.sdk.version", "1.38.0".into()),
    ];
    let mut resource = resource_payload(&of);
    for (key, value) in population.attributes {
        let value = NewValue::Str(value.as_bytes());
        put_message(&mut resource, resource::ATTRIBUTES, |out| value.write_pair(key.as_bytes(), out));
    }
    let skew = ((random.unit() * 2.0 - 1.0) * population.skew as f64) as i64;
    Instance { service, id, resource, skew }
}
