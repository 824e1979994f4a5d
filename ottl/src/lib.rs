//! OTTL, the OpenTelemetry Transformation Language: expressions over telemetry records.
//!
//! Expressions are compiled once, when a config is loaded, and evaluated per record without knowing how records are kept:
//! a record is anything that implements [`Record`]; [`wire`] implements it over OTLP bytes. Evaluation does no I/O, has no
//! clock but the one it is given, and never panics; comparisons and pattern matches of what a record holds allocate nothing.
//!
//! | step | module |
//! |---|---|
//! | text → tokens → tree | `lexer`, [`parser`], [`ast`] |
//! | which context | [`mod@infer`], [`context`] |
//! | tree → expression | [`compile`], with [`path`], [`symbols`], [`function`] and [`functions`] |
//! | expression × record → value | `eval`, with `compare`, `math`, `convert`, [`text`], [`pattern`] |
//! | sequences and errors | [`conditions`], [`error`] |

mod analysis;
pub mod ast;
mod compare;
pub mod compile;
pub mod conditions;
pub mod context;
mod convert;
pub mod error;
mod eval;
pub mod expr;
pub mod function;
pub mod functions;
pub mod infer;
mod lexer;
mod math;
pub mod parser;
pub mod path;
pub mod pattern;
mod quote;
pub mod record;
mod suggest;
pub mod symbols;
pub mod text;
pub mod time;
pub mod trace_state;
pub mod value;
pub mod wire;

pub use compile::{Compiler, Condition, Statement, ValueExpression};
pub use conditions::{Conditions, ErrorMode};
pub use context::{Context, ContextSet};
pub use error::{EvalError, LoadError};
pub use function::Registry;
pub use infer::infer;
pub use path::{Field, Path};
pub use record::{AttributeKey, Clock, Record, Scope};
pub use value::{List, Map, Value};
pub use wire::WireRecord;
