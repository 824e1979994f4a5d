//! Patterns with a literal inside, matched outwards from each place where the literal stands.
//!
//! An e-mail's pattern is searched only around an `@`: what stands before it by an automaton that runs backwards, what follows
//! by one that runs forwards. Both are small and built at start. The result is that of a leftmost-first search, because what
//! stands before the literal cannot itself match the literal's first byte: the first place of the literal that leads to a match
//! is the leftmost match, it starts as far back as possible, and where it ends does not depend on where it starts. Patterns
//! that look around themselves (`\b`, `^`, `$`) are left to the general search.

use regex_automata::dfa::dense;
use regex_automata::dfa::{Automaton as _, StartKind};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::{Class, Hir, HirKind};

/// Largest automaton while it is built, and most memory to build it, in bytes.
const AUTOMATON_BYTES: usize = 64 << 10;
const BUILD_BYTES: usize = 512 << 10;

/// A pattern, cut in two in front of a literal.
#[derive(Clone, Debug)]
pub(crate) struct Split {
    /// What stands before the literal, backwards; `None` if nothing does.
    before: Option<Automaton>,
    /// The literal and what follows.
    after: Automaton,
}

impl Split {
    /// Cuts `hir` in front of `literal`, which every match contains. `None` if the parts would not find what the whole finds, or
    /// would be too large.
    pub(crate) fn new(hir: &Hir, literal: &[u8]) -> Option<Self> {
        if !hir.properties().look_set().is_empty() {
            return None;
        }
        let HirKind::Concat(parts) = without_capture(hir).kind() else { return None };
        let at = parts.iter().position(|part| match part.kind() {
            HirKind::Literal(found) => found.0.starts_with(literal),
            _ => false,
        })?;
        let (before, after) = parts.split_at(at);
        if before.iter().any(|part| can_hold(part, *literal.first().unwrap_or(&0))) {
            return None;
        }
        let before = match before {
            [] => None,
            parts => Some(automaton(&Hir::concat(parts.to_vec()), true)?),
        };
        Some(Split { before, after: automaton(&Hir::concat(after.to_vec()), false)? })
    }

    pub(crate) fn memory_usage(&self) -> usize {
        self.after.memory_usage() + self.before.as_ref().map_or(0, Automaton::memory_usage)
    }

    /// Calls `found` with each non-overlapping match, from the left, until it answers `false`. `places` are all the places in
    /// `text` where the literal may stand, in order.
    pub(crate) fn each_match(
        &self,
        text: &[u8],
        places: impl Iterator<Item = usize>,
        mut found: impl FnMut(usize, usize) -> bool,
    ) {
        let mut from = 0;
        for at in places {
            if at < from || at > text.len() {
                continue;
            }
            if let Some((start, end)) = self.match_at(text, from, at) {
                if !found(start, end) {
                    return;
                }
                from = end;
            }
        }
    }

    /// The match whose literal stands at `at` and that starts at `from` or behind it.
    #[inline]
    fn match_at(&self, text: &[u8], from: usize, at: usize) -> Option<(usize, usize)> {
        let end = at + self.after.longest(text.get(at..)?.iter())?;
        let start = match &self.before {
            Some(before) => at - before.longest(text.get(from..at)?.iter().rev())?,
            None => at,
        };
        Some((start, end))
    }
}

fn without_capture(hir: &Hir) -> &Hir {
    match hir.kind() {
        HirKind::Capture(capture) => without_capture(&capture.sub),
        _ => hir,
    }
}

/// A small deterministic automaton: for each state and class of bytes the state that follows.
#[derive(Clone, Debug)]
struct Automaton {
    classes: Box<[u8; 256]>,
    /// At the row of a state plus a class: the row of the following state, with [`ACCEPTS`] if a match may end there; [`DEAD`]
    /// if none can any more. Of a fixed size, so that no index needs a check.
    next: Box<[u16; ENTRIES]>,
    start: u16,
}

/// Most entries of an automaton.
const ENTRIES: usize = 1 << 12;
/// Row of the state that no match leads out of.
const DEAD: u16 = 0;
/// Mark of a state in which a match ends.
const ACCEPTS: u16 = 1 << 15;

impl Automaton {
    fn memory_usage(&self) -> usize {
        size_of_val(&*self.next) + size_of_val(&*self.classes)
    }

    /// Length of the preferred match that starts with the first byte: the longest backwards, and forwards the last that the
    /// pattern's order of preference lets the automaton reach.
    #[inline(never)] // in a function of its own it keeps all it needs in registers
    fn longest<'t>(&self, bytes: impl Iterator<Item = &'t u8>) -> Option<usize> {
        let mut state = usize::from(self.start);
        let mut found = if self.start & ACCEPTS != 0 { 0 } else { usize::MAX };
        for (index, &byte) in bytes.enumerate() {
            let class = usize::from(self.classes[usize::from(byte)]);
            let next = self.next[(state + class) % ENTRIES];
            if next == DEAD {
                break;
            }
            found = if next & ACCEPTS != 0 { index + 1 } else { found };
            state = usize::from(next);
        }
        (found != usize::MAX).then_some(found)
    }
}

