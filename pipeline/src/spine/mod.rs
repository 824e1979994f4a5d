//! The spine: the log between receiving and delivering.
//!
//! A request is appended once, for all destinations that need it, and every destination reads with a cursor of its own.
//! In memory the log is [`memory::MemorySpine`]; on disk it is [`durable::DurableSpine`], over the journal.

mod confirm;
pub mod durable;
mod letter;
pub mod memory;

pub use letter::{Keep, Letter, Unparked};

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use sluice_net::PageSource;
use sluice_pdata::pass::Reason;
use smallvec::SmallVec;

use crate::BoxFuture;
use crate::batch::{Batch, Redacted};
use crate::blocks::DeadLetter;
use crate::context::Arrival;
use crate::outcome::Refusal;
use crate::processor::Sizer;

pub use confirm::{Confirmation, Confirmations, Waiting};

/// Position of a record: monotone per spine, never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// The records `first..=last`. One request's records are contiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeqRange {
    pub first: Seq,
    pub last: Seq,
}

/// A destination: the index of an exporter or stage that reads from the spine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination(pub u8);

/// The destinations of a record.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RouteSet([u64; 4]);

impl RouteSet {
    /// No destination.
    pub const EMPTY: RouteSet = RouteSet([0; 4]);

    #[must_use]
    pub fn with(mut self, destination: Destination) -> Self {
        self.0[usize::from(destination.0 >> 6)] |= 1 << (destination.0 & 63);
        self
    }

    #[must_use]
    pub fn without(mut self, destination: Destination) -> Self {
        self.0[usize::from(destination.0 >> 6)] &= !(1 << (destination.0 & 63));
        self
    }

    /// Those that are in both.
    #[must_use]
    pub fn intersection(self, other: RouteSet) -> Self {
        RouteSet(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    /// Those that are not in the other.
    #[must_use]
    pub fn without_all(self, other: RouteSet) -> Self {
        RouteSet(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    #[must_use]
    pub fn union(self, other: RouteSet) -> Self {
        RouteSet(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    pub fn contains(self, destination: Destination) -> bool {
        self.0[usize::from(destination.0 >> 6)] & (1 << (destination.0 & 63)) != 0
    }

    pub fn is_empty(self) -> bool {
        self == RouteSet::EMPTY
    }

    /// The destinations in order.
    pub fn iter(self) -> impl Iterator<Item = Destination> {
        (0..4u8).flat_map(move |word| {
            let mut bits = self.0[usize::from(word)];
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as u8)?;
                bits &= bits - 1;
                Some(Destination(word << 6 | bit))
            })
        })
    }
}

impl FromIterator<Destination> for RouteSet {
    fn from_iter<I: IntoIterator<Item = Destination>>(destinations: I) -> Self {
        destinations.into_iter().fold(RouteSet::EMPTY, RouteSet::with)
    }
}

impl fmt::Debug for RouteSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|destination| destination.0)).finish()
    }
}

/// What is appended: a batch that may be kept, and who needs it.
#[derive(Clone, Debug)]
pub struct Record {
    pub batch: Redacted<Batch>,
    pub routes: RouteSet,
}

/// A kept record, as a destination reads it. Clones share everything; its room in the log is free when the last is dropped.
#[derive(Clone)]
pub struct Entry(Arc<Kept>);

struct Kept {
    seq: Seq,
    batch: Redacted<Batch>,
    ingest: Arrival,
    /// What the spine gets back when nobody needs the entry any more.
    _hold: Box<dyn Any + Send + Sync>,
}

impl Entry {
    /// An entry of a spine. `hold` is dropped with the last clone.
    pub fn new(seq: Seq, batch: Redacted<Batch>, ingest: Arrival, hold: Box<dyn Any + Send + Sync>) -> Self {
        Entry(Arc::new(Kept { seq, batch, ingest, _hold: hold }))
    }

    pub fn seq(&self) -> Seq {
        self.0.seq
    }

    pub fn batch(&self) -> &Redacted<Batch> {
        &self.0.batch
    }

