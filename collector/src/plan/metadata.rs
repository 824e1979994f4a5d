//! Request headers that components read, and receivers that keep them.

use sluice_config::{Diagnostic, Node, Value};
use sluice_pipeline::context::is_identity_key;
use sluice_pipeline::factory::ComponentKind;

use super::Planned;

/// Warns of components that read request headers where no receiver keeps any.
pub(super) struct Readers<'f> {
    pub(super) kept: bool,
    pub(super) findings: &'f mut Vec<Diagnostic>,
}

impl Readers<'_> {
    pub(super) fn check<K: ComponentKind>(&mut self, section: &str, planned: &[Planned<K>]) {
        if self.kept {
            return;
        }
        for component in planned {
            let keys = component.configured.metadata_keys.iter();
            let headers: Vec<_> = keys.filter(|key| !is_identity_key(key)).map(|key| format!("{key:?}")).collect();
            if headers.is_empty() {
                continue;
            }
            let (id, headers) = (component.id.as_str(), headers.join(", "));
            let text = format!("{section}::{id} reads request headers ({headers}), and no receiver keeps any");
            let finding = Diagnostic::new("W0518", text).at(&component.node.origin);
            self.findings.push(finding.help("write `include_metadata: true` in the protocol of the receiver"));
        }
    }
}

/// Whether a receiver's config says somewhere that headers are kept.
pub(super) fn keeps_headers(node: &Node) -> bool {
    let Some(map) = node.as_map() else { return false };
    let says = |(key, value): (&String, &Node)| {
        (key == "include_metadata" && value.value == Value::Bool(true)) || keeps_headers(value)
    };
    map.iter().any(|(key, entry)| says((key, &entry.value)))
}
