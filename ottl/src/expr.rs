//! Compiled expressions: names resolved, constants folded, patterns compiled.

use std::sync::Arc;

use crate::ast::{CompareOp, MathOp};
use crate::function::{Argument, Converter, Function};
use crate::path::Path;
use crate::record::AttributeKey;
use crate::value::Value;

/// Something with a value.
#[derive(Debug)]
pub enum Expr {
    Const(Value<'static>),
    Path(Path),
    Attribute(AttributeKey),
    /// A path or attribute with (further) keys.
    Keyed(Box<Keyed>),
    /// One member of a span's trace state.
    TraceState(Path, Box<[u8]>),
    Neg(Box<Expr>),
    Math(Box<Expr>, Vec<(MathOp, Expr)>),
    Call(Box<CallExpr>),
    List(Vec<Expr>),
    Map(Vec<(Box<[u8]>, Expr)>),
}

/// An indexed path. `base` is a path or an attribute.
#[derive(Debug)]
pub struct Keyed {
    pub base: Expr,
    pub keys: Vec<KeyExpr>,
}

/// A key.
#[derive(Debug)]
pub enum KeyExpr {
    Str(Box<[u8]>),
    Int(i64),
    Dynamic(Expr),
}

/// A call of a converter.
#[derive(Debug)]
pub struct CallExpr {
    pub function: &'static Function,
    pub args: Vec<Argument>,
    /// What the function made of its arguments at load, if it has such a step.
    pub prepared: Option<Arc<dyn Converter>>,
    pub keys: Vec<KeyExpr>,
}

/// Something that is true or false.
#[derive(Debug)]
pub enum Cond {
    Const(bool),
    Not(Box<Cond>),
    And(Vec<Cond>),
    Or(Vec<Cond>),
    Compare(CompareOp, Expr, Expr),
    /// An attribute against a literal string, by far the most common condition.
    AttributeIs {
        attribute: AttributeKey,
        literal: Box<[u8]>,
        /// `!=` instead of `==`.
        negated: bool,
    },
    /// A converter that must return a bool.
    Converter(Expr),
}
