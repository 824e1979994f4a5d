//! Messages in which every singular field occurs once.
//!
//! Protobuf lets a writer repeat a singular field: the last scalar wins, messages merge as if their bytes were
//! concatenated, the last member of a oneof wins. Hot paths read the first occurrence; whatever repeats one is brought into
//! canonical form first, here. Fields are put into the order of their numbers, so that a key stands before its value and a
//! resource before its scopes; unknown fields come last.

use std::ptr;

use crate::error::{Error, Fault};
use crate::framing;
use crate::schema::{self, FieldSchema, Kind, Label, Message};
use crate::signal::Signal;
use crate::wire::{
    Field, Reader, Value, WireType, put_fixed32, put_fixed64, put_len, put_message, put_tag, put_varint_field,
};

/// One more than the largest field number of an OTLP message.
const NUMBERS: usize = 17;

/// Into how many non-empty pieces one message may be split. No writer splits; the limit bounds memory.
const PIECES: usize = 1024;

/// How [`message`] rewrites.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Leave out fields that the schema does not name, at every level.
    pub drop_unknown: bool,
    /// How many messages may nest, the outermost included, before the input is refused.
    pub depth: usize,
}

/// Rewrites a request so that its envelopes are plain (see [`framing::Framing::plain`]), with equal meaning. Items,
/// resources and scopes are copied as they are; several resources of one group are merged by concatenation. Unknown fields
/// are kept.
///
/// # Errors
/// What [`framing::check`] refuses, and a message split into more than 1,024 pieces.
pub fn envelopes(signal: Signal, request: &[u8]) -> Result<Vec<u8>, Error> {
    framing::check(signal, request)?;
    let mut out = Vec::with_capacity(request.len());
    let rewrite = Rewrite { root: request, drop_unknown: false, enter: is_envelope };
    // A request nests five envelopes at most, so the depth cannot be reached.
    rewrite.message(signal.request(), &[request], 8, &mut out)?;
    Ok(out)
}

/// Rewrites `bytes`, a message of type `schema`, at every depth, and appends it to `out`: every singular field once, oneofs
/// resolved, fields in the order of their numbers, tags and lengths in their shortest form. Packed scalars stay packed and are checked.
///
/// # Errors
/// Malformed bytes, an envelope field of the wrong wire type (elsewhere such a field counts as unknown), or nesting beyond `options.depth`, a message split
/// into more than 1,024 pieces. `out` then holds an unfinished message.
pub fn message(schema: &'static Message, bytes: &[u8], options: &Options, out: &mut Vec<u8>) -> Result<(), Error> {
    let rewrite = Rewrite { root: bytes, drop_unknown: options.drop_unknown, enter: |_| true };
    rewrite.message(schema, &[bytes], options.depth, out)
}

