//! The queues of the log, under its one lock.

use std::sync::Arc;

use sluice_pdata::pass::Reason;
use tokio::sync::Notify;

use super::metrics::Shown;
use super::queue::Queue;
use super::quota::{Quota, Usage};
use super::{Charge, Origin};
use crate::error::Error;
use crate::ledger::{Ledger, reasons};
use crate::outcome::Refusal;
use crate::spine::{
    Backlog, Completion, Destination, DestinationSpec, Entry, OnQuota, ReadLimit, Record, RouteSet, Seq, SeqRange,
};

/// Destinations that a route set can name.
const MAX_DESTINATIONS: usize = 256;

#[derive(Default)]
pub(super) struct Log {
    next: u64,
    queues: Vec<Queue>,
}

impl Log {
    /// Sets the destinations; gives back those that are gone, and their entries.
    pub(super) fn configure(
        &mut self,
        capacities: [u64; 2],
        specs: &[DestinationSpec],
        ledger: &Ledger,
    ) -> Result<(RouteSet, Vec<Entry>), Error> {
        let shares = self.check_specs(capacities, specs)?;
        let (mut detached, mut gone) = (RouteSet::EMPTY, Vec::new());
        for (index, queue) in (0..=u8::MAX).zip(&mut self.queues) {
            if !named(specs, &queue.name) && !queue.detached {
                queue.detached = true;
                detached = detached.with(Destination(index));
                gone.extend(queue.clear(reasons::DETACHED_DESTINATION));
                // Whoever waits for its entries finds out that it is gone.
                queue.notify.notify_waiters();
            }
        }
        for spec in specs {
            self.add(spec, shares, ledger);
            if let Some(index) = self.position(&spec.name) {
                self.queues[index].quota = Quota::new(spec, shares);
            }
        }
        Ok((detached, gone))
    }

    /// Adds the destinations that are not there.
    pub(super) fn attach(
        &mut self,
        capacities: [u64; 2],
        specs: &[DestinationSpec],
        ledger: &Ledger,
    ) -> Result<(), Error> {
        let shares = self.check_specs(capacities, specs)?;
        specs.iter().for_each(|spec| self.add(spec, shares, ledger));
        Ok(())
    }

    /// Whether these destinations have room; what each gets whose quota is not written.
    fn check_specs(&self, capacities: [u64; 2], specs: &[DestinationSpec]) -> Result<[u64; 2], Error> {
        let fresh = specs.iter().filter(|spec| self.position(&spec.name).is_none()).count();
        let reusable = self.queues.iter().filter(|queue| queue.detached && !named(specs, &queue.name)).count();
        if self.queues.len() + fresh.saturating_sub(reusable) > MAX_DESTINATIONS {
            return Err(Error::config(format!("more than {MAX_DESTINATIONS} exporters and stages")));
        }
        shares(capacities, specs)
    }