    /// When the request arrived; for derived records, that of the context they were emitted with.
    pub fn ingest(&self) -> Arrival {
        self.0.ingest
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({}, {} {})", self.0.seq.0, self.0.batch.items(), self.0.batch.signal().items())
    }
}

/// How a destination is done with an entry. The parts add up to the entry's items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Delivered, or for a stage: absorbed.
    pub delivered: usize,
    pub dropped: SmallVec<[(Reason, usize); 1]>,
    /// Moved to the dead letters.
    pub parked: usize,
}

impl Completion {
    /// All delivered.
    pub fn delivered(items: usize) -> Self {
        Completion { delivered: items, ..Completion::default() }
    }

    /// All dropped.
    pub fn dropped(reason: Reason, items: usize) -> Self {
        Completion { dropped: SmallVec::from_buf([(reason, items)]), ..Completion::default() }
    }

    /// Items accounted for.
    pub fn items(&self) -> usize {
        self.delivered + self.parked + self.dropped.iter().map(|(_, items)| items).sum::<usize>()
    }
}

/// How much to read at once.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    pub records: usize,
    pub items: usize,
    pub bytes: usize,
}

/// What reading again gave.
#[derive(Debug, Default)]
pub struct Again {
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// What is missing up to here, inclusive, is gone.
    pub through: Seq,
}

/// What a destination has not completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    pub records: usize,
    /// By signal.
    pub items: [usize; 3],
    /// Uncompressed OTLP.
    pub bytes: usize,
    /// The oldest entry, and when it came in.
    pub oldest: Option<(Seq, Arrival)>,
}

/// Who reads a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    #[default]
    Exporter,
    /// A port of a stage: completed in order, up to a watermark.
    Stage,
    /// What a stage noted for itself, which is no telemetry. Its name ends in [`NOTES`].
    Notes,
}

/// End of the names of destinations that keep a stage's notes.
pub const NOTES: &str = "#notes";

/// What a destination wants of the spine.
#[derive(Clone, Debug)]
pub struct DestinationSpec {
    /// Id of the exporter, or of pipeline and stage; the identity of its cursor.
    pub name: Arc<str>,
    pub role: Role,
    /// Most bytes of backlog; `None` for an equal share.
    pub max_bytes: Option<u64>,
    /// A further quota: `queue_size` in units of `sizer`.
    pub queue_size: Option<(u64, Sizer)>,
    pub on_quota: OnQuota,
}

impl DestinationSpec {
    /// A destination that a stage reads: an equal share, and nothing is ever lost there.
    pub fn of_stage(name: Arc<str>, role: Role) -> Self {
        DestinationSpec { name, role, max_bytes: None, queue_size: None, on_quota: OnQuota::Reject }
    }
}

/// Entries that one cursor of a stage passes, each with its completion.
pub type Advance = (Destination, Vec<(Seq, Completion)>);

/// What happens to new data at the quota of a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnQuota {
    /// The whole request is refused, retryably, before anything of it is kept.
    #[default]
    Reject,
    /// The oldest entries are dropped for this destination. Needs `loss_tolerant`.
    DropOldest,
    /// The new entry is not kept for this destination. Needs `loss_tolerant`.
    DropNewest,
}

impl OnQuota {
    /// The word in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            OnQuota::Reject => "reject",
            OnQuota::DropOldest => "drop_oldest",
            OnQuota::DropNewest => "drop_newest",
        }
    }
}

/// When a stage's cursor may pass an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorRule {
    /// Once absorbed: the stage's window owns the bytes, and a crash loses the window anyway.
    Absorbed,
    /// Once everything made of it is appended: the log survives a crash, and the window is read again.
    Emitted,
}

/// The log. All methods but the futures return at once, and [`Spine::read`] unless [`Spine::read_blocks`].
pub trait Spine: Send + Sync {
    /// Keeps all records of one request, or none of them. `Ok` means safe in the sense of the spine's mode. The append goes
    /// on if the future is dropped. Records without routes are not kept.
    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<Option<SeqRange>, Refusal>>;

