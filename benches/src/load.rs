//! Sending a ring of bodies: as fast as they are answered, or at a fixed rate whose latencies do not leave out the time
//! a request waited for its turn.

use crate::Error;
use crate::client::{Connection, Outcome, Protocol, Target};
use crate::ring::{Outgoing, Ring};
use crate::tracked::{ClientRanges, Ranges};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How to send.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Items in each request.
    pub items: u32,
    /// Those of them that a filter under measurement drops.
    pub to_drop: u32,
    /// Items a second; `None` sends as fast as requests are answered.
    pub rate: Option<f64>,
    /// Requests in flight at most.
    pub inflight: u32,
    pub connections: u32,
    pub timeout: Duration,
    /// Send what was refused retryably or not answered again until it is accepted.
    pub retry: bool,
    /// Run and client of tracked runs.
    pub tracked: Option<(u32, u32)>,
}

/// What the generator did; one JSON line at the end and the answer of `GET /stats`. All but `requests` count items.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Report {
    pub requests: u64,
    /// Handed to the transport at least once.
    pub sent: u64,
    pub accepted: u64,
    /// Those of the accepted that a filter under measurement drops.
    pub to_drop: u64,
    /// Rejected by a partial success.
    pub partial: u64,
    /// Refused with a status.
    pub refused: u64,
    /// Those of the refused that are to be sent again and were not told when.
    #[serde(default)]
    pub unhinted: u64,
    /// Sent but not answered.
    pub unanswered: u64,
    /// Requests by the status of their refusal, or what broke them.
    pub errors: BTreeMap<String, u64>,
    pub seconds: f64,
    /// Latencies of accepted requests since the last `POST /window`, in microseconds.
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
    /// Acknowledged sequence numbers of tracked runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<ClientRanges>,
}

/// Counts that workers share.
#[derive(Debug)]
struct Totals {
    report: Report,
    latencies: Histogram<u64>,
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    plan: Plan,
    ring: Mutex<Ring>,
    totals: Mutex<Totals>,
    started: Instant,
    /// Sends claimed so far; at a fixed rate the number is a send's place in the timetable.
    claimed: AtomicU64,
    timetable: watch::Sender<Timetable>,
    stopping: watch::Sender<bool>,
}

/// When the first place of the timetable is due, pauses left out, and since when there is one.
#[derive(Debug, Clone, Copy)]
struct Timetable {
    begins: Instant,
    paused: Option<Instant>,
}

