//! OTLP/JSON to wire form.

use super::lexer::{Lexer, NESTING, Text};
use super::{Error, binary, number};
use crate::schema::{FieldSchema, Kind, Label, Message};
use crate::signal::Signal;
use crate::wire::{put_fixed32, put_fixed64, put_len, put_message, put_varint, put_varint_field, to_zigzag};

/// How deep objects and arrays may nest (`service.limits.json_depth`). One level of an `AnyValue` costs up to four.
pub const DEPTH: usize = 160;

/// Reads an export request of `signal` and returns it in wire form.
///
/// The result is at most four times as long as `json` (an element of an array of 64-bit numbers takes two characters in
/// JSON and eight bytes on the wire). Object keys that are repeated do what repeated fields do on the wire: scalars are
/// overwritten, messages merge, arrays are appended to; the result may therefore not be plain
/// (see [`crate::framing::Framing::plain`]).
///
/// # Errors
/// Input that is not JSON, nests deeper than [`DEPTH`], or has a value that its field cannot hold.
pub fn read(signal: Signal, json: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(json.len() / 2);
    read_message(signal.request(), json, DEPTH, &mut out)?;
    Ok(out)
}

/// Reads a message of any type and appends it to `out` in wire form. Objects and arrays may nest `depth` levels.
///
/// # Errors
/// As [`read`]. `out` then holds an unfinished message.
pub fn read_message(schema: &'static Message, json: &[u8], depth: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    if let Err(error) = std::str::from_utf8(json) {
        return Err(Error::new(error.valid_up_to(), "UTF-8"));
    }
    let mut reader = Reader { lexer: Lexer::new(json), depth };
    reader.object(schema, out)?;
    if reader.lexer.at_end() { Ok(()) } else { Err(reader.lexer.expected("the end of the input")) }
}

/// Appends the bytes that a text stands for.
type FromText = fn(&[u8], &mut Vec<u8>) -> Option<()>;

struct Reader<'a> {
    lexer: Lexer<'a>,
    /// Levels that may still be opened.
    depth: usize,
}

