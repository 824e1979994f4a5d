//! What is attached to logs of a span's facts, as it was written last: the spans of a service have few names, routes and statuses.

use super::attach::LogField;
use super::symbols::Symbol;

/// Places; each keeps what was written last of those whose hash falls on it.
const PLACES: usize = 256;

/// Longest text that is kept.
const LONGEST: usize = 512;

/// By what facts are the same for the logs of different spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FactsKey {
    pub(crate) name: Symbol,
    pub(crate) route: Symbol,
    pub(crate) root_service: Symbol,
    pub(crate) root_name: Symbol,
    pub(crate) http_status: u16,
    /// Kind and status code.
    pub(crate) shape: u8,
}

/// Facts, and what was written of them.
type Place = Option<(FactsKey, Box<[u8]>)>;

/// What was written.
pub(crate) struct Written {
    places: Box<[Place]>,
    /// Of the symbols, when the first of them was written.
    turns: u32,
    bytes: usize,
}

impl Written {
    /// `None` where a log also learns what its span alone has: that is written each time.
    pub(crate) fn of(fields: &[LogField]) -> Option<Self> {
        let alone = fields.iter().any(|field| matches!(field, LogField::DurationMs | LogField::ParentSpanId));
        (!alone).then(|| Written { places: (0..PLACES).map(|_| None).collect(), turns: 0, bytes: 0 })
    }

    /// What is attached to a log of these facts, if it is here. `turns`: of the symbols.
    pub(crate) fn get(&mut self, hash: u64, key: FactsKey, turns: u32) -> Option<&[u8]> {
        if self.turns != turns {
            self.places.fill_with(|| None);
            (self.turns, self.bytes) = (turns, 0);
        }
        let (known, text) = self.places[hash as usize % PLACES].as_ref()?;
        (*known == key).then_some(&**text)
    }

    /// Keeps what was written.
    pub(crate) fn put(&mut self, hash: u64, key: FactsKey, text: &[u8]) {
        if text.len() > LONGEST {
            return;
        }
        let before = self.places[hash as usize % PLACES].replace((key, text.into()));
        self.bytes += text.len();
        self.bytes -= before.map_or(0, |(_, text)| text.len());
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.places.len() * size_of::<Place>() + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: u32) -> FactsKey {
        let none = Symbol::NONE;
        FactsKey { name: Symbol(name), route: none, root_service: none, root_name: none, http_status: 200, shape: 1 }
    }

    #[test]
    fn what_was_written_is_found_by_its_facts_until_symbols_mean_something_else() {
        let mut written = Written::of(&LogField::DEFAULT).unwrap();
        let empty = written.bytes();
        written.put(3, key(1), b"one");
        written.put(4, key(2), b"two");
        assert_eq!(written.get(3, key(1), 0), Some(&b"one"[..]));
        assert_eq!(written.get(3, key(2), 0), None);
        // The same place.
        written.put(3 + PLACES as u64, key(3), b"three");
        assert_eq!(written.get(3, key(1), 0), None);
        assert_eq!(written.bytes(), empty + 8);
        assert_eq!(written.get(3, key(3), 0), Some(&b"three"[..]));
        written.put(5, key(4), &[0; LONGEST + 1]);
        assert_eq!(written.get(5, key(4), 0), None);
        assert_eq!(written.get(3, key(3), 1), None);
        assert_eq!(written.get(4, key(2), 1), None);
        assert_eq!(written.bytes(), empty);
        assert!(Written::of(&[LogField::SpanName, LogField::DurationMs]).is_none());
    }
}
