//! Copies that borrow nothing, made without recursion.

use std::borrow::Cow;

use super::{Entry, MAX_VALUE_DEPTH, Value};
use crate::error::EvalError;

impl Value<'_> {
    /// A copy that borrows nothing. Walks without recursion.
    ///
    /// # Errors
    /// Malformed wire bytes, or nesting beyond [`MAX_VALUE_DEPTH`].
    pub fn to_owned_value(&self) -> Result<Value<'static>, EvalError> {
        let mut open: Vec<Copying<'_>> = Vec::new();
        let mut next = Some(self.reborrow());
        loop {
            let mut done = match next.take() {
                Some(container @ (Value::Map(_) | Value::List(_))) => {
                    if open.len() == MAX_VALUE_DEPTH {
                        return Err(EvalError::TooDeep(MAX_VALUE_DEPTH));
                    }
                    open.push(Copying::new(container));
                    None
                }
                Some(scalar) => Some(scalar.owned_scalar()),
                None => None,
            };
            let Some(innermost) = open.last_mut() else { return Ok(done.unwrap_or_default()) };
            if let Some(value) = done.take() {
                innermost.add(value);
            }
            next = innermost.next()?;
            if next.is_none()
                && let Some(complete) = open.pop()
            {
                let value = complete.close();
                match open.last_mut() {
                    Some(outer) => outer.add(value),
                    None => return Ok(value),
                }
            }
        }
    }

    fn owned_scalar(&self) -> Value<'static> {
        match self {
            Value::Str(text) => Value::Str(Cow::Owned(text.to_vec())),
            Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.to_vec())),
            Value::Nil | Value::Map(_) | Value::List(_) => Value::Nil,
            Value::Bool(b) => Value::Bool(*b),
            Value::Int(n) => Value::Int(*n),
            Value::Float(x) => Value::Float(*x),
            Value::Time(time) => Value::Time(*time),
            Value::Duration(nanos) => Value::Duration(*nanos),
            Value::TraceId(id) => Value::TraceId(*id),
            Value::SpanId(id) => Value::SpanId(*id),
            Value::ProfileId(id) => Value::ProfileId(*id),
            Value::Handle(handle) => Value::Handle(*handle),
        }
    }
}

/// A container that is being copied: what is left of it, and what is done.
enum Copying<'a> {
    List(Box<dyn Iterator<Item = Result<Value<'a>, EvalError>> + 'a>, Vec<Value<'static>>),
    Map(Box<dyn Iterator<Item = Result<Entry<'a>, EvalError>> + 'a>, Vec<Entry<'static>>, Vec<u8>),
}

impl<'a> Copying<'a> {
    fn new(value: Value<'a>) -> Self {
        match value {
            Value::Map(map) => Copying::Map(map.into_boxed(), Vec::new(), Vec::new()),
            Value::List(list) => Copying::List(list.into_boxed(), Vec::new()),
            other => Copying::List(Box::new(std::iter::once(Ok(other))), Vec::new()),
        }
    }

    fn next(&mut self) -> Result<Option<Value<'a>>, EvalError> {
        match self {
            Copying::List(items, _) => items.next().transpose(),
            Copying::Map(entries, _, key) => {
                let Some((next, value)) = entries.next().transpose()? else { return Ok(None) };
                *key = next.into_owned();
                Ok(Some(value))
            }
        }
    }

    fn add(&mut self, value: Value<'static>) {
        match self {
            Copying::List(_, done) => done.push(value),
            Copying::Map(_, done, key) => done.push((Cow::Owned(std::mem::take(key)), value)),
        }
    }

    fn close(self) -> Value<'static> {
        match self {
            Copying::List(_, done) => Value::list(done),
            Copying::Map(_, done, _) => Value::map(done),
        }
    }
}
