//! Conditions compiled and gathered by the context they run on.

use sluice_config::Problems;
use sluice_config::tree::{Node, Value};
use sluice_ottl::{Compiler, Condition, Conditions, Context, ErrorMode, LoadError, Registry, infer};
use sluice_pdata::Signal;
use sluice_pdata::pass::Level;

use super::config::Config;

/// The conditions of one signal, by context.
#[derive(Debug, Default)]
pub(super) struct SignalConditions {
    pub(super) resource: Vec<Conditions>,
    pub(super) scope: Vec<Conditions>,
    /// Metrics only.
    pub(super) metric: Vec<Conditions>,
    /// Spans, log records or data points.
    pub(super) item: Vec<Conditions>,
    /// Traces only.
    pub(super) event: Vec<Conditions>,
}

impl SignalConditions {
    fn add(&mut self, context: Context, conditions: Vec<Condition>, mode: ErrorMode) {
        if conditions.is_empty() {
            return;
        }
        let group = Conditions::any(conditions, mode);
        match context {
            Context::Resource => self.resource.push(group),
            Context::Scope => self.scope.push(group),
            Context::Metric => self.metric.push(group),
            Context::SpanEvent => self.event.push(group),
            _ => self.item.push(group),
        }
    }

    /// The outermost level at which conditions must not meet what an earlier step has emptied: where a failure refuses the whole
    /// request, and at metrics, whose conditions may look at the points.
    pub(super) fn observes(&self) -> Option<Level> {
        let refuses = |groups: &[Conditions]| groups.iter().any(|group| group.error_mode() == ErrorMode::Propagate);
        if refuses(&self.resource) {
            Some(Level::Resource)
        } else if refuses(&self.scope) {
            Some(Level::Scope)
        } else {
            (!self.metric.is_empty()).then_some(Level::Metric)
        }
    }

    /// Whether some condition asks about the request.
    pub(super) fn read_request(&self) -> bool {
        let groups = [&self.resource, &self.scope, &self.metric, &self.item, &self.event];
        let conditions = groups.into_iter().flatten().flat_map(Conditions::iter);
        conditions.into_iter().any(|condition| condition.levels_read().contains(Context::Otelcol))
    }

    /// Literals of which one must be inside an item for any of its conditions to hold; `None` if some condition may hold without.
    pub(super) fn item_literals(&self, item: Context) -> Option<Vec<Box<[u8]>>> {
        let mut literals = Vec::new();
        for condition in self.item.iter().chain(&self.event).flat_map(Conditions::iter) {
            literals.extend(condition.required_literals(item)?);
        }
        (!literals.is_empty()).then_some(literals)
    }
}

/// The contexts of a signal, innermost first.
fn contexts(signal: Signal) -> &'static [Context] {
    match signal {
        Signal::Traces => &[Context::SpanEvent, Context::Span, Context::Scope, Context::Resource],
        Signal::Metrics => &[Context::DataPoint, Context::Metric, Context::Scope, Context::Resource],
        Signal::Logs => &[Context::Log, Context::Scope, Context::Resource],
    }
}

/// Compiles all conditions of a config. What is wrong goes to `problems`, pointing into the condition.
pub(super) fn compile(config: &Config, problems: &mut Problems<'_>) -> [SignalConditions; 3] {
    let mode = error_mode(config.error_mode.as_deref(), "error_mode", problems).unwrap_or(ErrorMode::Ignore);
    let mut compiled: [SignalConditions; 3] = Default::default();
    let mut loader = Loader { registry: Registry::filter(), problems };
    let styles = [
        (Signal::Traces, "trace_conditions", &config.trace_conditions),
        (Signal::Metrics, "metric_conditions", &config.metric_conditions),
        (Signal::Logs, "log_conditions", &config.log_conditions),
    ];
    for (signal, path, nodes) in styles {
        loader.modern(signal, path, nodes, mode, &mut compiled[signal as usize]);
    }
    let older: [(Signal, &str, Context, &[String]); 8] = [
        (Signal::Traces, "traces::resource", Context::Resource, &config.traces.resource),
        (Signal::Traces, "traces::span", Context::Span, &config.traces.span),
        (Signal::Traces, "traces::spanevent", Context::SpanEvent, &config.traces.spanevent),
        (Signal::Metrics, "metrics::resource", Context::Resource, &config.metrics.resource),
        (Signal::Metrics, "metrics::metric", Context::Metric, &config.metrics.metric),
        (Signal::Metrics, "metrics::datapoint", Context::DataPoint, &config.metrics.datapoint),
        (Signal::Logs, "logs::resource", Context::Resource, &config.logs.resource),
        (Signal::Logs, "logs::log_record", Context::Log, &config.logs.log_record),
    ];
    for (signal, path, context, texts) in older {
        let texts: Vec<(String, &str)> =
            texts.iter().enumerate().map(|(at, text)| (format!("{path}::{at}"), text.as_str())).collect();
        let conditions = loader.conditions(context, &texts, true);
        compiled[signal as usize].add(context, conditions, mode);
    }
    compiled
}

