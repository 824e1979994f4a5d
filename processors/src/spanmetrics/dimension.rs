//! Dimensions: which attributes of a span tell series apart, and what they look like in a key and in a data point.

use ahash::HashMap;
use sluice_pdata::view::{AnyValueView, AttributesView, KeyValueView};
use sluice_pdata::wire::{put_len, put_message};
use sluice_pdata::{Error, tags};
use smallvec::SmallVec;

use super::config::{Config, Dimension};
use super::glob::Glob;

pub const SERVICE_NAME: &str = "service.name";
pub const SPAN_NAME: &str = "span.name";
pub const SPAN_KIND: &str = "span.kind";
pub const STATUS_CODE: &str = "status.code";
pub const COLLECTOR_INSTANCE_ID: &str = "collector.instance.id";

/// What every series has unless it is excluded.
pub const DEFAULT_DIMENSIONS: [&str; 5] = [SERVICE_NAME, SPAN_NAME, SPAN_KIND, STATUS_CODE, COLLECTOR_INSTANCE_ID];

/// Names whose match with the globs of one list is remembered.
const REMEMBERED_NAMES: usize = 4096;
/// Longest name that is remembered.
const REMEMBERED_BYTES: usize = 256;

/// Attributes found, by slot: one for each name that any metric asks for.
pub type Found<'a> = SmallVec<[Option<KeyValueView<'a>>; 8]>;

/// All attributes of an owner, where globs want to see them.
pub type Seen<'a> = SmallVec<[KeyValueView<'a>; 16]>;

/// The names that any metric asks for.
#[derive(Debug, Default)]
pub struct Slots {
    names: Vec<Box<[u8]>>,
    /// Whether globs want to see every attribute.
    pub globs: bool,
}

impl Slots {
    fn of(&mut self, name: &str) -> usize {
        let at = self.names.iter().position(|known| **known == *name.as_bytes());
        at.unwrap_or_else(|| {
            self.names.push(name.as_bytes().into());
            self.names.len() - 1
        })
    }

    /// As many empty slots.
    pub fn empty<'a>(&self) -> Found<'a> {
        smallvec::smallvec![None; self.names.len()]
    }

    /// Keeps an attribute if it is asked for. The first of a name counts.
    #[inline]
    pub fn offer<'a>(&self, pair: KeyValueView<'a>, found: &mut Found<'a>, seen: &mut Seen<'a>) {
        for (name, slot) in self.names.iter().zip(found.iter_mut()) {
            if slot.is_none() && **name == *pair.key() {
                *slot = Some(pair);
                break;
            }
        }
        if self.globs {
            seen.push(pair);
        }
    }

    /// Reads a whole list.
    pub fn read<'a>(&self, list: AttributesView<'a>, found: &mut Found<'a>, seen: &mut Seen<'a>) -> Result<(), Error> {
        if !self.names.is_empty() || self.globs {
            for pair in list.iter() {
                self.offer(pair?, found, seen);
            }
        }
        Ok(())
    }
}

/// The configured dimensions of a metric.
#[derive(Debug)]
pub struct DimensionSet {
    named: Vec<Named>,
    globs: Vec<Glob>,
    remembered: HashMap<Box<[u8]>, bool>,
}

#[derive(Debug)]
struct Named {
    slot: usize,
    name: Box<[u8]>,
    default: Option<StandIn>,
}

/// What stands in for a missing attribute.
#[derive(Debug)]
struct StandIn {
    /// A whole `KeyValue`.
    pair: Box<[u8]>,
    text: Box<[u8]>,
}

/// Where a dimension is looked up, the most specific owner first: span, event, resource.
pub struct Owners<'f, 'a> {
    pub found: [Option<&'f Found<'a>>; 3],
    pub seen: [Option<&'f Seen<'a>>; 3],
}

impl DimensionSet {
    /// What all metrics have, and what one has on top. A name in both is one dimension; the second default counts.
    pub fn new(common: &[Dimension], own: &[Dimension], slots: &mut Slots) -> Self {
        let mut set = DimensionSet { named: Vec::new(), globs: Vec::new(), remembered: HashMap::default() };
        for dimension in common.iter().chain(own) {
            if !dimension.glob.is_empty() {
                set.globs.extend(Glob::new(&dimension.glob));
                slots.globs = true;
                continue;
            }
            let slot = slots.of(&dimension.name);
            let default = dimension.default.as_ref().map(|text| StandIn {
                pair: text_pair(&dimension.name, text.as_bytes()),
                text: text.as_bytes().into(),
            });
            match set.named.iter_mut().find(|named| named.slot == slot) {
                Some(named) => named.default = default.or(named.default.take()),
                None => set.named.push(Named { slot, name: dimension.name.as_bytes().into(), default }),
            }
        }
        set
    }

    /// Appends the values to a key. What is missing and has no default differs from what is empty.
    pub fn put_key(&mut self, owners: &Owners<'_, '_>, key: &mut Vec<u8>) -> Result<(), Error> {
        for named in &self.named {
            match (owners.first(named.slot), &named.default) {
                (Some(pair), _) => put_text(pair, key)?,
                (None, Some(StandIn { text, .. })) => put_part(text, key),
                (None, None) => put_absent(key),
            }
        }
        if !self.globs.is_empty() {
            for pair in self.globbed(owners) {
                put_part(pair.key(), key);
                put_text(pair, key)?;
            }
        }
        Ok(())
    }

    /// Calls `emit` with each dimension as a whole `KeyValue`.
    pub fn each_pair(&mut self, owners: &Owners<'_, '_>, mut emit: impl FnMut(&[u8])) {
        for named in &self.named {
            match (owners.first(named.slot), &named.default) {
                (Some(pair), _) => emit(pair.bytes()),
                (None, Some(StandIn { pair, .. })) => emit(pair),
                (None, None) => {}
            }
        }
        if !self.globs.is_empty() {
            self.globbed(owners).iter().for_each(|pair| emit(pair.bytes()));
        }
    }

