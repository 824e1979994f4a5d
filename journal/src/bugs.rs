//! Planted bugs (delivery §12): each breaks one rule, and the simulation must notice. In the product they do not exist.

/// One way to lose data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    AckBeforeSync,
    UnlinkBeforeCursorSync,
    UnsyncedOverSynced,
    TrustLengthBeforeChecksum,
    ReuseSequence,
    RetryFailedSync,
    CursorPassesUndelivered,
    NoDirectorySync,
}

/// The bugs that are switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bugs {
    #[cfg(any(test, feature = "simulation"))]
    planted: Option<Bug>,
}

impl Bugs {
    /// Plants one.
    #[cfg(any(test, feature = "simulation"))]
    pub fn planted(bug: Bug) -> Self {
        Bugs { planted: Some(bug) }
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn has(self, bug: Bug) -> bool {
        self.planted == Some(bug)
    }

    #[cfg(not(any(test, feature = "simulation")))]
    pub(crate) const fn has(self, _bug: Bug) -> bool {
        false
    }
}
