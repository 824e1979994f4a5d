//! OTLP/JSON: the JSON form of the same messages, read straight into wire form and written straight from it.
//!
//! The rules are those of the OTLP specification ("JSON Protobuf Encoding"): the proto3 JSON mapping, except that trace and
//! span ids are hexadecimal and enumerations are numbers. Reading is lenient where senders differ: names of enumeration
//! values, both spellings of field names, 64-bit numbers with or without quotes, base64 of either alphabet with or without
//! padding. There is no intermediate tree: [`schema`](crate::schema) drives both directions.

mod binary;
mod lexer;
mod number;
mod read;
mod write;

use std::fmt;

pub use read::{DEPTH, read, read_message};
pub use write::{WRITE_DEPTH, write, write_message};

/// Why JSON is not an OTLP request: what was expected, where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Offset in bytes from the start of the input.
    pub offset: usize,
    /// Path of the field, such as `resourceSpans[0].scopeSpans[2].spans[17].traceId`; empty at the top.
    pub path: String,
    /// What the reader would have taken at that place.
    pub expected: &'static str,
}

impl Error {
    #[cold]
    fn new(offset: usize, expected: &'static str) -> Self {
        Error { offset, path: String::new(), expected }
    }

    /// The same error, seen from the message that has it in field `name`.
    #[cold]
    fn in_field(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }

    /// The same error, seen from the array that has it at `index`.
    #[cold]
    fn at_index(mut self, index: usize) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.path = format!("[{index}]{dot}{}", self.path);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid OTLP/JSON at offset {}", self.offset)?;
        if !self.path.is_empty() {
            write!(f, " in {}", self.path)?;
        }
        write!(f, ": expected {}", self.expected)
    }
}

impl std::error::Error for Error {}
