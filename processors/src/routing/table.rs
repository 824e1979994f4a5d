//! The rules, compiled and bound to the pipelines behind the connector.

use std::sync::Arc;

use sluice_config::Problems;
use sluice_ottl::{Compiler, Condition, Conditions, Context as Ottl, ErrorMode, LoadError, Registry};
use sluice_pipeline::connector::Between;
use sluice_pipeline::{Context, Error, Signal};

use super::config::{Config, Rule};

/// Pipelines that a connector may feed.
const MOST: usize = 64;

/// Places among the pipelines behind the connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(u64);

impl Places {
    pub(super) fn contains(self, place: usize) -> bool {
        self.0 & (1 << place) != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub(super) fn union(self, other: Places) -> Places {
        Places(self.0 | other.0)
    }

    #[must_use]
    fn with(self, place: usize) -> Places {
        Places(self.0 | (1 << place))
    }
}

/// What a rule asks.
#[derive(Debug)]
pub(super) enum Question {
    /// Of the resource.
    Resource(Conditions),
    /// Of the metric.
    Metric(Conditions),
    /// Of the span, data point or log record.
    Item(Conditions),
    /// Of the request that brought it.
    Request(RequestCondition),
}

/// A rule.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) question: Question,
    pub(super) places: Places,
    /// Later rules see the item all the same.
    pub(super) copies: bool,
    context: String,
    pipelines: Vec<String>,
}

/// All rules in order.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) rules: Vec<Compiled>,
    /// Of what no rule has moved.
    pub(super) default: Places,
    default_pipelines: Vec<String>,
}

impl Table {
    /// Compiles a config. What is wrong goes to `problems`; texts are upstream's where it has one.
    pub(super) fn compile(config: &Config, problems: &mut Problems<'_>) -> Table {
        let mode = match config.error_mode.as_deref().unwrap_or("propagate").parse() {
            Ok(mode) => mode,
            Err(text) => {
                let text: String = text;
                problems.error("error_mode", text);
                ErrorMode::Propagate
            }
        };
        if config.table.is_empty() {
            problems.error("table", "invalid routing table: the routing table is empty");
        }
        let registry = Registry::filter();
        let mut rules = Vec::new();
        for (at, rule) in config.table.iter().enumerate() {
            rules.extend(compile(rule, &format!("table::{at}"), mode, &registry, problems));
        }
        Table { rules, default: Places::default(), default_pipelines: config.default_pipelines.clone() }
    }

    /// Finds the rules' pipelines among those that the connector feeds.
    ///
    /// # Errors
    /// A pipeline that it does not feed, or a context that the signal does not have.
    pub(super) fn bind(mut self, between: &Between) -> Result<Arc<Table>, Error> {
        if between.targets.len() > MOST {
            return Err(Error::config(format!("more than {MOST} pipelines behind one routing connector")));
        }
        let places = |pipelines: &[String]| {
            pipelines.iter().try_fold(Places::default(), |places, name| {
                let place = between.targets.iter().position(|target| target.as_str() == name);
                let place = place.ok_or_else(|| Error::config(format!("missing consumer: {name:?}")))?;
                Ok::<_, Error>(places.with(place))
            })
        };
        for rule in &mut self.rules {
            let known = match rule.context.as_str() {
                "span" => between.from == Signal::Traces,
                "metric" | "datapoint" => between.from == Signal::Metrics,
                "log" => between.from == Signal::Logs,
                _ => true,
            };
            if !known {
                let text = format!("{:?} context is not supported for {}", rule.context, between.from);
                return Err(Error::config(text));
            }
            rule.places = places(&rule.pipelines)?;
        }
        self.default = places(&self.default_pipelines)?;
        Ok(Arc::new(self))
    }
}

