//! One message being edited: an index of its fields over the original bytes, with changes kept beside them.
//!
//! A [`Message`] costs nothing until a field is asked for; then one walk notes where each field lies. Edits replace, add or
//! remove whole field records; new content lies in an arena that the caller owns and reuses. What is not touched keeps its
//! bytes and its place, unknown fields included. Adding a record needs no such walk: it goes to the end.

mod attributes;

use crate::error::{Error, Fault};
use crate::wire::{self, Reader, Short, Value, WireType};

pub use attributes::{Attributes, NewValue};

/// Where a field record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Source,
    Arena,
    Removed,
}

/// One field record: tag, length if it has one, payload.
#[derive(Clone, Copy, Debug)]
struct Slot {
    number: u32,
    wire_type: WireType,
    place: Place,
    start: u32,
    /// Where the payload starts, behind tag and length.
    payload: u32,
    end: u32,
}

/// Buffers that messages are edited in. One per worker and level, reused from message to message.
#[derive(Debug, Default)]
pub struct Buffers {
    slots: Vec<Slot>,
    arena: Vec<u8>,
    whole: Vec<u8>,
}

/// A message that steps read and edit. See the [module documentation](self).
#[derive(Debug)]
pub struct Message<'a> {
    source: &'a [u8],
    buffers: &'a mut Buffers,
    /// The slots say what the content is. If not, it is the source (unless the content was `rewritten`) and then the arena.
    indexed: bool,
    changed: bool,
    /// The source counts no more: the arena holds the content as a whole. Never set together with `indexed`.
    rewritten: bool,
    /// Offset of `source` in the batch that the pass walks, while these are still that batch's bytes.
    position: Option<usize>,
}

impl<'a> Message<'a> {
    /// A message over `source`. Whatever `buffers` held is dropped.
    #[inline]
    pub fn new(source: &'a [u8], buffers: &'a mut Buffers) -> Self {
        buffers.clear();
        Message { source, buffers, indexed: false, changed: false, rewritten: false, position: None }
    }

    /// The same, remembering where in the batch the message lies.
    #[inline]
    pub(crate) fn at(source: &'a [u8], position: usize, buffers: &'a mut Buffers) -> Self {
        Message { position: Some(position), ..Message::new(source, buffers) }
    }

    /// Whether an edit has changed the message.
    #[inline]
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Offset of the message in the walked batch, or `None` once it was edited.
    #[inline]
    pub fn position(&self) -> Option<usize> {
        if self.changed { None } else { self.position }
    }

    /// Walks the message and notes its fields, unless that has been done.
    #[inline]
    pub fn index(&mut self) -> Result<(), Error> {
        if self.indexed {
            return Ok(());
        }
        self.indexed = true;
        if !std::mem::take(&mut self.rewritten) {
            self.index_source()?;
        }
        self.index_arena(0)
    }

    fn index_source(&mut self) -> Result<(), Error> {
        offset(self.source.len())?;
        let (source, slots) = (self.source, &mut self.buffers.slots);
        let mut note = |number, wire_type, start: usize, payload: usize, end: usize| {
            // The offsets fit: the whole length does.
            let (start, payload, end) = (start as u32, payload as u32, end as u32);
            slots.push(Slot { number, wire_type, place: Place::Source, start, payload, end });
        };
        let mut reader = Reader::new(source);
        loop {
            while let Some(short) = Short::at(source, reader.pos()) {
                let wire_type = match short.tag & 7 {
                    2 => WireType::Len,
                    0 => WireType::Varint,
                    1 => WireType::Fixed64,
                    _ => WireType::Fixed32,
                };
                note(short.number(), wire_type, reader.pos(), short.payload, short.end);
                reader.seek(short.end);
            }
            let start = reader.pos();
            let Some((number, wire_type)) = reader.tag()? else { return Ok(()) };
            let len = payload_len(reader.value(number, wire_type)?);
            note(number, wire_type, start, reader.pos() - len, reader.pos());
        }
    }

