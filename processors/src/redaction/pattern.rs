//! A user's pattern, compiled, with the literals one of which every match must contain.

use regex_automata::util::syntax;
use regex_automata::{Input, meta};
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Class, Hir, HirKind};
use sluice_ottl::pattern::re2;

use super::digits;
use super::error::RedactionError;
use super::split::Split;

/// Largest compiled rule, in bytes.
const RULE_BYTES: usize = 1 << 20;
/// Memory of a rule's lazily built automaton, in bytes, for each worker.
const LAZY_BYTES: usize = 256 << 10;
/// At most this many alternative literals for one pattern; with more the search for them stops paying.
const MAX_LITERALS: usize = 16;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    regex: meta::Regex,
    hir: Hir,
    gate: Gate,
    split: Option<Split>,
}

/// What every match of a pattern contains, so that a value without it need not be searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// One of these: each at least two bytes long, or a single byte that is rare in text.
    Literals(Vec<Vec<u8>>),
    /// A run of at least [`digits::MIN_RUN`] digits with single separators.
    Digits,
    /// Nothing known: the slow lane.
    Open,
}

impl Pattern {
    /// Compiles an RE2 pattern. `field` and `index` name it in errors.
    pub(crate) fn compile(pattern: &str, field: &'static str, index: usize) -> Result<Self, RedactionError> {
        let fail = |offset: usize, reason: String| RedactionError::Pattern {
            field,
            index,
            pattern: pattern.to_owned(),
            offset,
            reason,
        };
        let translated = re2::translate(pattern).map_err(|error| fail(error.offset, error.reason().to_owned()))?.regex;
        let hir = syntax::parse_with(&translated, &syntax::Config::new().utf8(false).nest_limit(100))
            .map_err(|error| fail(syntax_offset(&error, pattern.len()), syntax_reason(&error)))?;
        Self::build(&hir).map_err(|reason| fail(0, reason))
    }

    fn build(hir: &Hir) -> Result<Self, String> {
        let regex =
            meta::Builder::new().configure(limits()).build_from_hir(hir).map_err(|error| match error.size_limit() {
                Some(limit) => format!("compiles to more than {limit} bytes"),
                None => "cannot be compiled".to_owned(),
            })?;
        let gate = match required_literals(hir) {
            Some(literals) => Gate::Literals(literals),
            None if longest_run(hir) >= digits::MIN_RUN => Gate::Digits,
            None => Gate::Open,
        };
        let split = match &gate {
            Gate::Literals(literals) => match literals.as_slice() {
                [literal] => Split::new(hir, literal),
                _ => None,
            },
            _ => None,
        };
        Ok(Pattern { regex, hir: hir.clone(), gate, split })
    }

    pub(crate) fn regex(&self) -> &meta::Regex {
        &self.regex
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The pattern as it is matched around its literal, if it can be.
    pub(crate) fn split(&self) -> Option<&Split> {
        self.split.as_ref()
    }

    pub(crate) fn memory_usage(&self) -> usize {
        self.regex.memory_usage() + self.split.as_ref().map_or(0, Split::memory_usage)
    }

    /// Whether the pattern matches anywhere. For cold paths: borrows scratch from the pattern's own pool.
    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }
}

/// One automaton that tells whether any of several patterns matches, in one search instead of one for each. `None` if it
/// would be too large.
pub(crate) fn any_of(patterns: &[&Pattern]) -> Option<meta::Regex> {
    let hirs: Vec<&Hir> = patterns.iter().map(|pattern| &pattern.hir).collect();
    meta::Builder::new().configure(limits()).build_many_from_hir(&hirs).ok()
}

fn limits() -> meta::Config {
    meta::Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(RULE_BYTES))
        .hybrid_cache_capacity(LAZY_BYTES)
        .which_captures(regex_automata::nfa::thompson::WhichCaptures::Implicit)
}

/// Calls `found` with each non-empty, non-overlapping, leftmost-first match, until it answers `false`.
pub(crate) fn each_match(
    regex: &meta::Regex,
    cache: &mut meta::Cache,
    text: &[u8],
    mut found: impl FnMut(usize, usize) -> bool,
) {
    let mut from = 0;
    while from <= text.len() {
        let Some(matched) = regex.search_with(cache, &Input::new(text).range(from..)) else { return };
        if !matched.is_empty() && !found(matched.start(), matched.end()) {
            return;
        }
        from = if matched.is_empty() { matched.end() + 1 } else { matched.end() };
    }
}

fn syntax_reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "invalid syntax".to_owned(),
    }
}

/// Where in the pattern the error is. The translation only inserts, so the place in the translated text is an upper bound.
fn syntax_offset(error: &regex_syntax::Error, length: usize) -> usize {
    let offset = match error {
        regex_syntax::Error::Parse(error) => error.span().start.offset,
        regex_syntax::Error::Translate(error) => error.span().start.offset,
        _ => 0,
    };
    offset.min(length)
}

