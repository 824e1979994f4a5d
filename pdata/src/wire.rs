//! Protobuf wire format: bounds-checked reading of tags, varints and fields, and writing them.
//!
//! The rules are those of the protobuf encoding guide: a varint has at most ten bytes, a tag at most five, field number
//! zero is invalid, groups nest and must be closed by their own number. Nothing here knows what a field means.

use crate::error::{Error, Fault};

/// Deepest nesting of groups that is skipped before the input is refused.
const GROUP_DEPTH: usize = 32;

/// How a field's payload is laid out (the low three bits of its tag).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Len = 2,
    StartGroup = 3,
    EndGroup = 4,
    Fixed32 = 5,
}

/// The value of one field, borrowed from the message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// Strings, bytes, embedded messages and packed scalars.
    Len(&'a [u8]),
    /// The bytes between the start and the end tag.
    Group(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The payload of a length-delimited field; `None` for every other layout.
    #[inline]
    pub fn len(self) -> Option<&'a [u8]> {
        match self {
            Value::Len(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// One field of a message with the offsets (into the slice that is read) of its record.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub number: u32,
    pub value: Value<'a>,
    /// Offset of the first byte of the tag.
    pub start: usize,
    /// Offset behind the last byte of the payload.
    pub end: usize,
}

/// A field whose tag takes one byte and whose length or varint takes one or two: nearly all fields. The walks look for these
/// first.
#[derive(Clone, Copy)]
pub(crate) struct Short {
    pub(crate) tag: u8,
    /// Where the payload starts, and where the record ends.
    pub(crate) payload: usize,
    pub(crate) end: usize,
}

/// How a record is measured by the byte behind its tag, for each wire type.
#[derive(Clone, Copy)]
struct Layout {
    /// Bytes in front of the payload.
    head: u8,
    /// Length of the record, to which the bits of the next byte in `mask` are added.
    fixed: u8,
    mask: u8,
    /// With one of these bits set in the next byte, more has to be read.
    more: u8,
}

/// A table in place of a branch, which would be hard to predict.
const LAYOUTS: [Layout; 8] = {
    let odd = Layout { head: 0, fixed: 0, mask: 0, more: 0 };
    [
        Layout { head: 1, fixed: 2, mask: 0, more: 0x80 },
        Layout { head: 1, fixed: 9, mask: 0, more: 0 },
        Layout { head: 2, fixed: 2, mask: 0x7f, more: 0x80 },
        odd,
        odd,
        Layout { head: 1, fixed: 5, mask: 0, more: 0 },
        odd,
        odd,
    ]
};

impl Short {
    /// The field at `pos`, if it is whole and short.
    #[inline(always)]
    pub(crate) fn at(buf: &[u8], pos: usize) -> Option<Self> {
        let rest = buf.get(pos..)?;
        let &[tag, next, ..] = rest else { return None };
        let layout = LAYOUTS[usize::from(tag & 7)];
        if tag.wrapping_sub(8) >= 0x78 || next & layout.more != 0 {
            return Self::longer(rest, pos);
        }
        let len = usize::from(layout.fixed + (next & layout.mask)); // 0 for what is no short field
        let payload = pos + usize::from(layout.head);
        (len.wrapping_sub(1) < rest.len()).then_some(Short { tag, payload, end: pos + len })
    }

    /// A length or varint of two bytes.
    #[inline]
    fn longer(rest: &[u8], pos: usize) -> Option<Self> {
        let &[tag @ 8..0x80, _, 0..0x80, ..] = rest else { return None };
        let (head, len) = match tag & 7 {
            2 => short_len(rest)?,
            0 => (1, 2),
            _ => return None,
        };
        (head + len <= rest.len()).then_some(Short { tag, payload: pos + head, end: pos + head + len })
    }

    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        u32::from(self.tag >> 3)
    }

    #[inline(always)]
    fn value(self, buf: &[u8]) -> Option<Value<'_>> {
        let payload = buf.get(self.payload..self.end)?;
        Some(match self.tag & 7 {
            2 => Value::Len(payload),
            0 => Value::Varint(match *payload {
                [low, high] => u64::from(low & 0x7f) | u64::from(high) << 7,
                _ => u64::from(*payload.first()?),
            }),
            1 => Value::Fixed64(u64::from_le_bytes(payload.try_into().ok()?)),
            _ => Value::Fixed32(u32::from_le_bytes(payload.try_into().ok()?)),
        })
    }
}

/// Where the payload of a length-delimited record starts in the record, and its length, if tag and length are short.
#[inline(always)]
fn short_len(record: &[u8]) -> Option<(usize, usize)> {
    match *record {
        [_, len @ 0..0x80, ..] => Some((2, usize::from(len))),
        [_, low, high @ 0..0x80, ..] => Some((3, usize::from(low & 0x7f) | usize::from(high) << 7)),
        _ => None,
    }
}

/// The payload of a length-delimited record at `pos` that has a short tag and length, and where in the message it ends.
#[inline(always)]
pub(crate) fn short_payload(record: &[u8], pos: usize) -> Option<(&[u8], usize)> {
    let (head, len) = short_len(record)?;
    let payload = record.get(head..head + len)?;
    Some((payload, pos + head + len))
}

/// Where the first field at or behind `pos` starts that has the one-byte tag `wanted`, or is not short, or is cut off: what lies
/// before it is passed over. A tight loop of its own, because most of a message is passed over when one field is looked for.
#[inline(never)]
pub(crate) fn skip_others(message: &[u8], mut pos: usize, wanted: u8) -> usize {
    while let Some(&[tag, next]) = message.get(pos..).and_then(<[u8]>::first_chunk::<2>)
        && tag != wanted
        && (8..0x80).contains(&tag)
    {
        let len = match tag & 7 {
            2 if next < 0x80 => 2 + usize::from(next),
            1 => 9,
            5 => 5,
            0 if next < 0x80 => 2,
            2 => match message.get(pos + 2) {
                Some(&high) if high < 0x80 => 3 + (usize::from(next & 0x7f) | usize::from(high) << 7),
                _ => break,
            },
            _ => break,
        };
        if len > message.len() - pos {
            break;
        }
        pos += len;
    }
    pos
}

/// Skips the run of length-delimited fields `number` that starts at `pos` and returns how many there were. Stops, without
/// judging, at anything else: another field, a length of three or more bytes, a field that is cut off.
#[inline]
pub(crate) fn skip_run(message: &[u8], pos: &mut usize, number: u32) -> usize {
    let tag = (number << 3) as u8 | WireType::Len as u8;
    let mut count = 0;
    while let Some(&[first, low, high]) = message.get(*pos..).and_then(|rest| rest.first_chunk::<3>()) {
        let (head, len) =
            if low < 0x80 { (2, usize::from(low)) } else { (3, usize::from(low & 0x7f) | usize::from(high) << 7) };
        let end = *pos + head + len;
        if first != tag || (head == 3 && high >= 0x80) || end > message.len() {
            break;
        }
        *pos = end;
        count += 1;
    }
    count
}

/// A forward reader over one message.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    buf: &'a [u8],
    pos: usize,
}

