//! The spine on disk: the journal, behind the same trait as the log in memory.
//!
//! The journal knows bytes, signals by number and items by count. What a batch is beyond that goes into each record's context
//! (`context`); what moves is told to the ledger (`books`). A reader that keeps up gets the very batch that was appended,
//! from the journal's tail; one that lags gets it from disk, without what only the receiver knew.

mod append;
mod books;
mod context;
mod letters;
mod metrics;
mod records;
mod replay;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_journal::threads::{Running, run};
use sluice_journal::vfs::{DiskPage, Vfs};
use sluice_journal::{Config, Dest, DestSpec, Journal, Parts, Quota, Recovered};
use sluice_net::{Page, PageSource};
use sluice_pdata::pass::Reason;

use super::{
    Advance, Again, Backlog, Completion, Confirmations, CursorRule, Destination, DestinationSpec, Entry, Letter,
    OnQuota, ReadLimit, Record, Role, RouteSet, Seq, SeqRange, Spine, Unparked, Waiting,
};
use crate::BoxFuture;
use crate::admission::{Class, MemBudget, Reservation};
use crate::blocks::DeadLetter;
use crate::clock::{Clock, Monotonic};
use crate::context::Tenant;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::outcome::{Refusal, SizeLimit};
use crate::processor::Sizer;
use crate::telemetry::Telemetry;

use books::Books;

pub use replay::{Worked, replay, tenant};

/// After a read error, the disk is left alone for this long.
const READ_AGAIN: Duration = Duration::from_millis(250);

/// The log on disk. Clones share it.
#[derive(Clone)]
pub struct DurableSpine(Arc<Shared>);

struct Shared {
    running: Running,
    books: Arc<Books>,
    memory: MemBudget,
    clock: Arc<dyn Clock>,
    max_record: u64,
    /// Held for the journal's tail.
    _tail: Option<Reservation>,
    /// When a destination may touch the disk again.
    paused: Mutex<BTreeMap<u8, Monotonic>>,
    /// The destinations as configured, for their metrics.
    shown: Arc<Mutex<Vec<DestinationSpec>>>,
}

/// What a durable spine is made of.
pub struct Surroundings<'a> {
    /// Of the journal, in its metrics.
    pub name: &'a str,
    pub memory: MemBudget,
    pub clock: Arc<dyn Clock>,
    pub ledger: &'a Ledger,
    pub telemetry: &'a Telemetry,
}

impl DurableSpine {
    /// Opens the journal in a directory and starts its threads.
    ///
    /// # Errors
    /// What [`Journal::open`] refuses: a directory that is in use, or that a newer version wrote. Damage is none.
    pub fn open(
        vfs: Arc<dyn Vfs>,
        mut config: Config,
        around: Surroundings<'_>,
        destinations: &[DestinationSpec],
    ) -> Result<(Self, Recovered), Error> {
        let Surroundings { name, memory, clock, ledger, telemetry } = around;
        let failed =
            |error: sluice_journal::Error| Error::Caused { context: "journal".to_owned(), source: error.into() };
        config.tail_bytes = config.tail_bytes.min(memory.class_limit(Class::TailCache));
        let tail = memory.try_reserve(Class::TailCache, config.tail_bytes);
        if tail.is_none() {
            config.tail_bytes = 0;
        }
        let max_record = config.max_record();
        let books = Arc::new(Books::new(ledger.clone(), name, telemetry));
        let parts = Parts {
            vfs,
            clock: Arc::new(sluice_journal::clock::SystemClock::new()),
            rng: Arc::new(sluice_journal::rng::SystemRng),
            observer: Arc::clone(&books) as Arc<dyn sluice_journal::observer::Observer>,
            config,
        };
        let shown = Arc::new(Mutex::new(destinations.to_vec()));
        let (journal, recovered) = Journal::open(parts, &specs(destinations)).map_err(failed)?;
        books.attach(&journal);
        books.restore_letters(&journal).map_err(failed)?;
        let running =
            run(journal).map_err(|error| Error::Caused { context: "journal".into(), source: error.into() })?;
        metrics::publish(running.journal(), name, Arc::clone(&clock), telemetry);
        metrics::publish_queues(running.journal(), telemetry, Arc::clone(&clock), Arc::clone(&shown));
        let paused = Mutex::default();
        let shared = Shared { running, books, memory, clock, max_record, _tail: tail, paused, shown };
        Ok((DurableSpine(Arc::new(shared)), recovered))
    }

    /// Takes over other destinations, at a reload. One of a known name keeps its backlog; one that is gone keeps it, too, for
    /// the time of grace.
    ///
    /// # Errors
    /// Too many destinations, or a cursor that cannot be made.
    pub fn configure(&self, destinations: &[DestinationSpec]) -> Result<(), Error> {
        let failed =
            |error: sluice_journal::Error| Error::Caused { context: "journal".to_owned(), source: error.into() };
        self.journal().configure(&specs(destinations)).map_err(failed)?;
        self.0.books.attach(self.journal());
        *self.0.shown.lock().unwrap_or_else(PoisonError::into_inner) = destinations.to_vec();
        Ok(())
    }

