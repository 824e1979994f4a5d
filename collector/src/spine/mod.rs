//! What keeps acknowledged data: the journal, or a log in memory. Made once, for all pipelines.

mod place;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use sluice_pipeline::extension::{Extensions, JournalSettings};
use sluice_pipeline::ledger::Ledger;
use sluice_pipeline::spine::durable::{self, DurableSpine};
use sluice_pipeline::spine::memory::MemorySpine;
use sluice_pipeline::spine::{CursorRule, Destination, DestinationSpec, Role, Spine};

use crate::graph::{Log, Surroundings};
use crate::plan::Plan;
use place::{Disk, Place};

/// Most that closing the journal may take.
const CLOSE: Duration = Duration::from_millis(1500);

/// The spine of this process.
#[derive(Clone)]
pub enum Kept {
    InMemory(MemorySpine),
    /// With the settings by which it was opened.
    OnDisk(DurableSpine, Arc<JournalSettings>),
}

/// Where a plan's data is to be kept, given what runs.
pub enum Choice {
    /// In a journal that is not open yet.
    Open(Box<Disk>),
    /// Where the running graph keeps its own.
    Keep {
        /// Why that is not on disk, if it is not.
        no_journal: Option<String>,
    },
}

impl Default for Choice {
    fn default() -> Self {
        Choice::Keep { no_journal: None }
    }
}

impl Choice {
    /// Why there is no journal.
    pub fn no_journal(&self) -> Option<&str> {
        match self {
            Choice::Open(_) => None,
            Choice::Keep { no_journal } => no_journal.as_deref(),
        }
    }
}

/// Decides where a plan's data is to be kept. What is kept already stays where it is: `running` is replaced only if it is in
/// memory and not `in_use`.
///
/// # Errors
/// The configured directory cannot be used, or the plan asks for another place than the running one.
pub fn choose(
    plan: &Plan,
    extensions: &Extensions,
    data_dir: Option<&Path>,
    running: &Kept,
    in_use: bool,
) -> anyhow::Result<Choice> {
    let (keeps, asks) = (place::keeps(plan), place::asks(plan));
    match running {
        Kept::OnDisk(..) if !keeps => Ok(Choice::Keep { no_journal: None }),
        Kept::OnDisk(..) if !asks => {
            Err(anyhow!("service::delivery::ack: from the journal to memory only: that needs a restart"))
        }
        Kept::OnDisk(_, settings) if place::settings(plan, extensions)? != **settings => {
            Err(anyhow!("the settings of the journal have changed: that needs a restart"))
        }
        Kept::OnDisk(..) => Ok(Choice::Keep { no_journal: None }),
        Kept::InMemory(_) if in_use && asks && plan.journal.is_some() => {
            Err(anyhow!("service::delivery: from memory to a journal: that needs a restart"))
        }
        Kept::InMemory(_) if in_use => {
            let cause = "what was started without a journal has none until a restart";
            Ok(Choice::Keep { no_journal: Some(cause.to_owned()) })
        }
        Kept::InMemory(_) => Ok(match place::find(plan, extensions, data_dir)? {
            Place::Disk(disk) => Choice::Open(disk),
            Place::Nowhere(cause) => Choice::Keep { no_journal: Some(cause) },
        }),
    }
}

impl Kept {
    /// Opens the journal.
    ///
    /// # Errors
    /// What it refuses: a directory in use (see [`is_in_use`]), a newer format, I/O. Too many destinations.
    pub async fn open(disk: Disk, log: &Log, around: &Surroundings) -> anyhow::Result<Self> {
        let (around, specs, settings) = (around.clone(), log.destinations.clone(), Arc::new(disk.settings.clone()));
        // Recovery reads files.
        let opened = tokio::task::spawn_blocking(move || on_disk(disk, &specs, &around));
        let spine = opened.await.context("the journal cannot be opened")??;
        Ok(Kept::OnDisk(spine, settings))
    }

