//! Whether a condition holds, written plainly.

use std::cmp::Ordering;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;

use super::condition::{Condition, Literal};
use super::operand::{Failed, Record, Val, element};
use super::pairs::value_of;
use super::tree::{hide, real};
use super::value::{hex, json, last_of_each_key, matches};
use super::walk::Item;

impl Condition {
    /// Whether the condition holds. `and` and `or` stop early; an error ends the whole.
    pub fn holds(&self, record: &Record<'_, '_>) -> Result<bool, Failed> {
        match self {
            Condition::Compare(operator, operand, literal) => {
                Ok(compare(operator, &record.read(operand)?, &literal.value()))
            }
            Condition::Flipped(operator, literal, operand) => {
                Ok(compare(operator, &literal.value(), &record.read(operand)?))
            }
            Condition::Both(operator, left, right) => Ok(compare(operator, &record.read(left)?, &record.read(right)?)),
            Condition::IsMatch(operand, pattern) => {
                Ok(text_like(&record.read(operand)?)?.is_some_and(|text| matches(pattern, &text)))
            }
            Condition::HasPrefix(operand, prefix) => match record.read(operand)? {
                Val::Str(text) => Ok(real(&text).starts_with(prefix.as_bytes())),
                _ => Err(Failed),
            },
            Condition::HasSuffix(operand, suffix) => match record.read(operand)? {
                Val::Str(text) => Ok(real(&text).ends_with(suffix.as_bytes())),
                _ => Err(Failed),
            },
            Condition::Is(function, operand) => {
                let value = record.read(operand)?;
                Ok(match *function {
                    "IsString" => matches!(value, Val::Str(_)),
                    "IsInt" => matches!(value, Val::Int(_)),
                    "IsDouble" => matches!(value, Val::Float(_)),
                    "IsBool" => matches!(value, Val::Bool(_)),
                    "IsMap" => matches!(value, Val::Map(_)),
                    _ => matches!(value, Val::List(_)),
                })
            }
            Condition::IsRootSpan => match record.item {
                // An id of a wrong length counts as none.
                Some(Item::Span(span)) => {
                    Ok(span.parent_span_id.len() != 8 || span.parent_span_id.iter().all(|byte| *byte == 0))
                }
                _ => Err(Failed),
            },
            Condition::HasAttrKeyOnDatapoint(key) => Ok(first_on_points(record.metric.ok_or(Failed)?, key)?.is_some()),
            Condition::HasAttrOnDatapoint(key, expected) => {
                Ok(match first_on_points(record.metric.ok_or(Failed)?, key)? {
                    Some(Some(Value::StringValue(text))) => text == *expected,
                    Some(_) => expected.is_empty(),
                    None => false,
                })
            }
            Condition::Constant(holds) => Ok(*holds),
            Condition::Not(inner) => Ok(!inner.holds(record)?),
            Condition::And(all) => {
                for one in all {
                    if !one.holds(record)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Condition::Or(all) => {
                for one in all {
                    if one.holds(record)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

/// The value of a key on the first point that has it. A metric without data fails.
fn first_on_points(metric: &Metric, key: &str) -> Result<Option<Option<Value>>, Failed> {
    macro_rules! first {
        ($data:expr) => {
            $data.data_points.iter().find_map(|point| value_of(&point.attributes, key)).map(|value| value.cloned())
        };
    }
    Ok(match metric.data.as_ref().ok_or(Failed)? {
        Data::Gauge(data) => first!(data),
        Data::Sum(data) => first!(data),
        Data::Histogram(data) => first!(data),
        Data::ExponentialHistogram(data) => first!(data),
        Data::Summary(data) => first!(data),
    })
}

impl Literal {
    fn value(&self) -> Val {
        match self {
            Literal::Nil => Val::Nil,
            Literal::Bool(flag) => Val::Bool(*flag),
            Literal::Int(number) | Literal::Enum(_, number) => Val::Int(*number),
            Literal::Float(number) => Val::Float(*number),
            Literal::Str(text) => Val::Str((*text).to_owned()),
            Literal::Bytes(bytes) => Val::Bytes(bytes.to_vec()),
        }
    }
}

/// The text that a pattern is matched with; `None` for nil.
fn text_like(value: &Val) -> Result<Option<String>, Failed> {
    let json = |value: Value| json(Some(&value), true, false).ok_or(Failed);
    Ok(Some(match value {
        Val::Nil => return Ok(None),
        Val::Str(text) => text.clone(),
        Val::Bytes(bytes) => hex(bytes),
        Val::Bool(flag) => flag.to_string(),
        Val::Int(number) => number.to_string(),
        Val::Float(number) => json(Value::DoubleValue(*number))?,
        Val::Map(pairs) => {
            let values = pairs.clone();
            json(Value::KvlistValue(opentelemetry_proto::tonic::common::v1::KeyValueList { values }))?
        }
        Val::List(list) => {
            let values = list.clone();
            json(Value::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue { values }))?
        }
    }))
}

/// The table of comparisons: numbers as numbers, like with like, and of all else only `!=` holds.
fn compare(operator: &str, left: &Val, right: &Val) -> bool {
    let order = match (left, right) {
        (Val::Nil, Val::Nil) => Some(Ordering::Equal),
        (Val::Bool(left), Val::Bool(right)) => Some(left.cmp(right)),
        (Val::Int(left), Val::Int(right)) => Some(left.cmp(right)),
        (Val::Int(left), Val::Float(right)) => (*left as f64).partial_cmp(right),
        (Val::Float(left), Val::Int(right)) => left.partial_cmp(&(*right as f64)),
        (Val::Float(left), Val::Float(right)) => left.partial_cmp(right),
        (Val::Str(left), Val::Str(right)) => Some(real(left).cmp(&real(right))),
        (Val::Bytes(left), Val::Bytes(right)) => Some(left.cmp(right)),
        (Val::Map(_), Val::Map(_)) | (Val::List(_), Val::List(_)) => {
            return match operator {
                "==" => same(left, right),
                "!=" => !same(left, right),
                _ => false,
            };
        }
        _ => None,
    };
    match operator {
        "==" => order == Some(Ordering::Equal),
        "!=" => order != Some(Ordering::Equal),
        "<" => order == Some(Ordering::Less),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        ">" => order == Some(Ordering::Greater),
        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

/// Equality in depth: types must be the same; maps have no order, and of equal keys the last counts.
fn same(left: &Val, right: &Val) -> bool {
    match (left, right) {
        (Val::Map(left), Val::Map(right)) => {
            let (left, right) = (last_of_each_key(left), last_of_each_key(right));
            left.len() == right.len()
                && left.iter().zip(&right).all(|(left, right)| {
                    left.key == right.key
                        && same(
                            &element(&left.value.clone().unwrap_or_default()),
                            &element(&right.value.clone().unwrap_or_default()),
                        )
                })
        }
        (Val::List(left), Val::List(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| same(&element(left), &element(right)))
        }
        (Val::Int(_), Val::Float(_)) | (Val::Float(_), Val::Int(_)) => false,
        _ => compare("==", left, right),
    }
}

#[test]
fn broken_strings_are_hidden_and_found_again() {
    for text in [&b"caf\xe9"[..], b"\xff\xfe", b"cut \xf0\x9f\xa6", "größe 🦀".as_bytes(), b""] {
        assert_eq!(real(&hide(text)), text);
    }
}
