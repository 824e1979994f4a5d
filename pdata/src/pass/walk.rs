//! One walk over a batch, level by level, with an explicit stack so that it can stop between items.

use std::sync::Arc;

use super::chain::Plan;
use super::out::Out;
use super::step::{BatchState, Cx, MetricHead, Outer, Reason, Step, Verdict};
use crate::error::{Error, Fault};
use crate::msg::{Buffers, Message};
use crate::signal::Signal;
use crate::tags::{metric, resource_spans, scope_spans, traces_request};
use crate::wire::{Field, Reader, Value, WireType, patch_len, put_message, skip_run, varint_len};

/// Buffers that a worker keeps from batch to batch, so that a walk allocates nothing per item.
#[derive(Debug, Default)]
pub struct Scratch {
    resource: Head,
    scope: Head,
    metric: Head,
    item: Buffers,
}

/// The messages at the head of one envelope: the inner one (resource, scope; for metrics the data message without points) and
/// the envelope's own remaining fields, each in the versions that the steps see.
#[derive(Debug, Default)]
pub(super) struct Head {
    inner: Buffers,
    envelope: Buffers,
    inner_source: Vec<u8>,
    envelope_source: Vec<u8>,
    inner_versions: Versions,
    envelope_versions: Versions,
    /// For metrics: field number of the data member.
    kind: u32,
}

/// A message as each step finds it: a version holds from its step on until the next one's.
#[derive(Debug, Default)]
struct Versions {
    arena: Vec<u8>,
    from: Vec<(usize, usize, usize)>,
}

impl Versions {
    fn start(&mut self, bytes: &[u8]) {
        self.arena.clear();
        self.from.clear();
        self.push(0, |arena| arena.extend_from_slice(bytes));
    }

    fn push(&mut self, step: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.arena.len();
        write(&mut self.arena);
        self.from.push((step, start, self.arena.len()));
    }

    #[inline]
    fn seen_by(&self, step: usize) -> &[u8] {
        match self.from.as_slice() {
            [] => &[],
            [(_, start, end)] => &self.arena[*start..*end],
            more => match more.iter().rev().find(|&&(first, _, _)| first <= step) {
                Some(&(_, start, end)) => &self.arena[start..end],
                None => &[],
            },
        }
    }
}

/// The envelopes, outermost first. Items are children of `Scope`, or of `Data` for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Envelope {
    Request,
    Resource,
    Scope,
    Metric,
    Data,
}

/// The field that holds the resource, the scope, the items of a scope, the points of data: the same in all signals.
const HEAD: u32 = resource_spans::RESOURCE;
const REQUEST_CHILD: u32 = traces_request::RESOURCE_SPANS;
const ENVELOPE_CHILD: u32 = resource_spans::SCOPE_SPANS;
const SCOPE_CHILD: u32 = scope_spans::SPANS;
const POINT: u32 = crate::tags::gauge::DATA_POINTS;

impl Envelope {
    #[inline]
    fn is_child(self, number: u32) -> bool {
        match self {
            Envelope::Request => number == REQUEST_CHILD,
            Envelope::Resource => number == ENVELOPE_CHILD,
            Envelope::Scope => number == SCOPE_CHILD,
            Envelope::Metric => is_data(number),
            Envelope::Data => number == POINT,
        }
    }

    /// The number of the field that holds its children, if there is but one.
    fn repeated(self) -> Option<u32> {
        match self {
            Envelope::Request => Some(REQUEST_CHILD),
            Envelope::Resource => Some(ENVELOPE_CHILD),
            Envelope::Scope => Some(SCOPE_CHILD),
            Envelope::Metric => None,
            Envelope::Data => Some(POINT),
        }
    }

    #[inline]
    fn inner(self, signal: Signal) -> Option<Envelope> {
        match (self, signal) {
            (Envelope::Request, _) => Some(Envelope::Resource),
            (Envelope::Resource, _) => Some(Envelope::Scope),
            (Envelope::Scope, Signal::Metrics) => Some(Envelope::Metric),
            (Envelope::Metric, _) => Some(Envelope::Data),
            _ => None,
        }
    }
}

#[inline]
fn is_data(number: u32) -> bool {
    matches!(number, metric::GAUGE | metric::SUM | metric::HISTOGRAM | metric::EXPONENTIAL_HISTOGRAM | metric::SUMMARY)
}

