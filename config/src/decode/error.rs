//! The decoder's error: what is wrong, at which field, at which place.

use std::fmt::{self, Display};

use serde::de::{self, Expected, Unexpected};

use super::prefixed;
use crate::diagnostic::Diagnostic;
use crate::source::Origin;
use crate::suggest::{did_you_mean, nearest};
use crate::tree::Node;

/// Why a value cannot be decoded. Texts are upstream's where it has one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    #[error("expected type '{expected}', got unconvertible type '{found}'")]
    WrongType { expected: &'static str, found: &'static str },
    #[error("expected a map or struct, got \"{0}\"")]
    NotAMap(&'static str),
    #[error("unexpected type {0} for 'enabled': expected 'true' or 'false'")]
    Switch(&'static str),
    #[error("source data must be an array or slice, got {0}")]
    NotAList(&'static str),
    #[error("cannot parse, {value} overflows {expected}")]
    Overflow { value: String, expected: &'static str },
    #[error("{0}")]
    Duration(&'static str),
    #[error("invalid size {0:?}")]
    Size(String),
    #[error("unknown value {}; must be one of {}", crate::quote(.found), .allowed.join(", "))]
    NotOneOf { found: String, allowed: &'static [&'static str] },
    #[error("is required")]
    Missing,
    #[error("null")]
    NullField,
    #[error("{0}")]
    Custom(String),
}

/// What to leave out of the next round, so that the rest can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Blame {
    /// The value at this address failed.
    Value(*const Node),
    /// A null that keeps the field's default; the field is [`Error::pattern`].
    NullField,
    /// Nothing to leave out: the root itself failed.
    Root,
}

/// One step of the way from the root to the value.
#[derive(Clone, Debug)]
pub(crate) enum Segment {
    Field(String),
    Key(String),
    Index(usize),
}

#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Error {
    reason: Box<Reason>,
    /// From the inside out.
    path: Vec<Segment>,
    origin: Option<Origin>,
    blame: Option<Blame>,
    silent: bool,
}

impl Error {
    pub(crate) fn new(reason: Reason) -> Self {
        Self { reason: Box::new(reason), path: Vec::new(), origin: None, blame: None, silent: false }
    }

    /// The field of the innermost struct that is missing, if that is the error.
    pub(crate) fn missing(&self) -> Option<&str> {
        match (&*self.reason, self.path.as_slice()) {
            (Reason::Missing, [Segment::Field(name)]) => Some(name),
            _ => None,
        }
    }

    /// Follows from an error that was already reported.
    pub(crate) fn silence(mut self) -> Self {
        self.silent = true;
        self
    }

    /// Whether there is something to report.
    pub(crate) fn is_news(&self) -> bool {
        !self.silent && !matches!(self.blame(), Blame::NullField)
    }

    /// The innermost place wins.
    #[cold]
    #[inline(never)]
    pub(crate) fn at(mut self, node: &Node) -> Self {
        self.origin.get_or_insert_with(|| node.origin.clone());
        self
    }

    /// At and about a value that is no step of the path.
    pub(crate) fn at_value(mut self, value: &Node) -> Self {
        self.blame = Some(Blame::Value(std::ptr::from_ref(value)));
        self.at(value)
    }

    /// Called by each enclosing collection on the way out. The innermost value that can be left out is blamed.
    #[cold]
    #[inline(never)]
    pub(crate) fn inside(mut self, segment: Segment, value: &Node) -> Self {
        self = self.at(value);
        let null = matches!(*self.reason, Reason::NullField);
        let address = std::ptr::from_ref(value);
        self.blame.get_or_insert(if null { Blame::NullField } else { Blame::Value(address) });
        self.path.push(segment);
        self
    }

    /// Inside a value that is no tree node of its own (an item of a split string).
    pub(crate) fn inside_split(mut self, index: usize, whole: &Node) -> Self {
        self.origin = Some(whole.origin.clone());
        self.path.push(Segment::Index(index));
        self
    }

    pub(crate) fn blame(&self) -> Blame {
        self.blame.unwrap_or(Blame::Root)
    }

    /// The field with list indexes and map keys left out: all such fields have the same type.
    pub(crate) fn pattern(&self) -> String {
        pattern(self.path.iter().rev())
    }

    pub(crate) fn diagnostic(self, root: &Node) -> Diagnostic {
        let path = path_text(self.path.iter().rev());
        let code = match *self.reason {
            Reason::WrongType { .. }
            | Reason::NotAMap(_)
            | Reason::NotAList(_)
            | Reason::Switch(_)
            | Reason::NullField => "E0101",
            Reason::Overflow { .. } | Reason::Custom(_) => "E0105",
            Reason::Duration(_) | Reason::Size(_) => "E0107",
            Reason::NotOneOf { .. } => "E0106",
            Reason::Missing => "E0104",
        };
        let text = match (&*self.reason, path.is_empty()) {
            (Reason::Custom(text), true) => text.clone(),
            (reason, _) => format!("'{path}' {reason}"),
        };
        let diagnostic = Diagnostic::new(code, prefixed(root.label(), &text));
        let diagnostic = diagnostic.at(self.origin.as_ref().unwrap_or(&root.origin));
        match *self.reason {
            Reason::WrongType { expected: "bool", .. } | Reason::Switch(_) => diagnostic.help("write true or false"),
            Reason::WrongType { expected: "time.Duration", .. } | Reason::Duration(_) => {
                diagnostic.label("a number with a unit, such as 300ms, 5s or 1m30s")
            }
            Reason::Size(_) => diagnostic.label("bytes, or a number with a unit, such as 64MiB"),
            Reason::NotOneOf { found, allowed } => match did_you_mean(&found, allowed.iter().copied()) {
                Some(hint) => diagnostic.label(hint).suggest(&found, allowed.iter().copied()),
                None => diagnostic,
            },
            Reason::Custom(_) => match root.label().and_then(super::problems::fields_of) {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            },
            Reason::WrongType { expected, .. } => diagnostic.label(wanted(expected)),
            Reason::NotAMap(_) => diagnostic.label("a map belongs here: `key: value` lines, indented below"),
            Reason::NotAList(_) => diagnostic.label("a list belongs here: [a, b], or `- a` lines"),
            Reason::Overflow { .. } => diagnostic.label("the number is too large or too small for this field"),
            Reason::Missing => diagnostic.help(format!("add `{}: …` here", path.rsplit(['.']).next().unwrap_or(&path))),
            _ => diagnostic,
        }
    }
}

/// What to write where the type is wrong.
fn wanted(expected: &str) -> &'static str {
    match expected {
        "string" => "a text belongs here",
        "float64" => "a number belongs here",
        "nil" => "nothing belongs here",
        "any" => "a value belongs here",
        _ => "a whole number belongs here",
    }
}

