//! Actions, checked and compiled, and their application to one attribute list.

use aws_lc_rs::digest;
use sluice_config::Problems;
use sluice_config::tree::{Node, Value};
use sluice_ottl::pattern::Pattern;
use sluice_pdata::Error;
use sluice_pdata::msg::{Attributes, NewValue};
use sluice_pdata::view::AnyValueView;
use sluice_pipeline::Context;

use super::config::{Action, ActionKind, ConvertedType};
use super::convert::{OwnedValue, convert};

/// Where the value of insert, update and upsert comes from.
#[derive(Debug)]
pub(super) enum Source {
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

/// Checks the actions that stand at `path` of the config; what is wrong goes to `problems`, in upstream's words.
pub(super) fn compile(actions: &[Action], path: &str, problems: &mut Problems<'_>) -> Vec<Compiled> {
    if actions.is_empty() {
        problems.error("", "missing required field \"actions\"");
    }
    let mut compiled = Vec::with_capacity(actions.len());
    for (at, action) in actions.iter().enumerate() {
        match compile_one(action, at) {
            Ok(action) => compiled.push(action),
            Err(text) => {
                problems.error(&format!("{path}::{at}"), text);
            }
        }
    }
    compiled
}

fn compile_one(action: &Action, at: usize) -> Result<Compiled, String> {
    let key = || -> Result<Box<[u8]>, String> {
        if action.key.is_empty() {
            return Err(format!(
                "error creating AttrProc due to missing required field \"key\" at the {at}-th actions"
            ));
        }
        Ok(action.key.as_bytes().into())
    };
    let optional_key = (!action.key.is_empty()).then(|| Box::from(action.key.as_bytes()));
    let pattern = || -> Result<Pattern, String> {
        Pattern::new(&action.pattern).map_err(|error| {
            format!("error creating AttrProc. Field \"pattern\" has invalid pattern: {:?} to be set at the {at}-th actions: {error}", action.pattern)
        })
    };
    let sources = [action.value.is_some(), !action.from_attribute.is_empty(), !action.from_context.is_empty()];
    let source_count = sources.into_iter().filter(|given| *given).count();
    let takes_value = matches!(action.action, ActionKind::Insert | ActionKind::Update | ActionKind::Upsert);
    if !takes_value && source_count > 0 {
        return Err(format!(
            "error creating AttrProc. Action \"{}\" does not use \"value\", \"from_attribute\" or \"from_context\" field. These must not be specified for {at}-th action",
            name(action.action)
        ));
    }
    let takes_pattern = matches!(action.action, ActionKind::Extract | ActionKind::Delete | ActionKind::Hash);
    if !takes_pattern && !action.pattern.is_empty() {
        return Err(format!(
            "error creating AttrProc. Action \"{}\" does not use the \"pattern\" field. This must not be specified for {at}-th action",
            name(action.action)
        ));
    }
    if action.action != ActionKind::Convert && action.converted_type.is_some() {
        return Err(format!(
            "error creating AttrProc. Action \"{}\" does not use the \"converted_type\" field. This must not be specified for {at}-th action",
            name(action.action)
        ));
    }
    match action.action {
        ActionKind::Missing => {
            Err(format!("error creating AttrProc due to unsupported action \"\" at the {at}-th actions"))
        }
        ActionKind::Insert | ActionKind::Update | ActionKind::Upsert => {
            let key = key()?;
            if source_count == 0 {
                return Err(format!(
                    "error creating AttrProc. Either field \"value\", \"from_attribute\" or \"from_context\" setting must be specified for {at}-th action"
                ));
            }
            if source_count > 1 {
                return Err(format!(
                    "error creating AttrProc due to multiple value sources being set at the {at}-th actions"
                ));
            }
            Ok(match source(action)? {
                Source::Value(value) if action.action == ActionKind::Insert => {
                    let mut pair = Vec::new();
                    value.as_new().write_pair(&key, &mut pair);
                    Compiled::InsertConstant { key, pair: pair.into() }
                }
                source => Compiled::Set { key, kind: action.action, source },
            })
        }
        ActionKind::Delete | ActionKind::Hash => {
            if optional_key.is_none() && action.pattern.is_empty() {
                return Err(format!(
                    "error creating AttrProc. Either field \"key\" or \"pattern\" must be specified for {at}-th action"
                ));
            }
            let pattern = if action.pattern.is_empty() { None } else { Some(pattern()?) };
            Ok(match action.action {
                ActionKind::Delete => Compiled::Delete { key: optional_key, pattern },
                _ => Compiled::Hash { key: optional_key, pattern },
            })
        }
        ActionKind::Extract => {
            let key = key()?;
            if action.pattern.is_empty() {
                return Err(format!(
                    "error creating AttrProc due to missing required field \"pattern\" for action \"extract\" at the {at}-th action"
                ));
            }
            let pattern = pattern()?;
            if !pattern.has_named_groups() {
                return Err(format!(
                    "error creating AttrProc. Field \"pattern\" contains no named matcher groups at the {at}-th actions"
                ));
            }
            Ok(Compiled::Extract { key, pattern })
        }
        ActionKind::Convert => {
            let key = key()?;
            let to = action.converted_type.ok_or_else(|| {
                format!(
                    "error creating AttrProc due to missing required field \"converted_type\" for action \"convert\" at the {at}-th action"
                )
            })?;
            Ok(Compiled::Convert { key, to })
        }
    }
}

fn name(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Missing => "",
        ActionKind::Insert => "insert",
        ActionKind::Update => "update",
        ActionKind::Upsert => "upsert",
        ActionKind::Delete => "delete",
        ActionKind::Hash => "hash",
        ActionKind::Extract => "extract",
        ActionKind::Convert => "convert",
    }
}

