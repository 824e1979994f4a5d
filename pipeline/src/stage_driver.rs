//! Runs a stage against the spine: reads all its ports as one stream, tells the time, and appends what it emits together
//! with the advance of its cursors.

mod handle;
mod notes;
mod output;
mod panic;
mod ports;
mod restore;
mod time;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use tokio::sync::watch;

use crate::admission::{Class, MemBudget, Reservation};
use crate::clock::{Clock, Monotonic, WallTime};
use crate::ledger::StageAccount;
use crate::spine::{CursorRule, Destination, Spine};
use crate::stage::{Stage, StageOutput};

pub use handle::{Behind, Driving, Ending, Orders};

use notes::Notes;
use panic::Faults;
use ports::Ports;
use time::StageTime;

/// Absorbed before the output is appended: entries, and their items.
const TURN: (usize, usize) = (64, 8192);

/// Between looks at a stage that is full.
const PAUSE: Duration = Duration::from_millis(100);

/// How a turn ended to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// At the bounds of a turn: there may be more.
    More,
    /// There was nothing.
    CaughtUp,
    /// The stage has no room.
    Full,
}

/// Percent of the class at which a stage is asked to give memory back (correlation §10).
const RUNGS: [u8; 6] = [70, 80, 85, 90, 95, 100];

/// A stage with its cursors.
pub struct StageDriver {
    pub stage: Box<dyn Stage>,
    /// The cursor of each input port.
    pub ports: Vec<Destination>,
    /// Where its notes are kept, on a log that survives the process.
    pub notes: Option<Destination>,
    pub spine: Arc<dyn Spine>,
    pub clock: Arc<dyn Clock>,
    pub account: Arc<StageAccount>,
    pub memory: MemBudget,
}

/// One turn of the stage.
struct Turn {
    consumed: usize,
    out: StageOutput,
    /// Its time at the end.
    now: WallTime,
}

/// A driver's own state.
struct Run {
    driver: StageDriver,
    orders: watch::Receiver<Orders>,
    ports: Ports,
    notes: Option<Notes>,
    time: StageTime,
    /// When the stage was last told what time it is.
    told: Monotonic,
    /// What the stage holds, in the memory budget.
    memory: Option<Reservation>,
    /// Items handed over in this turn.
    consumed: usize,
    faults: Faults,
}

impl StageDriver {
    /// Starts to run, until told to end.
    pub fn start(self, behind: Behind) -> Driving {
        let (orders, told) = watch::channel(Orders::new(behind));
        Driving { orders, task: tokio::spawn(self.run(told)) }
    }

    async fn run(self, orders: watch::Receiver<Orders>) {
        self.account.restart(self.spine.cursor_rule() == CursorRule::Emitted);
        let ports = Ports::new(Arc::clone(&self.spine), &self.ports);
        let notes = self.notes.filter(|_| self.spine.cursor_rule() == CursorRule::Emitted);
        let notes = notes.map(|notes| Notes::new(Arc::clone(&self.spine), Arc::clone(&self.clock), notes));
        let told = self.clock.now();
        let mut run = Run {
            driver: self,
            told,
            orders,
            ports,
            notes,
            time: StageTime::default(),
            memory: None,
            consumed: 0,
            faults: Faults::default(),
        };
        run.recall().await;
        while run.turn().await {}
    }
}

impl Run {
    /// Tells the stage what it noted before.
    async fn recall(&mut self) {
        let Some(notes) = &mut self.notes else { return };
        // The windows that are replayed are as old as their entries; what is noted was needed by them.
        let oldest = self.driver.ports.iter().filter_map(|&port| self.driver.spine.backlog(port).oldest);
        let now = oldest.map(|(_, arrival)| arrival.wall).min().unwrap_or_else(|| self.driver.clock.wall());
        let stage = &mut self.driver.stage;
        notes.recall(now, |note| stage.recall(note, now)).await;
    }

    /// One turn. `false` after the last one.
    async fn turn(&mut self) -> bool {
        let orders = self.orders.borrow_and_update().clone();
        let mut out = StageOutput::default();
        self.consumed = 0;
        let (now, reading) = match AssertUnwindSafe(self.advance(&orders, &mut out)).catch_unwind().await {
            Ok(advanced) => advanced,
            Err(panic) => return self.start_over(panic, out).await,
        };
        let ending = orders.ending;
        drop(orders);
        self.commit(Turn { consumed: self.consumed, out, now }).await;
        // What stays where it is need not be read again.
        let restored = match ending {
            Ending::Running | Ending::Removed => match AssertUnwindSafe(self.restore(now)).catch_unwind().await {
                Ok(restored) => restored,
                Err(panic) => return self.start_over(panic, StageOutput::default()).await,
            },
            Ending::Shutdown | Ending::Now => true,
        };
        let (decide, caught_up) = (self.decides(ending), reading == Reading::CaughtUp);
        match ending {
            Ending::Running if reading == Reading::More => tokio::task::yield_now().await,
            Ending::Running => self.wait(now, reading).await,
            // What was read before the end is still absorbed, so that nothing is decided on less.
            _ if decide && !(caught_up && restored) => {}
            Ending::Removed => {
                // Nobody will ask for them again.
                self.notes.iter_mut().for_each(|notes| notes.expire(WallTime(u64::MAX)));
                return false;
            }
            _ => return false,
        }
        true
    }

