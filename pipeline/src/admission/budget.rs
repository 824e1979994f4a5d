//! The budget: one total, divided into classes, kept in atomics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::outcome::{Refusal, SizeLimit};
use crate::telemetry::Telemetry;

/// Longest wait for a reservation.
const WAIT: Duration = Duration::from_millis(50);

/// Most of the evictable cache of recent records.
const TAIL_CACHE_BYTES: u64 = 64 << 20;

/// What memory is reserved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Buffers of accepted connections.
    Connections,
    /// Request bodies as they came, and what they inflate to.
    Bodies,
    /// Records on their way to the journal's writer.
    CommitQueue,
    /// The log of the memory modes (delivery §3.11).
    Log,
    /// Recent records kept for readers that keep up.
    TailCache,
    /// What exporters build: conversions, compressed bodies.
    Export,
    /// What stages hold.
    State,
    /// Self-telemetry and the admin API.
    Own,
}

impl Class {
    /// All classes.
    pub const ALL: [Class; 8] = [
        Class::Connections,
        Class::Bodies,
        Class::CommitQueue,
        Class::Log,
        Class::TailCache,
        Class::Export,
        Class::State,
        Class::Own,
    ];

    /// The `class` label.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Connections => "connections",
            Class::Bodies => "bodies",
            Class::CommitQueue => "commit_queue",
            Class::Log => "log",
            Class::TailCache => "tail_cache",
            Class::Export => "export",
            Class::State => "state",
            Class::Own => "own",
        }
    }

    /// Percent of the budget that nobody else can take, and most percent the class may take.
    const fn shares(self) -> (u64, u64) {
        match self {
            Class::Connections | Class::CommitQueue | Class::TailCache => (0, 15),
            Class::Bodies => (0, 50),
            Class::Log | Class::State => (0, 25),
            Class::Export => (10, 30),
            Class::Own => (2, 5),
        }
    }

    fn floor(self, limit: u64) -> u64 {
        limit / 100 * self.shares().0
    }

    fn cap(self, limit: u64) -> u64 {
        let cap = limit / 100 * self.shares().1;
        if matches!(self, Class::TailCache) { cap.min(TAIL_CACHE_BYTES) } else { cap }
    }
}

/// The memory budget of the process. Clones share it.
///
/// A class within its floor takes from the floor, which is set aside; beyond, from what is left of the budget. So a class
/// with a floor can work when everything else is full: what is held can always be drained.
#[derive(Clone)]
pub struct MemBudget(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    limit: AtomicU64,
    /// Bodies are refused above this total.
    soft: AtomicU64,
    /// Bodies are refused altogether: resident memory is too near its limit.
    pressed: AtomicBool,
    classes: [Counters; Class::ALL.len()],
    waiting: AtomicUsize,
    released: Notify,
}

#[derive(Default)]
struct Counters {
    used: AtomicU64,
    refused: AtomicU64,
}

impl MemBudget {
    /// A budget of `limit` bytes of which bodies may use the whole.
    pub fn new(limit: u64, clock: Arc<dyn Clock>) -> Self {
        MemBudget(Arc::new(Inner {
            clock,
            limit: AtomicU64::new(limit),
            soft: AtomicU64::new(limit),
            pressed: AtomicBool::new(false),
            classes: Default::default(),
            waiting: AtomicUsize::new(0),
            released: Notify::new(),
        }))
    }

    /// Sets the budget and the total from which on new bodies are refused; what is reserved stays.
    pub fn set_limits(&self, limit: u64, soft: u64) {
        self.0.limit.store(limit, Ordering::Relaxed);
        self.0.soft.store(soft.min(limit), Ordering::Relaxed);
        self.0.released.notify_waiters();
    }

    /// Refuses new bodies, or takes them again.
    pub fn set_pressed(&self, pressed: bool) {
        self.0.pressed.store(pressed, Ordering::Relaxed);
        if !pressed {
            self.0.released.notify_waiters();
        }
    }

