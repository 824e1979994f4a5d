//! From spans to totals.

use sluice_pdata::Error;
use sluice_pdata::tags::scope_spans;
use sluice_pdata::view::{AnyValueView, EventView, Messages, ResourceSpansView, ScopeSpansView, TracesView};
use sluice_pipeline::context::Tenant;

use super::dimension::{
    Found, Kept, Owners, SERVICE_NAME, SPAN_KIND, SPAN_NAME, STATUS_CODE, Seen, kind_name, put_absent, put_part,
    status_name, text_of, text_pair,
};
use super::exemplar::{Candidate, MAX_CANDIDATES};
use super::explicit::Explicit;
use super::exponential::octave;
use super::plan::{Buckets, Plan};
use super::resource::Resources;
use super::series::{Durations, Seed, Series, Table, put_pair};
use super::span::SpanFacts;
use super::weight::{Weight, Weights};

const SCOPE_NAME: &str = "span.instrumentation.scope.name";
const SCOPE_VERSION: &str = "span.instrumentation.scope.version";
const SAMPLING_METHOD: &str = "sampling.method";

/// What was noticed since it was last told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Spans that are in the totals.
    pub aggregated: usize,
    /// Spans of resources without `service.name`.
    pub without_service: usize,
    /// Spans that could not be read.
    pub malformed: usize,
    /// Spans of a resource for which there was no room, not even among the overflow.
    pub refused: usize,
    /// Spans, or events, that went to an overflow series.
    pub overflow: usize,
    /// Spans that ended before they started.
    pub negative: usize,
    /// Spans whose `th` is malformed or above the randomness.
    pub invalid_thresholds: usize,
}

/// All totals, and how they come about.
#[derive(Debug)]
pub struct Aggregate {
    pub plan: Plan,
    pub table: Table,
    pub resources: Resources,
    pub counts: Counts,
    /// Candidates of all series.
    pub candidates: usize,
    /// Whether new series may be remembered: not while memory is short.
    pub open: bool,
    key: Vec<u8>,
}

/// A span, and what surrounds it.
struct Place<'f, 'a> {
    service: &'f [u8],
    resource: u32,
    /// Name and version of the scope, if they are dimensions.
    scope: Option<(&'a [u8], &'a [u8])>,
    found: &'f Found<'a>,
    seen: &'f Seen<'a>,
    now: u64,
}

/// The attributes of an event.
struct EventPairs<'a> {
    found: Found<'a>,
    seen: Seen<'a>,
}

impl Aggregate {
    pub fn new(plan: Plan) -> Self {
        Aggregate {
            plan,
            table: Table::default(),
            resources: Resources::default(),
            counts: Counts::default(),
            candidates: 0,
            open: true,
            key: Vec::with_capacity(512),
        }
    }

    /// Takes in a request with that many spans. `now`: the stage's time, ns. What cannot be read is counted.
    pub fn absorb(&mut self, request: &[u8], items: usize, tenant: &Tenant, now: u64) {
        let before = self.counts;
        let mut weights = Weights::default();
        for resource in TracesView(request).resource_spans() {
            // An error ends the iteration; what it leaves unread is the rest below.
            let Ok(resource) = resource else { break };
            if self.resource_spans(resource, tenant, &mut weights, now).is_err() {
                // The spans of this resource that were not counted are among the rest.
                continue;
            }
        }
        let known = |counts: &Counts| counts.aggregated + counts.without_service + counts.malformed + counts.refused;
        self.counts.malformed += items.saturating_sub(known(&self.counts) - known(&before));
    }

