//! Lists and maps.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use crate::ast::CompareOp;
use crate::compare::compare;
use crate::error::EvalError;
use crate::function::{Argument, Call, Converter, Function, Kind, optional, required};
use crate::value::{Entry, List, Value};

const PATH: Kind = Kind::Items(&Kind::LiteralString);

pub(crate) const FAMILY: &[Function] = &[
    Function::prepared("Coalesce", &[required("values", Kind::Items(&Kind::Any))], coalesce),
    Function::converter(
        "ContainsValue",
        &[required("target", Kind::List), required("item", Kind::Any)],
        contains_value,
    ),
    Function::converter("Keys", &[required("target", Kind::Map)], |call| {
        let map = call.map(0)?;
        let keys: Result<_, EvalError> = map.iter().map(|entry| Ok(Value::Str(entry?.0))).collect();
        Ok(Value::list(keys?))
    }),
    Function::converter("Values", &[required("target", Kind::Map)], |call| {
        let map = call.map(0)?;
        let values: Result<_, EvalError> = map.iter().map(|entry| Ok(entry?.1)).collect();
        Ok(Value::list(values?))
    }),
    Function::converter(
        "SliceToMap",
        &[required("target", Kind::List), optional("keyPath", PATH), optional("valuePath", PATH)],
        slice_to_map,
    ),
    Function::prepared("Sort", &[required("target", Kind::Any), optional("order", Kind::LiteralString)], sort),
];

#[derive(Debug)]
struct Coalesce;

fn coalesce(args: &[Argument]) -> Result<Arc<dyn Converter>, String> {
    match args.first() {
        Some(Argument::Items(items)) if !items.is_empty() => Ok(Arc::new(Coalesce)),
        _ => Err("Coalesce requires at least one argument".to_owned()),
    }
}

impl Converter for Coalesce {
    fn call<'r>(&'r self, call: Call<'r>) -> Result<Value<'r>, EvalError> {
        for item in call.items(0) {
            let value = item?;
            if !matches!(value, Value::Nil) {
                return Ok(value);
            }
        }
        Ok(Value::Nil)
    }
}

fn contains_value(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let (list, wanted) = (call.list(0)?, call.value(1)?);
    for item in list.iter() {
        if compare(CompareOp::Eq, &item?, &wanted)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn slice_to_map(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let list = call.list(0)?;
    let (by_key, by_value) = (call.given(1), call.given(2));
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    for (index, item) in list.iter().enumerate() {
        let item = item?;
        if (by_key || by_value) && !matches!(item, Value::Map(_)) {
            return Err(EvalError::function(format!(
                "slice elements must be maps when using `key_path` or `value_path`, but could not cast element of type `{}` to a map",
                item.kind_name()
            )));
        }
        let key = if by_key {
            let found = at_path(call, 1, &item)
                .map_err(|error| EvalError::function(format!("could not extract key from element {index}: {error}")))?;
            match found {
                Value::Str(text) => text,
                other => {
                    return Err(EvalError::function(format!(
                        "element {index}: extracted key attribute is not of type string, got \"{}\"",
                        other.kind_name()
                    )));
                }
            }
        } else {
            Cow::Owned(index.to_string().into_bytes())
        };
        let value = if by_value {
            at_path(call, 2, &item).map_err(|error| {
                EvalError::function(format!("could not extract value from element {index}: {error}"))
            })?
        } else {
            item
        };
        match places.get(&*key) {
            Some(place) => entries[*place].1 = value,
            None => {
                places.insert(key.to_vec(), entries.len());
                entries.push((key, value));
            }
        }
    }
    Ok(Value::map(entries))
}

fn at_path<'r>(call: Call<'r>, path: usize, item: &Value<'r>) -> Result<Value<'r>, EvalError> {
    if call.items(path).len() == 0 {
        return Err(EvalError::Text("must provide at least one path item"));
    }
    let mut value = item.clone();
    for key in call.items(path) {
        let next = match (&value, key?) {
            (Value::Map(map), Value::Str(key)) => map.get(&key)?,
            _ => None,
        };
        value = next.ok_or(EvalError::Text("provided object does not contain the path"))?;
    }
    Ok(value)
}

#[derive(Debug)]
struct Sort {
    descending: bool,
}

fn sort(args: &[Argument]) -> Result<Arc<dyn Converter>, String> {
    let descending = match args.get(1).and_then(Argument::text) {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(other) => {
            return Err(format!("invalid arguments: {other}. Order should be either \"asc\" or \"desc\""));
        }
    };
    Ok(Arc::new(Sort { descending }))
}

impl Converter for Sort {
    fn call<'r>(&'r self, call: Call<'r>) -> Result<Value<'r>, EvalError> {
        let list = match call.value(0)? {
            Value::List(list) => list,
            other => {
                return Err(EvalError::function(format!(
                    "sort with unsupported type: '{}'. Target is not a list",
                    other.dynamic_type_name()
                )));
            }
        };
        sorted(list, self.descending)
    }
}

/// What elements are compared as.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Ints,
    Floats,
    Text,
}

fn sorted(list: List<'_>, descending: bool) -> Result<Value<'_>, EvalError> {
    let mut items: Vec<Value<'_>> = list.iter().collect::<Result<_, _>>()?;
    let mut order = Order::Ints;
    for item in &items {
        order = match (item, order) {
            (Value::Int(_), order) => order,
            (Value::Float(_), Order::Ints | Order::Floats) => Order::Floats,
            (Value::Float(_) | Value::Str(_) | Value::Bool(_) | Value::Nil, _) => Order::Text,
            _ => return Ok(Value::List(list)),
        };
    }
    let number = |value: &Value<'_>| match value {
        Value::Int(n) => *n as f64,
        Value::Float(x) => *x,
        _ => 0.0,
    };
    let compared = |a: &Value<'_>, b: &Value<'_>| match (order, a, b) {
        (Order::Ints, Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Order::Ints | Order::Floats, a, b) => {
            // NaN comes first.
            let (a, b) = (number(a), number(b));
            a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
        }
        (Order::Text, _, _) => Ordering::Equal,
    };
    if order == Order::Text {
        let mut keyed = Vec::with_capacity(items.len());
        for item in items {
            keyed.push((crate::text::body_string(&item)?.into_owned(), item));
        }
        keyed.sort_by(|(a, _), (b, _)| if descending { b.cmp(a) } else { a.cmp(b) });
        items = keyed.into_iter().map(|(_, item)| item).collect();
    } else {
        items.sort_by(|a, b| if descending { compared(b, a) } else { compared(a, b) });
    }
    Ok(Value::list(items))
}
