//! Candidate positions: one search over all bytes of a request, before the walk.
//!
//! The search looks at raw bytes and knows nothing of messages. A candidate in an id or a length is a false one that costs a
//! compare. A value without a candidate needs no second look, which is one compare too.

use aho_corasick::{AhoCorasick, MatchKind, packed};
use memchr::memchr3_iter;

use super::digits;
use super::error::RedactionError;

/// At most this many literals in one packed searcher; more ruin it.
const GROUP: usize = 64;

/// Room for this many candidates of each kind is kept from request to request; one hostile request cannot pin more.
const KEPT: usize = 1 << 16;

/// What to search for.
#[derive(Debug, Default)]
pub(crate) struct Anchors {
    at: bool,
    digits: bool,
    /// Single bytes, each with the anchors that it announces. Searched for one by one: in a set they would ruin it.
    bytes: Vec<(u8, Vec<u16>)>,
    literals: Vec<LiteralGroup>,
}

/// Finds the leftmost of several literals.
#[derive(Debug)]
enum Searcher {
    /// Vector instructions; not on every processor.
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

impl Searcher {
    fn new(literals: &[(Vec<u8>, Vec<u16>)]) -> Result<Self, RedactionError> {
        if let Some(searcher) = packed::Searcher::new(literals.iter().map(|(literal, _)| literal)) {
            return Ok(Searcher::Packed(searcher));
        }
        AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(literals.iter().map(|(literal, _)| literal))
            .map(Searcher::Automaton)
            .map_err(|error| RedactionError::field("redaction", format!("literals of the patterns: {error}")))
    }

    /// The first literal at or behind `from`: where it starts and which it is.
    fn find(&self, bytes: &[u8], from: usize) -> Option<(usize, usize)> {
        match self {
            Searcher::Packed(searcher) => searcher
                .find_in(bytes, (from..bytes.len()).into())
                .map(|found| (found.start(), found.pattern().as_usize())),
            Searcher::Automaton(automaton) => automaton
                .find(aho_corasick::Input::new(bytes).range(from..))
                .map(|found| (found.start(), found.pattern().as_usize())),
        }
    }
}

#[derive(Debug)]
struct LiteralGroup {
    searcher: Searcher,
    /// For each literal of the searcher the anchors that it announces: itself and those that begin with it.
    announces: Vec<Vec<u16>>,
}

/// Collects what the detectors and patterns of an engine wait for.
#[derive(Debug, Default)]
pub(crate) struct AnchorsBuilder {
    pub(crate) at: bool,
    pub(crate) digits: bool,
    pub(crate) literals: Vec<(Vec<u8>, u16)>,
}

impl AnchorsBuilder {
    /// Asks for `literal`; its candidates carry `id`.
    pub(crate) fn literal(&mut self, literal: &[u8], id: u16) {
        self.literals.push((literal.to_vec(), id));
    }

    pub(crate) fn build(mut self) -> Result<Anchors, RedactionError> {
        // Shorter first: where two literals start at one place the searcher reports the first it was given.
        self.literals.sort_by(|a, b| a.0.len().cmp(&b.0.len()).then_with(|| a.cmp(b)));
        let mut distinct: Vec<(Vec<u8>, Vec<u16>)> = Vec::new();
        let mut bytes: Vec<(u8, Vec<u16>)> = Vec::new();
        for (literal, id) in &self.literals {
            if let [byte] = literal[..] {
                match bytes.iter_mut().find(|(known, _)| *known == byte) {
                    Some((_, ids)) if ids.contains(id) => {}
                    Some((_, ids)) => ids.push(*id),
                    None => bytes.push((byte, vec![*id])),
                }
                continue;
            }
            match distinct.iter_mut().find(|(known, _)| literal.starts_with(known)) {
                Some((_, ids)) if ids.contains(id) => {}
                Some((_, ids)) => ids.push(*id),
                None => distinct.push((literal.clone(), vec![*id])),
            }
        }
        let mut groups = Vec::new();
        for group in distinct.chunks(GROUP) {
            let searcher = Searcher::new(group)?;
            let announces = group.iter().map(|(_, ids)| ids.clone()).collect();
            groups.push(LiteralGroup { searcher, announces });
        }
        Ok(Anchors { at: self.at, digits: self.digits, bytes, literals: groups })
    }
}

impl Anchors {
    /// Replaces the content of `out` by the candidates of `bytes`.
    pub(crate) fn scan(&self, bytes: &[u8], out: &mut Candidates) {
        out.clear();
        if self.at {
            scan_at(bytes, &mut out.at.positions);
        }
        if self.digits {
            digits::scan(bytes, &mut out.digits.positions);
        }
        for group in &self.literals {
            group.scan(bytes, &mut out.literals.positions);
        }
        for (byte, ids) in &self.bytes {
            for at in memchr::memchr_iter(*byte, bytes) {
                out.literals.positions.extend(ids.iter().map(|&id| (at as u32, id)));
            }
        }
        if self.literals.len() + self.bytes.len() > 1 {
            out.literals.positions.sort_unstable();
        }
        out.refresh();
    }
}

/// `@`, `%40`, `%2540` and the full-width `＠`.
pub(crate) fn scan_at(bytes: &[u8], out: &mut Vec<u32>) {
    for at in memchr3_iter(b'@', b'%', 0xEF, bytes) {
        let real = match bytes[at] {
            b'@' => true,
            b'%' => matches!(bytes.get(at + 1..), Some([b'4', b'0', ..] | [b'2', b'5', b'4', b'0', ..])),
            _ => matches!(bytes.get(at + 1..), Some([0xBC, 0xA0, ..])),
        };
        if real {
            out.push(at as u32);
        }
    }
}

impl LiteralGroup {
    /// Every place where a literal starts. The searcher reports matches that do not overlap, so it is started again one byte
    /// behind each.
    fn scan(&self, bytes: &[u8], out: &mut Vec<(u32, u16)>) {
        let mut from = 0;
        while let Some((at, literal)) = self.searcher.find(bytes, from) {
            out.extend(self.announces[literal].iter().map(|&id| (at as u32, id)));
            from = at + 1;
        }
    }
}

/// A sorted list of positions and a cursor that only moves forward.
#[derive(Debug)]
struct Track<T> {
    positions: Vec<T>,
    cursor: usize,
}

impl<T> Default for Track<T> {
    fn default() -> Self {
        Track { positions: Vec::new(), cursor: 0 }
    }
}

impl<T> Track<T> {
    fn clear(&mut self) {
        self.positions.clear();
        self.positions.shrink_to(KEPT);
        self.cursor = 0;
    }

