//! `email`: an address `local@domain`, the `@` also as `%40` or full-width.

use super::super::config::Pack;
use super::{Anchor, Detector, Hit, Spec};

/// Longest address, in bytes (RFC 5321 §4.5.3.1.3, without the angle brackets).
const MAX_ADDRESS: usize = 254;
/// Longest label of a domain name (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

#[derive(Debug)]
pub(crate) struct Email;

static SPEC: Spec = Spec {
    id: "email",
    label: "EMAIL",
    pack: Pack::Contact,
    in_default: true,
    anchor: Anchor::At,
    base: 0.95,
    context: &["email", "e-mail", "mail", "user"],
    excludable: false,
    priority: 20,
};

const LOCAL: u8 = 1;
const DOMAIN: u8 = 2;
/// A byte of a domain that is neither digit nor hyphen.
const ALPHA: u8 = 4;
const DIGIT: u8 = 8;
/// A byte of a local part that needs no closer look.
const PLAIN: u8 = 16;

/// Which bytes may stand in a local part and in a domain. Two-byte UTF-8 sequences (Latin, Greek, Cyrillic, Hebrew, Arabic)
/// count as letters; longer ones do not, because scripts without spaces put an address right behind a word.
static CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let letter = b.is_ascii_alphanumeric() || matches!(b, 0x80..=0xBF | 0xC3..=0xDF);
        if letter || matches!(b, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'') {
            table[byte] |= LOCAL;
        }
        if letter || matches!(b, b'.' | b'-') {
            table[byte] |= DOMAIN;
        }
        if letter && !b.is_ascii_digit() {
            table[byte] |= ALPHA;
        }
        if b.is_ascii_digit() {
            table[byte] |= DIGIT;
        }
        if b.is_ascii_alphanumeric() {
            table[byte] |= PLAIN;
        }
        byte += 1;
    }
    table
};

/// Last labels of names that look like addresses but are not: unit names of systemd.
const UNIT_SUFFIXES: [&[u8]; 9] =
    [b"service", b"socket", b"timer", b"mount", b"automount", b"slice", b"target", b"swap", b"device"];
/// Last labels of image files, for names such as `logo@2x.png`.
const IMAGE_SUFFIXES: [&[u8]; 7] = [b"png", b"jpg", b"jpeg", b"gif", b"webp", b"svg", b"avif"];

impl Detector for Email {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    #[inline]
    fn verify(&self, text: &[u8], at: usize, hits: &mut Vec<Hit>) -> usize {
        let Some(sign) = at_sign_len(&text[at..]) else { return at + 1 };
        if let Some(start) = local_start(text, at)
            && let Some(end) = domain_end(text, at + sign)
            && end - start <= MAX_ADDRESS
            && !is_remote_shell(text, start, at, end)
        {
            hits.push(Hit { start, end, base: SPEC.base, with_context: 0.95 });
            return end;
        }
        at + sign
    }

    fn normalize(&self, found: &[u8], out: &mut Vec<u8>) {
        let Some((at, sign)) = split(found) else { return out.extend_from_slice(found) };
        out.extend(found[..at].iter().map(u8::to_ascii_lowercase));
        out.push(b'@');
        out.extend(found[at + sign..].iter().map(u8::to_ascii_lowercase));
    }

    fn partial(&self, found: &[u8], out: &mut Vec<u8>) {
        let at = split(found).map_or(found.len(), |(at, _)| at);
        out.extend_from_slice(b"***");
        out.extend_from_slice(&found[at..]);
    }

    /// RFC 2606 §2 and §3.
    fn is_example(&self, normalized: &[u8]) -> bool {
        let domain = normalized.rsplit(|&byte| byte == b'@').next().unwrap_or(&[]);
        [b"example.com".as_slice(), b"example.net", b"example.org", b"example", b"test", b"invalid", b"localhost"]
            .iter()
            .any(|name| domain.strip_suffix(*name).is_some_and(|rest| rest.is_empty() || rest.ends_with(b".")))
    }
}

/// Length of the `@`, `＠`, `%40` or `%2540` that `text` starts with.
#[inline]
fn at_sign_len(text: &[u8]) -> Option<usize> {
    match text {
        [b'@', ..] => Some(1),
        [b'%', b'4', b'0', ..] | [0xEF, 0xBC, 0xA0, ..] => Some(3),
        [b'%', b'2', b'5', b'4', b'0', ..] => Some(5),
        _ => None,
    }
}

/// The `@` that splits an address that was found: the last one, for a local part may hold `%40` itself.
fn split(found: &[u8]) -> Option<(usize, usize)> {
    (0..found.len()).rev().find_map(|at| at_sign_len(&found[at..]).map(|sign| (at, sign)))
}

/// Where the local part that ends at `at` starts. `None` if there is none.
#[inline]
fn local_start(text: &[u8], at: usize) -> Option<usize> {
    let floor = at.saturating_sub(MAX_ADDRESS);
    let mut start = at;
    let mut all = PLAIN;
    while start > floor {
        let class = CLASS[text[start - 1] as usize];
        if class & LOCAL == 0 {
            break;
        }
        all &= class;
        start -= 1;
    }
    if start == floor && start > 0 && CLASS[text[start - 1] as usize] & LOCAL != 0 {
        return None; // longer than any address
    }
    if all == 0 {
        start = trim_local(text, start, at);
    }
    start = skip_escape(text, start, at);
    (start < at).then_some(start)
}

