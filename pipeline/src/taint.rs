//! Taints: values that redaction has found under a sensitive key, remembered for as long as their trace is in a window, so that
//! the same value can be removed from the free text of the same trace (correlation §9).
//!
//! Who redacts publishes; a stage that wants to know switches the board on. Literals are zeroised when they go, are shown by no
//! `Debug`, and are never written anywhere.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::clock::WallTime;
use crate::context::Tenant;
use crate::id::ComponentId;

/// Lengths of a literal, in bytes: shorter ones are everywhere, longer ones are no values.
pub const LITERAL: std::ops::RangeInclusive<usize> = 6..=256;

/// Most bytes of literals; beyond, those of the oldest traces go, and the traces are lost.
const MAX_BYTES: usize = 16 << 20;

/// Most traces; beyond, every trace counts as lost until the newest of those that went is over.
const MAX_TRACES: usize = 200_000;

/// A value to be removed, and what was written in its place where it was found.
pub struct Literal {
    text: Zeroizing<Vec<u8>>,
    token: Box<[u8]>,
}

impl Literal {
    pub fn new(text: &[u8], token: &[u8]) -> Self {
        Literal { text: Zeroizing::new(text.to_vec()), token: token.into() }
    }

    pub fn text(&self) -> &[u8] {
        &self.text
    }

    pub fn token(&self) -> &[u8] {
        &self.token
    }
}

/// What is to be removed from a trace.
#[derive(Default)]
pub struct Taints {
    pub literals: Vec<Arc<Literal>>,
    /// There were more, and nobody knows them any more.
    pub lost: bool,
}

type Key = (Tenant, [u8; 16]);

/// Who wants to know.
#[derive(Clone, Copy)]
struct Reader {
    max_literals: usize,
    lifetime: Duration,
    /// Its time.
    now: WallTime,
}

struct Trace {
    taints: Taints,
    /// When the last literal was found, and which number that has.
    at: WallTime,
    serial: u64,
}

#[derive(Default)]
struct State {
    readers: BTreeMap<ComponentId, Reader>,
    traces: HashMap<Key, Trace, ahash::RandomState>,
    /// Traces by the number of each time when something was found, oldest first. Only the newest of a trace counts.
    found: VecDeque<(u64, Key)>,
    serial: u64,
    bytes: usize,
    blind_until: WallTime,
}

/// The board. Clones share everything.
#[derive(Clone, Default)]
pub struct TaintBoard(Arc<Shared>);

#[derive(Default)]
struct Shared {
    wanted: AtomicBool,
    /// Traces, plus one while none is known.
    known: AtomicUsize,
    state: Mutex<State>,
}

impl TaintBoard {
    /// A stage wants to know, from now on: up to so many literals of a trace, for so long after they were found.
    pub fn read_by(&self, id: ComponentId, max_literals: usize, lifetime: Duration) {
        let mut state = self.lock();
        let now = state.readers.get(&id).map_or(WallTime(0), |reader| reader.now);
        state.readers.insert(id, Reader { max_literals, lifetime, now });
        self.settle(&state);
    }

    /// Stages that are gone, or do not want to know any more.
    pub fn retain(&self, keep: impl Fn(&ComponentId) -> bool) {
        let mut state = self.lock();
        state.readers.retain(|id, _| keep(id));
        if state.readers.is_empty() {
            *state = State { serial: state.serial, ..State::default() };
        }
        self.settle(&state);
    }

