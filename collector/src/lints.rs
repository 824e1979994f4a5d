//! What runs, but probably not as meant (experience §5). `sluice check` shows it; `run` does not.

mod pipelines;

use sluice_config::service::{Component, Service};
use sluice_config::{Diagnostic, Kind, Node, Value};

use crate::exposure::{self, Port};
pub use pipelines::scattered;

/// The lints of a configuration.
pub fn find(service: &Service, ports: &[Port]) -> Vec<Diagnostic> {
    let mut found = unused(service);
    found.extend(exposure::lints(service, ports));
    found.extend(exposure::loops(service, ports));
    found.extend(pipelines::find(service));
    for component in &service.components {
        unverified(component, &component.node, &mut found);
    }
    for exporter in service.of_kind(Kind::Exporter) {
        without_protection(exporter, &mut found);
    }
    found
}

/// W0509. An extension may be in use without being in `service::extensions`: where something names it.
fn unused(service: &Service) -> Vec<Diagnostic> {
    let named = |id: &str| {
        service.delivery.journal.as_deref() == Some(id)
            || service.components.iter().any(|component| mentions(&component.node, id))
    };
    let extensions: Vec<_> = service.of_kind(Kind::Extension).filter(|it| named(&it.id.to_string())).collect();
    let is_named = |found: &Diagnostic| {
        found
            .origin
            .as_ref()
            .is_some_and(|at| extensions.iter().any(|it| it.key.span == at.span && it.key.file() == at.file()))
    };
    let help = |found: Diagnostic| found.help("name it in service::pipelines (or service::extensions), or remove it");
    service.unused().into_iter().filter(|found| !is_named(found)).map(help).collect()
}

/// Whether some text of the config is the id.
fn mentions(node: &Node, id: &str) -> bool {
    match &node.value {
        Value::Map(map) => map.values().any(|entry| mentions(&entry.value, id)),
        Value::Seq(items) => items.iter().any(|item| mentions(item, id)),
        Value::String(text) => text == id,
        _ => false,
    }
}

/// W0508.
fn unverified(component: &Component, node: &Node, found: &mut Vec<Diagnostic>) {
    for (key, entry) in node.as_map().into_iter().flatten() {
        if key == "insecure_skip_verify" && entry.value.value == Value::Bool(true) {
            let (section, id) = (component.kind.section(), &component.id);
            let text =
                format!("{section}::{id}: certificates are not verified: anybody in between can read and change data");
            let lint = Diagnostic::new("W0508", text).at(&entry.value.origin);
            found.push(lint.help("name the CA in `ca_file` and remove `insecure_skip_verify`"));
        }
        unverified(component, &entry.value, found);
    }
}

/// W0502.
fn without_protection(exporter: &Component, found: &mut Vec<Diagnostic>) {
    let effects = [
        ("retry_on_failure", "a failed send is not tried again: its data is lost"),
        ("sending_queue", "nothing waits while the destination is away: senders are refused"),
    ];
    for (block, effect) in effects {
        let Some(switch) = exporter.node.find(&format!("{block}::enabled")) else { continue };
        if switch.value == Value::Bool(false) {
            let text = format!("exporters::{}: `{block}` is off: {effect}", exporter.id);
            let lint = Diagnostic::new("W0502", text).at(&switch.origin);
            found.push(lint.help(format!(
                "remove `enabled: false`, or write `# sluice: allow W0502` if `{block}` is off on purpose"
            )));
        }
    }
}
