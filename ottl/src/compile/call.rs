//! Calls: finding the function, matching arguments to parameters, checking what is known at load.

use super::Compiler;
use crate::ast::{self, Arg, ArgValue, ValueKind};
use crate::convert;
use crate::error::{Diagnostic, EvalError};
use crate::expr::{CallExpr, Expr, KeyExpr};
use crate::function::{Argument, Body, Function, Kind, Param};
use crate::quote::quoted;
use crate::value::Value;

impl Compiler<'_> {
    pub(super) fn function(&self, call: &ast::Call) -> Result<&'static Function, Diagnostic> {
        if let Some(function) = self.registry.find(self.context, &call.name) {
            return Ok(function);
        }
        let message = format!("undefined function {}", quoted(call.name.as_bytes()));
        let mut diagnostic = Diagnostic::new(call.span, message);
        let known = self.registry.in_context(self.context).map(|function| function.name);
        diagnostic.suggestion = crate::suggest::closest(&call.name, known).map(str::to_owned);
        Err(diagnostic)
    }

    pub(super) fn call(&mut self, call: &ast::Call) -> Result<Expr, Diagnostic> {
        let function = self.function(call)?;
        let args = self.bind(function, call)?;
        let prepared = match &function.body {
            Body::Prepared(prepare) => Some(
                prepare(&args).map_err(|why| Diagnostic::new(call.span, format!("couldn't create function: {why}")))?,
            ),
            Body::Converter(_) => None,
            Body::Editor => {
                let message = format!("converter names must start with an uppercase letter but got '{}'", call.name);
                return Err(Diagnostic::new(call.span, message));
            }
        };
        let keys = call.keys.iter().map(|key| self.key(key)).collect::<Result<Vec<_>, _>>()?;
        let constant = function.pure
            && args.iter().all(Argument::is_constant)
            && !keys.iter().any(|key| matches!(key, KeyExpr::Dynamic(_)));
        let expr = Expr::Call(Box::new(CallExpr { function, args, prepared, keys }));
        // A call that fails on constants fails on every record, not at load.
        Ok(match constant.then(|| Self::folded(&expr)).flatten() {
            Some(value) => Expr::Const(value),
            None => expr,
        })
    }

    /// The arguments in the order of the parameters.
    pub(super) fn bind(&mut self, function: &Function, call: &ast::Call) -> Result<Vec<Argument>, Diagnostic> {
        self.bind_all(function, call).map_err(|error| {
            error.within(format_args!("error while parsing arguments for call to {}", quoted(call.name.as_bytes())))
        })
    }

    fn bind_all(&mut self, function: &Function, call: &ast::Call) -> Result<Vec<Argument>, Diagnostic> {
        let fail = |message: String| Diagnostic::new(call.span, message);
        let first_named = call.args.iter().position(|arg| arg.name.is_some()).unwrap_or(call.args.len());
        if call.args[first_named..].iter().any(|arg| arg.name.is_none()) {
            return Err(fail("unnamed argument used after named argument".to_owned()));
        }
        let needed = function.params.iter().filter(|param| !param.optional).count();
        let (expected, received) = (function.params.len(), call.args.len());
        if received < needed || received > expected {
            return Err(fail(format!("incorrect number of arguments. Expected: {expected} Received: {received}")));
        }
        let mut bound: Vec<Argument> = function.params.iter().map(|_| Argument::Absent).collect();
        for (position, arg) in call.args.iter().enumerate() {
            let index = match &arg.name {
                None => position,
                Some(name) => function
                    .params
                    .iter()
                    .position(|param| answers_to(function, param, name))
                    .ok_or_else(|| Diagnostic::new(arg.span, format!("no such parameter: {name}")))?,
            };
            let argument = self
                .argument(function.params[index].kind, arg)
                .map_err(|error| error.within(format_args!("invalid argument at position {position}")))?;
            bound[index] = argument;
        }
        for (param, argument) in function.params.iter().zip(&bound) {
            if !param.optional && matches!(argument, Argument::Absent) {
                return Err(fail(format!("missing argument: {}", param.name)));
            }
        }
        Ok(bound)
    }

    fn argument(&mut self, kind: Kind, arg: &Arg) -> Result<Argument, Diagnostic> {
        let fail = |message: String| Diagnostic::new(arg.span, message);
        let value = match (&arg.value, kind) {
            (ArgValue::Function(name), Kind::Function) => return self.function_name(name, arg),
            (ArgValue::Value(ast::Value { kind: ValueKind::Enum(name), .. }), Kind::Function) => {
                return self.function_name(name, arg);
            }
            (_, Kind::Function) => return Err(fail("invalid function name given".to_owned())),
            (ArgValue::Function(name), _) => return Err(fail(format!("undefined function {name}"))),
            (ArgValue::Value(value), _) => value,
        };
        if let Kind::Items(of) = kind {
            let ValueKind::List(items) = &value.kind else {
                return Err(fail(format!("must be a list of type {}", of.name())));
            };
            let checked = items.iter().enumerate().map(|(index, item)| {
                self.checked(*of, item)
                    .map_err(|error| error.within(format_args!("error while parsing list argument at index {index}")))
            });
            return Ok(Argument::Items(checked.collect::<Result<_, _>>()?));
        }
        self.checked(kind, value).map(Argument::Value)
    }

    fn function_name(&self, name: &str, arg: &Arg) -> Result<Argument, Diagnostic> {
        match self.registry.find(self.context, name) {
            Some(function) if !matches!(function.body, Body::Editor) => Ok(Argument::Function(name.to_owned())),
            _ => Err(Diagnostic::new(arg.span, format!("undefined function {name}"))),
        }
    }

    /// Compiles a value and, if it is constant, checks that the parameter accepts it.
    fn checked(&mut self, kind: Kind, value: &ast::Value) -> Result<Expr, Diagnostic> {
        if kind == Kind::Path {
            let ValueKind::Path(path) = &value.kind else {
                return Err(Diagnostic::new(value.span, "must be a path"));
            };
            return self.path(path);
        }
        let expr = self.expr(value)?;
        let literal =
            !matches!(value.kind, ValueKind::Converter(_) | ValueKind::Math(..)) || literal_only(kind).is_some();
        let accepted = match &expr {
            Expr::Const(constant) if literal => accepts(kind, constant).map_err(|error| error.to_string()),
            Expr::Const(_) => Ok(()), // the result of a call: if it does not fit, that shows on every record
            _ => literal_only(kind).map_or(Ok(()), |message| Err(message.to_owned())),
        };
        accepted.map_err(|message| Diagnostic::new(value.span, message))?;
        Ok(expr)
    }
}

