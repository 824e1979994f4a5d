//! `target_info`: what is known about a target besides its name, as a series of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ahash::RandomState;
use sluice_pdata::view::{ResourceView, text};

use super::Malformed;
use super::context::{FixedLabels, IDENTIFYING, has_descriptive};
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
    pub(super) target: String,
    pub(super) labels: Vec<(String, String)>,
}

/// The `target_info` labels of a resource, if it has any to tell and is a target.
pub(super) fn labels(resource: ResourceView<'_>, options: &Options) -> Result<Option<InfoLabels>, Malformed> {
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
pub(super) fn times(earliest: i64, latest: i64) -> impl Iterator<Item = i64> {
    let skipped = ((latest - earliest) / STEP_MS - MAX_STEPS).max(0);
    let mut next = Some(earliest + skipped * STEP_MS);
    std::iter::from_fn(move || {
        let now = next?;
        next = (now < latest).then(|| (now + STEP_MS).min(latest));
        Some(now)
    })
}

/// The labels each target had last, so that a series that ends can be marked. Clones share them.
#[derive(Clone, Default)]
pub struct Targets(Arc<Mutex<Generations>>);

/// A target's last labels.
struct Last {
    labels: Box<[(String, String)]>,
    latest: i64,
}

/// Two maps make a rough least-recently-used: when the young one is full, the old one goes.
#[derive(Default)]
struct Generations {
    young: HashMap<Box<str>, Last, RandomState>,
    old: HashMap<Box<str>, Last, RandomState>,
}

impl Targets {
    /// Notes the labels of a target for data up to `latest`. Returns its former labels if these are newer and differ.
    pub(super) fn note(&self, info: &InfoLabels, latest: i64) -> Option<Box<[(String, String)]>> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Generations { young, old } = &mut *generations;
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

impl Last {
    fn change(&mut self, info: &InfoLabels, latest: i64) -> Option<Box<[(String, String)]>> {
        if latest <= self.latest {
            return None;
        }
        self.latest = latest;
        if *self.labels == *info.labels {
            return None;
        }
        Some(std::mem::replace(&mut self.labels, info.labels.as_slice().into()))
    }
}
