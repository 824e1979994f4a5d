//! What is remembered of a resource between its pushes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::engine::SharedIdentity;
use super::labels::Labels;

/// Requests of different series by which one resource takes turns, and that are told apart.
const REMEMBERED_SERIES: usize = 4;

/// A resource that has been looked up.
#[derive(Debug)]
pub struct Known {
    identity: SharedIdentity,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    /// The engine's revision, and the labels that it had for the sender then.
    aligned: Option<(u64, Option<Labels>)>,
    /// Hashes of the series whose bytes were handed over, newest last.
    series: [u64; REMEMBERED_SERIES],
}

impl Known {
    /// Nothing is noted yet.
    pub fn new(identity: SharedIdentity) -> Self {
        Known { identity, notes: Mutex::default() }
    }

    /// Who sent.
    pub fn identity(&self) -> &SharedIdentity {
        &self.identity
    }

    /// The labels of its target, as of a revision of the engine; asked for if that is a new one.
    pub fn aligned(&self, revision: u64, ask: impl FnOnce() -> Option<Labels>) -> Option<Labels> {
        if let Some((known, labels)) = &self.notes().aligned
            && *known == revision
        {
            return labels.clone();
        }
        // The lock is not held meanwhile: the engine has one of its own.
        let labels = ask();
        self.notes().aligned = Some((revision, labels.clone()));
        labels
    }

    /// Whether the bytes of these series are wanted: those of one request are, and not again.
    pub fn wants(&self, series: u64) -> bool {
        let mut notes = self.notes();
        if notes.series.contains(&series) {
            return false;
        }
        notes.series.rotate_left(1);
        notes.series[REMEMBERED_SERIES - 1] = series;
        true
    }

    /// The bytes of these series did not arrive, or are not kept: they are wanted again.
    pub fn forget(&self, series: u64) {
        self.notes().series.iter_mut().filter(|known| **known == series).for_each(|known| *known = 0);
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