/// Whether a name means a parameter: case and underscores do not count, and some have another name upstream.
fn answers_to(function: &Function, param: &Param, given: &str) -> bool {
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let (given, own) = (plain(given), plain(param.name));
    if given == own {
        return true;
    }
    let has_target = || function.params.iter().any(|other| plain(other.name) == "target");
    match (given.as_str(), own.as_str()) {
        ("target", "value" | "v" | "input") => !has_target(),
        (given, own) => ALIASES.contains(&(function.name, own, given)),
    }
}

/// Function, parameter and its other name.
const ALIASES: &[(&str, &str, &str)] = &[
    ("Concat", "values", "vals"),
    ("Format", "args", "vals"),
    ("ParseCSV", "headers", "header"),
    ("ParseSeverity", "severitymapping", "mapping"),
    ("InsertXML", "value", "subdocument"),
    ("URL", "urlstring", "uri"),
    ("UserAgent", "value", "useragent"),
    ("replace_pattern", "regex", "regexpattern"),
    ("replace_all_patterns", "regex", "regexpattern"),
    ("Time", "target", "time"),
    ("HasAttrOnDatapoint", "value", "expectedval"),
];

fn literal_only(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::LiteralString => Some("must be a string"),
        Kind::LiteralInt => Some("must be an int"),
        Kind::LiteralFloat => Some("must be a float"),
        Kind::LiteralBool => Some("must be a bool"),
        _ => None,
    }
}

fn accepts(kind: Kind, value: &Value<'static>) -> Result<(), EvalError> {
    let literal = |fits: bool| match literal_only(kind) {
        Some(message) if !fits => Err(EvalError::Text(message)),
        _ => Ok(()),
    };
    match kind {
        Kind::LiteralString => literal(matches!(value, Value::Str(_))),
        Kind::LiteralInt => literal(matches!(value, Value::Int(_))),
        Kind::LiteralFloat => literal(matches!(value, Value::Float(_))),
        Kind::LiteralBool => literal(matches!(value, Value::Bool(_))),
        Kind::String => convert::string(value.reborrow()).map(drop),
        Kind::StringLike => crate::text::string_like(value).map(drop),
        Kind::Int => convert::int(value).map(drop),
        Kind::IntLike => convert::int_like(value).map(drop),
        Kind::Float => convert::float(value).map(drop),
        Kind::FloatLike => convert::float_like(value).map(drop),
        Kind::Bool => convert::bool(value).map(drop),
        Kind::BoolLike => convert::bool_like(value).map(drop),
        Kind::BytesLike => convert::bytes_like(value.reborrow()).map(drop),
        Kind::Time => convert::time(value).map(drop),
        Kind::Duration => convert::duration(value).map(drop),
        Kind::Map => convert::map(value.reborrow()).map(drop),
        Kind::List => convert::list(value.reborrow()).map(drop),
        Kind::Any | Kind::Path | Kind::Items(_) | Kind::Function => Ok(()),
    }
}
