//! JSON numbers: their grammar and their exact value.

/// Length of the number that `text` begins with: `-? int frac? exp?` of RFC 8259.
pub(super) fn len(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    match text.get(at)? {
        b'0' => at += 1,
        b'1'..=b'9' => at += digits(at),
        _ => return None,
    }
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    // "01" and "1x" are not numbers.
    let ends = !text.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'.');
    ends.then_some(at)
}

/// The exact value of a number if it is integral and fits 64 bits either way: `1e3` and `1.50e1` are, `1.5` is not.
pub(super) fn integer(number: &[u8]) -> Option<i128> {
    if number.len() <= 18 && number.iter().all(u8::is_ascii_digit) {
        return number.iter().try_fold(0i128, |value, digit| Some(value * 10 + i128::from(digit - b'0')));
    }
    let negative = number.first() == Some(&b'-');
    let number = &number[usize::from(negative)..];
    let (mantissa, exponent) = match number.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&number[..at], exponent(&number[at + 1..])),
        None => (number, 0),
    };
    let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &b""[..]),
    };
    let mut value = 0i128;
    // How many digits stand before the decimal point once the exponent has moved it.
    let point = whole.len() as i64 + exponent;
    for (index, digit) in whole.iter().chain(fraction).enumerate() {
        let digit = i128::from(digit - b'0');
        if (index as i64) < point {
            value = bounded(value * 10 + digit)?;
        } else if digit != 0 {
            return None;
        }
    }
    let digits = (whole.len() + fraction.len()) as i64;
    if value != 0 {
        for _ in digits..point {
            value = bounded(value * 10)?;
        }
    }
    Some(if negative { -value } else { value })
}

/// Nothing above this fits 64 bits.
fn bounded(value: i128) -> Option<i128> {
    (value <= i128::from(u64::MAX)).then_some(value)
}

/// An exponent, cut to what makes a difference.
fn exponent(text: &[u8]) -> i64 {
    let negative = text.first() == Some(&b'-');
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    let value = digits.fold(0i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(1 << 40));
    if negative { -value } else { value }
}

/// The value of a number as a double; `None` if it is too large for one.
pub(super) fn double(number: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_that_of_rfc_8259() {
        for good in ["0", "-0", "7", "-12", "1.5", "0.0", "1e3", "1E+3", "1.25e-2", "12345678901234567890"] {
            assert_eq!(len(good.as_bytes()), Some(good.len()), "{good}");
            assert_eq!(len(format!("{good},1").as_bytes()), Some(good.len()), "{good}");
        }
        for bad in ["", "-", "01", "+1", ".5", "1.", "1.e3", "1e", "1e+", "1x", "0x1", "1.5.2", "NaN", "Infinity"] {
            assert_eq!(len(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn integers_are_exact_or_refused() {
        let cases = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("18446744073709551615", Some(i128::from(u64::MAX))),
            ("-9223372036854775808", Some(i128::from(i64::MIN))),
            ("18446744073709551616", None),
            ("1e3", Some(1000)),
            ("1.50e1", Some(15)),
            ("1.0", Some(1)),
            ("1500e-2", Some(15)),
            ("1501e-2", None),
            ("1.5", None),
            ("0e99999999999999999999", Some(0)),
            ("0.000e-99999999999999999999", Some(0)),
            ("1e99999999999999999999", None),
            ("1e-99999999999999999999", None),
            ("1e19", Some(10_000_000_000_000_000_000)),
            ("1e20", None),
            ("9007199254740993", Some(9_007_199_254_740_993)),
            ("0.0000000000000000001e19", Some(1)),
        ];
        for (text, value) in cases {
            assert_eq!(integer(text.as_bytes()), value, "{text}");
        }
    }
}
