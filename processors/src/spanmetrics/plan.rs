//! What a config asks for, compiled: which metrics share series, and what a series consists of.

use std::sync::Arc;

use super::config::{Config, Unit};
use super::dimension::{COLLECTOR_INSTANCE_ID, DimensionSet, Kept, Slots, text_pair};
use super::explicit::Explicit;
use super::exponential::Exponential;
use super::series::{Durations, HARD_CAP, Limits};

/// Metrics that have the same dimensions, and so share series: one look-up a span serves them all.
#[derive(Debug)]
pub struct Family {
    pub calls: bool,
    pub duration: bool,
    pub events: bool,
    pub dimensions: DimensionSet,
}

/// How durations are measured.
#[derive(Clone, Debug)]
pub enum Buckets {
    Explicit(Arc<[f64]>),
    Exponential(usize),
}

/// A compiled config.
#[derive(Debug)]
pub struct Plan {
    pub slots: Slots,
    /// At most three.
    pub families: Vec<Family>,
    pub kept: Kept,
    /// `collector.instance.id`.
    pub instance: Box<[u8]>,
    pub scopes: Vec<Box<[u8]>>,
    pub key_attributes: Vec<Box<[u8]>>,
    pub sampling_method: bool,
    pub unit: Unit,
    pub buckets: Buckets,
    /// Exemplars of a point, if there are to be any.
    pub exemplars: Option<usize>,
    pub limits: Limits,
    pub delta: bool,
    pub events: bool,
}

impl Plan {
    /// Compiles a valid config. `instance` is the value of `collector.instance.id`.
    pub fn new(config: &Config, instance: &str) -> Self {
        let mut slots = Slots::default();
        let mut families = Vec::new();
        let duration = !config.histogram.disable;
        let shared = config.calls_dimensions == config.histogram.dimensions;
        let calls = DimensionSet::new(&config.dimensions, &config.calls_dimensions, &mut slots);
        families.push(Family { calls: true, duration: duration && shared, events: false, dimensions: calls });
        if duration && !shared {
            let dimensions = DimensionSet::new(&config.dimensions, &config.histogram.dimensions, &mut slots);
            families.push(Family { calls: false, duration: true, events: false, dimensions });
        }
        if config.events.enabled {
            let dimensions = DimensionSet::new(&config.dimensions, &config.events.dimensions, &mut slots);
            families.push(Family { calls: false, duration: false, events: true, dimensions });
        }
        let names = |list: &[String]| list.iter().map(|name| name.as_bytes().into()).collect();
        let per_resource = usize::try_from(config.aggregation_cardinality_limit).unwrap_or(0);
        Plan {
            slots,
            families,
            kept: Kept::new(config),
            instance: text_pair(COLLECTOR_INSTANCE_ID, instance.as_bytes()),
            scopes: names(&config.include_instrumentation_scope),
            key_attributes: names(&config.resource_metrics_key_attributes),
            sampling_method: config.enable_metrics_sampling_method,
            unit: config.histogram.unit,
            buckets: match &config.histogram.exponential {
                Some(exponential) => Buckets::Exponential(exponential.size()),
                None => Buckets::Explicit(config.bounds().into()),
            },
            exemplars: config
                .exemplars
                .enabled
                .then(|| usize::try_from(config.exemplars.max_per_data_point).unwrap_or(0))
                .filter(|most| *most > 0),
            limits: Limits { per_resource, all: per_resource.max(HARD_CAP) },
            delta: config.is_delta(),
            events: config.events.enabled,
        }
    }

    /// The durations of a new series of a family.
    pub fn durations(&self, family: usize) -> Durations {
        match &self.buckets {
            _ if !self.families.get(family).is_some_and(|family| family.duration) => Durations::None,
            Buckets::Explicit(bounds) => Durations::Explicit(Explicit::new(bounds.len())),
            Buckets::Exponential(size) => Durations::Exponential(Exponential::new(*size)),
        }
    }
}
