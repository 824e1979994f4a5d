//! What each metric counts, compiled.

use sluice_config::Problems;
use sluice_config::tree::Value;
use sluice_ottl::{Compiler, Conditions, Context, ErrorMode, LoadError, Registry};
use sluice_pdata::tags::any_value;
use sluice_pdata::wire::{put_fixed64, put_len, put_varint_field};

use super::config::{Attribute, Config, Metrics};

/// All metrics of a connector.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    pub(super) spans: Vec<Definition>,
    pub(super) events: Vec<Definition>,
    pub(super) metrics: Vec<Definition>,
    pub(super) points: Vec<Definition>,
    pub(super) logs: Vec<Definition>,
}

/// A metric.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) description: String,
    /// `None`: everything counts.
    pub(super) conditions: Option<Conditions>,
    pub(super) dimensions: Vec<Dimension>,
}

/// An attribute by whose value is counted.
#[derive(Debug)]
pub(super) struct Dimension {
    pub(super) key: Box<[u8]>,
    /// An `AnyValue`.
    pub(super) default: Option<Box<[u8]>>,
}

impl Definitions {
    /// Compiles a config. What is wrong goes to `problems`, in upstream's words.
    pub(super) fn compile(config: &Config, problems: &mut Problems<'_>) -> Self {
        let registry = Registry::filter();
        let mut section = |name, context, metrics: &Metrics| {
            Section { name, context, registry: &registry }.compile(metrics, problems)
        };
        Definitions {
            spans: section("spans", Context::Span, &config.spans),
            events: section("spanevents", Context::SpanEvent, &config.spanevents),
            metrics: section("metrics", Context::Metric, &config.metrics),
            points: section("datapoints", Context::DataPoint, &config.datapoints),
            logs: section("logs", Context::Log, &config.logs),
        }
    }
}

/// The metrics over one kind of item.
struct Section<'r> {
    name: &'static str,
    context: Context,
    registry: &'r Registry,
}

impl Section<'_> {
    fn compile(&self, metrics: &Metrics, problems: &mut Problems<'_>) -> Vec<Definition> {
        let mut definitions = Vec::with_capacity(metrics.len());
        for (name, metric) in metrics {
            let path = format!("{}::{name}", self.name);
            if name.is_empty() {
                problems.error(self.name, format!("{}: metric name missing", self.name));
            }
            let mut compiler = Compiler::new(self.context, self.registry).allow_unprefixed();
            let mut conditions = Vec::with_capacity(metric.conditions.len());
            for (at, text) in metric.conditions.iter().enumerate() {
                match compiler.condition(text) {
                    Ok(condition) => conditions.push(condition),
                    Err(error) => self.report(name, &format!("{path}::conditions::{at}"), &error, problems),
                }
            }
            definitions.push(Definition {
                name: name.clone(),
                description: metric.description.clone(),
                conditions: (!metric.conditions.is_empty()).then(|| Conditions::any(conditions, ErrorMode::Propagate)),
                dimensions: self.dimensions(name, &path, &metric.attributes, problems),
            });
        }
        definitions
    }

    fn dimensions(
        &self,
        name: &str,
        path: &str,
        attributes: &[Attribute],
        problems: &mut Problems<'_>,
    ) -> Vec<Dimension> {
        if self.context == Context::Metric && !attributes.is_empty() {
            let text = format!("metrics attributes not supported: metric {name:?}");
            problems.error(&format!("{path}::attributes"), text).help =
                Some("count by attributes under `datapoints`".to_owned());
        }
        let mut dimensions: Vec<Dimension> = Vec::with_capacity(attributes.len());
        for (at, attribute) in attributes.iter().enumerate() {
            let path = format!("{path}::attributes::{at}");
            if attribute.key.is_empty() {
                let text = format!("{} attributes: metric {name:?}: attribute key missing", self.name);
                problems.error(&path, text);
            }
            if dimensions.iter().any(|known| *known.key == *attribute.key.as_bytes()) {
                problems.error(&path, format!("attribute {:?} is there twice", attribute.key));
            }
            let default = attribute.default_value.as_ref().and_then(|node| match stand_in(&node.value) {
                Some(default) => default,
                None => {
                    let text = "`default_value` has no effect: only a text, an integer or a floating-point number has";
                    problems.add("N0602", &format!("{path}::default_value"), text);
                    None
                }
            });
            dimensions.push(Dimension { key: attribute.key.as_bytes().into(), default });
        }
        dimensions
    }

    fn report(&self, metric: &str, path: &str, error: &LoadError, problems: &mut Problems<'_>) {
        let text = format!("{} condition: metric {metric:?}: {error}", self.name);
        match error.span() {
            Some(span) => {
                let len = span.end.saturating_sub(span.start).max(1);
                problems.error_within("E0301", path, span.start, len, &text);
            }
            None => {
                problems.add("E0301", path, &text);
            }
        }
    }
}

/// A default as `AnyValue`: `Some(None)` for an empty text and for zero, which upstream takes for no default; `None` for what
/// cannot be one.
fn stand_in(value: &Value) -> Option<Option<Box<[u8]>>> {
    let mut out = Vec::new();
    match value {
        Value::Null => return Some(None),
        Value::Int(0) => return Some(None),
        Value::Int(number) => put_varint_field(&mut out, any_value::INT_VALUE, i64::try_from(*number).ok()? as u64),
        Value::Float(number) if *number == 0.0 => return Some(None),
        Value::Float(number) => put_fixed64(&mut out, any_value::DOUBLE_VALUE, number.to_bits()),
        Value::String(text) if text.is_empty() => return Some(None),
        Value::String(text) => put_len(&mut out, any_value::STRING_VALUE, text.as_bytes()),
        _ => return None,
    }
    Some(Some(out.into()))
}
