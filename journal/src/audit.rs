//! Finding out what a damaged segment still has (delivery §3.8): the damaged ranges go to quarantine, their items are counted
//! once, and reading goes on behind them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::Error;
use crate::format::PAGE;
use crate::format::SegNo;
use crate::format::footer::Contents;
use crate::journal::{Inner, Journal};
use crate::observer::{DropReason, Event, Moved};
use crate::scan::Scan;
use crate::state::State;
use crate::tally::{SIGNALS, Tally, add_items, less};
use crate::vfs::Open;
use crate::walk::{Rules, Seen, Walk, walk};

impl Inner {
    /// Reads every record of a segment that is not being written, and gives up what is damaged. What cannot be read is an
    /// error, or with `unreadable` damage, too.
    pub(crate) fn audit(&self, no: SegNo, unreadable: bool) -> Result<(), Error> {
        let Some((file, known)) = self.lock().segment(no).map(|s| (Arc::clone(&s.file), s.contents.clone())) else {
            return Ok(());
        };
        let failed = || Error::io(format!("audit {}", file.path));
        let handle = match self.vfs.open(&file.path, Open::Read) {
            // Deleted while it was being read: everything is lost that was in it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return self.lose(no),
            opened => opened.map_err(failed())?,
        };
        let scan = Scan::new(Arc::clone(&handle), file.key(), self.config.bugs, PAGE, known.end);
        let mut scan = if unreadable { scan.lenient() } else { scan };
        let routes = |id| known.routes.get(&id).copied();
        let rules =
            Rules { limit: u64::MAX, failed: (0, 0), holes: &known.holes, verify: true, routes: &routes, sealed: true };
        let walked = walk(&mut scan, known.end, &rules).map_err(failed())?;
        if walked.damage.is_empty() {
            return Ok(());
        }
        for damage in &walked.damage {
            self.quarantine(&file.path, &*handle, damage.offset, damage.len);
        }
        self.settle_damage(no, &known, &walked, &file.path);
        Ok(())
    }

    /// Takes over what an audit found.
    fn settle_damage(&self, no: SegNo, known: &Contents, walked: &Walk, path: &str) {
        let mut state = self.lock();
        let unchanged = |state: &State| state.segment(no).is_some_and(|segment| segment.contents == *known);
        if !unchanged(&state) {
            return;
        }
        let lost = less(&known.items(), &walked.contents.items());
        add_items(&mut state.stats.corrupt_items, &lost);
        state.stats.corrupt_ranges += walked.damage.len() as u64;
        if let Some(segment) = state.segment_mut(no) {
            let contents = &mut segment.contents;
            contents.totals = walked.contents.totals.clone();
            contents.index = walked.contents.index.clone();
            contents.holes.extend(walked.damage.iter().map(|damage| (damage.offset, damage.len)));
            contents.holes.sort_unstable();
            add_items(&mut contents.lost, &lost);
        }
        self.drop_lost(&mut state, no, &walked.records);
        drop(state);
        self.observer.event(&Event::Corrupt { what: path.to_owned(), items: lost });
        self.observer.released();
    }

    /// A segment whose file is gone.
    fn lose(&self, no: SegNo) -> Result<(), Error> {
        let mut state = self.lock();
        let Some(segment) = state.segment_mut(no) else { return Ok(()) };
        let (path, lost) = (segment.file.path.clone(), segment.contents.items());
        let (start, end) = (PAGE, segment.contents.end);
        segment.contents.totals.clear();
        segment.contents.index.clear();
        segment.contents.holes = vec![(start, end - start)];
        segment.contents.last_seq = 0;
        add_items(&mut segment.contents.lost, &lost);
        add_items(&mut state.stats.corrupt_items, &lost);
        state.stats.corrupt_ranges += 1;
        self.drop_lost(&mut state, no, &[]);
        drop(state);
        self.observer.event(&Event::Corrupt { what: format!("{path} is missing"), items: lost });
        Ok(())
    }

    /// Takes what is not among the intact records out of every backlog.
    fn drop_lost(&self, state: &mut State, no: SegNo, intact: &[Seen]) {
        let contents = match state.segment(no) {
            Some(segment) => segment.contents.clone(),
            None => return,
        };
        let sequences: BTreeSet<u64> = intact.iter().map(|seen| seen.header.seq).collect();
        let dests: Vec<u8> = state.dests.keys().copied().collect();
        for index in dests {
            let Some(destination) = state.dests.get_mut(&index) else { continue };
            let Some(pending) = destination.pending.get(&no).copied() else { continue };
            for recent in state.tail.since(destination.read_from) {
                let is_wanted = recent.no == no && recent.routes.contains(destination.index);
                if is_wanted && !sequences.contains(&recent.entry.seq) && !destination.is_done(recent.entry.seq) {
                    destination.awaits(recent.entry.seq, recent.held());
                }
            }
            let Some(destination) = state.dests.get(&index) else { continue };
            let mut left = Tally::default();
            for seen in intact {
                let set = state.resolve(&contents, seen.header.route_set);
                if set.contains(destination.index) && !destination.is_done(seen.header.seq) {
                    left.add(&seen.tally());
                }
            }
            // What was handed out before the damage will still be settled, and what is in memory can still go out.
            let held = destination.handed().filter(|(seq, held)| held.no == no && !sequences.contains(seq));
            held.for_each(|(_, held)| left.add(&held.tally()));
            let mut lost = pending;
            lost.sub(&left);
            let Some(destination) = state.dests.get_mut(&index) else { continue };
            let dest = destination.index;
            destination.sub_pending(no, &lost);
            destination.unsaved += 1;
            let mut backlog = destination.backlog.items;
            // Told signal by signal: until the last one is told, the others still count as backlog.
            add_items(&mut backlog, &lost.items);
            for signal in 0..SIGNALS {
                if lost.items[signal] > 0 {
                    backlog[signal] -= lost.items[signal];
                    let moved = Moved { signal: signal as u8, items: lost.items[signal], tenant: 0 };
                    self.observer.dropped(dest, moved, DropReason::Corrupt, &backlog);
                }
            }
        }
    }
}

impl Journal {
    /// Checks every sealed segment against its checksums. What is damaged is quarantined and counted.
    ///
    /// # Errors
    /// I/O.
    pub fn scrub(&self) -> Result<(), Error> {
        let sealed: Vec<SegNo> = {
            let state = self.0.lock();
            state.segments().filter(|segment| !segment.active).map(|segment| segment.no()).collect()
        };
        sealed.into_iter().try_for_each(|no| self.0.audit(no, false))
    }
}