impl Reader<'_> {
    fn descend(&mut self) -> Result<(), Error> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| self.lexer.expected(NESTING))?;
        Ok(())
    }

    /// An object with the fields of a message.
    fn object(&mut self, schema: &'static Message, out: &mut Vec<u8>) -> Result<(), Error> {
        self.lexer.require(b'{', "an object")?;
        self.descend()?;
        let mut guess = 0;
        if !self.lexer.take(b'}') {
            loop {
                let name = self.lexer.string("a field name")?;
                self.lexer.require(b':', "`:`")?;
                match find(schema, name, guess)? {
                    Some((index, field)) => {
                        guess = index + 1;
                        self.field(field, out).map_err(|error| error.in_field(field.json))?;
                    }
                    None => self.lexer.skip(self.depth)?,
                }
                if !self.lexer.take(b',') {
                    self.lexer.require(b'}', "`,` or `}`")?;
                    break;
                }
            }
        }
        self.depth += 1;
        Ok(())
    }

    fn field(&mut self, field: &FieldSchema, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.lexer.peek() == b'n' && self.lexer.take_literal(b"null") {
            return Ok(());
        }
        match (field.label, field.kind) {
            (Label::Repeated, _) => self.array(field, out),
            (_, Kind::Message(inner)) => self.message(field.number, inner, out),
            (_, kind) => self.scalar(field.number, kind, out),
        }
    }

    fn message(&mut self, number: u32, inner: &'static Message, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut result = Ok(());
        put_message(out, number, |out| result = self.object(inner, out));
        result
    }

    fn array(&mut self, field: &FieldSchema, out: &mut Vec<u8>) -> Result<(), Error> {
        self.lexer.require(b'[', "an array")?;
        self.descend()?;
        if !self.lexer.take(b']') {
            match field.kind {
                Kind::Message(inner) => self.elements(|reader| {
                    // An element that is null is a message without fields, such as an AnyValue without value.
                    if reader.lexer.peek() == b'n' && reader.lexer.take_literal(b"null") {
                        put_len(out, field.number, &[]);
                        return Ok(());
                    }
                    reader.message(field.number, inner, out)
                })?,
                Kind::String | Kind::Bytes | Kind::Id => {
                    self.elements(|reader| reader.scalar(field.number, field.kind, out))?;
                }
                kind => {
                    let mut result = Ok(());
                    put_message(out, field.number, |out| {
                        result = self.elements(|reader| reader.numeric(None, kind, out));
                    });
                    result?;
                }
            }
        }
        self.depth += 1;
        Ok(())
    }

    /// Elements and the end of an array.
    fn elements(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        let mut index = 0;
        loop {
            element(self).map_err(|error| error.at_index(index))?;
            index += 1;
            if !self.lexer.take(b',') {
                return self.lexer.require(b']', "`,` or `]`");
            }
        }
    }

    /// A value that is not a message, as field `number`.
    fn scalar(&mut self, number: u32, kind: Kind, out: &mut Vec<u8>) -> Result<(), Error> {
        let (take, what): (FromText, _) = match kind {
            Kind::String => {
                let text = self.lexer.string("a string")?;
                if let Some(plain) = text.plain() {
                    put_len(out, number, plain);
                    return Ok(());
                }
                let mut result = Ok(());
                put_message(out, number, |out| result = text.decode(out));
                return result;
            }
            Kind::Id => (binary::take_hex, "a hexadecimal string"),
            Kind::Bytes => (binary::take_base64, "a base64 string"),
            kind => return self.numeric(Some(number), kind, out),
        };
        let text = self.lexer.string(what)?;
        let decoded = text.decoded()?;
        let mut taken = None;
        put_message(out, number, |out| taken = take(&decoded, out));
        taken.ok_or_else(|| Error::new(text.offset, what))
    }

    /// A number, boolean or enumeration value, as field `number` or as an element of a packed field.
    fn numeric(&mut self, number: Option<u32>, kind: Kind, out: &mut Vec<u8>) -> Result<(), Error> {
        const INT32: (i128, i128) = (i32::MIN as i128, i32::MAX as i128);
        const INT64: (i128, i128) = (i64::MIN as i128, i64::MAX as i128);
        let varint = match kind {
            Kind::Bool => u64::from(self.bool()?),
            Kind::Int32 => self.integer(INT32, "a 32-bit integer")? as i64 as u64,
            Kind::Int64 => self.integer(INT64, "a 64-bit integer")? as i64 as u64,
            Kind::Uint32 => self.integer((0, u32::MAX.into()), "an unsigned 32-bit integer")? as u64,
            Kind::Uint64 => self.integer((0, u64::MAX.into()), "an unsigned 64-bit integer")? as u64,
            Kind::Sint32 => to_zigzag(self.integer(INT32, "a 32-bit integer")? as i64),
            Kind::Enum(names) => self.enumeration(names)?,
            Kind::Fixed32 => {
                let value = self.integer((0, u32::MAX.into()), "an unsigned 32-bit integer")? as u32;
                match number {
                    Some(number) => put_fixed32(out, number, value),
                    None => out.extend_from_slice(&value.to_le_bytes()),
                }
                return Ok(());
            }
            Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => {
                let bits = match kind {
                    Kind::Fixed64 => self.integer((0, u64::MAX.into()), "an unsigned 64-bit integer")? as u64,
                    Kind::Sfixed64 => self.integer(INT64, "a 64-bit integer")? as i64 as u64,
                    _ => self.double()?.to_bits(),
                };
                match number {
                    Some(number) => put_fixed64(out, number, bits),
                    None => out.extend_from_slice(&bits.to_le_bytes()),
                }
                return Ok(());
            }
            // Handled by the callers.
            Kind::String | Kind::Bytes | Kind::Id | Kind::Message(_) => return Err(self.lexer.expected("a number")),
        };
        match number {
            Some(number) => put_varint_field(out, number, varint),
            None => put_varint(out, varint),
        }
        Ok(())
    }

    fn bool(&mut self) -> Result<bool, Error> {
        if self.lexer.take_literal(b"true") {
            Ok(true)
        } else if self.lexer.take_literal(b"false") {
            Ok(false)
        } else {
            Err(self.lexer.expected("true or false"))
        }
    }

    /// An integer in a range, as a number or a string.
    fn integer(&mut self, (least, most): (i128, i128), what: &'static str) -> Result<i128, Error> {
        let quoted = self.lexer.peek() == b'"';
        let at = self.lexer.pos();
        let value = if quoted {
            let text = self.lexer.string(what)?.decoded()?;
            (number::len(&text) == Some(text.len())).then(|| number::integer(&text)).flatten()
        } else {
            number::integer(self.lexer.number(what)?)
        };
        value.filter(|value| (least..=most).contains(value)).ok_or_else(|| Error::new(at, what))
    }

    /// A double, as a number or a string; the string may also be `NaN`, `Infinity` or `-Infinity`.
    fn double(&mut self) -> Result<f64, Error> {
        const WHAT: &str = "a number, \"NaN\", \"Infinity\" or \"-Infinity\"";
        let quoted = self.lexer.peek() == b'"';
        let at = self.lexer.pos();
        let value = if quoted {
            let text = self.lexer.string(WHAT)?.decoded()?;
            match &*text {
                b"NaN" => Some(f64::NAN),
                b"Infinity" => Some(f64::INFINITY),
                b"-Infinity" => Some(f64::NEG_INFINITY),
                text => (number::len(text) == Some(text.len())).then(|| number::double(text)).flatten(),
            }
        } else {
            number::double(self.lexer.number(WHAT)?)
        };
        value.ok_or_else(|| Error::new(at, WHAT))
    }

    /// An enumeration value by number, number in a string, or name.
    fn enumeration(&mut self, names: &[(&str, i32)]) -> Result<u64, Error> {
        const WHAT: &str = "an enumeration value by number or name";
        if self.lexer.peek() != b'"' {
            return Ok(self.integer((i32::MIN.into(), i32::MAX.into()), WHAT)? as i64 as u64);
        }
        let text = self.lexer.string(WHAT)?;
        let name = text.decoded()?;
        let by_name = names.iter().find(|(known, _)| known.as_bytes() == &*name).map(|(_, value)| i64::from(*value));
        let by_number = || {
            let value = (number::len(&name) == Some(name.len())).then(|| number::integer(&name)).flatten()?;
            i32::try_from(value).ok().map(i64::from)
        };
        by_name.or_else(by_number).map(|value| value as u64).ok_or_else(|| Error::new(text.offset, WHAT))
    }
}

/// The field of this name, in JSON or `.proto` spelling. Writers keep the order of the schema, so the search begins at
/// `guess`.
#[inline]
fn find(
    schema: &'static Message,
    name: Text<'_>,
    guess: usize,
) -> Result<Option<(usize, &'static FieldSchema)>, Error> {
    let name = name.decoded()?;
    let is_it = |field: &FieldSchema| field.json.as_bytes() == &*name || field.name.as_bytes() == &*name;
    let (before, after) = schema.fields.split_at(guess.min(schema.fields.len()));
    let found = after.iter().position(is_it).map(|at| guess + at).or_else(|| before.iter().position(is_it));
    Ok(found.map(|at| (at, &schema.fields[at])))
}
