//! Segments as recovery finds them: the sealed ones are believed, the others are walked and sealed (delivery §3.7).

use std::sync::Arc;

use super::Findings;
use super::files::File;
use crate::clock::Stamp;
use crate::error::Error;
use crate::format::meta::Clean;
use crate::format::segment::SegmentHeader;
use crate::format::watermark::Watermark;
use crate::format::{Key, PAGE, SegNo};
use crate::observer::Event;
use crate::quarantine;
use crate::scan::Scan;
use crate::segment::settle;
use crate::state::{SegFile, Segment};
use crate::tally::{Items, SIGNALS, Tally, add_items, less};
use crate::walk::{Damage, Rules, Seen, Walk, walk};

/// A segment, and what was learned about it.
pub(super) struct Walked {
    pub segment: Segment,
    /// Its records, if it was walked.
    pub records: Option<Vec<Seen>>,
    pub watermarks: Vec<(u64, Watermark)>,
    /// The newest sequence that is on disk, whether it counts or not.
    pub newest: u64,
    /// Items that were before it in its chain, if its header says so.
    pub before: Option<Items>,
}

/// Reads or walks the segments of both chains.
pub(super) fn read(
    findings: &mut Findings,
    chains: [Vec<File>; 2],
    clean: Option<&Clean>,
) -> Result<[Vec<Walked>; 2], Error> {
    let mut read = [Vec::new(), Vec::new()];
    for (index, files) in chains.into_iter().enumerate() {
        let ahead: Vec<_> = files
            .iter()
            .map(|file| (file.no.ordinal(), file.base_seq, file.opened.header.as_ref().map(|header| header.before)))
            .collect();
        for (at, file) in files.into_iter().enumerate() {
            let next = ahead.get(at + 1);
            let limit = next.map_or(u64::MAX, |next| next.1);
            let behind = next.and_then(|&(ordinal, _, before)| {
                // As many as its header says, but for those of deleted segments in between.
                let deleted = findings.meta.deleted_between(file.no, SegNo::new(file.no.chain(), ordinal))?;
                Some(less(&before?, &deleted))
            });
            let is_last = next.is_none() && file.no.ordinal() >= findings.meta.last[index];
            let total = behind.or_else(|| clean.filter(|_| is_last).map(|clean| clean.items[index]));
            read[index].extend(open(findings, file, limit, total, is_last)?);
        }
    }
    Ok(read)
}

