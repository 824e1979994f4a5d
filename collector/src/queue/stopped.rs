//! The journal of an instance that does not run, opened for a command. Its lock is held meanwhile, so that none can start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use sluice_journal::clock::SystemClock;
use sluice_journal::dlq::DeadLetters;
use sluice_journal::observer::Unobserved;
use sluice_journal::rng::SystemRng;
use sluice_journal::vfs::disk::DiskVfs;
use sluice_journal::{Config, DestSpec, Error, Journal, Parts};
use sluice_pipeline::spine::durable::{Worked, replay};

use super::report::{Action, Done, Letters, Queues, Which};
use super::{Failure, letters};
use crate::{FAILURE, IN_USE, UNREACHABLE, state};

/// The least size of a journal, and of it in segments (delivery §3.1).
const LEAST: u64 = 256 << 20;
const SEGMENTS: u64 = 16;
/// What an instance calls its journal in another extension's directory.
const IN_STORAGE: &str = "sluice.journal";

pub struct Stopped {
    journal: Journal,
    /// Whether the instance ended well. Else the next one has to find out what killed it, and must not be told it was well.
    clean: bool,
}

impl Stopped {
    /// Opens the journal in a state directory, or in a directory of its own.
    ///
    /// # Errors
    /// There is none, or it is in use.
    pub fn open(directory: &Path) -> Result<Self, Failure> {
        let Some(path) = find(directory) else {
            let text =
                format!("no instance runs with the state directory {}, and no journal is in it", directory.display());
            return Err(Failure::new(UNREACHABLE, text));
        };
        let failed = |error: Error| {
            let code = if matches!(error, Error::Locked(_)) { IN_USE } else { FAILURE };
            Failure::new(code, format!("{}: {error}", path.display()))
        };
        let vfs = DiskVfs::open(&path, false).with_context(|| path.display().to_string())?;
        let names = Journal::names_in(&vfs).map_err(failed)?;
        let parts = Parts {
            vfs: Arc::new(vfs),
            clock: Arc::new(SystemClock::new()),
            rng: Arc::new(SystemRng),
            observer: Arc::new(Unobserved),
            config: config(&path),
        };
        // With all destinations: the configuration, which may know fewer, is not at hand.
        let specs: Vec<DestSpec> = names.into_iter().map(DestSpec::new).collect();
        let (journal, recovered) = Journal::open(parts, &specs).map_err(failed)?;
        Ok(Stopped { journal, clean: recovered.clean })
    }

    pub fn queues(&self) -> Result<Queues, Failure> {
        let mut queues = letters::queues(&self.journal).map_err(io)?;
        for queue in &mut queues {
            queue.quota_bytes = None;
        }
        Ok(Queues::new(queues))
    }

    pub fn dead(&self, id: &str, from: u64, limit: usize, bodies: bool) -> Result<Letters, Failure> {
        self.check(id)?;
        letters::page(&self.journal, id, from, limit, bodies).map_err(io)
    }

    pub fn work(&self, id: &str, action: Action, which: &Which) -> Result<Done, Failure> {
        self.check(id)?;
        let dead = self.journal.letters(id).map_err(io)?;
        let done = letters::work(&dead, id, action, which, |ids| match action {
            Action::Replay => replay(&self.journal, id, ids, 0, || while self.journal.step_writer() {}),
            Action::Drop => dropped(&dead, ids),
        });
        let done = done.map_err(|error| Failure::new(FAILURE, error.to_string()))?;
        match which.id {
            Some(letter) if done.letters == 0 => {
                Err(Failure::new(FAILURE, format!("{id} has no dead letter {letter}")))
            }
            _ => Ok(done),
        }
    }

    fn check(&self, id: &str) -> Result<(), Failure> {
        if letters::is_known(&self.journal, id).map_err(io)? {
            return Ok(());
        }
        let known: Vec<String> = self.queues()?.queues.into_iter().map(|queue| queue.id).collect();
        Err(Failure::new(FAILURE, format!("there is no queue {id:?}; there are: {}", known.join(", "))))
    }

    /// Leaves the journal as it was found: whole, or for the next instance to recover.
    pub fn close(self) -> Result<(), Failure> {
        if self.clean { self.journal.close().map_err(io) } else { Ok(()) }
    }
}

fn dropped(letters: &DeadLetters, ids: &[u64]) -> Worked {
    match letters.remove_all(ids) {
        Ok(gone) => Worked { gone, ..Worked::default() },
        Err(error) => {
            let error = sluice_pipeline::Error::Start(error.to_string());
            Worked { left: ids.len() as u64, error: Some(error), ..Worked::default() }
        }
    }
}

fn io(error: Error) -> Failure {
    Failure::new(FAILURE, error.to_string())
}

fn find(directory: &Path) -> Option<PathBuf> {
    let candidates = [directory.to_owned(), state::journal(directory), directory.join(IN_STORAGE)];
    candidates.into_iter().find(|path| path.join("META").is_file())
}

/// The settings by which it was written, as far as files tell: what is appended here fits in.
fn config(path: &Path) -> Config {
    let entries = std::fs::read_dir(path.join("seg")).into_iter().flatten().filter_map(Result::ok);
    let sizes: Vec<u64> = entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).collect();
    let usual = sizes.iter().copied().max().unwrap_or(0).max(LEAST / SEGMENTS).next_multiple_of(4096).min(1 << 30);
    let held: u64 = sizes.iter().sum();
    let mut config = Config::sized((SEGMENTS * usual).max(LEAST) + held);
    config.segment_size = usual;
    // Nothing here runs long enough to need it.
    config.ballast = 0;
    config
}
