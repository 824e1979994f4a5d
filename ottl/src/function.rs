//! Functions: what they take, how they are called, and which there are where.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::context::Context;
use crate::convert;
use crate::error::EvalError;
use crate::expr::Expr;
use crate::record::Scope;
use crate::time::Time;
use crate::value::{List, Map, Value};

/// What a parameter accepts (ottl.md §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Any,
    String,
    StringLike,
    Int,
    IntLike,
    Float,
    FloatLike,
    Bool,
    BoolLike,
    BytesLike,
    Time,
    Duration,
    Map,
    List,
    /// A path that is read and written.
    Path,
    LiteralString,
    LiteralInt,
    LiteralFloat,
    LiteralBool,
    /// A list written out, each element of one kind.
    Items(&'static Kind),
    /// The bare name of a converter.
    Function,
}

impl Kind {
    /// The element kind's name in error texts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Any => "Getter",
            Kind::String => "StringGetter",
            Kind::StringLike => "StringLikeGetter",
            Kind::LiteralString => "string",
            Kind::LiteralInt => "int64",
            Kind::LiteralFloat => "float64",
            Kind::LiteralBool => "bool",
            _ => "Getter",
        }
    }
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    pub name: &'static str,
    pub kind: Kind,
    pub optional: bool,
}

/// A parameter that must be given.
pub const fn required(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, optional: false }
}

/// A parameter that may be left out.
pub const fn optional(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, optional: true }
}

/// An editor or a converter.
#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    pub params: &'static [Param],
    pub body: Body,
    /// The contexts that have it; none means all.
    pub only: &'static [Context],
    /// The levels of the record it looks at beside its arguments.
    pub reads: &'static [Context],
    /// Whether equal arguments always give equal results, so that a call on constants is a constant.
    pub pure: bool,
}

impl Function {
    /// A converter that is a function of its arguments alone.
    pub const fn converter(name: &'static str, params: &'static [Param], run: Run) -> Function {
        Function { name, params, body: Body::Converter(run), only: &[], reads: &[], pure: true }
    }

    /// A converter that looks at its arguments once at load.
    pub const fn prepared(name: &'static str, params: &'static [Param], prepare: Prepare) -> Function {
        Function { name, params, body: Body::Prepared(prepare), only: &[], reads: &[], pure: true }
    }

    /// An editor.
    pub const fn editor(name: &'static str, params: &'static [Param]) -> Function {
        Function { name, params, body: Body::Editor, only: &[], reads: &[], pure: false }
    }

    /// The same, but with another result at each call: never folded.
    #[must_use]
    pub const fn impure(self) -> Function {
        Function { pure: false, ..self }
    }

    /// The same, but looking at these levels of the record: never folded.
    #[must_use]
    pub const fn reading(self, levels: &'static [Context]) -> Function {
        Function { pure: false, reads: levels, ..self }
    }

    /// The same, in these contexts only.
    #[must_use]
    pub const fn only(self, contexts: &'static [Context]) -> Function {
        Function { only: contexts, ..self }
    }
}

/// Runs a converter.
pub type Run = for<'r> fn(Call<'r>) -> Result<Value<'r>, EvalError>;

/// Makes a converter of its arguments; the error says why it cannot be.
pub type Prepare = fn(&[Argument]) -> Result<Arc<dyn Converter>, String>;

/// How a function works.
pub enum Body {
    Converter(Run),
    Prepared(Prepare),
    /// Its shape is known; what it changes is not part of evaluation.
    Editor,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Body::Converter(_) => "Converter",
            Body::Prepared(_) => "Prepared",
            Body::Editor => "Editor",
        })
    }
}

/// A converter with what it made of its arguments at load.
pub trait Converter: fmt::Debug + Send + Sync {
    /// Runs it.
    ///
    /// # Errors
    /// Whatever the function documents.
    fn call<'r>(&'r self, call: Call<'r>) -> Result<Value<'r>, EvalError>;
}

/// An argument after type-checking, in the order of the parameters.
#[derive(Debug)]
pub enum Argument {
    Absent,
    Value(Expr),
    Items(Vec<Expr>),
    /// The name of a converter.
    Function(String),
}

