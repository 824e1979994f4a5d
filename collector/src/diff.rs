//! What a new configuration changes: for each component, whether its instance stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sluice_config::Node;
use sluice_pipeline::ComponentId;
use sluice_pipeline::factory::ComponentKind;

use crate::extensions::additional_auth;
use crate::plan::{Plan, Planned, PlannedPipeline};

/// What becomes of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Its config is the same: the instance stays, with its sockets, connections and state.
    Keep,
    /// There is one of this id, with another config.
    Replace,
    Add,
    Remove,
}

impl Change {
    pub const fn name(self) -> &'static str {
        match self {
            Change::Keep => "keep",
            Change::Replace => "restart",
            Change::Add => "add",
            Change::Remove => "remove",
        }
    }
}

/// The changes of one kind of component, by id. Components that no pipeline names are not there.
pub type Changes = BTreeMap<ComponentId, Change>;

/// What is to change from one plan to the next.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Diff {
    pub receivers: Changes,
    pub processors: Changes,
    pub exporters: Changes,
    pub connectors: Changes,
    pub extensions: Changes,
}

impl Diff {
    /// From `old`, or from nothing, to `new`.
    pub fn between(old: Option<&Plan>, new: &Plan) -> Self {
        let receivers = |pipeline: &PlannedPipeline| pipeline.receivers.clone();
        let processors = |pipeline: &PlannedPipeline| pipeline.processors.clone();
        let exporters = |pipeline: &PlannedPipeline| pipeline.exporters.clone();
        // One that is used on one side only is an error.
        let connectors = |pipeline: &PlannedPipeline| pipeline.feeds.clone();
        let mut diff = Diff {
            receivers: changes(old, new, |plan| used(&plan.receivers, &plan.pipelines, receivers)),
            processors: changes(old, new, |plan| used(&plan.processors, &plan.pipelines, processors)),
            exporters: changes(old, new, |plan| used(&plan.exporters, &plan.pipelines, exporters)),
            connectors: changes(old, new, |plan| used(&plan.connectors, &plan.pipelines, connectors)),
            extensions: changes(old, new, |plan| {
                let used = plan.extensions.iter().filter(|extension| plan.uses_extension(&extension.id));
                used.map(|extension| (extension.id.clone(), extension)).collect()
            }),
        };
        diff.follow_authenticators(new);
        diff
    }

    /// Who names an authenticator that changes has to ask the new one: its instance cannot stay.
    fn follow_authenticators(&mut self, new: &Plan) {
        let Diff { receivers, processors, exporters, connectors, extensions } = self;
        // One that adds to another one first; there may be several in a row.
        for _ in 0..new.extensions.len() {
            let stale = new.extensions.iter().filter(|extension| stays(extensions, &extension.id));
            let stale = stale
                .filter(|extension| additional_auth(&extension.node).is_some_and(|named| !stays(extensions, &named)));
            let Some(id) = stale.map(|extension| extension.id.clone()).next() else { break };
            extensions.insert(id, Change::Replace);
        }
        follow(receivers, extensions, &new.receivers);
        follow(processors, extensions, &new.processors);
        follow(exporters, extensions, &new.exporters);
        follow(connectors, extensions, &new.connectors);
    }

    /// How many components of all kinds change so.
    pub fn count(&self, change: Change) -> u64 {
        let all = [&self.receivers, &self.processors, &self.exporters, &self.connectors, &self.extensions];
        all.iter().flat_map(|changes| changes.values()).filter(|is| **is == change).count() as u64
    }

    /// Makes the new plan share the configs of what stays with the old one.
    pub fn adopt(&self, old: &Plan, new: &mut Plan) {
        adopt(&self.receivers, &old.receivers, &mut new.receivers);
        adopt(&self.processors, &old.processors, &mut new.processors);
        adopt(&self.exporters, &old.exporters, &mut new.exporters);
        adopt(&self.connectors, &old.connectors, &mut new.connectors);
        adopt(&self.extensions, &old.extensions, &mut new.extensions);
    }
}

/// Whether the instance of an id stays.
pub fn stays(changes: &Changes, id: &ComponentId) -> bool {
    changes.get(id) == Some(&Change::Keep)
}

/// Whether the instance of an id ends.
pub fn ends(changes: &Changes, id: &ComponentId) -> bool {
    matches!(changes.get(id), Some(Change::Replace | Change::Remove))
}

/// The components that some pipeline names.
fn used<'p, K: ComponentKind>(
    planned: &'p [Planned<K>],
    pipelines: &[PlannedPipeline],
    named: impl Fn(&PlannedPipeline) -> Vec<ComponentId>,
) -> BTreeMap<ComponentId, &'p Planned<K>> {
    let named: BTreeSet<ComponentId> = pipelines.iter().flat_map(named).collect();
    let used = planned.iter().filter(|component| named.contains(&component.id));
    used.map(|component| (component.id.clone(), component)).collect()
}

fn changes<'p, K: ComponentKind>(
    old: Option<&'p Plan>,
    new: &'p Plan,
    used: impl Fn(&'p Plan) -> BTreeMap<ComponentId, &'p Planned<K>>,
) -> Changes {
    let (old, new) = (old.map(&used).unwrap_or_default(), used(new));
    let gone = old.keys().filter(|id| !new.contains_key(*id)).map(|id| (id.clone(), Change::Remove));
    let there = new.iter().map(|(id, component)| {
        let change = match old.get(id) {
            None => Change::Add,
            Some(before) if before.kind == component.kind && before.node == component.node => Change::Keep,
            Some(_) => Change::Replace,
        };
        (id.clone(), change)
    });
    gone.chain(there).collect()
}

fn follow<K: ComponentKind>(changes: &mut Changes, extensions: &Changes, new: &[Planned<K>]) {
    for component in new {
        if stays(changes, &component.id) && names_a_changing_authenticator(&component.node, extensions) {
            changes.insert(component.id.clone(), Change::Replace);
        }
    }
}

/// Whether there is an `authenticator` in the config, however deep, that does not stay.
fn names_a_changing_authenticator(node: &Node, extensions: &Changes) -> bool {
    if let Some(items) = node.as_seq() {
        return items.iter().any(|item| names_a_changing_authenticator(item, extensions));
    }
    let named = node.get("authenticator").and_then(Node::text).map(ComponentId::from);
    named.is_some_and(|id| !stays(extensions, &id))
        || node
            .as_map()
            .is_some_and(|map| map.values().any(|entry| names_a_changing_authenticator(&entry.value, extensions)))
}

fn adopt<K: ComponentKind>(changes: &Changes, old: &[Planned<K>], new: &mut [Planned<K>]) {
    for component in new.iter_mut().filter(|component| stays(changes, &component.id)) {
        if let Some(before) = old.iter().find(|before| before.id == component.id) {
            component.configured = Arc::clone(&before.configured);
        }
    }
}

#[cfg(test)]
mod tests;