/// `actions.*.key`: the path of a field whatever the indexes and keys.
pub(crate) fn pattern<'a>(segments: impl Iterator<Item = &'a Segment>) -> String {
    let names = segments.map(|segment| match segment {
        Segment::Field(name) => name.as_str(),
        Segment::Key(_) | Segment::Index(_) => "*",
    });
    names.collect::<Vec<_>>().join(".")
}

/// `protocols.grpc`, `actions[0].key`, `attributes[http.method]`, as upstream's decoder prints paths.
pub(crate) fn path_text<'a>(segments: impl Iterator<Item = &'a Segment>) -> String {
    let mut out = String::new();
    for segment in segments {
        match segment {
            Segment::Field(name) if out.is_empty() => out.push_str(name),
            Segment::Field(name) => {
                out.push('.');
                out.push_str(name);
            }
            Segment::Key(name) => out.push_str(&format!("[{name}]")),
            Segment::Index(index) => out.push_str(&format!("[{index}]")),
        }
    }
    out
}

/// A key that no field has.
#[derive(Debug)]
pub(crate) struct UnknownField {
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) origin: Origin,
    pub(crate) fields: Vec<&'static str>,
}

impl UnknownField {
    pub(crate) fn diagnostic(self, label: Option<&str>) -> Diagnostic {
        let text = prefixed(label, &format!("'{}' has invalid keys: {}", self.path, self.key));
        let fields = || self.fields.iter().copied().filter(|field| !field.starts_with(".."));
        let hint = did_you_mean(&self.key, fields()).map(|hint| format!("unknown field; {hint}"));
        let diagnostic =
            Diagnostic::new("E0102", text).at(&self.origin).label(hint.unwrap_or_else(|| "unknown field".to_owned()));
        let diagnostic = diagnostic.suggest(&self.key, fields());
        const SHOWN: usize = 12;
        let mut names: Vec<&str> = nearest(&self.key, fields());
        names.extend(fields().filter(|field| !names.contains(field)).collect::<Vec<_>>());
        let more = if names.len() > SHOWN { ", …" } else { "" };
        names.truncate(SHOWN);
        match names.is_empty() {
            true => diagnostic.note("this block has no fields"),
            false => diagnostic.note(format!("fields: {}{more}", names.join(", "))),
        }
    }
}

impl de::Error for Error {
    fn custom<T: Display>(text: T) -> Self {
        Self::new(Reason::Custom(text.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {expected}, got {}", kind(&found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {expected}, got {}", kind(&found)))
    }

    fn unknown_variant(found: &str, allowed: &'static [&'static str]) -> Self {
        Self::new(Reason::NotOneOf { found: found.to_owned(), allowed })
    }

    fn missing_field(field: &'static str) -> Self {
        let mut error = Self::new(Reason::Missing);
        error.path.push(Segment::Field(field.to_owned()));
        error
    }
}

/// The kind of a value, never the value: it could be a secret.
fn kind(found: &Unexpected<'_>) -> impl Display {
    struct Kind(&'static str);
    impl fmt::Display for Kind {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }
    Kind(match found {
        Unexpected::Bool(_) => "a bool",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a map",
        _ => "another value",
    })
}