    /// What the globs match and no name has taken, by name; the most specific owner's value counts.
    fn globbed<'a>(&mut self, owners: &Owners<'_, 'a>) -> SmallVec<[KeyValueView<'a>; 8]> {
        let mut matched: SmallVec<[KeyValueView<'a>; 8]> = SmallVec::new();
        for seen in owners.seen.iter().flatten() {
            for pair in seen.iter() {
                if self.matches(pair.key()) {
                    matched.push(*pair);
                }
            }
        }
        // Stable: the more specific owner, and the first of its pairs, stay in front.
        matched.sort_by(|a, b| a.key().cmp(b.key()));
        matched.dedup_by(|later, first| later.key() == first.key());
        matched
    }

    fn matches(&mut self, name: &[u8]) -> bool {
        if let Some(&known) = self.remembered.get(name) {
            return known;
        }
        let taken = self.named.iter().any(|named| *named.name == *name);
        let matches = !taken && self.globs.iter().any(|glob| glob.matches(name));
        if name.len() <= REMEMBERED_BYTES {
            if self.remembered.len() >= REMEMBERED_NAMES {
                self.remembered.clear();
            }
            self.remembered.insert(name.into(), matches);
        }
        matches
    }
}

impl<'a> Owners<'_, 'a> {
    #[inline]
    fn first(&self, slot: usize) -> Option<KeyValueView<'a>> {
        self.found.iter().flatten().find_map(|found| found.get(slot).copied().flatten())
    }
}

/// Which of the default dimensions a config keeps.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    pub service_name: bool,
    pub span_name: bool,
    pub span_kind: bool,
    pub status_code: bool,
    pub instance_id: bool,
}

impl Kept {
    pub fn new(config: &Config) -> Self {
        let kept = |name: &str| !config.exclude_dimensions.iter().any(|excluded| excluded == name);
        Kept {
            service_name: kept(SERVICE_NAME),
            span_name: kept(SPAN_NAME),
            span_kind: kept(SPAN_KIND),
            status_code: kept(STATUS_CODE),
            instance_id: kept(COLLECTOR_INSTANCE_ID),
        }
    }
}

/// A part of a key: its length, then its bytes. Lengths are one too large, because 0 stands for what is missing.
#[inline]
pub fn put_part(part: &[u8], key: &mut Vec<u8>) {
    // Requests are far below 4 GiB.
    key.extend_from_slice(&(part.len() as u32).wrapping_add(1).to_le_bytes());
    key.extend_from_slice(part);
}

/// A part of a key that is not there.
#[inline]
pub fn put_absent(key: &mut Vec<u8>) {
    key.extend_from_slice(&[0; 4]);
}

/// A value as part of a key: by its text, because backends tell series apart by that.
fn put_text(pair: KeyValueView<'_>, key: &mut Vec<u8>) -> Result<(), Error> {
    let value = pair.value()?;
    if let AnyValueView::Str(text) = value {
        put_part(text, key);
        return Ok(());
    }
    let at = key.len();
    put_absent(key);
    text_of(value, pair, key);
    let len = (key.len() - at - 4) as u32;
    key[at..at + 4].copy_from_slice(&len.wrapping_add(1).to_le_bytes());
    Ok(())
}

/// A value as part of a key that tells types apart.
pub fn put_value(pair: KeyValueView<'_>, key: &mut Vec<u8>) -> Result<(), Error> {
    key.push(match pair.value()? {
        AnyValueView::Empty => 0,
        AnyValueView::Str(_) => 1,
        AnyValueView::Bool(_) => 2,
        AnyValueView::Int(_) => 3,
        AnyValueView::Double(_) => 4,
        _ => 5,
    });
    put_text(pair, key)
}

/// The text of a scalar; the bytes of anything else.
pub fn text_of(value: AnyValueView<'_>, pair: KeyValueView<'_>, out: &mut Vec<u8>) {
    use std::io::Write as _;
    // Writing to memory does not fail.
    let _ = match value {
        AnyValueView::Str(text) => out.write_all(text),
        AnyValueView::Empty => Ok(()),
        AnyValueView::Bool(value) => write!(out, "{value}"),
        AnyValueView::Int(value) => write!(out, "{value}"),
        AnyValueView::Double(value) => write!(out, "{value}"),
        _ => out.write_all(pair.bytes()),
    };
}

/// A `KeyValue` with a text.
pub fn text_pair(name: &str, text: &[u8]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(name.len() + text.len() + 8);
    put_len(&mut out, tags::key_value::KEY, name.as_bytes());
    put_message(&mut out, tags::key_value::VALUE, |value| put_len(value, tags::any_value::STRING_VALUE, text));
    out.into()
}

/// Upstream's name of a span kind; empty for one that it does not know.
pub const fn kind_name(kind: i32) -> &'static str {
    match kind {
        0 => "SPAN_KIND_UNSPECIFIED",
        1 => "SPAN_KIND_INTERNAL",
        2 => "SPAN_KIND_SERVER",
        3 => "SPAN_KIND_CLIENT",
        4 => "SPAN_KIND_PRODUCER",
        5 => "SPAN_KIND_CONSUMER",
        _ => "",
    }
}

/// Upstream's name of a status code; empty for one that it does not know.
pub const fn status_name(code: i32) -> &'static str {
    match code {
        0 => "STATUS_CODE_UNSET",
        1 => "STATUS_CODE_OK",
        2 => "STATUS_CODE_ERROR",
        _ => "",
    }
}
