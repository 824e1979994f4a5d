//! How sure a finding is: words near it, or in its key, raise or lower its score.

/// How far before a finding words count, in bytes.
const BEFORE: usize = 64;
/// How far behind a finding words count, in bytes.
const AFTER: usize = 16;
/// What an excluded word takes from the score.
const EXCLUDED_COST: f32 = 0.40;

/// Words that say that a number is something else.
pub(crate) const EXCLUDED: [&str; 12] = [
    "trace_id", "span_id", "commit", "sha", "digest", "checksum", "block", "version", "build", "port", "offset",
    "nanos",
];

/// A list of words and phrases, folded for case and for `_ - .` and space.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words(Vec<Vec<Box<[u8]>>>);

/// The word of a text that stands nearest to one of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

impl Words {
    pub(crate) fn new<S: AsRef<str>>(words: &[S]) -> Self {
        Words(
            words
                .iter()
                .map(|word| tokens(word.as_ref().as_bytes(), true).map(|token| fold(token.text)).collect())
                .filter(|phrase: &Vec<_>| !phrase.is_empty())
                .collect(),
        )
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key contains one of the words. Keys are split where a capital follows a small letter, too.
    pub(crate) fn in_key(&self, key: &[u8]) -> bool {
        self.matches(key, true).next().is_some()
    }

    /// Distance in bytes of the nearest word from the given end of `text`.
    fn nearest(&self, text: &[u8], end: End) -> Option<usize> {
        self.matches(text, false).map(|(start, stop)| if end == End::Front { start } else { text.len() - stop }).min()
    }

    /// Where the words stand in `text`.
    fn matches<'a>(&'a self, text: &'a [u8], camel: bool) -> impl Iterator<Item = (usize, usize)> + 'a {
        tokens(text, camel).flat_map(move |first| {
            self.0.iter().filter_map(move |phrase| {
                let mut rest = tokens_from(text, first.start, camel);
                let mut end = first.start;
                for (index, word) in phrase.iter().enumerate() {
                    let token = rest.next()?;
                    let joined = index == 0
                        || token.start == end
                        || token.start == end + 1 && matches!(text[end], b'_' | b'-' | b'.' | b' ');
                    if !joined || !token.text.eq_ignore_ascii_case(word) {
                        return None;
                    }
                    end = token.start + token.text.len();
                }
                Some((first.start, end))
            })
        })
    }
}

fn fold(text: &[u8]) -> Box<[u8]> {
    text.to_ascii_lowercase().into_boxed_slice()
}

#[derive(Clone, Copy)]
struct Token<'a> {
    start: usize,
    text: &'a [u8],
}

fn tokens(text: &[u8], camel: bool) -> impl Iterator<Item = Token<'_>> {
    tokens_from(text, 0, camel)
}

/// Runs of letters and digits; with `camel` also split before a capital that follows a small letter.
fn tokens_from(text: &[u8], from: usize, camel: bool) -> impl Iterator<Item = Token<'_>> {
    let mut at = from;
    std::iter::from_fn(move || {
        while text.get(at).is_some_and(|byte| !byte.is_ascii_alphanumeric()) {
            at += 1;
        }
        let start = at;
        while let Some(byte) = text.get(at).filter(|byte| byte.is_ascii_alphanumeric()) {
            if camel && at > start && byte.is_ascii_uppercase() && text[at - 1].is_ascii_lowercase() {
                break;
            }
            at += 1;
        }
        (at > start).then(|| Token { start, text: &text[start..at] })
    })
}

/// What the key of a value says about a finding in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyContext {
    pub(crate) context: bool,
    pub(crate) excluded: bool,
}

/// A score and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// 0 to 1.
    pub value: f32,
    /// A context word was found.
    pub context: bool,
    /// An excluded word was nearer than any context word.
    pub excluded: bool,
}

/// Scores the finding `start..end` of `text`.
pub(crate) fn score(
    (base, with_context): (f32, f32),
    (context, excluded): (&Words, &Words),
    key: KeyContext,
    text: &[u8],
    (start, end): (usize, usize),
) -> Score {
    let before = window_before(text, start);
    let after = window_after(text, end);
    let distance = |words: &Words, in_key: bool| {
        if in_key {
            return Some(0);
        }
        let before = words.nearest(before, End::Back);
        let after = words.nearest(after, End::Front);
        before.into_iter().chain(after).min()
    };
    let near = distance(context, key.context);
    let far = distance(excluded, key.excluded);
    let is_excluded = match (far, near) {
        (Some(excluded), Some(context)) => excluded < context,
        (Some(_), None) => true,
        _ => false,
    };
    let value = if near.is_some() { with_context } else { base };
    let value = if is_excluded { value - EXCLUDED_COST } else { value };
    Score { value: value.clamp(0.0, 1.0), context: near.is_some(), excluded: is_excluded }
}

/// The bytes before a finding, without a word that the window cuts.
fn window_before(text: &[u8], start: usize) -> &[u8] {
    let mut from = start.saturating_sub(BEFORE);
    if from > 0 && text[from - 1].is_ascii_alphanumeric() {
        from += text[from..start].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    }
    &text[from..start]
}

/// The bytes behind a finding, without a word that the window cuts.
fn window_after(text: &[u8], end: usize) -> &[u8] {
    let mut to = text.len().min(end + AFTER);
    if text.get(to).is_some_and(u8::is_ascii_alphanumeric) {
        to -= text[end..to].iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    }
    &text[end..to]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, found: &str, key: KeyContext) -> f32 {
        let (context, excluded) = (Words::new(&["card", "social security"]), Words::new(&EXCLUDED));
        let start = text.find(found).unwrap();
        score((0.5, 0.9), (&context, &excluded), key, text.as_bytes(), (start, start + found.len())).value
    }

    #[test]
    fn words_near_a_finding_move_its_score() {
        let none = KeyContext::default();
        assert_eq!(value("x 42", "42", none), 0.5);
        assert_eq!(value("Card: 42", "42", none), 0.9);
        assert_eq!(value("42 card", "42", none), 0.9);
        assert_eq!(value("social_security 42", "42", none), 0.9);
        assert_eq!(value("cards 42", "42", none), 0.5, "whole words only");
        assert!((value("offset 42", "42", none) - 0.1).abs() < 1e-6);
        assert!((value("card offset 42", "42", none) - 0.5).abs() < 1e-6, "the nearer word counts");
        assert_eq!(value("offset card 42", "42", none), 0.9);
        assert!((value("trace-id=42", "42", none) - 0.1).abs() < 1e-6);
        assert_eq!(
            value("card is far away from here, so far that the window ends before it begins: 42", "42", none),
            0.5
        );
    }

    #[test]
    fn a_key_counts_as_nearest() {
        assert_eq!(value("42", "42", KeyContext { context: true, excluded: false }), 0.9);
        assert_eq!(value("offset 42", "42", KeyContext { context: true, excluded: true }), 0.9);
        assert!((value("42", "42", KeyContext { context: false, excluded: true }) - 0.1).abs() < 1e-6);
        let words = Words::new(&["card", "trace_id"]);
        for key in ["card.number", "creditCard", "user_card", "TRACE-ID", "traceId", "x.trace.id"] {
            assert!(words.in_key(key.as_bytes()), "{key}");
        }
        for key in ["cardinality", "discard", "trace", "id.trace"] {
            assert!(!words.in_key(key.as_bytes()), "{key}");
        }
    }
}
