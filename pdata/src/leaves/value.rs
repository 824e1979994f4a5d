//! The walk over one `AnyValue`, and the containers in it.

use super::rewrite::{Stop, Walk};
use super::{Content, Leaf, LeafAction, Place, QUIET_LEN, Visitor};
use crate::tags::any_value;
use crate::wire::{Reader, Value, WireType, put_len};

/// The tag of a string in an `AnyValue`.
pub(super) const STRING_TAG: u8 = (any_value::STRING_VALUE << 3 | WireType::Len as u32) as u8;
/// The tags of an integer and of a boolean.
pub(super) const INT_TAG: u8 = (any_value::INT_VALUE << 3) as u8;
pub(super) const BOOL_TAG: u8 = (any_value::BOOL_VALUE << 3) as u8;

/// Ids and integers with fewer than twelve digits are no card numbers; longer ones are offered to the visitor.
const TWELVE_DIGITS: u64 = 100_000_000_000;

impl<V: Visitor> Walk<'_, V> {
    /// The content of an `AnyValue`.
    pub(super) fn any_value(
        &mut self,
        place: Place,
        key: Option<&[u8]>,
        depth: usize,
        start: usize,
        end: usize,
    ) -> Result<isize, Stop> {
        let source = self.source;
        let mut reader = Reader::new(&source[start..end]);
        let mut grown = 0;
        let mut members = 0;
        loop {
            let at = start + reader.pos();
            let Some((number, wire_type)) = reader.tag()? else { return Ok(grown) };
            let value_at = start + reader.pos();
            let value = reader.value(number, wire_type)?;
            let record_end = start + reader.pos();
            let (content, text_at) = match (number, value) {
                (any_value::STRING_VALUE, Value::Len(text)) => {
                    members += 1;
                    let text_at = record_end - text.len();
                    let quiet = record_end <= self.quiet && text.len() < QUIET_LEN;
                    if quiet || !self.may_match(text_at, text.len()) {
                        (None, 0)
                    } else {
                        (Some(Content::Text(text)), self.base + text_at)
                    }
                }
                (any_value::BYTES_VALUE, Value::Len(bytes)) => {
                    members += 1;
                    let text_at = record_end - bytes.len();
                    if !self.may_match(text_at, bytes.len()) {
                        (None, 0)
                    } else {
                        (Some(Content::Bytes(bytes)), self.base + text_at)
                    }
                }
                (any_value::INT_VALUE, Value::Varint(value)) => {
                    members += 1;
                    let value = value as i64;
                    let wanted = self.scalars || value.unsigned_abs() >= TWELVE_DIGITS;
                    (wanted.then_some(Content::Int(value)), 0)
                }
                (any_value::DOUBLE_VALUE, Value::Fixed64(bits)) => {
                    members += 1;
                    let value = f64::from_bits(bits);
                    let integral = value.abs() >= TWELVE_DIGITS as f64 && value.fract() == 0.0;
                    ((self.scalars || integral).then_some(Content::Double(value)), 0)
                }
                (any_value::BOOL_VALUE, Value::Varint(value)) => {
                    members += 1;
                    (self.scalars.then_some(Content::Bool(value != 0)), 0)
                }
                (any_value::STRING_VALUE_STRINDEX, Value::Varint(_)) => {
                    members += 1;
                    (None, 0)
                }
                (any_value::ARRAY_VALUE | any_value::KVLIST_VALUE, Value::Len(list)) => {
                    members += 1;
                    if depth >= self.max_depth {
                        grown += self.replace_deep(at, record_end);
                    } else {
                        let list_at = record_end - list.len();
                        let mark = self.out.position(value_at);
                        let inner = self.list(place, key, depth + 1, number, list_at, record_end)?;
                        grown += self.patch(mark, list_at - value_at, list.len(), inner);
                    }
                    (None, 0)
                }
                _ => {
                    grown += self.unknown(at, record_end);
                    (None, 0)
                }
            };
            if members > 1 {
                return Err(Stop::Odd);
            }
            if let Some(content) = content {
                match self.leaf(Leaf { place, key: key.unwrap_or_default(), content, at: text_at, depth }) {
                    LeafAction::Keep => {}
                    LeafAction::Replace => {
                        let bytes = matches!(content, Content::Bytes(_));
                        let member = if bytes { any_value::BYTES_VALUE } else { any_value::STRING_VALUE };
                        grown += self.write(at, record_end, member);
                    }
                    LeafAction::RemoveAttribute if key.is_none() => {
                        grown += self.write(at, record_end, any_value::STRING_VALUE);
                    }
                    LeafAction::RemoveAttribute => return Err(Stop::RemoveAttribute),
                    LeafAction::DropItem => return Err(Stop::Dropped),
                }
            }
        }
    }

    #[cold]
    fn replace_deep(&mut self, start: usize, end: usize) -> isize {
        self.out.cut(self.source, start, end);
        let out = self.out.bytes();
        let before = out.len();
        put_len(out, any_value::STRING_VALUE, self.visitor.too_deep());
        (out.len() - before) as isize - (end - start) as isize
    }

    /// The elements of an array, or the pairs of a key-value list.
    pub(super) fn list(
        &mut self,
        place: Place,
        key: Option<&[u8]>,
        depth: usize,
        member: u32,
        start: usize,
        end: usize,
    ) -> Result<isize, Stop> {
        const VALUES: u32 = crate::tags::array_value::VALUES;
        let source = self.source;
        let mut reader = Reader::new(&source[start..end]);
        let mut grown = 0;
        loop {
            let at = start + reader.pos();
            let Some((number, wire_type)) = reader.tag()? else { return Ok(grown) };
            if number != VALUES || wire_type != WireType::Len {
                reader.skip(number, wire_type)?;
                grown += self.unknown(at, start + reader.pos());
                continue;
            }
            let len_at = start + reader.pos();
            let payload = reader.len_prefixed()?;
            let record_end = start + reader.pos();
            let payload_at = record_end - payload.len();
            if member == any_value::KVLIST_VALUE {
                grown += self.pair(place, depth, at, len_at, payload_at, record_end)?;
            } else {
                let mark = self.out.position(len_at);
                let inner = self.any_value(place, key, depth, payload_at, record_end)?;
                grown += self.patch(mark, payload_at - len_at, payload.len(), inner);
            }
        }
    }
}