/// Length of the longest stretch of digits with single separators that every match contains.
fn longest_run(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Concat(parts) => {
            let mut longest = 0;
            let mut open: Option<Stretch> = None;
            for part in parts {
                let next = stretch(part);
                let joined = open.zip(next).and_then(|(open, next)| open.join(next));
                longest = longest.max(open.map_or(0, |open| open.length));
                if next.is_none() {
                    longest = longest.max(longest_run(part));
                }
                open = joined.or(next);
            }
            longest.max(open.map_or(0, |open| open.length))
        }
        HirKind::Capture(capture) => longest_run(&capture.sub),
        HirKind::Alternation(branches) => branches.iter().map(longest_run).min().unwrap_or(0),
        HirKind::Repetition(repetition) if repetition.min > 0 => {
            stretch(hir).map_or_else(|| longest_run(&repetition.sub), |stretch| stretch.length)
        }
        _ => stretch(hir).map_or(0, |stretch| stretch.length),
    }
}

/// What a part of a pattern matches, if that is nothing but digits with never more than one space or dash between them.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// Length of the shortest match.
    length: usize,
    /// A match may be empty, may start and may end with a separator.
    empty: bool,
    front: bool,
    back: bool,
}

impl Stretch {
    const NOTHING: Stretch = Stretch { length: 0, empty: true, front: false, back: false };

    fn join(self, next: Stretch) -> Option<Stretch> {
        (!(self.back && next.front)).then_some(Stretch {
            length: self.length.saturating_add(next.length),
            empty: self.empty && next.empty,
            front: self.front || self.empty && next.front,
            back: next.back || next.empty && self.back,
        })
    }

    /// Either of the two.
    fn or(self, other: Stretch) -> Stretch {
        Stretch {
            length: self.length.min(other.length),
            empty: self.empty || other.empty,
            front: self.front || other.front,
            back: self.back || other.back,
        }
    }
}

fn stretch(hir: &Hir) -> Option<Stretch> {
    let one = |bytes: &mut dyn Iterator<Item = u8>| {
        let mut separator = false;
        for byte in bytes {
            match byte {
                b'0'..=b'9' => {}
                b' ' | b'-' => separator = true,
                _ => return None,
            }
        }
        Some(Stretch { length: 1, empty: false, front: separator, back: separator })
    };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(Stretch::NOTHING),
        HirKind::Literal(literal) => {
            literal.0.iter().try_fold(Stretch::NOTHING, |stretch, &byte| stretch.join(one(&mut std::iter::once(byte))?))
        }
        HirKind::Class(Class::Unicode(class)) if class.is_ascii() => {
            one(&mut class.iter().flat_map(|range| range.start() as u8..=range.end() as u8))
        }
        HirKind::Class(Class::Bytes(class)) => one(&mut class.iter().flat_map(|range| range.start()..=range.end())),
        HirKind::Class(_) => None,
        HirKind::Repetition(repetition) => {
            let once = stretch(&repetition.sub)?;
            if repetition.max != Some(1) {
                once.join(once)?;
            }
            let length = once.length.saturating_mul(repetition.min as usize);
            Some(Stretch { length, empty: once.empty || repetition.min == 0, ..once })
        }
        HirKind::Capture(capture) => stretch(&capture.sub),
        HirKind::Concat(parts) => parts.iter().try_fold(Stretch::NOTHING, |so_far, part| so_far.join(stretch(part)?)),
        HirKind::Alternation(branches) => {
            let mut all = branches.iter().map(stretch);
            let first = all.next()??;
            all.try_fold(first, |so_far, branch| Some(so_far.or(branch?)))
        }
    }
}

/// The best small set of literals, one of which every match of `hir` contains.
fn required_literals(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let mut best: Option<(usize, Vec<Vec<u8>>)> = None;
    candidates(hir, 0, &mut |seq| {
        let Some(literals) = seq.literals() else { return };
        let shortest = literals.iter().map(|literal| literal.len()).min().unwrap_or(0);
        let rare = matches!(literals, [only] if matches!(only.as_bytes(), [byte] if RARE.contains(byte)));
        if (shortest < 2 && !rare) || literals.len() > MAX_LITERALS {
            return;
        }
        // Longer is rarer; many alternatives are more common together.
        let worth = shortest.min(8) * 4 + (MAX_LITERALS - literals.len());
        if best.as_ref().is_none_or(|(known, _)| worth > *known) {
            best = Some((worth, literals.iter().map(|literal| literal.as_bytes().to_vec()).collect()));
        }
    });
    best.map(|(_, mut literals)| {
        literals.sort();
        literals.dedup();
        literals
    })
}

/// Bytes that text holds seldom enough for a search of each occurrence to cost less than a search of each value: an e-mail's `@`
/// above all.
const RARE: &[u8] = b"@#$!~^|`\\<>{}";

