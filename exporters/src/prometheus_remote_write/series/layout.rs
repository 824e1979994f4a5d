//! How the labels of data points with the same attribute keys are put together.
//!
//! Data points of a metric nearly always have the same keys in the same order. Where each label goes, and what the ones
//! look like that never change, is found out once; a further point costs a comparison with the one before and a copy.

use sluice_pdata::view::KeyValueView;

use super::Malformed;
use super::context::Fixed;
use super::names::{LabelNames, NameId};
use crate::prometheus_remote_write::encode::Encoder;
use crate::prometheus_remote_write::translate::value::value_text;

/// Layouts of one context.
pub(super) const MAX_LAYOUTS: usize = 64;

/// The encoded labels of a data point, without `__name__`.
#[derive(Debug, Default)]
pub(super) struct PointLabels {
    bytes: Vec<u8>,
    /// Where `__name__` belongs.
    name_at: usize,
    /// Where `le` or `quantile` belongs, and which label it replaces.
    extra: std::ops::Range<usize>,
}

impl PointLabels {
    /// The pieces of a series with this name.
    #[inline]
    pub(super) fn plain<'p>(&'p self, name: &'p [u8]) -> [&'p [u8]; 3] {
        [&self.bytes[..self.name_at], name, &self.bytes[self.name_at..]]
    }

    /// The pieces of a series with this name and `le` or `quantile` label.
    #[inline]
    pub(super) fn with_extra<'p>(&'p self, name: &'p [u8], extra: &'p [u8]) -> [&'p [u8]; 5] {
        let before = &self.bytes[..self.name_at];
        let between = &self.bytes[self.name_at..self.extra.start];
        [before, name, between, extra, &self.bytes[self.extra.end..]]
    }

    /// Bytes of all pieces.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Which label a data point has besides its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extra {
    None,
    Le,
    Quantile,
}

impl Extra {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Extra::None => "",
            Extra::Le => "le",
            Extra::Quantile => "quantile",
        }
    }
}

/// What a layout's keys make of a data point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Labels stand in fixed places.
    Fits,
    /// Names collide in a way that depends on the values.
    Merges,
    /// A key gives no valid name.
    Invalid,
}

/// A label in its place.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Fixed(usize),
    Attribute(usize, NameId),
}

/// What the attribute at one position looked like last time.
#[derive(Debug, Default)]
struct Memory {
    /// A pair with this key, up to its value, when written in the usual way.
    prefix: Vec<u8>,
    key: Vec<u8>,
    /// The whole pair of the last point.
    pair: Vec<u8>,
    /// Its label.
    piece: Vec<u8>,
}

/// See the [module documentation](self).
pub(super) struct Layout {
    verdict: Verdict,
    slots: Vec<Slot>,
    memories: Vec<Memory>,
    /// Where in `slots` the labels belong that are not in it.
    name_at: usize,
    le: std::ops::Range<usize>,
    quantile: std::ops::Range<usize>,
    /// Pieces of the fixed labels, by their order in `fixed`; empty for those that are left out.
    fixed: Vec<u8>,
    fixed_ends: Vec<usize>,
    epoch: u32,
    verbatim: bool,
}

/// A point's labels cannot be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelError {
    Malformed,
    InvalidName,
}

impl From<Malformed> for LabelError {
    fn from(_: Malformed) -> Self {
        LabelError::Malformed
    }
}

impl From<sluice_pdata::Error> for LabelError {
    fn from(_: sluice_pdata::Error) -> Self {
        LabelError::Malformed
    }
}