impl<'a> Reader<'a> {
    /// Reads `buf` from its first byte.
    #[inline]
    pub fn new(buf: &'a [u8]) -> Self {
        Reader { buf, pos: 0 }
    }

    /// Goes on reading at `pos`.
    #[inline]
    pub(crate) fn seek(&mut self, pos: usize) {
        self.pos = pos;
    }

    /// Offset of the next unread byte.
    #[inline]
    pub fn pos(&self) -> usize {
        self.pos
    }

    /// Whether everything has been read.
    #[inline]
    pub fn at_end(&self) -> bool {
        self.pos >= self.buf.len()
    }

    #[cold]
    fn fault(&self, fault: Fault) -> Error {
        Error::new(fault, self.pos)
    }

    /// A base-128 varint of at most ten bytes.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Error> {
        match self.buf.get(self.pos) {
            Some(&byte) if byte < 0x80 => {
                self.pos += 1;
                Ok(u64::from(byte))
            }
            Some(_) => self.long_varint(),
            None => Err(self.fault(Fault::Truncated)),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Error> {
        let rest = self.buf.get(self.pos..).unwrap_or_default();
        let mut value = 0u64;
        for (index, &byte) in rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                if index == 9 && byte > 1 {
                    return Err(self.fault(Fault::Varint));
                }
                self.pos += index + 1;
                return Ok(value);
            }
        }
        Err(self.fault(if rest.len() < 10 { Fault::Truncated } else { Fault::Varint }))
    }

    /// Field number and layout of the next field, or `None` at the end of the message.
    #[inline]
    pub fn tag(&mut self) -> Result<Option<(u32, WireType)>, Error> {
        let Some(&byte) = self.buf.get(self.pos) else { return Ok(None) };
        let (key, at) = if byte < 0x80 {
            self.pos += 1;
            (u32::from(byte), self.pos - 1)
        } else {
            let at = self.pos;
            let key = self.long_varint()?;
            (u32::try_from(key).map_err(|_| Error::new(Fault::Tag, at))?, at)
        };
        let wire_type = match key & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Len,
            3 => WireType::StartGroup,
            4 => WireType::EndGroup,
            5 => WireType::Fixed32,
            _ => return Err(Error::new(Fault::Tag, at)),
        };
        match key >> 3 {
            0 => Err(Error::new(Fault::Tag, at)),
            number => Ok(Some((number, wire_type))),
        }
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let end = self.pos.checked_add(len).ok_or_else(|| self.fault(Fault::Truncated))?;
        let bytes = self.buf.get(self.pos..end).ok_or_else(|| self.fault(Fault::Truncated))?;
        self.pos = end;
        Ok(bytes)
    }

    /// A length prefix and the bytes it announces.
    #[inline]
    pub fn len_prefixed(&mut self) -> Result<&'a [u8], Error> {
        if let Some((&[len @ 0..0x80], rest)) = self.buf.get(self.pos..).and_then(<[u8]>::split_first_chunk::<1>)
            && let Some(payload) = rest.get(..len as usize)
        {
            self.pos += 1 + len as usize;
            return Ok(payload);
        }
        self.long_len_prefixed()
    }

    fn long_len_prefixed(&mut self) -> Result<&'a [u8], Error> {
        let len = self.varint()?;
        let len = usize::try_from(len).map_err(|_| self.fault(Fault::Truncated))?;
        self.take(len)
    }

    #[inline]
    pub fn fixed64(&mut self) -> Result<u64, Error> {
        let bytes = self.take(8)?;
        Ok(bytes.try_into().map_or(0, u64::from_le_bytes))
    }

    #[inline]
    pub fn fixed32(&mut self) -> Result<u32, Error> {
        let bytes = self.take(4)?;
        Ok(bytes.try_into().map_or(0, u32::from_le_bytes))
    }

    /// The payload that follows a tag.
    #[inline]
    pub fn value(&mut self, number: u32, wire_type: WireType) -> Result<Value<'a>, Error> {
        Ok(match wire_type {
            WireType::Len => Value::Len(self.len_prefixed()?),
            WireType::Varint => Value::Varint(self.varint()?),
            WireType::Fixed64 => Value::Fixed64(self.fixed64()?),
            WireType::Fixed32 => Value::Fixed32(self.fixed32()?),
            WireType::StartGroup => Value::Group(self.group(number)?),
            WireType::EndGroup => return Err(self.fault(Fault::Group)),
        })
    }

    /// Skips the payload that follows a tag.
    #[inline]
    pub fn skip(&mut self, number: u32, wire_type: WireType) -> Result<(), Error> {
        self.value(number, wire_type).map(|_| ())
    }

    #[cold]
    fn group(&mut self, number: u32) -> Result<&'a [u8], Error> {
        let start = self.pos;
        let mut open = [0u32; GROUP_DEPTH];
        open[0] = number;
        let mut depth = 1;
        loop {
            let before = self.pos;
            let Some((number, wire_type)) = self.tag()? else { return Err(self.fault(Fault::Truncated)) };
            match wire_type {
                WireType::StartGroup => {
                    *open.get_mut(depth).ok_or_else(|| self.fault(Fault::Depth))? = number;
                    depth += 1;
                }
                WireType::EndGroup => {
                    depth -= 1;
                    if open[depth] != number {
                        return Err(Error::new(Fault::Group, before));
                    }
                    if depth == 0 {
                        return Ok(&self.buf[start..before]);
                    }
                }
                other => self.skip(number, other)?,
            }
        }
    }

    /// The next field, or `None` at the end of the message.
    #[inline(always)]
    pub fn field(&mut self) -> Result<Option<Field<'a>>, Error> {
        if let Some(short) = Short::at(self.buf, self.pos)
            && let Some(value) = short.value(self.buf)
        {
            let start = std::mem::replace(&mut self.pos, short.end);
            return Ok(Some(Field { number: short.number(), value, start, end: short.end }));
        }
        if self.at_end() {
            return Ok(None);
        }
        self.any_field()
    }

    #[cold]
    #[inline(never)]
    fn any_field(&mut self) -> Result<Option<Field<'a>>, Error> {
        let start = self.pos;
        let Some((number, wire_type)) = self.tag()? else { return Ok(None) };
        let value = self.value(number, wire_type)?;
        Ok(Some(Field { number, value, start, end: self.pos }))
    }
}

