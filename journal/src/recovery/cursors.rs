//! Where each destination was, and what it still needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Findings;
use super::tail::Walked;
use crate::config::DestSpec;
use crate::dest::Destination;
use crate::error::Error;
use crate::format::cursor::{CURSOR_SLOT, CursorState};
use crate::format::{Key, PAGE};
use crate::names;
use crate::observer::Event;
use crate::route::{Dest, RouteSet};
use crate::scan::{PATIENCE, Scan};
use crate::slots::SlotFile;
use crate::tally::Tally;
use crate::vfs::Open;
use crate::walk::{Rules, Seen, Walk, walk};

/// The name of each destination, and its cursor if that is readable.
pub(super) type Cursors = Vec<((u8, String), Option<CursorState>)>;

/// Reads the cursor files.
pub(super) fn read(findings: &mut Findings) -> Result<(BTreeMap<u8, SlotFile>, Cursors), Error> {
    let vfs = Arc::clone(&findings.vfs);
    let (mut slots, mut cursors) = (BTreeMap::new(), Cursors::new());
    let mut names: BTreeSet<String> = findings.routes.names.values().cloned().collect();
    let listed = vfs.list(names::CURSORS).map_err(Error::io("list cursors"))?;
    let listed: BTreeSet<String> = listed.iter().filter_map(|file| names::parse_cursor(file)).collect();
    if findings.routes_known {
        for name in listed.difference(&names) {
            // Left over from a destination that never came to be, or that was given up.
            let _ = vfs.unlink(&names::cursor(name));
        }
    } else {
        names.extend(listed);
    }
    for name in names {
        let path = names::cursor(&name);
        let uuid = findings.uuid;
        let (mut file, slot) = match SlotFile::open(&*vfs, &path, CURSOR_SLOT, |slot| slot.uuid == uuid) {
            Ok(opened) => opened,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let made = SlotFile::create(&*vfs, &path, CURSOR_SLOT).map_err(Error::io(path.clone()))?;
                vfs.sync_dir(names::CURSORS).map_err(Error::io(path.clone()))?;
                (made, None)
            }
            Err(error) => return Err(Error::io(path)(error)),
        };
        let state = slot.and_then(|slot| CursorState::decode(&slot.payload));
        let taken = |index: &u8| slots.contains_key(index) || findings.routes.names.contains_key(index);
        let index = findings
            .routes
            .find(&name)
            .map(|dest| dest.0)
            .or_else(|| state.as_ref().map(|state| state.index).filter(|index| !taken(index)))
            .or_else(|| (0..=u8::MAX).find(|index| !taken(index)));
        let Some(index) = index else { continue };
        findings.routes.names.insert(index, name.clone());
        if state.is_none() {
            findings.stats.cursor_resets += 1;
            findings.observer.event(&Event::CursorReset { name: name.clone() });
            // The file is whole again at the first save.
            let _ = file.write(&*vfs, &uuid, &CursorState { index, ..CursorState::default() }.encode());
        }
        slots.insert(index, file);
        cursors.push(((index, name), state));
    }
    Ok((slots, cursors))
}