/// Shows the prefix literals of every part of `hir` that takes part in each match.
fn candidates(hir: &Hir, depth: usize, show: &mut impl FnMut(&Seq)) {
    if depth > 16 {
        return;
    }
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_class(4).limit_literal_len(8).limit_total(MAX_LITERALS);
    let seq = extractor.extract(hir);
    show(&seq);
    match hir.kind() {
        HirKind::Concat(parts) => {
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    // The rest of the concatenation, so that neighbouring literals join.
                    show(&extractor.extract(&Hir::concat(parts[index..].to_vec())));
                }
                candidates(part, depth + 1, show);
            }
        }
        HirKind::Capture(capture) => candidates(&capture.sub, depth + 1, show),
        HirKind::Repetition(repetition) if repetition.min > 0 => candidates(&repetition.sub, depth + 1, show),
        _ => {}
    }
}

/// Writes a glob (`*` any run, `?` one character) as an RE2 pattern for whole keys, any case.
pub(crate) fn glob_to_re2(glob: &str) -> String {
    let mut pattern = String::from("(?is)^");
    for char in glob.chars() {
        match char {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            char => quote(char, &mut pattern),
        }
    }
    pattern.push('$');
    pattern
}

/// Writes words as an RE2 pattern that finds each of them whole, any case.
pub(crate) fn keywords_to_re2(words: &[String]) -> String {
    let mut pattern = String::from(r"(?i)\b(?:");
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            pattern.push('|');
        }
        word.chars().for_each(|char| quote(char, &mut pattern));
    }
    pattern.push_str(r")\b");
    pattern
}

fn quote(char: char, pattern: &mut String) {
    if char.is_ascii_punctuation() {
        pattern.push('\\');
    }
    pattern.push(char);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals(pattern: &str) -> Option<Vec<String>> {
        let pattern = Pattern::compile(pattern, "blocked_values", 0).unwrap();
        match pattern.gate() {
            Gate::Literals(all) => Some(all.iter().map(|one| String::from_utf8_lossy(one).into_owned()).collect()),
            _ => None,
        }
    }

    #[test]
    fn a_pattern_of_many_digits_waits_for_digits() {
        for (pattern, gate) in [
            (r"4[0-9]{12}(?:[0-9]{3})?", Gate::Digits),
            (r"(5[1-5][0-9]{14})", Gate::Digits),
            (r"\b(?:\d{4}[ -]){3}\d{4}\b", Gate::Digits),
            (r"x?\d{12}", Gate::Digits),
            (r"\d{12}|\d{4}-\d{4}-\d{4}", Gate::Digits),
            (r"\d{11}", Gate::Open),
            (r"\d{12}|x", Gate::Open),
            (r"(?:\d{3}\.){4}", Gate::Open),
            (r"\d+", Gate::Open),
            (r"\pN{12}", Gate::Open),
            (r"(?:\d ?){12}", Gate::Digits),
            (r"(?: ?\d ?){12}", Gate::Open),
            (r"\d{6} -?\d{6}", Gate::Open),
        ] {
            assert_eq!(*Pattern::compile(pattern, "blocked_values", 0).unwrap().gate(), gate, "{pattern}");
        }
    }

    #[test]
    fn literals_that_every_match_contains_are_found() {
        assert_eq!(literals(r"token=\w+"), Some(vec!["token=".into()]));
        assert_eq!(literals(r"\w+@example\.com"), Some(vec!["@example".into()]));
        assert_eq!(literals(r"(?:AKIA|ASIA)[A-Z]{16}"), Some(vec!["AKIA".into(), "ASIA".into()]));
        assert_eq!(literals(r"[0-9]+(secret)+x?"), Some(vec!["secret".into()]));
        assert_eq!(literals(r"[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}"), Some(vec!["@".into()]));
    }

    #[test]
    fn a_pattern_without_a_common_literal_goes_to_the_slow_lane() {
        for pattern in [r"\d{11}", r"a|secret", r"(?:secret)?x", r"[a-z]+"] {
            assert_eq!(literals(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_is_too_large_is_refused() {
        let error = Pattern::compile(r"(?:\pL{500}){400}", "blocked_values", 3).unwrap_err();
        assert!(error.to_string().starts_with("blocked_values[3]: pattern"), "{error}");
    }

    #[test]
    fn syntax_errors_name_pattern_and_offset() {
        let error = Pattern::compile("ab(c", "allowed_values", 1).unwrap_err();
        assert_eq!(error.to_string(), "allowed_values[1]: pattern `ab(c` at offset 2: missing closing )");
    }

    #[test]
    fn matches_are_leftmost_first_and_never_empty() {
        let pattern = Pattern::compile("a|ab|x*", "blocked_values", 0).unwrap();
        let mut cache = pattern.regex().create_cache();
        let mut found = Vec::new();
        each_match(pattern.regex(), &mut cache, b"abxxa", |start, end| {
            found.push((start, end));
            true
        });
        assert_eq!(found, [(0, 1), (2, 4), (4, 5)]);
    }

    #[test]
    fn classes_are_ascii() {
        let digits = Pattern::compile(r"^\d+$", "blocked_values", 0).unwrap();
        assert!(digits.is_match(b"123"));
        assert!(!digits.is_match("１２３".as_bytes()));
        let word = Pattern::compile(r"\bcafe\b", "blocked_values", 0).unwrap();
        assert!(word.is_match("cafeé".as_bytes()), "é is no word character in RE2");
    }
}
