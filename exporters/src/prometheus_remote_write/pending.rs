//! Payloads that are on their way: what is encoded and not yet taken, and the account of what was.
//!
//! A payload may give several requests, and any of them may have to be sent again. What is left is kept from one attempt to
//! the next, so that a retry sends the same bytes and nothing that was answered is sent twice.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use sluice_pdata::pass::Reason;
use sluice_pipeline::exporter::Payload;
use sluice_pipeline::send::RefusedItems;
use sluice_pipeline::spine::SeqRange;

use super::series::{Converted, Drops, Request};
use super::version::Version;

/// Payloads that are remembered; beyond, the oldest is forgotten and, if it comes again, converted anew.
const MAX_PENDING: usize = 16;

/// One payload under way.
pub struct Pending {
    key: Key,
    pub version: Version,
    pub requests: VecDeque<Request>,
    /// What was dropped behind the last request.
    rest: Drops,
    /// What was dropped before the first of the requests, by the translation or by the endpoint.
    pub drops: Drops,
    /// What the endpoint refused for good, and nothing of it was written.
    pub refused: Vec<RefusedItems>,
    /// Data points at the front of the payload that are done with.
    pub through: usize,
}

/// What makes a payload the same as before. Holding the bytes keeps their address from being used again.
#[derive(Clone)]
struct Key {
    range: SeqRange,
    items: usize,
    parts: Vec<Bytes>,
}

impl Key {
    fn of(payload: &Payload) -> Self {
        Key { range: payload.range, items: payload.items, parts: payload.parts.to_vec() }
    }

    fn is_of(&self, payload: &Payload) -> bool {
        let same = |(a, b): (&Bytes, &Bytes)| a.as_ptr() == b.as_ptr() && a.len() == b.len();
        self.range == payload.range
            && self.items == payload.items
            && self.parts.len() == payload.parts.len()
            && self.parts.iter().zip(&payload.parts).all(same)
    }
}

impl Pending {
    /// A payload just converted.
    pub fn new(payload: &Payload, version: Version, converted: Converted) -> Self {
        Pending {
            key: Key::of(payload),
            version,
            requests: converted.requests.into(),
            rest: converted.drops,
            drops: Drops::default(),
            refused: Vec::new(),
            through: 0,
        }
    }

    /// Replaces what is left by what a new conversion gave.
    pub fn replace(&mut self, version: Version, converted: Converted) {
        self.version = version;
        self.requests = converted.requests.into();
        self.rest = converted.drops;
    }

    /// The first request is done with.
    pub fn advance(&mut self) {
        if let Some(request) = self.requests.pop_front() {
            self.through = self.through.max(request.through);
            request.drops.iter().for_each(|(reason, points)| self.drops.add(reason, points));
        }
    }

    /// The first request was refused for good, whole. What was dropped on its way is refused with it: it is all kept as it came.
    pub fn refuse(&mut self, reason: Reason, message: &str) {
        let Some(request) = self.requests.pop_front() else { return };
        let items = self.through..request.through.max(self.through);
        self.through = items.end;
        match self.refused.last_mut() {
            // A data point over several requests is done with in the last of them.
            _ if items.is_empty() => {}
            Some(last) if last.items.end == items.start && last.reason == reason => last.items.end = items.end,
            _ => self.refused.push(RefusedItems { items, reason, message: message.to_owned() }),
        }
    }

    /// All that was dropped, once no request is left.
    pub fn all_drops(&self) -> Drops {
        let mut all = self.drops.clone();
        self.rest.iter().for_each(|(reason, points)| all.add(reason, points));
        all
    }
}

/// The payloads under way.
#[derive(Default)]
pub struct PendingPayloads(Mutex<VecDeque<Pending>>);

impl PendingPayloads {
    /// Takes a payload that was left unfinished.
    pub fn take(&self, payload: &Payload) -> Option<Pending> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|pending| pending.key.is_of(payload))?;
        all.remove(at)
    }

    fn put(&self, pending: Pending) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_PENDING {
            all.pop_front();
        }
        all.push_back(pending);
    }

    /// Holds a payload; unless it is finished, it is kept when the guard is dropped, for whatever reason.
    pub fn hold(&self, pending: Pending) -> Held<'_> {
        Held { all: self, pending: Some(pending) }
    }
}

/// See [`PendingPayloads::hold`].
pub struct Held<'p> {
    all: &'p PendingPayloads,
    pending: Option<Pending>,
}

impl Held<'_> {
    /// The payload, until it is finished.
    pub fn get(&mut self) -> Option<&mut Pending> {
        self.pending.as_mut()
    }

    /// Nothing is left to do.
    pub fn finish(mut self) {
        self.pending = None;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.all.put(pending);
        }
    }
}