    /// The whole message as it stands now, contiguous. Free while nothing was changed.
    pub fn bytes(&mut self) -> &[u8] {
        if !self.changed {
            return self.source;
        }
        if !self.rewritten {
            self.flatten();
        }
        &self.buffers.arena
    }

    /// The whole message, if nothing was changed.
    #[inline]
    pub fn unchanged(&self) -> Option<&'a [u8]> {
        (!self.changed).then_some(self.source)
    }

    /// Lets `write` make the content anew from the message as it stands now. `write` gets that, the offset it has in the
    /// walked batch if it is still there, and an empty buffer; it says whether the buffer now is the message.
    pub fn rewrite<E: From<Error>>(
        &mut self,
        write: impl FnOnce(&[u8], Option<usize>, &mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let position = self.position();
        if self.changed && !self.rewritten {
            self.flatten();
        }
        // The new content is written to `whole` and swapped in.
        let mut out = std::mem::take(&mut self.buffers.whole);
        out.clear();
        let current = if self.rewritten { self.buffers.arena.as_slice() } else { self.source };
        let written = write(current, position, &mut out);
        if let Ok(true) = written {
            std::mem::swap(&mut self.buffers.arena, &mut out);
            self.buffers.slots.clear();
            self.indexed = false;
            self.changed = true;
            self.rewritten = true;
        }
        self.buffers.whole = out;
        written
    }

    /// Makes the edited content contiguous in the arena.
    fn flatten(&mut self) {
        let mut whole = std::mem::take(&mut self.buffers.whole);
        whole.clear();
        self.write(&mut whole);
        std::mem::swap(&mut self.buffers.arena, &mut whole);
        self.buffers.whole = whole;
        self.buffers.slots.clear();
        self.indexed = false;
        self.rewritten = true;
    }

    fn index_arena(&mut self, from: usize) -> Result<(), Error> {
        let Buffers { slots, arena, .. } = &mut *self.buffers;
        let mut reader = Reader::new(&arena[from..]);
        loop {
            let start = reader.pos();
            let Some((number, wire_type)) = reader.tag()? else { return Ok(()) };
            let len = payload_len(reader.value(number, wire_type)?);
            let end = reader.pos();
            slots.push(Slot {
                number,
                wire_type,
                place: Place::Arena,
                start: offset(from + start)?,
                payload: offset(from + end - len)?,
                end: offset(from + end)?,
            });
        }
    }

    // ---- reading -------------------------------------------------------------------------------------------------

    #[inline]
    fn buffer(&self, place: Place) -> &[u8] {
        if place == Place::Arena { &self.buffers.arena } else { self.source }
    }

    #[inline]
    fn payload(&self, slot: &Slot) -> &[u8] {
        &self.buffer(slot.place)[slot.payload as usize..slot.end as usize]
    }

    fn value_of(&self, slot: &Slot) -> Value<'_> {
        let payload = self.payload(slot);
        match slot.wire_type {
            WireType::Len => Value::Len(payload),
            WireType::Fixed64 => Value::Fixed64(payload.try_into().map_or(0, u64::from_le_bytes)),
            WireType::Fixed32 => Value::Fixed32(payload.try_into().map_or(0, u32::from_le_bytes)),
            WireType::Varint | WireType::StartGroup | WireType::EndGroup => {
                let record = &self.buffer(slot.place)[slot.start as usize..slot.end as usize];
                Reader::new(record).field().ok().flatten().map_or(Value::Varint(0), |field| field.value)
            }
        }
    }

    /// The fields in order, each with a handle for [`Message::remove`] and [`Message::replace`]. Index first.
    pub fn fields(&self) -> impl Iterator<Item = (FieldId, u32, Value<'_>)> {
        self.buffers
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.place != Place::Removed)
            .map(|(at, slot)| (FieldId(at), slot.number, self.value_of(slot)))
    }

    fn live(&self, number: u32, wire_type: WireType) -> impl DoubleEndedIterator<Item = (usize, &Slot)> {
        self.buffers.slots.iter().enumerate().filter(move |(_, slot)| {
            slot.number == number && slot.wire_type == wire_type && slot.place != Place::Removed
        })
    }

    /// The last length-delimited occurrence of a field. Index first.
    #[inline]
    pub fn len_field(&self, number: u32) -> Option<&[u8]> {
        self.live(number, WireType::Len).next_back().map(|(_, slot)| self.payload(slot))
    }

    /// All length-delimited occurrences of a field. Index first.
    #[inline]
    pub fn len_fields(&self, number: u32) -> impl Iterator<Item = (FieldId, &[u8])> {
        self.live(number, WireType::Len).map(|(at, slot)| (FieldId(at), self.payload(slot)))
    }

    /// The last varint occurrence of a field, 0 if there is none. Index first.
    pub fn varint(&self, number: u32) -> u64 {
        match self.live(number, WireType::Varint).next_back().map(|(_, slot)| self.value_of(slot)) {
            Some(Value::Varint(value)) => value,
            _ => 0,
        }
    }

    /// The last fixed64 occurrence of a field, 0 if there is none. Index first.
    pub fn fixed64(&self, number: u32) -> u64 {
        match self.live(number, WireType::Fixed64).next_back().map(|(_, slot)| self.value_of(slot)) {
            Some(Value::Fixed64(value)) => value,
            _ => 0,
        }
    }

    // ---- editing -------------------------------------------------------------------------------------------------

    /// Removes one field record.
    pub fn remove(&mut self, id: FieldId) {
        if let Some(slot) = self.buffers.slots.get_mut(id.0) {
            slot.place = Place::Removed;
            self.changed = true;
        }
    }

    /// Removes every occurrence of a field.
    pub fn clear(&mut self, number: u32) -> Result<(), Error> {
        self.index()?;
        for slot in self.buffers.slots.iter_mut().filter(|slot| slot.number == number && slot.place != Place::Removed) {
            slot.place = Place::Removed;
            self.changed = true;
        }
        Ok(())
    }

    /// Gives the length-delimited field `id` a new payload, which `write` appends; its place among the fields stays.
    pub fn replace(&mut self, id: FieldId, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        let Some(&Slot { number, .. }) = self.buffers.slots.get(id.0) else { return Ok(()) };
        let slot = self.append(number, write)?;
        self.buffers.slots[id.0] = slot;
        self.changed = true;
        Ok(())
    }

    /// Adds a length-delimited field whose payload `write` appends.
    pub fn push(&mut self, number: u32, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        if !self.indexed {
            wire::put_message(&mut self.buffers.arena, number, write);
            self.changed = true;
            return Ok(());
        }
        let slot = self.append(number, write)?;
        self.buffers.slots.push(slot);
        self.changed = true;
        Ok(())
    }

    /// Sets a singular string, bytes or message field: the first occurrence is replaced, others go.
    pub fn set_len(&mut self, number: u32, payload: &[u8]) -> Result<(), Error> {
        self.set_record(number, |out| wire::put_len(out, number, payload))
    }

    /// Sets a singular varint field.
    pub fn set_varint(&mut self, number: u32, value: u64) -> Result<(), Error> {
        self.set_record(number, |out| wire::put_varint_field(out, number, value))
    }

    /// Sets a singular fixed64 field (double and sfixed64 by their bits).
    pub fn set_fixed64(&mut self, number: u32, value: u64) -> Result<(), Error> {
        self.set_record(number, |out| wire::put_fixed64(out, number, value))
    }

    /// Sets a singular fixed32 field.
    pub fn set_fixed32(&mut self, number: u32, value: u32) -> Result<(), Error> {
        self.set_record(number, |out| wire::put_fixed32(out, number, value))
    }

    fn set_record(&mut self, number: u32, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        self.index()?;
        let from = self.buffers.arena.len();
        write(&mut self.buffers.arena);
        let mut first = None;
        for (at, slot) in self.buffers.slots.iter_mut().enumerate() {
            if slot.number == number && slot.place != Place::Removed {
                slot.place = Place::Removed;
                first.get_or_insert(at);
            }
        }
        self.index_arena(from)?;
        if let Some(at) = first
            && let Some(slot) = self.buffers.slots.pop()
        {
            self.buffers.slots[at] = slot;
        }
        self.changed = true;
        Ok(())
    }

    /// Appends a length-delimited record to the arena.
    fn append(&mut self, number: u32, write: impl FnOnce(&mut Vec<u8>)) -> Result<Slot, Error> {
        let arena = &mut self.buffers.arena;
        let start = arena.len();
        wire::put_message(arena, number, write);
        let (tag_len, end) = (wire::varint_len(u64::from(number) << 3), arena.len());
        let mut reader = Reader::new(&arena[start + tag_len..]);
        reader.varint()?;
        Ok(Slot {
            number,
            wire_type: WireType::Len,
            place: Place::Arena,
            start: offset(start)?,
            payload: offset(start + tag_len + reader.pos())?,
            end: offset(end)?,
        })
    }

    /// The attributes that the message holds in its repeated `KeyValue` field `number`.
    #[inline]
    pub fn attributes(&mut self, number: u32) -> Attributes<'_, 'a> {
        Attributes::new(self, number)
    }

    /// While there is no index: the content, in two parts.
    #[inline]
    fn parts(&self) -> Option<[&[u8]; 2]> {
        match (self.indexed, self.rewritten) {
            (true, _) => None,
            (false, true) => Some([&[], &self.buffers.arena]),
            (false, false) => Some([self.source, &self.buffers.arena]),
        }
    }

    // ---- writing -------------------------------------------------------------------------------------------------

    /// Length of the message as it stands now.
    pub fn encoded_len(&self) -> usize {
        if let Some(parts) = self.parts() {
            return parts.iter().map(|part| part.len()).sum();
        }
        let live = self.buffers.slots.iter().filter(|slot| slot.place != Place::Removed);
        live.map(|slot| (slot.end - slot.start) as usize).sum()
    }

    /// Appends the message as it stands now.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.parts() {
            Some(parts) => parts.iter().for_each(|part| out.extend_from_slice(part)),
            None if self.changed => write_slots(&self.buffers.slots, self.source, &self.buffers.arena, out),
            None => out.extend_from_slice(self.source),
        }
    }
}