    /// Whether anybody wants to know. Cheap.
    pub fn is_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed)
    }

    /// Whether no trace has any. Cheap.
    pub fn is_empty(&self) -> bool {
        self.0.known.load(Ordering::Acquire) == 0
    }

    /// A value was found in an item of this trace, at `now` by the clock of arrival. It is published before the item is kept, so
    /// that nobody reads the item first.
    pub fn publish(&self, tenant: &Tenant, trace: [u8; 16], literal: Literal, now: WallTime) {
        let mut state = self.lock();
        let max = state.readers.values().map(|reader| reader.max_literals).max().unwrap_or(0);
        if max == 0 || !LITERAL.contains(&literal.text.len()) || trace == [0; 16] {
            return;
        }
        let key = (tenant.clone(), trace);
        let State { traces, bytes, serial, found, .. } = &mut *state;
        let entry =
            traces.entry(key.clone()).or_insert_with(|| Trace { taints: Taints::default(), at: now, serial: 0 });
        entry.at = entry.at.max(now);
        if entry.taints.literals.iter().any(|known| known.text == literal.text) {
            return;
        }
        if entry.taints.literals.len() >= max {
            entry.taints.lost = true;
        } else {
            *bytes += literal.text.len() + literal.token.len();
            entry.taints.literals.push(Arc::new(literal));
        }
        *serial += 1;
        entry.serial = *serial;
        found.push_back((*serial, key));
        state.shrink();
        self.settle(&state);
    }

    /// A trace had literals before a restart, at `now`.
    pub fn lose(&self, tenant: &Tenant, trace: [u8; 16], now: WallTime) {
        let mut state = self.lock();
        state.serial += 1;
        let (serial, key) = (state.serial, (tenant.clone(), trace));
        let taints = Taints { lost: true, ..Taints::default() };
        let entry = state.traces.entry(key.clone()).or_insert(Trace { taints, at: now, serial });
        (entry.taints.lost, entry.serial) = (true, serial);
        state.found.push_back((serial, key));
        state.shrink();
        self.settle(&state);
    }

    /// A record says that the trace had literals when it was appended: if nobody knows them any more, they are lost.
    pub fn confirm(&self, tenant: &Tenant, trace: [u8; 16], now: WallTime) {
        if !self.lock().traces.contains_key(&(tenant.clone(), trace)) {
            self.lose(tenant, trace, now);
        }
    }

    /// What is to be removed from a trace; `None` if nothing is.
    pub fn find(&self, tenant: &Tenant, trace: &[u8; 16]) -> Option<Taints> {
        let state = self.lock();
        if let Some(known) = state.traces.get(&(tenant.clone(), *trace)) {
            return Some(Taints { literals: known.taints.literals.clone(), lost: known.taints.lost });
        }
        let reads = state.readers.values().map(|reader| reader.now).min().unwrap_or_default();
        (reads < state.blind_until).then(|| Taints { lost: true, ..Taints::default() })
    }

    /// Traces of which something was found behind this number, and the number to ask with next.
    pub fn found_since(&self, serial: u64) -> (Vec<(Tenant, [u8; 16])>, u64) {
        let state = self.lock();
        let new = state.found.iter().rev().take_while(|(at, _)| *at > serial);
        (new.map(|(_, key)| key.clone()).collect(), state.serial)
    }

    /// The time of a reader: what is older than its lifetime there is forgotten, once all readers are past it.
    pub fn pass(&self, id: &ComponentId, now: WallTime) {
        let mut state = self.lock();
        if let Some(reader) = state.readers.get_mut(id) {
            reader.now = reader.now.max(now);
        }
        let ends = |reader: &Reader| reader.now.0.saturating_sub(reader.lifetime.as_nanos() as u64);
        let end = state.readers.values().map(ends).min().unwrap_or(0);
        while let Some((serial, key)) = state.found.front() {
            let (is_newest, is_over) =
                state.traces.get(key).map_or((false, true), |trace| (trace.serial == *serial, trace.at.0 < end));
            if is_newest && !is_over {
                break;
            }
            if let Some((_, key)) = state.found.pop_front()
                && is_newest
            {
                state.remove(&key);
            }
        }
        self.settle(&state);
    }

    fn settle(&self, state: &State) {
        self.0.wanted.store(!state.readers.is_empty(), Ordering::Relaxed);
        let blind = usize::from(state.blind_until > WallTime(0));
        self.0.known.store(state.traces.len() + blind, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(taints: &Taints) -> usize {
    taints.literals.iter().map(|it| it.text.len() + it.token.len()).sum()
}

impl State {
    fn remove(&mut self, key: &Key) -> Option<Trace> {
        let gone = self.traces.remove(key)?;
        self.bytes -= size(&gone.taints);
        Some(gone)
    }

    /// Keeps to the limits: literals go first, and their traces are lost; then the traces themselves.
    fn shrink(&mut self) {
        let mut at = 0;
        while self.bytes > MAX_BYTES
            && let Some((_, key)) = self.found.get(at)
        {
            if let Some(trace) = self.traces.get_mut(key) {
                self.bytes -= size(&trace.taints);
                trace.taints = Taints { lost: true, ..Taints::default() };
            }
            at += 1;
        }
        while self.traces.len() > MAX_TRACES || self.found.len() > 2 * MAX_TRACES {
            let Some((serial, key)) = self.found.pop_front() else { return };
            if self.traces.get(&key).is_some_and(|trace| trace.serial == serial)
                && let Some(gone) = self.remove(&key)
            {
                let lifetime = self.readers.values().map(|reader| reader.lifetime).max().unwrap_or_default();
                let until = gone.at.0.saturating_add(lifetime.as_nanos() as u64);
                self.blind_until = self.blind_until.max(WallTime(until));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn board() -> TaintBoard {
        let board = TaintBoard::default();
        board.read_by(ComponentId::new("correlate", ""), 2, Duration::from_secs(10));
        board
    }

    fn id(n: u32) -> [u8; 16] {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&n.to_le_bytes());
        id
    }

    fn publish(board: &TaintBoard, trace: u32, text: &str, second: u64) {
        board.publish(&Tenant::default(), id(trace), Literal::new(text.as_bytes(), b"***"), WallTime(second * SECOND));
    }

    fn known(board: &TaintBoard, trace: u32) -> Option<(usize, bool)> {
        board.find(&Tenant::default(), &id(trace)).map(|it| (it.literals.len(), it.lost))
    }

    #[test]
    fn nobody_publishes_where_nobody_reads() {
        let board = TaintBoard::default();
        assert!(!board.is_wanted());
        publish(&board, 1, "secret-1", 1);
        assert!(board.is_empty());
        let board = self::board();
        publish(&board, 1, "secret-1", 1);
        assert!(board.is_wanted() && !board.is_empty());
        board.retain(|_| false);
        assert!(!board.is_wanted() && board.is_empty());
    }

    #[test]
    fn literals_are_known_within_their_trace_and_tenant_for_their_lifetime() {
        let board = board();
        ["secret-1", "secret-1", "short", &"x".repeat(257)].iter().for_each(|text| publish(&board, 1, text, 5));
        assert_eq!((known(&board, 1), known(&board, 2)), (Some((1, false)), None));
        assert!(board.find(&Tenant::new("other"), &id(1)).is_none());
        let me = ComponentId::new("correlate", "");
        board.pass(&me, WallTime(15 * SECOND));
        publish(&board, 1, "secret-2", 12);
        board.pass(&me, WallTime(16 * SECOND));
        assert_eq!(known(&board, 1), Some((2, false)));
        board.pass(&me, WallTime(23 * SECOND));
        assert!(known(&board, 1).is_none() && board.is_empty());
    }

    #[test]
    fn what_is_too_much_is_lost_and_never_forgotten_in_silence() {
        let board = board();
        ["secret-1", "secret-2", "secret-3"].iter().for_each(|text| publish(&board, 1, text, 5));
        assert_eq!(known(&board, 1), Some((2, true)));
        let (found, serial) = board.found_since(0);
        assert!(found.iter().all(|(_, trace)| *trace == id(1)));
        assert!(board.found_since(serial).0.is_empty());
        (0..=MAX_TRACES as u32).for_each(|n| board.lose(&Tenant::default(), id(n + 10), WallTime(6 * SECOND)));
        // The first ones had to go: until their time is over, everybody may be one of them.
        assert_eq!(known(&board, u32::MAX), Some((0, true)));
        let long = "y".repeat(250);
        let board = self::board();
        (0..70_000).for_each(|n| publish(&board, n, &format!("{long}{n:06}"), 5));
        assert_eq!((known(&board, 1), known(&board, 69_999)), (Some((0, true)), Some((1, false))));
    }
}