    /// As [`Spine::append`], and gives what tells when the destinations in `awaited` are done with the records.
    fn append_awaited(&self, records: Vec<Record>, awaited: RouteSet) -> BoxFuture<'static, Result<Waiting, Refusal>>;

    /// Memory in which large bodies are best received, because what keeps them can take them from there.
    fn pages(&self) -> Option<PageSource> {
        None
    }

    /// Takes back the records of a request that was refused after all, from every destination that has not read them yet:
    /// as if they had never been routed there. What was read is sent.
    fn withdraw(&self, _range: SeqRange) {}

    /// Who waits for destinations, and which of them take nothing at present.
    fn confirmations(&self) -> &Confirmations;

    /// Whether requests that are answered only after export would be refused right now, because one of these destinations
    /// takes nothing: asked before a body is read. One that has nothing left to try itself with gets what comes.
    fn exportable(&self, awaited: RouteSet) -> Result<(), Refusal> {
        let closed = self.confirmations().closed(awaited);
        match closed.iter().find(|&destination| self.backlog(destination).records > 0) {
            None => Ok(()),
            Some(destination) => {
                let message = format!("{} takes nothing at present", self.name(destination));
                Err(Refusal::DestinationUnavailable { message })
            }
        }
    }

    /// The name of a destination; empty for one that there is not.
    fn name(&self, destination: Destination) -> Arc<str>;

    /// Keeps the output of a stage and moves its cursors, in one commit. Derived records have room of their own, which
    /// receivers never use.
    fn commit(&self, done: Vec<Advance>, derived: Vec<Record>)
    -> BoxFuture<'static, Result<Option<SeqRange>, Refusal>>;

    /// The next entries for a destination, oldest first, at least one if there is any. An entry is handed out once until
    /// [`Spine::rewind`].
    fn read(&self, destination: Destination, limit: ReadLimit) -> Vec<Entry>;

    /// Completes when [`Spine::read`] has something to give.
    fn readable(&self, destination: Destination) -> BoxFuture<'static, ()>;

    /// Completes after the next release of room, for whoever was refused.
    fn released(&self) -> BoxFuture<'static, ()>;

    /// The destination is done with an entry, in any order. Unknown or completed entries are ignored.
    fn complete(&self, destination: Destination, seq: Seq, completion: Completion);

    /// The destination has done something with these entries for the first time, or leaves them alone for now, and the
    /// process lives: a crash from here on is not their fault.
    fn survived(&self, _destination: Destination, _range: SeqRange) {}

    /// Puts letters aside for good: durable once this completes with success, and then the caller's to complete. All or none.
    ///
    /// # Errors
    /// [`Unparked::NoPlace`] unless the spine outlives the process.
    fn park(&self, _destination: Destination, _letters: Vec<Letter>) -> BoxFuture<'static, Result<(), Unparked>> {
        Box::pin(std::future::ready(Err(Unparked::NoPlace)))
    }

    /// Bounds the dead letters of a destination from now on.
    fn limit_letters(&self, _destination: Destination, _limits: DeadLetter) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Whether [`Spine::read`] would have to wait for the disk: then it is for a thread that may.
    fn read_blocks(&self, _destination: Destination) -> bool {
        false
    }

    /// Entries of a range that a destination has read and not completed, once more: for a stage that has given up what it took
    /// of them. Nothing moves. It may wait for the disk. `None` if they cannot be read at present.
    fn read_again(&self, _destination: Destination, _range: SeqRange, _limit: ReadLimit) -> Option<Again> {
        None
    }

    /// Drops everything a destination still needs; gives the number of items.
    fn discard(&self, destination: Destination, reason: Reason) -> usize;

    /// Hands out again what was read and not completed: the reader starts over.
    fn rewind(&self, destination: Destination);

    /// What a destination still needs.
    fn backlog(&self, destination: Destination) -> Backlog;

    /// Whether a new record for these destinations would be refused right now: asked before a body is read.
    fn check(&self, routes: RouteSet) -> Result<(), Refusal>;

    /// When stages may move their cursors.
    fn cursor_rule(&self) -> CursorRule;
}