impl Argument {
    /// The value, if it is known at load.
    pub fn constant(&self) -> Option<&Value<'static>> {
        match self {
            Argument::Value(Expr::Const(value)) => Some(value),
            _ => None,
        }
    }

    /// The text, if it is a string known at load.
    pub fn text(&self) -> Option<&str> {
        match self.constant()? {
            Value::Str(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// Whether nothing in it depends on the record.
    pub(crate) fn is_constant(&self) -> bool {
        match self {
            Argument::Absent | Argument::Function(_) => true,
            Argument::Value(expr) => matches!(expr, Expr::Const(_)),
            Argument::Items(items) => items.iter().all(|item| matches!(item, Expr::Const(_))),
        }
    }
}

/// One call: the arguments, to be evaluated on demand.
#[derive(Clone, Copy)]
pub struct Call<'r> {
    args: &'r [Argument],
    pub scope: Scope<'r>,
}

impl<'r> Call<'r> {
    pub(crate) fn new(args: &'r [Argument], scope: Scope<'r>) -> Self {
        Call { args, scope }
    }

    /// Whether an optional argument is there.
    pub fn given(&self, index: usize) -> bool {
        !matches!(self.args.get(index), None | Some(Argument::Absent))
    }

    /// The argument's value; nil if it was left out.
    pub fn value(&self, index: usize) -> Result<Value<'r>, EvalError> {
        match self.args.get(index) {
            Some(Argument::Value(expr)) => expr.eval(self.scope),
            _ => Ok(Value::Nil),
        }
    }

    /// The elements of a list that was written out.
    pub fn items(&self, index: usize) -> impl ExactSizeIterator<Item = Result<Value<'r>, EvalError>> + use<'r> {
        let items = match self.args.get(index) {
            Some(Argument::Items(items)) => items.as_slice(),
            _ => &[],
        };
        let scope = self.scope;
        items.iter().map(move |item| item.eval(scope))
    }

    pub fn string(&self, index: usize) -> Result<Cow<'r, [u8]>, EvalError> {
        convert::string(self.value(index)?)
    }

    pub fn string_like(&self, index: usize) -> Result<Option<Cow<'r, [u8]>>, EvalError> {
        crate::text::string_like(&self.value(index)?)
    }

    pub fn int(&self, index: usize) -> Result<i64, EvalError> {
        convert::int(&self.value(index)?)
    }

    pub fn int_like(&self, index: usize) -> Result<Option<i64>, EvalError> {
        convert::int_like(&self.value(index)?)
    }

    pub fn float(&self, index: usize) -> Result<f64, EvalError> {
        convert::float(&self.value(index)?)
    }

    pub fn float_like(&self, index: usize) -> Result<Option<f64>, EvalError> {
        convert::float_like(&self.value(index)?)
    }

    pub fn bool(&self, index: usize) -> Result<bool, EvalError> {
        convert::bool(&self.value(index)?)
    }

    pub fn bool_like(&self, index: usize) -> Result<Option<bool>, EvalError> {
        convert::bool_like(&self.value(index)?)
    }

    pub fn bytes_like(&self, index: usize) -> Result<Option<Cow<'r, [u8]>>, EvalError> {
        convert::bytes_like(self.value(index)?)
    }

    pub fn time(&self, index: usize) -> Result<Time, EvalError> {
        convert::time(&self.value(index)?)
    }

    pub fn duration(&self, index: usize) -> Result<i64, EvalError> {
        convert::duration(&self.value(index)?)
    }

    pub fn map(&self, index: usize) -> Result<Map<'r>, EvalError> {
        convert::map(self.value(index)?)
    }

    pub fn list(&self, index: usize) -> Result<List<'r>, EvalError> {
        convert::list(self.value(index)?)
    }
}

/// The functions that expressions may use.
#[derive(Clone, Debug)]
pub struct Registry {
    families: Vec<&'static [Function]>,
}

impl Registry {
    /// The standard converters: what conditions may use.
    pub fn converters() -> Registry {
        Registry { families: crate::functions::CONVERTERS.to_vec() }
    }

    /// The standard converters and editors: what statements may use.
    pub fn standard() -> Registry {
        Registry::converters().with(crate::functions::EDITORS)
    }

    /// What the conditions of the filter may use.
    pub fn filter() -> Registry {
        Registry::converters().with(crate::functions::METRIC_FILTER)
    }

    /// These as well.
    #[must_use]
    pub fn with(mut self, family: &'static [Function]) -> Registry {
        self.families.push(family);
        self
    }

    /// The function of that name in a context.
    pub fn find(&self, context: Context, name: &str) -> Option<&'static Function> {
        self.in_context(context).find(|function| function.name == name)
    }

    /// All functions of a context.
    pub fn in_context(&self, context: Context) -> impl Iterator<Item = &'static Function> + '_ {
        let families = self.families.iter().flat_map(|family| family.iter());
        families.filter(move |function| function.only.is_empty() || function.only.contains(&context))
    }
}
