//! Interned byte strings: span names, routes, service names.
//!
//! Two generations bound them: when the current one is full and nobody can refer to the one before any more, that one goes.
//! While it cannot, what is new reads as the empty symbol and is counted.

use ahash::RandomState;

use super::index::HandleIndex;

const MAX_COUNT: usize = 65_536 / 2;
const MAX_BYTES: usize = (16 << 20) / 2;

/// Longest text that is interned.
const MAX_TEXT: usize = 1024;

/// An interned text; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Symbol(pub(crate) u32);

impl Symbol {
    pub(crate) const NONE: Symbol = Symbol(0);
}

/// The bit of a symbol that says which generation it is of.
const GENERATION: u32 = 1 << 31;

#[derive(Default)]
struct Generation {
    text: Vec<u8>,
    /// Ends of the texts in `text`.
    ends: Vec<u32>,
    index: HandleIndex,
    /// When it stopped being the current one, in ticks.
    retired: u32,
}

impl Generation {
    fn get(&self, at: u32) -> &[u8] {
        let from = if at == 0 { 0 } else { self.ends.get(at as usize - 1).copied().unwrap_or(0) };
        let to = self.ends.get(at as usize).copied().unwrap_or(from);
        &self.text[from as usize..to as usize]
    }
}

/// The table.
pub(crate) struct Symbols {
    hasher: RandomState,
    generations: [Generation; 2],
    current: usize,
    /// Ticks for which a symbol may be referred to after its generation was retired.
    lifetime: u32,
    overflows: u64,
    /// How often a generation has gone.
    turns: u32,
}

impl Symbols {
    pub(crate) fn new(lifetime: u32) -> Self {
        Symbols {
            hasher: RandomState::new(),
            generations: Default::default(),
            current: 0,
            lifetime,
            overflows: 0,
            turns: 0,
        }
    }

    pub(crate) fn set_lifetime(&mut self, ticks: u32) {
        self.lifetime = self.lifetime.max(ticks);
    }

    /// The symbol of a text; none for the empty one, for what is too long, and where there is no room.
    pub(crate) fn intern(&mut self, text: &[u8], now: u32) -> Symbol {
        if text.is_empty() || text.len() > MAX_TEXT {
            return Symbol::NONE;
        }
        let hash = self.hasher.hash_one(text);
        if let Some(known) = self.find(hash, text) {
            return known;
        }
        let full = &self.generations[self.current];
        if full.ends.len() >= MAX_COUNT || full.text.len() + text.len() > MAX_BYTES {
            let other = 1 - self.current;
            let referred = &self.generations[other];
            if !referred.ends.is_empty() && now.saturating_sub(referred.retired) <= self.lifetime {
                self.overflows += 1;
                return Symbol::NONE;
            }
            self.generations[self.current].retired = now;
            self.generations[other] = Generation::default();
            self.current = other;
            self.turns += 1;
        }
        let generation = &mut self.generations[self.current];
        let at = generation.ends.len() as u32;
        generation.text.extend_from_slice(text);
        generation.ends.push(generation.text.len() as u32);
        let Generation { text, ends, index, .. } = generation;
        let hasher = &self.hasher;
        index.insert(hash, at, |at| {
            let from = if at == 0 { 0 } else { ends[at as usize - 1] };
            hasher.hash_one(&text[from as usize..ends[at as usize] as usize])
        });
        self.symbol(at)
    }

    /// How often a generation has gone: as long as this stays the same, a symbol is always the same text.
    pub(crate) fn turns(&self) -> u32 {
        self.turns
    }

    fn symbol(&self, at: u32) -> Symbol {
        Symbol((at + 1) | if self.current == 1 { GENERATION } else { 0 })
    }

    /// Looks in the current generation only, so that what is in use moves on with it.
    fn find(&self, hash: u64, text: &[u8]) -> Option<Symbol> {
        let generation = &self.generations[self.current];
        generation.index.find(hash, |at| generation.get(at) == text).map(|at| self.symbol(at))
    }

    /// The text of a symbol; empty for none.
    pub(crate) fn text(&self, symbol: Symbol) -> &[u8] {
        match symbol.0 & !GENERATION {
            0 => &[],
            at => self.generations[usize::from(symbol.0 & GENERATION != 0)].get(at - 1),
        }
    }

    /// Texts that found no room.
    pub(crate) fn overflows(&self) -> u64 {
        self.overflows
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.generations.iter().map(|it| it.text.capacity() + it.ends.capacity() * 4 + it.index.bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_one_symbol_and_a_full_table_turns_over() {
        let mut symbols = Symbols::new(100);
        let first = symbols.intern(b"GET /", 1);
        assert_eq!(symbols.intern(b"GET /", 2), first);
        assert_eq!(symbols.text(first), b"GET /");
        for n in 0..MAX_COUNT as u32 {
            assert_ne!(symbols.intern(&n.to_le_bytes(), 5), Symbol::NONE);
        }
        assert_eq!(symbols.text(first), b"GET /", "one generation back");
        for n in 0..MAX_COUNT as u32 {
            symbols.intern(&(n + 1_000_000).to_le_bytes(), 6);
        }
        assert!(symbols.overflows() > 0, "both are full, and the older one is referred to");
        assert_ne!(symbols.intern(b"later", 200), Symbol::NONE);
        assert_eq!(symbols.intern(b"", 200), Symbol::NONE);
    }
}
