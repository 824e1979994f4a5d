//! Who may inflate when, and how much of what nobody has inflated yet may be kept meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;

use crate::pool::BufferPool;
use crate::reserve::Exhausted;

/// Bytes that suspects of bombs may keep us holding while they wait for their turn; further ones are told to come back. What
/// is over 32 times as large inflated, and within the limits, is 2 MiB at most.
const WAITING: usize = 2 << 20;
/// Bytes of large compressed bodies that are taken in without a look at what they become. Beyond that each is looked at
/// before more of it is kept (`security.md` A1): honest ones pay for that only under such a load.
pub(crate) const UNSEEN: usize = 4 << 20;
/// While others wait for the turn of a suspect, it rests after so much output: some tenths of a millisecond of a processor. A
/// crowd of bombs gets no more than a part of one, and everybody else the rest.
const STRETCH: usize = 1 << 20;
const REST: Duration = Duration::from_millis(1);
/// In a crowd of bombs, who is told to come back is told so late: who asks again at once would ask all the time.
const LATE: Duration = Duration::from_millis(100);

pub(crate) struct Turns {
    all: Semaphore,
    suspects: Semaphore,
    waiting: Bounded,
    unseen: Bounded,
}

impl Turns {
    pub(crate) fn new() -> Self {
        // More at one time would be no faster, and hold more memory.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Turns {
            all: Semaphore::new(processors),
            suspects: Semaphore::new(processors.div_ceil(2)),
            waiting: Bounded::new(WAITING),
            unseen: Bounded::new(UNSEEN),
        }
    }

    /// A turn at inflating something large. `None` cannot happen: nobody closes the turns.
    pub(crate) async fn next(&self) -> Option<SemaphorePermit<'_>> {
        self.all.acquire().await.ok()
    }

    /// The same for what looks like a bomb: half of the processors stay free of them. `holds`: bytes that its sender has us
    /// hold until then.
    ///
    /// # Errors
    /// Too many wait already.
    pub(crate) async fn of_suspect(&self, holds: usize) -> Result<Option<SemaphorePermit<'_>>, Exhausted> {
        if let Ok(turn) = self.suspects.try_acquire() {
            return Ok(Some(turn));
        }
        let _waits = Waits::begin(&self.waiting, holds).ok_or(Exhausted::Busy)?;
        Ok(self.suspects.acquire().await.ok())
    }

    /// Lets others run after `more` bytes of a suspect's output; `stretch` is what it has made since it rested.
    pub(crate) async fn pause_suspect(&self, stretch: &mut usize, more: usize) {
        *stretch = stretch.saturating_add(more);
        if *stretch >= STRETCH && self.is_crowded() {
            *stretch = 0;
            sleep(REST).await;
        } else {
            tokio::task::yield_now().await;
        }
    }

    /// Waits before somebody is told to come back, if there is a crowd of suspects. Of the request nothing is to be held by then.
    pub(crate) async fn tell_late(&self) {
        if self.is_crowded() {
            sleep(LATE).await;
        }
    }

    /// Whether suspects wait for a turn.
    fn is_crowded(&self) -> bool {
        self.waiting.sum.load(Ordering::Relaxed) > 0
    }
}

struct Waits<'a>(&'a Bounded, usize);

impl<'a> Waits<'a> {
    /// One may always wait, whatever it holds.
    fn begin(waiting: &'a Bounded, holds: usize) -> Option<Self> {
        let holds = holds.clamp(1, WAITING);
        waiting.try_add(holds).then(|| Waits(waiting, holds))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.sub(self.1);
    }
}

/// A sum that stays within its bound.
struct Bounded {
    sum: AtomicUsize,
    most: usize,
}

impl Bounded {
    fn new(most: usize) -> Self {
        Bounded { sum: AtomicUsize::new(0), most }
    }

    fn try_add(&self, more: usize) -> bool {
        let add = |sum: usize| sum.checked_add(more).filter(|sum| *sum <= self.most);
        self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    fn sub(&self, less: usize) {
        self.sum.fetch_sub(less, Ordering::Relaxed);
    }
}

/// Leave to keep bytes of one compressed body that nobody has looked at. Dropping it gives them back.
pub(crate) struct Unseen {
    pool: BufferPool,
    bytes: usize,
}

impl Unseen {
    pub(crate) fn none(pool: &BufferPool) -> Self {
        Unseen { pool: pool.clone(), bytes: 0 }
    }

    /// Asks for leave to keep so many bytes in all.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let granted = self.pool.turns().unseen.try_add(more);
        if granted {
            self.bytes += more;
        }
        granted
    }

    /// Gives all of them back.
    pub(crate) fn clear(&mut self) {
        self.pool.turns().unseen.sub(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future as _, poll_fn};
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn suspects_wait_up_to_a_number_of_bytes_and_one_always_may() {
        let turns = Turns::new();
        let mut held = Vec::new();
        while let Ok(turn) = turns.suspects.try_acquire() {
            held.push(turn);
        }
        let mut first = Box::pin(turns.of_suspect(usize::MAX));
        let polled = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await;
        assert!(polled, "the first waits whatever it holds");
        assert_eq!(turns.of_suspect(1).await.err(), Some(Exhausted::Busy));
        held.clear();
        assert!(first.await.is_ok());
        assert!(turns.of_suspect(1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn suspects_rest_and_are_told_late_only_in_a_crowd() {
        let turns = Turns::new();
        let began = tokio::time::Instant::now();
        let mut stretch = 0;
        turns.pause_suspect(&mut stretch, STRETCH).await;
        turns.tell_late().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody waits");
        let crowd = Waits::begin(&turns.waiting, 1);
        turns.pause_suspect(&mut stretch, 1).await;
        assert_eq!((began.elapsed() >= REST, stretch), (true, 0));
        let rested = began.elapsed();
        turns.pause_suspect(&mut stretch, STRETCH - 1).await;
        assert_eq!(began.elapsed(), rested, "not for less");
        turns.tell_late().await;
        assert!(began.elapsed() >= rested + LATE);
        drop(crowd);
    }

    #[test]
    fn what_nobody_has_looked_at_is_bounded_and_comes_back() {
        let pool = BufferPool::default();
        let (mut one, mut other) = (Unseen::none(&pool), Unseen::none(&pool));
        assert!(one.grow_to(UNSEEN - 10) && one.grow_to(5), "it does not shrink");
        assert!(other.grow_to(10) && !other.grow_to(11));
        one.clear();
        assert!(other.grow_to(UNSEEN));
        drop(other);
        assert!(one.grow_to(UNSEEN));
    }
}
