//! Label names that were seen before.

use std::collections::HashMap;

use ahash::RandomState;
use sluice_pdata::view::text;

use crate::prometheus_remote_write::encode::Encoder;
use crate::prometheus_remote_write::translate::LabelNamer;

/// Keys that are remembered from one payload to the next.
const MAX_KEYS: usize = 10_000;
/// Bytes of them.
const MAX_BYTES: usize = 1 << 20;

/// Number of a label name; good until [`LabelNames::trim`] forgets all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameId(u32);

struct LabelName {
    text: String,
    piece: Vec<u8>,
    epoch: u32,
}

/// Attribute keys and the label names they give.
pub(super) struct LabelNames {
    namer: LabelNamer,
    by_key: HashMap<Box<[u8]>, Option<NameId>, RandomState>,
    names: Vec<LabelName>,
    bytes: usize,
}

impl LabelNames {
    pub(super) fn new(namer: LabelNamer) -> Self {
        LabelNames { namer, by_key: HashMap::default(), names: Vec::new(), bytes: 0 }
    }

    /// Forgets all names if there are too many. Returns whether it did; ids are invalid then.
    pub(super) fn trim(&mut self) -> bool {
        let over = self.by_key.len() > MAX_KEYS || self.bytes > MAX_BYTES;
        if over {
            self.by_key.clear();
            self.names.clear();
            self.bytes = 0;
        }
        over
    }

    /// The label name of a key; `None` if it gives no valid one.
    pub(super) fn id(&mut self, key: &[u8]) -> Option<NameId> {
        if let Some(&known) = self.by_key.get(key) {
            return known;
        }
        let id = self.namer.build(&text(key)).map(|text| {
            self.bytes += text.len();
            self.names.push(LabelName { text, piece: Vec::new(), epoch: 0 });
            // Far fewer names than 2^32: each takes at least a byte of a payload.
            NameId(self.names.len() as u32 - 1)
        });
        self.bytes += key.len();
        self.by_key.insert(key.into(), id);
        id
    }

    /// The name itself.
    pub(super) fn text(&self, id: NameId) -> &str {
        &self.names[id.0 as usize].text
    }

    /// The encoder's piece of the name.
    pub(super) fn piece<E: Encoder>(&mut self, id: NameId, encoder: &mut E) -> &[u8] {
        let name = &mut self.names[id.0 as usize];
        if name.epoch != encoder.epoch() {
            name.epoch = encoder.epoch();
            name.piece.clear();
            encoder.name(&name.text, &mut name.piece);
        }
        &name.piece
    }
}
