//! Syntax tree to compiled expression: contexts and paths resolved, types of literals checked, constants folded.

mod call;
mod value;

use std::collections::HashMap;

use crate::ast::{self, BoolExpr, CompareOp};
use crate::context::{Context, ContextSet};
use crate::error::{Diagnostic, EvalError, LoadError, Subject};
use crate::expr::{Cond, Expr};
use crate::function::{Argument, Function, Registry};
use crate::parser::{parse_condition, parse_statement, parse_value_expression};
use crate::path::{Field, Path};
use crate::record::{AttributeKey, Clock, NoRecord, Record, Scope};
use crate::time::Time;
use crate::value::Value;

/// Compiles the expressions of one context. Expressions compiled by one compiler share attribute slots.
#[derive(Debug)]
pub struct Compiler<'e> {
    context: Context,
    registry: &'e Registry,
    unprefixed: bool,
    added_prefix: bool,
    slots: HashMap<(Context, Box<[u8]>), usize>,
}

/// A condition, ready to run.
#[derive(Debug)]
pub struct Condition {
    source: String,
    pub(crate) cond: Cond,
}

/// A value expression, ready to run.
#[derive(Debug)]
pub struct ValueExpression {
    source: String,
    pub(crate) expr: Expr,
}

/// A statement whose call has been checked, with its condition ready to run.
#[derive(Debug)]
pub struct Statement {
    source: String,
    pub editor: &'static Function,
    pub args: Vec<Argument>,
    pub(crate) condition: Option<Cond>,
}

impl<'e> Compiler<'e> {
    /// For expressions that run on `context`. Every path must name its context.
    pub fn new(context: Context, registry: &'e Registry) -> Self {
        Compiler { context, registry, unprefixed: false, added_prefix: false, slots: HashMap::new() }
    }

    /// Lets paths leave out the context's own name, as where a config names the context.
    #[must_use]
    pub fn allow_unprefixed(mut self) -> Self {
        self.unprefixed = true;
        self
    }

    /// Whether some path left out its context's name; worth one line in the log.
    pub fn added_prefix(&self) -> bool {
        self.added_prefix
    }

    /// The attributes that the expressions compiled so far read by constant keys, by slot.
    pub fn attributes(&self) -> Vec<AttributeKey> {
        let mut keys: Vec<AttributeKey> = self
            .slots
            .iter()
            .map(|((level, key), slot)| AttributeKey { level: *level, key: key.clone(), slot: *slot })
            .collect();
        keys.sort_by_key(|key| key.slot);
        keys
    }

    /// Compiles a condition.
    ///
    /// # Errors
    /// Syntax, names, types.
    pub fn condition(&mut self, source: &str) -> Result<Condition, LoadError> {
        let tree = parse_condition(source)?;
        let cond = self.cond(&tree).map_err(|diagnostic| invalid(Subject::Condition, source, diagnostic))?;
        Ok(Condition { source: source.to_owned(), cond })
    }

    /// Compiles conditions; all errors are collected.
    ///
    /// # Errors
    /// Those of each condition.
    pub fn conditions<S: AsRef<str>>(&mut self, sources: &[S]) -> Result<Vec<Condition>, Vec<LoadError>> {
        collect(sources, |source| self.condition(source))
    }

    /// Compiles a value expression.
    ///
    /// # Errors
    /// Syntax, names, types.
    pub fn value_expression(&mut self, source: &str) -> Result<ValueExpression, LoadError> {
        let tree = parse_value_expression(source)?;
        let expr = self.expr(&tree).map_err(|diagnostic| invalid(Subject::ValueExpression, source, diagnostic))?;
        Ok(ValueExpression { source: source.to_owned(), expr })
    }

    /// Compiles a statement: checks the editor's arguments, compiles them and the condition.
    ///
    /// # Errors
    /// Syntax, names, types.
    pub fn statement(&mut self, source: &str) -> Result<Statement, LoadError> {
        let tree = parse_statement(source)?;
        let compiled = self.checked_statement(&tree);
        let (editor, args, condition) =
            compiled.map_err(|diagnostic| invalid(Subject::Statement, source, diagnostic))?;
        Ok(Statement { source: source.to_owned(), editor, args, condition })
    }

