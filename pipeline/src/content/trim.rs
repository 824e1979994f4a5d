//! A message within its limits. Only for those that are over one: the copy is worth its price.

use sluice_pdata::Error;
use sluice_pdata::tags::{any_value, key_value};
use sluice_pdata::wire::{Field, Value, fields, put_len, put_varint_field};

use super::ContentLimits;
use super::inspect::{content_len, is_container};
use super::shape::Shape;

impl ContentLimits {
    /// Appends `message` to `out` without what is too much. What was left out is counted where the message can say so.
    pub(super) fn trim(&self, shape: &Shape, message: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let mut attributes = Counted::new(shape.dropped_attributes);
        let mut children = [0, 1, 2].map(|at| Counted::new(shape.children.get(at).map_or(0, |child| child.dropped)));
        for field in fields(message) {
            let field = field?;
            let number = field.number;
            match field.value {
                Value::Varint(count) if attributes.takes(number, count) => {}
                Value::Varint(count) if children.iter_mut().any(|child| child.takes(number, count)) => {}
                Value::Len(pair) if number == shape.attributes => {
                    if attributes.kept >= self.attributes || !self.keep_pair(shape, pair, number, out)? {
                        attributes.left_out += 1;
                    } else {
                        attributes.kept += 1;
                    }
                }
                Value::Len(value) if number == shape.body => {
                    let mut cut = Vec::with_capacity(self.payload_value_bytes.min(value.len()) + 8);
                    cut_value(value, self.payload_value_bytes, &mut cut)?;
                    put_len(out, number, &cut);
                }
                Value::Len(text) => {
                    if let Some((_, payload)) = shape.texts.iter().find(|(known, _)| *known == number) {
                        put_len(out, number, cut(text, self.value_limit(*payload).1));
                    } else if let Some(at) = shape.children.iter().position(|child| child.number == number) {
                        let child = &shape.children[at];
                        if child.most.is_some_and(|limit| children[at].kept >= self.most(limit)) {
                            children[at].left_out += 1;
                            continue;
                        }
                        children[at].kept += 1;
                        let mut inner = Vec::with_capacity(text.len());
                        self.trim(child.shape, text, &mut inner)?;
                        put_len(out, number, &inner);
                    } else {
                        copy(out, message, &field);
                    }
                }
                _ => copy(out, message, &field),
            }
        }
        attributes.write(out);
        children.iter().for_each(|child| child.write(out));
        Ok(())
    }

    /// Writes an attribute, its value cut if it must be. False if it has to go: its key is too long to be its key any more, or
    /// its value has structure that cannot be cut.
    fn keep_pair(&self, shape: &Shape, pair: &[u8], number: u32, out: &mut Vec<u8>) -> Result<bool, Error> {
        let most = self.value_limit(shape.payload).1;
        let mut written = Vec::with_capacity(pair.len().min(most + self.key_bytes + 32));
        for field in fields(pair) {
            let field = field?;
            match (field.number, field.value) {
                (key_value::KEY, Value::Len(key)) if key.len() > self.key_bytes => return Ok(false),
                (key_value::VALUE, Value::Len(value)) if content_len(value)? > most => {
                    if is_container(value)? {
                        return Ok(false);
                    }
                    let mut shorter = Vec::with_capacity(most + 8);
                    cut_value(value, most, &mut shorter)?;
                    put_len(&mut written, key_value::VALUE, &shorter);
                }
                _ => copy(&mut written, pair, &field),
            }
        }
        put_len(out, number, &written);
        Ok(true)
    }
}

/// Elements of which some are left out, and the field that says how many.
struct Counted {
    number: u32,
    kept: usize,
    left_out: u64,
    /// What the sender had left out.
    before: u64,
}

impl Counted {
    fn new(number: u32) -> Self {
        Counted { number, kept: 0, left_out: 0, before: 0 }
    }

    /// Takes over the sender's count, if the field is the one.
    fn takes(&mut self, number: u32, count: u64) -> bool {
        let own = self.number != 0 && self.number == number;
        if own {
            self.before = count;
        }
        own
    }

    fn write(&self, out: &mut Vec<u8>) {
        let sum = self.before.saturating_add(self.left_out).min(u64::from(u32::MAX));
        if self.number != 0 && sum > 0 {
            put_varint_field(out, self.number, sum);
        }
    }
}

/// An `AnyValue` with its text or bytes cut.
fn cut_value(value: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    for field in fields(value) {
        let field = field?;
        match (field.number, field.value) {
            (any_value::STRING_VALUE, Value::Len(text)) => put_len(out, field.number, cut(text, most)),
            (any_value::BYTES_VALUE, Value::Len(bytes)) => {
                put_len(out, field.number, bytes.get(..most).unwrap_or(bytes));
            }
            _ => copy(out, value, &field),
        }
    }
    Ok(())
}

/// The start of a text, up to a character boundary; bytes that are no UTF-8 are cut where the limit is.
fn cut(text: &[u8], most: usize) -> &[u8] {
    let Some(start) = text.get(..most).filter(|_| text.len() > most) else { return text };
    // A character has at most three bytes that do not begin it.
    let continues = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let mut end = most;
    while continues(&end) && end > 0 && most - end < 3 {
        end -= 1;
    }
    if continues(&end) { start } else { &start[..end] }
}

fn copy(out: &mut Vec<u8>, message: &[u8], field: &Field<'_>) {
    out.extend_from_slice(message.get(field.start..field.end).unwrap_or_default());
}
