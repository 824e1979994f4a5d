//! The walk over one `KeyValue`: an attribute, or an entry of a map.

use super::rewrite::{Stop, Walk, is_canonical};
use super::value::{BOOL_TAG, INT_TAG, STRING_TAG};
use super::{Content, Leaf, LeafAction, PairAction, Place, Visitor};
use crate::schema;
use crate::tags::{any_value, key_value};
use crate::wire::{Reader, Value, WireType, put_len, put_message, put_varint, varint_len};

/// The tag of a key, in front of most pairs.
const KEY_TAG: u8 = (key_value::KEY << 3 | WireType::Len as u32) as u8;
const VALUE_TAG: u8 = (key_value::VALUE << 3 | WireType::Len as u32) as u8;

/// The key of a pair that starts with something else.
#[cold]
fn late_key(pair: &[u8]) -> Result<&[u8], Stop> {
    let mut key = None;
    for field in crate::wire::fields(pair) {
        let field = field?;
        if let (key_value::KEY, Value::Len(payload)) = (field.number, field.value)
            && key.replace(payload).is_some()
        {
            return Err(Stop::Odd);
        }
    }
    Ok(key.unwrap_or_default())
}

impl<V: Visitor> Walk<'_, V> {
    /// A `KeyValue` record; its length stands at `len_at`, its payload at `payload..end`.
    pub(super) fn pair(
        &mut self,
        place: Place,
        depth: usize,
        start: usize,
        len_at: usize,
        payload: usize,
        end: usize,
    ) -> Result<isize, Stop> {
        if self.plain_only
            && is_plain(&self.source[payload..end])
            && (end <= self.quiet || !self.may_match(payload, end - payload))
        {
            return Ok(0);
        }
        self.any_pair(place, depth, start, len_at, payload, end)
    }

    /// A plain pair that holds a candidate. A string is written anew in one go, with everything around it.
    pub(super) fn plain_pair(&mut self, place: Place, at: usize, payload: usize, end: usize) -> Result<isize, Stop> {
        let source = self.source;
        let (key, text) = match &source[payload..end] {
            [_, key_len, rest @ ..] => match rest.split_at_checked(*key_len as usize) {
                Some((key, [_, _, STRING_TAG, _, text @ ..])) if !self.may_match(payload + 2, key.len()) => (key, text),
                _ => return self.any_pair(place, 0, at, at + 1, payload, end),
            },
            _ => return self.any_pair(place, 0, at, at + 1, payload, end),
        };
        if !self.may_match(end - text.len(), text.len()) {
            return Ok(0);
        }
        let text_at = self.base + end - text.len();
        match self.leaf(Leaf { place, key, content: Content::Text(text), at: text_at, depth: 0 }) {
            LeafAction::Keep => Ok(0),
            LeafAction::DropItem => Err(Stop::Dropped),
            LeafAction::RemoveAttribute => {
                self.out.cut(source, at, end);
                Ok(at as isize - end as isize)
            }
            LeafAction::Replace => {
                self.out.cut(source, at, end);
                let text = self.visitor.replacement();
                let value_len = 1 + varint_len(text.len() as u64) + text.len();
                let key_end = payload + 2 + key.len();
                let pair_len = key_end - payload + 1 + varint_len(value_len as u64) + value_len;
                let out = self.out.bytes();
                let before = out.len();
                out.push(source[at]);
                put_varint(out, pair_len as u64);
                out.extend_from_slice(&source[payload..key_end]);
                out.push(VALUE_TAG);
                put_varint(out, value_len as u64);
                out.push(STRING_TAG);
                put_varint(out, text.len() as u64);
                out.extend_from_slice(text);
                Ok((out.len() - before) as isize - (end - at) as isize)
            }
        }
    }

    pub(super) fn any_pair(
        &mut self,
        place: Place,
        depth: usize,
        start: usize,
        len_at: usize,
        payload: usize,
        end: usize,
    ) -> Result<isize, Stop> {
        let record = self.out.position(start);
        let mark = self.out.position(len_at);
        match self.pair_content(place, depth, payload, end) {
            Ok(grown) => Ok(self.patch(mark, payload - len_at, end - payload, grown)),
            Err(Stop::RemoveAttribute) => {
                // What asked for the removal may itself be superseded further on.
                if !is_canonical(&schema::KEY_VALUE, &self.source[payload..end]) {
                    return Err(Stop::Odd);
                }
                self.out.take_back(self.source, record, start, end);
                Ok(start as isize - end as isize)
            }
            Err(stop) => Err(stop),
        }
    }

    pub(super) fn pair_content(&mut self, place: Place, depth: usize, start: usize, end: usize) -> Result<isize, Stop> {
        let source = self.source;
        let mut reader = Reader::new(&source[start..end]);
        let mut grown = 0;
        let mut key: &[u8] = &[];
        let mut action = None;
        let (mut has_key, mut has_value) = (false, false);
        if source[start..end].first() != Some(&KEY_TAG) {
            key = late_key(&source[start..end])?;
            action = Some(self.decide(place, depth, key, &source[start..end], true)?);
        }
        loop {
            let at = start + reader.pos();
            let Some((number, wire_type)) = reader.tag()? else { break };
            match (number, wire_type) {
                (key_value::KEY, WireType::Len) => {
                    key = reader.len_prefixed()?;
                    if has_key {
                        return Err(Stop::Odd);
                    }
                    has_key = true;
                    let record_end = start + reader.pos();
                    let decided = match action {
                        Some(decided) => decided,
                        None => self.decide(place, depth, key, &source[record_end..end], false)?,
                    };
                    action = Some(decided);
                    if decided != PairAction::Keep {
                        grown += self.key(key, depth, at, record_end)?;
                    }
                }
                (key_value::VALUE, WireType::Len) => {
                    let len_at = start + reader.pos();
                    let payload = reader.len_prefixed()?;
                    if has_value {
                        return Err(Stop::Odd);
                    }
                    has_value = true;
                    let record_end = start + reader.pos();
                    let payload_at = record_end - payload.len();
                    let decided = match action {
                        Some(decided) => decided,
                        None => return Err(Stop::Odd), // cannot be: a pair that does not start with its key was decided before
                    };
                    match decided {
                        PairAction::Keep => {}
                        PairAction::ReplaceValue => grown += self.string_value(at, record_end),
                        _ => {
                            let mark = self.out.position(len_at);
                            let inner = self.any_value(place, Some(key), depth, payload_at, record_end)?;
                            grown += self.patch(mark, payload_at - len_at, payload.len(), inner);
                        }
                    }
                }
                // `key_strindex` refers to a table that only profiles have; it holds no text.
                (key_value::KEY_STRINDEX, WireType::Varint) => {
                    reader.varint()?;
                }
                _ => {
                    reader.skip(number, wire_type)?;
                    grown += self.unknown(at, start + reader.pos());
                }
            }
        }
        Ok(grown)
    }

    /// Asks the visitor about a pair whose value is in `rest`. A key in `rest` is a second one, unless it is `late`.
    pub(super) fn decide(
        &mut self,
        place: Place,
        depth: usize,
        key: &[u8],
        rest: &[u8],
        late: bool,
    ) -> Result<PairAction, Stop> {
        if !self.pairs {
            return Ok(PairAction::Descend);
        }
        let mut value: Option<&[u8]> = None;
        for field in crate::wire::fields(rest) {
            let field = field?;
            match (field.number, field.value) {
                (key_value::VALUE, Value::Len(payload)) if value.replace(payload).is_some() => return Err(Stop::Odd),
                (key_value::KEY, Value::Len(_)) if !late => return Err(Stop::Odd),
                _ => {}
            }
        }
        match self.visitor.pair(place, depth, key, value.unwrap_or_default()) {
            PairAction::Remove => Err(Stop::RemoveAttribute),
            action => Ok(action),
        }
    }

    pub(super) fn key(&mut self, key: &[u8], depth: usize, start: usize, end: usize) -> Result<isize, Stop> {
        if !self.may_match(end - key.len(), key.len()) {
            return Ok(0);
        }
        let at = self.base + end - key.len();
        match self.leaf(Leaf { place: Place::Key, key: &[], content: Content::Key(key), at, depth }) {
            LeafAction::Keep => Ok(0),
            LeafAction::Replace => Ok(self.write(start, end, key_value::KEY)),
            LeafAction::RemoveAttribute => Err(Stop::RemoveAttribute),
            LeafAction::DropItem => Err(Stop::Dropped),
        }
    }

    /// Replaces a whole value record of a pair by a string value with the visitor's replacement.
    pub(super) fn string_value(&mut self, start: usize, end: usize) -> isize {
        self.out.cut(self.source, start, end);
        let out = self.out.bytes();
        let before = out.len();
        let text = self.visitor.value_replacement();
        put_message(out, key_value::VALUE, |out| put_len(out, any_value::STRING_VALUE, text));
        (out.len() - before) as isize - (end - start) as isize
    }
}

