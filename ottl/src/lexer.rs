//! Tokens. The rules and their order are those of the reference lexer: the first rule that matches wins, not the longest.

use crate::error::{Diagnostic, Span};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bytes,
    Float,
    Int,
    String,
    Nil,
    Not,
    Or,
    And,
    Compare,
    AddSub,
    MulDiv,
    Boolean,
    /// One of `= ( ) { } : , . [ ]`, told apart by its text.
    Mark,
    Upper,
    Lower,
    End,
}

/// One token with its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'s> {
    pub(crate) kind: Kind,
    pub(crate) text: &'s str,
    pub(crate) start: usize,
}

impl Token<'_> {
    pub(crate) fn span(&self) -> Span {
        Span { start: self.start, end: self.start + self.text.len() }
    }

    pub(crate) fn is(&self, mark: &str) -> bool {
        self.kind == Kind::Mark && self.text == mark
    }

    /// Whether a value may start with it.
    pub(crate) fn starts_value(&self) -> bool {
        match self.kind {
            Kind::Mark => matches!(self.text, "(" | "[" | "{"),
            Kind::Not | Kind::Or | Kind::And | Kind::Compare | Kind::MulDiv | Kind::End => false,
            _ => true,
        }
    }
}

/// `line:column` of a byte offset; both count from 1, columns in characters.
pub(crate) fn position(source: &str, offset: usize) -> String {
    let before = source.get(..offset).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("{line}:{column}")
}

/// Splits the source into tokens, ending with one [`Kind::End`].
///
/// # Errors
/// A character that starts no token.
pub(crate) fn tokens(source: &str) -> Result<Vec<Token<'_>>, Diagnostic> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        let space = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']).len();
        if space > 0 {
            at += space;
            continue;
        }
        let Some((kind, len)) = scan(rest) else { return Err(invalid(source, at, rest)) };
        out.push(Token { kind, text: &rest[..len], start: at });
        at += len;
    }
    out.push(Token { kind: Kind::End, text: "", start: source.len() });
    Ok(out)
}

fn invalid(source: &str, at: usize, rest: &str) -> Diagnostic {
    let mut sample: String = rest.chars().take(16).collect();
    if rest.chars().nth(16).is_some() {
        sample.push_str("...");
    }
    let message =
        format!("{}: lexer: invalid input text {}", position(source, at), crate::quote::quoted(sample.as_bytes()));
    let end = at + rest.chars().next().map_or(0, char::len_utf8);
    Diagnostic::new(Span { start: at, end }, message)
}

