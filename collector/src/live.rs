//! What of the running instance others may look at: the admin API does, from start to stop, whatever reloads do.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use sluice_pipeline::ComponentId;
use sluice_pipeline::receiver::Receiver;

use crate::spine::Kept;

/// How far the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Recovering, and building the first graph.
    Starting,
    Running,
    Stopping,
}

/// The graph that runs, as far as it is shown.
#[derive(Clone)]
pub struct Running {
    pub spine: Kept,
    /// The destinations that the configuration has.
    pub destinations: Vec<Arc<str>>,
    /// Not owned: a reload waits for the end of those that it removes.
    pub receivers: Vec<(ComponentId, Weak<dyn Receiver>)>,
}

/// The instance as it is now. Clones share it.
#[derive(Clone)]
pub struct Live(Arc<Shared>);

struct Shared {
    phase: AtomicU8,
    running: RwLock<Option<Running>>,
}

impl Live {
    /// An instance that starts.
    pub fn starting() -> Self {
        Live(Arc::new(Shared { phase: AtomicU8::new(0), running: RwLock::new(None) }))
    }

    pub fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Running,
            _ => Phase::Stopping,
        }
    }

    /// A graph runs, instead of the one before.
    pub fn runs(&self, running: Running) {
        let before = self.0.running.write().unwrap_or_else(PoisonError::into_inner).replace(running);
        // Outside the lock.
        drop(before);
        // A reload that ends during the shutdown does not take it back.
        let _ = self.0.phase.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
    }

    pub fn stops(&self) {
        self.0.phase.store(2, Ordering::Release);
    }

    /// The graph that runs; `None` before the first one.
    pub fn running(&self) -> Option<Running> {
        self.0.running.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets go of everything.
    pub fn ended(&self) {
        let before = self.0.running.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(before);
    }
}