    /// Moves the cursor behind `start..end` and returns the indices of what lies inside.
    fn take(&mut self, start: u32, end: u32, position: impl Fn(&T) -> u32) -> (usize, usize) {
        if self.cursor == self.positions.len() {
            return (self.cursor, self.cursor);
        }
        let skip = |from: usize, bound: u32| {
            from + self.positions[from..].iter().take_while(|entry| position(entry) < bound).count()
        };
        let from = skip(self.cursor, start);
        let to = skip(from, end);
        self.cursor = to;
        (from, to)
    }
}

/// The candidates of one request, reused from request to request.
///
/// Values must be asked for in the order in which they stand in the request; [`Candidates::rewind`] starts over.
#[derive(Debug, Default)]
pub struct Candidates {
    at: Track<u32>,
    digits: Track<u32>,
    literals: Track<(u32, u16)>,
    /// Position of the first candidate that was not taken; `u32::MAX` if there is none.
    next: u32,
}

/// The candidates inside one value, as positions in the request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken<'a> {
    pub(crate) at: &'a [u32],
    pub(crate) digits: &'a [u32],
    pub(crate) literals: &'a [(u32, u16)],
}

impl Taken<'_> {
    /// Nothing but places of `@`.
    pub(crate) fn only_at(&self) -> bool {
        self.digits.is_empty() && self.literals.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at.is_empty() && self.digits.is_empty() && self.literals.is_empty()
    }
}

impl Candidates {
    fn clear(&mut self) {
        self.at.clear();
        self.digits.clear();
        self.literals.clear();
        self.next = u32::MAX;
    }

    /// Starts over at the front of the request.
    pub fn rewind(&mut self) {
        (self.at.cursor, self.digits.cursor, self.literals.cursor) = (0, 0, 0);
        self.refresh();
    }

    /// Whether a candidate that was not taken yet lies before `end`: the one compare for a value, and for any larger part of
    /// the request that a walk may skip.
    #[inline]
    pub fn any_before(&self, end: usize) -> bool {
        (self.next as usize) < end
    }

    /// Position of the first candidate that was not taken yet, or an offset behind every text.
    #[inline]
    pub fn next(&self) -> usize {
        self.next as usize
    }

    /// Whether a candidate lies in `start..end`; moves to `start`. Ranges must come in ascending order.
    #[inline]
    pub fn any_in(&mut self, start: usize, end: usize) -> bool {
        if self.next as usize >= end {
            return false;
        }
        if (self.next as usize) < start {
            self.take_some(start as u32, start as u32);
        }
        (self.next as usize) < end
    }

    /// The candidates in `start..end`; moves behind them.
    #[inline]
    pub(crate) fn take(&mut self, start: usize, end: usize) -> Taken<'_> {
        if self.any_before(end) { self.take_some(start as u32, end as u32) } else { Taken::default() }
    }

    fn take_some(&mut self, start: u32, end: u32) -> Taken<'_> {
        let at = self.at.take(start, end, |position| *position);
        let digits = self.digits.take(start, end, |position| *position);
        let literals = self.literals.take(start, end, |entry| entry.0);
        self.refresh();
        Taken {
            at: &self.at.positions[at.0..at.1],
            digits: &self.digits.positions[digits.0..digits.1],
            literals: &self.literals.positions[literals.0..literals.1],
        }
    }

    fn refresh(&mut self) {
        let first = |track: &Track<u32>| track.positions.get(track.cursor).copied().unwrap_or(u32::MAX);
        let literal = self.literals.positions.get(self.literals.cursor).map_or(u32::MAX, |entry| entry.0);
        self.next = first(&self.at).min(first(&self.digits)).min(literal);
    }
}
