//! The Go Collector's hash of salt and trace id, for `probabilistic` with `hash_salt` (correlation §12).

/// Keeps traces whose hash is small enough.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SaltedHash {
    salt: Vec<u8>,
    limit: u64,
}

impl SaltedHash {
    /// A share of the traces, as upstream computes it from a percentage.
    pub(super) fn new(salt: &str, percentage: f64) -> Self {
        SaltedHash { salt: salt.as_bytes().to_vec(), limit: limit(percentage / 100.0) }
    }

    pub(super) fn keeps(&self, trace_id: &[u8; 16]) -> bool {
        fnv1a(self.salt.iter().chain(trace_id)) <= self.limit
    }
}

/// 64-bit FNV-1a.
fn fnv1a<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// `ratio` × (2^64 - 1), in the 64-bit float arithmetic of Go's `big.Float`, cut to an integer.
fn limit(ratio: f64) -> u64 {
    if ratio.is_nan() || ratio <= 0.0 {
        return 0;
    }
    if ratio >= 1.0 {
        return u64::MAX;
    }
    let bits = ratio.to_bits();
    let (exponent, fraction) = ((bits >> 52) as i32, bits & ((1 << 52) - 1));
    let (mantissa, exponent) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let product = u128::from(mantissa) * u128::from(u64::MAX);
    // Rounded to 64 significant bits, half to even.
    let excess = (128 - product.leading_zeros()).saturating_sub(64);
    let mut rounded = product >> excess;
    if excess > 0 {
        let rest = product & ((1 << excess) - 1);
        let half = 1_u128 << (excess - 1);
        if rest > half || (rest == half && rounded & 1 == 1) {
            rounded += 1;
        }
    }
    let shift = exponent + excess as i32;
    match shift {
        0.. => u64::try_from(rounded.checked_shl(shift.unsigned_abs()).unwrap_or(u128::MAX)).unwrap_or(u64::MAX),
        _ => rounded.checked_shr(shift.unsigned_abs()).map_or(0, |limit| limit as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_has_its_published_values() {
        for (text, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(fnv1a(text.as_bytes()), hash, "{text}");
        }
    }

    #[test]
    fn the_limit_is_the_ratio_of_all_hashes() {
        assert_eq!(limit(0.0), 0);
        assert_eq!(limit(-1.0), 0);
        assert_eq!(limit(f64::NAN), 0);
        assert_eq!(limit(1.0), u64::MAX);
        assert_eq!(limit(2.0), u64::MAX);
        assert_eq!(limit(0.5), u64::MAX / 2);
        assert_eq!(limit(0.25), u64::MAX / 4);
        assert_eq!(limit(1.0 - f64::EPSILON / 2.0), u64::MAX - 2047 - 1);
        assert_eq!(limit(f64::MIN_POSITIVE), 0);
    }
}
