//! Severity from text or numbers, by a mapping in the config.

use std::sync::Arc;

use crate::error::EvalError;
use crate::function::{Argument, Call, Converter, Function, Kind, required};
use crate::value::{List, Map, Value};

pub(crate) const FAMILY: &[Function] = &[Function::prepared(
    "ParseSeverity",
    &[required("target", Kind::Any), required("severityMapping", Kind::Map)],
    prepare,
)];

/// When a value has a level.
#[derive(Debug, Default)]
struct Criterion {
    equals: Vec<Vec<u8>>,
    range: Option<(i64, i64)>,
}

/// A level's name and when it applies.
type Level = (Vec<u8>, Vec<Criterion>);

#[derive(Debug)]
struct ParseSeverity {
    /// The levels in the order of the config, or why the mapping cannot be used.
    levels: Result<Vec<Level>, String>,
}

/// A mapping that is wrong fails on every record, not at load.
fn prepare(args: &[Argument]) -> Result<Arc<dyn Converter>, String> {
    let levels = match args.get(1).and_then(Argument::constant) {
        Some(Value::Map(mapping)) => levels(mapping),
        _ => Err("severity mapping must be a literal PMap".to_owned()),
    };
    Ok(Arc::new(ParseSeverity { levels }))
}

fn levels(mapping: &Map<'_>) -> Result<Vec<Level>, String> {
    const NO_LIST: &str = "severity mapping criteria must be []any";
    mapping
        .iter()
        .map(|entry| {
            let (level, criteria) = entry.map_err(|_| NO_LIST.to_owned())?;
            let Value::List(criteria) = criteria else { return Err(NO_LIST.to_owned()) };
            let criteria = criteria.iter().map(|item| match item {
                Ok(Value::Map(map)) => criterion(&map),
                _ => Err("severity mapping criteria items must be map[string]any".to_owned()),
            });
            Ok((level.into_owned(), criteria.collect::<Result<_, _>>()?))
        })
        .collect()
}

fn criterion(map: &Map<'_>) -> Result<Criterion, String> {
    let mut criterion = Criterion::default();
    match map.get(b"equals") {
        Ok(Some(Value::List(list))) => criterion.equals = texts(&list)?,
        Ok(None) => {}
        _ => return Err(invalid("equals must be a list")),
    }
    criterion.range = match map.get(b"range") {
        Ok(Some(Value::Map(range))) => Some((bound(&range, "min")?, bound(&range, "max")?)),
        Ok(Some(Value::Str(name))) => match &*name {
            b"2xx" => Some((200, 299)),
            b"3xx" => Some((300, 399)),
            b"4xx" => Some((400, 499)),
            b"5xx" => Some((500, 599)),
            other => {
                let shown = String::from_utf8_lossy(other);
                return Err(invalid(&format!("unknown range placeholder: {shown}")));
            }
        },
        Ok(None) => None,
        _ => return Err(invalid("range must be a map or a known placeholder string")),
    };
    Ok(criterion)
}

fn texts(list: &List<'_>) -> Result<Vec<Vec<u8>>, String> {
    let text = |item| match item {
        Ok(Value::Str(text)) => Ok(std::borrow::Cow::into_owned(text)),
        _ => Err(invalid("equals values must be strings")),
    };
    list.iter().map(text).collect()
}

fn bound(range: &Map<'_>, key: &str) -> Result<i64, String> {
    match range.get(key.as_bytes()) {
        Ok(Some(Value::Int(n))) => Ok(n),
        Ok(None) => Err(invalid(&format!("range must have a {key} value"))),
        _ => Err(invalid(&format!("{key} must be an int64"))),
    }
}

fn invalid(why: &str) -> String {
    format!("invalid severity mapping criteria: {why}")
}

impl Converter for ParseSeverity {
    fn call<'r>(&'r self, call: Call<'r>) -> Result<Value<'r>, EvalError> {
        let levels = self.levels.as_ref().map_err(|why| EvalError::function(why.as_str()))?;
        let value = call.value(0)?;
        let matches = |criterion: &Criterion| match &value {
            Value::Str(text) => criterion.equals.iter().any(|known| **known == **text),
            Value::Int(n) => criterion.range.is_some_and(|(min, max)| (min..=max).contains(n)),
            _ => false,
        };
        let shown = || {
            let text = crate::text::string_like(&value).ok().flatten();
            let text = text.as_deref().unwrap_or(b"<nil>");
            String::from_utf8_lossy(text.get(..100).unwrap_or(text)).into_owned()
        };
        if !matches!(value, Value::Str(_) | Value::Int(_)) {
            return Err(EvalError::function(format!(
                "could not map log level: could not evaluate log level of value '{}': unsupported value type: {}",
                shown(),
                value.dynamic_type_name()
            )));
        }
        match levels.iter().find(|(_, criteria)| criteria.iter().any(matches)) {
            Some((level, _)) => Ok(Value::str(level)),
            None => Err(EvalError::function(format!(
                "could not map log level: no matching log level found for value '{}'",
                shown()
            ))),
        }
    }
}
