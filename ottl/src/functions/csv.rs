//! One row of comma-separated values.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use memchr::memmem;

use crate::error::EvalError;
use crate::function::{Argument, Call, Converter, Function, Kind, optional, required};
use crate::value::{Entry, Value};

pub(crate) const FAMILY: &[Function] = &[Function::prepared(
    "ParseCSV",
    &[
        required("target", Kind::String),
        required("headers", Kind::String),
        optional("delimiter", Kind::LiteralString),
        optional("headerDelimiter", Kind::LiteralString),
        optional("mode", Kind::LiteralString),
    ],
    prepare,
)];

/// What quotes mean.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Quotes {
    Strict,
    Lazy,
    Ignored,
}

#[derive(Debug)]
struct ParseCsv {
    delimiter: String,
    header_delimiter: String,
    quotes: Quotes,
}

fn prepare(args: &[Argument]) -> Result<Arc<dyn Converter>, String> {
    let text = |index: usize| args.get(index).and_then(Argument::text);
    for (index, name) in [(2, "delimiter"), (3, "header_delimiter")] {
        if text(index).is_some_and(|given| given.chars().count() != 1) {
            return Err(format!("invalid arguments: {name} must be a single character"));
        }
    }
    let delimiter = text(2).unwrap_or(",").to_owned();
    let header_delimiter = text(3).map_or_else(|| delimiter.clone(), str::to_owned);
    let quotes = match text(4).unwrap_or("strict") {
        "strict" => Quotes::Strict,
        "lazyQuotes" => Quotes::Lazy,
        "ignoreQuotes" => Quotes::Ignored,
        other => return Err(format!("unknown mode: {other}")),
    };
    Ok(Arc::new(ParseCsv { delimiter, header_delimiter, quotes }))
}

impl Converter for ParseCsv {
    fn call<'r>(&'r self, call: Call<'r>) -> Result<Value<'r>, EvalError> {
        let (row, headers) = (call.string(0)?, call.string(1)?);
        if headers.is_empty() {
            return Err(EvalError::Text("headers must not be an empty string"));
        }
        let headers = split(&headers, self.header_delimiter.as_bytes());
        let fields = match self.quotes {
            Quotes::Ignored => split(&row, self.delimiter.as_bytes()),
            quotes => read(&row, self.delimiter.as_bytes(), quotes == Quotes::Lazy)?,
        };
        if fields.len() != headers.len() {
            let (expected, found) = (headers.len(), fields.len());
            return Err(EvalError::function(format!(
                "map csv headers: wrong number of fields: expected {expected}, found {found}"
            )));
        }
        let mut entries: Vec<Entry<'r>> = Vec::with_capacity(fields.len());
        let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
        for (header, field) in headers.into_iter().zip(fields) {
            match places.get(&header) {
                Some(place) => entries[*place].1 = Value::string(field),
                None => {
                    places.insert(header.clone(), entries.len());
                    entries.push((Cow::Owned(header), Value::string(field)));
                }
            }
        }
        Ok(Value::map(entries))
    }
}

fn split(text: &[u8], delimiter: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in memmem::find_iter(text, delimiter) {
        parts.push(text[start..at].to_vec());
        start = at + delimiter.len();
    }
    parts.push(text[start..].to_vec());
    parts
}

/// The fields of a row. Line breaks between fields belong to the field before; a record that breaks off at a stray quote
/// counts as far as it goes, if at least one field was whole.
fn read(text: &[u8], delimiter: &[u8], lazy: bool) -> Result<Vec<Vec<u8>>, EvalError> {
    let mut reader = Reader { text, at: 0, line: 0, delimiter, lazy };
    let mut row: Vec<Vec<u8>> = Vec::new();
    let mut lines = 0;
    while let Some((fields, fault)) = reader.record() {
        if let Some(fault) = fault
            && fields.is_empty()
        {
            return Err(EvalError::function(format!("read csv line: {fault}")));
        }
        let mut fields = fields.into_iter();
        if lines > 0
            && let (Some(last), Some(first)) = (row.last_mut(), fields.next())
        {
            last.push(b'\n');
            last.extend_from_slice(&first);
        }
        row.extend(fields);
        lines += 1;
    }
    if lines == 0 { Err(EvalError::Text("no csv lines found")) } else { Ok(row) }
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    line: usize,
    delimiter: &'t [u8],
    lazy: bool,
}

impl<'t> Reader<'t> {
    /// The next line with its line break, which counts as one `\n` even if it is `\r\n`.
    fn next_line(&mut self) -> Option<&'t [u8]> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        self.at += len;
        self.line += 1;
        Some(&rest[..len])
    }

    /// One record and what broke it off.
    fn record(&mut self) -> Option<(Vec<Vec<u8>>, Option<String>)> {
        let mut line = loop {
            let line = self.next_line()?;
            if !matches!(line, b"\n" | b"\r\n") {
                break line;
            }
        };
        let start = self.line;
        let mut column = 1;
        let mut fields = Vec::new();
        loop {
            if line.first() != Some(&b'"') {
                let (field, rest) = match memmem::find(line, self.delimiter) {
                    Some(at) => (&line[..at], Some(&line[at + self.delimiter.len()..])),
                    None => (without_break(line), None),
                };
                if !self.lazy
                    && let Some(at) = memchr::memchr(b'"', field)
                {
                    return Some((fields, Some(self.fault(start, column + at, "bare \" in non-quoted-field"))));
                }
                fields.push(field.to_vec());
                match rest {
                    Some(rest) => {
                        column += field.len() + self.delimiter.len();
                        line = rest;
                    }
                    None => return Some((fields, None)),
                }
                continue;
            }
            line = &line[1..];
            column += 1;
            let mut field = Vec::new();
            loop {
                match memchr::memchr(b'"', line) {
                    Some(at) => {
                        field.extend_from_slice(&line[..at]);
                        line = &line[at + 1..];
                        column += at + 1;
                        if line.first() == Some(&b'"') {
                            field.push(b'"');
                            line = &line[1..];
                            column += 1;
                        } else if line.starts_with(self.delimiter) {
                            line = &line[self.delimiter.len()..];
                            column += self.delimiter.len();
                            fields.push(field);
                            break;
                        } else if without_break(line).is_empty() {
                            fields.push(field);
                            return Some((fields, None));
                        } else if self.lazy {
                            field.push(b'"');
                        } else {
                            let fault = "extraneous or missing \" in quoted-field";
                            return Some((fields, Some(self.fault(start, column - 1, fault))));
                        }
                    }
                    None => {
                        field.extend_from_slice(without_break(line));
                        if line.len() > without_break(line).len() {
                            field.push(b'\n');
                        }
                        match self.next_line() {
                            Some(next) => {
                                line = next;
                                column = 1;
                            }
                            None if self.lazy => {
                                fields.push(field);
                                return Some((fields, None));
                            }
                            None => {
                                let fault = "extraneous or missing \" in quoted-field";
                                return Some((fields, Some(self.fault(start, column + line.len(), fault))));
                            }
                        }
                    }
                }
            }
        }
    }

    fn fault(&self, start: usize, column: usize, what: &str) -> String {
        let line = self.line;
        if start == line {
            format!("parse error on line {line}, column {column}: {what}")
        } else {
            format!("record on line {start}; parse error on line {line}, column {column}: {what}")
        }
    }
}

/// A line without its line break.
fn without_break(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
