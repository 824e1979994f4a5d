//! Reads a whole segment, record by record: what is intact, what is damaged, and what the barriers say about the rest.

use std::collections::BTreeMap;
use std::io;

use crate::checksum::crc32c;
use crate::format::barrier::Barrier;
use crate::format::footer::Contents;
use crate::format::record::{Header, Kind};
use crate::format::watermark::Watermark;
use crate::format::{ALIGN, PAGE};
use crate::route::RouteSet;
use crate::scan::{Scan, Step};
use crate::tally::{Items, SIGNALS, Tally, add_items, less};

/// An intact data record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub offset: u64,
    pub header: Header,
}

impl Seen {
    pub(crate) fn tally(&self) -> Tally {
        Tally::one(self.header.signal, self.header.items, self.header.size())
    }
}

/// A range without intact records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub offset: u64,
    pub len: u64,
    /// The record before it.
    pub after: u64,
    /// Known if the header is intact and only the contents are not.
    pub header: Option<Header>,
}

/// Everything that a walk found.
pub(crate) struct Walk {
    /// Of intact records; `holes` are the damaged ranges.
    pub contents: Contents,
    pub records: Vec<Seen>,
    pub damage: Vec<Damage>,
    /// Positions of stages, each with its record's sequence, from groups that are whole.
    pub watermarks: Vec<(u64, Watermark)>,
    /// Damage before this index was followed by another commit group: what is missing there had been acknowledged.
    pub proven: usize,
    /// Items missing in what was followed by another commit group, by the count in barriers.
    pub missing: Items,
    /// The same, up to the last barrier.
    pub missing_at_barrier: Items,
    /// Sequence of the last barrier.
    pub barrier: u64,
    /// A record that the next segment supersedes ends the walk.
    pub superseded: bool,
}

/// What a walk has to know.
pub(crate) struct Rules<'a> {
    /// Records from this sequence on are superseded.
    pub limit: u64,
    /// As are those above the first of these and up to the second: they were not published when something behind them was.
    pub failed: (u64, u64),
    /// Ranges to pass over.
    pub holes: &'a [(u64, u64)],
    /// Whether contents are compared with their checksums.
    pub verify: bool,
    /// What a route set id stands for, as far as known.
    pub routes: &'a dyn Fn(u32) -> Option<RouteSet>,
    /// Of a sealed segment: no search for the end is needed, and anything invalid is damage.
    pub sealed: bool,
}

impl Rules<'_> {
    fn supersede(&self, seq: u64) -> bool {
        seq >= self.limit || (seq > self.failed.0 && seq <= self.failed.1)
    }
}

/// Group being walked.
#[derive(Default)]
struct Group {
    records: u32,
    crcs: Vec<u8>,
    watermarks: Vec<(u64, Watermark)>,
    broken: bool,
}

/// Walks from the scan's offset to its end.
pub(crate) fn walk(scan: &mut Scan, end: u64, rules: &Rules<'_>) -> io::Result<Walk> {
    let mut walk = Walk::new(scan.offset);
    let mut group = Group::default();
    let mut defined = BTreeMap::new();
    loop {
        if let Some(&(_, len)) = rules.holes.iter().find(|hole| hole.0 == scan.offset) {
            scan.offset += len.max(ALIGN);
            group.broken = true;
            continue;
        }
        match scan.next()? {
            Step::End => break,
            Step::Record { offset, header } if walk.is_valid_next(&header, rules) => {
                let crc = scan.header(offset)?.map_or(0, |(_, crc)| crc);
                let needed = rules.verify || header.kind != Kind::Data;
                let intact =
                    if needed { scan.contents(offset, &header)?.map(<[u8]>::to_vec) } else { Some(Vec::new()) };
                match intact {
                    Some(contents) => {
                        walk.record(offset, &header, crc, &contents, &mut group, &mut defined, rules.routes);
                    }
                    None => {
                        walk.damage(offset, header.extent(), Some(header));
                        walk.contents.last_seq = walk.contents.last_seq.max(header.seq);
                        group.broken = true;
                    }
                }
            }
            Step::Record { header, .. } if rules.supersede(header.seq) => {
                walk.superseded = true;
                break;
            }
            Step::Record { offset, .. } | Step::Damage { offset } => {
                let found = scan.resync(offset + ALIGN, walk.contents.last_seq, rules.limit)?;
                let Some(next) = found.or(rules.sealed.then_some(end)) else { break };
                walk.damage(offset, next - offset, None);
                group.broken = true;
                scan.offset = next;
            }
        }
    }
    for (id, set) in &mut walk.contents.routes {
        if set.is_empty() {
            *set = (rules.routes)(*id).or_else(|| defined.get(id).copied()).unwrap_or(RouteSet::EMPTY);
        }
    }
    Ok(walk)
}

impl Walk {
    fn new(start: u64) -> Self {
        Walk {
            contents: Contents::empty(start.max(PAGE)),
            records: Vec::new(),
            damage: Vec::new(),
            watermarks: Vec::new(),
            proven: 0,
            missing: [0; SIGNALS],
            missing_at_barrier: [0; SIGNALS],
            barrier: 0,
            superseded: false,
        }
    }

    /// Sequences rise; a barrier repeats that of the record before it.
    fn is_valid_next(&self, header: &Header, rules: &Rules<'_>) -> bool {
        let last = self.contents.last_seq;
        !rules.supersede(header.seq)
            && if header.kind == Kind::Barrier { header.seq >= last } else { header.seq > last }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one record and what it changes")]
    fn record(
        &mut self,
        offset: u64,
        header: &Header,
        crc: u32,
        contents: &[u8],
        group: &mut Group,
        defined: &mut BTreeMap<u32, RouteSet>,
        routes: &dyn Fn(u32) -> Option<RouteSet>,
    ) {
        if self.barrier > 0 && group.records == 0 && group.crcs.is_empty() && header.kind != Kind::Barrier {
            // Another group was begun, so the one before was on disk.
            self.proven = self.damage.len();
            self.missing = self.missing_at_barrier;
        }
        self.contents.add(offset, header, routes(header.route_set).unwrap_or(RouteSet::EMPTY));
        if header.kind != Kind::Barrier {
            group.records += 1;
            group.crcs.extend_from_slice(&crc.to_le_bytes());
        }
        match header.kind {
            Kind::Data => self.records.push(Seen { offset, header: *header }),
            Kind::Watermark => group.watermarks.extend(Watermark::decode(contents).map(|mark| (header.seq, mark))),
            Kind::Dead => {}
            Kind::Barrier => {
                let group = std::mem::take(group);
                let Some(barrier) = Barrier::decode(contents) else { return };
                defined.extend(barrier.routes.iter().copied());
                self.barrier = header.seq;
                self.missing_at_barrier = less(&barrier.items, &self.contents.items());
                let whole = barrier.records == group.records && barrier.crc == crc32c(&group.crcs);
                if whole && !group.broken {
                    self.watermarks.extend(group.watermarks);
                }
            }
        }
    }

    fn damage(&mut self, offset: u64, len: u64, header: Option<Header>) {
        let after = self.contents.last_seq;
        self.damage.push(Damage { offset, len, after, header });
        self.contents.holes.push((offset, len));
        self.contents.end = offset + len;
    }

    /// Items of damaged records whose headers are intact, from an index of `damage` on.
    pub(crate) fn known_items(&self, from: usize) -> Items {
        let mut items = [0; SIGNALS];
        for header in self.damage[from..].iter().filter_map(|damage| damage.header).filter(|h| h.kind == Kind::Data) {
            add_items(&mut items, &Tally::one(header.signal, header.items, 0).items);
        }
        items
    }
}
