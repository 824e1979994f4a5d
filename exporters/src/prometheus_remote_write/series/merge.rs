//! Labels whose names collide in a way that depends on their values.

use sluice_pdata::view::KeyValueView;

use super::context::Fixed;
use super::layout::{Extra, LabelError, Scratch};
use super::names::LabelNames;
use crate::prometheus_remote_write::encode::Encoder;
use crate::prometheus_remote_write::translate::value::value_text;

/// Merges labels whose names collide: attributes in the order of their keys, joined with `;`, then those of the context.
pub(super) fn merge<E: Encoder>(
    attributes: &[&[u8]],
    fixed: &[Fixed],
    extra: Extra,
    names: &mut LabelNames,
    encoder: &mut E,
    scratch: &mut Scratch,
) -> Result<(), LabelError> {
    let mut pairs = Vec::with_capacity(attributes.len());
    for pair in attributes {
        let pair = KeyValueView::parse(pair)?;
        if pair.key() != b"__name__" {
            pairs.push(pair);
        }
    }
    pairs.sort_by_key(|pair| pair.key());
    let mut merged: Vec<(String, Vec<u8>)> = Vec::with_capacity(pairs.len() + fixed.len());
    for pair in pairs {
        let id = names.id(pair.key()).ok_or(LabelError::InvalidName)?;
        let name = names.text(id);
        let value = value_text(pair.value()?, &mut scratch.value);
        match merged.iter_mut().find(|(known, _)| known == name) {
            Some((_, joined)) if joined.is_empty() => joined.extend_from_slice(value),
            Some((_, joined)) => {
                joined.push(b';');
                joined.extend_from_slice(value);
            }
            None => merged.push((name.to_owned(), value.to_vec())),
        }
    }
    for label in fixed {
        match merged.iter_mut().find(|(known, _)| *known == label.name) {
            Some((_, value)) if label.strong || value.is_empty() => *value = label.value.clone().into_bytes(),
            Some(_) => {}
            None => merged.push((label.name.clone(), label.value.clone().into_bytes())),
        }
    }
    merged.retain(|(name, value)| name != "__name__" && !value.is_empty());
    merged.sort();
    let out = &mut scratch.labels;
    out.bytes.clear();
    let (mut name_at, mut extra_range) = (None, None);
    for (name, value) in &merged {
        let start = out.bytes.len();
        scratch.name.clear();
        encoder.name(name, &mut scratch.name);
        encoder.label(&scratch.name, value, &mut out.bytes);
        if name.as_str() > "__name__" {
            name_at.get_or_insert(start);
        }
        if name == extra.name() {
            extra_range = Some(start..out.bytes.len());
        } else if name.as_str() > extra.name() {
            extra_range.get_or_insert(start..start);
        }
    }
    let end = out.bytes.len();
    (out.name_at, out.extra) = (name_at.unwrap_or(end), extra_range.unwrap_or(end..end));
    Ok(())
}