    /// Compiles statements; all errors are collected.
    ///
    /// # Errors
    /// Those of each statement.
    pub fn statements<S: AsRef<str>>(&mut self, sources: &[S]) -> Result<Vec<Statement>, Vec<LoadError>> {
        collect(sources, |source| self.statement(source))
    }

    fn checked_statement(
        &mut self,
        tree: &ast::Statement,
    ) -> Result<(&'static Function, Vec<Argument>, Option<Cond>), Diagnostic> {
        let editor = self.function(&tree.editor)?;
        let args = self.bind(editor, &tree.editor)?;
        let condition = tree.condition.as_ref().map(|condition| self.cond(condition)).transpose()?;
        Ok((editor, args, condition))
    }

    fn cond(&mut self, tree: &BoolExpr) -> Result<Cond, Diagnostic> {
        Ok(match tree {
            BoolExpr::Literal(holds) => Cond::Const(*holds),
            BoolExpr::Not(inner) => match self.cond(inner)? {
                Cond::Const(holds) => Cond::Const(!holds),
                inner => Cond::Not(Box::new(inner)),
            },
            BoolExpr::And(all) => self.chain(all, false, Cond::And)?,
            BoolExpr::Or(all) => self.chain(all, true, Cond::Or)?,
            BoolExpr::Compare { op, left, right } => self.comparison(*op, left, right)?,
            BoolExpr::Converter(call) => match self.call(call)? {
                Expr::Const(Value::Bool(holds)) => Cond::Const(holds),
                // A constant of another type fails on every record, not at load.
                expr => Cond::Converter(expr),
            },
        })
    }

    /// `and` or `or`: constants that decide nothing are left out, what follows one that decides is never reached.
    fn chain(&mut self, all: &[BoolExpr], decides: bool, make: fn(Vec<Cond>) -> Cond) -> Result<Cond, Diagnostic> {
        let mut kept = Vec::with_capacity(all.len());
        let mut decided = false;
        for tree in all {
            let cond = self.cond(tree)?; // also what is not reached must be valid
            match cond {
                Cond::Const(holds) if holds != decides => {}
                cond if !decided => {
                    decided = matches!(cond, Cond::Const(_));
                    kept.push(cond);
                }
                _ => {}
            }
        }
        Ok(match kept.len() {
            0 => Cond::Const(!decides),
            1 => kept.remove(0),
            _ => make(kept),
        })
    }

    fn comparison(&mut self, op: CompareOp, left: &ast::Value, right: &ast::Value) -> Result<Cond, Diagnostic> {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        if let (Expr::Const(a), Expr::Const(b)) = (&left, &right)
            && let Ok(holds) = crate::compare::compare(op, a, b)
        {
            return Ok(Cond::Const(holds));
        }
        if let CompareOp::Eq | CompareOp::Ne = op {
            let negated = op == CompareOp::Ne;
            match (left, right) {
                (Expr::Attribute(attribute), Expr::Const(Value::Str(text)))
                | (Expr::Const(Value::Str(text)), Expr::Attribute(attribute)) => {
                    return Ok(Cond::AttributeIs { attribute, literal: text.into_owned().into(), negated });
                }
                (left, right) => {
                    let (left, right) = without_id_text(left, right);
                    return Ok(Cond::Compare(op, left, right));
                }
            }
        }
        Ok(Cond::Compare(op, left, right))
    }

    /// The value of an expression that depends on nothing, if it has one.
    fn folded(expr: &Expr) -> Option<Value<'static>> {
        let clock = || Time::from_unix_nanos(0); // pure expressions do not read it
        expr.eval(Scope::new(&NoRecord, &clock)).ok()?.to_owned_value().ok()
    }
}

