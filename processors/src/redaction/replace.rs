//! Writing a value with its findings replaced, so that the syntax around them stays valid.

use super::config::Action;
use super::decide::Finding;
use super::hash::{Masker, TokenSigner};
use super::place::Place;
use super::source::Source;

/// What findings are replaced with.
pub(crate) struct Replacer<'a> {
    pub(crate) sources: &'a [Source],
    pub(crate) masker: &'a Masker,
    pub(crate) signer: Option<&'a TokenSigner>,
}

/// What a mask looks like inside a URL.
const REDACTED: &[u8] = b"REDACTED";

impl Replacer<'_> {
    /// Appends `text` with `findings` (sorted, disjoint) replaced.
    pub(crate) fn write(
        &self,
        place: Place,
        text: &[u8],
        findings: &[Finding],
        normalized: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) {
        if place.is_trace_state() {
            return write_members(text, findings, out);
        }
        let mut copied = 0;
        for finding in findings {
            out.extend_from_slice(&text[copied..finding.start]);
            self.write_one(text, finding, normalized, out);
            copied = finding.end;
        }
        out.extend_from_slice(&text[copied..]);
    }

    /// Appends what replaces one finding.
    fn write_one(&self, text: &[u8], finding: &Finding, normalized: &mut Vec<u8>, out: &mut Vec<u8>) {
        let source = &self.sources[usize::from(finding.source)];
        let found = &text[finding.own.0..finding.own.1];
        let whole = finding.own == (finding.start, finding.end);
        match (finding.action, source.detector, self.signer) {
            (Action::MaskLen, ..) => out.resize(out.len() + finding.end - finding.start, b'*'),
            (Action::Partial, Some(detector), _) if whole => detector.partial(found, out),
            (Action::Hmac, detector, Some(signer)) => {
                normalized.clear();
                match detector {
                    Some(detector) => detector.normalize(found, normalized),
                    None => normalized.extend_from_slice(found),
                }
                in_syntax(text, finding, out, |_, out| signer.write(&source.label, normalized, out));
            }
            _ => match &source.mask {
                Some(mask) => in_syntax(text, finding, out, |in_url, out| {
                    out.extend_from_slice(if in_url { REDACTED } else { mask });
                }),
                None => self.masker.write(&text[finding.start..finding.end], out),
            },
        }
    }
}

/// Writes a replacement, in quotes where a bare JSON number stood; tells `write` whether the place is inside a URL.
fn in_syntax(text: &[u8], finding: &Finding, out: &mut Vec<u8>, write: impl FnOnce(bool, &mut Vec<u8>)) {
    let quote = json_quote(text, finding);
    out.extend_from_slice(quote);
    write(is_in_url(text, finding.start), out);
    out.extend_from_slice(quote);
}

/// How far back the start of a URL is looked for, in bytes.
const URL_REACH: usize = 2_048;

/// Whether `start` lies behind a `://` without white space or a quote between.
fn is_in_url(text: &[u8], start: usize) -> bool {
    let from = start.saturating_sub(URL_REACH);
    let stop = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`');
    let token = text[from..start].iter().rposition(stop).map_or(from, |at| from + at + 1);
    memchr::memmem::find(&text[token..start], b"://").is_some()
}

/// The quote that a replacement needs to stay valid JSON: none, `"`, or `\"` inside an escaped document.
fn json_quote(text: &[u8], finding: &Finding) -> &'static [u8] {
    let is_number = text[finding.start..finding.end].iter().all(u8::is_ascii_digit);
    if !is_number || finding.start == 0 {
        return b"";
    }
    let space = |byte: &&u8| !byte.is_ascii_whitespace();
    let opens = text.iter().find(space).is_some_and(|byte| matches!(byte, b'{' | b'['));
    let before = text[..finding.start].iter().rfind(space);
    let after = text[finding.end..].iter().find(space);
    let is_value = matches!(before, Some(b':' | b',' | b'[')) && matches!(after, None | Some(b',' | b'}' | b']'));
    if !(opens && is_value) {
        return b"";
    }
    // In an escaped document the key in front of the colon ends with an escaped quote.
    let reach = finding.start.saturating_sub(URL_REACH);
    let quote = text[reach..finding.start].iter().rposition(|&byte| byte == b'"').map(|at| reach + at);
    match quote {
        Some(at) if at > 0 && text[at - 1] == b'\\' => b"\\\"",
        _ => b"\"",
    }
}

/// Appends the members of a trace state that hold no finding.
fn write_members(text: &[u8], findings: &[Finding], out: &mut Vec<u8>) {
    let mut start = 0;
    let mut any = false;
    for member in text.split(|&byte| byte == b',') {
        let end = start + member.len();
        if !findings.iter().any(|finding| finding.start < end.max(start + 1) && finding.end > start) {
            if any {
                out.push(b',');
            }
            out.extend_from_slice(member);
            any = true;
        }
        start = end + 1;
    }
}

/// Appends a schema URL without its user information. `false` if it has none.
pub(crate) fn without_userinfo(url: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(authority) = memchr::memmem::find(url, b"://").map(|at| at + 3) else { return false };
    let end = url[authority..]
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .map_or(url.len(), |at| authority + at);
    let Some(at) = memchr::memrchr(b'@', &url[authority..end]) else { return false };
    out.extend_from_slice(&url[..authority]);
    out.extend_from_slice(&url[authority + at + 1..]);
    true
}
