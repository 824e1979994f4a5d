//! The symbol table of a version 2 request.

use ahash::RandomState;
use sluice_pdata::wire::put_varint;

use super::utf8;

/// Field 4, length-delimited.
const TAG: u8 = 0x22;

/// Texts by number, written as they are added. Looking a text up allocates nothing.
pub struct Symbols {
    /// The `symbols` fields of the request.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Open addressing; 0 is free, else the number of a symbol. The empty text is never looked for here.
    slots: Vec<u32>,
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct Entry {
    hash: u64,
    start: u32,
    len: u32,
}

/// Slots of a new table; a power of two.
const SLOTS: usize = 1024;

impl Default for Symbols {
    fn default() -> Self {
        let hasher = RandomState::new();
        let mut symbols = Symbols { bytes: Vec::new(), entries: Vec::new(), slots: vec![0; SLOTS], hasher };
        symbols.clear();
        symbols
    }
}

impl Symbols {
    /// Starts again with the empty text alone, which is number 0.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[TAG, 0]);
        // A table that one large request has made sparse is not swept for every small one.
        if self.slots.len() > SLOTS && self.entries.len() * 16 < self.slots.len() {
            self.slots.truncate(self.slots.len() / 2);
        }
        self.slots.fill(0);
        self.entries.clear();
        self.entries.push(Entry { hash: 0, start: 2, len: 0 });
    }

    /// The fields as written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, so that the rest of the request can be written behind them before [`Symbols::clear`].
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The number of a text, which is added if it is new. Ill-formed UTF-8 is replaced.
    #[inline]
    pub fn intern(&mut self, text: &[u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let hash = self.hasher.hash_one(text);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let number = self.slots[at];
            if number == 0 {
                return self.insert(text, hash, at);
            }
            let entry = self.entries[number as usize];
            if entry.hash == hash && self.text(entry) == text {
                return number;
            }
            at = (at + 1) & mask;
        }
    }

    fn text(&self, entry: Entry) -> &[u8] {
        &self.bytes[entry.start as usize..][..entry.len as usize]
    }

    fn insert(&mut self, text: &[u8], hash: u64, at: usize) -> u32 {
        let valid = utf8(text);
        if valid.len() != text.len() || *valid != *text {
            // The replacement is a text of its own; this one can never be found.
            return self.intern(&valid);
        }
        // A request is far below 4 GiB.
        let number = self.entries.len() as u32;
        self.bytes.push(TAG);
        put_varint(&mut self.bytes, text.len() as u64);
        self.entries.push(Entry { hash, start: self.bytes.len() as u32, len: text.len() as u32 });
        self.bytes.extend_from_slice(text);
        self.slots[at] = number;
        if self.entries.len() * 2 > self.slots.len() {
            self.grow();
        }
        number
    }

    #[cold]
    fn grow(&mut self) {
        let len = self.slots.len() * 2;
        self.slots.clear();
        self.slots.resize(len, 0);
        for (number, entry) in self.entries.iter().enumerate().skip(1) {
            let mut at = entry.hash as usize & (len - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (len - 1);
            }
            self.slots[at] = number as u32;
        }
    }
}
