//! Evaluation. Recursion is bounded by the nesting the parser allows.

use std::borrow::Cow;

use crate::compare::{compare, holds};
use crate::error::EvalError;
use crate::expr::{CallExpr, Cond, Expr, KeyExpr, Keyed};
use crate::function::{Body, Call};
use crate::path::Field;
use crate::record::Scope;
use crate::value::{List, Map, Value};

impl Cond {
    /// Whether the condition holds. `and` and `or` stop early; an error ends the whole.
    ///
    /// # Errors
    /// What an operand that is reached fails with.
    pub fn eval(&self, scope: Scope<'_>) -> Result<bool, EvalError> {
        match self {
            Cond::AttributeIs { attribute, literal, negated } => {
                let equal = match scope.record.attribute(attribute)? {
                    Some(Value::Str(text)) => *text == **literal,
                    _ => false,
                };
                Ok(equal != *negated)
            }
            Cond::Compare(op, left, right) => {
                if let (Expr::Path(path), Expr::Const(Value::Int(literal))) = (left, right)
                    && let Some(number) = scope.record.int(*path)?
                {
                    return Ok(holds(*op, number.cmp(literal)));
                }
                compare(*op, &left.eval(scope)?, &right.eval(scope)?)
            }
            Cond::And(all) => {
                for one in all {
                    if !one.eval(scope)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Cond::Or(all) => {
                for one in all {
                    if one.eval(scope)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Cond::Not(inner) => Ok(!inner.eval(scope)?),
            Cond::Converter(call) => match call.eval(scope)? {
                Value::Bool(holds) => Ok(holds),
                other => Err(EvalError::NotBool(other.dynamic_type_name())),
            },
            Cond::Const(holds) => Ok(*holds),
        }
    }
}

impl Expr {
    /// The value for a record.
    ///
    /// # Errors
    /// Types, keys and functions that do not fit the record; malformed wire bytes.
    pub fn eval<'r>(&'r self, scope: Scope<'r>) -> Result<Value<'r>, EvalError> {
        match self {
            Expr::Const(value) => Ok(value.reborrow()),
            Expr::Path(path) => scope.read(*path),
            Expr::Attribute(key) => Ok(scope.record.attribute(key)?.unwrap_or_default()),
            Expr::Keyed(keyed) => keyed.eval(scope),
            Expr::TraceState(path, key) => match scope.read(*path)? {
                Value::Str(Cow::Borrowed(text)) => Ok(crate::trace_state::member(text, key)),
                Value::Str(Cow::Owned(text)) => crate::trace_state::member(&text, key).to_owned_value(),
                _ => Ok(Value::Nil),
            },
            Expr::Neg(inner) => crate::math::negate(&inner.eval(scope)?),
            Expr::Math(first, rest) => {
                let mut result = first.eval(scope)?;
                for (op, operand) in rest {
                    result = crate::math::apply(*op, &result, &operand.eval(scope)?)?;
                }
                Ok(result)
            }
            Expr::Call(call) => call.eval(scope),
            Expr::List(items) => Ok(Value::list(items.iter().map(|item| item.eval(scope)).collect::<Result<_, _>>()?)),
            Expr::Map(entries) => {
                let entries: Result<_, EvalError> =
                    entries.iter().map(|(key, value)| Ok((Cow::Borrowed(&**key), value.eval(scope)?))).collect();
                Ok(Value::map(entries?))
            }
        }
    }
}

impl CallExpr {
    fn eval<'r>(&'r self, scope: Scope<'r>) -> Result<Value<'r>, EvalError> {
        let call = Call::new(&self.args, scope);
        let mut value = match (&self.prepared, &self.function.body) {
            (Some(prepared), _) => prepared.call(call)?,
            (None, Body::Converter(run)) => run(call)?,
            (None, Body::Prepared(_) | Body::Editor) => return Err(EvalError::Text("not a converter")),
        };
        for key in &self.keys {
            value = converter_element(value, &key.eval(scope)?)?;
        }
        Ok(value)
    }
}

impl KeyExpr {
    fn eval<'r>(&'r self, scope: Scope<'r>) -> Result<Value<'r>, EvalError> {
        match self {
            KeyExpr::Str(key) => Ok(Value::str(key)),
            KeyExpr::Int(index) => Ok(Value::Int(*index)),
            KeyExpr::Dynamic(expr) => expr.eval(scope),
        }
    }
}

impl Keyed {
    fn eval<'r>(&'r self, scope: Scope<'r>) -> Result<Value<'r>, EvalError> {
        let mut value = match &self.base {
            Expr::Attribute(key) => match scope.record.attribute(key)? {
                Some(value) => value,
                None => return Ok(Value::Nil),
            },
            Expr::Path(path) => {
                let value = scope.read(*path)?;
                match (&value, path.field) {
                    (Value::Map(_) | Value::List(_), _) => value,
                    (other, Field::Body) => return Err(EvalError::BodyNotIndexable(other.kind_name())),
                    // Maps of a level that the record does not have.
                    _ => return Ok(Value::Nil),
                }
            }
            other => other.eval(scope)?,
        };
        for key in &self.keys {
            let key = key.eval(scope)?;
            value = match value {
                Value::Map(map) => match map_key(&map, &key)? {
                    Some(value) => value,
                    None => return Ok(Value::Nil),
                },
                Value::List(list) => list_element(&list, &key)?,
                other => return Err(EvalError::NotIndexable { kind: other.kind_name(), key: "string" }),
            };
        }
        Ok(value)
    }
}

fn map_key<'a>(map: &Map<'a>, key: &Value<'_>) -> Result<Option<Value<'a>>, EvalError> {
    match key {
        Value::Str(key) => map.get(key),
        other => Err(EvalError::Key { expected: "string", got: other.dynamic_type_name() }),
    }
}

fn list_element<'a>(list: &List<'a>, key: &Value<'_>) -> Result<Value<'a>, EvalError> {
    match key {
        Value::Int(index) => list.get(*index),
        other => Err(EvalError::Key { expected: "int64", got: other.dynamic_type_name() }),
    }
}

/// Keys on a converter's result: a missing key is an error, and so is one of the wrong type.
fn converter_element<'a>(value: Value<'a>, key: &Value<'_>) -> Result<Value<'a>, EvalError> {
    match (value, key) {
        (Value::Map(map), Value::Str(key)) => map.get(key)?.ok_or(EvalError::KeyNotFound),
        (Value::List(list), Value::Int(index)) => list.get(*index),
        (Value::Bytes(bytes), Value::Int(index)) => {
            let at = usize::try_from(*index).ok().and_then(|at| bytes.get(at));
            at.map(|byte| Value::Int(i64::from(*byte))).ok_or(EvalError::OutOfBounds(*index))
        }
        (value, Value::Str(_)) => Err(EvalError::NotIndexable { kind: value.dynamic_type_name(), key: "string" }),
        (value, Value::Int(_)) => Err(EvalError::NotIndexable { kind: value.dynamic_type_name(), key: "int" }),
        (_, Value::Nil) => Err(EvalError::Text("key expression returned nil, expected an int or string")),
        (_, other) => Err(EvalError::function(format!(
            "key expression must evaluate to string or int, got {}",
            other.type_name()
        ))),
    }
}
