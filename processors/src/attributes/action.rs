//! Actions, checked and compiled, and their application to one attribute list.

use sluice_config::Problems;
use sluice_config::tree::{Node, Value};
use sluice_ottl::pattern::{Pattern, refused_at};
use sluice_pdata::Error;
use sluice_pdata::msg::{Attributes, NewValue};
use sluice_pdata::tags::{any_value, array_value, key_value, key_value_list};
use sluice_pdata::view::AnyValueView;
use sluice_pdata::wire::put_len;
use sluice_pipeline::Context;

use super::config::{Action, ActionKind, ConvertedType};
use super::convert::{OwnedValue, convert};
use super::write::{hash, set, write};

/// Where the value of insert, update and upsert comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// Only a default value is given.
    Nothing,
    Value(OwnedValue),
    Attribute(Box<[u8]>),
    Metadata(Box<str>),
    Auth(Box<str>),
    ClientAddress,
}

/// One action, ready to be applied.
#[derive(Debug)]
pub(super) enum Compiled {
    /// `insert` of a constant: the payload of its `KeyValue`, encoded once.
    InsertConstant {
        key: Box<[u8]>,
        pair: Box<[u8]>,
    },
    Set {
        key: Box<[u8]>,
        kind: ActionKind,
        source: Source,
        default: Option<OwnedValue>,
    },
    Delete {
        key: Option<Box<[u8]>>,
        pattern: Option<Pattern>,
    },
    Hash {
        key: Option<Box<[u8]>>,
        pattern: Option<Pattern>,
    },
    Extract {
        key: Box<[u8]>,
        pattern: Pattern,
    },
    Convert {
        key: Box<[u8]>,
        to: ConvertedType,
    },
}

/// Checks the actions that stand at `path` of the config; what is wrong goes to `problems`, in upstream's words (v0.159).
pub(super) fn compile(actions: &[Action], path: &str, problems: &mut Problems<'_>) -> Vec<Compiled> {
    if actions.is_empty() {
        problems.error("", format!("missing required field {path:?}"));
    }
    let mut compiled = Vec::with_capacity(actions.len());
    for (at, action) in actions.iter().enumerate() {
        let by_pattern = matches!(action.action, ActionKind::Delete | ActionKind::Hash);
        let result = if by_pattern && action.key.is_empty() && action.pattern.is_empty() {
            let field = "missing required field (at least one of \"key\" and \"pattern\" have to be used)";
            Err(format!("error creating AttrProc due to {field} at the {at}-th action"))
        } else if !by_pattern && action.key.is_empty() {
            Err(format!("error creating AttrProc due to missing required field \"key\" at the {at}-th action"))
        } else {
            compile_one(action).map_err(|text| {
                format!("error with key {:?} ({at}-th action): error creating AttrProc{text}", action.key)
            })
        };
        match result {
            Ok(action) => compiled.push(action),
            Err(text) => {
                let path = format!("{path}::{at}");
                match refused_at(&action.pattern) {
                    Some(offset) => problems.error_within("E0302", &format!("{path}::pattern"), offset, 1, &text),
                    None => problems.error(&path, text),
                };
            }
        }
    }
    compiled
}

/// Whether a field of the config holds a value; a null is none.
fn given(node: &Option<Node>) -> bool {
    node.as_ref().is_some_and(|node| !node.is_null())
}

