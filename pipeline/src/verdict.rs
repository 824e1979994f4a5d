//! Verdicts over traces: what a deciding stage lets others know (correlation §1).
//!
//! A stage that samples registers its [`Verdicts`] under its component id when it is built; a component that wants to know
//! whether a trace is kept looks them up by that id. No component imports another.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::context::Tenant;
use crate::id::ComponentId;
use crate::taint::TaintBoard;

/// What is known about a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Kept, at this sampling threshold: `T` of `ot=th`, in units of 2^-56; 0 for what is kept in any case. `None` where the
    /// probability is not known.
    Kept { threshold: Option<u64> },
    /// Sampled away.
    Dropped,
    /// It is in the window, and not decided.
    Pending,
    /// Never seen, or forgotten.
    Unknown,
}

/// Who decides over traces.
pub trait Verdicts: Send + Sync {
    /// What became of a trace of this tenant. Cheap, from any thread.
    fn verdict(&self, tenant: &Tenant, trace: &[u8; 16]) -> Verdict;
}

/// The deciding components of a graph, by id. Clones share everything.
#[derive(Clone, Default)]
pub struct VerdictBoard {
    known: Arc<Mutex<BTreeMap<ComponentId, Arc<dyn Verdicts>>>>,
    taints: TaintBoard,
}

impl VerdictBoard {
    /// What is to be removed from the same traces: where redaction tells, and a stage reads.
    pub fn taints(&self) -> &TaintBoard {
        &self.taints
    }

    /// Makes a component's verdicts known, in place of those before.
    pub fn register(&self, id: ComponentId, verdicts: Arc<dyn Verdicts>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(id, verdicts);
    }

    /// The verdicts of a component; without an id, of the only one that decides.
    pub fn find(&self, id: Option<&ComponentId>) -> Option<Arc<dyn Verdicts>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match id {
            Some(id) => known.get(id).cloned(),
            None if known.len() == 1 => known.values().next().cloned(),
            None => None,
        }
    }

    /// Whether nobody decides.
    pub fn is_empty(&self) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Forgets the components that are gone.
    pub fn retain(&self, keep: impl Fn(&ComponentId) -> bool) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| keep(id));
        self.taints.retain(keep);
    }
}

impl fmt::Debug for VerdictBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(known.keys().map(ComponentId::as_str)).finish()
    }
}