impl Layout {
    /// The layout of points with these attributes.
    pub(super) fn new(
        attributes: &[&[u8]],
        fixed: &[Fixed],
        names: &mut LabelNames,
        verbatim: bool,
    ) -> Result<Self, Malformed> {
        let mut layout = Layout {
            verdict: Verdict::Fits,
            slots: Vec::new(),
            memories: Vec::with_capacity(attributes.len()),
            name_at: 0,
            le: 0..0,
            quantile: 0..0,
            fixed: Vec::new(),
            fixed_ends: Vec::new(),
            epoch: 0,
            verbatim,
        };
        let mut shadowed = vec![false; fixed.len()];
        for (at, pair) in attributes.iter().enumerate() {
            let key = KeyValueView::parse(pair)?.key();
            layout.memories.push(Memory { prefix: canonical_prefix(key), key: key.to_vec(), ..Memory::default() });
            if key == b"__name__" {
                continue;
            }
            let Some(id) = names.id(key) else {
                layout.verdict = Verdict::Invalid;
                continue;
            };
            let name = names.text(id);
            if name == "__name__" {
                continue;
            }
            match fixed.binary_search_by(|label| label.name.as_str().cmp(name)) {
                Ok(found) if fixed[found].strong => {}
                Ok(found) => shadowed[found] = true,
                Err(_) => layout.slots.push(Slot::Attribute(at, id)),
            }
        }
        if shadowed.contains(&true) && layout.verdict == Verdict::Fits {
            layout.verdict = Verdict::Merges;
        }
        let name_of = |slot: &Slot| match *slot {
            Slot::Fixed(at) => fixed[at].name.as_str(),
            Slot::Attribute(_, id) => names.text(id),
        };
        layout.slots.extend((0..fixed.len()).map(Slot::Fixed));
        layout.slots.sort_by(|a, b| name_of(a).cmp(name_of(b)));
        if layout.slots.windows(2).any(|pair| name_of(&pair[0]) == name_of(&pair[1])) && layout.verdict == Verdict::Fits
        {
            layout.verdict = Verdict::Merges;
        }
        let place = |name: &str| {
            let start = layout.slots.partition_point(|slot| name_of(slot) < name);
            let same = layout.slots[start..].iter().take_while(|slot| name_of(slot) == name).count();
            start..start + same
        };
        (layout.name_at, layout.le, layout.quantile) =
            (place("__name__").start, place(Extra::Le.name()), place(Extra::Quantile.name()));
        Ok(layout)
    }

    /// Whether these attributes have this layout's keys.
    #[inline]
    pub(super) fn fits(&self, attributes: &[&[u8]], verbatim: bool) -> bool {
        self.verbatim == verbatim
            && self.memories.len() == attributes.len()
            && self.memories.iter().zip(attributes).all(|(memory, pair)| memory.has_key_of(pair))
    }

    /// Puts the labels of a point together.
    pub(super) fn write<E: Encoder>(
        &mut self,
        attributes: &[&[u8]],
        fixed: &[Fixed],
        extra: Extra,
        names: &mut LabelNames,
        encoder: &mut E,
        scratch: &mut Scratch,
    ) -> Result<(), LabelError> {
        match self.verdict {
            Verdict::Fits => {}
            Verdict::Merges => return merge(attributes, fixed, extra, names, encoder, scratch),
            Verdict::Invalid => return Err(LabelError::InvalidName),
        }
        if self.epoch != encoder.epoch() {
            self.renew(fixed, encoder, &mut scratch.name);
        }
        let out = &mut scratch.labels;
        out.bytes.clear();
        let extra_slots = match extra {
            Extra::None => self.slots.len()..self.slots.len(),
            Extra::Le => self.le.clone(),
            Extra::Quantile => self.quantile.clone(),
        };
        (out.name_at, out.extra) = (0, 0..0);
        for (at, slot) in self.slots.iter().enumerate() {
            if at == self.name_at {
                out.name_at = out.bytes.len();
            }
            if at == extra_slots.start {
                out.extra.start = out.bytes.len();
            }
            if at == extra_slots.end {
                out.extra.end = out.bytes.len();
            }
            match *slot {
                Slot::Fixed(at) => {
                    let start = if at == 0 { 0 } else { self.fixed_ends[at - 1] };
                    out.bytes.extend_from_slice(&self.fixed[start..self.fixed_ends[at]]);
                }
                Slot::Attribute(at, id) => {
                    let (memory, pair) = (&mut self.memories[at], attributes[at]);
                    if memory.pair != pair {
                        memory.learn(pair, id, names, encoder, &mut scratch.value)?;
                    }
                    out.bytes.extend_from_slice(&memory.piece);
                }
            }
        }
        let (len, end) = (self.slots.len(), out.bytes.len());
        if self.name_at == len {
            out.name_at = end;
        }
        if extra_slots.start == len {
            out.extra.start = end;
        }
        if extra_slots.end == len {
            out.extra.end = end;
        }
        Ok(())
    }