/// Puts destinations where their cursors and watermarks say, and counts what they need.
pub(super) fn restore(
    findings: &mut Findings,
    cursors: Cursors,
    segments: &[Vec<Walked>; 2],
    clean: bool,
) -> BTreeMap<u8, Destination> {
    let mut dests = BTreeMap::new();
    let mut known_at = BTreeMap::new();
    for ((index, name), state) in cursors {
        let state = CursorState { index, ..state.unwrap_or_default() };
        known_at.insert(index, state.durable[1]);
        dests.insert(
            index,
            Destination::restore(
                Dest(index),
                DestSpec::new(name),
                state,
                (!clean).then_some(findings.config.suspect_range),
            ),
        );
    }
    let mut looked: BTreeMap<(usize, usize), Walk> = BTreeMap::new();
    let oldest = known_at.values().copied().min().unwrap_or(0);
    for walked in segments.iter().flatten() {
        {
            let mut marks = walked.watermarks.clone();
            if walked.records.is_none() && walked.segment.contents.last_watermark > oldest {
                marks.extend(look(findings, walked, true).map(|walk| walk.watermarks.clone()).unwrap_or_default());
            }
            for (seq, mark) in marks {
                // Older ones are in the cursor.
                if let Some(dest) = dests.get_mut(&mark.stage)
                    && known_at.get(&mark.stage).is_some_and(|&known| seq > known)
                {
                    dest.advance(mark.committed, &mark.done);
                }
            }
        }
    }
    for (chain, of_chain) in segments.iter().enumerate() {
        for (at, walked) in of_chain.iter().enumerate() {
            for index in dests.keys().copied().collect::<Vec<_>>() {
                let everybody: RouteSet = dests.keys().map(|&index| Dest(index)).collect();
                let Some(dest) = dests.get_mut(&index) else { continue };
                let contents = &walked.segment.contents;
                let resolve = |id| {
                    let set = findings.routes.set(id).or_else(|| contents.routes.get(&id).copied());
                    set.filter(|set| !set.is_empty()).unwrap_or(everybody)
                };
                if contents.last_seq <= dest.committed() {
                    continue;
                }
                if walked.records.is_none()
                    && contents.first_seq <= dest.newest_done()
                    && let std::collections::btree_map::Entry::Vacant(entry) = looked.entry((chain, at))
                    && let Some(walk) = look(findings, walked, false)
                {
                    entry.insert(walk);
                }
                let walk = looked.get(&(chain, at));
                let records = walked.records.as_ref().or(walk.map(|walk| &walk.records));
                let mut pending = Tally::default();
                match records.filter(|_| contents.first_seq <= dest.newest_done()) {
                    Some(records) => {
                        let wanted = |seen: &&Seen| {
                            resolve(seen.header.route_set).contains(dest.index) && !dest.is_done(seen.header.seq)
                        };
                        records.iter().filter(wanted).for_each(|seen| pending.add(&seen.tally()));
                        if let Some(walk) = walk.filter(|walk| !walk.damage.is_empty()) {
                            // Damage that is only found when it is read: until then, what the footer has more counts as needed by
                            // whoever has not passed it.
                            pending.add(&hidden(contents, walk, &resolve, dest));
                        }
                    }
                    // All of it, or nobody can read which part: then an audit finds out.
                    None => {
                        let wanted = contents.totals.iter().filter(|((_, set), _)| resolve(*set).contains(dest.index));
                        wanted.for_each(|(_, tally)| pending.add(tally));
                    }
                }
                dest.add_pending(walked.segment.no(), &pending);
            }
        }
    }
    dests
}

/// What the footer counts for a destination beyond what a walk still finds, if the cursor is in front of the damage.
fn hidden(
    contents: &crate::format::footer::Contents,
    walk: &Walk,
    resolve: &dyn Fn(u32) -> RouteSet,
    dest: &Destination,
) -> Tally {
    if walk.damage.iter().all(|damage| damage.after < dest.committed()) {
        return Tally::default();
    }
    let mut hidden = Tally::default();
    for ((signal, set), tally) in contents.totals.iter().filter(|((_, set), _)| resolve(*set).contains(dest.index)) {
        let mut left = *tally;
        if let Some(found) = walk.contents.totals.get(&(*signal, *set)) {
            left.sub(found);
        }
        hidden.add(&left);
    }
    hidden
}

/// Walks a sealed segment.
fn look(findings: &Findings, walked: &Walked, verify: bool) -> Option<Walk> {
    let file = &walked.segment.file;
    let contents = &walked.segment.contents;
    let handle = (0..PATIENCE).find_map(|_| findings.vfs.open(&file.path, Open::Read).ok())?;
    let key = Key::new(&findings.uuid, file.header.no);
    let mut scan = Scan::new(handle, key, findings.config.bugs, PAGE, contents.end).lenient();
    let routes = |id| contents.routes.get(&id).copied();
    let rules =
        Rules { limit: u64::MAX, failed: (0, 0), holes: &contents.holes, verify, routes: &routes, sealed: true };
    walk(&mut scan, contents.end, &rules).ok()
}