/// The fields of a message in wire order. Ends after the first error.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    reader: Reader<'a>,
    failed: bool,
}

/// Iterates over the fields of `message`.
#[inline]
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields { reader: Reader::new(message), failed: false }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.reader.field().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

/// Number of bytes of `value` as a varint.
#[inline]
pub fn varint_len(value: u64) -> usize {
    // 9/64 is a close enough approximation of 1/7 for every bit width up to 64.
    ((64 - (value | 1).leading_zeros()) as usize * 9 + 64) / 64
}

/// Encoded length of a length-delimited field with so many bytes in it.
#[inline]
pub fn field_len(number: u32, len: usize) -> usize {
    varint_len(u64::from(number) << 3) + varint_len(len as u64) + len
}

/// Appends `value` as a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a tag.
#[inline]
pub fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: WireType) {
    put_varint(out, u64::from(number) << 3 | wire_type as u64);
}

/// Appends a length-delimited field: string, bytes, or an encoded message.
#[inline]
pub fn put_len(out: &mut Vec<u8>, number: u32, payload: &[u8]) {
    put_tag(out, number, WireType::Len);
    put_varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}

/// Appends a varint field.
#[inline]
pub fn put_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, WireType::Varint);
    put_varint(out, value);
}

/// Appends a fixed64 field (also sfixed64 and double, by their bits).
#[inline]
pub fn put_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, WireType::Fixed64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a fixed32 field.
#[inline]
pub fn put_fixed32(out: &mut Vec<u8>, number: u32, value: u32) {
    put_tag(out, number, WireType::Fixed32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends an embedded message whose content `write` appends; the length is written in front of it afterwards.
pub fn put_message(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    put_tag(out, number, WireType::Len);
    let at = out.len();
    out.push(0);
    write(out);
    let len = out.len() - at - 1;
    patch_len(out, at, 1, len);
}

/// Replaces the length varint of `width` bytes at `at` by `len`, moving what follows if the width changes. Returns by how
/// much the output grew.
#[inline]
pub(crate) fn patch_len(out: &mut Vec<u8>, at: usize, width: usize, len: usize) -> isize {
    let new_width = varint_len(len as u64);
    if new_width != width {
        resize_gap(out, at + width, new_width as isize - width as isize);
    }
    let mut value = len;
    for slot in &mut out[at..at + new_width] {
        *slot = value as u8 | 0x80;
        value >>= 7;
    }
    out[at + new_width - 1] &= 0x7f;
    new_width as isize - width as isize
}

#[cold]
fn resize_gap(out: &mut Vec<u8>, at: usize, by: isize) {
    if by > 0 {
        let old_len = out.len();
        out.resize(old_len + by.unsigned_abs(), 0);
        out.copy_within(at..old_len, at + by.unsigned_abs());
    } else {
        out.copy_within(at.., at - by.unsigned_abs());
        out.truncate(out.len() - by.unsigned_abs());
    }
}

/// ZigZag decoding of `sint32` and `sint64`.
#[inline]
pub fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// ZigZag encoding.
#[inline]
pub fn to_zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}