/// An envelope that the walk is inside of.
#[derive(Clone, Copy, Debug)]
struct Frame {
    envelope: Envelope,
    /// Source offsets: record start (tag), next unread field, end.
    start: usize,
    pos: usize,
    end: usize,
    /// Output position of the record, and of its length varint with its width.
    mark: usize,
    len_at: usize,
    len_width: usize,
    /// Length of the payload as it came, and by how much the content grew so far.
    len: usize,
    delta: isize,
    /// Children met and left.
    seen: usize,
    kept: usize,
    /// The head was written anew in front of the children: the old head fields are left out.
    rewritten: bool,
    /// Only steps before this one run in here: the step itself has dropped the envelope.
    limit: usize,
    reason: Reason,
}

impl Frame {
    /// The request itself: its end is the end of the source, and no length stands in front of it.
    fn request(len: usize) -> Self {
        Frame {
            envelope: Envelope::Request,
            start: 0,
            pos: 0,
            end: len,
            mark: 0,
            len_at: 0,
            len_width: 0,
            len,
            delta: 0,
            seen: 0,
            kept: 0,
            rewritten: false,
            limit: usize::MAX,
            reason: "",
        }
    }
}

/// A walk under way.
pub(super) struct Walk {
    signal: Signal,
    frames: Vec<Frame>,
    out: Out,
    states: Vec<Option<Box<dyn BatchState>>>,
    dropped: Vec<(usize, Reason, usize)>,
}

/// What a finished walk leaves.
pub(super) struct End {
    /// `None` if nothing was changed.
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) dropped: Vec<(usize, Reason, usize)>,
    pub(super) states: Vec<Option<Box<dyn BatchState>>>,
}

/// What lasts for one call of [`Walk::advance`].
struct Env<'a, C: ?Sized> {
    plan: &'a Plan,
    steps: &'a [Arc<dyn Step<C>>],
    context: &'a C,
    source: &'a [u8],
}

impl Walk {
    pub(super) fn new<C: ?Sized>(signal: Signal, plan: &Plan, steps: &[Arc<dyn Step<C>>], source: &[u8]) -> Self {
        let states = (0..plan.end).map(|index| {
            if index < plan.first { None } else { steps.get(index).and_then(|step| step.begin(signal, source)) }
        });
        Walk {
            signal,
            frames: Vec::with_capacity(5),
            out: Out::default(),
            states: states.collect(),
            dropped: Vec::new(),
        }
        .started(source.len())
    }

    fn started(mut self, len: usize) -> Self {
        self.frames.push(Frame::request(len));
        self
    }

