//! Judging numbers and booleans.

use super::engine::{Engine, Scratch};
use super::findings::Judge;
use super::leaf::LeafVerdict;
use super::place::Place;

impl Engine {
    /// Judges a whole number. Only numbers of at least twelve digits can be a finding of a detector.
    #[inline]
    pub fn int(
        &self,
        scratch: &mut Scratch,
        place: Place,
        key: Option<&[u8]>,
        value: i64,
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        if value < 100_000_000_000 && !self.redact_all_types {
            return LeafVerdict::Keep;
        }
        let mut text = [0u8; 20];
        self.number(scratch, place, key, decimal(value, &mut text), value >= 0, out)
    }

    /// Judges a floating-point number: as a whole number where it is one.
    #[inline]
    pub fn double(
        &self,
        scratch: &mut Scratch,
        place: Place,
        key: Option<&[u8]>,
        value: f64,
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        let integral = (1e11..9.2e18).contains(&value) && value.trunc() == value;
        if !integral && !self.redact_all_types {
            return LeafVerdict::Keep;
        }
        if integral {
            let mut text = [0u8; 20];
            return self.number(scratch, place, key, decimal(value as i64, &mut text), true, out);
        }
        let text = go_float(value);
        self.number(scratch, place, key, text.as_bytes(), false, out)
    }

    /// Judges a boolean; only under `redact_all_types`.
    pub fn bool(
        &self,
        scratch: &mut Scratch,
        place: Place,
        key: Option<&[u8]>,
        value: bool,
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        if !self.redact_all_types {
            return LeafVerdict::Keep;
        }
        self.number(scratch, place, key, if value { b"true" } else { b"false" }, false, out)
    }

    #[cold]
    fn number(
        &self,
        scratch: &mut Scratch,
        place: Place,
        key: Option<&[u8]>,
        text: &[u8],
        digits: bool,
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        scratch.was_allowed = false;
        if self.redact_all_types {
            return self.leaf_alone(scratch, place, key, text, out);
        }
        let Scratch { keys, findings, normalized, counts, .. } = scratch;
        let plan = keys.plan(&self.keys, key);
        findings.clear();
        if digits && self.scans(place) {
            for (number, source) in self.sources.iter().enumerate() {
                let hit = source.detector.and_then(|detector| detector.verify_number(text));
                if let Some(hit) = hit.filter(|_| self.in_scope(plan, number, place)) {
                    let judge = Judge { engine: self, text, place, plan, metrics: scratch.metrics };
                    judge.admit(number, &hit, normalized, counts, findings);
                }
            }
        }
        self.conclude(scratch, place, text, out)
    }
}

/// Writes `value` in decimal at the end of `buffer`.
fn decimal(value: i64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    &buffer[at..]
}

/// A float as the Go Collector writes it: no exponent between 1e-6 and 1e21.
pub(crate) fn go_float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) && value.is_finite() {
        let text = format!("{value:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => text,
        };
    }
    format!("{value}")
}
