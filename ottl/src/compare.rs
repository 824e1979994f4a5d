//! Comparison of values (ottl.md §2.3).

use std::cmp::Ordering;

use crate::ast::CompareOp;
use crate::error::EvalError;
use crate::value::{Entry, List, MAX_VALUE_DEPTH, Map, Value, deeper};

/// Compares two values. Values that cannot be compared are only unequal.
///
/// # Errors
/// Malformed wire bytes, or nesting beyond [`MAX_VALUE_DEPTH`], inside maps and lists.
#[inline]
pub fn compare(op: CompareOp, left: &Value<'_>, right: &Value<'_>) -> Result<bool, EvalError> {
    let order = match (left, right) {
        (Value::Str(a), Value::Str(b)) => match op {
            CompareOp::Eq => return Ok(a == b),
            CompareOp::Ne => return Ok(a != b),
            _ => Some(a.cmp(b)),
        },
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Nil, Value::Nil) => Some(Ordering::Equal),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => return Ok(holds_partially(op, a.partial_cmp(b))),
        (Value::Int(a), Value::Float(b)) => return Ok(holds_partially(op, (*a as f64).partial_cmp(b))),
        (Value::Float(a), Value::Int(b)) => return Ok(holds_partially(op, a.partial_cmp(&(*b as f64)))),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.instant().cmp(&b.instant())),
        (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        (Value::TraceId(a), Value::TraceId(b)) | (Value::ProfileId(a), Value::ProfileId(b)) => {
            return Ok(equality(op, a == b));
        }
        (Value::SpanId(a), Value::SpanId(b)) => return Ok(equality(op, a == b)),
        (Value::Map(_), Value::Map(_)) | (Value::List(_), Value::List(_)) => {
            return match op {
                CompareOp::Eq | CompareOp::Ne => Ok(equality(op, deep_equal(left, right, MAX_VALUE_DEPTH)?)),
                _ => Ok(false),
            };
        }
        _ => None,
    };
    Ok(match order {
        Some(order) => holds(op, order),
        None => op == CompareOp::Ne,
    })
}

/// Whether `op` holds between two values in this order.
pub(crate) fn holds(op: CompareOp, order: Ordering) -> bool {
    match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
    }
}

/// NaN is unequal to everything and neither less nor greater.
fn holds_partially(op: CompareOp, order: Option<Ordering>) -> bool {
    order.map_or(op == CompareOp::Ne, |order| holds(op, order))
}

fn equality(op: CompareOp, equal: bool) -> bool {
    match op {
        CompareOp::Eq => equal,
        CompareOp::Ne => !equal,
        _ => false,
    }
}

/// Equality of nested values: types must be the same, maps have no order, of equal keys the last counts.
fn deep_equal(left: &Value<'_>, right: &Value<'_>, depth: usize) -> Result<bool, EvalError> {
    match (left, right) {
        (Value::Map(a), Value::Map(b)) => maps_equal(a, b, deeper(depth)?),
        (Value::List(a), Value::List(b)) => lists_equal(a, b, deeper(depth)?),
        (Value::Int(_), Value::Float(_)) | (Value::Float(_), Value::Int(_)) => Ok(false),
        _ => compare(CompareOp::Eq, left, right),
    }
}

fn maps_equal(a: &Map<'_>, b: &Map<'_>, depth: usize) -> Result<bool, EvalError> {
    let (a, b) = (sorted(a)?, sorted(b)?);
    if a.len() != b.len() {
        return Ok(false);
    }
    for ((key, value), (other_key, other)) in a.iter().zip(&b) {
        if key != other_key || !deep_equal(value, other, depth)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The entries by key; of equal keys the last.
pub(crate) fn sorted<'a>(map: &Map<'a>) -> Result<Vec<Entry<'a>>, EvalError> {
    let mut entries = map.iter().collect::<Result<Vec<_>, _>>()?;
    entries.reverse();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.dedup_by(|later, kept| later.0 == kept.0);
    Ok(entries)
}

fn lists_equal(a: &List<'_>, b: &List<'_>, depth: usize) -> Result<bool, EvalError> {
    let (mut a, mut b) = (a.boxed(), b.boxed());
    loop {
        match (a.next().transpose()?, b.next().transpose()?) {
            (None, None) => return Ok(true),
            (Some(left), Some(right)) if deep_equal(&left, &right, depth)? => {}
            _ => return Ok(false),
        }
    }
}