/// Length of the plain pairs that `records` begins with, one behind another, all with the same tag.
#[inline(never)]
pub(super) fn plain_run(records: &[u8], tag: u8) -> usize {
    let mut rest = records;
    while let [first, len @ 0..0x80, behind @ ..] = rest
        && *first == tag
        && let Some((pair, next)) = behind.split_at_checked(usize::from(*len))
        && is_plain(pair)
    {
        rest = next;
    }
    records.len() - rest.len()
}

/// Whether a pair is written canonically with a short key and a scalar that only a match in its bytes makes interesting: the most
/// common attributes by far.
#[inline(always)]
pub(super) fn is_plain(pair: &[u8]) -> bool {
    let [KEY_TAG, key_len @ 0..0x80, rest @ ..] = pair else { return false };
    let Some(value) = rest.get(usize::from(*key_len)..).filter(|value| value.len() < 0x80) else { return false };
    // Two headers of a tag and a length each, of the value and of the string in it, in one compare.
    if let Some(heads) = value.first_chunk::<4>() {
        let len = value.len() as u32;
        let tags = u32::from_le_bytes([VALUE_TAG, 0, STRING_TAG, 0]);
        if u32::from_le_bytes(*heads) == tags + ((len - 2) << 8) + ((len - 4) << 24) {
            return true;
        }
    }
    match value {
        [VALUE_TAG, len, scalar @ ..] if scalar.len() == usize::from(*len) => match scalar {
            // A varint of at most five bytes has fewer than twelve digits.
            [INT_TAG, head @ .., last] => head.len() < 5 && *last < 0x80 && head.iter().all(|&byte| byte >= 0x80),
            [BOOL_TAG, 0..=1] => true,
            _ => false,
        },
        _ => false,
    }
}
