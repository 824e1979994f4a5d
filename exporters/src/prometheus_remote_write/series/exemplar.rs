//! Exemplars.

use sluice_pdata::view::{ExemplarView, KeyValueView, NumberValue};
use smallvec::SmallVec;

use super::Malformed;
use super::names::{LabelNames, NameId};
use super::point::millis;
use crate::prometheus_remote_write::encode::{Encoder, Exemplars};
use crate::prometheus_remote_write::translate::value::value_text;

/// Most characters of all label names and values of an exemplar.
const MAX_CHARACTERS: usize = 128;

/// Encodes exemplars one after another.
#[derive(Default)]
pub(super) struct ExemplarWriter {
    bytes: Vec<u8>,
    count: usize,
    texts: Vec<u8>,
    value: Vec<u8>,
    labels: Vec<u8>,
}

impl ExemplarWriter {
    /// Begins with none.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// What was written since.
    pub(super) fn written(&self) -> Exemplars<'_> {
        Exemplars { bytes: &self.bytes, count: self.count }
    }

    /// Adds an `Exemplar` message. One without a value is passed over.
    pub(super) fn add<E: Encoder>(
        &mut self,
        exemplar: &[u8],
        names: &mut LabelNames,
        encoder: &mut E,
    ) -> Result<(), Malformed> {
        let exemplar = ExemplarView::parse(exemplar)?;
        let Some(value) = as_double(exemplar.value()?) else { return Ok(()) };
        self.texts.clear();
        let mut left = MAX_CHARACTERS;
        let mut labels: SmallVec<[(NameId, std::ops::Range<usize>); 8]> = SmallVec::new();
        for (key, id) in [(&b"trace_id"[..], exemplar.trace_id), (b"span_id", exemplar.span_id)] {
            let characters = key.len() + 2 * id.len();
            // All zero is no id.
            if id.iter().any(|&byte| byte != 0)
                && characters <= left
                && let Some(name) = names.id(key)
            {
                left -= characters;
                let start = self.texts.len();
                hex(id, &mut self.texts);
                labels.push((name, start..self.texts.len()));
            }
        }
        let ids = labels.len();
        for pair in exemplar.filtered_attributes().iter() {
            if !self.attribute(pair?, names, &mut labels, &mut left)? {
                // All or none.
                labels.truncate(ids);
                break;
            }
        }
        labels.sort_by(|(a, _), (b, _)| names.text(*a).cmp(names.text(*b)));
        self.labels.clear();
        for (name, range) in labels {
            let name = names.piece(name, encoder);
            encoder.label(name, &self.texts[range], &mut self.labels);
        }
        encoder.exemplar(&self.labels, value, millis(exemplar.time_unix_nano), &mut self.bytes);
        self.count += 1;
        Ok(())
    }

    /// Adds a filtered attribute as a label. Returns whether it fitted.
    fn attribute(
        &mut self,
        pair: KeyValueView<'_>,
        names: &mut LabelNames,
        labels: &mut SmallVec<[(NameId, std::ops::Range<usize>); 8]>,
        left: &mut usize,
    ) -> Result<bool, Malformed> {
        let Some(name) = names.id(pair.key()) else { return Ok(true) };
        if labels.iter().any(|(known, _)| names.text(*known) == names.text(name)) {
            return Ok(true);
        }
        let value = value_text(pair.value()?, &mut self.value);
        if value.is_empty() {
            return Ok(true);
        }
        let characters = characters(names.text(name).as_bytes()) + characters(value);
        if characters > *left {
            return Ok(false);
        }
        *left -= characters;
        let start = self.texts.len();
        self.texts.extend_from_slice(value);
        labels.push((name, start..self.texts.len()));
        Ok(true)
    }
}

/// The value of an exemplar or point as a sample has it.
pub(super) fn as_double(value: NumberValue) -> Option<f64> {
    match value {
        NumberValue::Empty => None,
        NumberValue::Int(value) => Some(value as f64),
        NumberValue::Double(value) => Some(value),
    }
}

fn characters(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

fn hex(id: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in id {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}