fn compile(
    rule: &Rule,
    path: &str,
    mode: ErrorMode,
    registry: &Registry,
    problems: &mut Problems<'_>,
) -> Option<Compiled> {
    let context = rule.context.as_deref().filter(|context| !context.is_empty()).unwrap_or("resource");
    if rule.pipelines.is_empty() {
        problems.error(path, "invalid route: no pipelines defined");
    }
    let copies = match rule.action.as_deref().unwrap_or_default() {
        "" | "move" => false,
        "copy" => true,
        other => {
            problems.error(&format!("{path}::action"), format!("invalid action: {other}; it is move or copy"));
            false
        }
    };
    if context == "request" && (rule.statement.is_some() || rule.condition.is_none()) {
        problems.error(path, "\"request\" context requires a 'condition'");
        return None;
    }
    let (field, text) = match (&rule.statement, &rule.condition) {
        (None, None) => {
            problems.error(path, "invalid route: no condition or statement provided");
            return None;
        }
        (Some(_), Some(_)) => {
            problems.error(path, "invalid route: both condition and statement provided");
            return None;
        }
        (Some(statement), None) => ("statement", of_statement(statement)),
        (None, Some(condition)) => ("condition", Some(condition.as_str())),
    };
    let at = format!("{path}::{field}");
    let Some(text) = text else {
        problems.error(&at, "a statement here is `route()`, or `route() where` and a condition");
        return None;
    };
    let mut item = |context| {
        condition(context, text, &at, registry, problems).map(|condition| Conditions::any(vec![condition], mode))
    };
    let question = match context {
        "resource" => Question::Resource(item(Ottl::Resource)?),
        "metric" => Question::Metric(item(Ottl::Metric)?),
        "span" => Question::Item(item(Ottl::Span)?),
        "datapoint" => Question::Item(item(Ottl::DataPoint)?),
        "log" => Question::Item(item(Ottl::Log)?),
        "request" => match RequestCondition::parse(text) {
            Some(condition) => Question::Request(condition),
            None => {
                problems.error(&at, "condition must have format 'request[\"<name>\"] <comparator> <value>'");
                return None;
            }
        },
        other => {
            problems.error(&format!("{path}::context"), format!("invalid context: {other}"));
            return None;
        }
    };
    let (context, pipelines) = (context.to_owned(), rule.pipelines.clone());
    Some(Compiled { question, places: Places::default(), copies, context, pipelines })
}

/// The condition of a `route()` statement; one without always holds.
fn of_statement(statement: &str) -> Option<&str> {
    let rest = statement.trim().strip_prefix("route")?.trim_start().strip_prefix('(')?;
    let rest = rest.trim_start().strip_prefix(')')?.trim();
    if rest.is_empty() {
        return Some("true");
    }
    rest.strip_prefix("where").filter(|rest| rest.starts_with([' ', '\t', '\n', '(']))
}

fn condition(
    context: Ottl,
    text: &str,
    at: &str,
    registry: &Registry,
    problems: &mut Problems<'_>,
) -> Option<Condition> {
    match Compiler::new(context, registry).allow_unprefixed().condition(text) {
        Ok(condition) => Some(condition),
        Err(error) => {
            report(at, &error, problems);
            None
        }
    }
}

fn report(at: &str, error: &LoadError, problems: &mut Problems<'_>) {
    problems.add("E0301", at, &error.to_string());
}

/// `request["key"] == "value"`, or `!=`: of a header of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestCondition {
    /// Lower-case.
    pub(super) key: String,
    value: String,
    differs: bool,
}

impl RequestCondition {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let quoted = |text: &str| Some(text.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned());
        let (key, rest) = text.trim().strip_prefix("request")?.trim_start().strip_prefix('[')?.split_once(']')?;
        let rest = rest.trim_start();
        let (differs, value) = match rest.strip_prefix("==") {
            Some(value) => (false, value),
            None => (true, rest.strip_prefix("!=")?),
        };
        Some(RequestCondition { key: quoted(key)?.to_ascii_lowercase(), value: quoted(value)?, differs })
    }

    /// Whether it holds: one without the header equals nothing, and differs from nothing either.
    pub(super) fn holds(&self, context: &Context) -> bool {
        let mut values = context.metadata.get(&self.key);
        values.next().is_some_and(|value| (value == self.value) != self.differs)
    }
}
