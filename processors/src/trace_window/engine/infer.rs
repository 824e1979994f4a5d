//! Exemplars that nobody sent (correlation §8): in place of those whose trace was dropped, and on demand for histograms without any.
//! Only where metric and span measure the same thing, by the same resource, with the same attributes, in the same interval and bucket;
//! and each is marked as inferred.

use sluice_pdata::Error;
use sluice_pdata::msg::NewValue;
use sluice_pdata::tags::{exemplar, histogram_data_point, span};
use sluice_pdata::view::{ExemplarView, HistogramDataPointView, Messages, NumberValue, ResourceView, SpanView};
use sluice_pdata::wire::{put_fixed64, put_len, put_message};

use super::Engine;
use super::absorb::{inner, text};
use super::spans::ids;
use crate::trace_window::candidates::{Candidate, Point};
use crate::trace_window::exemplar::{Exemplar, Judged};
use crate::trace_window::outbox::Base;
use crate::trace_window::statistics::{ExemplarOutcome, Outcome};
use crate::trace_window::verdict_cache::TraceKey;

/// Kinds of spans.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;

/// A metric of durations that spans measure too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Durations {
    kind: u8,
    /// Nanoseconds of the metric's unit.
    unit: f64,
}

impl Durations {
    /// By name and unit of the metric.
    pub(super) fn of(name: &[u8], unit: &[u8]) -> Option<Self> {
        let kind = match name {
            b"http.server.request.duration" => SERVER,
            b"http.client.request.duration" | b"db.client.operation.duration" => CLIENT,
            _ if name.starts_with(b"rpc.server.") && name.ends_with(b".duration") => SERVER,
            _ if name.starts_with(b"rpc.client.") && name.ends_with(b".duration") => CLIENT,
            _ => return None,
        };
        let unit = match unit {
            b"s" => 1e9,
            b"ms" => 1e6,
            _ => return None,
        };
        Some(Durations { kind, unit })
    }
}

/// A histogram point on its way, and what happened to its exemplars.
pub(super) struct Passing<'a> {
    pub(super) point: &'a [u8],
    pub(super) series: u64,
    pub(super) identity: u64,
    pub(super) durations: Durations,
    pub(super) delta: bool,
    /// Those of its own that were removed.
    pub(super) removed: &'a [f64],
    /// It came without any, and none goes with it.
    pub(super) bare: bool,
}

impl Engine {
    pub(super) fn infers(&self) -> bool {
        self.decides() || self.settings.exemplars.synthesize
    }

