//! What waits to be written: bounded by bytes, taken in commit groups.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::format::Chain;
use crate::format::record::record_size;
use crate::record::{SeqRange, Summed};
use crate::route::Dest;

/// Most bytes of a commit group of several requests (delivery §3.4).
const GROUP_BYTES: u64 = 4 << 20;
/// Most records of one.
const GROUP_RECORDS: usize = 1024;

/// Told what became of an append. `None`: no record had a route.
pub type Answer = Box<dyn FnOnce(Result<Option<SeqRange>, Error>) + Send>;

/// The records of one request. They are kept together or not at all.
pub(crate) struct Request {
    pub chain: Chain,
    pub records: Vec<Summed>,
    /// The cursors of the stage that emitted them, and what each passes.
    pub done: Vec<(Dest, Vec<u64>)>,
    pub bytes: u64,
    pub answer: Answer,
}

impl Request {
    pub(crate) fn new(chain: Chain, records: Vec<Summed>, done: Vec<(Dest, Vec<u64>)>, answer: Answer) -> Self {
        let bytes = records.iter().map(|summed| record_size(summed.record.data_len())).sum();
        Request { chain, records, done, bytes, answer }
    }
}

/// The queue in front of the commit thread.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    limit: u64,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    bytes: u64,
    closed: bool,
    /// Requests taken so far.
    taken: u64,
    /// The commit thread has nothing to do.
    idle: bool,
}

impl Queue {
    pub(crate) fn new(limit: u64) -> Self {
        Queue { waiting: Mutex::default(), arrived: Condvar::new(), limit }
    }

    /// Adds a request, or answers it: one that finds the queue empty is taken whatever its size.
    pub(crate) fn push(&self, request: Request) {
        let mut waiting = self.lock();
        let refusal = if waiting.closed {
            Error::Closed
        } else if waiting.bytes > 0 && waiting.bytes + request.bytes > self.limit {
            Error::QueueFull
        } else {
            waiting.bytes += request.bytes;
            waiting.requests.push_back(request);
            let idle = std::mem::take(&mut waiting.idle);
            drop(waiting);
            if idle {
                self.arrived.notify_one();
            }
            return;
        };
        drop(waiting);
        (request.answer)(Err(refusal));
    }

    /// The requests of the next commit group: of one chain, within the bounds, or a single larger one.
    pub(crate) fn take(&self) -> Vec<Request> {
        let mut waiting = self.lock();
        let (mut group, mut bytes, mut records) = (Vec::<Request>::new(), 0, 0);
        while let Some(next) = waiting.requests.front() {
            let chain = group.first().map_or(next.chain, |first| first.chain);
            let full = bytes + next.bytes > GROUP_BYTES || records + next.records.len() > GROUP_RECORDS;
            if !group.is_empty() && (full || next.chain != chain) {
                break;
            }
            (bytes, records) = (bytes + next.bytes, records + next.records.len());
            group.extend(waiting.requests.pop_front());
        }
        waiting.bytes -= bytes;
        waiting.taken += group.len() as u64;
        group
    }

    /// Requests taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// Waits until there is something to take, at most this long. `false` once the queue is closed and empty.
    pub(crate) fn wait(&self, most: Duration) -> bool {
        let idle = |waiting: &mut Waiting| {
            waiting.idle = waiting.requests.is_empty() && !waiting.closed;
            waiting.idle
        };
        let (waiting, _) =
            self.arrived.wait_timeout_while(self.lock(), most, idle).unwrap_or_else(PoisonError::into_inner);
        !(waiting.closed && waiting.requests.is_empty())
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().requests.len()
    }

    /// Nothing is taken any more; what waits is still written.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
