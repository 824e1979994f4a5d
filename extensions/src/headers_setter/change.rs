//! What is done to one header, and where its value comes from.

use std::slice::Iter;

use sluice_config::Secret;
use sluice_pipeline::Context;
use sluice_pipeline::context::identity_key;

use super::config::Header;

/// Headers by their names as written; case does not matter.
#[derive(Default)]
pub(super) struct Headers(Vec<(String, Secret)>);

impl Headers {
    fn place(&self, key: &str) -> Option<usize> {
        self.0.iter().position(|(name, _)| name.eq_ignore_ascii_case(key))
    }

    pub(super) fn into_pairs(self) -> Vec<(String, Secret)> {
        self.0
    }
}

/// One entry of `headers`.
pub(super) struct Change {
    action: Action,
    key: String,
    source: Source,
}

#[derive(Clone, Copy)]
enum Action {
    Insert,
    Update,
    Upsert,
    Delete,
}

enum Source {
    Value(Secret),
    /// The next of the files.
    File,
    /// What was kept under this key with the data.
    Metadata {
        key: String,
        named: String,
        default: Option<Secret>,
    },
    Tenant {
        default: Option<Secret>,
    },
    /// For `delete`.
    Nothing,
}

impl Change {
    /// A change as it is written; it is valid.
    pub(super) fn new(header: &Header) -> Self {
        let action = match header.action.as_str() {
            "insert" => Action::Insert,
            "update" => Action::Update,
            "delete" => Action::Delete,
            _ => Action::Upsert,
        };
        let default = header.default_value.clone();
        let source = match header {
            Header { value: Some(value), .. } => Source::Value(value.clone()),
            Header { value_file: Some(_), .. } => Source::File,
            Header { from_context: Some(name), .. } => {
                Source::Metadata { key: name.to_ascii_lowercase(), named: name.clone(), default }
            }
            Header { from_attribute: Some(name), .. } if name == "tenant" => Source::Tenant { default },
            Header { from_attribute: Some(name), .. } => {
                Source::Metadata { key: identity_key(name), named: name.clone(), default }
            }
            _ => Source::Nothing,
        };
        Change { action, key: header.key.clone(), source }
    }

    /// What of the metadata it reads.
    pub(super) fn metadata_key(&self) -> Option<String> {
        match &self.source {
            Source::Metadata { key, .. } => Some(key.clone()),
            _ => None,
        }
    }

    /// Does it. `files` are the contents of the files of this and all later changes.
    ///
    /// # Errors
    /// What it is about this data that leaves no value.
    pub(super) fn apply(
        &self,
        context: &Context,
        files: &mut Iter<'_, Secret>,
        headers: &mut Headers,
    ) -> Result<(), String> {
        let value = self.source.value(context, files)?;
        let place = headers.place(&self.key);
        match (self.action, place, value) {
            (Action::Delete, Some(at), _) => drop(headers.0.remove(at)),
            (Action::Update | Action::Upsert, Some(at), Some(value)) => {
                if let Some((_, known)) = headers.0.get_mut(at) {
                    *known = value;
                }
            }
            (Action::Insert | Action::Upsert, None, Some(value)) => headers.0.push((self.key.clone(), value)),
            _ => {}
        }
        Ok(())
    }
}

impl Source {
    fn value(&self, context: &Context, files: &mut Iter<'_, Secret>) -> Result<Option<Secret>, String> {
        match self {
            Source::Value(value) => Ok(Some(value.clone())),
            Source::File => Ok(files.next().cloned()),
            Source::Tenant { default } => {
                let name = context.tenant.name();
                Ok(if name.is_empty() { default.clone() } else { Some(Secret::new(name)) })
            }
            Source::Metadata { key, named, default } => {
                let mut values = context.metadata.get(key);
                let first = values.next();
                match values.count() {
                    0 => Ok(first.filter(|value| !value.is_empty()).map(Secret::new).or_else(|| default.clone())),
                    more => Err(format!(
                        "{named:?}: {} source keys found in the context, can't determine which one to use",
                        more + 1
                    )),
                }
            }
            Source::Nothing => Ok(None),
        }
    }
}
