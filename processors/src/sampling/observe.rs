//! Which leaf conditions hold for an item: one walk over its attributes for all policies together.

use sluice_ottl::time::Time;
use sluice_ottl::value::Value;
use sluice_ottl::{Conditions, EvalError, WireRecord, trace_state};
use sluice_pdata::Error;
use sluice_pdata::tags::span;
use sluice_pdata::view::{AttributesView, KeyValueView, Messages, ResourceView};

use super::facts::{LogItem, SpanItem};
use super::leaf::{LeafSource, ValueMatch};
use super::leaves::{Leaves, MAX_LEAVES};

/// Looks at items for all leaf conditions.
#[derive(Debug, Default)]
pub(super) struct Observer {
    sources: Vec<LeafSource>,
    /// By length.
    keys: Vec<Key>,
    /// Lengths of the keys, as bits; bit 63 for 63 and more.
    lengths: u64,
    statuses: Vec<(u8, u8)>,
    trace_states: Vec<Member>,
    sampled: Option<u8>,
    spans: Vec<SpanConditions>,
    logs: Vec<(u8, u16, Conditions)>,
    /// All leaves over attributes, and all over spans.
    of_attributes: Leaves,
    of_spans: Leaves,
    of_logs: Leaves,
    /// The resource seen last, and what holds for it: neighbours mostly share one.
    resource: Vec<u8>,
    resource_leaves: Leaves,
    resource_known: bool,
    /// Failed evaluations, by policy or rule.
    errors: Vec<u64>,
}

/// What is looked for under one attribute key.
#[derive(Debug)]
struct Key {
    key: Box<[u8]>,
    /// Those of the matches.
    leaves: Leaves,
    matches: Vec<(u8, ValueMatch)>,
}

/// A member of the trace state, and the values that it may have.
#[derive(Debug)]
struct Member {
    leaf: u8,
    key: Box<[u8]>,
    values: Vec<Box<[u8]>>,
}

#[derive(Debug)]
struct SpanConditions {
    leaf: u8,
    owner: u16,
    span: Option<Conditions>,
    event: Option<Conditions>,
}

/// What a new leaf needs to be recognised.
pub(super) enum Matcher {
    Value(ValueMatch),
    Status(u8),
    TraceState { key: Box<[u8]>, values: Vec<Box<[u8]>> },
    Sampled,
    Spans { span: Option<Conditions>, event: Option<Conditions> },
    Logs(Conditions),
}

impl Observer {
    /// The number of a leaf that is known already.
    pub(super) fn find(&self, source: &LeafSource) -> Option<u8> {
        self.sources.iter().position(|known| known == source).map(|leaf| leaf as u8)
    }

    /// Adds a leaf of the policy or rule `owner`; `None` if there are too many.
    pub(super) fn add(&mut self, source: LeafSource, matcher: Matcher, owner: u16) -> Option<u8> {
        if self.sources.len() >= MAX_LEAVES {
            return None;
        }
        let leaf = self.sources.len() as u8;
        if source.is_of_logs() {
            self.of_logs.insert(leaf)
        } else {
            self.of_spans.insert(leaf)
        }
        match matcher {
            Matcher::Value(value) => {
                self.of_attributes.insert(leaf);
                self.add_value(source.key().unwrap_or_default(), leaf, value);
            }
            Matcher::Status(codes) => self.statuses.push((leaf, codes)),
            Matcher::TraceState { key, values } => self.trace_states.push(Member { leaf, key, values }),
            Matcher::Sampled => self.sampled = Some(leaf),
            Matcher::Spans { span, event } => self.spans.push(SpanConditions { leaf, owner, span, event }),
            Matcher::Logs(conditions) => self.logs.push((leaf, owner, conditions)),
        }
        self.sources.push(source);
        Some(leaf)
    }

