//! `<scheme>:<opaque>` and the search for `${…}` (collector-compat §1.1, §1.2).

/// A location split at its scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uri<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) opaque: &'a str,
}

impl<'a> Uri<'a> {
    /// Splits `text` if it begins with a scheme: `[A-Za-z][A-Za-z0-9+.-]+`, two characters or more.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, opaque) = text.split_once(':')?;
        let mut bytes = scheme.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
        let rest = scheme.len() >= 2 && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte));
        (first && rest).then_some(Self { scheme, opaque })
    }

    /// A `--config` argument: without a colon, or with a Windows drive letter, it is a file.
    pub(crate) fn parse_argument(text: &'a str) -> Option<Self> {
        let mut chars = text.chars();
        let drive = chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.next() == Some(':');
        if drive || !text.contains(':') {
            return Some(Self { scheme: "file", opaque: text });
        }
        Self::parse(text)
    }
}

/// What the search for the next reference found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// The reference with its `${` and `}`.
    Reference(&'a str),
    /// A candidate that is escaped by an odd run of `$`; upstream stops looking there.
    Escaped {
        /// Whether a further reference behind it stays unexpanded because of that.
        hides_more: bool,
    },
    Nothing,
}

/// Finds the reference to expand next, as upstream does: the first `}` and the last `${` before it, so that the
/// innermost of nested references comes first.
pub(crate) fn find_reference(text: &str) -> Found<'_> {
    let mut candidates = Candidates { rest: text };
    match candidates.next() {
        None => Found::Nothing,
        Some(Candidate { text, escaped: false }) => Found::Reference(text),
        Some(_) => Found::Escaped { hides_more: candidates.any(|candidate| !candidate.escaped) },
    }
}

struct Candidate<'a> {
    text: &'a str,
    escaped: bool,
}

/// The `${…}` of a text from left to right.
struct Candidates<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Candidates<'a> {
    type Item = Candidate<'a>;

    fn next(&mut self) -> Option<Candidate<'a>> {
        loop {
            let rest = self.rest;
            let close = rest.find('}')?;
            self.rest = &rest[close + 1..];
            if let Some(open) = rest[..close].rfind("${") {
                let dollars = rest[..open].bytes().rev().take_while(|byte| *byte == b'$').count();
                return Some(Candidate { text: &rest[open..=close], escaped: dollars % 2 == 1 });
            }
        }
    }
}

/// `^[a-zA-Z_][a-zA-Z0-9_]*$`
pub(crate) fn is_variable_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_innermost_first_and_escapes_end_the_search() {
        let cases = [
            ("plain", Found::Nothing),
            ("${A}", Found::Reference("${A}")),
            ("x ${env:${B}} y", Found::Reference("${B}")),
            ("} ${A}", Found::Reference("${A}")),
            ("$${A}", Found::Escaped { hides_more: false }),
            ("$$${A}", Found::Reference("${A}")),
            ("$${A} ${B}", Found::Escaped { hides_more: true }),
            ("${A", Found::Nothing),
            ("$A", Found::Nothing),
        ];
        for (text, expected) in cases {
            assert_eq!(find_reference(text), expected, "{text}");
        }
    }

    #[test]
    fn schemes_have_two_characters_or_more() {
        assert_eq!(Uri::parse("c:x"), None);
        assert_eq!(Uri::parse(":x"), None);
        assert_eq!(Uri::parse("9p:x"), None);
        assert_eq!(Uri::parse("env:A:-b"), Some(Uri { scheme: "env", opaque: "A:-b" }));
        assert_eq!(Uri::parse_argument("c:\\x.yaml"), Some(Uri { scheme: "file", opaque: "c:\\x.yaml" }));
        assert_eq!(Uri::parse_argument("dir/x.yaml"), Some(Uri { scheme: "file", opaque: "dir/x.yaml" }));
    }
}
