//! Time as an argument: the real clock, and a virtual one that only tests move.

use std::collections::BTreeMap;
use std::ops::{Add, Sub};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime};

use crate::BoxFuture;
use crate::context::Arrival;

/// A point of a clock that never steps, counted from the clock's own start. For timers and ages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// How long before `self` the other was; zero if it was later.
    pub fn since(self, earlier: Monotonic) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Monotonic;

    fn add(self, wait: Duration) -> Monotonic {
        Monotonic(self.0.saturating_add(wait))
    }
}

impl Sub for Monotonic {
    type Output = Duration;

    fn sub(self, earlier: Monotonic) -> Duration {
        self.since(earlier)
    }
}

/// Nanoseconds since the Unix epoch, as OTLP has them. May step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub u64);

/// What tells time and waits.
pub trait Clock: Send + Sync {
    fn now(&self) -> Monotonic;

    fn wall(&self) -> WallTime;

    /// Completes once [`Clock::now`] has reached `deadline`.
    fn sleep_until(&self, deadline: Monotonic) -> BoxFuture<'static, ()>;

    /// Completes after `wait`.
    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.now() + wait)
    }

    /// Both times at once.
    fn arrival(&self) -> Arrival {
        Arrival { monotonic: self.now(), wall: self.wall() }
    }
}

/// The machine's clocks; waits on tokio's timer.
#[derive(Debug)]
pub struct SystemClock {
    start: tokio::time::Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[expect(clippy::new_without_default, reason = "reading the clock is an effect, not a default")]
    pub fn new() -> Self {
        SystemClock { start: tokio::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Monotonic {
        Monotonic(self.start.elapsed())
    }

    fn wall(&self) -> WallTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        WallTime(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    fn sleep_until(&self, deadline: Monotonic) -> BoxFuture<'static, ()> {
        // A deadline the timer cannot express never comes.
        let at = self.start.checked_add(deadline.0);
        Box::pin(async move {
            match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        })
    }
}

/// A clock that stands still until it is moved. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock(Arc<Mutex<Virtual>>);

#[derive(Debug, Default)]
struct Virtual {
    now: Monotonic,
    wall: WallTime,
    timers: BTreeMap<(Monotonic, u64), Waker>,
    next: u64,
}

impl VirtualClock {
    /// A clock at zero, whose wall clock shows `wall`.
    pub fn new(wall: WallTime) -> Self {
        VirtualClock(Arc::new(Mutex::new(Virtual { wall, ..Virtual::default() })))
    }

    /// Moves both clocks on and wakes whoever waited for that.
    pub fn advance(&self, by: Duration) {
        let due = {
            let mut clock = self.lock();
            clock.now = clock.now + by;
            clock.wall = WallTime(clock.wall.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)));
            let now = clock.now;
            let later = clock.timers.split_off(&(now, u64::MAX));
            std::mem::replace(&mut clock.timers, later)
        };
        due.into_values().for_each(Waker::wake);
    }

    /// Steps the wall clock alone, as an administrator or NTP would.
    pub fn set_wall(&self, wall: WallTime) {
        self.lock().wall = wall;
    }

    /// The earliest deadline anyone waits for.
    pub fn next_timer(&self) -> Option<Monotonic> {
        self.lock().timers.keys().next().map(|&(at, _)| at)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Virtual> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Monotonic {
        self.lock().now
    }

    fn wall(&self) -> WallTime {
        self.lock().wall
    }

    fn sleep_until(&self, deadline: Monotonic) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { clock: self.clone(), deadline, timer: None })
    }
}

/// A wait on a virtual clock; forgets its timer when dropped.
struct Sleep {
    clock: VirtualClock,
    deadline: Monotonic,
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut clock = clock.lock();
        if clock.now >= self.deadline {
            return Poll::Ready(());
        }
        let timer = *self.timer.get_or_insert_with(|| {
            clock.next += 1;
            clock.next
        });
        clock.timers.insert((self.deadline, timer), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.clock.lock().timers.remove(&(self.deadline, timer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_virtual_sleep_ends_when_the_clock_is_moved() {
        let clock = VirtualClock::new(WallTime(1_000));
        let task = tokio::spawn(clock.sleep(Duration::from_secs(5)));
        tokio::task::yield_now().await;
        assert_eq!(clock.next_timer(), Some(Monotonic(Duration::from_secs(5))));
        clock.advance(Duration::from_secs(4));
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        clock.advance(Duration::from_secs(1));
        task.await.unwrap();
        assert_eq!(clock.wall(), WallTime(5_000_001_000));
        assert_eq!(clock.next_timer(), None);
    }

    #[tokio::test]
    async fn a_dropped_sleep_leaves_no_timer() {
        let clock = VirtualClock::default();
        let task = tokio::spawn(clock.sleep(Duration::from_secs(5)));
        tokio::task::yield_now().await;
        task.abort();
        let _ = task.await;
        assert_eq!(clock.next_timer(), None);
    }
}