/// Names one field record of an indexed message until the next edit that adds or removes fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldId(usize);

/// Length of a payload that is addressed by its offsets. Varints and groups are read from their record instead.
#[inline]
fn payload_len(value: Value<'_>) -> usize {
    match value {
        Value::Len(payload) => payload.len(),
        Value::Fixed64(_) => 8,
        Value::Fixed32(_) => 4,
        _ => 0,
    }
}

#[inline]
fn offset(at: usize) -> Result<u32, Error> {
    u32::try_from(at).map_err(|_| Error::new(Fault::TooLarge, at))
}

impl Buffers {
    /// Forgets the last message.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.arena.clear();
    }
}

/// Writes the records, merging neighbours that are also neighbours in the source into one copy.
#[inline]
fn write_slots(slots: &[Slot], source: &[u8], arena: &[u8], out: &mut Vec<u8>) {
    let mut run = 0..0;
    for slot in slots {
        match slot.place {
            Place::Source if slot.start as usize == run.end => run.end = slot.end as usize,
            Place::Source => {
                out.extend_from_slice(&source[run]);
                run = slot.start as usize..slot.end as usize;
            }
            Place::Arena => {
                out.extend_from_slice(&source[run]);
                run = 0..0;
                out.extend_from_slice(&arena[slot.start as usize..slot.end as usize]);
            }
            Place::Removed => {}
        }
    }
    out.extend_from_slice(&source[run]);
}
