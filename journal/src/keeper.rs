//! Upkeep: everything that is due now and then, apart from writing commit groups.
//!
//! It runs on a thread of its own, so that no append ever waits for it; the simulation calls it step by step. Only cursors are
//! saved by the commit thread, too: between two groups, it is awake anyway.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Stamp;
use crate::cursors::Survive;
use crate::format::{Chain, SegNo};
use crate::journal::Inner;
use crate::observer::{DropReason, Event};

/// Longest a completion stays in memory only (delivery §3.6).
pub(crate) const SAVE_EVERY: Duration = Duration::from_millis(100);
/// Longest it is where a power cut takes it back. What is delivered twice then is bounded by this, and nothing is lost.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Completions after which cursors are saved earlier.
pub(crate) const SAVE_AFTER: u64 = 1000;
/// From this on they are saved in passing.
const SAVE_SOONEST: Duration = Duration::from_millis(70);
/// Between two looks at the clock.
const LEAST_PAUSE: Duration = Duration::from_millis(1);
/// Between two looks at the disk: of a journal that takes records, and of one that waits for room.
const SPACE_EVERY: Duration = Duration::from_secs(1);
const SPACE_AGAIN: Duration = Duration::from_millis(500);
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
const SCRUB_EVERY: Duration = Duration::from_secs(60);
/// Wall clock steps beyond this suspend expiry by age (delivery §9).
const STEP: Duration = Duration::from_secs(60);
const SUSPENDED: Duration = Duration::from_secs(600);
/// Shares of the budget that are warned of, in percent.
const RUNGS: [u8; 3] = [50, 75, 90];

/// What upkeep remembers between its turns.
pub(crate) struct Keeper {
    saved: Stamp,
    synced: Stamp,
    space: Option<Stamp>,
    expired: Stamp,
    scrubbed: Stamp,
    pub scrub_next: SegNo,
    last: Stamp,
    /// No expiry by age before this.
    suspended: Option<Stamp>,
    rung: u8,
    /// Segments that were not worth rewriting, at this backlog.
    pub rejected: HashMap<SegNo, u64>,
    pub ballast: bool,
}

impl Keeper {
    pub(crate) fn new(now: Stamp, ballast: bool) -> Self {
        Keeper {
            saved: now,
            synced: now,
            space: None,
            expired: now,
            scrubbed: now,
            scrub_next: SegNo(0),
            last: now,
            suspended: None,
            rung: 0,
            rejected: HashMap::new(),
            ballast,
        }
    }

    /// Notices steps of the wall clock.
    fn observe(&mut self, now: Stamp) {
        if now.boot == self.last.boot {
            let passed = now.boottime.saturating_sub(self.last.boottime);
            let expected = self.last.wall + passed;
            if expected.abs_diff(now.wall) > STEP {
                self.suspended = Some(now);
            }
        }
        self.last = now;
        if self.suspended.is_some_and(|since| now.since(&since) >= SUSPENDED) {
            self.suspended = None;
        }
    }
}

impl Inner {
    /// Saves cursors for the case of a kill, if that is due soon and no upkeep is under way: whoever is awake anyway spares
    /// the thread a turn of its own. Gives the time until it is due.
    pub(crate) fn save_in_passing(&self) -> Duration {
        let Some(mut keeper) = self.try_keeper() else { return SAVE_EVERY };
        let now = self.clock.now();
        let passed = now.since(&keeper.saved);
        if passed < SAVE_SOONEST {
            return (SAVE_EVERY - passed).max(LEAST_PAUSE);
        }
        keeper.saved = now;
        self.save_cursors(Survive::Kill);
        SAVE_EVERY
    }