/// The automaton for matches that start where it starts; backwards: for what a match is when it is read from its end.
fn automaton(hir: &Hir, backwards: bool) -> Option<Automaton> {
    let config = thompson::Config::new().utf8(false).reverse(backwards).which_captures(WhichCaptures::None);
    let config = config.nfa_size_limit(Some(BUILD_BYTES));
    let nfa = thompson::Compiler::new().configure(config).build_from_hir(hir).ok()?;
    let config = dense::Config::new()
        .start_kind(StartKind::Anchored)
        .match_kind(if backwards { MatchKind::All } else { MatchKind::LeftmostFirst })
        .dfa_size_limit(Some(AUTOMATON_BYTES))
        .determinize_size_limit(Some(BUILD_BYTES));
    let dfa = dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()?;
    let start = dfa.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;

    // Its states, told what the library's automaton tells only one byte later: whether a match ends in them.
    let mut classes = Box::new([0u8; 256]);
    let mut samples: Vec<u8> = Vec::new();
    for byte in 0..=255u8 {
        let class = dfa.byte_classes().get(byte);
        classes[usize::from(byte)] = class;
        if usize::from(class) == samples.len() {
            samples.push(byte);
        }
    }
    // A row's number is not spoiled by the mark: `ACCEPTS` is a multiple of `ENTRIES`.
    let width = samples.len();
    let mut states = vec![start];
    let row_of = |states: &mut Vec<StateID>, state: StateID| -> Option<u16> {
        if dfa.is_dead_state(state) {
            return Some(DEAD);
        }
        let index = states.iter().position(|known| *known == state).unwrap_or_else(|| {
            states.push(state);
            states.len() - 1
        });
        let row = (index + 1) * width; // behind the row of the dead state
        let accepts = dfa.is_match_state(dfa.next_eoi_state(state));
        (row + width <= ENTRIES).then_some(row as u16 | if accepts { ACCEPTS } else { 0 })
    };
    let start = row_of(&mut states, start)?;
    let mut next = Box::new([DEAD; ENTRIES]);
    let mut done = 0;
    while let Some(&state) = states.get(done) {
        if dfa.is_quit_state(state) {
            return None;
        }
        done += 1;
        for (class, &byte) in samples.iter().enumerate() {
            next[done * width + class] = row_of(&mut states, dfa.next_state(state, byte))?;
        }
    }
    Some(Automaton { classes, next, start })
}

const _: () = assert!((ACCEPTS as usize).is_multiple_of(ENTRIES));

/// Whether some match of `hir` may contain `byte`.
fn can_hold(hir: &Hir, byte: u8) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.contains(&byte),
        HirKind::Class(Class::Bytes(class)) => class.iter().any(|range| (range.start()..=range.end()).contains(&byte)),
        HirKind::Class(Class::Unicode(class)) if byte.is_ascii() => {
            class.iter().any(|range| (range.start()..=range.end()).contains(&char::from(byte)))
        }
        HirKind::Class(Class::Unicode(class)) => !class.is_ascii(),
        HirKind::Repetition(repetition) => can_hold(&repetition.sub, byte),
        HirKind::Capture(capture) => can_hold(&capture.sub, byte),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(|part| can_hold(part, byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::{Gate, Pattern, each_match};

    fn pattern(text: &str) -> Pattern {
        Pattern::compile(text, "blocked_values", 0).unwrap()
    }

    /// Texts that are full of near misses: drawn from the bytes that the patterns tell apart.
    fn texts() -> impl Iterator<Item = Vec<u8>> {
        let mut state = 0x2545_f491_4f6c_dd1du64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize
        };
        (0..4_000).map(move |_| {
            let words: [&[u8]; 12] =
                [b"@", b"@", b"a", b"b.co", b".", b"x", b"tok=", b"tok=ab", b" ", b"\xff", "é".as_bytes(), b"aa"];
            (0..next() % 9).flat_map(|_| words[next() % words.len()].to_vec()).collect()
        })
    }

    #[test]
    fn a_split_pattern_finds_what_the_general_search_finds() {
        for source in [
            r"[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}",
            r"([a-z]+)@([a-z]+)",
            r"[a-z]*@[a-z@]*",
            r"tok=\w+",
            r"tok=(?:a|ab|[b.])*?",
            r"(?:a|aa|x+?)tok=[a.]??b?",
            r"[a-z]+?@b??",
            r"[a-z.]@x?",
            r"[à-ÿ]+@",
        ] {
            let pattern = pattern(source);
            let split = pattern.split().unwrap_or_else(|| panic!("{source} cannot be split"));
            let Gate::Literals(literals) = pattern.gate() else { panic!("{source} has no literal") };
            let mut cache = pattern.regex().create_cache();
            for text in texts() {
                let (mut general, mut outwards) = (Vec::new(), Vec::new());
                each_match(pattern.regex(), &mut cache, &text, |start, end| {
                    general.push((start, end));
                    true
                });
                let places = (0..text.len()).filter(|at| text[*at..].starts_with(&literals[0]));
                split.each_match(&text, places, |start, end| {
                    outwards.push((start, end));
                    true
                });
                assert_eq!(outwards, general, "{source} in {:?}", String::from_utf8_lossy(&text));
            }
        }
    }

    #[test]
    fn what_cannot_be_split_is_left_to_the_general_search() {
        for (source, why) in [
            (r"\btok=\w+", "looks around"),
            (r"[^ ]+@x", "the part in front may hold the literal"),
            (r"(?:x@|y@z)", "no literal of the whole"),
            (r"@[ab]*a[ab]{14}", "too large"),
        ] {
            assert!(pattern(source).split().is_none(), "{source}: {why}");
        }
    }

    #[test]
    fn the_search_can_be_stopped() {
        let pattern = pattern("[a-z]@");
        let mut found = Vec::new();
        pattern.split().unwrap().each_match(b"a@b@c@", [1, 3, 5].into_iter(), |start, end| {
            found.push((start, end));
            found.len() < 2
        });
        assert_eq!(found, [(0, 2), (2, 4)]);
    }
}
