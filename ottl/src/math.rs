//! Arithmetic (ottl.md §2.4).

use crate::ast::MathOp;
use crate::error::EvalError;
use crate::time::Time;
use crate::value::Value;

const NUMBER: &str = "int64 or float64";
const OPERAND: &str = "int64, float64, time.Time or time.Duration";

/// Combines two operands. Integers wrap; int and float give float.
///
/// # Errors
/// Division by zero; operands of other types.
pub(crate) fn apply(op: MathOp, left: &Value<'_>, right: &Value<'_>) -> Result<Value<'static>, EvalError> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => ints(op, *a, *b).map(Value::Int),
        (Value::Int(a), Value::Float(b)) => floats(op, *a as f64, *b).map(Value::Float),
        (Value::Float(a), Value::Int(b)) => floats(op, *a, *b as f64).map(Value::Float),
        (Value::Float(a), Value::Float(b)) => floats(op, *a, *b).map(Value::Float),
        (Value::Int(_) | Value::Float(_), other) => Err(not(other, NUMBER)),
        (Value::Time(a), _) => time(op, *a, right),
        (Value::Duration(a), _) => duration(op, *a, right),
        (other, _) => Err(not(other, OPERAND)),
    }
}

/// Unary minus.
///
/// # Errors
/// Anything but int and float.
pub(crate) fn negate(value: &Value<'_>) -> Result<Value<'static>, EvalError> {
    match value {
        Value::Int(n) => Ok(Value::Int(n.wrapping_neg())),
        Value::Float(x) => Ok(Value::Float(-x)),
        other => Err(EvalError::UnaryMinus(other.dynamic_type_name())),
    }
}

fn ints(op: MathOp, a: i64, b: i64) -> Result<i64, EvalError> {
    Ok(match op {
        MathOp::Add => a.wrapping_add(b),
        MathOp::Sub => a.wrapping_sub(b),
        MathOp::Mul => a.wrapping_mul(b),
        MathOp::Div if b == 0 => return Err(EvalError::DivideByZero),
        MathOp::Div => a.wrapping_div(b),
    })
}

fn floats(op: MathOp, a: f64, b: f64) -> Result<f64, EvalError> {
    Ok(match op {
        MathOp::Add => a + b,
        MathOp::Sub => a - b,
        MathOp::Mul => a * b,
        MathOp::Div if b == 0.0 => return Err(EvalError::DivideByZero),
        MathOp::Div => a / b,
    })
}

fn time(op: MathOp, a: Time, right: &Value<'_>) -> Result<Value<'static>, EvalError> {
    match (op, right) {
        (MathOp::Add, Value::Duration(nanos)) => Ok(Value::Time(a.plus(i128::from(*nanos)))),
        (MathOp::Sub, Value::Duration(nanos)) => Ok(Value::Time(a.plus(-i128::from(*nanos)))),
        (MathOp::Sub, Value::Time(b)) => Ok(Value::Duration(a.since(*b))),
        (MathOp::Add, other) => Err(found("time.Time must be added to time.Duration", other)),
        (MathOp::Sub, other) => Err(found("time.Time or time.Duration must be subtracted from time.Time", other)),
        _ => Err(EvalError::TimeOperator),
    }
}

fn duration(op: MathOp, a: i64, right: &Value<'_>) -> Result<Value<'static>, EvalError> {
    match (op, right) {
        (MathOp::Add, Value::Duration(b)) => Ok(Value::Duration(a.wrapping_add(*b))),
        (MathOp::Add, Value::Time(b)) => Ok(Value::Time(b.plus(i128::from(a)))),
        (MathOp::Sub, Value::Duration(b)) => Ok(Value::Duration(a.wrapping_sub(*b))),
        (MathOp::Add, other) => Err(found("time.Duration must be added to time.Duration or time.Time", other)),
        (MathOp::Sub, other) => Err(found("time.Duration must be subtracted from time.Duration", other)),
        _ => Err(EvalError::TimeOperator),
    }
}

fn not(value: &Value<'_>, allowed: &'static str) -> EvalError {
    EvalError::Operand { value: shown(value), allowed }
}

fn found(rule: &str, value: &Value<'_>) -> EvalError {
    EvalError::function(format!("{rule}; found {} instead", shown(value)))
}

/// At most this much of a value goes into an error text.
const SHOWN: usize = 100;

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        Value::Time(time) => time.text(),
        Value::Duration(nanos) => crate::time::duration_text(*nanos),
        other => {
            let text = crate::text::string_like(other).ok().flatten().unwrap_or_default();
            String::from_utf8_lossy(text.get(..SHOWN).unwrap_or(&text)).into_owned()
        }
    }
}
