//! The extensions of a plan, built and started before everything else. A reload keeps those whose config is the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use sluice_config::Node;
use sluice_net::listen::Sockets;
use sluice_pipeline::ComponentId;
use sluice_pipeline::extension::{Extension, Extensions};
use sluice_pipeline::factory::Extensions as Kind;

use crate::diff::{Diff, ends, stays};
use crate::failed_start::FailedStart;
use crate::graph::{Surroundings, environment};
use crate::plan::{Plan, Planned};

/// Builds and starts what the plan has and `running` does not.
///
/// # Errors
/// What an extension says; those that were started end.
pub async fn start(
    plan: &Plan,
    diff: &Diff,
    running: &Extensions,
    around: &Surroundings,
) -> anyhow::Result<Extensions> {
    let mut sockets = Sockets::default();
    for (id, extension) in running.iter().filter(|(id, _)| ends(&diff.extensions, id)) {
        tracing::debug!(extension = id.as_str(), "another one takes its place");
        extension.offer(&mut sockets);
    }
    let mut built = BTreeMap::new();
    for planned in in_order(plan)? {
        let id = &planned.id;
        if let Some(extension) = running.get(id).filter(|_| stays(&diff.extensions, id)) {
            built.insert(id.clone(), Arc::clone(extension));
            continue;
        }
        let extension = planned
            .configured
            .build(environment(id, &[], None, &[], &Extensions::new(built.clone()), around))
            .with_context(|| format!("failed to create {:?} extension", id.as_str()))?;
        let failed = |error: sluice_pipeline::Error| {
            FailedStart::of(format!("failed to start {:?} extension: {error}", id.as_str()), &error)
        };
        extension.bind(&mut sockets).await.map_err(failed)?;
        extension.start().await.map_err(failed)?;
        built.insert(id.clone(), extension);
    }
    Ok(Extensions::new(built))
}

/// The extensions that are to run, each behind the one that its `additional_auth` names.
fn in_order(plan: &Plan) -> anyhow::Result<Vec<&Planned<Kind>>> {
    let mut waiting: Vec<_> = plan.extensions.iter().filter(|planned| plan.uses_extension(&planned.id)).collect();
    let mut ordered: Vec<&Planned<Kind>> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let names_one_that_waits = |planned: &&Planned<Kind>| {
            let named = additional_auth(&planned.node);
            named.is_some_and(|named| waiting.iter().any(|other| other.id == named))
        };
        let (later, next): (Vec<_>, Vec<_>) = waiting.iter().copied().partition(names_one_that_waits);
        if next.is_empty() {
            let ids: Vec<_> = later.iter().map(|planned| planned.id.as_str()).collect();
            return Err(anyhow!("extensions name each other in `additional_auth`: {}", ids.join(", ")));
        }
        ordered.extend(next);
        waiting = later;
    }
    Ok(ordered)
}

/// The authenticator that an extension adds to.
pub fn additional_auth(node: &Node) -> Option<ComponentId> {
    node.get("additional_auth").and_then(Node::text).map(ComponentId::from)
}

/// Tells them that data is taken.
pub fn ready(extensions: &Extensions) {
    extensions.iter().for_each(|(_, extension)| extension.ready());
}

/// Tells them that the end is near.
pub fn not_ready(extensions: &Extensions) {
    extensions.iter().for_each(|(_, extension)| extension.not_ready());
}

/// Stops those that are in `old` and not in `new`.
pub async fn stop(old: Extensions, new: &Extensions, grace: Duration) {
    let goes_on = |id: &ComponentId, it: &Arc<dyn Extension>| new.get(id).is_some_and(|other| Arc::ptr_eq(it, other));
    for (_, extension) in old.iter().filter(|(id, extension)| !goes_on(id, extension)) {
        extension.stop(grace).await;
    }
}
