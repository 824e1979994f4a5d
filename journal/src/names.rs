//! Names of files: of segments by their first sequence, of cursors by their percent-encoded destination.

use crate::format::{Chain, SegNo};

pub(crate) const META: &str = "META";
pub(crate) const ROUTES: &str = "ROUTES";
pub(crate) const LOCK: &str = "LOCK";
pub(crate) const BALLAST: &str = "BALLAST";
pub(crate) const SEGMENTS: &str = "seg";
pub(crate) const CURSORS: &str = "cur";
pub(crate) const DEAD_LETTERS: &str = "dlq";
pub(crate) const QUARANTINE: &str = "quarantine";
/// A preallocated segment, ready to be used.
pub(crate) const SPARE: &str = "seg/spare";
/// A segment in the making; worth nothing after a crash.
pub(crate) const FRESH: &str = "seg/new";

/// `seg/<base_seq>.log`; `.d` for the derived chain, `.g1` and so on for rewrites.
pub(crate) fn segment(no: SegNo, base_seq: u64, generation: u32) -> String {
    let chain = if no.chain() == Chain::Derived { ".d" } else { "" };
    let rewrite = if generation > 0 { format!(".g{generation}") } else { String::new() };
    format!("{SEGMENTS}/{base_seq:016x}{chain}{rewrite}.log")
}

/// The first sequence and the chain that a segment's name tells.
pub(crate) fn parse_segment(name: &str) -> Option<(u64, Chain)> {
    let stem = name.strip_suffix(".log")?;
    let mut parts = stem.split('.');
    let base = u64::from_str_radix(parts.next()?, 16).ok()?;
    let chain = if parts.next() == Some("d") { Chain::Derived } else { Chain::Main };
    Some((base, chain))
}

pub(crate) fn cursor(name: &str) -> String {
    format!("{CURSORS}/{}.cur", encode(name))
}

pub(crate) fn parse_cursor(file: &str) -> Option<String> {
    decode(file.strip_suffix(".cur")?)
}

/// Everything but letters, digits, `-`, `_` and inner dots as `%xx`.
pub(crate) fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (byte == b'.' && at > 0) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02x}"));
        }
    }
    encoded
}

pub(crate) fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_file_system() {
        for name in ["otlp_grpc/a b", "..", "ä/%2f", "debug", "traces/in->tail_sampling"] {
            let encoded = encode(name);
            assert!(!encoded.contains('/') && !encoded.starts_with('.'), "{encoded}");
            assert_eq!(decode(&encoded).as_deref(), Some(name));
        }
        assert_eq!(decode("%zz"), None);
        assert_eq!(decode("%2"), None);
    }

    #[test]
    fn a_segments_name_tells_where_it_starts() {
        for (chain, generation) in [(Chain::Main, 0), (Chain::Derived, 0), (Chain::Main, 3), (Chain::Derived, 12)] {
            let path = segment(SegNo::new(chain, 7), 0x1234, generation);
            let name = path.strip_prefix("seg/").unwrap();
            assert_eq!(parse_segment(name), Some((0x1234, chain)), "{name}");
        }
        assert_eq!(parse_segment("spare"), None);
    }
}
