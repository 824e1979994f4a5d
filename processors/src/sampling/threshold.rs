//! Thresholds and randomness of consistent probability sampling (correlation §12).
//!
//! A trace has 56 bits of randomness R; it is kept where R >= T. T = round((1 - p) · 2^56), so each kept trace stands for
//! 2^56 / (2^56 - T). Stages that sample one behind the other agree, because all compare the same R.

use super::decision::Weight;
use super::trace_state;

pub use super::trace_state::{OwnThreshold, Randomness, Rewrite, own_threshold, random_value, rewrite};

/// 2^56: one above every threshold and every randomness.
pub const ONE: u64 = 1 << 56;
const DIGITS: u32 = 14;
/// Digits of a configured ratio that count, after leading `f`s.
const PRECISION: u32 = 4;

/// T, in units of 2^-56: below [`ONE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u64);

impl Threshold {
    /// Keeps everything.
    pub const ALWAYS: Threshold = Threshold(0);

    /// `None` for 2^56 and more, which keeps nothing.
    pub fn new(t: u64) -> Option<Self> {
        (t < ONE).then_some(Threshold(t))
    }

    pub fn get(self) -> u64 {
        self.0
    }

    /// Reads a `th`: 1 to 14 lower-case hex digits; those that are missing are zeros.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let len = u32::try_from(text.len()).ok().filter(|len| (1..=DIGITS).contains(len))?;
        Some(Threshold(hex(text)? << (4 * (DIGITS - len))))
    }

    /// The threshold of a configured probability, rounded to four significant digits after leading `f`s, so that `th` stays
    /// short: 1 in 10 is `e666`, 1 in 100 `fd70a`. `None` where nothing is kept: 0 and below, and what is not a number.
    pub fn from_probability(p: f64) -> Option<Self> {
        if p.is_nan() || p <= 0.0 {
            return None;
        }
        if p >= 1.0 {
            return Some(Self::ALWAYS);
        }
        // Below 2^-7, 1 - p would lose digits that p has.
        let kept = (p * ONE as f64).round() as u64;
        let exact = if p < 1.0 / 128.0 { ONE - kept.min(ONE) } else { ((1.0 - p) * ONE as f64).round() as u64 };
        Self::new(round(exact.min(ONE)))
    }

    /// Whether a trace of this randomness is kept.
    pub fn keeps(self, randomness: u64) -> bool {
        randomness >= self.0
    }

    /// How probable it is to be kept.
    pub fn probability(self) -> f64 {
        (ONE - self.0) as f64 / ONE as f64
    }

    /// How many traces a kept one stands for.
    pub fn adjusted_count(self) -> f64 {
        ONE as f64 / (ONE - self.0) as f64
    }

    /// As `th`, without trailing zeros; `0` if it keeps everything.
    pub fn encode(self) -> EncodedThreshold {
        let mut digits = [0; DIGITS as usize];
        let mut len = 1;
        for (at, digit) in digits.iter_mut().enumerate() {
            let nibble = (self.0 >> (4 * (DIGITS as usize - 1 - at))) as u8 & 15;
            *digit = b"0123456789abcdef"[usize::from(nibble)];
            if nibble != 0 {
                len = at + 1;
            }
        }
        EncodedThreshold { digits, len }
    }
}

/// A threshold as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedThreshold {
    digits: [u8; DIGITS as usize],
    len: usize,
}

impl EncodedThreshold {
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.len]
    }

    pub fn as_str(&self) -> &str {
        // Hex digits are ASCII.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// Drops digits behind the fourth after leading `f`s, rounding to the nearest.
fn round(t: u64) -> u64 {
    if t >= ONE {
        return t;
    }
    let leading = (0..DIGITS).take_while(|at| t >> (4 * (DIGITS - 1 - at)) & 15 == 15).count() as u32;
    let cut = 4 * (DIGITS.saturating_sub(leading + PRECISION));
    if cut == 0 {
        return t;
    }
    // The first digit behind the `f`s is none, so this cannot carry beyond it.
    ((t + (1 << (cut - 1))) >> cut) << cut
}

/// Lower-case hex digits, at most 16.
pub(super) fn hex(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

/// R of a trace: of a valid `rv`, else the low 56 bits of its id.
pub fn randomness(rv: Option<&[u8]>, trace_id: &[u8; 16]) -> u64 {
    let [.., a, b, c, d, e, f, g] = *trace_id;
    rv.and_then(parse_randomness).unwrap_or(u64::from_be_bytes([0, a, b, c, d, e, f, g]))
}

/// Reads an `rv`: exactly 14 lower-case hex digits.
pub fn parse_randomness(text: &[u8]) -> Option<u64> {
    if text.len() == DIGITS as usize { hex(text) } else { None }
}

/// R as text, as `rv` is written.
pub fn encode_randomness(r: u64) -> String {
    format!("{:014x}", r & (ONE - 1))
}

/// How many spans the one that carries this trace state stands for: 1 without a valid `th`, and where the `th` contradicts
/// the randomness.
pub fn adjusted_count(trace_state: &[u8], trace_id: &[u8; 16]) -> f64 {
    if trace_state.is_empty() {
        return 1.0;
    }
    let r = match random_value(trace_state) {
        Randomness::Valid(r) => r,
        Randomness::Absent | Randomness::Malformed => randomness(None, trace_id),
    };
    match trace_state::own_threshold(trace_state, r) {
        OwnThreshold::Valid(threshold) => threshold.adjusted_count(),
        OwnThreshold::Absent | OwnThreshold::Invalid => 1.0,
    }
}

impl Weight {
    /// The threshold, where it is known.
    pub fn threshold(self) -> Option<Threshold> {
        match self {
            Weight::Threshold(t) => Threshold::new(t),
            Weight::Unknown => None,
        }
    }
}
