//! The labels that all series of a resource and scope have.

use sluice_pdata::tags::scope_metrics;
use sluice_pdata::view::{AttributesView, ResourceView, ScopeMetricsView, text};
use sluice_pdata::wire::{Value, fields};

use super::Malformed;
use super::layout::Layout;
use crate::prometheus_remote_write::translate::{LabelNamer, Options, value::value_text};

/// The attributes that name a target.
pub(super) const IDENTIFYING: [&[u8]; 3] = [b"service.namespace", b"service.name", b"service.instance.id"];

/// A label that does not depend on the data point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    pub(super) name: String,
    pub(super) value: String,
    /// It replaces an attribute of the same name; else it only fills in for one that is absent or empty.
    pub(super) strong: bool,
}

/// Sets of labels are built by this; names are unique.
#[derive(Clone, Debug, Default)]
pub(super) struct FixedLabels(pub(super) Vec<Fixed>);

impl FixedLabels {
    fn find(&mut self, name: &str) -> Option<&mut Fixed> {
        self.0.iter_mut().find(|fixed| fixed.name == name)
    }

    /// Sets a label, whatever was there.
    pub(super) fn set(&mut self, name: &str, value: String) {
        match self.find(name) {
            Some(fixed) => (fixed.value, fixed.strong) = (value, true),
            None => self.0.push(Fixed { name: name.to_owned(), value, strong: true }),
        }
    }

    fn set_unless_empty(&mut self, name: &str, value: String) {
        if !value.is_empty() {
            self.set(name, value);
        }
    }

    /// Sets a label that is absent or empty.
    pub(super) fn fill(&mut self, name: &str, value: String) {
        match self.find(name) {
            Some(fixed) if fixed.value.is_empty() => fixed.value = value,
            Some(_) => {}
            None => self.0.push(Fixed { name: name.to_owned(), value, strong: false }),
        }
    }

    /// Adds an attribute: the value of one whose name is taken is joined to it.
    pub(super) fn join(&mut self, name: &str, value: &str) {
        match self.find(name) {
            Some(fixed) if fixed.value.is_empty() => value.clone_into(&mut fixed.value),
            Some(fixed) => {
                fixed.value.push(';');
                fixed.value.push_str(value);
            }
            None => self.0.push(Fixed { name: name.to_owned(), value: value.to_owned(), strong: false }),
        }
    }

    /// `job` and `instance`.
    pub(super) fn identify(&mut self, resource: ResourceView<'_>) -> Result<(), Malformed> {
        let [namespace, name, instance] = IDENTIFYING;
        let mut scratch = Vec::new();
        let mut get = |key| -> Result<Option<String>, Malformed> {
            let value = resource.attributes().get(key)?;
            Ok(value.map(|value| text(value_text(value, &mut scratch)).into_owned()))
        };
        if let Some(name) = get(name)? {
            let job = match get(namespace)? {
                Some(namespace) => format!("{namespace}/{name}"),
                None => name,
            };
            self.set_unless_empty("job", job);
        }
        if let Some(instance) = get(instance)? {
            self.set_unless_empty("instance", instance);
        }
        Ok(())
    }

    fn promote(&mut self, resource: ResourceView<'_>, options: &Options) -> Result<(), Malformed> {
        let namer = options.label_namer();
        let mut scratch = Vec::new();
        for pair in resource.attributes().iter() {
            let pair = pair?;
            if options.promotes(pair.key())
                && let Some(name) = namer.build(&text(pair.key()))
            {
                // Of attributes that give the same name the last counts.
                self.0.retain(|fixed| fixed.name != name);
                self.fill(&name, text(value_text(pair.value()?, &mut scratch)).into_owned());
            }
        }
        Ok(())
    }

    fn scope(&mut self, scope: ScopeMetricsView<'_>, namer: &LabelNamer) -> Result<(), Malformed> {
        let schema_url = scope.schema_url()?;
        let scope = scope.scope()?;
        if scope.name()?.is_empty() {
            return Ok(());
        }
        let mut scratch = Vec::new();
        for pair in scope.attributes().iter() {
            let pair = pair?;
            if let Some(name) = namer.build(&format!("otel_scope_{}", text(pair.key()))) {
                self.set(&name, text(value_text(pair.value()?, &mut scratch)).into_owned());
            }
        }
        self.set("otel_scope_name", text(scope.name()?).into_owned());
        self.set("otel_scope_version", text(scope.version()?).into_owned());
        self.set("otel_scope_schema_url", text(schema_url).into_owned());
        Ok(())
    }

    /// The external labels that are lacking.
    pub(super) fn add_external(&mut self, options: &Options) {
        for (name, value) in &options.external_labels {
            self.fill(name, value.clone());
        }
    }
}

/// A resource with a scope, and how labels of its data points are put together.
#[derive(Default)]
pub(super) struct Context {
    /// Sorted by name, none empty.
    pub(super) fixed: Vec<Fixed>,
    /// One for each sequence of attribute keys, the last used first.
    pub(super) layouts: Vec<Layout>,
}

impl Context {
    /// Merges the labels of resource and scope.
    pub(super) fn new(
        resource: ResourceView<'_>,
        scope: ScopeMetricsView<'_>,
        options: &Options,
    ) -> Result<Self, Malformed> {
        let mut labels = FixedLabels::default();
        labels.promote(resource, options)?;
        labels.identify(resource)?;
        labels.add_external(options);
        if options.scope_labels {
            labels.scope(scope, &options.label_namer())?;
        }
        let mut fixed = labels.0;
        // An empty strong label still hides an attribute; the encoder leaves it out.
        fixed.retain(|label| label.strong || !label.value.is_empty());
        fixed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Context { fixed, layouts: Vec::new() })
    }
}

/// Appends what the labels of a scope depend on, so that equal texts mean equal contexts.
pub(super) fn key(resource: ResourceView<'_>, scope: ScopeMetricsView<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.clear();
    let mut put = |part: &[u8]| {
        out.extend_from_slice(&(part.len() as u64).to_le_bytes());
        out.extend_from_slice(part);
    };
    put(resource.0);
    for field in fields(scope.0) {
        let field = field?;
        if let (scope_metrics::SCOPE | scope_metrics::SCHEMA_URL, Value::Len(payload)) = (field.number, field.value) {
            put(&field.number.to_le_bytes());
            put(payload);
        }
    }
    Ok(())
}

/// Attributes of a resource other than those that name the target.
pub(super) fn has_descriptive(attributes: AttributesView<'_>) -> Result<bool, Malformed> {
    for pair in attributes.iter() {
        if !IDENTIFYING.contains(&pair?.key()) {
            return Ok(true);
        }
    }
    Ok(false)
}