/// Compiles an action that has the key or pattern it needs. An error is the end of the sentence.
fn compile_one(action: &Action) -> Result<Compiled, String> {
    let key = || Box::from(action.key.as_bytes());
    let optional_key = (!action.key.is_empty()).then(key);
    let name = action.action.name();
    let pattern = || {
        let invalid = |error| format!(". Field \"pattern\" has invalid pattern: {:?}: {error}", action.pattern);
        Pattern::new(&action.pattern).map_err(invalid)
    };
    let sources = [given(&action.value), !action.from_attribute.is_empty(), !action.from_context.is_empty()];
    let sources = sources.into_iter().filter(|given| *given).count();
    let unused_type = || match action.converted_type {
        Some(_) => {
            Err(format!(". Action {name:?} does not use the \"converted_type\" field. This must not be specified"))
        }
        None => Ok(()),
    };
    match action.action {
        ActionKind::Missing => Err(" due to unsupported action \"\"".to_owned()),
        ActionKind::Insert | ActionKind::Update | ActionKind::Upsert => {
            if sources == 0 && !given(&action.default_value) {
                return Err(". Either field \"value\", \"from_attribute\", \"from_context\", or \"default_value\" must be specified".to_owned());
            }
            if sources > 1 {
                return Err(" due to multiple value sources being set".to_owned());
            }
            if !action.pattern.is_empty() {
                return Err(format!(
                    ". Action {name:?} does not use the \"pattern\" field. This must not be specified"
                ));
            }
            unused_type()?;
            let default = action.default_value.as_ref().filter(|node| !node.is_null()).map(value).transpose()?;
            Ok(match source(action)? {
                // A constant is always there, and its default never needed.
                Source::Value(value) if action.action == ActionKind::Insert => {
                    let mut pair = Vec::new();
                    value.as_new().write_pair(&key(), &mut pair);
                    Compiled::InsertConstant { key: key(), pair: pair.into() }
                }
                source => Compiled::Set { key: key(), kind: action.action, source, default },
            })
        }
        ActionKind::Delete | ActionKind::Hash => {
            if given(&action.value) || !action.from_attribute.is_empty() {
                let fields = "\"value\" or \"from_attribute\" field";
                return Err(format!(". Action {name:?} does not use {fields}. These must not be specified"));
            }
            unused_type()?;
            let pattern = if action.pattern.is_empty() { None } else { Some(pattern()?) };
            Ok(match action.action {
                ActionKind::Delete => Compiled::Delete { key: optional_key, pattern },
                _ => Compiled::Hash { key: optional_key, pattern },
            })
        }
        ActionKind::Extract => {
            if sources > 0 {
                return Err(format!(
                    ". Action {name:?} does not use a value source field. These must not be specified"
                ));
            }
            if action.pattern.is_empty() {
                return Err(format!(" due to missing required field \"pattern\" for action {name:?}"));
            }
            unused_type()?;
            let pattern = pattern()?;
            if pattern.groups() == 0 {
                return Err(". Field \"pattern\" contains no named matcher groups".to_owned());
            }
            if pattern.has_unnamed_groups() {
                return Err(". Field \"pattern\" contains at least one unnamed matcher group".to_owned());
            }
            Ok(Compiled::Extract { key: key(), pattern })
        }
        ActionKind::Convert => {
            if sources > 0 || !action.pattern.is_empty() {
                let fields = "value sources or \"pattern\" field";
                return Err(format!(". Action {name:?} does not use {fields}. These must not be specified"));
            }
            let missing = || format!(" due to missing required field \"converted_type\" for action {name:?}");
            Ok(Compiled::Convert { key: key(), to: action.converted_type.ok_or_else(missing)? })
        }
    }
}

fn source(action: &Action) -> Result<Source, String> {
    if let Some(node) = action.value.as_ref().filter(|node| !node.is_null()) {
        return value(node).map(Source::Value);
    }
    if action.from_attribute.is_empty() && action.from_context.is_empty() {
        return Ok(Source::Nothing);
    }
    if !action.from_attribute.is_empty() {
        return Ok(Source::Attribute(action.from_attribute.as_bytes().into()));
    }
    match action.from_context.split_once('.') {
        Some(("metadata", key)) => Ok(Source::Metadata(key.to_ascii_lowercase().into())),
        Some(("auth", key)) => Ok(Source::Auth(key.into())),
        Some(("client", "address")) => Ok(Source::ClientAddress),
        // Upstream reads a bare key from the metadata.
        _ => Ok(Source::Metadata(action.from_context.to_ascii_lowercase().into())),
    }
}

fn value(node: &Node) -> Result<OwnedValue, String> {
    literal(node).ok_or_else(|| ": unsupported value: an integer beyond 64 bits".to_owned())
}

