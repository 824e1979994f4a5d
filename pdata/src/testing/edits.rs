//! Random chains of simple steps, written once for the pass and once, plainly, for the generated types.

use std::sync::Arc;

use super::rng::Rng;
use crate::error::Error;
use crate::msg::{Message, NewValue};
use crate::pass::{Cx, Hooks, Level, Step, Verdict};
use crate::signal::Signal;
use crate::tags;
use crate::view::attribute;
use crate::wire::{Value, fields};

/// One step of a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Edit {
    /// Drops items whose time is a multiple.
    DropItemsAt(u64),
    /// Drops items that have an attribute.
    DropItemsWith(&'static str),
    /// Drops items whose resource has an attribute.
    DropItemsOf(&'static str),
    /// Drops items whose scope has this name.
    DropItemsIn(&'static str),
    /// Drops data points whose metric has this name.
    DropPointsOf(&'static str),
    SetItemAttribute(&'static str, i64),
    RemoveItemAttribute(&'static str),
    /// Drops resources that have an attribute.
    DropResourcesWith(&'static str),
    SetResourceAttribute(&'static str, &'static str),
    RemoveResourceAttribute(&'static str),
    SetResourceSchemaUrl(&'static str),
    /// Drops scopes of this name.
    DropScopes(&'static str),
    SetScopeName(&'static str),
    SetScopeSchemaUrl(&'static str),
    /// Drops metrics of this name.
    DropMetrics(&'static str),
    SetMetricName(&'static str),
    /// Makes sums and histograms delta.
    MakeDelta,
    /// Drops metrics with fewer data points.
    DropMetricsBelow(usize),
}

/// Names and keys of the generator, so that conditions meet what is drawn.
const KEYS: [&str; 6] = ["service.name", "http.route", "user.email", "", "k8s.pod.name", "session.id"];
const NAMES: [&str; 5] = ["GET /api", "checkout", "io.example.instrumentation", "", "set by a step"];
const METRICS: [&str; 4] = ["http.server.request.duration", "requests_total", "", "set by a step"];

impl Edit {
    /// A random step.
    pub fn random(rng: &mut Rng) -> Self {
        match rng.below(18) {
            0 => Edit::DropItemsAt(2 + rng.below(3) as u64),
            1 => Edit::DropItemsWith(rng.pick(&KEYS)),
            2 => Edit::DropItemsOf(rng.pick(&KEYS)),
            3 => Edit::DropItemsIn(rng.pick(&NAMES)),
            4 => Edit::DropPointsOf(rng.pick(&METRICS)),
            5 => Edit::SetItemAttribute(rng.pick(&KEYS), rng.below(1000) as i64),
            6 => Edit::RemoveItemAttribute(rng.pick(&KEYS)),
            7 => Edit::DropResourcesWith(rng.pick(&KEYS)),
            8 => Edit::SetResourceAttribute(rng.pick(&KEYS), rng.pick(&NAMES)),
            9 => Edit::RemoveResourceAttribute(rng.pick(&KEYS)),
            10 => Edit::SetResourceSchemaUrl(rng.pick(&NAMES)),
            11 => Edit::DropScopes(rng.pick(&NAMES)),
            12 => Edit::SetScopeName(rng.pick(&NAMES)),
            13 => Edit::SetScopeSchemaUrl(rng.pick(&NAMES)),
            14 => Edit::DropMetrics(rng.pick(&METRICS)),
            15 => Edit::SetMetricName(rng.pick(&METRICS)),
            16 => Edit::MakeDelta,
            _ => Edit::DropMetricsBelow(1 + rng.below(3)),
        }
    }

    /// One to five random steps.
    pub fn chain(rng: &mut Rng) -> Vec<Edit> {
        (0..=rng.below(5)).map(|_| Edit::random(rng)).collect()
    }

    /// The steps of a chain, for [`crate::pass::Chain::new`].
    pub fn steps(chain: &[Edit]) -> Vec<Arc<dyn Step<()>>> {
        chain.iter().map(|edit| Arc::new(*edit) as Arc<dyn Step<()>>).collect()
    }

    fn level(self) -> Level {
        match self {
            Edit::DropItemsAt(_)
            | Edit::DropItemsWith(_)
            | Edit::DropItemsOf(_)
            | Edit::DropItemsIn(_)
            | Edit::DropPointsOf(_)
            | Edit::SetItemAttribute(..)
            | Edit::RemoveItemAttribute(_) => Level::Item,
            Edit::DropResourcesWith(_)
            | Edit::SetResourceAttribute(..)
            | Edit::RemoveResourceAttribute(_)
            | Edit::SetResourceSchemaUrl(_) => Level::Resource,
            Edit::DropScopes(_) | Edit::SetScopeName(_) | Edit::SetScopeSchemaUrl(_) => Level::Scope,
            Edit::DropMetrics(_) | Edit::SetMetricName(_) | Edit::MakeDelta | Edit::DropMetricsBelow(_) => {
                Level::Metric
            }
        }
    }
}

/// The field of an item that holds its attributes, and the one that holds its time.
fn item_fields(signal: Signal, kind: Option<u32>) -> (u32, u32) {
    match (signal, kind) {
        (Signal::Traces, _) => (tags::span::ATTRIBUTES, tags::span::START_TIME_UNIX_NANO),
        (Signal::Logs, _) => (tags::log_record::ATTRIBUTES, tags::log_record::TIME_UNIX_NANO),
        (_, Some(tags::metric::HISTOGRAM)) => {
            (tags::histogram_data_point::ATTRIBUTES, tags::histogram_data_point::TIME_UNIX_NANO)
        }
        (_, Some(tags::metric::EXPONENTIAL_HISTOGRAM)) => {
            (tags::exponential_histogram_data_point::ATTRIBUTES, tags::exponential_histogram_data_point::TIME_UNIX_NANO)
        }
        (_, Some(tags::metric::SUMMARY)) => {
            (tags::summary_data_point::ATTRIBUTES, tags::summary_data_point::TIME_UNIX_NANO)
        }
        _ => (tags::number_data_point::ATTRIBUTES, tags::number_data_point::TIME_UNIX_NANO),
    }
}

fn drop_if(condition: bool) -> Verdict {
    if condition { Verdict::Drop("filter") } else { Verdict::Keep }
}

/// The string in field `number`, as views read it.
fn last_string(message: &[u8], number: u32) -> Result<&[u8], Error> {
    let mut found: &[u8] = &[];
    for field in fields(message) {
        let field = field?;
        if let (true, Value::Len(text)) = (field.number == number, field.value) {
            found = text;
        }
    }
    Ok(found)
}

impl Step<()> for Edit {
    fn hooks(&self, _: Signal) -> Hooks {
        let level = self.level();
        Hooks {
            resource: level == Level::Resource,
            scope: level == Level::Scope,
            metric: level == Level::Metric,
            item: level == Level::Item,
            changes: Some(level),
            observes: matches!(self, Edit::DropMetricsBelow(_)).then_some(Level::Metric),
        }
    }

    fn resource(
        &self,
        _: &mut Cx<'_, ()>,
        resource: &mut Message<'_>,
        envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        let attributes = tags::resource::ATTRIBUTES;
        match *self {
            Edit::DropResourcesWith(key) => {
                return Ok(drop_if(attribute(resource.bytes(), attributes, key.as_bytes())?.is_some()));
            }
            Edit::SetResourceAttribute(key, value) => {
                resource.attributes(attributes).set(key.as_bytes(), NewValue::Str(value.as_bytes()))?;
            }
            Edit::RemoveResourceAttribute(key) => {
                resource.attributes(attributes).remove(key.as_bytes())?;
            }
            Edit::SetResourceSchemaUrl(url) => envelope.set_len(tags::resource_spans::SCHEMA_URL, url.as_bytes())?,
            _ => {}
        }
        Ok(Verdict::Keep)
    }

    fn scope(&self, _: &mut Cx<'_, ()>, scope: &mut Message<'_>, envelope: &mut Message<'_>) -> Result<Verdict, Error> {
        match *self {
            Edit::DropScopes(name) => {
                scope.index()?;
                return Ok(drop_if(scope.len_field(tags::scope::NAME).unwrap_or_default() == name.as_bytes()));
            }
            Edit::SetScopeName(name) => scope.set_len(tags::scope::NAME, name.as_bytes())?,
            Edit::SetScopeSchemaUrl(url) => envelope.set_len(tags::scope_spans::SCHEMA_URL, url.as_bytes())?,
            _ => {}
        }
        Ok(Verdict::Keep)
    }

    fn metric(
        &self,
        _: &mut Cx<'_, ()>,
        metric: &mut Message<'_>,
        data: &mut Message<'_>,
        whole: &[u8],
    ) -> Result<Verdict, Error> {
        let (mut kind, mut points) = (0, 0);
        for field in fields(whole) {
            let field = field?;
            if let (5 | 7 | 9..=11, Value::Len(payload)) = (field.number, field.value) {
                kind = field.number;
                points = fields(payload).filter(|field| field.is_ok_and(|field| field.number == 1)).count();
            }
        }
        match *self {
            Edit::DropMetrics(name) => {
                metric.index()?;
                return Ok(drop_if(metric.len_field(tags::metric::NAME).unwrap_or_default() == name.as_bytes()));
            }
            Edit::DropMetricsBelow(least) => return Ok(drop_if(points < least)),
            Edit::SetMetricName(name) => metric.set_len(tags::metric::NAME, name.as_bytes())?,
            Edit::MakeDelta if matches!(kind, 7 | 9 | 10) => data.set_varint(tags::sum::AGGREGATION_TEMPORALITY, 1)?,
            _ => {}
        }
        Ok(Verdict::Keep)
    }

    fn item(&self, cx: &mut Cx<'_, ()>, item: &mut Message<'_>) -> Result<Verdict, Error> {
        let (attributes, time) = item_fields(cx.signal, cx.metric.map(|metric| metric.kind));
        match *self {
            Edit::DropItemsAt(multiple) => {
                item.index()?;
                return Ok(drop_if(item.fixed64(time).is_multiple_of(multiple)));
            }
            Edit::DropItemsWith(key) => return Ok(drop_if(item.attributes(attributes).contains(key.as_bytes())?)),
            Edit::DropItemsOf(key) => {
                let found = attribute(cx.resource, tags::resource::ATTRIBUTES, key.as_bytes())?;
                return Ok(drop_if(found.is_some()));
            }
            Edit::DropItemsIn(name) => {
                return Ok(drop_if(last_string(cx.scope, tags::scope::NAME)? == name.as_bytes()));
            }
            Edit::DropPointsOf(name) => {
                let Some(metric) = cx.metric else { return Ok(Verdict::Keep) };
                return Ok(drop_if(last_string(metric.fields, tags::metric::NAME)? == name.as_bytes()));
            }
            Edit::SetItemAttribute(key, value) => {
                item.attributes(attributes).set(key.as_bytes(), NewValue::Int(value))?;
            }
            Edit::RemoveItemAttribute(key) => {
                item.attributes(attributes).remove(key.as_bytes())?;
            }
            _ => {}
        }
        Ok(Verdict::Keep)
    }
}
