//! One `<scheme>:<opaque>` to its text and parsed value.

use std::sync::Arc;

use super::sources::Sources;
use super::uri::{Uri, is_variable_name};
use crate::diagnostic::Diagnostic;
use crate::source::{Source, Via};
use crate::tree::{Node, Value};
use crate::yaml;

/// What a reference stands for.
#[derive(Clone, Debug)]
pub(crate) struct Retrieved {
    /// The text as it came.
    pub(crate) text: String,
    pub(crate) content: Content,
    /// The variable, for `env`.
    pub(crate) variable: Option<String>,
    pub(crate) unset: bool,
    pub(crate) not_yaml: Option<Box<Diagnostic>>,
    /// The registered text, when values keep pointing into it.
    pub(crate) source: Option<Arc<Source>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A string: upstream keeps the raw text, quotes included.
    Text,
    /// Any other YAML value.
    Tree(Node),
}

impl Retrieved {
    pub(crate) fn via(&self, reference: &str) -> Arc<Via> {
        let not_yaml = self.not_yaml.as_ref().map(|problem| problem.message.clone());
        Arc::new(Via { reference: shorten(reference), unset: self.unset, not_yaml })
    }
}

/// An inline `${yaml:…}` or a default can be long.
fn shorten(reference: &str) -> String {
    const SHOWN: usize = 80;
    match reference.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &reference[..at]),
        None => reference.to_owned(),
    }
}

/// Why a location gave nothing.
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

/// Retrieves an embedded or top-level location.
pub(crate) fn retrieve(uri: &Uri<'_>, sources: &dyn Sources, order: u32) -> Result<Retrieved, Failure> {
    let (name, bytes) = match uri.scheme {
        "file" => {
            let read = sources.read_file(uri.opaque);
            let bytes = read.map_err(|error| Failure {
                code: "E0008",
                text: format!("unable to read the file file:{}: {error}", uri.opaque),
            })?;
            (uri.opaque.to_owned(), bytes)
        }
        "env" => return variable(uri.opaque, sources, order),
        "yaml" => ("<yaml>".to_owned(), uri.opaque.as_bytes().to_vec()),
        scheme => {
            let full = format!("{scheme}:{}", uri.opaque);
            match sources.retrieve(scheme, &full) {
                Some(Ok(bytes)) => (mask_userinfo(&full), bytes),
                Some(Err(text)) => return Err(Failure { code: "E0008", text }),
                None => {
                    let full = crate::quote(&full);
                    let text = format!("scheme {} is not supported for uri {full}", crate::quote(scheme));
                    return Err(Failure { code: "E0009", text });
                }
            }
        }
    };
    parse(&name, &bytes, order).map_err(|problem| Failure { code: problem.code, text: problem.message })
}

/// `NAME` or `NAME:-default`; the default applies only when the variable is unset.
fn variable(opaque: &str, sources: &dyn Sources, order: u32) -> Result<Retrieved, Failure> {
    let (name, default) = match opaque.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (opaque, None),
    };
    if !is_variable_name(name) {
        let quoted = crate::quote(name);
        let text = format!("environment variable {quoted} has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$");
        return Err(Failure { code: "E0402", text });
    }
    let set = sources.env(name);
    let unset = set.is_none() && default.is_none();
    let defaulted = set.is_none() && default.is_some();
    let text = set.unwrap_or_else(|| default.unwrap_or_default().to_owned());
    let parsed = parse(&format!("<env:{name}>"), text.as_bytes(), order);
    let mut retrieved = parsed.map_err(|problem| Failure { code: problem.code, text: problem.message })?;
    if defaulted && retrieved.text.is_empty() {
        // `${env:X:-}` is the empty string, not null.
        retrieved.content = Content::Text;
    }
    Ok(Retrieved { variable: Some(name.to_owned()), unset, source: None, ..retrieved })
}

/// Text that is not YAML is a string, so that secrets with odd characters work.
fn parse(name: &str, bytes: &[u8], order: u32) -> Result<Retrieved, Box<Diagnostic>> {
    let source = yaml::decode_utf8(name, bytes, order)?;
    let text = source.text().to_owned();
    let (content, not_yaml) = match yaml::parse_source(&source) {
        Ok(Node { value: Value::String(_), .. }) => (Content::Text, None),
        Ok(tree) => (Content::Tree(tree), None),
        Err(problem) => (Content::Text, Some(problem)),
    };
    Ok(Retrieved { text, content, variable: None, unset: false, not_yaml, source: Some(source) })
}

/// `https://user:pass@host` without the credentials.
fn mask_userinfo(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://[REDACTED]{}", &rest[at..]),
        None => uri.to_owned(),
    }
}
