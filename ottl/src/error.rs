//! What can go wrong: at load ([`LoadError`], shown to whoever wrote the config) and per record ([`EvalError`], counted).

use std::fmt;

use crate::quote::quoted;

/// A range of bytes in the source text, for pointing into the config file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    /// The range that covers both.
    #[must_use]
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A message about a place in the source text. The text is upstream's where upstream has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub message: String,
    pub span: Span,
    /// A name that exists and is spelt much like the one that does not.
    pub suggestion: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Diagnostic { message: message.into(), span, suggestion: None }
    }

    /// Puts what was being done in front, as nested calls do.
    #[must_use]
    pub(crate) fn within(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(name) => write!(f, "; did you mean {}?", quoted(name.as_bytes())),
            None => Ok(()),
        }
    }
}

/// What a source text is, for error texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Statement,
    Condition,
    ValueExpression,
}

impl Subject {
    /// `statement`, `condition` or `value expression`.
    pub fn name(self) -> &'static str {
        match self {
            Subject::Statement => "statement",
            Subject::Condition => "condition",
            Subject::ValueExpression => "value expression",
        }
    }
}

/// Why expressions cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("unable to parse OTTL {} {}: {diagnostic}", subject.name(), quoted(source_text.as_bytes()))]
    Invalid { subject: Subject, source_text: String, diagnostic: Diagnostic },
    /// No context fits a group of expressions.
    #[error("{0}")]
    Inference(String),
}

impl LoadError {
    /// The place in the source text, if one is to blame.
    pub fn span(&self) -> Option<Span> {
        match self {
            LoadError::Invalid { diagnostic, .. } => Some(diagnostic.span),
            LoadError::Inference(_) => None,
        }
    }
}

/// Why an expression has no value for a record. Made without allocating where a record can cause it at will.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvalError {
    #[error("expected {expected} but got {got}")]
    Type { expected: &'static str, got: &'static str },
    #[error("unsupported type: {0}")]
    UnsupportedType(&'static str),
    #[error("key not found in map")]
    KeyNotFound,
    #[error("index {0} out of bounds")]
    OutOfBounds(i64),
    #[error("type {kind} does not support {key} indexing")]
    NotIndexable { kind: &'static str, key: &'static str },
    #[error("log bodies of type {0} cannot be indexed")]
    BodyNotIndexable(&'static str),
    #[error("could not resolve key for map/slice, expecting '{expected}' but got '{got}'")]
    Key { expected: &'static str, got: &'static str },
    #[error("attempted to divide by 0")]
    DivideByZero,
    #[error("{value} must be {allowed}")]
    Operand { value: String, allowed: &'static str },
    #[error("unsupported unary minus operation on type {0}")]
    UnaryMinus(&'static str),
    #[error("only addition and subtraction supported for time.Time and time.Duration")]
    TimeOperator,
    #[error("value returned from Converter in constant expression must be bool but got {0}")]
    NotBool(&'static str),
    #[error("{0}: the result is larger than 4 MiB")]
    TooLarge(&'static str),
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
    #[error("{0}")]
    Text(&'static str),
    #[error("{0}")]
    Function(Box<str>),
    #[error(transparent)]
    Malformed(#[from] sluice_pdata::Error),
}

impl EvalError {
    pub(crate) fn function(message: impl Into<String>) -> Self {
        EvalError::Function(message.into().into_boxed_str())
    }

    /// The label under which the error is counted: few, stable, and free of anything a record contains.
    pub fn class(&self) -> &'static str {
        match self {
            EvalError::Type { .. } | EvalError::UnsupportedType(_) | EvalError::NotBool(_) => "type",
            EvalError::KeyNotFound | EvalError::OutOfBounds(_) | EvalError::Key { .. } => "key",
            EvalError::NotIndexable { .. } | EvalError::BodyNotIndexable(_) => "index",
            EvalError::DivideByZero
            | EvalError::Operand { .. }
            | EvalError::UnaryMinus(_)
            | EvalError::TimeOperator => "math",
            EvalError::TooLarge(_) | EvalError::TooDeep(_) => "limit",
            EvalError::Text(_) | EvalError::Function(_) => "function",
            EvalError::Malformed(_) => "malformed",
        }
    }
}