/// Whether every singular field of `bytes`, a message of type `schema`, occurs once at every depth and at most one member of
/// each oneof is there. Unknown fields, order, and how scalars are packed make no difference.
///
/// # Errors
/// Malformed bytes, or nesting beyond `depth` messages.
pub fn is_canonical(schema: &'static Message, bytes: &[u8], depth: usize) -> Result<bool, Error> {
    let depth = depth.checked_sub(1).ok_or(Error::new(Fault::Depth, 0))?;
    // A bit for each singular number; bit 0 for the oneof.
    let mut seen = 0u32;
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.field()? {
        let Some(known) = known(schema, field) else { continue };
        let bit = match known.label {
            Label::Repeated => 0,
            Label::Oneof => 1,
            Label::Singular | Label::Optional => 1 << known.number,
        };
        if seen & bit != 0 {
            return Ok(false);
        }
        seen |= bit;
        if let (Kind::Message(inner), Value::Len(payload)) = (known.kind, field.value) {
            let base = field.end - payload.len();
            if !is_canonical(inner, payload, depth).map_err(|error| error.at(base))? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Whether a message stands between a request and its items, so that [`crate::framing`] looks inside.
fn is_envelope(message: &'static Message) -> bool {
    [
        &schema::TRACES_REQUEST,
        &schema::LOGS_REQUEST,
        &schema::METRICS_REQUEST,
        &schema::RESOURCE_SPANS,
        &schema::SCOPE_SPANS,
        &schema::RESOURCE_LOGS,
        &schema::SCOPE_LOGS,
        &schema::RESOURCE_METRICS,
        &schema::SCOPE_METRICS,
        &schema::METRIC,
        &schema::GAUGE,
        &schema::SUM,
        &schema::HISTOGRAM,
        &schema::EXPONENTIAL_HISTOGRAM,
        &schema::SUMMARY,
    ]
    .iter()
    .any(|envelope| ptr::eq(*envelope, message))
}

/// Which occurrences of a field count, as ordinals among the fields of the message.
#[derive(Clone, Copy, Default)]
struct Occurrences {
    count: usize,
    first: usize,
    last: usize,
}

/// What one walk finds out about a message.
struct Survey {
    /// By field number.
    seen: [Occurrences; NUMBERS],
    /// Whether the fields to be written stand in the order of their numbers, unknown ones last.
    sorted: bool,
}

/// Which fields a walk writes.
#[derive(Clone, Copy)]
enum Pick {
    All,
    Number(u32),
    Unknown,
}

struct Rewrite<'a> {
    /// The outermost message; every piece is a part of it.
    root: &'a [u8],
    drop_unknown: bool,
    /// Whether a message is rewritten inside, or copied.
    enter: fn(&'static Message) -> bool,
}

impl<'a> Rewrite<'a> {
    /// Rewrites the message whose bytes are `pieces` in a row.
    fn message(
        &self,
        schema: &'static Message,
        pieces: &[&'a [u8]],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(Error::new(Fault::Depth, pieces.first().map_or(0, |piece| self.offset(piece))));
        };
        let survey = self.survey(schema, pieces)?;
        if survey.sorted {
            return self.emit(schema, pieces, &survey, Pick::All, depth, out);
        }
        // One walk for each number that occurs: slow, but without memory that a sender could make grow.
        for field in schema.fields.iter().filter(|field| survey.seen[field.number as usize].count > 0) {
            self.emit(schema, pieces, &survey, Pick::Number(field.number), depth, out)?;
        }
        self.emit(schema, pieces, &survey, Pick::Unknown, depth, out)
    }

    /// Writes the fields of the message that are picked and count.
    fn emit(
        &self,
        schema: &'static Message,
        pieces: &[&'a [u8]],
        survey: &Survey,
        pick: Pick,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.each(pieces, |ordinal, piece, field| {
            if matches!(pick, Pick::Number(number) if number != field.number) {
                return Ok(());
            }
            let Some(known) = known(schema, field) else {
                if !self.drop_unknown && !matches!(pick, Pick::Number(_)) {
                    out.extend_from_slice(&piece[field.start..field.end]);
                }
                return Ok(());
            };
            if matches!(pick, Pick::Unknown) {
                return Ok(());
            }
            let here = survey.seen[known.number as usize];
            match (known.kind, known.label, field.value) {
                (Kind::Message(inner), Label::Repeated, Value::Len(payload)) => {
                    self.embedded(known.number, inner, &[payload], depth, out)
                }
                (Kind::Message(inner), _, Value::Len(payload)) if here.count == 1 && ordinal == here.first => {
                    self.embedded(known.number, inner, &[payload], depth, out)
                }
                (Kind::Message(inner), _, _) if here.count > 1 && ordinal == here.first => {
                    let parts = self.parts(pieces, known.number, here)?;
                    self.embedded(known.number, inner, &parts, depth, out)
                }
                (Kind::Message(_), ..) => Ok(()),
                (_, Label::Repeated, value) => {
                    put_value(out, known.number, value);
                    Ok(())
                }
                (_, _, value) => {
                    if here.count > 0 && ordinal == here.last {
                        put_value(out, known.number, value);
                    }
                    Ok(())
                }
            }
        })
    }

    /// Appends field `number` with the message whose bytes are `pieces` in a row.
    fn embedded(
        &self,
        number: u32,
        inner: &'static Message,
        pieces: &[&'a [u8]],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut result = Ok(());
        put_message(out, number, |out| {
            if (self.enter)(inner) {
                result = self.message(inner, pieces, depth, out);
            } else {
                pieces.iter().for_each(|piece| out.extend_from_slice(piece));
            }
        });
        result
    }

    /// Checks the wire type of every known field and finds the occurrences that count.
    fn survey(&self, schema: &'static Message, pieces: &[&'a [u8]]) -> Result<Survey, Error> {
        let mut seen = [Occurrences::default(); NUMBERS];
        let (mut member, mut highest, mut sorted) = (0, 0, true);
        self.each(pieces, |ordinal, piece, field| {
            let known = match schema.field(field.number) {
                Some(known) => match check_layout(known, field.value) {
                    Err(Fault::WireType) if !is_envelope(schema) => None,
                    Err(fault) => return Err(Error::new(fault, self.offset(piece) + field.start)),
                    Ok(()) => Some(known),
                },
                None => None,
            };
            let Some(known) = known else {
                if !self.drop_unknown {
                    highest = u32::MAX;
                }
                return Ok(());
            };
            sorted &= known.number >= highest;
            highest = highest.max(known.number);
            let number = known.number as usize;
            if known.label == Label::Oneof && member != number {
                seen[member] = Occurrences::default();
                seen[number] = Occurrences::default();
                member = number;
            }
            let here = &mut seen[number];
            if here.count == 0 {
                here.first = ordinal;
            }
            here.last = ordinal;
            here.count += 1;
            Ok(())
        })?;
        Ok(Survey { seen, sorted })
    }

    /// The payloads of the occurrences of `number` that count. Empty ones add nothing and are left out.
    fn parts(&self, pieces: &[&'a [u8]], number: u32, here: Occurrences) -> Result<Vec<&'a [u8]>, Error> {
        let mut parts = Vec::new();
        self.each(pieces, |ordinal, piece, field| {
            match field.value {
                Value::Len(payload) if field.number == number && ordinal >= here.first && !payload.is_empty() => {
                    if parts.len() == PIECES {
                        return Err(Error::new(Fault::Pieces, self.offset(piece) + field.start));
                    }
                    parts.push(payload);
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(parts)
    }

    /// Shows every field with its ordinal and the piece it stands in.
    fn each(
        &self,
        pieces: &[&'a [u8]],
        mut see: impl FnMut(usize, &'a [u8], Field<'a>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut ordinal = 0;
        for piece in pieces {
            let mut reader = Reader::new(piece);
            while let Some(field) = reader.field().map_err(|error| error.at(self.offset(piece)))? {
                see(ordinal, piece, field)?;
                ordinal += 1;
            }
        }
        Ok(())
    }

    /// Where `piece` stands in the outermost message.
    fn offset(&self, piece: &[u8]) -> usize {
        (piece.as_ptr() as usize).saturating_sub(self.root.as_ptr() as usize)
    }
}

/// The schema of a field, unless it is unknown: by its number, or by a wire type that its number cannot have.
fn known(schema: &'static Message, field: Field<'_>) -> Option<&'static FieldSchema> {
    schema.field(field.number).filter(|known| fits(known, field.value))
}

/// Whether the wire type of a value is one that its field can have.
pub(crate) fn fits(field: &FieldSchema, value: Value<'_>) -> bool {
    check_layout(field, value) != Err(Fault::WireType)
}

/// Whether a value can stand in the field; packed scalars are checked element by element.
fn check_layout(field: &FieldSchema, value: Value<'_>) -> Result<(), Fault> {
    let scalar = scalar_layout(field.kind);
    match (scalar, value) {
        (WireType::Len, Value::Len(_))
        | (WireType::Varint, Value::Varint(_))
        | (WireType::Fixed64, Value::Fixed64(_))
        | (WireType::Fixed32, Value::Fixed32(_)) => Ok(()),
        (_, Value::Len(packed)) if field.label == Label::Repeated => match scalar {
            WireType::Fixed64 if packed.len() % 8 == 0 => Ok(()),
            WireType::Fixed32 if packed.len() % 4 == 0 => Ok(()),
            WireType::Varint => {
                let mut reader = Reader::new(packed);
                while !reader.at_end() {
                    reader.varint().map_err(|error| error.fault)?;
                }
                Ok(())
            }
            _ => Err(Fault::Truncated),
        },
        _ => Err(Fault::WireType),
    }
}

/// How a single value of this kind is laid out.
pub(crate) fn scalar_layout(kind: Kind) -> WireType {
    match kind {
        Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Sint32 | Kind::Enum(_) => {
            WireType::Varint
        }
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => WireType::Fixed64,
        Kind::Fixed32 => WireType::Fixed32,
        Kind::String | Kind::Bytes | Kind::Id | Kind::Message(_) => WireType::Len,
    }
}

fn put_value(out: &mut Vec<u8>, number: u32, value: Value<'_>) {
    match value {
        Value::Varint(value) => put_varint_field(out, number, value),
        Value::Fixed64(value) => put_fixed64(out, number, value),
        Value::Fixed32(value) => put_fixed32(out, number, value),
        Value::Len(payload) => put_len(out, number, payload),
        // No known field is a group; kept for completeness of the wire form.
        Value::Group(content) => {
            put_tag(out, number, WireType::StartGroup);
            out.extend_from_slice(content);
            put_tag(out, number, WireType::EndGroup);
        }
    }
}
