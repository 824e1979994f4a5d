//! What can be known of a condition without a record: the levels it reads, and bytes that must be there for it to hold.

use crate::ast::CompareOp;
use crate::context::{Context, ContextSet};
use crate::expr::{CallExpr, Cond, Expr, KeyExpr};
use crate::function::Argument;
use crate::path::{Field, Path};
use crate::value::Value;

/// More alternatives than this are not worth looking for.
const MAX_LITERALS: usize = 32;

pub(crate) fn levels_of_cond(cond: &Cond) -> ContextSet {
    let mut set = ContextSet::default();
    in_cond(cond, &mut set);
    set
}

pub(crate) fn levels_of_expr(expr: &Expr) -> ContextSet {
    let mut set = ContextSet::default();
    in_expr(expr, &mut set);
    set
}

fn in_cond(cond: &Cond, set: &mut ContextSet) {
    match cond {
        Cond::Const(_) => {}
        Cond::Not(inner) => in_cond(inner, set),
        Cond::And(all) | Cond::Or(all) => all.iter().for_each(|one| in_cond(one, set)),
        Cond::Compare(_, left, right) => {
            in_expr(left, set);
            in_expr(right, set);
        }
        Cond::AttributeIs { attribute, .. } => set.insert(attribute.level),
        Cond::Converter(expr) => in_expr(expr, set),
    }
}

fn in_expr(expr: &Expr, set: &mut ContextSet) {
    match expr {
        Expr::Const(_) => {}
        Expr::Path(path) | Expr::TraceState(path, _) => set.insert(path.level),
        Expr::Attribute(key) => set.insert(key.level),
        Expr::Keyed(keyed) => {
            in_expr(&keyed.base, set);
            in_keys(&keyed.keys, set);
        }
        Expr::Neg(inner) => in_expr(inner, set),
        Expr::Math(first, rest) => {
            in_expr(first, set);
            rest.iter().for_each(|(_, operand)| in_expr(operand, set));
        }
        Expr::Call(call) => in_call(call, set),
        Expr::List(items) => items.iter().for_each(|item| in_expr(item, set)),
        Expr::Map(entries) => entries.iter().for_each(|(_, value)| in_expr(value, set)),
    }
}

fn in_call(call: &CallExpr, set: &mut ContextSet) {
    call.function.reads.iter().for_each(|level| set.insert(*level));
    for arg in &call.args {
        match arg {
            Argument::Value(expr) => in_expr(expr, set),
            Argument::Items(items) => items.iter().for_each(|item| in_expr(item, set)),
            Argument::Absent | Argument::Function(_) => {}
        }
    }
    in_keys(&call.keys, set);
}

fn in_keys(keys: &[KeyExpr], set: &mut ContextSet) {
    for key in keys {
        if let KeyExpr::Dynamic(expr) = key {
            in_expr(expr, set);
        }
    }
}

type Literals = Vec<Box<[u8]>>;

/// Strings of which one occurs in the item's bytes unless evaluation gives `Ok(false)`.
pub(crate) fn required_literals(cond: &Cond, item: Context) -> Option<Literals> {
    match cond {
        Cond::Const(false) => Some(Vec::new()),
        Cond::Const(true) | Cond::Not(_) => None,
        Cond::And(all) => {
            // What comes before must not fail, else the error would be missed.
            let reached = all.iter().scan(true, |sound, one| {
                let reach = sound.then_some(one);
                *sound &= cannot_fail(one);
                reach
            });
            let found = reached.filter_map(|one| required_literals(one, item));
            found.max_by_key(|literals| literals.iter().map(|literal| literal.len()).min().unwrap_or(usize::MAX))
        }
        Cond::Or(all) => {
            let mut union = Vec::new();
            for one in all {
                union.extend(required_literals(one, item)?);
            }
            (union.len() <= MAX_LITERALS).then_some(union)
        }
        Cond::AttributeIs { attribute, literal, negated } => {
            let key = (inside(attribute.level, item) && !negated).then_some(&attribute.key)?;
            one(if literal.is_empty() { key } else { literal })
        }
        Cond::Compare(op, left, right) => match (left, right) {
            (Expr::Const(value), expr) | (expr, Expr::Const(value)) => of_comparison(*op, expr, value, item),
            _ => None,
        },
        Cond::Converter(Expr::Call(call)) => of_call(call, item),
        Cond::Converter(_) => None,
    }
}