fn error_mode(written: Option<&str>, path: &str, problems: &mut Problems<'_>) -> Option<ErrorMode> {
    match written?.parse() {
        Ok(mode) => Some(mode),
        Err(text) => {
            problems.add("E0106", path, &text).help = Some("write ignore, silent or propagate".to_owned());
            None
        }
    }
}

struct Loader<'a, 'p> {
    registry: Registry,
    problems: &'a mut Problems<'p>,
}

impl Loader<'_, '_> {
    /// A list of conditions, or a list of groups; one style per list.
    fn modern(&mut self, signal: Signal, path: &str, nodes: &[Node], mode: ErrorMode, into: &mut SignalConditions) {
        let groups = nodes.iter().filter(|node| matches!(node.value, Value::Map(_))).count();
        if groups > 0 && groups < nodes.len() {
            let text = "configuring multiple configuration styles is not supported, please use only Basic configuration or only Advanced configuration";
            self.problems.error(path, text);
            return;
        }
        for (at, node) in nodes.iter().enumerate() {
            let path = format!("{path}::{at}");
            if groups > 0 {
                self.group(signal, &path, node, mode, into);
            } else if let Some(text) = node.text() {
                self.inferred(signal, &path, text, mode, into);
            } else {
                self.problems.error(&path, "a condition must be a string");
            }
        }
    }

    fn group(&mut self, signal: Signal, path: &str, node: &Node, mode: ErrorMode, into: &mut SignalConditions) {
        let text = |key: &str| node.get(key).and_then(Node::text);
        let mode_path = format!("{path}::error_mode");
        let mode = error_mode(text("error_mode"), &mode_path, self.problems).unwrap_or(mode);
        for (key, _) in node.as_map().into_iter().flatten() {
            if !matches!(key.as_str(), "context" | "error_mode" | "conditions") {
                self.problems.error(&format!("{path}::{key}"), format!("unknown field {key:?}"));
            }
        }
        let listed = node.get("conditions").and_then(Node::as_seq).unwrap_or_default();
        let texts: Vec<(String, &str)> = listed
            .iter()
            .enumerate()
            .filter_map(|(at, node)| Some((format!("{path}::conditions::{at}"), node.text()?)))
            .collect();
        let named = text("context").filter(|name| !name.is_empty());
        let context = named.map(|name| Context::from_name(name).filter(|found| contexts(signal).contains(found)));
        match context {
            Some(Some(context)) => {
                let conditions = self.conditions(context, &texts, true);
                into.add(context, conditions, mode);
            }
            Some(None) => {
                let names = contexts(signal).iter().map(|context| context.name()).collect::<Vec<_>>().join(", ");
                let text = format!("context {:?} is not one of {signal}: {names}", named.unwrap_or_default());
                self.problems.error(&format!("{path}::context"), text);
            }
            None => texts.iter().for_each(|(path, text)| self.inferred(signal, path, text, mode, into)),
        }
    }

    fn inferred(&mut self, signal: Signal, path: &str, text: &str, mode: ErrorMode, into: &mut SignalConditions) {
        match infer(&self.registry, contexts(signal), &[] as &[&str], &[text]) {
            Ok(context) => {
                let conditions = self.conditions(context, &[(path.to_owned(), text)], false);
                into.add(context, conditions, mode);
            }
            Err(error) => self.report(path, &error),
        }
    }

    fn conditions(&mut self, context: Context, texts: &[(String, &str)], unprefixed: bool) -> Vec<Condition> {
        let compiler = Compiler::new(context, &self.registry);
        let mut compiler = if unprefixed { compiler.allow_unprefixed() } else { compiler };
        let results: Vec<_> = texts.iter().map(|(path, text)| (path, compiler.condition(text))).collect();
        let mut conditions = Vec::with_capacity(results.len());
        for (path, result) in results {
            match result {
                Ok(condition) => conditions.push(condition),
                Err(error) => self.report(path, &error),
            }
        }
        conditions
    }

    fn report(&mut self, path: &str, error: &LoadError) {
        let text = error.to_string();
        match error.span() {
            Some(span) => {
                self.problems.error_within(
                    "E0301",
                    path,
                    span.start,
                    span.end.saturating_sub(span.start).max(1),
                    &text,
                );
            }
            None => {
                self.problems.add("E0301", path, &text);
            }
        }
    }
}
