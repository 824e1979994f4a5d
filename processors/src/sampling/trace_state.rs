//! The `ot` member of a W3C trace state: reading `th` and `rv`, and writing `th` without losing anything else.

use super::decision::Weight;
use super::threshold::{ONE, Threshold, parse_randomness};

const MAX_MEMBERS: usize = 32;
/// Characters of the value of `ot`.
const MAX_VALUE: usize = 256;

/// The `th` that came with a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnThreshold {
    /// Counts as 1.
    Absent,
    Valid(Threshold),
    /// Malformed, or above the randomness, so that the span should not be here. To be erased and counted.
    Invalid,
}

/// The `rv` that came with a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Randomness {
    Absent,
    Valid(u64),
    /// To be ignored and counted.
    Malformed,
}

/// What becomes of a kept span's trace state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The new text; `None`: it stays as it is.
    pub changed: Option<Vec<u8>>,
    /// The `th` it now carries.
    pub threshold: Option<Threshold>,
    /// The `th` it came with was malformed or above the randomness.
    pub invalid: bool,
    /// There was no room for a `th`.
    pub no_room: bool,
}

/// Trimmed, non-empty members.
fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// The value of `ot`, if the member is that.
fn ot(member: &[u8]) -> Option<&[u8]> {
    member.strip_prefix(b"ot=")
}

/// The value of the first `ot` member.
fn value(list: &[u8]) -> Option<&[u8]> {
    members(list).find_map(ot)
}

/// The values of a sub-key of `ot`.
fn sub_values<'a>(value: &'a [u8], key: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    value.split(|&b| b == b';').filter_map(move |sub| sub.strip_prefix(key)?.strip_prefix(b":"))
}

/// Reads `ot=rv`.
pub fn random_value(trace_state: &[u8]) -> Randomness {
    let Some(mut found) = value(trace_state).map(|value| sub_values(value, b"rv")) else { return Randomness::Absent };
    match (found.next(), found.next()) {
        (None, _) => Randomness::Absent,
        (Some(text), None) => parse_randomness(text).map_or(Randomness::Malformed, Randomness::Valid),
        (Some(_), Some(_)) => Randomness::Malformed,
    }
}

/// Reads `ot=th` of a span whose trace has the randomness `r`.
pub fn own_threshold(trace_state: &[u8], r: u64) -> OwnThreshold {
    value(trace_state).map_or(OwnThreshold::Absent, |value| of_value(value, r))
}

fn of_value(value: &[u8], r: u64) -> OwnThreshold {
    let mut found = sub_values(value, b"th");
    match (found.next(), found.next()) {
        (None, _) => OwnThreshold::Absent,
        (Some(text), None) => match Threshold::parse(text) {
            Some(threshold) if threshold.keeps(r) => OwnThreshold::Valid(threshold),
            _ => OwnThreshold::Invalid,
        },
        (Some(_), Some(_)) => OwnThreshold::Invalid,
    }
}

/// The trace state of a kept span of a trace with the randomness `r`: `th` becomes the larger of its own and the trace's,
/// or is erased where the weight is not known. Other members, and other sub-keys of `ot`, stay; a changed `ot` moves to the
/// front. What does not fit in 256 characters or 32 members goes without `th`.
pub fn rewrite(trace_state: &[u8], weight: Weight, r: u64) -> Rewrite {
    let current = value(trace_state);
    let own = current.map_or(OwnThreshold::Absent, |value| of_value(value, r));
    let own_t = match own {
        OwnThreshold::Valid(threshold) => Some(threshold),
        OwnThreshold::Absent | OwnThreshold::Invalid => None,
    };
    let invalid = own == OwnThreshold::Invalid;
    let wanted = match weight {
        Weight::Unknown => None,
        Weight::Threshold(0) => own_t,
        Weight::Threshold(t) => Threshold::new(t.min(ONE - 1)).max(own_t),
    };
    if wanted == own_t && !invalid {
        return Rewrite { changed: None, threshold: own_t, invalid: false, no_room: false };
    }
    let others = || members(trace_state).filter(|member| ot(member).is_none());
    let mut written = ot_member(current.unwrap_or_default(), wanted);
    let fits = written.len() <= "ot=".len() + MAX_VALUE && others().take(MAX_MEMBERS).count() < MAX_MEMBERS;
    let no_room = wanted.is_some() && !fits;
    if no_room {
        written = ot_member(current.unwrap_or_default(), None);
    }
    let mut text = Vec::with_capacity(trace_state.len() + written.len() + 1);
    for member in std::iter::once(&*written).filter(|member| !member.is_empty()).chain(others()) {
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(member);
    }
    let threshold = if no_room { None } else { wanted };
    let changed = (text != trace_state).then_some(text);
    Rewrite { changed, threshold, invalid, no_room }
}

/// The member with another `th`, or none; empty if nothing is left.
fn ot_member(value: &[u8], threshold: Option<Threshold>) -> Vec<u8> {
    let mut member = b"ot=".to_vec();
    let mut push = |parts: [&[u8]; 2]| {
        if member.len() > 3 {
            member.push(b';');
        }
        parts.iter().for_each(|part| member.extend_from_slice(part));
    };
    if let Some(threshold) = threshold {
        push([b"th:", threshold.encode().as_bytes()]);
    }
    let kept = value.split(|&b| b == b';').filter(|sub| !sub.is_empty() && !sub.starts_with(b"th:"));
    kept.for_each(|sub| push([sub, b""]));
    if member.len() == 3 { Vec::new() } else { member }
}
