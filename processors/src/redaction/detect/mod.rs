//! The built-in detectors. Each is one file with one type; adding one means writing that file and naming it in [`all`].

mod email;
mod pan;

#[cfg(test)]
mod tests;

use std::fmt;

use super::config::Pack;

/// What makes a detector look at a place: something rare that the scan over the whole request finds cheaply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// `@`, its full-width form, or `%40`.
    At,
    /// A run of digits, possibly separated, that may be 12 digits or longer.
    Digits,
    /// One of these byte strings, each at least three bytes long.
    Literals(&'static [&'static [u8]]),
}

/// What a detector is, apart from its code.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Name in config and metrics.
    pub id: &'static str,
    /// Type of its findings, shown in masks and join tokens.
    pub label: &'static str,
    pub pack: Pack,
    /// Member of the `default` pack.
    pub in_default: bool,
    pub anchor: Anchor,
    /// The lowest score without context that it ever gives.
    pub base: f32,
    /// Words near a finding, or in its key, that raise the score.
    pub context: &'static [&'static str],
    /// Whether words such as `trace_id` or `offset` near a finding lower its score. Off where the shape alone is proof.
    pub excludable: bool,
    /// Higher wins where findings of equal length and score overlap.
    pub priority: u8,
}

/// A place that passed a detector's validator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub start: usize,
    pub end: usize,
    /// Score without context.
    pub base: f32,
    /// Score with context.
    pub with_context: f32,
}

/// A built-in detector: a pure function of the bytes around an anchor.
pub trait Detector: fmt::Debug + Send + Sync {
    fn spec(&self) -> &'static Spec;

    /// Judges the anchor at `at` in `text`, appends what it finds to `hits`, and answers up to where anchors are dealt with:
    /// the next one to look at starts at or after that offset. Work must be linear over all anchors of a text.
    fn verify(&self, text: &[u8], at: usize, hits: &mut Vec<Hit>) -> usize;

    /// Judges the decimal text of a whole number, which stands alone in its value.
    fn verify_number(&self, _decimal: &[u8]) -> Option<Hit> {
        None
    }

    /// Appends the canonical form of a finding, from which join tokens and hashed allow lists are computed: equal values
    /// in different spellings give equal bytes.
    fn normalize(&self, found: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(found);
    }

    /// Appends what the action `partial` leaves of a finding. It must not be a finding again.
    fn partial(&self, found: &[u8], out: &mut Vec<u8>);

    /// Whether the finding is a reserved example (`allow.example_domains`).
    fn is_example(&self, _normalized: &[u8]) -> bool {
        false
    }

    /// Whether the finding is published for tests (`allow.test_cards`).
    fn is_test_value(&self, _normalized: &[u8]) -> bool {
        false
    }
}

/// Every detector there is, in the order of the catalogue.
pub fn all() -> [&'static dyn Detector; 2] {
    [&email::Email, &pan::Pan]
}

/// Keeps up to `n` bytes at both ends and stars the rest: `partial` where nothing better is known.
#[cfg_attr(not(test), expect(dead_code, reason = "for the detectors that follow"))]
pub(crate) fn keep_ends(found: &[u8], n: usize, out: &mut Vec<u8>) {
    let n = n.min(found.len() / 4);
    out.extend_from_slice(&found[..n]);
    out.resize(out.len() + found.len() - 2 * n, b'*');
    out.extend_from_slice(&found[found.len() - n..]);
}

/// Whether the digits of `found` pass the Luhn check, for rules with that validator.
pub(crate) fn luhn_text(found: &[u8]) -> bool {
    let mut digits = Vec::new();
    super::digits::each(found, |digit, _, _| digits.push(digit));
    digits.len() >= 2 && pan::luhn(&digits)
}
