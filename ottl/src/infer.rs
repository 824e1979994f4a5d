//! Choosing the context of expressions that do not name one (ottl.md §3.1).

use crate::ast::{Mention, Path, mentions_in_condition, mentions_in_statement};
use crate::context::Context;
use crate::error::LoadError;
use crate::function::Registry;
use crate::parser::{parse_condition, parse_statement};
use crate::quote::quoted;
use crate::symbols::enum_value;

/// Finds the one context in which all statements and conditions of a group make sense.
///
/// The innermost context that a path names wins. If it lacks a function or enum in use, the contexts that see it are tried
/// in the same order. Only members of `candidates` are chosen.
///
/// # Errors
/// Syntax; no path names a context; no candidate has everything.
pub fn infer<S: AsRef<str>>(
    registry: &Registry,
    candidates: &[Context],
    statements: &[S],
    conditions: &[S],
) -> Result<Context, LoadError> {
    let mut names = Names::default();
    for source in statements {
        let tree = parse_statement(source.as_ref())?;
        mentions_in_statement(&tree, &mut |mention| names.note(mention));
    }
    for source in conditions {
        let tree = parse_condition(source.as_ref())?;
        mentions_in_condition(&tree, &mut |mention| names.note(mention));
    }
    let sources = || {
        let (statements, conditions) = (list(statements), list(conditions));
        format!("statements {statements} and conditions {conditions}")
    };
    let contexts = || list(&candidates.iter().map(|context| context.name()).collect::<Vec<_>>());
    let Some(name) = names.innermost.clone() else {
        return Err(LoadError::Inference(format!(
            "unable to infer context from {}, path's first segment must be a valid context name {}, and at least one context must be capable of parsing all statements",
            sources(),
            contexts()
        )));
    };
    let chosen = Context::from_name(&name).filter(|context| candidates.contains(context));
    let Some(chosen) = chosen else {
        return Err(LoadError::Inference(format!(
            "context {} inferred from the {} is not a supported context: {}",
            quoted(name.as_bytes()),
            sources(),
            contexts()
        )));
    };
    let lack = match names.lack(registry, chosen) {
        None => return Ok(chosen),
        Some(lack) => lack,
    };
    let inner = Context::ALL.into_iter().filter(|inner| *inner != chosen && inner.sees(chosen));
    for inner in inner.filter(|inner| candidates.contains(inner)) {
        if names.lack(registry, inner).is_none() {
            return Ok(inner);
        }
    }
    Err(LoadError::Inference(format!(
        "unable to infer a valid context ({}) from {}: inferred context {} does not support the {lack}",
        contexts(),
        sources(),
        quoted(name.as_bytes()),
    )))
}

/// What a group of expressions mentions.
#[derive(Default)]
struct Names {
    innermost: Option<String>,
    functions: Vec<String>,
    enums: Vec<String>,
}

impl Names {
    fn note(&mut self, mention: Mention<'_>) {
        match mention {
            Mention::Function(name) => self.functions.push(name.to_owned()),
            Mention::Enum(name) => self.enums.push(name.to_owned()),
            Mention::Path(path) => self.note_path(path),
        }
    }

    fn note_path(&mut self, path: &Path) {
        let Some(name) = path.context() else { return };
        // Names that are no context come last: they count only if nothing better is found.
        let rank = |name: &str| Context::from_name(name).map_or(Context::ALL.len(), |context| context as usize);
        if self.innermost.as_ref().is_none_or(|best| rank(name) < rank(best)) {
            self.innermost = Some(name.to_owned());
        }
    }

    /// The first function or enum that a context does not have.
    fn lack(&self, registry: &Registry, context: Context) -> Option<String> {
        let function = self.functions.iter().find(|name| registry.find(context, name).is_none());
        if let Some(name) = function {
            return Some(format!("function {}", quoted(name.as_bytes())));
        }
        let symbol = self.enums.iter().find(|name| {
            // A bare upper-case name may also be a converter that is handed to an editor.
            enum_value(context, name).is_none() && registry.find(context, name).is_none()
        });
        symbol.map(|name| format!("enum symbol {}", quoted(name.as_bytes())))
    }
}

fn list<S: AsRef<str>>(items: &[S]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| quoted(item.as_ref().as_bytes())).collect();
    format!("[{}]", quoted.join(" "))
}
