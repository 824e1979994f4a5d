//! Cutting a request into smaller ones at item boundaries, and joining requests.

use std::ops::Range;

use bytes::Bytes;

use crate::canonical;
use crate::error::Error;
use crate::framing;
use crate::signal::Signal;
use crate::tags::{gauge, metric, resource_spans, scope_spans, traces_request};
use crate::wire::{Reader, WireType, field_len, fields, patch_len, put_len, put_tag};

/// Cuts `request` into requests of at most `max_items` items and at most `max_bytes` bytes each, in order. A single item
/// that is larger with its envelopes stays alone. A request within both limits comes back as the same `Bytes`.
///
/// Every part repeats what its items stand in: resource, scope, schema URLs, the head of the metric, unknown envelope
/// fields. Where these alone exceed half of `max_bytes`, that limit is not applied: parts would repeat more than they
/// carry, and a request could be built that is copied a hundred thousand times. Envelopes without items are kept in one
/// part. Parts are made when they are asked for.
///
/// # Errors
/// What [`framing::check`] and [`canonical::envelopes`] refuse. The iterator itself cannot fail on what has passed them.
pub fn split(signal: Signal, request: &Bytes, max_items: usize, max_bytes: usize) -> Result<Parts, Error> {
    let framing = framing::check(signal, request)?;
    let fits = framing.items <= max_items && request.len() <= max_bytes;
    let source =
        if framing.plain || fits { request.clone() } else { Bytes::from(canonical::envelopes(signal, request)?) };
    let mut parts = Parts {
        signal,
        max_items,
        max_bytes,
        whole: None,
        path: Vec::with_capacity(5),
        spare: Vec::new(),
        open: 0,
        out: Vec::new(),
        items: 0,
        source,
    };
    let everything = 0..parts.source.len();
    if fits || !parts.enter(Envelope::Request, 0, everything)? {
        parts.whole = Some(request.clone());
    }
    Ok(parts)
}

/// Cuts `request` into two of about the same number of items, to find the item that a destination refuses. `None` if there
/// are fewer than two items.
///
/// # Errors
/// As [`split`].
pub fn halves(signal: Signal, request: &Bytes) -> Result<Option<(Bytes, Bytes)>, Error> {
    let items = count(signal, request)?;
    if items < 2 {
        return Ok(None);
    }
    let mut parts = split(signal, request, items.div_ceil(2), usize::MAX)?;
    Ok(parts.next().transpose()?.zip(parts.next().transpose()?))
}

/// The items `range` of `request`, with what they stand in. `None` if there are not that many.
///
/// # Errors
/// As [`split`].
pub fn slice(signal: Signal, request: &Bytes, range: Range<usize>) -> Result<Option<Bytes>, Error> {
    if range.is_empty() || range.end > count(signal, request)? {
        return Ok(None);
    }
    let mut parts = split(signal, request, if range.start > 0 { range.start } else { range.len() }, usize::MAX)?;
    if range.start > 0 {
        parts.next().transpose()?;
        // Parts are made when they are asked for: the next one is as large as the range.
        parts.max_items = range.len();
    }
    parts.next().transpose()
}

/// The number of spans, log records or data points that a reader of `request` finds.
///
/// # Errors
/// As [`split`].
pub fn count(signal: Signal, request: &[u8]) -> Result<usize, Error> {
    let framing = framing::check(signal, request)?;
    if framing.plain {
        return Ok(framing.items);
    }
    // Points may be written that a later data field of the same metric replaces.
    framing::check(signal, &canonical::envelopes(signal, request)?).map(|framing| framing.items)
}

/// One request with everything that `requests` hold, in order. They must be of the same signal and have passed
/// [`framing::check`]: protobuf merges concatenated messages, and all envelopes are repeated fields. A single request comes
/// back as the same `Bytes`.
pub fn concat(requests: &[Bytes]) -> Bytes {
    if let [single] = requests {
        return single.clone();
    }
    let mut out = Vec::with_capacity(requests.iter().map(Bytes::len).sum());
    requests.iter().for_each(|request| out.extend_from_slice(request));
    Bytes::from(out)
}

/// What a message on the way to the items is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Envelope {
    Request,
    Resource,
    Scope,
    Metric,
    Data,
}

impl Envelope {
    /// What field `number` of this envelope leads to: another envelope (`Some`), or items (`None`).
    fn child(self, number: u32, signal: Signal) -> Option<Option<Envelope>> {
        match (self, number) {
            (Envelope::Request, traces_request::RESOURCE_SPANS) => Some(Some(Envelope::Resource)),
            (Envelope::Resource, resource_spans::SCOPE_SPANS) => Some(Some(Envelope::Scope)),
            (Envelope::Scope, scope_spans::SPANS) if signal == Signal::Metrics => Some(Some(Envelope::Metric)),
            (Envelope::Scope, scope_spans::SPANS) | (Envelope::Data, gauge::DATA_POINTS) => Some(None),
            (
                Envelope::Metric,
                metric::GAUGE | metric::SUM | metric::HISTOGRAM | metric::EXPONENTIAL_HISTOGRAM | metric::SUMMARY,
            ) => Some(Some(Envelope::Data)),
            _ => None,
        }
    }
}

