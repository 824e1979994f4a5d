//! The contents of a dead letter: why it is here, and the record it was (delivery §4.2).

use crate::codec::{Get, Put};

/// Longest text kept of what a destination answered, in bytes.
pub const STATUS_BYTES: usize = 1024;
/// Longest reason.
const REASON_BYTES: usize = 64;

/// What is said about a dead letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// A word: `permanent_error`, `crash_loop` …
    pub reason: String,
    /// What the destination answered, sanitised.
    pub status: String,
    /// The record it was, or was part of.
    pub origin_seq: u64,
    /// When it was put aside, in milliseconds since the epoch.
    pub parked_ms: u64,
}

impl Cause {
    /// In front of the payload.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (reason, status) = (clip(&self.reason, REASON_BYTES), clip(&self.status, STATUS_BYTES));
        let mut put = Put::default();
        put.u64(self.origin_seq).u64(self.parked_ms).count(reason.len()).bytes(reason.as_bytes());
        put.count(status.len()).bytes(status.as_bytes());
        put.0
    }

    /// The cause, and the payload behind it.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut get = Get(bytes);
        let (origin_seq, parked_ms) = (get.u64()?, get.u64()?);
        let mut text = || {
            let len = get.count(1)?;
            Some(String::from_utf8_lossy(get.bytes(len)?).into_owned())
        };
        let (reason, status) = (text()?, text()?);
        Some((Cause { reason, status, origin_seq, parked_ms }, get.0))
    }
}

/// Cuts at a character boundary; control characters become spaces.
fn clip(text: &str, limit: usize) -> String {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
