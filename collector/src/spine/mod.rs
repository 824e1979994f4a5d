//! What keeps acknowledged data: the journal, or a log in memory. Made once, for all pipelines.

mod place;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use sluice_pipeline::spine::durable::{self, DurableSpine};
use sluice_pipeline::spine::memory::MemorySpine;
use sluice_pipeline::spine::{CursorRule, Destination, DestinationSpec, Spine};

use crate::graph::Surroundings;

pub use place::{Place, find};

/// Most that closing the journal may take.
const CLOSE: Duration = Duration::from_millis(1500);

/// The spine of this process.
#[derive(Clone)]
pub enum Kept {
    InMemory(MemorySpine),
    OnDisk(DurableSpine),
}

impl Kept {
    /// Opens the journal where it is, else a log in memory.
    ///
    /// # Errors
    /// What the journal refuses: a directory in use (see [`is_in_use`]), a newer format, I/O. Too many destinations.
    pub async fn open(place: Place, specs: Vec<DestinationSpec>, around: &Surroundings) -> anyhow::Result<Self> {
        match place {
            Place::Disk(disk) => {
                let around = around.clone();
                // Recovery reads files.
                let opened = tokio::task::spawn_blocking(move || on_disk(disk, &specs, &around));
                opened.await.context("the journal cannot be opened")?.map(Kept::OnDisk)
            }
            Place::Nowhere(_) => in_memory(&specs, around).map(Kept::InMemory),
        }
    }

    /// The spine as every component sees it.
    pub fn shared(&self) -> Arc<dyn Spine> {
        match self {
            Kept::InMemory(spine) => Arc::new(spine.clone()),
            Kept::OnDisk(spine) => Arc::new(spine.clone()),
        }
    }

    /// The index of a destination.
    pub fn destination(&self, name: &str) -> Option<Destination> {
        match self {
            Kept::InMemory(spine) => spine.destination(name),
            Kept::OnDisk(spine) => spine.destination(name),
        }
    }

    /// Whether what is left is there at the next start.
    pub fn is_durable(&self) -> bool {
        matches!(self, Kept::OnDisk(_))
    }

    /// Writes what waits, saves cursors and closes the files. In memory there is nothing to do. A disk that hangs does not
    /// keep the process: it then ends as by a crash, which loses nothing.
    pub async fn close(self) {
        let Kept::OnDisk(spine) = self else { return };
        let closing = tokio::task::spawn_blocking(move || spine.close());
        let error = match tokio::time::timeout(CLOSE, closing).await {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the journal did not close within {CLOSE:?}"),
        };
        tracing::error!("{error}; what was acknowledged is safe, some of it may be sent again");
    }
}

/// Whether a start failed because another process has the journal open.
pub fn is_in_use(error: &anyhow::Error) -> bool {
    let is_locked = |cause: &(dyn std::error::Error + 'static)| {
        let error = cause.downcast_ref::<sluice_journal::Error>();
        matches!(error, Some(sluice_journal::Error::Locked(_)))
    };
    error.chain().any(is_locked)
}

fn on_disk(disk: place::Disk, specs: &[DestinationSpec], around: &Surroundings) -> anyhow::Result<DurableSpine> {
    let place::Disk { vfs, config, name } = disk;
    let path = vfs.path().display().to_string();
    let parts = durable::Surroundings {
        memory: around.memory.clone(),
        clock: Arc::clone(&around.clock),
        ledger: &around.ledger,
        telemetry: &around.telemetry,
    };
    let max_size = config.max_size;
    let (spine, recovered) = DurableSpine::open(Arc::new(vfs), config, parts, specs, |_| false)
        .map_err(|error| anyhow::Error::new(Caused(error)).context(format!("{name} in {path}")))?;
    tracing::info!(
        directory = path,
        max_size,
        segments = recovered.segments,
        clean = recovered.clean,
        "journal opened: what is acknowledged is on disk"
    );
    Ok(spine)
}

/// An error of the room below, with its cause where `anyhow` finds it.
#[derive(Debug)]
struct Caused(sluice_pipeline::Error);

impl std::fmt::Display for Caused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            sluice_pipeline::Error::Caused { context, .. } => f.write_str(context),
            other => other.fmt(f),
        }
    }
}

impl std::error::Error for Caused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// The log in memory: a quarter of the budget unless quotas are written (delivery §3.11).
fn in_memory(specs: &[DestinationSpec], around: &Surroundings) -> anyhow::Result<MemorySpine> {
    let written: u64 = specs.iter().filter_map(|spec| spec.max_bytes).sum();
    let capacity = (around.memory.limit() / 4).max(written);
    let memory = around.memory.clone();
    let spine = MemorySpine::new(capacity, false, CursorRule::Absorbed, memory, &around.ledger, specs)
        .map_err(|error| anyhow!("{error}"))?;
    spine.publish(&around.telemetry, Arc::clone(&around.clock));
    Ok(spine)
}