    fn add_value(&mut self, key: &str, leaf: u8, value: ValueMatch) {
        let at = match self.keys.iter().position(|known| *known.key == *key.as_bytes()) {
            Some(at) => at,
            None => {
                self.lengths |= 1 << key.len().min(63);
                let at = self.keys.partition_point(|known| known.key.len() <= key.len());
                self.keys.insert(at, Key { key: key.as_bytes().into(), leaves: Leaves::EMPTY, matches: Vec::new() });
                at
            }
        };
        self.keys[at].leaves.insert(leaf);
        self.keys[at].matches.push((leaf, value));
    }

    pub(super) fn source(&self, leaf: u8) -> Option<&LeafSource> {
        self.sources.get(usize::from(leaf))
    }

    /// All of them, by number.
    pub(super) fn sources(&self) -> &[LeafSource] {
        &self.sources
    }

    pub(super) fn len(&self) -> usize {
        self.sources.len()
    }

    /// Adds to `leaves` what holds for a span.
    pub(super) fn span(&mut self, item: &SpanItem<'_>, leaves: &mut Leaves) {
        if leaves.contains_all(self.of_spans) {
            return;
        }
        if !leaves.contains_all(self.of_attributes) {
            if !self.resource_known || self.resource != item.resource {
                self.look_at_resource(item.resource);
            }
            leaves.union(self.resource_leaves);
            let read = match item.attributes {
                Some(pairs) => self.read_attributes(pairs, leaves),
                None => self.attributes(AttributesView::new(item.view.bytes, span::ATTRIBUTES).iter(), true, leaves),
            };
            if read.is_err() {
                self.failed(0);
            }
        }
        if self.statuses.iter().any(|(leaf, _)| !leaves.contains(*leaf)) {
            let code = match item.status {
                Some(code) => Ok(code),
                None => item.view.status().map(|status| status.map_or(0, |status| status.code)),
            };
            match code {
                Ok(code) => {
                    let bit = u32::try_from(code).ok().and_then(|code| 1_u8.checked_shl(code)).unwrap_or(0);
                    let held = self.statuses.iter().filter(|(_, codes)| codes & bit != 0);
                    held.for_each(|(leaf, _)| leaves.insert(*leaf));
                }
                Err(_) => self.failed(0),
            }
        }
        if !item.view.trace_state.is_empty() {
            for Member { leaf, key, values } in &self.trace_states {
                if !leaves.contains(*leaf)
                    && let Value::Str(found) = trace_state::member(item.view.trace_state, key)
                    && values.iter().any(|value| **value == *found)
                {
                    leaves.insert(*leaf);
                }
            }
        }
        if let Some(leaf) = self.sampled.filter(|_| item.view.flags & 1 != 0) {
            leaves.insert(leaf);
        }
        if !self.spans.is_empty() {
            self.span_conditions(item, leaves);
        }
    }

    fn look_at_resource(&mut self, resource: &[u8]) {
        let mut found = Leaves::default();
        if self.attributes(ResourceView(resource).attributes().iter(), false, &mut found).is_err() {
            self.failed(0);
        }
        self.resource.clear();
        self.resource.extend_from_slice(resource);
        self.resource_leaves = found;
        self.resource_known = true;
    }

