//! The `le` labels of the histograms seen last.

use super::layout::Extra;
use crate::prometheus_remote_write::encode::Encoder;
use crate::prometheus_remote_write::translate::{LeFormat, number};

/// Sets of bounds that are remembered.
const MAX_SETS: usize = 32;
/// Bounds of a set that is remembered; a longer one only until the payload ends.
const MAX_BOUNDS: usize = 1024;

/// One set of bounds with the pieces of its `le` labels, `+Inf` last.
#[derive(Default)]
pub(super) struct BoundSet {
    bits: Vec<u64>,
    scraped: bool,
    pieces: Vec<u8>,
    ends: Vec<usize>,
    epoch: u32,
}

impl BoundSet {
    fn renew<E: Encoder>(&mut self, format: LeFormat, encoder: &mut E, text: &mut Vec<u8>) {
        self.epoch = encoder.epoch();
        self.pieces.clear();
        self.ends.clear();
        let mut name = Vec::with_capacity(8);
        encoder.name(Extra::Le.name(), &mut name);
        for bits in self.bits.iter().copied().chain([f64::INFINITY.to_bits()]) {
            text.clear();
            number::bound(text, f64::from_bits(bits), format, self.scraped);
            encoder.label(&name, text, &mut self.pieces);
            self.ends.push(self.pieces.len());
        }
    }
}

/// The sets, the last used first.
pub(super) struct Bounds {
    format: LeFormat,
    sets: Vec<BoundSet>,
    text: Vec<u8>,
}

impl Bounds {
    pub(super) fn new(format: LeFormat) -> Self {
        Bounds { format, sets: Vec::new(), text: Vec::new() }
    }

    /// Forgets sets that are too long to keep.
    pub(super) fn trim(&mut self) {
        self.sets.retain(|set| set.bits.len() <= MAX_BOUNDS);
    }

    /// Makes the set of these bounds the one that [`Bounds::piece`] reads, good for the encoder's epoch.
    #[inline]
    pub(super) fn select<E: Encoder>(&mut self, bits: &[u64], scraped: bool, encoder: &mut E) {
        let found = self.sets.iter().position(|set| set.scraped == scraped && set.bits == bits);
        match found {
            Some(0) => {}
            Some(at) => self.sets[..=at].rotate_right(1),
            None => {
                let mut set = match self.sets.len() {
                    MAX_SETS => self.sets.pop().unwrap_or_default(),
                    _ => BoundSet::default(),
                };
                set.bits.clear();
                set.bits.extend_from_slice(bits);
                (set.scraped, set.epoch) = (scraped, 0);
                self.sets.insert(0, set);
            }
        }
        let set = &mut self.sets[0];
        if set.epoch != encoder.epoch() {
            set.renew(self.format, encoder, &mut self.text);
        }
    }

    /// The piece of the selected set's bound at `index`, or of `+Inf` behind the last.
    #[inline]
    pub(super) fn piece(&self, index: usize) -> &[u8] {
        let set = &self.sets[0];
        let start = if index == 0 { 0 } else { set.ends[index - 1] };
        &set.pieces[start..set.ends[index]]
    }
}
