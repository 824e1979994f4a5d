//! The two processors as steps of the fused pass.

use sluice_config::Problems;
use sluice_pdata::msg::Message;
use sluice_pdata::pass::{Cx, Hooks, Level, Step, Verdict};
use sluice_pdata::tags::resource;
use sluice_pdata::{Error, Signal};
use sluice_pipeline::Context;

use super::action::{Compiled, compile};
use super::config::{AttributesConfig, ResourceConfig};
use super::matcher::{Matcher, item_attributes};

/// `attributes`: actions on spans, log records and data points.
#[derive(Debug)]
pub struct AttributesStep {
    include: Option<Matcher>,
    exclude: Option<Matcher>,
    actions: Vec<Compiled>,
}

impl AttributesStep {
    /// Compiles the config. What is wrong with it goes to `problems`.
    pub fn new(config: &AttributesConfig, problems: &mut Problems<'_>) -> Self {
        let matcher = |properties: &Option<_>, path: &str, problems: &mut Problems<'_>| {
            properties.as_ref().map(|properties| Matcher::new(properties, path, problems))
        };
        AttributesStep {
            include: matcher(&config.include, "include", problems),
            exclude: matcher(&config.exclude, "exclude", problems),
            actions: compile(&config.actions, "actions", problems),
        }
    }

    /// Request metadata keys that actions read.
    pub fn metadata_keys(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().filter_map(Compiled::metadata_key)
    }
}

impl Step<Context> for AttributesStep {
    fn hooks(&self, _signal: Signal) -> Hooks {
        Hooks { item: true, changes: Some(Level::Item), ..Hooks::default() }
    }

    fn item(&self, cx: &mut Cx<'_, Context>, item: &mut Message<'_>) -> Result<Verdict, Error> {
        let number = item_attributes(cx.signal, cx.metric.map(|metric| metric.kind));
        if let Some(include) = &self.include
            && !include.matches(cx, item.bytes(), number)?
        {
            return Ok(Verdict::Keep);
        }
        if let Some(exclude) = &self.exclude
            && exclude.matches(cx, item.bytes(), number)?
        {
            return Ok(Verdict::Keep);
        }
        let mut attributes = item.attributes(number);
        for action in &self.actions {
            action.apply(&mut attributes, cx.context)?;
        }
        Ok(Verdict::Keep)
    }
}

/// `resource`: actions on resources.
#[derive(Debug)]
pub struct ResourceStep {
    actions: Vec<Compiled>,
}

impl ResourceStep {
    /// Compiles the config. What is wrong with it goes to `problems`.
    pub fn new(config: &ResourceConfig, problems: &mut Problems<'_>) -> Self {
        ResourceStep { actions: compile(&config.attributes, "attributes", problems) }
    }

    /// Request metadata keys that actions read.
    pub fn metadata_keys(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().filter_map(Compiled::metadata_key)
    }
}

impl Step<Context> for ResourceStep {
    fn hooks(&self, _signal: Signal) -> Hooks {
        Hooks { resource: true, changes: Some(Level::Resource), ..Hooks::default() }
    }

    fn resource(
        &self,
        cx: &mut Cx<'_, Context>,
        message: &mut Message<'_>,
        _envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        let mut attributes = message.attributes(resource::ATTRIBUTES);
        for action in &self.actions {
            action.apply(&mut attributes, cx.context)?;
        }
        Ok(Verdict::Keep)
    }
}
