//! Base64 and character sets.

use base64::Engine as _;
use base64::alphabet::{self, Alphabet};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, PAD};
use encoding_rs::Encoding;
use std::sync::Arc;

use crate::error::EvalError;
use crate::function::{Argument, Call, Converter, Function, Kind, optional, required};
use crate::text::{MAX_RESULT, readable};
use crate::value::Value;

pub(crate) const FAMILY: &[Function] = &[
    Function::converter("Base64Encode", &[required("value", Kind::String), optional("variant", Kind::String)], encode),
    Function::converter("Base64Decode", &[required("value", Kind::String)], |call| {
        base64_decode(&STANDARD, &call.string(0)?)
    }),
    Function::prepared("Decode", &[required("value", Kind::Any), required("encoding", Kind::String)], prepare),
];

/// As Go's decoders, these do not mind bits behind the last byte.
const fn engine(alphabet: &Alphabet, padded: bool) -> GeneralPurpose {
    let config = if padded { PAD } else { NO_PAD };
    GeneralPurpose::new(alphabet, config.with_decode_allow_trailing_bits(true))
}

static STANDARD: GeneralPurpose = engine(&alphabet::STANDARD, true);
static STANDARD_NO_PAD: GeneralPurpose = engine(&alphabet::STANDARD, false);
static URL_SAFE: GeneralPurpose = engine(&alphabet::URL_SAFE, true);
static URL_SAFE_NO_PAD: GeneralPurpose = engine(&alphabet::URL_SAFE, false);

/// The base64 variant of a name.
fn variant(name: &str) -> Option<&'static GeneralPurpose> {
    match name {
        "base64" => Some(&STANDARD),
        "base64-raw" => Some(&STANDARD_NO_PAD),
        "base64-url" => Some(&URL_SAFE),
        "base64-raw-url" => Some(&URL_SAFE_NO_PAD),
        _ => None,
    }
}

fn encode(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let text = call.string(0)?;
    let engine = if call.given(1) {
        let name = call.string(1)?;
        let name = String::from_utf8_lossy(&name);
        variant(&name).ok_or_else(|| EvalError::function(format!("unsupported base64 variant: {name}")))?
    } else {
        &STANDARD
    };
    if text.len() > MAX_RESULT / 4 * 3 {
        return Err(EvalError::TooLarge("Base64Encode"));
    }
    Ok(Value::string(engine.encode(&text)))
}

/// As Go's decoder: line breaks do not count.
fn base64_decode<'r>(engine: &GeneralPurpose, text: &[u8]) -> Result<Value<'r>, EvalError> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let decoded = engine.decode(&text).map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol { offset: at, .. } => at,
            base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => text.len(),
        };
        EvalError::function(format!("illegal base64 data at input byte {at}"))
    })?;
    Ok(Value::string(decoded))
}

/// What turns bytes into text.
#[derive(Clone, Copy, Debug)]
enum Decoder {
    Base64(&'static GeneralPurpose),
    Charset(&'static Encoding),
    /// Bytes stay as they are.
    Nothing,
}

impl Decoder {
    fn of(name: &str) -> Result<Decoder, String> {
        if let Some(engine) = variant(name) {
            return Ok(Decoder::Base64(engine));
        }
        match name.to_lowercase().as_str() {
            "" | "nop" => return Ok(Decoder::Nothing),
            "utf8" | "ascii" | "us-ascii" => return Ok(Decoder::Charset(encoding_rs::UTF_8)),
            "utf16" => return Ok(Decoder::Charset(encoding_rs::UTF_16LE)),
            _ => {}
        }
        let charset = Encoding::for_label_no_replacement(name.as_bytes());
        charset.map(Decoder::Charset).ok_or_else(|| format!("unsupported encoding '{name}'"))
    }

    fn decode<'r>(self, bytes: &[u8]) -> Result<Value<'r>, EvalError> {
        match self {
            Decoder::Base64(engine) => {
                base64_decode(engine, bytes).map_err(|error| EvalError::function(format!("could not decode: {error}")))
            }
            Decoder::Nothing => Ok(Value::string(bytes)),
            Decoder::Charset(charset) if charset == encoding_rs::UTF_8 => Ok(Value::string(readable(bytes))),
            Decoder::Charset(charset) => {
                let (text, _) = charset.decode_without_bom_handling(bytes);
                if text.len() > MAX_RESULT {
                    return Err(EvalError::TooLarge("Decode"));
                }
                Ok(Value::string(text.as_bytes()))
            }
        }
    }
}

#[derive(Debug)]
struct Decode {
    /// Set when the encoding is a literal.
    fixed: Option<Decoder>,
}

fn prepare(args: &[Argument]) -> Result<Arc<dyn Converter>, String> {
    let fixed = args.get(1).and_then(Argument::text).map(Decoder::of).transpose()?;
    Ok(Arc::new(Decode { fixed }))
}

impl Converter for Decode {
    fn call<'r>(&'r self, call: Call<'r>) -> Result<Value<'r>, EvalError> {
        let value = call.value(0)?;
        let decoder = match self.fixed {
            Some(decoder) => decoder,
            None => Decoder::of(&String::from_utf8_lossy(&call.string(1)?)).map_err(EvalError::function)?,
        };
        match value {
            Value::Str(bytes) | Value::Bytes(bytes) => decoder.decode(&bytes),
            other => Err(EvalError::function(format!(
                "unsupported type provided to Decode function: {}",
                other.dynamic_type_name()
            ))),
        }
    }
}