    /// Makes the queue of a destination, unless it is there.
    fn add(&mut self, spec: &DestinationSpec, shares: [u64; 2], ledger: &Ledger) {
        let quota = Quota::new(spec, shares);
        if let Some(index) = self.position(&spec.name) {
            let queue = &mut self.queues[index];
            if queue.detached {
                (queue.quota, queue.detached) = (quota, false);
            }
            return;
        }
        let queue = Queue::new(&spec.name, quota, ledger.destination(&spec.name));
        // Nothing refers to a detached queue's entries, so its index is free.
        match self.queues.iter().position(|queue| queue.detached) {
            Some(index) => self.queues[index] = queue,
            None => self.queues.push(queue),
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.queues.iter().position(|queue| *queue.name == *name)
    }

    pub(super) fn find(&self, name: &str) -> Option<Destination> {
        let index = self.position(name).filter(|&index| !self.queues[index].detached)?;
        u8::try_from(index).ok().map(Destination)
    }

    pub(super) fn name(&self, destination: Destination) -> Arc<str> {
        let queue = self.queues.get(usize::from(destination.0));
        queue.map_or_else(|| Arc::from(""), |queue| Arc::clone(&queue.name))
    }

    fn queue(&mut self, destination: Destination) -> Option<&mut Queue> {
        self.queues.get_mut(usize::from(destination.0)).filter(|queue| !queue.detached)
    }

    /// Makes room for the records at each destination, as its quota says: refuses all of them before anything is touched, or
    /// evicts old entries into `freed`, or takes the destination out of a record's routes.
    pub(super) fn make_room(
        &mut self,
        origin: Origin,
        records: &mut Vec<Record>,
        freed: &mut Vec<Entry>,
    ) -> Result<(), Refusal> {
        let all = records.iter().fold(RouteSet::EMPTY, |all, record| all.union(record.routes));
        for destination in all.iter() {
            let Some(queue) = self.queue(destination) else { continue };
            let mut more = Usage::default();
            records.iter().filter(|r| r.routes.contains(destination)).for_each(|record| more.add(&record.batch));
            if queue.quota.on_quota == OnQuota::Reject && !queue.fits(origin, &more) {
                return Err(queue.quota.refusal(origin as usize, &queue.name, &more));
            }
        }
        for destination in all.iter() {
            self.make_lossy_room(origin, destination, records, freed);
        }
        records.retain(|record| !record.routes.is_empty());
        Ok(())
    }

    fn make_lossy_room(
        &mut self,
        origin: Origin,
        destination: Destination,
        records: &mut [Record],
        freed: &mut Vec<Entry>,
    ) {
        let Some(queue) = self.queues.get_mut(usize::from(destination.0)) else { return };
        if queue.detached {
            // It went away between the pass and the append.
            queue.refuse_all(destination, records);
            return;
        }
        let mut more = Usage::default();
        for record in records.iter_mut().filter(|record| record.routes.contains(destination)) {
            let mut with = more;
            with.add(&record.batch);
            while queue.quota.on_quota == OnQuota::DropOldest && !queue.fits(origin, &with) {
                match queue.evict(origin) {
                    Some(entry) => freed.push(entry),
                    None => break,
                }
            }
            if queue.fits(origin, &with) {
                more = with;
                continue;
            }
            queue.turn_away(destination, record, reasons::QUOTA_DROP_NEWEST);
        }
    }

    /// Queues the records, each with its charge, for the destinations they are routed to.
    pub(super) fn push(&mut self, origin: Origin, records: Vec<Record>, charges: Vec<Charge>) -> Option<SeqRange> {
        let first = Seq(self.next);
        for (record, charge) in records.into_iter().zip(charges) {
            let ingest = record.batch.context().arrival;
            let entry = Entry::new(Seq(self.next), record.batch, ingest, Box::new(charge));
            self.next += 1;
            for destination in record.routes.iter() {
                if let Some(queue) = self.queue(destination) {
                    queue.push(entry.clone(), origin);
                }
            }
        }
        (self.next > first.0).then(|| SeqRange { first, last: Seq(self.next - 1) })
    }

    pub(super) fn read(&mut self, destination: Destination, limit: ReadLimit) -> Vec<Entry> {
        let Some(queue) = self.queue(destination) else { return Vec::new() };
        let mut read: Vec<Entry> = Vec::new();
        let (mut items, mut bytes) = (0, 0);
        while let Some(queued) = queue.unread.front() {
            let batch = queued.entry.batch();
            (items, bytes) = (items + batch.items(), bytes + batch.bytes().len());
            let over = read.len() >= limit.records || items > limit.items || bytes > limit.bytes;
            if over && !read.is_empty() {
                break;
            }
            if let Some(queued) = queue.unread.pop_front() {
                read.push(queued.entry.clone());
                queue.in_flight.insert(queued.entry.seq(), queued);
            }
        }
        read
    }

    /// What was handed out of a range, and is not completed.
    pub(super) fn read_again(&mut self, destination: Destination, range: SeqRange) -> Vec<Entry> {
        let Some(queue) = self.queue(destination) else { return Vec::new() };
        queue.in_flight.range(range.first..=range.last).map(|(_, queued)| queued.entry.clone()).collect()
    }

    pub(super) fn has_unread(&mut self, destination: Destination) -> bool {
        self.queue(destination).is_some_and(|queue| !queue.unread.is_empty())
    }

    /// Sequence and items of what was not handed out.
    #[cfg(test)]
    pub(super) fn unread(&mut self, destination: Destination) -> std::collections::BTreeMap<Seq, usize> {
        let queue = self.queue(destination).into_iter();
        let entries = queue.flat_map(|queue| queue.unread.iter().map(|queued| &queued.entry));
        entries.map(|entry| (entry.seq(), entry.batch().items())).collect()
    }

    pub(super) fn notify(&mut self, destination: Destination) -> Option<Arc<Notify>> {
        self.queue(destination).map(|queue| Arc::clone(&queue.notify))
    }

    /// Gives back the entry, to be freed outside the lock.
    pub(super) fn complete(&mut self, destination: Destination, seq: Seq, completion: &Completion) -> Option<Entry> {
        let queue = self.queue(destination)?;
        let queued = match queue.in_flight.remove(&seq) {
            Some(queued) => queued,
            None => {
                let index = queue.unread.binary_search_by_key(&seq, |queued| queued.entry.seq()).ok()?;
                queue.unread.remove(index)?
            }
        };
        Some(queue.settle(queued, completion))
    }

    /// Gives back the entries, to be freed outside the lock.
    pub(super) fn withdraw(&mut self, range: SeqRange) -> Vec<Entry> {
        let mut freed = Vec::new();
        self.queues.iter_mut().for_each(|queue| queue.withdraw(range, &mut freed));
        freed
    }

    pub(super) fn discard(&mut self, destination: Destination, reason: Reason) -> Vec<Entry> {
        self.queue(destination).map(|queue| queue.clear(reason)).unwrap_or_default()
    }

    pub(super) fn rewind(&mut self, destination: Destination) {
        let Some(queue) = self.queue(destination) else { return };
        // What was handed out is older than what was not.
        for (_, queued) in std::mem::take(&mut queue.in_flight).into_iter().rev() {
            queue.unread.push_front(queued);
        }
        queue.notify.notify_waiters();
    }

    pub(super) fn backlog(&mut self, destination: Destination) -> Backlog {
        let Some(queue) = self.queue(destination) else { return Backlog::default() };
        let both = queue.both();
        Backlog {
            records: both.records.iter().sum::<u64>() as usize,
            items: both.items.map(|items| items as usize),
            bytes: both.wire_bytes() as usize,
            oldest: queue.oldest().map(|entry| (entry.seq(), entry.ingest())),
        }
    }

    /// Every configured queue, to be shown.
    pub(super) fn queues_shown(&self) -> Vec<Shown> {
        let configured = self.queues.iter().filter(|queue| !queue.detached);
        let shown = configured.map(|queue| Shown {
            name: Arc::clone(&queue.name),
            usage: queue.both(),
            quota: queue.quota.clone(),
            oldest: queue.oldest().map(|entry| entry.ingest().monotonic),
        });
        shown.collect()
    }

    /// Whether a record of no size would be refused.
    pub(super) fn check(&mut self, routes: RouteSet) -> Result<(), Refusal> {
        let least = Usage { records: [1, 0, 0], bytes: super::RECORD_OVERHEAD, ..Usage::default() };
        for destination in routes.iter() {
            let Some(queue) = self.queue(destination) else { continue };
            if queue.quota.on_quota == OnQuota::Reject && !queue.fits(Origin::Received, &least) {
                return Err(Refusal::QuotaFull { destination: queue.name.to_string() });
            }
        }
        Ok(())
    }
}

fn named(specs: &[DestinationSpec], name: &str) -> bool {
    specs.iter().any(|spec| *spec.name == *name)
}

/// What a destination without a written quota gets of each part of the log: an equal share of what is not written. The
/// quotas together never exceed the log, so that nobody's backlog takes another's room.
fn shares(capacities: [u64; 2], specs: &[DestinationSpec]) -> Result<[u64; 2], Error> {
    let written: u64 = specs.iter().filter_map(|spec| spec.max_bytes).fold(0, u64::saturating_add);
    let unwritten = specs.iter().filter(|spec| spec.max_bytes.is_none()).count() as u64;
    match capacities[0].checked_sub(written) {
        Some(rest) if rest > 0 || unwritten == 0 => {
            Ok([rest / unwritten.max(1), capacities[1] / (specs.len() as u64).max(1)])
        }
        _ => {
            let text = format!(
                "`max_bytes` of all destinations ({written} bytes) must leave room in the log of {} bytes",
                capacities[0]
            );
            Err(Error::Config { path: "sending_queue::max_bytes".to_owned(), text })
        }
    }
}