    /// Makes all pieces anew for the encoder's epoch.
    fn renew<E: Encoder>(&mut self, fixed: &[Fixed], encoder: &mut E, name: &mut Vec<u8>) {
        self.epoch = encoder.epoch();
        self.fixed.clear();
        self.fixed_ends.clear();
        for label in fixed {
            if !label.value.is_empty() {
                name.clear();
                encoder.name(&label.name, name);
                encoder.label(name, label.value.as_bytes(), &mut self.fixed);
            }
            self.fixed_ends.push(self.fixed.len());
        }
        for memory in &mut self.memories {
            // No pair is empty, so this equals none.
            memory.pair.clear();
            memory.piece.clear();
        }
    }
}

impl Memory {
    #[inline]
    fn has_key_of(&self, pair: &[u8]) -> bool {
        if let Some(rest) = pair.strip_prefix(self.prefix.as_slice())
            && let [len @ 0..=0x7f, value @ ..] = rest
            && value.len() == usize::from(*len)
        {
            return true;
        }
        pair == self.pair && !pair.is_empty() || KeyValueView::parse(pair).is_ok_and(|pair| pair.key() == self.key)
    }

    fn learn<E: Encoder>(
        &mut self,
        pair: &[u8],
        id: NameId,
        names: &mut LabelNames,
        encoder: &mut E,
        scratch: &mut Vec<u8>,
    ) -> Result<(), LabelError> {
        self.pair.clear();
        self.piece.clear();
        let value = KeyValueView::parse(pair)?.value()?;
        let value = value_text(value, scratch);
        if !value.is_empty() {
            let name = names.piece(id, encoder);
            encoder.label(name, value, &mut self.piece);
        }
        self.pair.extend_from_slice(pair);
        Ok(())
    }
}

/// The bytes of a `KeyValue` up to the length of its value, when key and value stand in order.
fn canonical_prefix(key: &[u8]) -> Vec<u8> {
    let mut prefix = vec![0x0a];
    sluice_pdata::wire::put_varint(&mut prefix, key.len() as u64);
    prefix.extend_from_slice(key);
    prefix.push(0x12);
    prefix
}

/// Buffers for the labels of one point.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) labels: PointLabels,
    pub(super) value: Vec<u8>,
    pub(super) name: Vec<u8>,
}

/// Merges labels whose names collide: attributes in the order of their keys, joined with `;`, then those of the context.
fn merge<E: Encoder>(
    attributes: &[&[u8]],
    fixed: &[Fixed],
    extra: Extra,
    names: &mut LabelNames,
    encoder: &mut E,
    scratch: &mut Scratch,
) -> Result<(), LabelError> {
    let mut pairs = Vec::with_capacity(attributes.len());
    for pair in attributes {
        let pair = KeyValueView::parse(pair)?;
        if pair.key() != b"__name__" {
            pairs.push(pair);
        }
    }
    pairs.sort_by_key(|pair| pair.key());
    let mut merged: Vec<(String, Vec<u8>)> = Vec::with_capacity(pairs.len() + fixed.len());
    for pair in pairs {
        let id = names.id(pair.key()).ok_or(LabelError::InvalidName)?;
        let name = names.text(id);
        let value = value_text(pair.value()?, &mut scratch.value);
        match merged.iter_mut().find(|(known, _)| known == name) {
            Some((_, joined)) if joined.is_empty() => joined.extend_from_slice(value),
            Some((_, joined)) => {
                joined.push(b';');
                joined.extend_from_slice(value);
            }
            None => merged.push((name.to_owned(), value.to_vec())),
        }
    }
    for label in fixed {
        match merged.iter_mut().find(|(known, _)| *known == label.name) {
            Some((_, value)) if label.strong || value.is_empty() => *value = label.value.clone().into_bytes(),
            Some(_) => {}
            None => merged.push((label.name.clone(), label.value.clone().into_bytes())),
        }
    }
    merged.retain(|(name, value)| name != "__name__" && !value.is_empty());
    merged.sort();
    let out = &mut scratch.labels;
    out.bytes.clear();
    let (mut name_at, mut extra_range) = (None, None);
    for (name, value) in &merged {
        let start = out.bytes.len();
        scratch.name.clear();
        encoder.name(name, &mut scratch.name);
        encoder.label(&scratch.name, value, &mut out.bytes);
        if name.as_str() > "__name__" {
            name_at.get_or_insert(start);
        }
        if name == extra.name() {
            extra_range = Some(start..out.bytes.len());
        } else if name.as_str() > extra.name() {
            extra_range.get_or_insert(start..start);
        }
    }
    let end = out.bytes.len();
    (out.name_at, out.extra) = (name_at.unwrap_or(end), extra_range.unwrap_or(end..end));
    Ok(())
}