/// Compares an id's text with a literal as bytes, so that no text is made per record.
fn without_id_text(left: Expr, right: Expr) -> (Expr, Expr) {
    let (path, text) = match (&left, &right) {
        (Expr::Path(path), Expr::Const(Value::Str(text))) | (Expr::Const(Value::Str(text)), Expr::Path(path)) => {
            (*path, text)
        }
        _ => return (left, right),
    };
    let canonical = !text.iter().any(u8::is_ascii_uppercase);
    let bytes = if canonical { crate::text::decode_hex(text) } else { None }.unwrap_or_default();
    let (field, id) = match (path.field, bytes.len()) {
        (Field::TraceIdString, 16) => (Field::TraceId, bytes.try_into().ok().map(Value::TraceId)),
        (Field::SpanIdString, 8) => (Field::SpanId, bytes.try_into().ok().map(Value::SpanId)),
        (Field::ParentSpanIdString, 8) => (Field::ParentSpanId, bytes.try_into().ok().map(Value::SpanId)),
        _ => return (left, right),
    };
    match id {
        Some(id) => (Expr::Path(Path { field, ..path }), Expr::Const(id)),
        None => (left, right),
    }
}

fn collect<S: AsRef<str>, T>(
    sources: &[S],
    mut compile: impl FnMut(&str) -> Result<T, LoadError>,
) -> Result<Vec<T>, Vec<LoadError>> {
    let (mut compiled, mut errors) = (Vec::with_capacity(sources.len()), Vec::new());
    for source in sources {
        match compile(source.as_ref()) {
            Ok(one) => compiled.push(one),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(compiled) } else { Err(errors) }
}

fn invalid(subject: Subject, source: &str, diagnostic: Diagnostic) -> LoadError {
    LoadError::Invalid { subject, source_text: source.to_owned(), diagnostic }
}

impl Condition {
    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it holds for a record.
    ///
    /// # Errors
    /// What evaluation meets; what to make of it is the error mode's business.
    #[inline]
    pub fn eval(&self, record: &dyn Record, clock: &dyn Clock) -> Result<bool, EvalError> {
        self.cond.eval(Scope::new(record, clock))
    }

    /// As [`eval`](Self::eval), in a scope with a cache.
    ///
    /// # Errors
    /// As there.
    pub fn eval_in(&self, scope: Scope<'_>) -> Result<bool, EvalError> {
        self.cond.eval(scope)
    }

    /// The result, if it is the same for every record.
    pub fn constant(&self) -> Option<bool> {
        match self.cond {
            Cond::Const(holds) => Some(holds),
            _ => None,
        }
    }

    /// The levels whose fields it may look at.
    pub fn levels_read(&self) -> ContextSet {
        crate::analysis::levels_of_cond(&self.cond)
    }

    /// Strings of bytes of which at least one is inside the bytes of the item (its own message, without the resource and
    /// scope around it) whenever the condition is true. `None`: no such strings are known.
    ///
    /// If none of them is there, evaluation returns `Ok(false)`: it does not fail either, so a caller that skips it
    /// misses no error.
    pub fn required_literals(&self, item: Context) -> Option<Vec<Box<[u8]>>> {
        crate::analysis::required_literals(&self.cond, item)
    }
}

impl ValueExpression {
    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The value for a record.
    ///
    /// # Errors
    /// What evaluation meets.
    pub fn eval<'r>(&'r self, scope: Scope<'r>) -> Result<Value<'r>, EvalError> {
        self.expr.eval(scope)
    }

    /// The levels whose fields it may look at.
    pub fn levels_read(&self) -> ContextSet {
        crate::analysis::levels_of_expr(&self.expr)
    }
}

impl Statement {
    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the editor is to run on a record.
    ///
    /// # Errors
    /// What evaluating the condition meets.
    pub fn applies(&self, scope: Scope<'_>) -> Result<bool, EvalError> {
        self.condition.as_ref().map_or(Ok(true), |condition| condition.eval(scope))
    }
}
