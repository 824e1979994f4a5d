//! The walk itself.

use super::table::{Action, Op, Root, Step, TABLES, Table, root_table};
use super::{Content, Leaf, LeafAction, PairAction, Place, QUIET_LEN, Visitor};
use crate::canonical;
use crate::error::Error;
use crate::pass::Out;
use crate::schema;
use crate::tags::{any_value, key_value};
use crate::wire::{Reader, Value, WireType, patch_len, put_len, put_message, put_varint, short_payload, varint_len};

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was changed; the output was left empty.
    Unchanged,
    /// The output holds the message as it is to be.
    Changed,
    /// A visitor asked for the item to go.
    Dropped,
    /// The message is not in a form that can be judged in one walk: put it into canonical form and walk that.
    Odd,
}

/// Walks `message`, a message of type `root`, and writes it to `out` if a leaf or an unknown field was changed.
///
/// `base` is the offset of `message` in the buffer that the visitor's candidates refer to. `out` must be empty; it is
/// reused scratch. Malformed bytes are an error.
pub fn rewrite<V: Visitor>(
    root: Root,
    message: &[u8],
    base: usize,
    visitor: &mut V,
    out: &mut Vec<u8>,
) -> Result<Outcome, Error> {
    let tables = TABLES.as_slice();
    let mut walk = Walk {
        source: message,
        base,
        tables,
        out: Out::over(std::mem::take(out)),
        pairs: visitor.wants_pairs(),
        scalars: visitor.wants_scalars(),
        plain_only: !visitor.wants_pairs() && !visitor.wants_scalars(),
        max_depth: visitor.max_depth(),
        quiet: visitor.quiet_until().saturating_sub(base),
        visitor,
    };
    let result = walk.message(&tables[root_table(root)], 0, message.len());
    let (bytes, touched) = walk.out.end(message);
    *out = bytes;
    match result {
        Ok(_) if touched => Ok(Outcome::Changed),
        Ok(_) => Ok(Outcome::Unchanged),
        Err(Stop::Dropped) if is_canonical(root.message(), message) => Ok(Outcome::Dropped),
        Err(Stop::Dropped) => Ok(Outcome::Odd), // what asked for it may be superseded further on
        Err(Stop::Odd) => Ok(Outcome::Odd),
        Err(Stop::RemoveAttribute) => Ok(Outcome::Odd), // cannot happen outside a pair: judged as not judgeable
        Err(Stop::Malformed(error)) => Err(error),
    }
}

fn is_canonical(schema: &'static schema::Message, bytes: &[u8]) -> bool {
    // Deeper than any walk goes: what nests further is not judged here, and refused in canonical form.
    const DEPTH: usize = 512;
    canonical::is_canonical(schema, bytes, DEPTH).unwrap_or(false)
}

/// Why the walk does not go on where it is.
enum Stop {
    RemoveAttribute,
    Dropped,
    Odd,
    Malformed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Malformed(error)
    }
}

struct Walk<'a, V> {
    source: &'a [u8],
    base: usize,
    tables: &'static [Table],
    out: Out,
    pairs: bool,
    scalars: bool,
    /// A plain pair without candidates needs no closer look.
    plain_only: bool,
    max_depth: usize,
    /// Short texts of the source that end here or before need no look.
    quiet: usize,
    visitor: &'a mut V,
}

/// The tag of a key, in front of most pairs.
const KEY_TAG: u8 = (key_value::KEY << 3 | WireType::Len as u32) as u8;

const VALUE_TAG: u8 = (key_value::VALUE << 3 | WireType::Len as u32) as u8;
/// The tag of a string in an `AnyValue`.
const STRING_TAG: u8 = (any_value::STRING_VALUE << 3 | WireType::Len as u32) as u8;
/// The tags of an integer and of a boolean.
const INT_TAG: u8 = (any_value::INT_VALUE << 3) as u8;
const BOOL_TAG: u8 = (any_value::BOOL_VALUE << 3) as u8;

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

/// Ids and integers with fewer than twelve digits are no card numbers; longer ones are offered to the visitor.
const TWELVE_DIGITS: u64 = 100_000_000_000;