/// An envelope that the walk is in.
#[derive(Debug)]
struct Level {
    envelope: Envelope,
    /// Its field number in the envelope around it.
    number: u32,
    /// What has not been walked yet, in the source.
    rest: Range<usize>,
    /// Its fields that do not lead to items.
    head: Vec<u8>,
    /// Where its length stands in the part, once it is open there.
    len_at: usize,
    /// Bytes of its content in the part, without the child that is still open.
    content: usize,
}

/// The parts of a request that [`split`] cuts, in order.
#[derive(Debug)]
pub struct Parts {
    signal: Signal,
    max_items: usize,
    max_bytes: usize,
    /// The request itself, if it is the only part.
    whole: Option<Bytes>,
    source: Bytes,
    /// The envelopes around the current position, outermost first. Empty at the end.
    path: Vec<Level>,
    /// Heads to be used again.
    spare: Vec<Vec<u8>>,
    /// How many levels of `path` have been opened in `out`.
    open: usize,
    out: Vec<u8>,
    items: usize,
}

impl Iterator for Parts {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(whole) = self.whole.take() {
            return Some(Ok(whole));
        }
        let part = self.walk();
        if part.is_err() {
            self.path.clear();
        }
        part.transpose()
    }
}

impl Parts {
    /// Walks until a part is full, or to the end.
    fn walk(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(level) = self.path.last_mut() {
            let envelope = level.envelope;
            let start = level.rest.start;
            let mut reader = Reader::new(&self.source[level.rest.clone()]);
            let Some(field) = reader.field().map_err(|error| error.at(start))? else {
                self.leave();
                continue;
            };
            level.rest.start += field.end;
            let Some(child) = envelope.child(field.number, self.signal) else { continue };
            let number = field.number;
            let end = start + field.end;
            let payload = end - field.value.len().map_or(0, <[u8]>::len)..end;
            let items = match child {
                Some(child) if self.enter(child, number, payload.clone())? => continue,
                Some(_) => 0,
                None => 1,
            };
            let full = self.is_full(number, payload.len(), items).then(|| self.finish());
            self.leaf(number, payload, items);
            if full.is_some() {
                return Ok(full);
            }
        }
        Ok((!self.out.is_empty()).then(|| self.finish()))
    }

    /// Goes into an envelope, unless nothing in it leads to items.
    fn enter(&mut self, envelope: Envelope, number: u32, rest: Range<usize>) -> Result<bool, Error> {
        let mut head = self.spare.pop().unwrap_or_default();
        head.clear();
        let mut leads_to_items = false;
        let bytes = &self.source[rest.clone()];
        for field in fields(bytes) {
            let field = field.map_err(|error| error.at(rest.start))?;
            if envelope.child(field.number, self.signal).is_some() {
                leads_to_items = true;
            } else {
                head.extend_from_slice(&bytes[field.start..field.end]);
            }
        }
        if leads_to_items {
            self.path.push(Level { envelope, number, rest, head, len_at: 0, content: 0 });
        } else {
            self.spare.push(head);
        }
        Ok(leads_to_items)
    }

    /// Goes out of the innermost envelope.
    fn leave(&mut self) {
        if self.open == self.path.len() {
            self.close();
        }
        self.spare.extend(self.path.pop().map(|level| level.head));
    }

    /// Whether the part must end before field `number` with a payload of `len` bytes is added.
    fn is_full(&self, number: u32, len: usize, items: usize) -> bool {
        let heads: usize = self.path.iter().map(|level| level.head.len()).sum();
        let too_long = || heads <= self.max_bytes / 2 && self.len_with(number, len) > self.max_bytes;
        self.open > 0 && (self.items + items > self.max_items.max(1) || too_long())
    }

    /// Adds an item, or an envelope that holds none, inside the current path.
    fn leaf(&mut self, number: u32, payload: Range<usize>, items: usize) {
        for (depth, level) in self.path.iter_mut().enumerate().skip(self.open) {
            if depth > 0 {
                put_tag(&mut self.out, level.number, WireType::Len);
                level.len_at = self.out.len();
                self.out.push(0);
            }
            self.out.extend_from_slice(&level.head);
            level.content = level.head.len();
        }
        self.open = self.path.len();
        if let Some(level) = self.path.last_mut() {
            level.content += field_len(number, payload.len());
        }
        put_len(&mut self.out, number, &self.source[payload]);
        self.items += items;
    }

    /// Length of the part if field `number` with a payload of `len` bytes were added inside the current path.
    fn len_with(&self, number: u32, len: usize) -> usize {
        let (mut number, mut len) = (number, len);
        for (depth, level) in self.path.iter().enumerate().rev() {
            let content = if depth < self.open { level.content } else { level.head.len() };
            len = content + field_len(number, len);
            number = level.number;
        }
        len
    }

    /// Ends the innermost open level in the part.
    fn close(&mut self) {
        self.open -= 1;
        let level = &self.path[self.open];
        let (number, content) = (level.number, level.content);
        if self.open > 0 {
            patch_len(&mut self.out, level.len_at, 1, content);
            self.path[self.open - 1].content += field_len(number, content);
        }
    }

    /// Ends the part.
    fn finish(&mut self) -> Bytes {
        while self.open > 0 {
            self.close();
        }
        self.items = 0;
        let next = Vec::with_capacity(self.out.len());
        Bytes::from(std::mem::replace(&mut self.out, next))
    }
}