    /// For each source: its service, and by how much its spans' ends lie behind their arrival, in seconds.
    pub fn skew_by_service(&self) -> impl Iterator<Item = (String, f64)> + '_ {
        self.sources.iter().filter_map(|source| {
            let service = String::from_utf8_lossy(self.symbols.text(source.service)).into_owned();
            Some((if service.is_empty() { "unknown".to_owned() } else { service }, source.skew?))
        })
    }

    /// By what a resource is the same for metrics and spans.
    pub(super) fn identity(&self, tenant: u16, resource: &[u8]) -> u64 {
        let attributes = ResourceView(resource).attributes();
        let [namespace, name, instance] =
            [&b"service.namespace"[..], b"service.name", b"service.instance.id"].map(|key| text(attributes, key));
        if instance.is_empty() {
            return self.hasher.hash_one((tenant, resource));
        }
        self.hasher.hash_one((tenant, namespace, name, instance))
    }

    /// A span leaves, of a trace that is kept.
    pub(super) fn offer(&mut self, origin: u32, base: Base, input: &[u8], outcome: Outcome) {
        if !matches!(outcome, Outcome::Kept | Outcome::LateKept | Outcome::Released) {
            return;
        }
        let origin = self.origins.get(origin);
        let bytes = match base {
            Base::Input(..) => input,
            Base::Segment(place) => self.payload.get(place),
            Base::Arena(at, len) => &self.outbox.arena[at..at + len],
        };
        let (Ok(view), Ok(resource)) = (SpanView::parse(bytes), inner(origin.envelopes().resource)) else { return };
        let Some((id, span)) = ids(view.trace_id, view.span_id) else { return };
        let (start, end) = (view.start_time_unix_nano, view.end_time_unix_nano);
        let tenant = self.origins.context_of(origin).and_then(|context| self.origins.known_tenant(&context.tenant));
        let (Some(tenant), Some(duration_ns)) = (tenant, end.checked_sub(start)) else { return };
        let error = view.status().ok().flatten().is_some_and(|status| status.code == 2);
        let measured = (self.identity(tenant, resource), u8::try_from(view.kind).unwrap_or(0));
        let candidate = Candidate { trace: TraceKey { tenant, id }, span, end, duration_ns, error };
        let has = |pair: &[u8]| Messages::new(bytes, span::ATTRIBUTES).any(|own| own == Ok(pair));
        self.exemplars.candidates.offer(measured, has, candidate);
    }

    /// The exemplars that go with a point beside those it has, with their times.
    pub(super) fn infer(&mut self, passing: &Passing<'_>) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let view = HistogramDataPointView::parse(passing.point)?;
        let counts = view.bucket_counts().collect::<Result<Vec<_>, _>>()?;
        let bounds = view.explicit_bounds().collect::<Result<Vec<_>, _>>()?;
        if counts.len() != bounds.len() + 1 {
            return Ok(Vec::new());
        }
        let (series, unit, to) = (passing.series, passing.durations.unit, view.time_unix_nano);
        let measured = (passing.identity, passing.durations.kind);
        let point = Point { start: view.start_time_unix_nano, time: to, counts: &counts, delta: passing.delta };
        let attributes = Messages::new(passing.point, histogram_data_point::ATTRIBUTES).filter_map(Result::ok);
        let now = self.time.tick();
        let added = self.exemplars.candidates.point(series, measured, attributes, &point, now);
        let Some(added) = added else { return Ok(Vec::new()) };
        let synthesizes = passing.bare && self.settings.exemplars.synthesize;
        let mut found = Vec::new();
        for (at, count) in added.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let low = at.checked_sub(1).map_or(f64::NEG_INFINITY, |below| bounds[below]);
            let high = bounds.get(at).copied().unwrap_or(f64::INFINITY);
            let removed = passing.removed.iter().filter(|value| low < **value && **value <= high).count();
            if removed == 0 && !synthesizes || *count == 0 {
                continue;
            }
            let is_kept = |trace| self.judge_exemplar(trace) == Judged::Keep;
            let best = self.exemplars.candidates.best(series, (low * unit, high * unit), (added.from, to), is_kept);
            let Some(best) = best else { continue };
            found.push((best.end, write(&best, unit)));
            let outcome = if removed > 0 { ExemplarOutcome::Replaced } else { ExemplarOutcome::Synthesized };
            self.statistics.exemplars[outcome as usize] += 1;
            if removed > 0 {
                let removed = &mut self.statistics.exemplars[ExemplarOutcome::Removed as usize];
                *removed = removed.saturating_sub(1);
            }
        }
        self.exemplars.candidates.passed(series, to);
        Ok(found)
    }

    /// The values of those exemplars whose trace was dropped.
    pub(super) fn removed_values(&self, own: &[Exemplar]) -> Vec<f64> {
        let removed = own.iter().filter(|it| self.judge_exemplar(it.trace) == Judged::Remove);
        let value = |it: &Exemplar| match ExemplarView::parse(&it.bytes).and_then(|view| view.value()) {
            Ok(NumberValue::Double(value)) => Some(value),
            Ok(NumberValue::Int(value)) => Some(value as f64),
            _ => None,
        };
        removed.filter_map(value).collect()
    }
}

fn write(candidate: &Candidate, unit: f64) -> Vec<u8> {
    let mut out = Vec::new();
    put_fixed64(&mut out, exemplar::TIME_UNIX_NANO, candidate.end);
    put_fixed64(&mut out, exemplar::AS_DOUBLE, (candidate.duration_ns as f64 / unit).to_bits());
    put_len(&mut out, exemplar::SPAN_ID, &candidate.span);
    put_len(&mut out, exemplar::TRACE_ID, &candidate.trace.id);
    put_message(&mut out, exemplar::FILTERED_ATTRIBUTES, |out| {
        NewValue::Bool(true).write_pair(b"exemplar.inferred", out);
    });
    out
}
