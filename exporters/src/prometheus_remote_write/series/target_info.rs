//! `target_info`: what is known about a target besides its name, as a series of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ahash::RandomState;
use sluice_pdata::view::{ResourceView, text};

use super::context::{FixedLabels, IDENTIFYING, has_descriptive};
use super::walk::Converter;
use super::{Malformed, STALE};
use crate::prometheus_remote_write::encode::{Encoder, Exemplars, MetricType, Stamp, Value};
use crate::prometheus_remote_write::translate::{Options, value::value_text};

/// Milliseconds between samples: half of the time that Prometheus looks back.
const STEP_MS: i64 = 150_000;
/// Samples for one resource in one payload; if its data spans more, the earliest are left out.
const MAX_STEPS: i64 = 1000;
/// Targets whose last labels are remembered.
pub const MAX_TARGETS: usize = 100_000;

/// The labels of a `target_info` series: sorted, `__name__` included, none empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InfoLabels {
    target: String,
    labels: Vec<(String, String)>,
}

/// Of the resources seen last, by their bytes, what they tell.
pub(super) type Infos = HashMap<Box<[u8]>, Option<Arc<InfoLabels>>, RandomState>;

/// The `target_info` labels of a resource, if it has any to tell and is a target.
fn labels(resource: ResourceView<'_>, options: &Options) -> Result<Option<InfoLabels>, Malformed> {
    if !has_descriptive(resource.attributes())? {
        return Ok(None);
    }
    let namer = options.label_namer();
    let mut pairs = Vec::new();
    for pair in resource.attributes().iter() {
        let pair = pair?;
        let identifying = IDENTIFYING.contains(&pair.key()) && !options.keep_identifying_resource_attributes;
        if !identifying && pair.key() != b"__name__" {
            pairs.push(pair);
        }
    }
    pairs.sort_by_key(|pair| pair.key());
    let mut merged = FixedLabels::default();
    let mut scratch = Vec::new();
    for pair in pairs {
        let Some(name) = namer.build(&text(pair.key())) else { continue };
        merged.join(&name, &text(value_text(pair.value()?, &mut scratch)));
    }
    merged.identify(resource)?;
    merged.add_external(options);
    merged.set("__name__", options.metric_namer().target_info());
    let mut labels: Vec<_> = merged.0.into_iter().map(|label| (label.name, label.value)).collect();
    labels.retain(|(_, value)| !value.is_empty());
    labels.sort();
    let value = |name: &str| labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let target = match (value("job"), value("instance")) {
        (None, None) => return Ok(None),
        (job, instance) => format!("{}\0{}", job.unwrap_or(""), instance.unwrap_or("")),
    };
    Ok(Some(InfoLabels { target, labels }))
}

/// The times at which the series gets samples: in steps from the first to the last data point, and at the last.
fn times(earliest: i64, latest: i64) -> impl Iterator<Item = i64> {
    let skipped = ((latest - earliest) / STEP_MS - MAX_STEPS).max(0);
    let mut next = Some(earliest + skipped * STEP_MS);
    std::iter::from_fn(move || {
        let now = next?;
        next = (now < latest).then(|| (now + STEP_MS).min(latest));
        Some(now)
    })
}

impl<E: Encoder> Converter<E> {
    /// Writes the samples of a resource whose data points lie between two times.
    pub(super) fn target_info(&mut self, resource: ResourceView<'_>, (earliest, latest): (i64, i64)) {
        let info = match self.infos.get(resource.0) {
            Some(known) => known.clone(),
            None => {
                let Ok(info) = labels(resource, &self.options) else { return };
                let info = info.map(Arc::new);
                self.infos.insert(resource.0.into(), info.clone());
                info
            }
        };
        let Some(info) = info else { return };
        if self.options.stale_on_change
            && let Some(former) = self.targets.note(&info, latest)
        {
            let hash = self.hasher.hash_one(&*former.labels);
            // Behind its last sample, even where the new data reaches further back.
            let time = earliest.max(former.latest + 1);
            self.targets.advance(&former.labels, time);
            self.info_sample(&former.labels, hash, time, f64::from_bits(STALE));
        }
        let hash = self.hasher.hash_one(&info.labels);
        for time in times(earliest, latest) {
            // Several resources may tell of one target, each at times of its own: an application, and what is made of its spans.
            // An older sample would tell nothing new, and Prometheus would refuse it.
            if self.targets.advance(&info.labels, time) {
                self.info_sample(&info.labels, hash, time, 1.0);
            }
        }
    }

