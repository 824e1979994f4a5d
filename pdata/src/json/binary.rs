//! Bytes as text: hexadecimal for ids, base64 for the rest.

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends `bytes` in lower-case hexadecimal.
pub(super) fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// Appends the bytes that hexadecimal of either case stands for. `None` if it is not.
pub(super) fn take_hex(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    for pair in pairs {
        let [high, low] = pair.map(|digit| (digit as char).to_digit(16));
        out.push((high? << 4 | low?) as u8);
    }
    Some(())
}

/// Appends `bytes` in standard base64 with padding.
pub(super) fn put_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let sextet = (bits >> (18 - 6 * place) & 63) as usize;
            out.push(if place <= group.len() { BASE64[sextet] } else { b'=' });
        }
    }
}

/// Appends the bytes that base64 stands for: standard or URL-safe alphabet, with or without padding. `None` if it is not.
pub(super) fn take_base64(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    if digits.len() % 4 == 1 || (padding > 0 && (padding > 2 || !text.len().is_multiple_of(4))) {
        return None;
    }
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for &digit in group {
            bits = bits << 6 | sextet(digit)?;
        }
        bits <<= 6 * (4 - group.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(())
}

fn sextet(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        take_base64(text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn base64_of_every_flavour_is_read_and_the_standard_one_written() {
        // RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut written = Vec::new();
            put_base64(&mut written, bytes.as_bytes());
            assert_eq!(written, text.as_bytes());
            assert_eq!(base64(text).unwrap(), bytes.as_bytes());
            assert_eq!(base64(text.trim_end_matches('=')).unwrap(), bytes.as_bytes());
        }
        assert_eq!(base64("-_+/").unwrap(), [0xfb, 0xff, 0xbf]);
        for bad in ["A", "AAAAA", "Zg=", "Zg===", "Z===", "====", "Zg==Zg==", "Zm 8", "Zm9v\n"] {
            assert_eq!(base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn hexadecimal_of_either_case_is_read() {
        let mut out = Vec::new();
        take_hex(b"00fFA9", &mut out).unwrap();
        assert_eq!(out, [0, 0xff, 0xa9]);
        let mut text = Vec::new();
        put_hex(&mut text, &out);
        assert_eq!(text, b"00ffa9");
        assert!(take_hex(b"0", &mut out).is_none() && take_hex(b"0g", &mut out).is_none());
    }
}