fn one(literal: &[u8]) -> Option<Literals> {
    (!literal.is_empty()).then(|| vec![literal.into()])
}

/// Whether a level's fields lie within the message of an item: its own, or those of what it contains.
fn inside(level: Context, item: Context) -> bool {
    level == item
        || matches!((level, item), (Context::SpanEvent, Context::Span) | (Context::DataPoint, Context::Metric))
}

fn of_comparison(op: CompareOp, expr: &Expr, value: &Value<'static>, item: Context) -> Option<Literals> {
    match (expr, value) {
        // An absent attribute is nil, which is equal to nil alone.
        (Expr::Attribute(key), Value::Nil) if op == CompareOp::Ne && inside(key.level, item) => one(&key.key),
        (Expr::Attribute(key), value) if op != CompareOp::Ne && inside(key.level, item) => {
            (!matches!(value, Value::Nil)).then_some(())?;
            one(&key.key)
        }
        (Expr::Path(path), value) if op == CompareOp::Eq && inside(path.level, item) => match (path.field, value) {
            (field, Value::Str(text)) if is_text(field) || field == Field::Body => one(text),
            (Field::TraceId, Value::TraceId(bytes)) => id(bytes),
            (Field::SpanId | Field::ParentSpanId, Value::SpanId(bytes)) => id(bytes),
            _ => None,
        },
        _ => None,
    }
}

/// An id of zeros is written as nothing.
fn id(bytes: &[u8]) -> Option<Literals> {
    bytes.iter().any(|byte| *byte != 0).then(|| one(bytes)).flatten()
}

/// Fields that are strings on the wire, within the message of their own level, and always read as strings.
fn is_text(field: Field) -> bool {
    use Field::*;
    matches!(field, Name | Version | EventName | SeverityText | StatusMessage | Description | Unit | TraceState)
}

fn text_path(argument: Option<&Argument>, item: Context) -> bool {
    matches!(argument, Some(Argument::Value(Expr::Path(Path { level, field }))) if is_text(*field) && inside(*level, item))
}

fn of_call(call: &CallExpr, item: Context) -> Option<Literals> {
    let (first, second) = (call.args.first(), call.args.get(1));
    match call.function.name {
        "IsMatch" => match first {
            Some(Argument::Value(Expr::Attribute(key))) if inside(key.level, item) => {
                second?.text()?; // a pattern that is not constant may be invalid
                one(&key.key)
            }
            _ if text_path(first, item) => crate::pattern::required_literals(second?.text()?, MAX_LITERALS),
            _ => None,
        },
        "HasPrefix" | "HasSuffix" if text_path(first, item) => one(second?.text()?.as_bytes()),
        "IsString" | "IsInt" | "IsDouble" | "IsBool" | "IsMap" | "IsList" => match first {
            Some(Argument::Value(Expr::Attribute(key))) if inside(key.level, item) => one(&key.key),
            _ => None,
        },
        _ => None,
    }
}

/// Whether evaluation succeeds on every well-formed record.
fn cannot_fail(cond: &Cond) -> bool {
    let scalar = |expr: &Expr| matches!(expr, Expr::Const(value) if !matches!(value, Value::Map(_) | Value::List(_)));
    let read = |expr: &Expr| matches!(expr, Expr::Const(_) | Expr::Path(_) | Expr::Attribute(_));
    match cond {
        Cond::Const(_) | Cond::AttributeIs { .. } => true,
        Cond::Not(inner) => cannot_fail(inner),
        Cond::And(all) | Cond::Or(all) => all.iter().all(cannot_fail),
        Cond::Compare(_, left, right) => (scalar(left) && read(right)) || (scalar(right) && read(left)),
        Cond::Converter(Expr::Call(call)) => match (call.function.name, call.args.as_slice()) {
            ("IsString" | "IsInt" | "IsDouble" | "IsBool" | "IsMap" | "IsList", [Argument::Value(expr)]) => read(expr),
            ("IsMatch", [Argument::Value(Expr::Path(path)), pattern]) => {
                is_text(path.field) && pattern.text().is_some()
            }
            ("IsRootSpan", _) => true,
            _ => false,
        },
        Cond::Converter(_) => false,
    }
}