fn source(action: &Action) -> Result<Source, String> {
    if let Some(node) = &action.value {
        return literal(node).map(Source::Value).ok_or_else(|| "error unsupported value type".to_owned());
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

/// A scalar of the config as an attribute value of its own type.
pub(super) fn literal(node: &Node) -> Option<OwnedValue> {
    Some(match &node.value {
        Value::Bool(value) => OwnedValue::Bool(*value),
        Value::Int(value) => OwnedValue::Int(i64::try_from(*value).ok()?),
        Value::Float(value) => OwnedValue::Double(*value),
        Value::String(text) => OwnedValue::Str(text.as_bytes().to_vec()),
        Value::Null | Value::Seq(_) | Value::Map(_) => return None,
    })
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
            Compiled::Set { key, kind, source } => set(attributes, key, *kind, source, context),
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

fn write(attributes: &mut Attributes<'_, '_>, key: &[u8], kind: ActionKind, value: NewValue<'_>) -> Result<(), Error> {
    match kind {
        ActionKind::Insert => attributes.insert(key, value).map(|_| ()),
        ActionKind::Update => attributes.update(key, value).map(|_| ()),
        _ => attributes.set(key, value),
    }
}

fn set(
    attributes: &mut Attributes<'_, '_>,
    key: &[u8],
    kind: ActionKind,
    source: &Source,
    context: &Context,
) -> Result<(), Error> {
    match source {
        Source::Value(value) => write(attributes, key, kind, value.as_new()),
        Source::Attribute(from) => {
            let Some(encoded) = attributes.encoded_value(from)? else { return Ok(()) };
            write(attributes, key, kind, NewValue::Encoded(&encoded))
        }
        Source::Metadata(name) => {
            let values: Vec<&str> = context.metadata.get(name).collect();
            if values.is_empty() {
                return Ok(());
            }
            write(attributes, key, kind, NewValue::Str(values.join(";").as_bytes()))
        }
        Source::Auth(name) => {
            let Some(identity) = &context.identity else { return Ok(()) };
            let full = format!("auth.{name}");
            let found = identity.attributes.iter().find(|(known, _)| **known == *full || **known == **name);
            match (found, &**name) {
                (Some((_, value)), _) => write(attributes, key, kind, NewValue::Str(value.as_bytes())),
                (None, "subject") => write(attributes, key, kind, NewValue::Str(identity.subject.as_bytes())),
                _ => Ok(()),
            }
        }
        Source::ClientAddress => {
            let Some(peer) = context.peer else { return Ok(()) };
            write(attributes, key, kind, NewValue::Str(peer.ip().to_string().as_bytes()))
        }
    }
}

/// SHA-256 over the bytes that upstream hashes: text as it is, a bool as one byte, numbers as eight bytes little endian. An
/// empty value stays an empty string.
fn hash(attributes: &mut Attributes<'_, '_>, key: &[u8]) -> Result<(), Error> {
    let Some(value) = attributes.get(key)? else { return Ok(()) };
    let digest = match value {
        AnyValueView::Str(b"") | AnyValueView::Empty => None,
        AnyValueView::Str(text) => Some(digest::digest(&digest::SHA256, text)),
        AnyValueView::Bool(value) => Some(digest::digest(&digest::SHA256, &[u8::from(value)])),
        AnyValueView::Int(value) => Some(digest::digest(&digest::SHA256, &value.to_le_bytes())),
        AnyValueView::Double(value) => Some(digest::digest(&digest::SHA256, &value.to_bits().to_le_bytes())),
        // Containers and bytes have no scalar bytes: upstream hashes nothing and leaves the empty string.
        _ => None,
    };
    let mut text = String::new();
    for byte in digest.iter().flat_map(|digest| digest.as_ref()) {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    attributes.set(key, NewValue::Str(text.as_bytes()))
}
