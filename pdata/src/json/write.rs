//! Wire form to OTLP/JSON.

use std::io::Write as _;

use super::binary;
use crate::canonical::{self, Options, fits, scalar_layout};
use crate::error::{Error, Fault};
use crate::schema::{FieldSchema, Kind, Label, Message};
use crate::signal::Signal;
use crate::wire::{Reader, Value, WireType, zigzag};

/// How many messages may nest in what [`write()`] writes.
pub const WRITE_DEPTH: usize = 128;

/// Appends `request` as OTLP/JSON: names in lower camel case, ids in hexadecimal, 64-bit integers as strings, enumerations as
/// numbers, bytes in base64, every NaN as one. Strings that are not UTF-8 are repaired with U+FFFD; unknown fields are left out.
///
/// # Errors
/// Malformed bytes, or nesting beyond [`WRITE_DEPTH`]. `out` then holds an unfinished object.
pub fn write(signal: Signal, request: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    write_message(signal.request(), request, WRITE_DEPTH, out)
}

/// Appends a message of any type as OTLP/JSON. Messages may nest `depth` levels.
///
/// # Errors
/// As [`write()`].
pub fn write_message(schema: &'static Message, bytes: &[u8], depth: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    if canonical::is_canonical(schema, bytes, depth)? {
        return object(schema, bytes, depth, out);
    }
    // Rare: some singular field is repeated. What counts is sorted out once, for all levels.
    let mut resolved = Vec::with_capacity(bytes.len());
    canonical::message(schema, bytes, &Options { drop_unknown: true, depth }, &mut resolved)?;
    object(schema, &resolved, depth, out)
}

/// Writes a message in which every singular field occurs once.
fn object(schema: &'static Message, bytes: &[u8], depth: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let depth = depth.checked_sub(1).ok_or(Error::new(Fault::Depth, 0))?;
    out.push(b'{');
    let mut first = true;
    if is_grouped(bytes)? {
        members(schema, bytes, None, depth, &mut first, out)?;
    } else {
        for field in schema.fields {
            members(schema, bytes, Some(field.number), depth, &mut first, out)?;
        }
    }
    out.push(b'}');
    Ok(())
}

/// Whether all occurrences of each field stand together, as every encoder writes them.
fn is_grouped(bytes: &[u8]) -> Result<bool, Error> {
    let (mut seen, mut last) = (0u64, 0);
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.field()? {
        let bit = 1u64.checked_shl(field.number).unwrap_or(0);
        if field.number != last && seen & bit != 0 {
            return Ok(false);
        }
        seen |= bit;
        last = field.number;
    }
    Ok(true)
}

/// Writes the known fields of a message, or only field `only`, as members of an object.
fn members(
    schema: &'static Message,
    bytes: &[u8],
    only: Option<u32>,
    depth: usize,
    first: &mut bool,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut array = None;
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.field()? {
        if only.is_some_and(|only| only != field.number) {
            continue;
        }
        let Some(known) = schema.field(field.number).filter(|known| fits(known, field.value)) else { continue };
        if array != Some(known.number) {
            if array.take().is_some() {
                out.push(b']');
            }
            if known.label == Label::Repeated && field.value.len().is_some_and(|packed| is_empty_pack(known, packed)) {
                continue;
            }
            out.extend_from_slice(if *first { b"\"" } else { b",\"" });
            *first = false;
            out.extend_from_slice(known.json.as_bytes());
            out.extend_from_slice(b"\":");
            if known.label == Label::Repeated {
                array = Some(known.number);
                out.push(b'[');
            }
        } else if !field.value.len().is_some_and(|packed| is_empty_pack(known, packed)) {
            out.push(b',');
        }
        let base = field.end - field.value.len().map_or(0, <[u8]>::len);
        value(known, field.value, depth, out).map_err(|error| error.at(base))?;
    }
    if array.is_some() {
        out.push(b']');
    }
    Ok(())
}

/// Whether a repeated scalar field holds a pack of no elements.
fn is_empty_pack(field: &FieldSchema, packed: &[u8]) -> bool {
    packed.is_empty() && scalar_layout(field.kind) != WireType::Len
}

/// Writes one value, or the elements of a packed field with commas between them.
fn value(field: &FieldSchema, value: Value<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    match (field.kind, value) {
        (Kind::Message(inner), Value::Len(payload)) => object(inner, payload, depth, out)?,
        (Kind::String, Value::Len(text)) => put_string(out, text),
        (Kind::Id, Value::Len(id)) => {
            out.push(b'"');
            binary::put_hex(out, id);
            out.push(b'"');
        }
        (Kind::Bytes, Value::Len(bytes)) => {
            out.push(b'"');
            binary::put_base64(out, bytes);
            out.push(b'"');
        }
        (kind, Value::Len(packed)) => {
            let mut reader = Reader::new(packed);
            let mut first = true;
            while !reader.at_end() {
                if !first {
                    out.push(b',');
                }
                first = false;
                put_number(out, kind, reader.value(field.number, scalar_layout(kind))?);
            }
        }
        (kind, value) => put_number(out, kind, value),
    }
    Ok(())
}

fn put_number(out: &mut Vec<u8>, kind: Kind, value: Value<'_>) {
    let bits = match value {
        Value::Varint(value) | Value::Fixed64(value) => value,
        Value::Fixed32(value) => value.into(),
        Value::Len(_) | Value::Group(_) => 0, // no number is laid out like this
    };
    // Writing to a vector cannot fail.
    let _ = match kind {
        Kind::Bool => write!(out, "{}", bits != 0),
        Kind::Int32 | Kind::Enum(_) => write!(out, "{}", bits as i32),
        Kind::Uint32 | Kind::Fixed32 => write!(out, "{}", bits as u32),
        Kind::Sint32 => write!(out, "{}", zigzag(bits & u64::from(u32::MAX)) as i32),
        Kind::Int64 | Kind::Sfixed64 => write!(out, "\"{}\"", bits as i64),
        Kind::Double => {
            put_double(out, f64::from_bits(bits));
            Ok(())
        }
        _ => write!(out, "\"{bits}\""),
    };
}

/// The shortest text that reads back as the same double. Negative zero keeps its fraction: some readers take `-0` for an
/// integer, which has no sign.
fn put_double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        let _ = write!(out, "{value:?}");
        if out.ends_with(b".0") && value.to_bits() != (-0.0f64).to_bits() {
            out.truncate(out.len() - 2);
        }
        return;
    }
    out.extend_from_slice(if value.is_nan() {
        b"\"NaN\""
    } else if value > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    });
}

/// Appends a JSON string, with U+FFFD for what is not UTF-8.
pub(super) fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        put_escaped(out, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

fn put_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut start = 0;
    for (at, &byte) in text.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => b"\\u00",
            _ => continue,
        };
        out.extend_from_slice(&text[start..at]);
        out.extend_from_slice(escape);
        if escape == b"\\u00" {
            binary::put_hex(out, &[byte]);
        }
        start = at + 1;
    }
    out.extend_from_slice(&text[start..]);
}
