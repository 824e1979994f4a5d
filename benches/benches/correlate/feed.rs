//! Requests at a steady rate of virtual time, and the stage that takes them.

use crate::cpu;
use bytes::Bytes;
use sluice_benches::payload::{Body, Shape};
use sluice_benches::signal::Signal as Sent;
use sluice_benches::wire::Content;
use sluice_pdata::Signal;
use sluice_pipeline::batch::{Batch, NoRedaction};
use sluice_pipeline::clock::{Monotonic, WallTime};
use sluice_pipeline::context::Arrival;
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Port, Stage, StageOutput};
use sluice_pipeline::{ComponentId, Context};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Where the virtual clock starts.
const EPOCH: u64 = 1_760_000_000_000_000_000;

/// Different bodies of a signal.
const BODIES: u32 = 16;

/// Spans of a trace, and the requests they are spread over.
const TRACE: u64 = 8;
const SPREAD: u64 = 4;

/// By how many requests logs are ahead of (even ones) or behind (odd ones) their spans, in seconds of virtual time.
const APART_S: u64 = 1;

/// Which logs come with the spans.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logs {
    None,
    /// One for each span, from the same process: half of them a second before their spans, half a second after.
    OneEach,
}

/// Requests, one after the other.
pub(crate) struct Feed {
    spans: Vec<Body>,
    logs: Vec<Body>,
    with: Logs,
    items: u32,
    /// Nanoseconds between two requests of a signal, and requests in [`APART_S`].
    step: u64,
    apart: u64,
    next: u64,
    /// Spans of a trace.
    trace: u64,
    /// When its first request comes; and what its ids are made from, so that no two feeds of a world have one in common.
    start: u64,
    salt: u64,
}

impl Feed {
    /// `rate`: items a second, of both signals together.
    pub(crate) fn new(with: Logs, items: u32, rate: u64) -> Self {
        let bodies = |signal| {
            let shape = Shape { signal, items, drop_share: 0.05, tracked: false };
            (0..BODIES).map(|index| shape.body(index)).collect()
        };
        let rate = if with == Logs::OneEach { rate / 2 } else { rate };
        let step = u64::from(items) * 1_000_000_000 / rate.max(1);
        let apart = APART_S * 1_000_000_000 / step.max(1);
        let (spans, logs) = (bodies(Sent::Traces), bodies(Sent::Logs));
        Feed { spans, logs, with, items, step, apart, next: 0, trace: TRACE, start: EPOCH, salt: 0 }
    }

    /// Spans only, so many to a trace.
    pub(crate) fn spans(items: u32, rate: u64, trace: u64) -> Self {
        Feed { trace, ..Feed::new(Logs::None, items, rate) }
    }

    /// What comes at the next step.
    fn step(&mut self) -> (u64, Vec<(Signal, Bytes)>) {
        let number = self.next;
        self.next += 1;
        let now = self.start + number * self.step;
        let mut requests = vec![(Signal::Traces, self.request(Signal::Traces, number + self.apart, now))];
        if self.with == Logs::OneEach {
            let of = if number.is_multiple_of(2) { number + 2 * self.apart } else { number };
            requests.push((Signal::Logs, self.request(Signal::Logs, of, now)));
        }
        (now, requests)
    }

    /// The request of that number: spans, or logs of exactly those.
    fn request(&self, signal: Signal, number: u64, now: u64) -> Bytes {
        let bodies = if signal == Signal::Logs { &self.logs } else { &self.spans };
        let Body { bytes, slots } = &bodies[(number % u64::from(BODIES)) as usize];
        let mut bytes = bytes.clone();
        let items = u64::from(self.items);
        let traces = (items * SPREAD / self.trace).max(1);
        let mut item = 0;
        for slot in slots {
            let mut write = |new: &[u8]| bytes[slot.at as usize..][..new.len()].copy_from_slice(new);
            match slot.content {
                Content::Time { age } => write(&(now - age).to_le_bytes()),
                Content::TraceId { item: at } => {
                    item = u64::from(at);
                    let trace = self.salt + number / SPREAD * traces + (item + number % SPREAD * items) % traces;
                    write(&mix(trace ^ 0x5eed).to_be_bytes());
                    bytes[slot.at as usize + 8..][..8].copy_from_slice(&mix(trace).to_be_bytes());
                }
                Content::Sent => write(&mix(number * items + item).to_be_bytes()),
                Content::Value { .. } => {}
            }
        }
        bytes.into()
    }
}

