//! Regular expressions: RE2 syntax and meaning on top of the `regex` crate (ottl.md §8).

pub mod re2;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::Look;
use regex_syntax::hir::literal::Extractor;

use crate::error::EvalError;
use crate::function::{Argument, Call};

/// The largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 10 << 20;

/// Deepest nesting of groups, as in Go.
const MAX_NESTING: u32 = 1_000;

/// How many literals are compared with the start of a text before it is searched.
const MAX_STARTS: usize = 16;

/// How many patterns that records brought along are kept compiled, per call in a statement.
const MAX_CACHED: usize = 256;

/// A compiled pattern. Searches run in linear time.
#[derive(Debug)]
pub struct Pattern {
    regex: Regex,
    /// Every text that matches starts with one of these; `None`: not known.
    starts: Option<Vec<Box<[u8]>>>,
    names: Vec<Option<String>>,
}

impl Pattern {
    /// Compiles a pattern in RE2 syntax.
    ///
    /// # Errors
    /// Syntax, as Go words it; patterns too large.
    pub fn new(pattern: &str) -> Result<Pattern, String> {
        let translated = re2::translate(pattern).map_err(|error| format!("error parsing regexp: {error}"))?;
        let regex =
            RegexBuilder::new(&translated.regex).size_limit(MAX_COMPILED).nest_limit(MAX_NESTING).build().map_err(
                |error| match error {
                    regex::Error::CompiledTooBig(_) => {
                        format!("error parsing regexp: expression too large: `{pattern}`")
                    }
                    other => format!("error parsing regexp: {other}"),
                },
            )?;
        Ok(Pattern { regex, starts: starts(&translated.regex), names: translated.names })
    }

    /// Whether the pattern occurs in the text. Bytes that are not UTF-8 count as U+FFFD each.
    pub fn is_match(&self, text: &[u8]) -> bool {
        // What is readable of a text starts as the text does, as far as that is ASCII.
        if self.starts.as_ref().is_some_and(|starts| !starts.iter().any(|start| text.starts_with(start))) {
            return false;
        }
        if self.regex.is_match(text) {
            return true;
        }
        // Only characters that are not there can make a difference now.
        match crate::text::readable(text) {
            Cow::Borrowed(_) => false,
            Cow::Owned(text) => self.regex.is_match(&text),
        }
    }

    /// The named groups of the first match, in order; those that took no part are empty. `None`: no match.
    pub fn named_groups(&self, text: &[u8]) -> Option<Vec<(&str, Vec<u8>)>> {
        let text = crate::text::readable(text);
        let captures = self.regex.captures(&text)?;
        let named = self.names.iter().enumerate().filter_map(|(index, name)| {
            let found = captures.get(index + 1).map_or(&b""[..], |group| group.as_bytes());
            Some((name.as_deref()?, found.to_vec()))
        });
        Some(named.collect())
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.names.len()
    }

    /// Whether any group has no name.
    pub fn has_unnamed_groups(&self) -> bool {
        self.names.iter().any(Option::is_none)
    }

    /// Whether any group has a name.
    pub fn has_named_groups(&self) -> bool {
        self.names.iter().any(Option::is_some)
    }
}

/// What texts start with that match a pattern, where it is tied to their start and that is one of a few plain literals.
fn starts(regex: &str) -> Option<Vec<Box<[u8]>>> {
    let syntax = regex_syntax::ParserBuilder::new().utf8(false).nest_limit(MAX_NESTING).build().parse(regex).ok()?;
    if !syntax.properties().look_set_prefix().contains(Look::Start) {
        return None;
    }
    let literals = Extractor::new().limit_total(MAX_STARTS).extract(&syntax);
    let starts: Vec<Box<[u8]>> = literals.literals()?.iter().map(|literal| literal.as_bytes().into()).collect();
    starts.iter().all(|start| start.is_ascii()).then_some(starts)
}

/// Literals of which one starts every match, if there are few of them and none is short.
pub(crate) fn required_literals(pattern: &str, limit: usize) -> Option<Vec<Box<[u8]>>> {
    let translated = re2::translate(pattern).ok()?;
    let syntax =
        regex_syntax::ParserBuilder::new().utf8(false).nest_limit(MAX_NESTING).build().parse(&translated.regex);
    let literals = Extractor::new().limit_total(limit).extract(&syntax.ok()?);
    let replaced = "\u{fffd}".as_bytes(); // may stand for any byte that is not UTF-8
    let literals: Vec<Box<[u8]>> = literals.literals()?.iter().map(|literal| literal.as_bytes().into()).collect();
    let useful = |literal: &[u8]| literal.len() > 1 && !literal.windows(3).any(|window| window == replaced);
    (!literals.is_empty() && literals.iter().all(|literal| useful(literal))).then_some(literals)
}

/// A pattern argument: compiled at load if it is a literal, else when a record brings it along.
#[derive(Debug)]
pub(crate) enum PatternArg {
    Fixed(Pattern),
    Dynamic { index: usize, cache: Mutex<HashMap<Vec<u8>, Arc<Pattern>>> },
}

impl PatternArg {
    /// Prepares argument `index` of a function.
    ///
    /// # Errors
    /// A literal that is no valid pattern.
    pub(crate) fn prepare(function: &str, args: &[Argument], index: usize) -> Result<PatternArg, String> {
        match args.get(index).and_then(Argument::text) {
            Some(text) => compile(function, text).map(PatternArg::Fixed),
            None => Ok(PatternArg::Dynamic { index, cache: Mutex::default() }),
        }
    }

    /// Uses the pattern for one call.
    pub(crate) fn with<'r, T>(&self, call: Call<'r>, run: impl FnOnce(&Pattern) -> T) -> Result<T, EvalError> {
        match self {
            PatternArg::Fixed(pattern) => Ok(run(pattern)),
            PatternArg::Dynamic { index, cache } => {
                let text = call.string(*index)?;
                let known = cache.lock().unwrap_or_else(PoisonError::into_inner).get(&*text).cloned();
                let pattern = match known {
                    Some(pattern) => pattern,
                    None => {
                        let source = String::from_utf8_lossy(&text);
                        let pattern = Arc::new(Pattern::new(&source).map_err(EvalError::function)?);
                        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
                        if cache.len() >= MAX_CACHED {
                            cache.clear();
                        }
                        cache.insert(text.into_owned(), Arc::clone(&pattern));
                        pattern
                    }
                };
                Ok(run(&pattern))
            }
        }
    }
}

fn compile(function: &str, text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|error| {
        let quoted = crate::quote::quoted(text.as_bytes());
        format!("the regex pattern supplied to {function} '{quoted}' is not a valid pattern: {error}")
    })
}

/// Where Go's parser stops reading a pattern that it refuses, in bytes.
pub fn refused_at(pattern: &str) -> Option<usize> {
    re2::translate(pattern).err().map(|refused| refused.offset)
}

#[cfg(test)]
mod tests;