    /// The journal: for its dead letters, its metrics, and the queue commands.
    pub fn journal(&self) -> &Journal {
        self.0.running.journal()
    }

    /// The index of a destination.
    pub fn destination(&self, name: &str) -> Option<Destination> {
        self.journal().destination(name).map(|dest| Destination(dest.0))
    }

    /// Writes what waits, saves cursors and stops. What is not delivered is there at the next start.
    ///
    /// # Errors
    /// I/O; the journal is then as after a crash, and nothing acknowledged is lost.
    pub fn close(&self) -> Result<(), Error> {
        self.0
            .running
            .stop()
            .map_err(|error| Error::Caused { context: "stop the journal".to_owned(), source: error.into() })
    }
}

impl Shared {
    fn journal(&self) -> &Journal {
        self.running.journal()
    }

    fn complete(&self, destination: Destination, seq: Seq, completion: &Completion) {
        complete(self.journal(), &self.books, destination, seq, completion);
    }

    /// An entry as it was appended. `None` for a record that this version cannot have written.
    fn restore(&self, entry: &sluice_journal::Entry) -> Option<Entry> {
        let batch = records::restore(entry, &self.clock, &self.books)?;
        // From disk it is memory of its own; what is in the tail is paid for.
        let bytes = if entry.attachment.is_some() { 0 } else { entry.payload.len() as u64 };
        let hold = self.memory.try_reserve(Class::Export, bytes);
        let arrival = batch.context().arrival;
        Some(Entry::new(Seq(entry.seq), batch, arrival, Box::new(hold)))
    }

    /// Until when a destination leaves the disk alone.
    fn paused(&self, destination: Destination) -> Option<Monotonic> {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        paused.get(&destination.0).copied().filter(|&until| until > self.clock.now())
    }
}

fn complete(journal: &Journal, books: &Books, destination: Destination, seq: Seq, completion: &Completion) {
    let mut was_due = false;
    journal.complete(Dest(destination.0), seq.0, |moved, backlog| {
        was_due = true;
        books.completed(destination, moved, completion, backlog);
    });
    if was_due {
        books.confirmations.completed(destination, seq, completion);
    }
}

impl Spine for DurableSpine {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<Option<SeqRange>, Refusal>> {
        self.write(None, records)
    }