/// Moves the start of a local part behind what cannot belong to it.
fn trim_local(text: &[u8], mut start: usize, at: usize) -> usize {
    // The tail of a character whose head is no letter.
    while start < at && (0x80..0xC0).contains(&text[start]) {
        start += 1;
    }
    let mut i = start;
    while i < at {
        match text[i] {
            // An escape of a byte that a local part cannot have, as in `q%3Dbob%40example.org`, ends the text before it.
            b'%' => {
                if let Some(byte) = percent(&text[i..at]) {
                    i += 3;
                    if CLASS[byte as usize] & LOCAL == 0 || byte == b'%' {
                        start = i;
                    }
                    continue;
                }
            }
            // A quote belongs to a name only between letters.
            b'\'' if i == start || !text[i - 1].is_ascii_alphabetic() || !is_letter(text.get(i + 1)) => start = i + 1,
            b'.' | b'-' if i == start || (text[i] == b'.' && text[i - 1] == b'.') => start = i + 1,
            _ => {}
        }
        i += 1;
    }
    start
}

fn is_letter(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80)
}

/// Decodes `%xy`.
fn percent(text: &[u8]) -> Option<u8> {
    let hex = |byte: u8| (byte as char).to_digit(16);
    match text {
        [b'%', high, low, ..] => Some((hex(*high)? * 16 + hex(*low)?) as u8),
        _ => None,
    }
}

/// Steps over the letter of an escape such as `\n` in front of the address, so that what stays is still an escape.
#[inline]
fn skip_escape(text: &[u8], start: usize, at: usize) -> usize {
    if start == 0 || text[start - 1] != b'\\' {
        return start;
    }
    let slashes = text[..start].iter().rev().take_while(|&&byte| byte == b'\\').take(64).count();
    match text[start] {
        _ if slashes % 2 == 0 => start,
        b'n' | b'r' | b't' | b'b' | b'f' => start + 1,
        b'u' if start + 5 <= at && text[start + 1..start + 5].iter().all(u8::is_ascii_hexdigit) => start + 5,
        _ => start,
    }
}

/// Where the domain that starts at `from` ends. `None` if no valid one stands there.
#[inline]
fn domain_end(text: &[u8], from: usize) -> Option<usize> {
    let limit = text.len().min(from + MAX_ADDRESS);
    let mut label_start = from;
    let mut labels = 0usize;
    let mut numeric = 0usize; // leading labels of digits only
    let mut end = None; // end of the longest valid name so far
    loop {
        let mut i = label_start;
        let mut all = ALPHA | DIGIT;
        while i < limit {
            let byte = text[i];
            let class = CLASS[byte as usize];
            if byte == b'.' || class & DOMAIN == 0 {
                break;
            }
            all &= class;
            i += 1;
        }
        let (alphabetic, digits) = (all & ALPHA != 0, all & DIGIT != 0);
        // Only a label with a hyphen is neither.
        let hyphens = match all {
            0 => text[label_start..i].iter().rev().take_while(|&&byte| byte == b'-').count(),
            _ => 0,
        };
        let label = &text[label_start..i - hyphens];
        if label.is_empty() || label.len() > MAX_LABEL || label[0] == b'-' {
            break;
        }
        if digits && numeric == labels {
            numeric += 1;
        }
        labels += 1;
        let top = (alphabetic && label.len() >= 2) || label.len() > 4 && label[..4].eq_ignore_ascii_case(b"xn--");
        let top = top || hyphens > 0 && label.len() >= 2 && label.iter().all(u8::is_ascii_alphabetic);
        if labels >= 2 && top && !is_file_or_unit(&text[from..label_start - 1], label) {
            end = Some(label_start + label.len());
        }
        if hyphens > 0 || i >= limit || text[i] != b'.' {
            break;
        }
        label_start = i + 1;
    }
    // `package@1.2.3-rc.one` is a version.
    end.filter(|_| numeric < 2 && !is_version(text, from))
}

/// `v1.2…`: a version with its prefix.
fn is_version(text: &[u8], from: usize) -> bool {
    if text.get(from).is_none_or(|byte| *byte != b'v') {
        return false;
    }
    let digits = text[from + 1..].iter().take(8).take_while(|byte| byte.is_ascii_digit()).count();
    let next = from + 1 + digits;
    digits > 0 && text.get(next) == Some(&b'.') && text.get(next + 1).is_some_and(u8::is_ascii_digit)
}

/// `getty@tty1.service` or `logo@2x.png`.
fn is_file_or_unit(front: &[u8], top: &[u8]) -> bool {
    UNIT_SUFFIXES.contains(&top) || matches!(front, [b'1'..=b'9', b'x']) && IMAGE_SUFFIXES.contains(&top)
}

/// `git@host:path` and `git@host/path`: a login name that everybody has.
fn is_remote_shell(text: &[u8], start: usize, at: usize, end: usize) -> bool {
    &text[start..at] == b"git" && matches!(text.get(end), Some(b':' | b'/'))
}
