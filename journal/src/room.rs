//! Making room for new records at the destinations' quotas; giving up old ones (delivery §3.10).

use std::time::Duration;

use crate::clock::Stamp;
use crate::config::OnQuota;
use crate::error::Error;
use crate::format::Chain;
use crate::format::record::record_size;
use crate::journal::Inner;
use crate::observer::{DropReason, Moved};
use crate::reader::{IfActive, What};
use crate::record::{ReadLimit, Record, Summed};
use crate::route::{Dest, RouteSet};
use crate::tally::Tally;

/// Records given up at a time.
const BATCH: usize = 256;

impl Inner {
    /// Refuses the records, or makes room for them, or takes a destination out of their routes. `ahead` is what is about to
    /// be written before them.
    pub(crate) fn make_room(&self, chain: Chain, records: &mut Vec<Summed>, ahead: &Tally) -> Result<(), Error> {
        let all = records.iter().fold(RouteSet::EMPTY, |all, summed| all.union(summed.record.routes));
        {
            let state = self.lock();
            let mut more = *ahead;
            records.iter().for_each(|summed| more.add(&tally(&summed.record)));
            state.check(&self.config, all, &more, chain)?;
        }
        for dest in all.iter() {
            self.make_lossy_room(dest, records);
        }
        records.retain(|summed| !summed.record.routes.is_empty());
        Ok(())
    }

    fn make_lossy_room(&self, dest: Dest, records: &mut [Summed]) {
        let mut ahead = Tally::default();
        for record in records.iter_mut().map(|summed| &mut summed.record).filter(|record| record.routes.contains(dest))
        {
            let mut more = ahead;
            more.add(&tally(record));
            let rule = {
                let state = self.lock();
                let attached = state.dests.get(&dest.0).filter(|dest| dest.detached.is_none());
                let Some(destination) = attached else {
                    // It went away between the pass and the append.
                    record.routes = record.routes.without(dest);
                    continue;
                };
                if !state.over_quota(&self.config, destination, &more) {
                    ahead = more;
                    continue;
                }
                destination.spec.quota.on_quota
            };
            if rule == OnQuota::Reject {
                // Beyond a quota that is not enforced while there is room.
                ahead = more;
                continue;
            }
            if rule == OnQuota::DropOldest && self.evict(dest, &more) {
                ahead = more;
                continue;
            }
            record.routes = record.routes.without(dest);
            let state = self.lock();
            if let Some(destination) = state.dests.get(&dest.0) {
                let moved = Moved { signal: record.signal, items: u64::from(record.items), tenant: record.tenant };
                self.observer.routed(dest, moved, &destination.backlog.items);
                self.observer.dropped(dest, moved, DropReason::QuotaNewest, &destination.backlog.items);
            }
        }
    }

    /// Drops the oldest records that were not handed out, until `more` fits. For the writer, in the middle of a group. `false` if it does not fit all the same.
    fn evict(&self, dest: Dest, more: &Tally) -> bool {
        loop {
            {
                let state = self.lock();
                let Some(destination) = state.dests.get(&dest.0) else { return false };
                if !state.over_quota(&self.config, destination, more) {
                    return true;
                }
            }
            if self.give_up(dest, 1, DropReason::QuotaOldest, IfActive::Leave, |_| true) == 0 {
                return false;
            }
        }
    }

    /// Drops records that are too old.
    pub(crate) fn expire(&self, now: &Stamp) {
        let limits: Vec<(Dest, Duration)> = {
            let state = self.lock();
            state.dests.values().filter_map(|dest| Some((dest.index, dest.spec.quota.max_age?))).collect()
        };
        for (dest, max_age) in limits {
            let oldest = now.wall_ms().saturating_sub(u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX));
            while self.give_up(dest, BATCH, DropReason::MaxAge, IfActive::Seal, |ingest_ms| ingest_ms < oldest) == BATCH
            {
            }
        }
    }

    /// Drops up to `most` of the oldest records that were not handed out, as long as `is_due` says so of the time they came
    /// in. Gives their number.
    fn give_up(
        &self,
        dest: Dest,
        most: usize,
        reason: DropReason,
        if_active: IfActive,
        is_due: impl Fn(u64) -> bool,
    ) -> usize {
        let (from, upto, epoch) = {
            let state = self.lock();
            let Some(destination) = state.dests.get(&dest.0) else { return 0 };
            (destination.read_from, state.durable, destination.epoch)
        };
        let limit = ReadLimit { records: most, items: usize::MAX, bytes: usize::MAX };
        // What cannot be read now is not given up now.
        let Ok((found, _)) = self.look(dest, from, upto, limit, What::Headers, if_active) else { return 0 };
        let mut state = self.lock();
        let Some(destination) = state.dests.get_mut(&dest.0) else { return 0 };
        if destination.epoch != epoch || destination.read_from != from {
            return 0;
        }
        let mut dropped = 0;
        for found in found.iter().take_while(|found| is_due(found.held.ingest_ms)) {
            destination.finish(found.entry.seq, &found.held);
            destination.passed(found.entry.seq);
            let moved =
                Moved { signal: found.held.signal, items: u64::from(found.held.items), tenant: found.held.tenant };
            self.observer.dropped(dest, moved, reason, &destination.backlog.items);
            dropped += 1;
        }
        if dropped > 0 {
            destination.epoch += 1;
        }
        dropped
    }
}

/// What a record will cost.
fn tally(record: &Record) -> Tally {
    Tally::one(record.signal, record.items, record_size(record.data_len()))
}