    pub(super) fn is_done(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn finish(self, source: &[u8]) -> End {
        End { bytes: self.out.finish(source), dropped: self.dropped, states: self.states }
    }

    /// Goes on until the end, or until about `budget` bytes were read. Returns how many were.
    pub(super) fn advance<C: ?Sized>(
        &mut self,
        plan: &Plan,
        steps: &[Arc<dyn Step<C>>],
        context: &C,
        source: &[u8],
        scratch: &mut Scratch,
        budget: usize,
    ) -> Result<usize, Error> {
        let env = Env { plan, steps, context, source };
        let from = self.frames.last().map_or(0, |frame| frame.pos);
        while let Some(frame) = self.frames.last() {
            if frame.pos - from >= budget {
                return Ok(frame.pos - from);
            }
            if frame.pos >= frame.end {
                self.leave(source);
                continue;
            }
            match frame.envelope.inner(self.signal) {
                Some(inner) => self.envelope_field(&env, scratch, inner)?,
                None => self.items(&env, scratch, from.saturating_add(budget))?,
            }
        }
        Ok(source.len() - from)
    }

    fn top(&mut self) -> Result<&mut Frame, Error> {
        self.frames.last_mut().ok_or(Error::new(Fault::Truncated, 0))
    }

    /// Reads the next field of an envelope that holds envelopes.
    fn envelope_field<C: ?Sized>(
        &mut self,
        env: &Env<'_, C>,
        scratch: &mut Scratch,
        inner: Envelope,
    ) -> Result<(), Error> {
        let frame = self.top()?;
        let (base, end, envelope, rewritten) = (frame.pos, frame.end, frame.envelope, frame.rewritten);
        let mut reader = Reader::new(&env.source[base..end]);
        let field = reader.field().map_err(|error| error.at(base))?.ok_or(Error::new(Fault::Truncated, base))?;
        let record_end = base + field.end;
        match field.value {
            Value::Len(payload) if envelope.is_child(field.number) => {
                frame.pos = record_end;
                frame.seen += 1;
                let limit = frame.limit;
                let reason = frame.reason;
                let tag_len = varint_len(u64::from(field.number) << 3 | 2);
                let payload_start = record_end - payload.len();
                // An overlong tag is told from an overlong length by reading the tag alone.
                let len_start = if payload_start - base == tag_len + varint_len(payload.len() as u64) {
                    base + tag_len
                } else {
                    let mut tag = Reader::new(&env.source[base..]);
                    tag.tag().map_err(|error| error.at(base))?;
                    base + tag.pos()
                };
                self.frames.push(Frame {
                    envelope: inner,
                    start: base,
                    pos: payload_start,
                    end: record_end,
                    mark: self.out.position(base),
                    len_at: self.out.position(len_start),
                    len_width: payload_start - len_start,
                    len: payload.len(),
                    delta: 0,
                    seen: 0,
                    kept: 0,
                    rewritten: false,
                    limit,
                    reason,
                });
                match inner {
                    Envelope::Data => self.enter_data(env, scratch, field.number),
                    _ => self.enter(env, scratch, inner),
                }
            }
            _ => {
                frame.pos = record_end;
                if rewritten || env.plan.strips_request && envelope == Envelope::Request {
                    frame.delta -= field.end as isize;
                    self.out.cut(env.source, base, record_end);
                }
                Ok(())
            }
        }
    }

    /// Shows the head of the envelope on top of the stack to the steps, and writes it anew if they changed it.
    fn enter<C: ?Sized>(&mut self, env: &Env<'_, C>, scratch: &mut Scratch, envelope: Envelope) -> Result<(), Error> {
        let Frame { pos, end, limit, .. } = *self.top()?;
        let (resource, scope, head, hooks) = match envelope {
            Envelope::Resource => (None, None, &mut scratch.resource, &env.plan.resource),
            Envelope::Scope => (Some(&scratch.resource), None, &mut scratch.scope, &env.plan.scope),
            _ => (Some(&scratch.resource), Some(&scratch.scope), &mut scratch.metric, &env.plan.metric),
        };
        let body = &env.source[pos..end];
        let has_inner = split_head(envelope, body, head).map_err(|error| error.at(pos))?;
        head.inner_versions.start(&head.inner_source);
        head.envelope_versions.start(&head.envelope_source);
        if hooks.first().is_none_or(|&first| first >= limit) {
            return Ok(());
        }
        let Head { inner, envelope: rest, inner_source, envelope_source, inner_versions, envelope_versions, .. } = head;
        let mut inner = Message::new(inner_source, inner);
        let mut rest = Message::new(envelope_source, rest);
        let mut dropped = None;
        for &index in hooks.iter().take_while(|&&index| index < limit) {
            let (Some(step), Some(state)) = (env.steps.get(index), self.states.get_mut(index)) else { continue };
            let mut cx = Cx {
                context: env.context,
                signal: self.signal,
                resource: resource.map_or(&[], |head| head.inner_versions.seen_by(index)),
                scope: scope.map_or(&[], |head| head.inner_versions.seen_by(index)),
                metric: None,
                body,
                outer: Outer { resource, scope, step: index },
                state: state.as_deref_mut(),
            };
            let verdict = match envelope {
                Envelope::Resource => step.resource(&mut cx, &mut inner, &mut rest),
                Envelope::Scope => step.scope(&mut cx, &mut inner, &mut rest),
                _ => step.metric(&mut cx, &mut rest, &mut inner, body),
            }
            .map_err(|error| error.at(pos))?;
            if inner.is_changed() {
                inner_versions.push(index + 1, |arena| inner.write(arena));
            }
            if rest.is_changed() {
                envelope_versions.push(index + 1, |arena| rest.write(arena));
            }
            if let Verdict::Drop(reason) = verdict {
                dropped = Some((index, reason));
                break;
            }
        }
        if let Some((index, reason)) = dropped {
            return self.drop_envelope(env, index, reason);
        }
        let write_inner = envelope != Envelope::Metric && inner.is_changed();
        if write_inner || rest.is_changed() {
            self.out.cut(env.source, pos, pos);
            let out = self.out.bytes();
            let before = out.len();
            if envelope != Envelope::Metric && (has_inner || inner.is_changed()) {
                put_message(out, HEAD, |out| inner.write(out));
            }
            rest.write(out);
            let grown = out.len() - before;
            let frame = self.top()?;
            frame.delta += grown as isize;
            frame.rewritten = true;
        }
        Ok(())
    }

    /// The data message of a metric: its own fields were shown with the metric; here they are written if they changed.
    fn enter_data<C: ?Sized>(&mut self, env: &Env<'_, C>, scratch: &mut Scratch, kind: u32) -> Result<(), Error> {
        let Frame { pos, .. } = *self.top()?;
        scratch.metric.kind_is(kind);
        let versions = &scratch.metric.inner_versions;
        if versions.from.len() > 1 {
            self.out.cut(env.source, pos, pos);
            let fields = versions.seen_by(usize::MAX);
            self.out.bytes().extend_from_slice(fields);
            let grown = fields.len();
            let frame = self.top()?;
            frame.delta += grown as isize;
            frame.rewritten = true;
        }
        Ok(())
    }

    /// A step has dropped the envelope on top. Earlier steps still see what is inside, if they have hooks there.
    fn drop_envelope<C: ?Sized>(&mut self, env: &Env<'_, C>, index: usize, reason: Reason) -> Result<(), Error> {
        let signal = self.signal;
        let frame = self.top()?;
        frame.limit = index;
        frame.reason = reason;
        let deeper: &[&Vec<usize>] = match frame.envelope {
            Envelope::Resource => &[&env.plan.scope, &env.plan.metric, &env.plan.item],
            Envelope::Scope => &[&env.plan.metric, &env.plan.item],
            _ => &[&env.plan.item],
        };
        if deeper.iter().all(|hooks| hooks.first().is_none_or(|&first| first >= index)) {
            let (pos, end, envelope) = (frame.pos, frame.end, frame.envelope);
            frame.pos = end;
            let items = count(signal, envelope, &env.source[pos..end]).map_err(|error| error.at(pos))?;
            self.count_dropped(index, reason, items);
        }
        Ok(())
    }

    fn count_dropped(&mut self, step: usize, reason: Reason, items: usize) {
        match self.dropped.iter_mut().find(|(by, why, _)| *by == step && *why == reason) {
            Some((_, _, count)) => *count += items,
            None if items > 0 => self.dropped.push((step, reason, items)),
            None => {}
        }
    }

    /// Reads items of the innermost envelope until it ends or source position `until` is reached.
    fn items<C: ?Sized>(&mut self, env: &Env<'_, C>, scratch: &mut Scratch, until: usize) -> Result<(), Error> {
        let hooks = &env.plan.item;
        let Some(mut frame) = self.frames.pop() else { return Ok(()) };
        let live = hooks.iter().take_while(|&&index| index < frame.limit).count();
        let hooks = &hooks[..live];
        if hooks.is_empty() && frame.limit == usize::MAX && !frame.rewritten {
            // Nobody looks at these items: they are copied with their envelope.
            frame.pos = frame.end;
            frame.kept += 1;
            self.frames.push(frame);
            return Ok(());
        }
        let base = frame.pos;
        let mut reader = Reader::new(&env.source[base..frame.end]);
        while let Some(field) = reader.field().map_err(|error| error.at(base))? {
            let (start, end) = (base + field.start, base + field.end);
            frame.pos = end;
            match field.value {
                Value::Len(payload) if frame.envelope.is_child(field.number) => {
                    frame.seen += 1;
                    self.item(env, scratch, hooks, &mut frame, start, end - payload.len(), payload)?;
                }
                _ if frame.rewritten => {
                    self.out.cut(env.source, start, end);
                    frame.delta -= (end - start) as isize;
                }
                _ => {}
            }
            if frame.pos >= until {
                break;
            }
        }
        self.frames.push(frame);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the hot path: one call per item, all by register or reference")]
    #[inline]
    fn item<C: ?Sized>(
        &mut self,
        env: &Env<'_, C>,
        scratch: &mut Scratch,
        hooks: &[usize],
        frame: &mut Frame,
        start: usize,
        payload_start: usize,
        payload: &[u8],
    ) -> Result<(), Error> {
        let Scratch { resource, scope, metric, item } = scratch;
        let end = frame.pos;
        let mut message = Message::at(payload, payload_start, item);
        for &index in hooks {
            let (Some(step), Some(state)) = (env.steps.get(index), self.states.get_mut(index)) else { continue };
            let mut cx = Cx {
                context: env.context,
                signal: self.signal,
                resource: resource.inner_versions.seen_by(index),
                scope: scope.inner_versions.seen_by(index),
                metric: (frame.envelope == Envelope::Data).then(|| metric.seen_by(index)),
                body: &[],
                outer: Outer { resource: Some(resource), scope: Some(scope), step: index },
                state: state.as_deref_mut(),
            };
            let verdict = step.item(&mut cx, &mut message).map_err(|error| error.at(payload_start))?;
            if let Verdict::Drop(reason) = verdict {
                self.out.cut(env.source, start, end);
                frame.delta -= (end - start) as isize;
                self.count_dropped(index, reason, 1);
                return Ok(());
            }
        }
        if frame.limit != usize::MAX {
            self.count_dropped(frame.limit, frame.reason, 1);
        }
        frame.kept += 1;
        if message.is_changed() {
            let len = message.encoded_len();
            self.out.cut(env.source, start, end);
            let out = self.out.bytes();
            let before = out.len();
            let number = if frame.envelope == Envelope::Data { POINT } else { SCOPE_CHILD };
            crate::wire::put_tag(out, number, WireType::Len);
            crate::wire::put_varint(out, len as u64);
            message.write(out);
            frame.delta += (out.len() - before) as isize - (end - start) as isize;
        }
        Ok(())
    }

    /// The envelope on top is at its end: it disappears if a step dropped it or all its children went, else its length is put
    /// right.
    fn leave(&mut self, source: &[u8]) {
        let Some(frame) = self.frames.pop() else { return };
        let Some(parent) = self.frames.last_mut() else { return };
        // A data message goes with its metric, which is told by having kept nothing.
        let dropped = frame.limit != parent.limit;
        let emptied = frame.kept == 0 && frame.seen > 0;
        if dropped || emptied {
            self.out.take_back(source, frame.mark, frame.start, frame.end);
            parent.delta -= (frame.end - frame.start) as isize;
            return;
        }
        parent.kept += 1;
        if frame.delta != 0 {
            let len = frame.len.wrapping_add_signed(frame.delta);
            let grown = patch_len(self.out.bytes(), frame.len_at, frame.len_width, len);
            parent.delta += frame.delta + grown;
        }
    }
}

impl Head {
    /// The fields of the envelope other than head and children, as a step finds them.
    pub(super) fn envelope_seen_by(&self, step: usize) -> &[u8] {
        self.envelope_versions.seen_by(step)
    }

    fn kind_is(&mut self, kind: u32) {
        self.kind = kind;
    }

    #[inline]
    fn seen_by(&self, step: usize) -> MetricHead<'_> {
        MetricHead {
            fields: self.envelope_versions.seen_by(step),
            kind: self.kind,
            data: self.inner_versions.seen_by(step),
        }
    }
}

/// Takes an envelope apart: the inner message (resource, scope, or the data's own fields), and the envelope's other fields
/// without children. Returns whether the inner message is there.
fn split_head(envelope: Envelope, body: &[u8], head: &mut Head) -> Result<bool, Error> {
    head.inner_source.clear();
    head.envelope_source.clear();
    let mut has_inner = false;
    let mut reader = Reader::new(body);
    while let Some(field) = next_other(&mut reader, body, envelope.repeated())? {
        match field.value {
            Value::Len(data) if envelope == Envelope::Metric && is_data(field.number) => {
                let mut points = Reader::new(data);
                while let Some(inner) = next_other(&mut points, data, Some(POINT))? {
                    if !(inner.number == POINT && matches!(inner.value, Value::Len(_))) {
                        head.inner_source.extend_from_slice(&data[inner.start..inner.end]);
                    }
                }
                has_inner = true;
            }
            Value::Len(_) if envelope.is_child(field.number) => {}
            Value::Len(inner) if envelope != Envelope::Metric && field.number == HEAD => {
                head.inner_source.extend_from_slice(inner);
                has_inner = true;
            }
            _ => head.envelope_source.extend_from_slice(&body[field.start..field.end]),
        }
    }
    Ok(has_inner)
}

/// The next field behind the run of children that starts where the reader is, if children are told by one number. Some may
/// still come: those that are not in the usual form.
#[inline]
fn next_other<'a>(reader: &mut Reader<'a>, message: &[u8], children: Option<u32>) -> Result<Option<Field<'a>>, Error> {
    if let Some(number) = children {
        let mut pos = reader.pos();
        skip_run(message, &mut pos, number);
        reader.seek(pos);
    }
    reader.field()
}

/// Items inside an envelope.
fn count(signal: Signal, envelope: Envelope, body: &[u8]) -> Result<usize, Error> {
    let mut items = 0;
    let mut reader = Reader::new(body);
    while let Some(field) = reader.field()? {
        if let Value::Len(payload) = field.value
            && envelope.is_child(field.number)
        {
            items += match envelope.inner(signal) {
                Some(inner) => count(signal, inner, payload)?,
                None => 1,
            };
        }
    }
    Ok(items)
}