    fn resource_spans<'a>(
        &mut self,
        spans: ResourceSpansView<'a>,
        tenant: &Tenant,
        weights: &mut Weights<'a>,
        now: u64,
    ) -> Result<(), Error> {
        let resource = spans.resource()?;
        let service = resource.attributes().iter().find(|pair| match pair {
            Ok(pair) => pair.key() == SERVICE_NAME.as_bytes(),
            Err(_) => true,
        });
        let Some(service) = service.transpose()? else {
            for scope in spans.scope_spans() {
                self.counts.without_service +=
                    Messages::new(scope?.0, scope_spans::SPANS).filter(Result::is_ok).count();
            }
            return Ok(());
        };
        let mut written = Vec::new();
        let service = match service.value()? {
            AnyValueView::Str(text) => text,
            other => {
                text_of(other, service, &mut written);
                &written
            }
        };
        let room = self.open
            && (0..self.plan.families.len()).all(|family| self.table.has_room(family as u8, &self.plan.limits));
        let known = self.resources.find(tenant, resource, &self.plan.key_attributes, room)?;
        let overflow_room = self.resources.count() < 2 * self.plan.limits.all;
        let Some(number) = known.or_else(|| self.resources.overflow(tenant, overflow_room)) else {
            for scope in spans.scope_spans() {
                self.counts.refused += Messages::new(scope?.0, scope_spans::SPANS).filter(Result::is_ok).count();
            }
            return Ok(());
        };
        if let Some(resource) = self.resources.get_mut(number) {
            resource.last_seen = now;
        }
        let (mut found, mut seen) = (self.plan.slots.empty(), Seen::new());
        self.plan.slots.read(resource.attributes(), &mut found, &mut seen)?;
        let mut place = Place { service, resource: number, scope: None, found: &found, seen: &seen, now };
        for scope in spans.scope_spans() {
            self.scope_spans(scope?, &mut place, known.is_some(), weights)?;
        }
        Ok(())
    }

    fn scope_spans<'a>(
        &mut self,
        spans: ScopeSpansView<'a>,
        place: &mut Place<'_, 'a>,
        open: bool,
        weights: &mut Weights<'a>,
    ) -> Result<(), Error> {
        place.scope = None;
        if !self.plan.scopes.is_empty() {
            let scope = spans.scope()?;
            let name = scope.name()?;
            if !name.is_empty() && self.plan.scopes.iter().any(|wanted| **wanted == *name) {
                place.scope = Some((name, scope.version()?));
            }
        }
        for span in Messages::new(spans.0, scope_spans::SPANS) {
            let span = span?;
            match SpanFacts::read(span, &self.plan.slots, self.plan.events) {
                Ok(facts) => match self.span(&facts, place, open, weights) {
                    Ok(()) => self.counts.aggregated += 1,
                    Err(_) => self.counts.malformed += 1,
                },
                Err(_) => self.counts.malformed += 1,
            }
        }
        Ok(())
    }

    fn span<'a>(
        &mut self,
        facts: &SpanFacts<'a>,
        place: &Place<'_, 'a>,
        open: bool,
        weights: &mut Weights<'a>,
    ) -> Result<(), Error> {
        let weight = weights.of(facts.trace_state, facts.trace_id);
        self.counts.invalid_thresholds += usize::from(weight.invalid);
        let nanos = facts.nanos();
        self.counts.negative += usize::from(nanos.is_none());
        let value = nanos.unwrap_or(0) as f64 / self.plan.unit.nanos();
        let open = open && self.open;
        // All keys are made before anything is counted: a value that cannot be read must not count in one metric only.
        let mut numbers = [None; 3];
        for (family, number) in numbers.iter_mut().enumerate().take(self.plan.families.len()) {
            if !self.plan.families[family].events {
                *number = Some(self.series(family, facts, place, None, &weight, open)?);
            }
        }
        let mut events = smallvec::SmallVec::<[u32; 4]>::new();
        if let Some(family) = self.plan.families.iter().position(|family| family.events) {
            for event in &facts.events {
                let event = EventView::parse(event)?;
                let mut pairs = EventPairs { found: self.plan.slots.empty(), seen: Seen::new() };
                self.plan.slots.read(event.attributes(), &mut pairs.found, &mut pairs.seen)?;
                events.push(self.series(family, facts, place, Some(&pairs), &weight, open)?);
            }
        }
        for number in numbers.into_iter().flatten().chain(events) {
            self.count(number, facts, &weight, value, place.now);
        }
        Ok(())
    }

    /// The series of a span, or of one of its events, in a family.
    #[inline]
    fn series<'a>(
        &mut self,
        family: usize,
        facts: &SpanFacts<'a>,
        place: &Place<'_, 'a>,
        event: Option<&EventPairs<'a>>,
        weight: &Weight,
        open: bool,
    ) -> Result<u32, Error> {
        let owners = Owners {
            found: [Some(&facts.found), event.map(|event| &event.found), Some(place.found)],
            seen: [Some(&facts.seen), event.map(|event| &event.seen), Some(place.seen)],
        };
        let Aggregate { plan, key, .. } = self;
        key.clear();
        key.push(family as u8);
        key.extend_from_slice(&place.resource.to_le_bytes());
        put_key(plan, facts, place, weight, key);
        let Some(of_family) = plan.families.get_mut(family) else { return Ok(u32::MAX) };
        of_family.dimensions.put_key(&owners, key)?;
        if let Some(number) = self.table.find(&self.key) {
            return Ok(number);
        }
        let pairs = self.pairs(family, facts, place, &owners, weight);
        let durations = self.plan.durations(family);
        let seed = Seed { family: family as u8, resource: place.resource, key: &self.key, now: place.now };
        Ok(self.table.insert(&seed, &self.plan.limits, open, &mut self.resources, durations, || pairs))
    }

    /// The attributes of a new series, in upstream's order.
    fn pairs<'a>(
        &mut self,
        family: usize,
        facts: &SpanFacts<'a>,
        place: &Place<'_, 'a>,
        owners: &Owners<'_, 'a>,
        weight: &Weight,
    ) -> Vec<u8> {
        let mut pairs = Vec::new();
        let kept = self.plan.kept;
        let mut put = |wanted: bool, name: &str, value: &[u8]| {
            if wanted {
                put_pair(&mut pairs, &text_pair(name, value));
            }
        };
        put(kept.service_name, SERVICE_NAME, place.service);
        put(kept.span_name, SPAN_NAME, facts.name);
        put(kept.span_kind, SPAN_KIND, kind_name(facts.kind).as_bytes());
        put(kept.status_code, STATUS_CODE, status_name(facts.status).as_bytes());
        if kept.instance_id {
            put_pair(&mut pairs, &self.plan.instance);
        }
        if let Some((name, version)) = place.scope {
            put_pair(&mut pairs, &text_pair(SCOPE_NAME, name));
            if !version.is_empty() {
                put_pair(&mut pairs, &text_pair(SCOPE_VERSION, version));
            }
        }
        if self.plan.sampling_method {
            let method: &[u8] = if weight.extrapolated { b"extrapolated" } else { b"counted" };
            put_pair(&mut pairs, &text_pair(SAMPLING_METHOD, method));
        }
        if let Some(family) = self.plan.families.get_mut(family) {
            family.dimensions.each_pair(owners, |pair| put_pair(&mut pairs, pair));
        }
        pairs
    }

    #[inline]
    fn count(&mut self, number: u32, facts: &SpanFacts<'_>, weight: &Weight, value: f64, now: u64) {
        let Some(series) = self.table.slab.get_mut(number) else { return };
        if self.plan.delta && !series.touched && series.written == 0 {
            series.start = now;
        }
        series.last_seen = now;
        series.touched = true;
        series.count.add(weight.count);
        self.counts.overflow += usize::from(series.is_overflow);
        let bucket = match (&mut series.durations, &self.plan.buckets) {
            (Durations::Explicit(histogram), Buckets::Explicit(bounds)) => {
                let bucket = Explicit::bucket(bounds, value);
                histogram.record(bucket, value, weight.count);
                bucket as i32
            }
            (Durations::Exponential(histogram), _) => {
                let before = histogram.bytes();
                histogram.record(value, weight.count);
                self.table.bytes = (self.table.bytes + histogram.bytes()).saturating_sub(before);
                octave(value)
            }
            _ => 0,
        };
        if let Some(most) = self.plan.exemplars
            && !series.is_overflow
        {
            let room = self.candidates < MAX_CANDIDATES && self.open;
            self.candidates += candidate(series, facts, weight, value, bucket, now, most, room);
        }
    }

    /// What all of this takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.table.bytes + self.resources.bytes() + self.candidates * size_of::<Candidate>()
    }
}

