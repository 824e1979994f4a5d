//! Hashes.

use crate::function::{Function, Kind, required};
use crate::value::Value;

pub(crate) const FAMILY: &[Function] =
    &[Function::converter("FNV", &[required("value", Kind::String)], |call| Ok(Value::Int(fnv1a(&call.string(0)?))))];

/// FNV-1a with 64 bits, as a signed number.
fn fnv1a(bytes: &[u8]) -> i64 {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    hash as i64
}
