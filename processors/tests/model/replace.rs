//! Findings of a text united and replaced, so that the syntax around them stays valid.

use crate::redaction::detect::Detector;

/// One finding.
#[derive(Clone, Debug)]
pub struct Finding {
    pub start: usize,
    pub end: usize,
    /// The range of the strongest of those that overlap.
    pub own: (usize, usize),
    pub score: f32,
    pub priority: u8,
    /// `None` for `blocked_values`.
    pub label: Option<&'static str>,
    /// Its source's place in the config.
    pub order: usize,
    pub detector: Option<&'static dyn Detector>,
    pub action: &'static str,
}

/// Findings that overlap become one; the longest names it, then the surest, then the most important.
pub fn united(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| (finding.start, finding.end, finding.order));
    let mut united: Vec<Finding> = Vec::new();
    for next in findings {
        match united.last_mut() {
            Some(last) if next.start < last.end => {
                let rank = |finding: &Finding| (finding.own.1 - finding.own.0, finding.score, finding.priority);
                let (start, end) = (last.start, last.end.max(next.end));
                if rank(&next) > rank(last) {
                    *last = next;
                }
                (last.start, last.end) = (start, end);
            }
            _ => united.push(next),
        }
    }
    united
}

/// The members of a trace state that no finding touches.
pub fn members_without(text: &[u8], findings: &[Finding]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut start = 0;
    for member in text.split(|byte| *byte == b',') {
        let end = start + member.len();
        if !findings.iter().any(|finding| finding.start < end.max(start + 1) && start < finding.end) {
            kept.push(member);
        }
        start = end + 1;
    }
    kept.join(&b","[..])
}

/// Whether an offset lies inside a URL.
pub fn is_in_url(text: &[u8], start: usize) -> bool {
    let stops = |byte: &u8| byte.is_ascii_whitespace() || b"\"'<>`".contains(byte);
    let token = text[..start].rsplit(stops).next().unwrap_or_default();
    token.windows(3).any(|window| window == b"://")
}

/// In quotes where a bare number of a JSON document stood.
pub fn quoted(text: &[u8], finding: &Finding, with: &[u8]) -> Vec<u8> {
    let (before, after) = (&text[..finding.start], &text[finding.end..]);
    let digits = text[finding.start..finding.end].iter().all(u8::is_ascii_digit);
    let opens = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    let follows = matches!(before.trim_ascii_end().last(), Some(b':' | b',' | b'['));
    let ends = matches!(after.trim_ascii_start().first(), None | Some(b',' | b'}' | b']'));
    let quote: &[u8] = match before.iter().rposition(|byte| *byte == b'"') {
        _ if !(digits && opens && follows && ends) => b"",
        Some(at) if at > 0 && before[at - 1] == b'\\' => b"\\\"",
        _ => b"\"",
    };
    [quote, with, quote].concat()
}

/// A URL without user name and password.
pub fn without_userinfo(url: &[u8]) -> Vec<u8> {
    let Some(scheme) = url.windows(3).position(|window| window == b"://") else { return url.to_vec() };
    let (scheme, rest) = url.split_at(scheme + 3);
    let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    match rest[..end].iter().rposition(|byte| *byte == b'@') {
        Some(at) => [scheme, &rest[at + 1..]].concat(),
        None => url.to_vec(),
    }
}

/// The first twenty characters of base32.
pub fn base32(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let digits = bits.chunks(5).map(|five| five.iter().fold(0usize, |value, bit| value << 1 | usize::from(*bit)));
    digits.take(20).map(|digit| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[digit])).collect()
}