/// A value of the config as an attribute value of its own type. `None` for null, and for numbers that have no such type.
pub(super) fn literal(node: &Node) -> Option<OwnedValue> {
    Some(match &node.value {
        Value::Bool(value) => OwnedValue::Bool(*value),
        Value::Int(value) => OwnedValue::Int(i64::try_from(*value).ok()?),
        Value::Float(value) => OwnedValue::Double(*value),
        Value::String(text) => OwnedValue::Str(text.as_bytes().to_vec()),
        Value::Seq(items) => {
            let mut list = Vec::new();
            for item in items {
                put_len(&mut list, array_value::VALUES, &member(item)?);
            }
            OwnedValue::Encoded(container(any_value::ARRAY_VALUE, &list))
        }
        Value::Map(entries) => {
            let mut list = Vec::new();
            for (key, entry) in entries {
                let mut pair = Vec::new();
                put_len(&mut pair, key_value::KEY, key.as_bytes());
                put_len(&mut pair, key_value::VALUE, &member(&entry.value)?);
                put_len(&mut list, key_value_list::VALUES, &pair);
            }
            OwnedValue::Encoded(container(any_value::KVLIST_VALUE, &list))
        }
        Value::Null => return None,
    })
}

/// The payload of the `AnyValue` of an element; a null is an empty one.
fn member(node: &Node) -> Option<Vec<u8>> {
    let mut payload = Vec::new();
    if !node.is_null() {
        literal(node)?.as_new().write(&mut payload);
    }
    Some(payload)
}

/// The payload of an `AnyValue` that holds a container.
fn container(number: u32, content: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    put_len(&mut payload, number, content);
    payload
}

impl Compiled {
    /// Metadata keys that the action reads from the request.
    pub(super) fn metadata_key(&self) -> Option<&str> {
        match self {
            Compiled::Set { source: Source::Metadata(key), .. } => Some(key),
            _ => None,
        }
    }

    /// Applies the action to one attribute list.
    pub(super) fn apply(&self, attributes: &mut Attributes<'_, '_>, context: &Context) -> Result<(), Error> {
        match self {
            Compiled::InsertConstant { key, pair } => attributes.insert_pair(key, pair).map(|_| ()),
            Compiled::Set { key, kind, source, default } => {
                if !set(attributes, key, *kind, source, context)?
                    && let Some(value) = default
                {
                    write(attributes, key, *kind, value.as_new())?;
                }
                Ok(())
            }
            Compiled::Delete { key, pattern } => {
                if let Some(key) = key {
                    attributes.remove(key)?;
                }
                if let Some(pattern) = pattern {
                    attributes.remove_where(|pair| Ok(pattern.is_match(pair.key())))?;
                }
                Ok(())
            }
            Compiled::Hash { key, pattern } => {
                if let Some(key) = key {
                    hash(attributes, key)?;
                }
                if let Some(pattern) = pattern {
                    for key in keys_matching(attributes, pattern)? {
                        hash(attributes, &key)?;
                    }
                }
                Ok(())
            }
            Compiled::Extract { key, pattern } => {
                let groups = match attributes.get(key)?.and_then(AnyValueView::as_str) {
                    Some(text) => pattern.named_groups(text).map(owned),
                    None => None,
                };
                for (name, value) in groups.into_iter().flatten() {
                    attributes.set(name.as_bytes(), NewValue::Str(&value))?;
                }
                Ok(())
            }
            Compiled::Convert { key, to } => {
                if let Some(value) = attributes.get(key)?.and_then(|value| convert(value, *to)) {
                    attributes.set(key, value.as_new())?;
                }
                Ok(())
            }
        }
    }
}

fn owned(groups: Vec<(&str, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    groups.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn keys_matching(attributes: &mut Attributes<'_, '_>, pattern: &Pattern) -> Result<Vec<Vec<u8>>, Error> {
    let mut keys = Vec::new();
    for (_, pair) in attributes.iter()? {
        let key = pair?.key();
        if pattern.is_match(key) {
            keys.push(key.to_vec());
        }
    }
    Ok(keys)
}
