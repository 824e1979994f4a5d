//! Go's quoted strings: reading the escapes of a string token, and printing text as `%q` does in error texts.

use std::fmt::Write as _;

/// Resolves the escapes of a string token's inside (without its quotes). `\xHH` and `\NNN` name code points, as in the
/// reference lexer. `None`: an escape that Go does not know.
pub(crate) fn unquote(inside: &str) -> Option<String> {
    if !inside.contains('\\') {
        return Some(inside.to_owned());
    }
    let mut out = String::with_capacity(inside.len());
    let mut rest = inside.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let escaped = match rest.next()? {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' => '\\',
            '"' => '"',
            'x' => digits(&mut rest, 0, 2, 16)?,
            'u' => digits(&mut rest, 0, 4, 16)?,
            'U' => digits(&mut rest, 0, 8, 16)?,
            first @ '0'..='7' => {
                let first = first.to_digit(8)?;
                let c = digits(&mut rest, first, 2, 8)?;
                if u32::from(c) > 255 {
                    return None;
                }
                c
            }
            _ => return None,
        };
        out.push(escaped);
    }
    Some(out)
}

fn digits(rest: &mut std::str::Chars<'_>, start: u32, count: usize, radix: u32) -> Option<char> {
    let mut code = start;
    for _ in 0..count {
        code = code.checked_mul(radix)?.checked_add(rest.next()?.to_digit(radix)?)?;
    }
    char::from_u32(code)
}

/// Text as Go prints it with `%q`.
pub(crate) fn quoted(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\x07' => out.push_str("\\a"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x0b' => out.push_str("\\v"),
                c if u32::from(c) < 0x20 || c == '\x7f' => {
                    let _ = write!(out, "\\x{:02x}", u32::from(c));
                }
                c if c.is_control() => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::{quoted, unquote};

    #[test]
    fn escapes_are_those_of_go() {
        for (inside, expected) in [
            ("plain", Some("plain")),
            (r#"a\"b\\c"#, Some("a\"b\\c")),
            (r"\n\t\r\a\b\f\v", Some("\n\t\r\x07\x08\x0c\x0b")),
            (r"\x41\101\u00e9\U0001F600", Some("AAé😀")),
            (r"\xff", Some("ÿ")),
            ("a\nb", Some("a\nb")),
            (r"\d", None),
            (r"\'", None),
            (r"\x4", None),
            (r"\400", None),
            (r"\ud800", None),
            ("\\", None),
        ] {
            assert_eq!(unquote(inside).as_deref(), expected, "{inside}");
        }
    }

    #[test]
    fn quoting_shows_what_is_there() {
        assert_eq!(quoted(b"a\"\\\n\x00\xff"), r#""a\"\\\n\x00\xff""#);
    }
}
