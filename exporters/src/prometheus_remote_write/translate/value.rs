//! Attribute values as label text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sluice_pdata::view::{AnyValueView, text};

use super::number;

/// Nesting of arrays and maps that is written out; what lies deeper is `null`.
const DEPTH: usize = 64;

/// The text of a value: strings as they are, numbers and booleans as text, arrays and maps as JSON, bytes as base64, nothing
/// for no value. `scratch` is overwritten if the text has to be made; a string is returned as it stands on the wire, which
/// need not be UTF-8.
pub fn value_text<'t>(value: AnyValueView<'t>, scratch: &'t mut Vec<u8>) -> &'t [u8] {
    scratch.clear();
    match value {
        AnyValueView::Str(bytes) => return bytes,
        AnyValueView::Empty | AnyValueView::StrIndex(_) => {}
        AnyValueView::Bool(value) => scratch.extend_from_slice(if value { b"true" } else { b"false" }),
        AnyValueView::Int(value) => number::int(scratch, value),
        AnyValueView::Double(value) => number::double(scratch, value),
        AnyValueView::Bytes(bytes) => scratch.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
        AnyValueView::Array(_) | AnyValueView::KvList(_) => json(scratch, value, DEPTH),
    }
    scratch
}

/// Appends a value as JSON. Maps are written in the order of their keys; of equal keys the last counts.
fn json(out: &mut Vec<u8>, value: AnyValueView<'_>, depth: usize) {
    let Some(inner) = depth.checked_sub(1) else { return out.extend_from_slice(b"null") };
    match value {
        AnyValueView::Empty | AnyValueView::StrIndex(_) => out.extend_from_slice(b"null"),
        AnyValueView::Str(bytes) => json_string(out, &text(bytes)),
        AnyValueView::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        AnyValueView::Int(value) => number::int(out, value),
        AnyValueView::Double(value) if value.is_finite() => number::double(out, value),
        AnyValueView::Double(_) => out.extend_from_slice(b"null"),
        AnyValueView::Bytes(bytes) => {
            out.push(b'"');
            out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            out.push(b'"');
        }
        AnyValueView::Array(elements) => {
            out.push(b'[');
            for (index, element) in elements.values().map_while(Result::ok).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json(out, element, inner);
            }
            out.push(b']');
        }
        AnyValueView::KvList(elements) => {
            let mut pairs: Vec<_> = elements.key_values().map_while(Result::ok).collect();
            pairs.reverse();
            pairs.sort_by_key(|pair| pair.key());
            pairs.dedup_by_key(|pair| pair.key());
            out.push(b'{');
            for (index, pair) in pairs.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json_string(out, &text(pair.key()));
                out.push(b':');
                json(out, pair.value().unwrap_or(AnyValueView::Empty), inner);
            }
            out.push(b'}');
        }
    }
}

/// Appends a string as Go's encoder does: line separators are escaped, too.
fn json_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                let code = u32::from(c);
                out.extend_from_slice(b"\\u");
                out.extend([12, 8, 4, 0].map(|shift| HEX[(code >> shift & 15) as usize]));
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}