    fn append_awaited(&self, records: Vec<Record>, awaited: RouteSet) -> BoxFuture<'static, Result<Waiting, Refusal>> {
        self.write_awaited(records, awaited)
    }

    fn pages(&self) -> Option<PageSource> {
        Some(|| Some(Box::new(DiskPage::new()?) as Box<dyn Page>))
    }

    fn confirmations(&self) -> &Confirmations {
        &self.0.books.confirmations
    }

    fn name(&self, destination: Destination) -> Arc<str> {
        self.0.books.name(destination).unwrap_or_else(|| Arc::from(""))
    }

    fn commit(
        &self,
        done: Vec<Advance>,
        derived: Vec<Record>,
    ) -> BoxFuture<'static, Result<Option<SeqRange>, Refusal>> {
        self.write(Some(done), derived)
    }

    fn read(&self, destination: Destination, limit: ReadLimit) -> Vec<Entry> {
        if self.0.paused(destination).is_some() {
            return Vec::new();
        }
        let limit = sluice_journal::ReadLimit { records: limit.records, items: limit.items, bytes: limit.bytes };
        let entries = match self.journal().read(Dest(destination.0), limit) {
            Ok(entries) => entries,
            Err(sluice_journal::Error::UnknownDestination) => return Vec::new(),
            Err(error) => {
                tracing::warn!(destination = self.0.books.name(destination).as_deref(), "cannot read: {error}");
                let until = self.0.clock.now() + READ_AGAIN;
                self.0.paused.lock().unwrap_or_else(PoisonError::into_inner).insert(destination.0, until);
                return Vec::new();
            }
        };
        let mut read = Vec::with_capacity(entries.len());
        for entry in entries {
            if entry.condemned {
                self.0.condemn(destination, &entry);
                continue;
            }
            match self.0.restore(&entry) {
                Some(restored) => read.push(restored),
                // Its checksum is right, so a program wrote it that knew other signals.
                None => {
                    let lost = Completion::dropped(crate::ledger::reasons::CORRUPT, entry.items as usize);
                    self.0.complete(destination, Seq(entry.seq), &lost);
                }
            }
        }
        read
    }

    fn read_again(&self, destination: Destination, range: SeqRange, limit: ReadLimit) -> Option<Again> {
        let limit = sluice_journal::ReadLimit { records: limit.records, items: limit.items, bytes: limit.bytes };
        match self.journal().read_again(Dest(destination.0), range.first.0, range.last.0, limit) {
            Ok((entries, through)) => {
                let entries = entries.iter().filter_map(|entry| self.0.restore(entry)).collect();
                Some(Again { entries, through: Seq(through) })
            }
            Err(error) => {
                tracing::warn!(destination = self.0.books.name(destination).as_deref(), "cannot read again: {error}");
                None
            }
        }
    }

    fn readable(&self, destination: Destination) -> BoxFuture<'static, ()> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let notify = shared.books.readable_of(destination);
            loop {
                if let Some(until) = shared.paused(destination) {
                    shared.clock.sleep_until(until).await;
                }
                let mut appended = std::pin::pin!(notify.notified());
                // Registered before looking, so that an append in between is not missed.
                appended.as_mut().enable();
                if shared.journal().has_unread(Dest(destination.0)) {
                    return;
                }
                appended.await;
            }
        })
    }

    fn released(&self) -> BoxFuture<'static, ()> {
        let mut notified = Box::pin(self.0.books.released_of().notified_owned());
        // Registered now, not at the first poll: what is released between a refusal and the wait must not be missed.
        notified.as_mut().enable();
        notified
    }

    fn complete(&self, destination: Destination, seq: Seq, completion: Completion) {
        self.0.complete(destination, seq, &completion);
    }

    fn survived(&self, destination: Destination, range: SeqRange) {
        self.journal().survived(Dest(destination.0), range.first.0, range.last.0);
    }

    fn park(&self, destination: Destination, letters: Vec<Letter>) -> BoxFuture<'static, Result<(), Unparked>> {
        let shared = Arc::clone(&self.0);
        letters::on_a_thread(move || shared.park(destination, letters))
    }

    fn limit_letters(&self, destination: Destination, limits: DeadLetter) -> BoxFuture<'static, ()> {
        let shared = Arc::clone(&self.0);
        let limited = letters::on_a_thread(move || {
            shared.limit_letters(destination, limits);
            Ok(())
        });
        Box::pin(async move { _ = limited.await })
    }

    fn read_blocks(&self, destination: Destination) -> bool {
        self.journal().reads_disk(Dest(destination.0))
    }

    fn discard(&self, destination: Destination, reason: Reason) -> usize {
        let mut items = 0;
        self.journal().discard(Dest(destination.0), |dropped| {
            items = dropped.all_items() as usize;
            self.0.books.discarded(destination, dropped, reason);
        });
        self.0.books.confirmations.gone(destination);
        items
    }

    fn rewind(&self, destination: Destination) {
        self.journal().rewind(Dest(destination.0));
    }

    fn backlog(&self, destination: Destination) -> Backlog {
        let tally = self.journal().backlog(Dest(destination.0));
        let oldest = self.journal().oldest(Dest(destination.0));
        Backlog {
            records: tally.records as usize,
            items: books::by_signal(&tally.items).map(|items| items as usize),
            bytes: tally.bytes as usize,
            oldest: oldest.map(|(seq, ingest_ms)| (Seq(seq), context::arrival(ingest_ms, &*self.0.clock))),
        }
    }

    fn check(&self, routes: RouteSet) -> Result<(), Refusal> {
        self.journal().check(records::routes(routes)).map_err(refusal)
    }

    fn cursor_rule(&self) -> CursorRule {
        CursorRule::Emitted
    }
}

fn specs(destinations: &[DestinationSpec]) -> Vec<DestSpec> {
    let spec = |destination: &DestinationSpec| {
        let sized = |sizer| destination.queue_size.filter(|(_, by)| *by == sizer).map(|(size, _)| size);
        let quota = Quota {
            max_bytes: destination.max_bytes.or(sized(Sizer::Bytes)),
            max_records: sized(Sizer::Requests),
            max_items: sized(Sizer::Items),
            max_age: None,
            on_quota: match destination.on_quota {
                OnQuota::Reject => sluice_journal::OnQuota::Reject,
                OnQuota::DropOldest => sluice_journal::OnQuota::DropOldest,
                OnQuota::DropNewest => sluice_journal::OnQuota::DropNewest,
            },
            // Who writes `queue_size` gets a queue of that size.
            strict: destination.queue_size.is_some(),
        };
        DestSpec { name: destination.name.to_string(), quota, stage: destination.role != Role::Exporter }
    };
    destinations.iter().map(spec).collect()
}

fn refusal(error: sluice_journal::Error) -> Refusal {
    use sluice_journal::Error as Cause;
    match error {
        Cause::QuotaFull(destination) => Refusal::QuotaFull { destination },
        Cause::Full | Cause::QueueFull => Refusal::QueueFull,
        Cause::DrainOnly => Refusal::DrainOnly,
        Cause::TooLarge { size, limit } => Refusal::TooLarge { what: SizeLimit::Record, size, limit },
        Cause::Closed => Refusal::ShuttingDown,
        _ => Refusal::AppendFailed,
    }
}

/// The tenant of a record whose name is not known any more.
fn other() -> Tenant {
    Tenant::new("other")
}

#[cfg(test)]
mod tests;
