//! The syntax tree, with the place of every node in the source.

use std::fmt::Write as _;

use crate::error::Span;

/// `editor(…) where …`.
#[derive(Clone, Debug)]
pub struct Statement {
    pub editor: Call,
    pub condition: Option<BoolExpr>,
}

/// Something that is true or false.
#[derive(Clone, Debug)]
pub enum BoolExpr {
    Or(Vec<BoolExpr>),
    And(Vec<BoolExpr>),
    Not(Box<BoolExpr>),
    Compare { op: CompareOp, left: Value, right: Value },
    Literal(bool),
    Converter(Call),
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// An arithmetic operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MathOp {
    Add,
    Sub,
    Mul,
    Div,
}

/// Something with a value.
#[derive(Clone, Debug)]
pub struct Value {
    pub span: Span,
    pub kind: ValueKind,
}

/// The forms a value takes.
#[derive(Clone, Debug)]
pub enum ValueKind {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    Bytes(Vec<u8>),
    Enum(String),
    Path(Path),
    Converter(Call),
    Neg(Box<Value>),
    /// Operators of one precedence, from left to right.
    Math(Box<Value>, Vec<(MathOp, Value)>),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

/// A call of an editor or a converter, with the keys behind it.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: String,
    /// The name's place.
    pub span: Span,
    pub args: Vec<Arg>,
    pub keys: Vec<Key>,
}

/// One argument.
#[derive(Clone, Debug)]
pub struct Arg {
    pub name: Option<String>,
    pub span: Span,
    pub value: ArgValue,
}

/// A value, or the bare name of a converter that is handed to an editor.
#[derive(Clone, Debug)]
pub enum ArgValue {
    Value(Value),
    Function(String),
}

/// `context.field[key].field`. Whether the first name is a context is decided later, where contexts are known.
#[derive(Clone, Debug)]
pub struct Path {
    pub span: Span,
    pub fields: Vec<Field>,
}

/// One name of a path with its keys.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub keys: Vec<Key>,
}

/// What stands between brackets.
#[derive(Clone, Debug)]
pub struct Key {
    pub span: Span,
    pub kind: KeyKind,
}

/// The forms a key takes.
#[derive(Clone, Debug)]
pub enum KeyKind {
    String(String),
    Int(i64),
    Value(Box<Value>),
}

impl Path {
    /// The first name when it is followed by another and has no keys, hence may name a context.
    pub fn context(&self) -> Option<&str> {
        match self.fields.as_slice() {
            [first, _, ..] if first.keys.is_empty() => Some(&first.name),
            _ => None,
        }
    }

    /// The path as error texts show it: keys without quotes.
    pub fn text(&self) -> String {
        fields_text(&self.fields)
    }
}

pub(crate) fn fields_text(fields: &[Field]) -> String {
    let mut out = String::new();
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            out.push('.');
        }
        out.push_str(&field.name);
        out.push_str(&keys_text(&field.keys));
    }
    out
}

pub(crate) fn keys_text(keys: &[Key]) -> String {
    let mut out = String::new();
    for key in keys {
        out.push('[');
        match &key.kind {
            KeyKind::String(text) => out.push_str(text),
            KeyKind::Int(n) => {
                let _ = write!(out, "{n}");
            }
            KeyKind::Value(value) => match &value.kind {
                ValueKind::Path(path) => out.push_str(&path.text()),
                ValueKind::Float(x) => {
                    let _ = write!(out, "{x:.10}");
                }
                _ => {}
            },
        }
        out.push(']');
    }
    out
}

/// Something to look at while walking a tree.
#[derive(Clone, Copy, Debug)]
pub enum Mention<'t> {
    Path(&'t Path),
    Function(&'t str),
    Enum(&'t str),
}

/// Calls `seen` for every path, function and enum name, in source order.
pub fn mentions_in_statement<'t>(statement: &'t Statement, seen: &mut dyn FnMut(Mention<'t>)) {
    in_call(&statement.editor, seen);
    if let Some(condition) = &statement.condition {
        mentions_in_condition(condition, seen);
    }
}

/// Calls `seen` for every path, function and enum name, in source order.
pub fn mentions_in_condition<'t>(condition: &'t BoolExpr, seen: &mut dyn FnMut(Mention<'t>)) {
    match condition {
        BoolExpr::Or(all) | BoolExpr::And(all) => all.iter().for_each(|one| mentions_in_condition(one, seen)),
        BoolExpr::Not(inner) => mentions_in_condition(inner, seen),
        BoolExpr::Compare { left, right, .. } => {
            mentions_in_value(left, seen);
            mentions_in_value(right, seen);
        }
        BoolExpr::Literal(_) => {}
        BoolExpr::Converter(call) => in_call(call, seen),
    }
}

/// Calls `seen` for every path, function and enum name, in source order.
pub fn mentions_in_value<'t>(value: &'t Value, seen: &mut dyn FnMut(Mention<'t>)) {
    match &value.kind {
        ValueKind::Enum(name) => seen(Mention::Enum(name)),
        ValueKind::Path(path) => {
            seen(Mention::Path(path));
            path.fields.iter().for_each(|field| in_keys(&field.keys, seen));
        }
        ValueKind::Converter(call) => in_call(call, seen),
        ValueKind::Neg(inner) => mentions_in_value(inner, seen),
        ValueKind::Math(first, rest) => {
            mentions_in_value(first, seen);
            rest.iter().for_each(|(_, value)| mentions_in_value(value, seen));
        }
        ValueKind::List(items) => items.iter().for_each(|item| mentions_in_value(item, seen)),
        ValueKind::Map(items) => items.iter().for_each(|(_, item)| mentions_in_value(item, seen)),
        _ => {}
    }
}

fn in_call<'t>(call: &'t Call, seen: &mut dyn FnMut(Mention<'t>)) {
    seen(Mention::Function(&call.name));
    for arg in &call.args {
        if let ArgValue::Value(value) = &arg.value {
            mentions_in_value(value, seen);
        }
    }
    in_keys(&call.keys, seen);
}

fn in_keys<'t>(keys: &'t [Key], seen: &mut dyn FnMut(Mention<'t>)) {
    for key in keys {
        if let KeyKind::Value(value) = &key.kind {
            mentions_in_value(value, seen);
        }
    }
}
