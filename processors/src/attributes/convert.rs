//! Attribute values as text and as other types, the way upstream's `pcommon.Value` turns them.

use sluice_ottl::Value;
use sluice_ottl::text::body_string;
use sluice_pdata::msg::NewValue;
use sluice_pdata::view::AnyValueView;

use super::config::ConvertedType;

/// A value that an action writes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum OwnedValue {
    Str(Vec<u8>),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// A list or map: the payload of its `AnyValue`.
    Encoded(Vec<u8>),
}

impl OwnedValue {
    pub(super) fn as_new(&self) -> NewValue<'_> {
        match self {
            OwnedValue::Str(text) => NewValue::Str(text),
            OwnedValue::Bool(value) => NewValue::Bool(*value),
            OwnedValue::Int(value) => NewValue::Int(*value),
            OwnedValue::Double(value) => NewValue::Double(*value),
            OwnedValue::Encoded(payload) => NewValue::Encoded(payload),
        }
    }
}

/// The value in another type; `None` where upstream leaves it as it is.
pub(super) fn convert(value: AnyValueView<'_>, to: ConvertedType) -> Option<OwnedValue> {
    use AnyValueView as From;
    Some(match (to, value) {
        (ConvertedType::String, From::Int(value)) => OwnedValue::Str(value.to_string().into_bytes()),
        (ConvertedType::String, From::Double(value)) => OwnedValue::Str(double_text(value).into_bytes()),
        (ConvertedType::String, From::Bool(value)) => OwnedValue::Str(value.to_string().into_bytes()),
        (ConvertedType::String, From::Str(_)) => return None,
        // Containers as JSON, bytes in base64, nothing as the empty text; what is too large or too deep stays as it is.
        (ConvertedType::String, value) => OwnedValue::Str(body_string(&Value::from(value)).ok()?.into_owned()),
        (ConvertedType::Int, From::Str(text)) => OwnedValue::Int(text_of(text)?.parse().ok()?),
        (ConvertedType::Int, From::Double(value)) => OwnedValue::Int(value as i64),
        (ConvertedType::Int, From::Bool(value)) => OwnedValue::Int(i64::from(value)),
        (ConvertedType::Double, From::Str(text)) => OwnedValue::Double(text_of(text)?.parse().ok()?),
        (ConvertedType::Double, From::Int(value)) => OwnedValue::Double(value as f64),
        (ConvertedType::Double, From::Bool(value)) => OwnedValue::Double(f64::from(u8::from(value))),
        (ConvertedType::Bool, From::Str(text)) => match text {
            b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => OwnedValue::Bool(true),
            b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => OwnedValue::Bool(false),
            _ => return None,
        },
        (ConvertedType::Bool, From::Int(value)) => OwnedValue::Bool(value != 0),
        (ConvertedType::Bool, From::Double(value)) => OwnedValue::Bool(value != 0.0),
        _ => return None,
    })
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// A double as upstream prints it: shortest form, exponent below 1e-6 and from 1e21.
pub(super) fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        // Go writes a sign, and two digits where one would do is cut to one.
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => text,
        }
    } else {
        format!("{value}")
    }
}

/// The text that strict and regexp matching, and hashing by text, see: strings as they are, scalars printed.
pub(super) fn match_text(value: AnyValueView<'_>) -> Option<std::borrow::Cow<'_, [u8]>> {
    Some(match value {
        AnyValueView::Str(text) => text.into(),
        AnyValueView::Bool(value) => value.to_string().into_bytes().into(),
        AnyValueView::Int(value) => value.to_string().into_bytes().into(),
        AnyValueView::Double(value) => double_text(value).into_bytes().into(),
        _ => return None,
    })
}