/// Latencies above ten minutes are recorded as ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// Pause before a refused request is sent again, or the next one after a connection could not be opened.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Load {
    pub fn new(plan: Plan, ring: Ring) -> Result<Self, Error> {
        let latencies = Histogram::new_with_bounds(1, LONGEST_US, 3);
        let latencies = latencies.map_err(|error| Error::Invalid(error.to_string()))?;
        let acknowledged = plan.tracked.map(|(run, client)| ClientRanges { run, client, ranges: Ranges::default() });
        let report = Report { acknowledged, ..Report::default() };
        Ok(Self {
            plan,
            ring: Mutex::new(ring),
            totals: Mutex::new(Totals { report, latencies }),
            started: Instant::now(),
            claimed: AtomicU64::new(0),
            timetable: watch::Sender::new(Timetable { begins: Instant::now(), paused: None }),
            stopping: watch::Sender::new(false),
        })
    }

    /// Sends until [`Load::stop`] is called or `duration` is over, then waits for what is in flight.
    pub async fn run(self: &Arc<Self>, target: Target, duration: Option<Duration>) -> Result<(), Error> {
        let target = Arc::new(target);
        let shared: Vec<_> = (0..self.plan.connections.max(1)).map(|_| Connection::new(Arc::clone(&target))).collect();
        let shared = shared.into_iter().collect::<Result<Vec<_>, _>>()?;
        let deadline = duration.map(|duration| self.started + duration);
        let workers: Vec<_> = (0..self.plan.inflight.max(1) as usize)
            .filter_map(|index| match target.protocol {
                Protocol::Grpc => shared.get(index % shared.len()).cloned(),
                Protocol::Http => Connection::new(Arc::clone(&target)).ok(), // one request at a time on HTTP/1.1
            })
            .map(|connection| {
                let load = Arc::clone(self);
                tokio::spawn(async move { load.work(&connection, deadline).await })
            })
            .collect();
        for worker in workers {
            worker.await.map_err(|error| Error::Process { process: "worker".into(), problem: error.to_string() })??;
        }
        Ok(())
    }

    /// No request is begun from now on.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// No request is begun until [`Load::resume`]; what is in flight goes on.
    pub fn pause(&self) {
        self.timetable.send_modify(|timetable| _ = timetable.paused.get_or_insert_with(Instant::now));
    }

    /// Goes on as if there had been no pause.
    pub fn resume(&self) {
        self.timetable.send_modify(|timetable| {
            timetable.begins += timetable.paused.take().map_or(Duration::ZERO, |since| since.elapsed());
        });
    }

    /// Forgets the latencies so far.
    pub fn open_window(&self) {
        lock(&self.totals).latencies.reset();
    }

    pub fn report(&self) -> Report {
        let totals = lock(&self.totals);
        let mut report = totals.report.clone();
        report.seconds = self.started.elapsed().as_secs_f64();
        report.p50_us = totals.latencies.value_at_quantile(0.5);
        report.p99_us = totals.latencies.value_at_quantile(0.99);
        report.max_us = totals.latencies.max();
        report
    }

    fn ended(&self, deadline: Option<Instant>) -> bool {
        *self.stopping.borrow() || deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    async fn work(&self, connection: &Connection, deadline: Option<Instant>) -> Result<(), Error> {
        while !self.ended(deadline) {
            let Some(due) = self.turn(deadline).await else { return Ok(()) };
            let outgoing = lock(&self.ring).take()?;
            lock(&self.totals).report.sent += u64::from(self.plan.items);
            loop {
                let sent = timeout(self.plan.timeout, connection.send(outgoing.bytes.clone())).await;
                let outcome = sent.unwrap_or_else(|_| Outcome::Broken("timeout".into()));
                let again = self.plan.retry
                    && matches!(outcome, Outcome::Broken(_) | Outcome::Refused { retryable: true, .. })
                    && !self.ended(deadline);
                let failed = matches!(outcome, Outcome::Broken(_));
                self.count(&outgoing, outcome, due);
                if failed || again {
                    sleep(RETRY_PAUSE).await;
                }
                if !again {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Waits for the next place in the timetable and returns the time from which the latency counts: the place's own
    /// if the worker came too late for it, else the moment it woke, so that the timer's grain is not charged to the
    /// collector.
    async fn turn(&self, deadline: Option<Instant>) -> Option<Instant> {
        let place = self.claimed.fetch_add(1, Ordering::Relaxed);
        let after =
            self.plan.rate.map(|rate| Duration::from_secs_f64(place as f64 * f64::from(self.plan.items) / rate));
        let (mut stopping, mut timetable) = (self.stopping.subscribe(), self.timetable.subscribe());
        loop {
            let Timetable { begins, paused } = *timetable.borrow_and_update();
            let now = Instant::now();
            let due = match (paused, after) {
                (Some(_), _) => None,
                (None, None) => return Some(now),
                (None, Some(after)) if begins + after <= now => return Some(begins + after),
                (None, Some(after)) => Some(begins + after),
            };
            let until = deadline.into_iter().chain(due).min();
            tokio::select! {
                () = async { match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                } } => return (!self.ended(deadline)).then(Instant::now),
                _ = stopping.wait_for(|stopping| *stopping) => return None,
                _ = timetable.changed() => {}
            }
        }
    }

    fn count(&self, outgoing: &Outgoing, outcome: Outcome, due: Instant) {
        let items = u64::from(self.plan.items);
        let mut totals = lock(&self.totals);
        let Totals { report, latencies } = &mut *totals;
        report.requests += 1;
        match outcome {
            Outcome::Accepted => {
                report.accepted += items;
                report.to_drop += u64::from(self.plan.to_drop);
                if let Some(acknowledged) = &mut report.acknowledged {
                    acknowledged.ranges.insert(outgoing.first, outgoing.first + items);
                }
                latencies.saturating_record(due.elapsed().as_micros() as u64);
            }
            Outcome::Partial(rejected) => {
                report.accepted += items.saturating_sub(rejected);
                report.partial += rejected.min(items);
                latencies.saturating_record(due.elapsed().as_micros() as u64);
            }
            Outcome::Refused { status, retryable, hinted } => {
                report.refused += items;
                report.unhinted += if retryable && !hinted { items } else { 0 };
                *report.errors.entry(status).or_default() += 1;
            }
            Outcome::Broken(problem) => {
                report.unanswered += items;
                *report.errors.entry(problem).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Encoding;
    use crate::payload::Shape;
    use crate::ring::Preparation;
    use crate::signal::Signal;

    /// Ten requests a second.
    fn load() -> Load {
        let shape = Shape { signal: Signal::Traces, items: 10, drop_share: 0.0, tracked: false };
        let preparation = Preparation {
            encoding: Encoding::None,
            grpc: true,
            refresh: Duration::ZERO,
            tracked: None,
            trace_items: None,
        };
        let plan = Plan {
            items: 10,
            to_drop: 0,
            rate: Some(100.0),
            inflight: 4,
            connections: 1,
            timeout: Duration::from_secs(1),
            retry: false,
            tracked: None,
        };
        Load::new(plan, Ring::new(&shape, 1, preparation)).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_moves_the_timetable_and_nothing_is_made_up_for() {
        let (load, begun) = (load(), Instant::now());
        let mut at = Vec::new();
        for place in 0..6 {
            if place == 3 {
                load.pause();
                assert!(timeout(Duration::from_secs(5), load.turn(None)).await.is_err(), "nothing begins in a pause");
                load.resume();
            }
            load.turn(None).await.unwrap();
            at.push((begun.elapsed().as_secs_f64() * 10.0).round() as u64);
        }
        // The place that was claimed in the pause is gone with its worker.
        assert_eq!(at, [0, 1, 2, 54, 55, 56], "in tenths of a second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_can_be_ended_for_good() {
        let load = load();
        load.pause();
        load.stop();
        assert_eq!(load.turn(None).await, None);
        let deadline = Instant::now() + Duration::from_secs(1);
        let paused = self::load();
        paused.pause();
        assert_eq!(paused.turn(Some(deadline)).await, None);
        assert_eq!(Instant::now(), deadline);
    }
}