/// Offers a span as an exemplar. Returns how many candidates there are more.
#[expect(clippy::too_many_arguments, reason = "the facts of one span, taken apart for the hot path")]
fn candidate(
    series: &mut Series,
    facts: &SpanFacts<'_>,
    weight: &Weight,
    value: f64,
    bucket: i32,
    now: u64,
    most: usize,
    room: bool,
) -> usize {
    let Some((trace, span)) = facts.ids() else { return 0 };
    let randomness = weight.randomness;
    let error = facts.is_error();
    series.candidates.offer(most, room, Candidate { trace, span, time: now, value, randomness, error, bucket })
}

/// The part of a key that all families have.
#[inline]
fn put_key(plan: &Plan, facts: &SpanFacts<'_>, place: &Place<'_, '_>, weight: &Weight, key: &mut Vec<u8>) {
    let Kept { service_name, span_name, span_kind, status_code, .. } = plan.kept;
    if service_name {
        put_part(place.service, key);
    }
    if span_name {
        put_part(facts.name, key);
    }
    // What upstream has no name for is one series: it has the same attributes.
    if span_kind {
        key.push(u8::try_from(facts.kind).unwrap_or(6).min(6));
    }
    if status_code {
        key.push(u8::try_from(facts.status).unwrap_or(3).min(3));
    }
    match place.scope {
        _ if plan.scopes.is_empty() => {}
        None => put_absent(key),
        Some((name, version)) => {
            put_part(name, key);
            put_part(version, key);
        }
    }
    if plan.sampling_method {
        key.push(u8::from(weight.extrapolated));
    }
}