    /// Of several attributes with one key the first counts.
    #[inline]
    fn attributes<'a>(
        &self,
        attributes: impl Iterator<Item = Result<KeyValueView<'a>, Error>>,
        on_span: bool,
        leaves: &mut Leaves,
    ) -> Result<(), Error> {
        let mut seen = Leaves::default();
        for pair in attributes {
            self.attribute(&pair?, on_span, &mut seen, leaves)?;
        }
        Ok(())
    }

    /// The same of a span's, where they have been read.
    fn read_attributes(&self, attributes: &[KeyValueView<'_>], leaves: &mut Leaves) -> Result<(), Error> {
        let mut seen = Leaves::default();
        attributes.iter().try_for_each(|pair| self.attribute(pair, true, &mut seen, leaves))
    }

    #[inline]
    fn attribute(
        &self,
        pair: &KeyValueView<'_>,
        on_span: bool,
        seen: &mut Leaves,
        leaves: &mut Leaves,
    ) -> Result<(), Error> {
        if self.lengths & (1 << pair.key().len().min(63)) == 0 {
            return Ok(());
        }
        let Some((at, key)) = self.key(pair.key()) else { return Ok(()) };
        if seen.contains(at as u8) {
            return Ok(());
        }
        seen.insert(at as u8);
        let value = pair.value()?;
        if leaves.contains_all(key.leaves) {
            return Ok(());
        }
        for (leaf, wanted) in &key.matches {
            if !leaves.contains(*leaf) && wanted.holds(value, on_span) {
                leaves.insert(*leaf);
            }
        }
        Ok(())
    }

    fn key(&self, key: &[u8]) -> Option<(usize, &Key)> {
        let from =
            if self.keys.len() <= 8 { 0 } else { self.keys.partition_point(|known| known.key.len() < key.len()) };
        let behind = self.keys.iter().enumerate().skip(from);
        behind.take_while(|(_, known)| known.key.len() <= key.len()).find(|(_, known)| *known.key == *key)
    }

    fn span_conditions(&mut self, item: &SpanItem<'_>, leaves: &mut Leaves) {
        let bytes = item.view.bytes;
        let record = || {
            let record = WireRecord::span(bytes)
                .in_resource(item.resource, item.resource_envelope)
                .in_scope(item.scope, item.scope_envelope);
            match item.attributes {
                Some(attributes) => record.with_span_attributes(attributes),
                None => record,
            }
        };
        let (mut whole, clock) = (None, clock(item.now));
        for conditions in &self.spans {
            if leaves.contains(conditions.leaf) {
                continue;
            }
            let mut failed = 0;
            let mut note = |_: usize, _: &EvalError| failed += 1;
            let mut held = false;
            if let Some(span) = &conditions.span {
                match span.eval(whole.get_or_insert_with(record), &clock, &mut note) {
                    Ok(yes) => held = yes,
                    Err(_) => note(0, &EvalError::Text("")),
                }
            }
            if let Some(of_event) = conditions.event.as_ref().filter(|_| !held) {
                for (index, event) in Messages::new(bytes, span::EVENTS).enumerate() {
                    let Ok(event) = event else {
                        note(0, &EvalError::Text(""));
                        break;
                    };
                    let record = WireRecord::span_event(bytes, event, index)
                        .in_resource(item.resource, item.resource_envelope)
                        .in_scope(item.scope, item.scope_envelope);
                    match of_event.eval(&record, &clock, &mut note) {
                        Ok(true) => {
                            held = true;
                            break;
                        }
                        Ok(false) => {}
                        Err(_) => note(0, &EvalError::Text("")),
                    }
                }
            }
            if held {
                leaves.insert(conditions.leaf);
            }
            if failed > 0 {
                count(&mut self.errors, conditions.owner, failed);
            }
        }
    }

    /// Adds to `leaves` what holds for a log record.
    pub(super) fn log(&mut self, item: &LogItem<'_>, leaves: &mut Leaves) {
        if leaves.contains_all(self.of_logs) {
            return;
        }
        let record = WireRecord::log(item.view.bytes)
            .in_resource(item.resource, item.resource_envelope)
            .in_scope(item.scope, item.scope_envelope);
        let clock = clock(item.now);
        for (leaf, owner, conditions) in &self.logs {
            if leaves.contains(*leaf) {
                continue;
            }
            let mut failed = 0;
            match conditions.eval(&record, &clock, &mut |_, _| failed += 1) {
                Ok(true) => leaves.insert(*leaf),
                Ok(false) => {}
                Err(_) => failed += 1,
            }
            if failed > 0 {
                count(&mut self.errors, *owner, failed);
            }
        }
    }

    fn failed(&mut self, owner: u16) {
        count(&mut self.errors, owner, 1);
    }

    pub(super) fn take_errors(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.errors)
    }
}

fn count(errors: &mut Vec<u64>, owner: u16, failed: u64) {
    let at = usize::from(owner);
    if errors.len() <= at {
        errors.resize(at + 1, 0);
    }
    errors[at] += failed;
}

fn clock(now: u64) -> impl Fn() -> Time {
    move || Time::from_unix_nanos(i64::try_from(now).unwrap_or(i64::MAX))
}