/// A number that looks random.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 29).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 32
}

/// A stage, its time, and what went through it.
pub(crate) struct World {
    pub(crate) stage: Box<dyn Stage>,
    seq: u64,
    now: u64,
    pub(crate) cpu: f64,
    pub(crate) absorbed: usize,
    pub(crate) emitted: usize,
    pub(crate) dropped: usize,
    pub(crate) created: usize,
}

impl World {
    pub(crate) fn new(stage: Box<dyn Stage>) -> Self {
        World { stage, seq: 0, now: EPOCH, cpu: 0.0, absorbed: 0, emitted: 0, dropped: 0, created: 0 }
    }

    /// Lets so many seconds of virtual time pass, with what comes in them.
    pub(crate) fn run(&mut self, feed: &mut Feed, seconds: u64) -> Result<(), Box<dyn Error>> {
        let end = self.now + seconds * 1_000_000_000;
        if feed.next == 0 {
            (feed.start, feed.salt) = (self.now, self.seq << 24);
        }
        while self.now < end {
            // Not one by one: the clock is read rarely.
            let mut entries = Vec::new();
            let mut items = 0;
            while items < 2_000 {
                let (now, requests) = feed.step();
                for (signal, bytes) in requests {
                    items += feed.items;
                    entries.push((now, self.entry(signal, bytes, feed.items as usize, now)));
                }
            }
            self.now = entries.last().map_or(end, |(now, _)| *now);
            let begun = cpu()?;
            for (now, (port, entry)) in entries {
                self.take(port, &entry, WallTime(now));
            }
            self.cpu += cpu()? - begun;
        }
        Ok(())
    }

    fn entry(&mut self, signal: Signal, bytes: Bytes, items: usize, now: u64) -> (Port, Entry) {
        let arrival = Arrival { monotonic: Monotonic(Duration::from_nanos(now - EPOCH)), wall: WallTime(now) };
        let context = Context::internal(ComponentId::new("otlp", ""), arrival);
        let batch = Batch::new(signal, bytes, items, Arc::new(context));
        self.seq += 1;
        (
            Port(u16::from(signal == Signal::Logs)),
            Entry::new(Seq(self.seq), NoRedaction.waive(batch), arrival, Box::new(())),
        )
    }

    /// As its driver would.
    fn take(&mut self, port: Port, entry: &Entry, now: WallTime) {
        let mut out = StageOutput::default();
        while self.stage.next_deadline().is_some_and(|due| due <= now) {
            let due = self.stage.next_deadline().unwrap_or(now);
            self.stage.tick(due, &mut out);
            self.count(std::mem::take(&mut out));
        }
        self.stage.absorb(port, entry, now, &mut out);
        self.absorbed += entry.batch().items();
        self.count(out);
    }

    fn count(&mut self, out: StageOutput) {
        self.emitted += out.batches.iter().map(|(_, batch)| batch.items()).sum::<usize>();
        self.dropped += out.dropped.iter().map(|(.., items)| items).sum::<usize>();
        self.created += out.created;
    }

    /// Lets everything go that is held.
    pub(crate) fn drain(&mut self) {
        let mut out = StageOutput::default();
        self.stage.drain(WallTime(self.now), &mut out);
        self.count(out);
    }

    /// Whether every item is accounted for.
    pub(crate) fn verify(&mut self) -> Result<(), Box<dyn Error>> {
        self.drain();
        let held = self.stage.held().items;
        if self.absorbed + self.created == self.emitted + self.dropped + held && held == 0 {
            return Ok(());
        }
        let World { absorbed, created, emitted, dropped, .. } = self;
        Err(format!("{absorbed} absorbed + {created} created, {emitted} emitted + {dropped} dropped + {held} held")
            .into())
    }
}