    /// Whether what is held is decided at the end.
    fn decides(&self, ending: Ending) -> bool {
        match ending {
            Ending::Running => false,
            Ending::Shutdown | Ending::Now => self.driver.spine.cursor_rule() == CursorRule::Absorbed,
            Ending::Removed => true,
        }
    }

    /// Everything the stage does in a turn.
    async fn advance(&mut self, orders: &Orders, out: &mut StageOutput) -> (WallTime, Reading) {
        if let Some(successor) = orders.successor() {
            self.succeed(successor, out).await;
        }
        let survives = self.driver.spine.cursor_rule() == CursorRule::Emitted;
        if survives {
            self.driver.stage.lags(self.time.lag(&*self.driver.clock));
        }
        // At the end everything is read, room or not: it is bounded by what the log holds.
        let respects_room = matches!(orders.ending, Ending::Running);
        let reading = self.absorb(respects_room, out).await;
        self.told = self.driver.clock.now();
        let now = match reading {
            Reading::CaughtUp => self.time.now(&*self.driver.clock),
            Reading::More => self.time.behind(),
            Reading::Full => self.time.stalled(&*self.driver.clock),
        };
        match reading {
            Reading::Full => self.driver.stage.tick(now, out),
            Reading::More | Reading::CaughtUp => self.tick(now, out),
        }
        if reading == Reading::CaughtUp && self.decides(orders.ending) {
            self.driver.stage.drain(now, out);
        }
        self.account_memory(now, out);
        (now, reading)
    }

    /// A new stage takes the place of the present one. What it cannot take over is decided.
    async fn succeed(&mut self, successor: Box<dyn Stage>, out: &mut StageOutput) {
        let predecessor = std::mem::replace(&mut self.driver.stage, successor);
        if let Some(mut rejected) = self.driver.stage.succeed(predecessor) {
            let now = self.time.behind();
            rejected.drain(now, out);
            self.restore_all(&mut *rejected, now, out).await;
        }
    }

    /// Hands over what there is to read, up to the bounds of a turn. Says whether there was nothing: then, and not before what was
    /// handed over is committed, time passes by the clock.
    async fn absorb(&mut self, respects_room: bool, out: &mut StageOutput) -> Reading {
        for turn in 0..TURN.0 {
            let first = turn == 0;
            if respects_room && self.driver.stage.is_full() {
                return if first { Reading::Full } else { Reading::More };
            }
            let Some((port, entry)) = self.ports.next().await else {
                return if first { Reading::CaughtUp } else { Reading::More };
            };
            let now = self.time.read(entry.ingest().wall);
            // Deadlines before this entry come first, as they would have without a backlog.
            self.tick(now, out);
            self.take_in(port, entry, now, out);
            if self.consumed >= TURN.1 {
                break;
            }
        }
        Reading::More
    }

    fn tick(&mut self, now: WallTime, out: &mut StageOutput) {
        if self.driver.stage.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.driver.stage.tick(now, out);
        }
    }

    /// Until there is something to read and room for it, a deadline, or an order.
    async fn wait(&mut self, now: WallTime, reading: Reading) {
        // Before the next ones are read: after a crash, they wait for that.
        self.ports.all_survived();
        let clock = &self.driver.clock;
        let remaining = |deadline: WallTime| Duration::from_nanos(deadline.0.saturating_sub(now.0));
        // Not from now on: what came out of the turn took its time to be committed.
        let deadline = self.driver.stage.next_deadline().map(|deadline| self.told + remaining(deadline));
        // Those that come one after the other are read together; one that comes alone, at once.
        let (turned, patience) = (clock.now(), self.driver.stage.patience());
        let readable = async {
            self.ports.readable().await;
            if !patience.is_zero() {
                clock.sleep_until(turned + patience).await;
            }
        };
        let timer = async {
            match deadline {
                Some(deadline) => clock.sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = readable, if reading != Reading::Full => {}
            () = clock.sleep(PAUSE), if reading == Reading::Full => {}
            () = timer => {}
            // A dropped sender ends nothing; the next turn sees the last value.
            Ok(()) = self.orders.changed() => {}
        }
    }

    /// Reserves what the stage holds, and asks it to give back as the class fills up.
    fn account_memory(&mut self, now: WallTime, out: &mut StageOutput) {
        let driver = &mut self.driver;
        let held = driver.stage.held().bytes as u64;
        let reservation = match &mut self.memory {
            Some(reservation) => reservation,
            None => match driver.memory.try_reserve(Class::State, 0) {
                Some(reservation) => self.memory.insert(reservation),
                None => return,
            },
        };
        let before = reservation.bytes();
        let fits = held <= before || reservation.try_grow(held - before);
        reservation.shrink_to(held);
        let limit = driver.memory.class_limit(Class::State).max(1);
        let percent = if fits { driver.memory.used(Class::State) * 100 / limit } else { 100 };
        if let Some(&rung) = RUNGS.iter().rev().find(|&&rung| u64::from(rung) <= percent) {
            driver.stage.relieve(rung, now, out);
            reservation.shrink_to(driver.stage.held().bytes as u64);
        }
    }
}

#[cfg(test)]
mod tests;
