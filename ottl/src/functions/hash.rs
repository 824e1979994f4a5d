//! Hashes. Digests are printed as lower-case hexadecimal.

use aws_lc_rs::digest::{self, Algorithm};

use crate::error::EvalError;
use crate::function::{Call, Function, Kind, Param, required};
use crate::text::hex;
use crate::value::Value;

const VALUE: &[Param] = &[required("value", Kind::String)];
const TARGET: &[Param] = &[required("target", Kind::String)];

pub(crate) const FAMILY: &[Function] = &[
    Function::converter("FNV", VALUE, |call| Ok(Value::Int(fnv1a(&call.string(0)?)))),
    Function::converter("MD5", VALUE, |call| Ok(Value::string(hex(&md5::compute(call.string(0)?).0)))),
    Function::converter("SHA1", VALUE, |call| sha(call, &digest::SHA1_FOR_LEGACY_USE_ONLY)),
    Function::converter("SHA256", VALUE, |call| sha(call, &digest::SHA256)),
    Function::converter("SHA512", VALUE, |call| sha(call, &digest::SHA512)),
    Function::converter("Murmur3Hash", TARGET, |call| {
        Ok(Value::string(hex(&murmur3_32(&call.string(0)?).to_le_bytes())))
    }),
    Function::converter("Murmur3Hash128", TARGET, |call| {
        let (first, second) = murmur3_128(&call.string(0)?);
        Ok(Value::string(hex(&[first.to_le_bytes(), second.to_le_bytes()].concat())))
    }),
    Function::converter("XXH3", VALUE, |call| {
        Ok(Value::string(hex(&xxhash_rust::xxh3::xxh3_64(&call.string(0)?).to_be_bytes())))
    }),
    Function::converter("XXH128", VALUE, |call| {
        Ok(Value::string(hex(&xxhash_rust::xxh3::xxh3_128(&call.string(0)?).to_be_bytes())))
    }),
];

fn sha<'r>(call: Call<'r>, algorithm: &'static Algorithm) -> Result<Value<'r>, EvalError> {
    Ok(Value::string(hex(digest::digest(algorithm, &call.string(0)?).as_ref())))
}

/// FNV-1a with 64 bits, as a signed number.
fn fnv1a(bytes: &[u8]) -> i64 {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    hash as i64
}

/// `MurmurHash3_x86_32` with seed 0.
fn murmur3_32(bytes: &[u8]) -> u32 {
    let scramble = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (blocks, tail) = bytes.as_chunks::<4>();
    let mut h = 0u32;
    for block in blocks {
        h = (h ^ scramble(u32::from_le_bytes(*block))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let rest = tail.iter().rev().fold(0u32, |rest, byte| rest << 8 | u32::from(*byte));
    h ^= scramble(rest) ^ bytes.len() as u32;
    h = (h ^ h >> 16).wrapping_mul(0x85eb_ca6b);
    h = (h ^ h >> 13).wrapping_mul(0xc2b2_ae35);
    h ^ h >> 16
}

/// `MurmurHash3_x64_128` with seed 0.
fn murmur3_128(bytes: &[u8]) -> (u64, u64) {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let first = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let second = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    let (blocks, tail) = bytes.as_chunks::<16>();
    let (mut h1, mut h2) = (0u64, 0u64);
    for block in blocks {
        let (low, high) = block.split_at(8);
        h1 = (h1 ^ first(number(low))).rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 = (h2 ^ second(number(high))).rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let (low, high) = tail.split_at(tail.len().min(8));
    h1 ^= first(number(low)) ^ bytes.len() as u64;
    h2 ^= second(number(high)) ^ bytes.len() as u64;
    let mix = |k: u64| {
        let k = (k ^ k >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let k = (k ^ k >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        k ^ k >> 33
    };
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    let (h1, h2) = (mix(h1), mix(h2));
    let h1 = h1.wrapping_add(h2);
    (h1, h2.wrapping_add(h1))
}
