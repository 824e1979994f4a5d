//! One destination's queue in the log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use sluice_pdata::pass::Reason;
use tokio::sync::Notify;

use super::Origin;
use super::quota::{Quota, Usage};
use crate::ledger::{DestinationAccount, reasons};
use crate::spine::{Completion, Destination, Entry, Record, Seq, SeqRange};

/// One destination's part: unread entries in order, and those handed out.
pub(super) struct Queue {
    pub(super) name: Arc<str>,
    /// Not configured any more; its index waits for its name to come back.
    pub(super) detached: bool,
    pub(super) quota: Quota,
    pub(super) usage: [Usage; 2],
    pub(super) unread: VecDeque<Queued>,
    pub(super) in_flight: BTreeMap<Seq, Queued>,
    pub(super) notify: Arc<Notify>,
    pub(super) account: Arc<DestinationAccount>,
}

#[derive(Clone)]
pub(super) struct Queued {
    pub(super) entry: Entry,
    pub(super) origin: Origin,
}

impl Queue {
    pub(super) fn new(name: &Arc<str>, quota: Quota, account: Arc<DestinationAccount>) -> Self {
        Queue {
            name: Arc::clone(name),
            detached: false,
            quota,
            usage: Default::default(),
            unread: VecDeque::new(),
            in_flight: BTreeMap::new(),
            notify: Arc::default(),
            account,
        }
    }

    pub(super) fn both(&self) -> Usage {
        let [received, derived] = &self.usage;
        received.plus(derived)
    }

    pub(super) fn oldest(&self) -> Option<&Entry> {
        self.in_flight.values().next().or(self.unread.front()).map(|queued| &queued.entry)
    }

    pub(super) fn backlog_items(&self) -> [u64; 3] {
        std::array::from_fn(|signal| self.usage[0].items[signal] + self.usage[1].items[signal])
    }

    pub(super) fn fits(&self, origin: Origin, more: &Usage) -> bool {
        self.quota.fits(origin as usize, &self.usage[origin as usize], &self.both(), more)
    }

    pub(super) fn push(&mut self, entry: Entry, origin: Origin) {
        let batch = entry.batch();
        self.usage[origin as usize].add(batch);
        self.account.routed(batch.signal(), batch.items(), self.backlog_items());
        self.unread.push_back(Queued { entry, origin });
        self.notify.notify_waiters();
    }

    /// The account of an entry that has left the queue.
    pub(super) fn settle(&mut self, queued: Queued, completion: &Completion) -> Entry {
        let Queued { entry, origin } = queued;
        let batch = entry.batch();
        self.usage[origin as usize].sub(batch);
        self.account.completed(batch.signal(), &batch.context().tenant, completion, self.backlog_items());
        entry
    }

    pub(super) fn drop_entry(&mut self, queued: Queued, reason: Reason) -> Entry {
        let items = queued.entry.batch().items();
        self.settle(queued, &Completion::dropped(reason, items))
    }

    /// The oldest unread entry of one origin goes.
    pub(super) fn evict(&mut self, origin: Origin) -> Option<Entry> {
        let index = self.unread.iter().position(|queued| queued.origin == origin)?;
        let queued = self.unread.remove(index)?;
        Some(self.drop_entry(queued, reasons::QUOTA_DROP_OLDEST))
    }

    /// A record that is kept for others only: counted as one that was dropped at once.
    pub(super) fn turn_away(&self, destination: Destination, record: &mut Record, reason: Reason) {
        record.routes = record.routes.without(destination);
        let batch = &record.batch;
        let completion = Completion::dropped(reason, batch.items());
        let backlog = self.backlog_items();
        self.account.routed(batch.signal(), batch.items(), backlog);
        self.account.completed(batch.signal(), &batch.context().tenant, &completion, backlog);
    }

    pub(super) fn refuse_all(&self, destination: Destination, records: &mut [Record]) {
        let routed = records.iter_mut().filter(|record| record.routes.contains(destination));
        routed.for_each(|record| self.turn_away(destination, record, reasons::DETACHED_DESTINATION));
    }

    /// Gives up what was not handed out of these records, as if it had never been routed here.
    pub(super) fn withdraw(&mut self, range: SeqRange, freed: &mut Vec<Entry>) {
        let first = self.unread.partition_point(|queued| queued.entry.seq() < range.first);
        while let Some(queued) = self.unread.get(first)
            && queued.entry.seq() <= range.last
            && let Some(Queued { entry, origin }) = self.unread.remove(first)
        {
            let batch = entry.batch();
            self.usage[origin as usize].sub(batch);
            self.account.withdrawn(batch.signal(), batch.items(), self.backlog_items());
            freed.push(entry);
        }
    }

    pub(super) fn clear(&mut self, reason: Reason) -> Vec<Entry> {
        let mut queued: Vec<Queued> = std::mem::take(&mut self.in_flight).into_values().collect();
        queued.extend(std::mem::take(&mut self.unread));
        queued.into_iter().map(|queued| self.drop_entry(queued, reason)).collect()
    }
}
