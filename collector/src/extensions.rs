//! The extensions of a plan, built and started before everything else.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use sluice_pipeline::ComponentId;
use sluice_pipeline::extension::Extensions;

use crate::graph::{Surroundings, environment};
use crate::plan::Plan;

/// Those that `service::extensions` lists, and the journal, which need not be listed.
pub async fn start(plan: &Plan, around: &Surroundings) -> anyhow::Result<Extensions> {
    let listed = plan.service.extensions.iter().map(|it| ComponentId::new(it.id.kind(), it.id.name()));
    let wanted: Vec<ComponentId> = listed.chain(plan.journal.clone()).collect();
    let mut built = BTreeMap::new();
    for planned in plan.extensions.iter().filter(|planned| wanted.contains(&planned.id)) {
        let id = &planned.id;
        let extension = planned
            .configured
            .build(environment(id, &[], None, &[], around))
            .with_context(|| format!("failed to create {:?} extension", id.as_str()))?;
        extension.start().await.map_err(|error| anyhow!("failed to start {:?} extension: {error}", id.as_str()))?;
        built.insert(id.clone(), extension);
    }
    Ok(Extensions::new(built))
}
