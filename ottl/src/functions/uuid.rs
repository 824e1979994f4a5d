//! Random ids.

use crate::error::EvalError;
use crate::function::{Call, Function};
use crate::text::hex;
use crate::value::Value;

pub(crate) const FAMILY: &[Function] = &[
    Function::converter("UUID", &[], |_| Ok(text(random()?, 4))).impure(),
    Function::converter("UUIDv7", &[], version_7).impure(),
];

fn random() -> Result<[u8; 16], EvalError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| EvalError::Text("no randomness available"))?;
    Ok(bytes)
}

/// Milliseconds since the epoch, then random bits: ids sort by time (RFC 9562).
fn version_7(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let mut bytes = random()?;
    let millis = call.scope.clock.now().nanos_since_epoch().div_euclid(1_000_000) as u64;
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    Ok(text(bytes, 7))
}

fn text(mut bytes: [u8; 16], version: u8) -> Value<'static> {
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex(&bytes);
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| digits.get(range).unwrap_or_default());
    Value::string(groups.join(&b'-'))
}
