//! Summary attributes: what upstream's processor writes about its own work.

use sluice_pdata::tags::{any_value, key_value};
use sluice_pdata::view::AnyValueView;
use sluice_pdata::wire::{put_len, put_message, put_varint_field};

use super::config::Summary;

/// What happened to an attribute or to an entry of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Redacted,
    Masked,
    Allowed,
    Ignored,
}

const KINDS: [(Kind, &str); 4] =
    [(Kind::Redacted, "redacted"), (Kind::Masked, "masked"), (Kind::Allowed, "allowed"), (Kind::Ignored, "ignored")];

/// Keys of one kind in one attribute set or body, and what an earlier processor noted there.
#[derive(Debug, Default)]
struct Line {
    keys: Vec<Vec<u8>>,
    count: u64,
    earlier_keys: Option<Vec<u8>>,
    earlier_count: Option<i64>,
}

/// The notes on one attribute set, and for logs on the body beside it.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    attributes: [Line; 4],
    body: [Line; 4],
}

impl Notes {
    pub(crate) fn clear(&mut self) {
        for line in self.attributes.iter_mut().chain(&mut self.body) {
            line.keys.clear();
            line.count = 0;
            (line.earlier_keys, line.earlier_count) = (None, None);
        }
    }

    /// Notes what happened to `key`.
    pub(crate) fn note(&mut self, body: bool, kind: Kind, key: &[u8]) {
        let line = if body { &mut self.body[kind as usize] } else { &mut self.attributes[kind as usize] };
        line.count += 1;
        line.keys.push(key.to_vec());
    }

    /// Takes over a summary attribute that an earlier processor has written. `false` if `key` is none.
    pub(crate) fn take_over(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Some(rest) = key.strip_prefix(b"redaction.") else { return false };
        let (lines, rest) = match rest.strip_prefix(b"body.") {
            Some(rest) => (&mut self.body, rest),
            None => (&mut self.attributes, rest),
        };
        let Some((kind, rest)) = KINDS.iter().find_map(|(kind, name)| {
            rest.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b".")).map(|rest| (*kind, rest))
        }) else {
            return false;
        };
        let line = &mut lines[kind as usize];
        match (rest, AnyValueView::parse(value)) {
            (b"keys", Ok(AnyValueView::Str(keys))) => line.earlier_keys = Some(keys.to_vec()),
            (b"count", Ok(AnyValueView::Int(count))) => line.earlier_count = Some(count),
            _ => return false,
        }
        true
    }

    /// Appends the summary as attribute records with field number `field`.
    pub(crate) fn write(&mut self, summary: Summary, field: u32, out: &mut Vec<u8>) {
        for (lines, prefix) in [(&mut self.attributes, "redaction"), (&mut self.body, "redaction.body")] {
            for (kind, name) in KINDS {
                lines[kind as usize].write(summary, kind, &format!("{prefix}.{name}"), field, out);
            }
        }
    }
}

impl Line {
    fn write(&mut self, summary: Summary, kind: Kind, name: &str, field: u32, out: &mut Vec<u8>) {
        let keys_wanted = summary == Summary::Debug && kind != Kind::Ignored && self.count > 0;
        if keys_wanted || self.earlier_keys.is_some() {
            if keys_wanted {
                let earlier = self.earlier_keys.take().unwrap_or_default();
                self.keys.extend(earlier.split(|&byte| byte == b',').filter(|key| !key.is_empty()).map(<[u8]>::to_vec));
                self.keys.sort();
            } else if let Some(earlier) = self.earlier_keys.take() {
                self.keys = vec![earlier];
            }
            let joined = self.keys.join(&b","[..]);
            attribute(field, &format!("{name}.keys"), out, |out| put_len(out, any_value::STRING_VALUE, &joined));
        }
        if self.count > 0 || self.earlier_count.is_some() {
            let count = self.earlier_count.unwrap_or(0).wrapping_add(self.count as i64);
            attribute(field, &format!("{name}.count"), out, |out| {
                put_varint_field(out, any_value::INT_VALUE, count as u64);
            });
        }
    }
}

/// Appends an attribute record.
fn attribute(field: u32, key: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, field, |out| {
        put_len(out, key_value::KEY, key.as_bytes());
        put_message(out, key_value::VALUE, value);
    });
}
