//! A part of a payload: what the search for a bad item sends, and where its items stand in the whole.

use std::ops::Range;

use sluice_pdata::split;
use sluice_pipeline::exporter::Payload;
use smallvec::SmallVec;

/// Places of items.
pub(super) type Runs = SmallVec<[Range<usize>; 1]>;

/// Items of a payload, as a payload of their own.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) payload: Payload,
    /// Their places in the whole, in order.
    pub(super) runs: Runs,
}

impl Piece {
    /// All of it.
    pub(super) fn whole(payload: Payload) -> Self {
        let everything = 0..payload.items;
        Piece { payload, runs: SmallVec::from_buf([everything]) }
    }

    pub(super) fn items(&self) -> usize {
        self.payload.items
    }

    /// Two of about the same number of items. `None` for a single item, and for bytes that cannot be cut.
    pub(super) fn halves(&self) -> Option<[Piece; 2]> {
        let payload = &self.payload;
        let (first, second) = split::halves(payload.signal, &payload.contiguous()).ok()??;
        let count = |bytes| split::count(payload.signal, bytes).ok();
        let (a, b) = (count(&first)?, count(&second)?);
        if a == 0 || b == 0 || a + b != payload.items {
            return None;
        }
        let part = |bytes, items, runs| {
            let payload = Payload { parts: [bytes].into_iter().collect(), items, compressed: None, ..payload.clone() };
            Piece { payload, runs }
        };
        let [left, right] = cut(&self.runs, a);
        Some([part(first, a, left), part(second, b, right)])
    }

    /// Several pieces of the same payload as one, in their order there. `None` for no pieces.
    pub(super) fn merged(mut pieces: Vec<Piece>) -> Option<Piece> {
        pieces.sort_by_key(|piece| piece.runs.first().map(|run| run.start));
        pieces.into_iter().reduce(|mut all, next| {
            all.payload.parts.extend(next.payload.parts);
            all.payload.items += next.payload.items;
            all.payload.compressed = None;
            all.runs.extend(next.runs);
            all
        })
    }
}

/// The places of the first `count` items, and of the others.
pub(super) fn cut(runs: &Runs, count: usize) -> [Runs; 2] {
    let [mut first, mut behind] = [Runs::new(), Runs::new()];
    let mut missing = count;
    for run in runs {
        let middle = run.start + missing.min(run.len());
        missing -= middle - run.start;
        first.extend(Some(run.start..middle).filter(|run| !run.is_empty()));
        behind.extend(Some(middle..run.end).filter(|run| !run.is_empty()));
    }
    [first, behind]
}
