//! The log in memory with dead letters: the spine on disk, as far as delivery sees it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use sluice_pdata::pass::Reason;
use sluice_pipeline::blocks::DeadLetter;
use sluice_pipeline::spine::memory::MemorySpine;
use sluice_pipeline::spine::{
    Advance, Backlog, Completion, Confirmations, CursorRule, Destination, Entry, Letter, ReadLimit, Record, RouteSet,
    Seq, SeqRange, Spine, Unparked, Waiting,
};
use sluice_pipeline::{BoxFuture, Refusal};

/// The disk answers.
pub(super) const FREE: usize = 0;
/// The next read will hang.
pub(super) const HANGS: usize = 1;
/// A read hangs.
pub(super) const HUNG: usize = 2;

/// Dead letters in memory, of some items at most.
pub(super) struct Letters {
    pub(super) kept: Mutex<Vec<Letter>>,
    pub(super) room: AtomicUsize,
    /// What the disk says, if it fails.
    pub(super) broken: Mutex<Option<String>>,
    /// As the pump has set them.
    pub(super) limits: Mutex<Option<DeadLetter>>,
}

/// The log in memory, with dead letters.
pub(super) struct Lettered {
    pub(super) log: MemorySpine,
    pub(super) letters: Option<Arc<Letters>>,
    /// Whether reads are for a thread that may wait.
    pub(super) blocks: bool,
    /// While this is not [`FREE`], a read hangs.
    pub(super) disk: Arc<AtomicUsize>,
    /// The only thread of the runtime.
    pub(super) runtime: ThreadId,
}

impl Spine for Lettered {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<Option<SeqRange>, Refusal>> {
        self.log.append(records)
    }
    fn append_awaited(&self, records: Vec<Record>, awaited: RouteSet) -> BoxFuture<'static, Result<Waiting, Refusal>> {
        self.log.append_awaited(records, awaited)
    }
    fn withdraw(&self, range: SeqRange) {
        self.log.withdraw(range);
    }
    fn confirmations(&self) -> &Confirmations {
        self.log.confirmations()
    }
    fn name(&self, destination: Destination) -> Arc<str> {
        self.log.name(destination)
    }
    fn commit(
        &self,
        done: Vec<Advance>,
        derived: Vec<Record>,
    ) -> BoxFuture<'static, Result<Option<SeqRange>, Refusal>> {
        self.log.commit(done, derived)
    }
    fn read(&self, destination: Destination, limit: ReadLimit) -> Vec<Entry> {
        let on_runtime = std::thread::current().id() == self.runtime;
        assert!(!(self.blocks && on_runtime), "a task of the runtime waits for the disk");
        if self.blocks && self.disk.compare_exchange(HANGS, HUNG, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            while self.disk.load(Ordering::SeqCst) != FREE {
                std::thread::yield_now();
            }
        }
        self.log.read(destination, limit)
    }
    fn read_blocks(&self, _destination: Destination) -> bool {
        self.blocks
    }
    fn readable(&self, destination: Destination) -> BoxFuture<'static, ()> {
        self.log.readable(destination)
    }
    fn released(&self) -> BoxFuture<'static, ()> {
        self.log.released()
    }
    fn complete(&self, destination: Destination, seq: Seq, completion: Completion) {
        self.log.complete(destination, seq, completion);
    }
    fn discard(&self, destination: Destination, reason: Reason) -> usize {
        self.log.discard(destination, reason)
    }
    fn rewind(&self, destination: Destination) {
        self.log.rewind(destination);
    }
    fn backlog(&self, destination: Destination) -> Backlog {
        self.log.backlog(destination)
    }
    fn check(&self, routes: RouteSet) -> Result<(), Refusal> {
        self.log.check(routes)
    }
    fn cursor_rule(&self) -> CursorRule {
        CursorRule::Absorbed
    }
    fn limit_letters(&self, _destination: Destination, limits: DeadLetter) -> BoxFuture<'static, ()> {
        if let Some(letters) = &self.letters {
            *letters.limits.lock().unwrap() = Some(limits);
        }
        Box::pin(std::future::ready(()))
    }
    fn park(&self, _destination: Destination, letters: Vec<Letter>) -> BoxFuture<'static, Result<(), Unparked>> {
        let place = self.letters.clone();
        Box::pin(async move {
            let Some(place) = place else { return Err(Unparked::NoPlace) };
            if let Some(error) = place.broken.lock().unwrap().clone() {
                return Err(Unparked::Failed(error));
            }
            let items: usize = letters.iter().map(|letter| letter.items).sum();
            if items > place.room.load(Ordering::SeqCst) {
                return Err(Unparked::Full);
            }
            place.room.fetch_sub(items, Ordering::SeqCst);
            place.kept.lock().unwrap().extend(letters);
            Ok(())
        })
    }
}