impl<V: Visitor> Walk<'_, V> {
    /// Walks the message at `start..end`. Returns by how much it grew.
    fn message(&mut self, table: &'static Table, start: usize, end: usize) -> Result<isize, Stop> {
        let buf = &self.source[..end];
        let mut pos = start;
        let mut grown = 0isize;
        let mut seen = 0u32;
        if table.attributes != 0 {
            self.visitor.enter(table.place);
        }
        while let Some(record) = buf.get(pos..)
            && let Some(&tag) = record.first()
        {
            let at = pos;
            let step = table.by_tag[usize::from(tag)];
            if seen & step.bit != 0 {
                return Err(Stop::Odd);
            }
            // Each arm reads the field if it is short and takes the loop on; what falls out of the match is looked at closely.
            match step.op {
                Op::KeyValue => {
                    if self.plain_only {
                        pos += plain_run(buf.get(pos..self.quiet.min(buf.len())).unwrap_or_default(), tag);
                        if pos > at {
                            continue;
                        }
                    }
                    if let Some((pair, end)) = short_payload(record, pos) {
                        let payload = end - pair.len();
                        if self.plain_only && is_plain(pair) {
                            if self.may_match(payload, pair.len()) {
                                grown += self.plain_pair(table.place, at, payload, end)?;
                            }
                        } else {
                            grown += self.any_pair(table.place, 0, at, at + 1, payload, end)?;
                        }
                        pos = end;
                        continue;
                    }
                }
                Op::Skip | Op::Id | Op::Text | Op::AnyValue | Op::Child => {
                    if let Some((inner, end)) = short_payload(record, pos) {
                        seen |= step.bit;
                        pos = end;
                        match step.op {
                            Op::Skip => {}
                            Op::Id => self.id(inner.len(), step.child)?,
                            Op::Text if end <= self.quiet => {} // `inner` is shorter than `QUIET_LEN`
                            Op::Text => grown += self.field_text(table.place, u32::from(tag >> 3), at, end, inner)?,
                            _ => grown += self.nested(step, at, end - inner.len(), end)?,
                        }
                        continue;
                    }
                }
                Op::Eight if record.len() >= 9 => {
                    seen |= step.bit;
                    pos += 9;
                    continue;
                }
                Op::Four if record.len() >= 5 => {
                    seen |= step.bit;
                    pos += 5;
                    continue;
                }
                Op::Varint if matches!(record, [_, 0..0x80, ..]) => {
                    seen |= step.bit;
                    pos += 2;
                    continue;
                }
                Op::FourBehindTwo if matches!(record, [_, 1, _, _, _, _, ..]) => {
                    seen |= step.bit;
                    pos += 6;
                    continue;
                }
                _ => {}
            }
            let mut reader = Reader::new(&buf[start..]);
            reader.seek(at - start);
            grown += self.other(table, &mut reader, start, &mut seen)?;
            pos = start + reader.pos();
        }
        if table.attributes != 0 {
            let added = self.visitor.leave(table.place, table.attributes);
            if !added.is_empty() {
                self.out.cut(self.source, end, end);
                self.out.bytes().extend_from_slice(added);
                grown += added.len() as isize;
            }
        }
        Ok(grown)
    }

    /// Whether anything in `len` bytes of text at `at` in the source may need a look.
    fn may_match(&mut self, at: usize, len: usize) -> bool {
        let may = self.visitor.may_match(self.base + at, len);
        self.ask_quiet();
        may
    }

    /// Shows the visitor a leaf.
    fn leaf(&mut self, leaf: Leaf<'_>) -> LeafAction {
        let action = self.visitor.leaf(leaf);
        self.ask_quiet();
        action
    }

    fn ask_quiet(&mut self) {
        self.quiet = self.visitor.quiet_until().saturating_sub(self.base);
    }

    /// An embedded message other than a pair; its length stands behind its one-byte tag.
    fn nested(&mut self, step: Step, at: usize, payload: usize, end: usize) -> Result<isize, Stop> {
        let mark = self.out.position(at + 1);
        let grown = if step.op == Op::AnyValue {
            // The one value that is no attribute's.
            self.any_value(Place::LogBody, None, 0, payload, end)?
        } else {
            let Some(inner) = self.tables.get(step.child as usize) else { return Err(Stop::Odd) };
            self.message(inner, payload, end)?
        };
        Ok(self.patch(mark, payload - at - 1, end - payload, grown))
    }

    /// A field with a long tag or length, an unknown number, or not the layout that the schema has.
    fn other(
        &mut self,
        table: &'static Table,
        reader: &mut Reader<'_>,
        start: usize,
        seen: &mut u32,
    ) -> Result<isize, Stop> {
        let at = start + reader.pos();
        let Some((number, wire_type)) = reader.tag()? else { return Ok(0) };
        let len_at = start + reader.pos();
        let entry = table.entry(number);
        if *seen & entry.bit != 0 {
            return Err(Stop::Odd);
        }
        *seen |= entry.bit;
        let value = reader.value(number, wire_type)?;
        let end = start + reader.pos();
        let fits = match (entry.action, value) {
            (Action::Varint, Value::Varint(_))
            | (Action::Fixed64, Value::Fixed64(_))
            | (Action::Fixed32, Value::Fixed32(_))
            | (Action::Opaque, Value::Len(_))
            | (Action::Packed(_), Value::Len(_))
            | (Action::Packed(true), Value::Varint(_))
            | (Action::Packed(false), Value::Fixed64(_)) => true,
            // Nothing with text has a tag of two bytes: behind an overlong one, canonical form is asked for first.
            (Action::Text | Action::KeyValue | Action::AnyValue | Action::Child(_), Value::Len(_))
                if len_at != at + 1 =>
            {
                return Err(Stop::Odd);
            }
            (Action::Id(len), Value::Len(id)) => {
                self.id(id.len(), len)?;
                true
            }
            (Action::Text, Value::Len(text)) => return self.field_text(table.place, number, at, end, text),
            (Action::KeyValue, Value::Len(pair)) => {
                return self.pair(table.place, 0, at, len_at, end - pair.len(), end);
            }
            (Action::AnyValue | Action::Child(_), Value::Len(inner)) => {
                let step = table.by_tag.get(number as usize * 8 + 2).copied().unwrap_or(Step::OTHER);
                return self.nested(step, at, end - inner.len(), end);
            }
            _ => false,
        };
        if !fits {
            *seen ^= entry.bit;
            return Ok(self.unknown(at, end));
        }
        Ok(0)
    }

    /// An id of another length than ids have may hold anything, and is looked at by nobody.
    #[inline]
    fn id(&mut self, len: usize, of: u8) -> Result<(), Stop> {
        if len == usize::from(of) || len == 0 || self.visitor.odd_id() {
            return Ok(());
        }
        Err(Stop::Dropped)
    }

    #[cold]
    fn unknown(&mut self, start: usize, end: usize) -> isize {
        if !self.visitor.remove_unknown() {
            return 0;
        }
        self.out.cut(self.source, start, end);
        start as isize - end as isize
    }

    /// Puts the length of an embedded message right. `grown` is by how much its content grew.
    #[inline]
    fn patch(&mut self, mark: usize, width: usize, len: usize, grown: isize) -> isize {
        if grown == 0 {
            return 0;
        }
        grown + patch_len(self.out.bytes(), mark, width, len.wrapping_add_signed(grown))
    }

    /// A string field of the message.
    #[inline]
    fn field_text(&mut self, place: Place, number: u32, start: usize, end: usize, text: &[u8]) -> Result<isize, Stop> {
        if !self.may_match(end - text.len(), text.len()) {
            return Ok(0);
        }
        let at = self.base + end - text.len();
        match self.leaf(Leaf { place, key: &[], content: Content::Field(number, text), at, depth: 0 }) {
            LeafAction::Keep => Ok(0),
            LeafAction::DropItem => Err(Stop::Dropped),
            LeafAction::Replace | LeafAction::RemoveAttribute => Ok(self.write(start, end, number)),
        }
    }

    /// Replaces the record by a length-delimited field that holds the visitor's replacement.
    fn write(&mut self, start: usize, end: usize, number: u32) -> isize {
        self.out.cut(self.source, start, end);
        let out = self.out.bytes();
        let before = out.len();
        put_len(out, number, self.visitor.replacement());
        (out.len() - before) as isize - (end - start) as isize
    }

    /// A `KeyValue` record; its length stands at `len_at`, its payload at `payload..end`.
    fn pair(
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
    fn plain_pair(&mut self, place: Place, at: usize, payload: usize, end: usize) -> Result<isize, Stop> {
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

    fn any_pair(
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

    fn pair_content(&mut self, place: Place, depth: usize, start: usize, end: usize) -> Result<isize, Stop> {
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
    fn decide(&mut self, place: Place, depth: usize, key: &[u8], rest: &[u8], late: bool) -> Result<PairAction, Stop> {
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

    fn key(&mut self, key: &[u8], depth: usize, start: usize, end: usize) -> Result<isize, Stop> {
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
    fn string_value(&mut self, start: usize, end: usize) -> isize {
        self.out.cut(self.source, start, end);
        let out = self.out.bytes();
        let before = out.len();
        let text = self.visitor.value_replacement();
        put_message(out, key_value::VALUE, |out| put_len(out, any_value::STRING_VALUE, text));
        (out.len() - before) as isize - (end - start) as isize
    }

    /// The content of an `AnyValue`.
    fn any_value(
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
    fn list(
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

/// Length of the plain pairs that `records` begins with, one behind another, all with the same tag.
#[inline(never)]
fn plain_run(records: &[u8], tag: u8) -> usize {
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
fn is_plain(pair: &[u8]) -> bool {
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
