//! What is known of one target.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::SharedIdentity;
use super::job::Job;
use crate::up::config::Signal;
use crate::up::grid::Grid;
use crate::up::interval::{DEFAULT_INTERVAL, LearnedInterval};
use crate::up::labels::Labels;
use crate::up::ladder::Rung;
use crate::up::series::{RejectReason, SeriesSet};
use crate::up::state::{Liveness, Mono, Timing};
use crate::up::target::Target;

/// More senders at once on one target are taken as "many".
const REMEMBERED_SENDERS: usize = 4;

/// What stands behind an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One expected sender.
    Instance,
    /// All expected instances of a service together.
    Service,
    /// A sender that was seen before.
    Learned,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub generation: u32,
    pub job: u32,
    pub kind: Kind,
    pub target: Arc<Target>,
    pub grid: Grid,
    /// The next grid point at which something is decided.
    pub next_ms: u64,
    /// When it would become LATE if nothing came; None while it is LATE or not to be watched.
    pub late_due: Option<Mono>,
    pub armed: Option<Mono>,
    pub expected_since: Mono,
    pub leaving: Option<Leaving>,
    pub up: Liveness,
    pub signals: SmallVec<[(Signal, Liveness); 0]>,
    pub learned: Option<Box<LearnedInterval>>,
    /// Number of the present absence in the job's and in the common list.
    pub absence: Option<(u64, u64)>,
    pub traffic: Traffic,
    pub matched: Option<Rung>,
    pub senders: Senders,
    /// For a service: when each of its live instances was last seen.
    pub instances: Vec<(u64, Mono)>,
    /// The labels that its series have now.
    pub labels: Labels,
    /// The labels under which `written` was written.
    pub written_labels: Labels,
    pub written: SeriesSet,
    pub last_written_ms: Option<u64>,
    /// Names what it pushes for as long as it is expected, also if another sender takes its place.
    pub series: u32,
    /// Whether its own series were marked stale and it has not pushed since; true before the first push.
    pub ended: bool,
    /// Until when somebody else's `up` is taken as present under its labels.
    pub scraped_until: Option<Mono>,
}

/// A target that is no longer expected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// Timestamp of the marker: the first grid point after the removal.
    pub stale_ms: u64,
}

/// What arrived, for the `otlp_ingest_*` series.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    /// Since the last grid point.
    pub items: u64,
    pub requests: u64,
    pub bytes: u64,
    /// Arrival − newest data timestamp of the latest push since the last grid point.
    pub delay: Option<f64>,
    /// Wall clock of the last arrival of each signal, in ms; 0: never.
    pub last_seen_ms: [u64; 3],
    /// Since the target is known.
    pub rejected: [u32; RejectReason::ALL.len()],
    /// Wall clock at which the counters began, in ms.
    pub start_ms: u64,
}

/// Which instances send for a target; decides under which labels it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Senders {
    /// The one that sent last.
    pub current: Option<SharedIdentity>,
    current_since: Mono,
    /// Those before it, newest first, with their last arrival.
    before: SmallVec<[(u64, Mono); 1]>,
    many_until: Option<Mono>,
}

impl Entry {
    /// I: configured, or by label, or learned, or the default of the SDKs (`up`, Terms).
    pub fn timing(&self, job: &Job) -> Timing {
        let interval = self
            .target
            .push_interval
            .or_else(|| self.learned.as_ref().and_then(|learned| learned.current()))
            .unwrap_or(DEFAULT_INTERVAL);
        job.timing(Some(self.target.grid), interval)
    }

    /// The next wall-clock instant at which this entry has to do something, in ms.
    pub fn wall_due_ms(&self) -> u64 {
        match self.leaving {
            Some(leaving) => self.marker_due_ms(leaving),
            None => self.next_ms,
        }
    }

    /// Marker time: one more grid point and G/10 after the marker's timestamp (`up`, Removal).
    pub fn marker_due_ms(&self, leaving: Leaving) -> u64 {
        let period = self.grid.period_ms();
        leaving.stale_ms + period + period / 10
    }
}

impl Senders {
    /// A push of an identity arrived. True if another instance became the current one.
    ///
    /// An instance that takes over from another is a restart; one that comes back after another took over shows that
    /// several send at the same time.
    pub fn saw(&mut self, identity: &SharedIdentity, at: Mono, deadline: Duration) -> bool {
        let key = identity.label_key();
        match &self.current {
            Some(current) if current.label_key() == key => return false,
            None => {
                self.current = Some(identity.clone());
                self.current_since = at;
                return true;
            }
            Some(_) => {}
        }
        if let Some(known) = self.before.iter_mut().find(|(k, _)| *k == key) {
            known.1 = at;
            self.many_until = Some(at.saturating_add(deadline));
            return false;
        }
        let replaced = self.current.replace(identity.clone()).map_or(0, |current| current.label_key());
        let same_moment = at.saturating_sub(self.current_since) < Duration::from_secs(1);
        if same_moment || self.before.len() >= REMEMBERED_SENDERS {
            self.many_until = Some(at.saturating_add(deadline));
            self.before.truncate(REMEMBERED_SENDERS - 1);
        }
        self.before.retain(|(_, seen)| seen.saturating_add(deadline) >= at);
        self.before.insert(0, (replaced, at));
        self.current_since = at;
        true
    }

    /// Whether several instances send at an instant.
    pub fn many(&self, at: Mono) -> bool {
        self.many_until.is_some_and(|until| at <= until)
    }

    /// Whether several senders have become one again; true once.
    pub fn many_ended(&mut self, at: Mono) -> bool {
        self.many_until.take_if(|until| *until < at).is_some()
    }

    /// Forgets all senders: the target changed.
    pub fn clear(&mut self) {
        *self = Senders::default();
    }
}
