//! The walk itself.

use super::pair::{is_plain, plain_run};
use super::table::{Action, Op, Root, Step, TABLES, Table, root_table};
use super::{Content, Leaf, LeafAction, Place, Visitor};
use crate::canonical;
use crate::error::Error;
use crate::pass::Out;
use crate::schema;
use crate::wire::{Reader, Value, patch_len, put_len, short_payload};

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

pub(super) fn is_canonical(schema: &'static schema::Message, bytes: &[u8]) -> bool {
    // Deeper than any walk goes: what nests further is not judged here, and refused in canonical form.
    const DEPTH: usize = 512;
    canonical::is_canonical(schema, bytes, DEPTH).unwrap_or(false)
}

/// Why the walk does not go on where it is.
pub(super) enum Stop {
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

pub(super) struct Walk<'a, V> {
    pub(super) source: &'a [u8],
    pub(super) base: usize,
    tables: &'static [Table],
    pub(super) out: Out,
    pub(super) pairs: bool,
    pub(super) scalars: bool,
    /// A plain pair without candidates needs no closer look.
    pub(super) plain_only: bool,
    pub(super) max_depth: usize,
    /// Short texts of the source that end here or before need no look.
    pub(super) quiet: usize,
    pub(super) visitor: &'a mut V,
}

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
    pub(super) fn may_match(&mut self, at: usize, len: usize) -> bool {
        let may = self.visitor.may_match(self.base + at, len);
        self.ask_quiet();
        may
    }

    /// Shows the visitor a leaf.
    pub(super) fn leaf(&mut self, leaf: Leaf<'_>) -> LeafAction {
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
    pub(super) fn unknown(&mut self, start: usize, end: usize) -> isize {
        if !self.visitor.remove_unknown() {
            return 0;
        }
        self.out.cut(self.source, start, end);
        start as isize - end as isize
    }

    /// Puts the length of an embedded message right. `grown` is by how much its content grew.
    #[inline]
    pub(super) fn patch(&mut self, mark: usize, width: usize, len: usize, grown: isize) -> isize {
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
    pub(super) fn write(&mut self, start: usize, end: usize, number: u32) -> isize {
        self.out.cut(self.source, start, end);
        let out = self.out.bytes();
        let before = out.len();
        put_len(out, number, self.visitor.replacement());
        (out.len() - before) as isize - (end - start) as isize
    }
}
