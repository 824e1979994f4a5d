//! Lints about the order and the surroundings of processors.

use sluice_config::service::{Component, Pipeline, Reference, Service};
use sluice_config::{Diagnostic, Kind, Node, Value};

/// All of them.
pub(super) fn find(service: &Service) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for pipeline in &service.pipelines {
        late_limiter(service, pipeline, &mut found);
        text_after_redaction(service, pipeline, &mut found);
    }
    for connector in service.of_kind(Kind::Connector) {
        endless_series(connector, &mut found);
    }
    found
}

fn kind<'s>(service: &'s Service, reference: &Reference) -> Option<&'s str> {
    service.component(Kind::Processor, &reference.id)?.canonical.as_deref()
}

/// W0510.
fn late_limiter(service: &Service, pipeline: &Pipeline, found: &mut Vec<Diagnostic>) {
    for reference in pipeline.processors.iter().skip(1) {
        if kind(service, reference) == Some("memory_limiter") {
            let text = format!(
                "service::pipelines::{}: `{}` is not the first processor: what stands before it works on data that it then refuses",
                pipeline.id, reference.id
            );
            let lint = Diagnostic::new("W0510", text).at(&reference.origin);
            found.push(lint.help("move it to the front; here it does no harm, since requests are admitted by their bytes at the receiver"));
        }
    }
}

/// W0512. What is copied between attributes of an item has been redacted; what comes from the request has not.
fn text_after_redaction(service: &Service, pipeline: &Pipeline, found: &mut Vec<Diagnostic>) {
    let redacts = |reference: &Reference| kind(service, reference) == Some("redaction");
    let Some(at) = pipeline.processors.iter().position(redacts) else { return };
    for reference in &pipeline.processors[at + 1..] {
        let Some(component) = service.component(Kind::Processor, &reference.id) else { continue };
        let list = match component.canonical.as_deref() {
            Some("attributes") => "actions",
            Some("resource") => "attributes",
            _ => continue,
        };
        for source in items(component.node.get(list)).filter_map(|action| action.get("from_context")) {
            let text = format!(
                "service::pipelines::{}: `{}` adds text of the request behind redaction: nobody looks at it",
                pipeline.id, reference.id
            );
            found
                .push(Diagnostic::new("W0512", text).at(&source.origin).help("move it before the redacting processor"));
        }
    }
}

/// Attributes with a value of their own for almost every item: as a label, a series each.
const ENDLESS: &[&str] = &[
    "trace_id",
    "trace.id",
    "span_id",
    "span.id",
    "user.id",
    "enduser.id",
    "session.id",
    "client.address",
    "client.port",
    "network.peer.port",
    "net.peer.port",
    "net.peer.ip",
    "http.url",
    "http.target",
    "url.full",
    "url.path",
    "url.query",
    "db.statement",
    "db.query.text",
    "messaging.message.id",
    "thread.id",
    "exception.message",
    "exception.stacktrace",
];

/// W0514.
fn endless_series(connector: &Component, found: &mut Vec<Diagnostic>) {
    if connector.canonical.as_deref() != Some("span_metrics") {
        return;
    }
    for list in ["dimensions", "calls_dimensions", "histogram::dimensions", "events::dimensions"] {
        for name in items(connector.node.find(list)).filter_map(|dimension| dimension.get("name")) {
            let Value::String(text) = &name.value else { continue };
            if ENDLESS.contains(&text.as_str()) {
                let message = format!(
                    "connectors::{}: dimension `{text}` has about as many values as there are spans: each makes new series",
                    connector.id
                );
                let lint = Diagnostic::new("W0514", message).at(&name.origin);
                found.push(lint.help("take an attribute with few values, such as http.route or server.address"));
            }
        }
    }
}

fn items(node: Option<&Node>) -> impl Iterator<Item = &Node> {
    let items = match node.map(|node| &node.value) {
        Some(Value::Seq(items)) => items.as_slice(),
        _ => &[],
    };
    items.iter()
}

/// W0503. With several replicas, each sees some spans of a trace only, unless somebody routes them by trace id.
pub fn scattered(service: &Service, replicas: u32) -> Vec<Diagnostic> {
    const WHOLE: &[&str] = &["tail_sampling", "correlate", "groupbytrace"];
    if replicas <= 1 {
        return Vec::new();
    }
    let mut found = Vec::new();
    for component in service.of_kind(Kind::Processor) {
        let is_used =
            service.pipelines.iter().any(|pipeline| pipeline.processors.iter().any(|it| it.id == component.id));
        if is_used && component.canonical.as_deref().is_some_and(|kind| WHOLE.contains(&kind)) {
            let text = format!(
                "processors::{}: needs all of a trace, and {replicas} replicas each receive a part of it",
                component.id
            );
            let help = "route by trace id in front of the replicas (upstream's `load_balancing` exporter does), then write `# sluice: allow W0503`";
            found.push(Diagnostic::new("W0503", text).at(&component.key).help(help));
        }
    }
    found
}