/// Kind and length of the token that `rest` starts with.
fn scan(rest: &str) -> Option<(Kind, usize)> {
    let bytes = rest.as_bytes();
    if let Some(hex) = rest.strip_prefix("0x") {
        let digits = run(hex.as_bytes(), |b| b.is_ascii_hexdigit());
        if digits > 0 {
            return Some((Kind::Bytes, 2 + digits));
        }
    }
    if let Some(number) = scan_number(bytes) {
        return Some(number);
    }
    if bytes[0] == b'"'
        && let Some(len) = scan_string(rest)
    {
        return Some((Kind::String, len));
    }
    for (word, kind) in [("nil", Kind::Nil), ("not", Kind::Not), ("or", Kind::Or), ("and", Kind::And)] {
        if starts_with_word(bytes, word) {
            return Some((kind, word.len()));
        }
    }
    if ["==", "!=", ">=", "<="].iter().any(|op| rest.starts_with(op)) {
        return Some((Kind::Compare, 2));
    }
    match bytes[0] {
        b'<' | b'>' => return Some((Kind::Compare, 1)),
        b'+' | b'-' => return Some((Kind::AddSub, 1)),
        b'/' | b'*' => return Some((Kind::MulDiv, 1)),
        _ => {}
    }
    for word in ["true", "false"] {
        if starts_with_word(bytes, word) {
            return Some((Kind::Boolean, word.len()));
        }
    }
    match bytes[0] {
        b'=' | b'(' | b')' | b'{' | b'}' | b':' | b',' | b'.' | b'[' | b']' => Some((Kind::Mark, 1)),
        b'A'..=b'Z' => Some((Kind::Upper, run(bytes, |b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'))),
        b'a'..=b'z' => Some((Kind::Lower, run(bytes, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))),
        _ => None,
    }
}

fn run(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|&&b| belongs(b)).count()
}

/// Keywords end at a word boundary; what stands in front does not matter to the reference lexer.
fn starts_with_word(bytes: &[u8], word: &str) -> bool {
    bytes.starts_with(word.as_bytes())
        && !bytes.get(word.len()).is_some_and(|&b| b.is_ascii_alphanumeric() || b == b'_')
}

fn scan_number(bytes: &[u8]) -> Option<(Kind, usize)> {
    let whole = run(bytes, |b| b.is_ascii_digit());
    if bytes.get(whole) == Some(&b'.') {
        let fraction = run(&bytes[whole + 1..], |b| b.is_ascii_digit());
        if whole + fraction > 0 {
            let mantissa = whole + 1 + fraction;
            return Some((Kind::Float, mantissa + exponent(&bytes[mantissa..])));
        }
    }
    (whole > 0).then_some((Kind::Int, whole))
}

fn exponent(bytes: &[u8]) -> usize {
    if !matches!(bytes.first(), Some(b'e' | b'E')) {
        return 0;
    }
    let sign = usize::from(matches!(bytes.get(1), Some(b'+' | b'-')));
    match run(&bytes[1 + sign..], |b| b.is_ascii_digit()) {
        0 => 0,
        digits => 1 + sign + digits,
    }
}

/// Length of the string token with its quotes. A backslash may not stand before a raw newline.
fn scan_string(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some(at + 1),
            '\\' => match chars.next() {
                None | Some((_, '\n')) => return None,
                Some(_) => {}
            },
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<(Kind, &str)> {
        tokens(source).unwrap().iter().map(|t| (t.kind, t.text)).filter(|t| t.0 != Kind::End).collect()
    }

    #[test]
    fn tokens_follow_the_rule_order() {
        use Kind::*;
        for (source, expected) in [
            ("0x1f 0x", vec![(Bytes, "0x1f"), (Int, "0"), (Lower, "x")]),
            ("1 1.5 .5 1. 1.e5 2.5E-3 1.5e", {
                let mut v = vec![(Int, "1"), (Float, "1.5"), (Float, ".5"), (Float, "1."), (Float, "1.e5")];
                v.extend([(Float, "2.5E-3"), (Float, "1.5"), (Lower, "e")]);
                v
            }),
            ("-1", vec![(AddSub, "-"), (Int, "1")]),
            ("nil nil_x notx or", vec![(Nil, "nil"), (Lower, "nil_x"), (Lower, "notx"), (Or, "or")]),
            ("FOOnot", vec![(Upper, "FOO"), (Not, "not")]),
            ("IsMatch", vec![(Upper, "I"), (Lower, "s"), (Upper, "M"), (Lower, "atch")]),
            ("true trueish", vec![(Boolean, "true"), (Lower, "trueish")]),
            ("a>=b=c", vec![(Lower, "a"), (Compare, ">="), (Lower, "b"), (Mark, "="), (Lower, "c")]),
            (r#""a\"b" "x"#, vec![]),
        ] {
            if expected.is_empty() {
                assert!(tokens(source).is_err(), "{source}");
            } else {
                assert_eq!(kinds(source), expected, "{source}");
            }
        }
    }

    #[test]
    fn a_stray_character_is_named_with_its_place() {
        let error = tokens("a ==\n  é").unwrap_err();
        assert_eq!(error.message, "2:3: lexer: invalid input text \"é\"");
        assert_eq!(error.span, Span { start: 7, end: 9 });
    }
}
