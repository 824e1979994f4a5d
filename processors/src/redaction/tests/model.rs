//! The processor written plainly on the generated types: the oracle of the walk.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};

use super::walk::Edit;
use crate::redaction::number::go_float;
use crate::redaction::{Engine, KeyVerdict, LeafVerdict, Place, Scratch};

pub(super) struct Model<'e> {
    engine: &'e Engine,
    scratch: Scratch,
    /// Keys that were masked in the current attribute set.
    masked_keys: Vec<String>,
}

/// The attribute goes.
struct Removed;

impl<'e> Model<'e> {
    pub(super) fn new(engine: &'e Engine, metrics: bool) -> Self {
        let mut scratch = engine.scratch();
        scratch.metrics = metrics;
        Model { engine, scratch, masked_keys: Vec::new() }
    }

    fn bytes(&mut self, place: Place, key: Option<&[u8]>, text: &mut Vec<u8>) -> Result<(), Removed> {
        let mut out = Vec::new();
        match self.engine.leaf_alone(&mut self.scratch, place, key, text, &mut out) {
            LeafVerdict::Keep => {}
            LeafVerdict::Replace => *text = out,
            LeafVerdict::Empty => text.clear(),
            LeafVerdict::DropAttribute => return Err(Removed),
            LeafVerdict::DropItem(_) => panic!("the model drops no items"),
        }
        Ok(())
    }

    fn string(&mut self, place: Place, key: Option<&[u8]>, text: &mut String) -> Result<(), Removed> {
        let mut bytes = std::mem::take(text).into_bytes();
        let result = self.bytes(place, key, &mut bytes);
        *text = String::from_utf8(bytes).expect("a text stays valid UTF-8");
        result
    }

    fn pairs(&mut self, place: Place, depth: usize, pairs: &mut Vec<KeyValue>) {
        pairs.retain_mut(|pair| self.pair(place, depth, pair).is_ok());
    }

    fn pair(&mut self, place: Place, depth: usize, pair: &mut KeyValue) -> Result<(), Removed> {
        let key = pair.key.clone().into_bytes();
        let mut masked = None;
        if self.engine.decides_by_key() {
            match self.engine.key(&mut self.scratch, &key, depth == 0 || place == Place::LogBody) {
                KeyVerdict::Scan => {}
                KeyVerdict::Ignore => return Ok(()),
                KeyVerdict::Remove => return Err(Removed),
                KeyVerdict::MaskValue => {
                    let text = string_form(pair.value.as_ref());
                    let mut out = Vec::new();
                    let verdict = self.engine.mask_by_key(&mut self.scratch, place, &key, &text, &mut out);
                    if verdict == LeafVerdict::Replace {
                        masked = Some(String::from_utf8(out).unwrap());
                    }
                }
            }
        }
        let before = pair.key.clone();
        self.string(Place::Key, None, &mut pair.key)?;
        if pair.key != before {
            let base = pair.key.clone();
            let mut number = 2;
            while self.masked_keys.contains(&pair.key) {
                pair.key = format!("{base}_{number}");
                number += 1;
            }
            self.masked_keys.push(pair.key.clone());
        }
        match (&mut pair.value, masked) {
            (Some(value), Some(text)) => value.value = Some(Value::StringValue(text)),
            (Some(value), None) => self.value(place, depth, &key, value)?,
            (None, _) => {}
        }
        Ok(())
    }

    fn value(&mut self, place: Place, depth: usize, key: &[u8], value: &mut AnyValue) -> Result<(), Removed> {
        let name = if key.is_empty() && place == Place::LogBody { b"body" } else { key };
        let name = Some(name);
        let mut out = Vec::new();
        let verdict = match &mut value.value {
            Some(Value::StringValue(text)) => return self.string(place, name, text),
            Some(Value::BytesValue(bytes)) => return self.bytes(place, name, bytes),
            Some(Value::IntValue(number)) => self.engine.int(&mut self.scratch, place, name, *number, &mut out),
            Some(Value::DoubleValue(number)) => self.engine.double(&mut self.scratch, place, name, *number, &mut out),
            Some(Value::BoolValue(flag)) => self.engine.bool(&mut self.scratch, place, name, *flag, &mut out),
            Some(Value::ArrayValue(_) | Value::KvlistValue(_)) if depth >= self.engine.max_depth() => {
                out.extend_from_slice(b"****");
                LeafVerdict::Replace
            }
            Some(Value::ArrayValue(list)) => {
                return list.values.iter_mut().try_for_each(|value| self.value(place, depth + 1, key, value));
            }
            Some(Value::KvlistValue(list)) => {
                self.pairs(place, depth + 1, &mut list.values);
                return Ok(());
            }
            Some(Value::StringValueStrindex(_)) | None => LeafVerdict::Keep,
        };
        match verdict {
            LeafVerdict::Replace => value.value = Some(Value::StringValue(String::from_utf8(out).unwrap())),
            LeafVerdict::Empty => value.value = Some(Value::StringValue(String::new())),
            LeafVerdict::DropAttribute => return Err(Removed),
            _ => {}
        }
        Ok(())
    }
}

fn string_form(value: Option<&AnyValue>) -> Vec<u8> {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone().into_bytes(),
        Some(Value::BytesValue(bytes)) => bytes.clone(),
        Some(Value::IntValue(number)) => number.to_string().into_bytes(),
        Some(Value::DoubleValue(number)) => go_float(*number).into_bytes(),
        Some(Value::BoolValue(flag)) => flag.to_string().into_bytes(),
        _ => Vec::new(),
    }
}

impl Edit for Model<'_> {
    fn text(&mut self, place: Place, text: &mut String) {
        if self.string(place, None, text).is_err() {
            text.clear();
        }
    }

    fn attributes(&mut self, place: Place, attributes: &mut Vec<KeyValue>) {
        self.masked_keys.clear();
        self.pairs(place, 0, attributes);
    }

    fn body(&mut self, body: &mut AnyValue) {
        self.masked_keys.clear();
        let _ = self.value(Place::LogBody, 0, b"", body);
    }
}
