//! Regular expressions.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::EvalError;
use crate::function::{Argument, Call, Converter, Function, Kind, required};
use crate::pattern::PatternArg;
use crate::value::{Entry, Value};

pub(crate) const FAMILY: &[Function] = &[
    Function::prepared("IsMatch", &[required("target", Kind::StringLike), required("pattern", Kind::String)], |args| {
        Ok(Arc::new(IsMatch(PatternArg::prepare("IsMatch", args, 1)?)))
    }),
    Function::prepared(
        "ExtractPatterns",
        &[required("target", Kind::String), required("pattern", Kind::String)],
        extract,
    ),
];

#[derive(Debug)]
struct IsMatch(PatternArg);

impl Converter for IsMatch {
    fn call<'r>(&'r self, call: Call<'r>) -> Result<Value<'r>, EvalError> {
        self.0.with(call, |pattern| {
            let text = call.string_like(0)?;
            Ok(Value::Bool(text.is_some_and(|text| pattern.is_match(&text))))
        })?
    }
}

const NO_GROUP: &str = "at least 1 named capture group must be supplied in the given regex";

#[derive(Debug)]
struct ExtractPatterns(PatternArg);

fn extract(args: &[Argument]) -> Result<Arc<dyn Converter>, String> {
    Ok(Arc::new(ExtractPatterns(PatternArg::prepare("ExtractPatterns", args, 1)?)))
}

impl Converter for ExtractPatterns {
    fn call<'r>(&'r self, call: Call<'r>) -> Result<Value<'r>, EvalError> {
        self.0.with(call, |pattern| {
            if !pattern.has_named_groups() {
                return Err(EvalError::Text(NO_GROUP));
            }
            let mut entries: Vec<Entry<'r>> = Vec::new();
            for (name, found) in pattern.named_groups(&call.string(0)?).unwrap_or_default() {
                let value = Value::string(found);
                match entries.iter_mut().find(|(known, _)| **known == *name.as_bytes()) {
                    Some((_, old)) => *old = value,
                    None => entries.push((Cow::Owned(name.as_bytes().to_vec()), value)),
                }
            }
            Ok(Value::map(entries))
        })?
    }
}
