//! Writing values into attributes. It is done for every item, so nothing here allocates unless a value is long.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest;
use sluice_pdata::Error;
use sluice_pdata::msg::{Attributes, NewValue};
use sluice_pdata::view::AnyValueView;
use sluice_pipeline::Context;
use smallvec::SmallVec;

use super::action::Source;
use super::config::ActionKind;

/// A value on its way into an attribute: on the stack, unless it is long.
type Text = SmallVec<[u8; 128]>;

/// Formats into a text.
struct Writing<'t>(&'t mut Text);

impl fmt::Write for Writing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Writes a value as an action of this kind does.
pub(super) fn write(
    attributes: &mut Attributes<'_, '_>,
    key: &[u8],
    kind: ActionKind,
    value: NewValue<'_>,
) -> Result<bool, Error> {
    match kind {
        ActionKind::Insert => attributes.insert(key, value).map(|_| ())?,
        ActionKind::Update => attributes.update(key, value).map(|_| ())?,
        _ => attributes.set(key, value)?,
    }
    Ok(true)
}

/// Writes what the source gives. Returns whether it gave something.
pub(super) fn set(
    attributes: &mut Attributes<'_, '_>,
    key: &[u8],
    kind: ActionKind,
    source: &Source,
    context: &Context,
) -> Result<bool, Error> {
    match source {
        Source::Nothing => Ok(false),
        Source::Value(value) => write(attributes, key, kind, value.as_new()),
        Source::Attribute(from) => {
            let mut encoded = Text::new();
            if !attributes.encoded_value(from, |piece| encoded.extend_from_slice(piece))? {
                return Ok(false);
            }
            write(attributes, key, kind, NewValue::Encoded(&encoded))
        }
        Source::Metadata(name) => {
            let mut values = context.metadata.get(name);
            let Some(first) = values.next() else { return Ok(false) };
            let mut joined = Text::from_slice(first.as_bytes());
            for value in values {
                joined.push(b';');
                joined.extend_from_slice(value.as_bytes());
            }
            write(attributes, key, kind, NewValue::Str(&joined))
        }
        Source::Auth(name) => {
            let Some(identity) = &context.identity else { return Ok(false) };
            let is_meant = |known: &str| known == &**name || known.strip_prefix("auth.") == Some(&**name);
            let found = identity.attributes.iter().find(|(known, _)| is_meant(known));
            match (found, &**name) {
                (Some((_, value)), _) => write(attributes, key, kind, NewValue::Str(value.as_bytes())),
                (None, "subject") => write(attributes, key, kind, NewValue::Str(identity.subject.as_bytes())),
                _ => Ok(false),
            }
        }
        Source::ClientAddress => {
            let Some(peer) = context.peer else { return Ok(false) };
            let mut text = Text::new();
            // Writing into memory does not fail.
            let _ = write!(Writing(&mut text), "{}", peer.ip());
            write(attributes, key, kind, NewValue::Str(&text))
        }
    }
}

/// SHA-256 over the bytes that upstream hashes: text as it is, a bool as one byte, numbers as eight bytes little endian. An
/// empty value stays an empty string.
pub(super) fn hash(attributes: &mut Attributes<'_, '_>, key: &[u8]) -> Result<(), Error> {
    let Some(value) = attributes.get(key)? else { return Ok(()) };
    let digest = match value {
        AnyValueView::Str(b"") | AnyValueView::Empty => None,
        AnyValueView::Str(text) => Some(digest::digest(&digest::SHA256, text)),
        AnyValueView::Bool(value) => Some(digest::digest(&digest::SHA256, &[u8::from(value)])),
        AnyValueView::Int(value) => Some(digest::digest(&digest::SHA256, &value.to_le_bytes())),
        AnyValueView::Double(value) => Some(digest::digest(&digest::SHA256, &value.to_bits().to_le_bytes())),
        // Containers and bytes have no scalar bytes: upstream hashes nothing and leaves the empty string.
        _ => None,
    };
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = Text::new();
    for byte in digest.iter().flat_map(|digest| digest.as_ref()) {
        text.extend([byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]));
    }
    attributes.set(key, NewValue::Str(&text))
}