    fn info_sample(&mut self, labels: &[(String, String)], hash: u64, time: i64, value: f64) {
        if !self.told.insert((hash, time)) {
            return;
        }
        let size: usize = labels.iter().map(|(name, value)| name.len() + value.len() + 16).sum();
        if self.requests.room(1, 2 * size).is_none() {
            self.requests.close();
        }
        let encoder = &mut self.requests.encoder;
        let (pieces, name) = (&mut self.scratch.value, &mut self.scratch.name);
        pieces.clear();
        for (label, value) in labels {
            name.clear();
            encoder.name(label, name);
            encoder.label(name, value.as_bytes(), pieces);
        }
        self.metadata_epoch = 0;
        self.metadata.clear();
        encoder.metadata(MetricType::Gauge, b"Target metadata", "", &mut self.metadata);
        let stamp = Stamp::new(time, 0);
        encoder.series(&[pieces], Value::Sample(value), &stamp, Exemplars::default(), &self.metadata);
    }
}

/// The labels each target had last, so that a series that ends can be marked; and how far each series has been told. Clones share
/// them.
#[derive(Clone, Default)]
pub struct Targets(Arc<Mutex<Generations>>);

/// A target's last labels, and the time of its last data.
struct Last {
    labels: Box<[(String, String)]>,
    latest: i64,
}

/// Two maps make a rough least-recently-used: when the young one is full, the old one goes.
#[derive(Default)]
struct Generations {
    young: HashMap<Box<str>, Last, RandomState>,
    old: HashMap<Box<str>, Last, RandomState>,
    /// The newest sample of each series, by the hash of its labels.
    told: [HashMap<u64, i64, RandomState>; 2],
    hasher: RandomState,
}

impl Targets {
    /// Notes the labels of a target for data up to `latest`. Returns its former ones if these are newer and differ.
    fn note(&self, info: &InfoLabels, latest: i64) -> Option<Last> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Generations { young, old, .. } = &mut *generations;
        if let Some(last) = young.get_mut(info.target.as_str()) {
            return last.change(info, latest);
        }
        let (key, mut last, changed) = match old.remove_entry(info.target.as_str()) {
            Some((key, last)) => (key, last, true),
            None => (info.target.as_str().into(), Last { labels: info.labels.as_slice().into(), latest }, false),
        };
        let former = changed.then(|| last.change(info, latest)).flatten();
        if young.len() >= MAX_TARGETS / 2 {
            *old = std::mem::take(young);
        }
        young.insert(key, last);
        former
    }
}

impl Targets {
    /// Notes a sample of a series. `false` if a newer one has been told: then it is not to be sent.
    fn advance(&self, labels: &[(String, String)], time: i64) -> bool {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Generations { told: [young, old], hasher, .. } = &mut *generations;
        let series = hasher.hash_one(labels);
        let last = match young.get_mut(&series) {
            Some(last) => last,
            None => {
                let last = old.remove(&series).unwrap_or(time);
                if young.len() >= MAX_TARGETS / 2 {
                    *old = std::mem::take(young);
                }
                young.entry(series).or_insert(last)
            }
        };
        let is_new = time >= *last;
        *last = time.max(*last);
        is_new
    }
}

impl Last {
    fn change(&mut self, info: &InfoLabels, latest: i64) -> Option<Last> {
        if latest <= self.latest {
            return None;
        }
        let ended = std::mem::replace(&mut self.latest, latest);
        if *self.labels == *info.labels {
            return None;
        }
        let labels = std::mem::replace(&mut self.labels, info.labels.as_slice().into());
        Some(Last { labels, latest: ended })
    }
}