    /// The whole budget, in bytes.
    pub fn limit(&self) -> u64 {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// Most that one class can ever have.
    pub fn class_limit(&self, class: Class) -> u64 {
        let cap = class.cap(self.limit());
        if class == Class::Bodies { cap.min(self.0.soft.load(Ordering::Relaxed)) } else { cap }
    }

    /// Bytes reserved by a class.
    pub fn used(&self, class: Class) -> u64 {
        self.0.classes[class as usize].used.load(Ordering::SeqCst)
    }

    /// Bytes reserved in all.
    pub fn total(&self) -> u64 {
        Class::ALL.iter().map(|&class| self.used(class)).sum()
    }

    /// Reservations refused so far.
    pub fn refused(&self, class: Class) -> u64 {
        self.0.classes[class as usize].refused.load(Ordering::SeqCst)
    }

    /// Publishes `sluice_mem_*` before each scrape.
    pub fn publish(&self, telemetry: &Telemetry) {
        let gauges = Class::ALL.map(|class| {
            let labels = [("class", class.name())];
            let reserved = telemetry.gauge("sluice_mem_reserved_bytes", &labels);
            let limit = telemetry.gauge("sluice_mem_limit_bytes", &labels);
            (class, reserved, limit, telemetry.counter("sluice_mem_refused_total", &labels))
        });
        let budget = self.clone();
        telemetry.on_scrape(move || {
            for (class, reserved, limit, refused) in &gauges {
                reserved.set(budget.used(*class) as f64);
                limit.set(budget.class_limit(*class) as f64);
                refused.absolute(budget.refused(*class));
            }
        });
    }

    /// Reserves bytes, waiting a bounded time for others to release theirs.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] if the class can never hold that much, [`Refusal::Memory`] if it cannot now.
    pub async fn reserve(&self, class: Class, bytes: u64) -> Result<Reservation, Refusal> {
        let mut reservation = Reservation { budget: self.clone(), class, bytes: 0 };
        reservation.grow(bytes).await?;
        Ok(reservation)
    }

    /// Reserves bytes if they are free now.
    pub fn try_reserve(&self, class: Class, bytes: u64) -> Option<Reservation> {
        self.take(class, bytes).then(|| Reservation { budget: self.clone(), class, bytes })
    }

    fn take(&self, class: Class, bytes: u64) -> bool {
        let inner = &*self.0;
        if class == Class::Bodies {
            let soft = inner.soft.load(Ordering::Relaxed);
            if inner.pressed.load(Ordering::Relaxed) || self.total().saturating_add(bytes) > soft {
                return false;
            }
        }
        let limit = self.limit();
        let cap = class.cap(limit);
        let counter = &inner.classes[class as usize].used;
        let within = |used: u64| used.checked_add(bytes).filter(|&used| used <= cap);
        if counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, within).is_err() {
            return false;
        }
        // Every taker adds before it looks, so two can refuse each other but never both exceed the limit.
        let claimed: u64 = Class::ALL.iter().map(|&class| self.used(class).max(class.floor(limit))).sum();
        if claimed > limit {
            self.give(class, bytes);
            return false;
        }
        true
    }

    fn give(&self, class: Class, bytes: u64) {
        self.0.classes[class as usize].used.fetch_sub(bytes, Ordering::SeqCst);
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            self.0.released.notify_waiters();
        }
    }
}

/// Reserved bytes; released when dropped.
#[must_use]
pub struct Reservation {
    budget: MemBudget,
    class: Class,
    bytes: u64,
}

impl Reservation {
    /// Bytes reserved.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reserves more, waiting a bounded time for others to release theirs. On refusal what was reserved stays.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] if the class can never hold that much, [`Refusal::Memory`] if it cannot now.
    pub async fn grow(&mut self, more: u64) -> Result<(), Refusal> {
        let (size, limit) = (self.bytes.saturating_add(more), self.budget.class_limit(self.class));
        if size > limit {
            return Err(self.refuse(Refusal::TooLarge { what: SizeLimit::Memory, size, limit }));
        }
        if self.try_grow(more) {
            return Ok(());
        }
        let inner = Arc::clone(&self.budget.0);
        let mut timeout = inner.clock.sleep(WAIT);
        let _waiting = Waiting::enter(&inner.waiting);
        loop {
            let mut released = std::pin::pin!(inner.released.notified());
            // Registered before trying, so that a release in between is not missed.
            released.as_mut().enable();
            if self.try_grow(more) {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = &mut timeout => return Err(self.refuse(Refusal::Memory)),
                () = released => {}
            }
        }
    }

    /// Reserves more if it is free now.
    pub fn try_grow(&mut self, more: u64) -> bool {
        let taken = self.budget.take(self.class, more);
        if taken {
            self.bytes += more;
        }
        taken
    }

    /// Releases what is beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        if let Some(less) = self.bytes.checked_sub(bytes) {
            self.bytes = bytes;
            self.budget.give(self.class, less);
        }
    }

    fn refuse(&self, refusal: Refusal) -> Refusal {
        self.budget.0.classes[self.class as usize].refused.fetch_add(1, Ordering::Relaxed);
        refusal
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// Counts a waiter for as long as it lives, also if its future is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