    /// One turn of upkeep. Gives the time until the next one is due, if [`Inner::save_in_passing`] is called meanwhile.
    pub(crate) fn keep(&self) -> Duration {
        let mut keeper = self.lock_keeper();
        if self.lock().closed {
            return SPACE_EVERY;
        }
        let now = self.clock.now();
        keeper.observe(now);
        let most = self.lock().dests.values().map(|dest| dest.unsaved).max().unwrap_or(0);
        if now.since(&keeper.synced) >= SYNC_EVERY {
            (keeper.saved, keeper.synced) = (now, now);
            self.save_cursors(Survive::PowerCut);
        } else if now.since(&keeper.saved) >= SAVE_EVERY || most >= SAVE_AFTER {
            keeper.saved = now;
            self.save_cursors(Survive::Kill);
        }
        let looks = keeper.space.is_none_or(|last| now.since(&last) >= self.space_every());
        if looks {
            keeper.space = Some(now);
            self.retire_detached(&now);
        }
        if now.since(&keeper.expired) >= EXPIRE_EVERY {
            keeper.expired = now;
            if keeper.suspended.is_none() {
                self.expire(&now);
            }
            self.expire_dead(&now);
        }
        // First: a segment that is done with is a better spare one than a fresh one.
        self.reclaim();
        if looks {
            self.watch_space(&mut keeper);
            self.warn(&mut keeper);
        }
        self.compact(&mut keeper);
        if now.since(&keeper.scrubbed) >= SCRUB_EVERY {
            keeper.scrubbed = now;
            self.scrub(&mut keeper);
        }
        // A segment a turn is rewritten while there is little room.
        if self.tight_chain().is_some() { SAVE_EVERY } else { self.space_every() }
    }

    fn space_every(&self) -> Duration {
        if self.lock().drain.is_on() { SPACE_AGAIN } else { SPACE_EVERY }
    }

    /// Gives up on destinations that have not been configured for the time of grace.
    fn retire_detached(&self, now: &Stamp) {
        let mut state = self.lock();
        let over = |since: &Stamp| now.since(since) >= self.config.detach_grace;
        let due: Vec<_> = state
            .dests
            .values()
            .filter(|dest| dest.detached.as_ref().is_some_and(over))
            .map(|dest| (dest.index, dest.spec.name.clone()))
            .collect();
        for (dest, name) in due {
            if state.dests.get(&dest.0).is_some_and(|dest| dest.backlog.records > 0) {
                state.clear(dest, DropReason::Detached, &*self.observer);
                self.observer.event(&Event::Retired { name });
            }
        }
        drop(state);
        self.forget_retired(now);
    }

    fn warn(&self, keeper: &mut Keeper) {
        let mut state = self.lock();
        let percent = |chain| state.used(chain) * 100 / self.config.capacity(chain).max(1);
        let full = percent(Chain::Main).max(percent(Chain::Derived));
        let rung = RUNGS.iter().rev().copied().find(|&rung| u64::from(rung) <= full).unwrap_or(0);
        if rung > keeper.rung {
            self.observer.event(&Event::Filling { percent: rung });
        }
        keeper.rung = rung;
        let none = crate::tally::Tally::default();
        let over: Vec<(u8, bool)> =
            state.dests.iter().map(|(&index, dest)| (index, state.over_quota(&self.config, dest, &none))).collect();
        for (index, over) in over {
            let Some(dest) = state.dests.get_mut(&index) else { continue };
            if over && !dest.over_quota {
                self.observer.event(&Event::OverQuota { name: dest.spec.name.clone() });
            }
            dest.over_quota = over;
        }
    }

    /// Checks the next sealed segment against its checksums.
    fn scrub(&self, keeper: &mut Keeper) {
        let next = {
            let state = self.lock();
            let sealed = || state.segments().filter(|segment| !segment.active).map(|segment| segment.no());
            sealed().find(|&no| no > keeper.scrub_next).or_else(|| sealed().next())
        };
        if let Some(no) = next {
            keeper.scrub_next = no;
            if let Err(error) = self.audit(no, false) {
                self.observer.event(&Event::Trouble { what: "scrub".to_owned(), error: error.to_string() });
            }
        }
    }
}
