//! Maps and lists, over wire bytes or made.

use std::borrow::Cow;
use std::sync::Arc;

use sluice_pdata::view::{AttributesView, Elements, KeyValueView};

use super::Value;
use crate::error::EvalError;

/// One entry of a map.
pub type Entry<'a> = (Cow<'a, [u8]>, Value<'a>);

/// A map in wire order. Of equal keys the first is read.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// The attributes of a message.
    Attributes(AttributesView<'a>),
    /// A key-value list value.
    KvList(Elements<'a>),
    Borrowed(&'a [Entry<'a>]),
    Shared(Arc<[Entry<'a>]>),
}

/// A list.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// An array value.
    Array(Elements<'a>),
    Borrowed(&'a [Value<'a>]),
    Shared(Arc<[Value<'a>]>),
}

fn pair_entry<'a>(pair: Result<KeyValueView<'a>, sluice_pdata::Error>) -> Result<Entry<'a>, EvalError> {
    let pair = pair?;
    Ok((Cow::Borrowed(pair.key()), Value::from(pair.value()?)))
}

impl<'a> Map<'a> {
    /// The entries in wire order, duplicates included.
    pub fn iter(&self) -> impl Iterator<Item = Result<Entry<'a>, EvalError>> + '_ {
        let (mut attributes, mut pairs, mut borrowed, mut shared) = (None, None, None, None);
        match self {
            Map::Attributes(view) => attributes = Some(view.iter()),
            Map::KvList(elements) => pairs = Some(elements.key_values()),
            Map::Borrowed(slice) => borrowed = Some(slice.iter()),
            Map::Shared(slice) => shared = Some(slice.iter()),
        }
        let wire = attributes.into_iter().flatten().chain(pairs.into_iter().flatten());
        let wire = wire.map(pair_entry);
        let lent = |(key, value): &'a Entry<'a>| Ok((Cow::Borrowed(&**key), value.reborrow()));
        let made = borrowed.into_iter().flatten().map(lent);
        wire.chain(made).chain(shared.into_iter().flatten().map(|entry| Ok(entry.clone())))
    }

    pub(super) fn into_boxed(self) -> Box<dyn Iterator<Item = Result<Entry<'a>, EvalError>> + 'a> {
        match self {
            Map::Attributes(view) => Box::new(view.iter().map(pair_entry)),
            Map::KvList(elements) => Box::new(elements.key_values().map(pair_entry)),
            Map::Borrowed(entries) => {
                Box::new(entries.iter().map(|(key, value)| Ok((Cow::Borrowed(&**key), value.reborrow()))))
            }
            Map::Shared(entries) => Box::new((0..entries.len()).filter_map(move |at| entries.get(at).cloned().map(Ok))),
        }
    }

    /// The value of the first entry with this key.
    ///
    /// # Errors
    /// Malformed wire bytes.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value<'a>>, EvalError> {
        match self {
            Map::Attributes(view) => Ok(view.get(key)?.map(Value::from)),
            Map::KvList(elements) => {
                for pair in elements.key_values() {
                    let pair = pair?;
                    if pair.key() == key {
                        return Ok(Some(pair.value()?.into()));
                    }
                }
                Ok(None)
            }
            Map::Borrowed(entries) => {
                let entries: &'a [Entry<'a>] = entries;
                Ok(entries.iter().find(|(found, _)| **found == *key).map(|(_, value)| value.reborrow()))
            }
            Map::Shared(entries) => {
                Ok(entries.iter().find(|(found, _)| **found == *key).map(|(_, value)| value.clone()))
            }
        }
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// Malformed wire bytes.
    pub fn len(&self) -> Result<usize, EvalError> {
        match self {
            Map::Borrowed(entries) => Ok(entries.len()),
            Map::Shared(entries) => Ok(entries.len()),
            Map::Attributes(_) | Map::KvList(_) => self.iter().try_fold(0, |count, entry| entry.map(|_| count + 1)),
        }
    }

    /// Whether there is no entry.
    ///
    /// # Errors
    /// Malformed wire bytes.
    pub fn is_empty(&self) -> Result<bool, EvalError> {
        self.iter().next().transpose().map(|entry| entry.is_none())
    }
}

impl<'a> List<'a> {
    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<Value<'a>, EvalError>> + '_ {
        let (mut wire, mut borrowed, mut shared) = (None, None, None);
        match self {
            List::Array(elements) => wire = Some(elements.values()),
            List::Borrowed(slice) => borrowed = Some(slice.iter()),
            List::Shared(slice) => shared = Some(slice.iter()),
        }
        let wire = wire.into_iter().flatten().map(|value| Ok(Value::from(value?)));
        let lent = |item: &'a Value<'a>| Ok(item.reborrow());
        wire.chain(borrowed.into_iter().flatten().map(lent))
            .chain(shared.into_iter().flatten().map(|item| Ok(item.clone())))
    }

    /// As [`iter`](Self::iter), on the heap: keeps recursive callers' stacks small.
    pub(crate) fn boxed(&self) -> Box<dyn Iterator<Item = Result<Value<'a>, EvalError>> + '_> {
        Box::new(self.iter())
    }

    pub(super) fn into_boxed(self) -> Box<dyn Iterator<Item = Result<Value<'a>, EvalError>> + 'a> {
        match self {
            List::Array(elements) => Box::new(elements.values().map(|value| Ok(Value::from(value?)))),
            List::Borrowed(items) => Box::new(items.iter().map(|item| Ok(item.reborrow()))),
            List::Shared(items) => Box::new((0..items.len()).filter_map(move |at| items.get(at).cloned().map(Ok))),
        }
    }

    /// The element at an index.
    ///
    /// # Errors
    /// [`EvalError::OutOfBounds`]; malformed wire bytes.
    pub fn get(&self, index: i64) -> Result<Value<'a>, EvalError> {
        let at = usize::try_from(index).map_err(|_| EvalError::OutOfBounds(index))?;
        self.iter().nth(at).unwrap_or(Err(EvalError::OutOfBounds(index)))
    }

    /// How many elements there are.
    ///
    /// # Errors
    /// Malformed wire bytes.
    pub fn len(&self) -> Result<usize, EvalError> {
        match self {
            List::Borrowed(items) => Ok(items.len()),
            List::Shared(items) => Ok(items.len()),
            List::Array(_) => self.iter().try_fold(0, |count, item| item.map(|_| count + 1)),
        }
    }

    /// Whether there is no element.
    ///
    /// # Errors
    /// Malformed wire bytes.
    pub fn is_empty(&self) -> Result<bool, EvalError> {
        self.iter().next().transpose().map(|item| item.is_none())
    }
}