    /// A log in memory.
    ///
    /// # Errors
    /// Too many destinations.
    pub fn in_memory(log: &Log, around: &Surroundings) -> anyhow::Result<Self> {
        let memory = around.memory.clone();
        let spine =
            MemorySpine::new(log.capacity, false, CursorRule::Absorbed, memory, &around.ledger, &log.destinations)
                .map_err(|error| anyhow!("{error}"))?;
        spine.publish(&around.telemetry, Arc::clone(&around.clock));
        Ok(Kept::InMemory(spine))
    }

    /// The first half of a reload: adds the destinations that are new. Nothing changes for the others.
    ///
    /// # Errors
    /// Too many destinations; a cursor that cannot be made.
    pub async fn attach(&self, old: &Log, new: &Log, ledger: &Ledger) -> anyhow::Result<()> {
        match self {
            Kept::InMemory(spine) => {
                spine.attach(new.capacity, ledger, &new.destinations).map_err(|error| anyhow!("{error}"))
            }
            Kept::OnDisk(spine, _) => {
                let known = |spec: &&DestinationSpec| old.destinations.iter().any(|before| before.name == spec.name);
                let added = new.destinations.iter().filter(|spec| !known(spec));
                configure(spine, old.destinations.iter().chain(added).cloned().collect()).await
            }
        }
    }

    /// The second half of a reload, when nothing goes to the others any more: these destinations, and no more. In memory the
    /// backlog of one that is gone is dropped; on disk it is kept for its time of grace.
    ///
    /// # Errors
    /// As [`Kept::attach`].
    pub async fn configure(&self, log: &Log, ledger: &Ledger) -> anyhow::Result<()> {
        match self {
            Kept::InMemory(spine) => {
                spine.configure(log.capacity, ledger, &log.destinations).map_err(|error| anyhow!("{error}"))
            }
            Kept::OnDisk(spine, _) => configure(spine, log.destinations.clone()).await,
        }
    }

    /// Whether the other one is the same: a process has at most one of each kind.
    pub fn is(&self, other: &Kept) -> bool {
        self.is_durable() == other.is_durable()
    }

    /// The spine as every component sees it.
    pub fn shared(&self) -> Arc<dyn Spine> {
        match self {
            Kept::InMemory(spine) => Arc::new(spine.clone()),
            Kept::OnDisk(spine, _) => Arc::new(spine.clone()),
        }
    }

    /// The index of a destination.
    pub fn destination(&self, name: &str) -> Option<Destination> {
        match self {
            Kept::InMemory(spine) => spine.destination(name),
            Kept::OnDisk(spine, _) => spine.destination(name),
        }
    }

    /// Whether what is left is there at the next start.
    pub fn is_durable(&self) -> bool {
        matches!(self, Kept::OnDisk(..))
    }

    /// Writes what waits, saves cursors and closes the files. In memory there is nothing to do. A disk that hangs does not
    /// keep the process: it then ends as by a crash, which loses nothing.
    pub async fn close(self) {
        let Kept::OnDisk(spine, _) = self else { return };
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

/// Makes the destinations of a journal these.
async fn configure(spine: &DurableSpine, destinations: Vec<DestinationSpec>) -> anyhow::Result<()> {
    let spine = spine.clone();
    // It writes cursors.
    let configured = tokio::task::spawn_blocking(move || spine.configure(&destinations));
    configured.await.context("the journal's destinations")?.map_err(|error| anyhow::Error::new(Caused(error)))
}

fn on_disk(disk: Disk, specs: &[DestinationSpec], around: &Surroundings) -> anyhow::Result<DurableSpine> {
    let Disk { vfs, mut config, name, settings: _ } = disk;
    config.stages = specs.iter().any(|spec| spec.role == Role::Stage);
    let path = vfs.path().display().to_string();
    let parts = durable::Surroundings {
        name: &name,
        memory: around.memory.clone(),
        clock: Arc::clone(&around.clock),
        ledger: &around.ledger,
        telemetry: &around.telemetry,
    };
    let max_size = config.max_size;
    let (spine, recovered) = DurableSpine::open(Arc::new(vfs), config, parts, specs)
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