/// One segment. `total`: items of the chain up to its end, where something else tells. `is_last`: there was none behind it.
fn open(
    findings: &mut Findings,
    file: File,
    limit: u64,
    total: Option<Items>,
    is_last: bool,
) -> Result<Option<Walked>, Error> {
    let File { path, no, base_seq, generation, flags, opened, handle } = file;
    let before = opened.header.as_ref().map(|header| header.before);
    let header = opened.header.unwrap_or(SegmentHeader {
        uuid: findings.uuid,
        no,
        base_seq,
        flags,
        generation,
        created: Stamp::default(),
        before: [0; SIGNALS],
        own: [0; SIGNALS],
    });
    if let Some(contents) = opened.contents {
        contents.routes.iter().for_each(|(&id, &set)| findings.routes.define(id, set));
        let newest = contents.last_seq;
        let file = Arc::new(SegFile { header, path });
        let segment = Segment { file, contents, active: false, size: opened.len };
        return Ok(Some(Walked { segment, records: None, watermarks: Vec::new(), newest, before }));
    }
    let end = opened.len;
    let key = Key::new(&findings.uuid, no);
    let mut scan = Scan::new(Arc::clone(&handle), key, findings.config.bugs, PAGE, end).lenient();
    let known = findings.routes.clone();
    let routes = |id| known.set(id);
    let durable = findings.durable;
    // Groups are published one after the other, and a cursor says how far that was in each chain. A group that failed may be on
    // disk all the same; what went on behind it in the other chain lets destinations pass it, so nothing of it may count.
    let failed = (durable[no.chain() as usize], durable[0].max(durable[1]));
    let rules = Rules { limit, failed, holes: &[], verify: true, routes: &routes, sealed: false };
    let mut walked = walk(&mut scan, end, &rules).map_err(Error::io(path.clone()))?;
    walked.contents.routes.iter().filter(|(_, set)| !set.is_empty()).for_each(|(&id, &set)| {
        findings.routes.define(id, set);
    });
    let expected = total.zip(before).map(|(total, before)| less(&total, &before));
    let expected = expected.filter(|_| flags & crate::format::segment::COMPACTED == 0);
    let (lost, ranges) = judge(findings.durable[no.chain() as usize], base_seq, &walked, expected);
    if ranges < walked.damage.len() || walked.superseded {
        findings.stats.torn_tails += 1;
        let offset = walked.damage.get(ranges).map_or(walked.contents.end, |damage| damage.offset);
        findings.observer.event(&Event::TornTail { segment: path.clone(), offset });
    }
    for damage in &walked.damage[..ranges] {
        let limit = findings.config.quarantine_bytes;
        quarantine::keep(&*findings.vfs, &path, &*handle, damage.offset, damage.len, limit);
        findings.observer.event(&Event::Damaged { segment: path.clone(), offset: damage.offset, len: damage.len });
    }
    let missing = u64::from(ranges == 0 && lost != [0; SIGNALS]);
    findings.lose(path.clone(), lost, ranges as u64 + missing);
    add_items(&mut walked.contents.lost, &lost);
    let newest = walked.contents.last_seq;
    if walked.records.is_empty() && walked.watermarks.is_empty() && lost == [0; SIGNALS] {
        // Nothing was ever acknowledged from it.
        findings.garbage.push((path, opened.len));
        findings.meta.last[no.chain() as usize] = findings.meta.last[no.chain() as usize].max(no.ordinal());
        findings.meta.delete(no, &[0; SIGNALS]);
        findings.newest = findings.newest.max(newest);
        return Ok(None);
    }
    let known = findings.durable[no.chain() as usize];
    let doubtful = walked.records.iter().find(|seen| seen.header.seq > known).map(|seen| seen.offset);
    // One that was given up ends with what failed, which is older than what is known of those behind it.
    let from = if is_last { doubtful.unwrap_or(walked.contents.end) } else { PAGE };
    let size = match settle(&*handle, from, &header, &walked.contents) {
        Ok(size) => size,
        Err(error) => {
            // Tried again before the next segment is begun.
            let event = Event::Trouble { what: format!("seal {path}"), error: error.to_string() };
            findings.observer.event(&event);
            findings.unsettled.push((no, from));
            opened.len
        }
    };
    let file = Arc::new(SegFile { header, path });
    let segment = Segment { file, contents: walked.contents, active: false, size };
    let watermarks = walked.watermarks;
    Ok(Some(Walked { segment, records: Some(walked.records), watermarks, newest, before }))
}

/// How many items were lost, and how many of the damaged ranges, from the front, had been acknowledged. What was not is the
/// torn end of a commit group.
fn judge(known: u64, base_seq: u64, walked: &Walk, expected: Option<Items>) -> (Items, usize) {
    if let Some(expected) = expected {
        // Without a damaged range, the end of the file is missing.
        let lost = less(&expected, &walked.contents.items());
        let ranges = if lost == [0; SIGNALS] { 0 } else { walked.damage.len() };
        return (lost, ranges);
    }
    if walked.damage.is_empty() {
        return ([0; SIGNALS], 0);
    }
    let durable = |damage: &Damage| match &damage.header {
        Some(header) => header.seq <= known,
        None => damage.after.max(base_seq.saturating_sub(1)) < known,
    };
    // Damage inside what the journal once knew to be durable counts, too.
    let proven = walked.damage.iter().rposition(durable).map_or(0, |index| index + 1);
    let ranges = walked.proven.max(proven);
    let mut lost = walked.missing;
    if ranges > walked.proven {
        lost = if walked.barrier > 0 && walked.barrier <= known { walked.missing_at_barrier } else { lost };
        let seen = walked.known_items(walked.proven);
        lost = std::array::from_fn(|signal| lost[signal].max(seen[signal]));
        let nameless = walked.damage[walked.proven..ranges].iter().any(|damage| damage.header.is_none());
        if nameless && lost == [0; SIGNALS] {
            // Only the gap in the sequence is left to go by.
            let last = walked.contents.last_seq;
            lost = Tally::one(0, u32::try_from(known.saturating_sub(last)).unwrap_or(u32::MAX), 0).items;
        }
    }
    (lost, ranges)
}
