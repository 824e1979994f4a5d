//! Two backends, of which the second fails for a while: what the sender and the first backend notice of it, and whether
//! both end up with exactly what was accepted.

mod report;
mod verdict;

pub(super) use report::table;
pub(super) use verdict::Run;

use super::bench::{Bench, LoadProcess, SinkProcess};
use super::ledger::LedgerWatch;
use super::process::Process;
use super::report::{Outcome, Row};
use super::scenario::{CandidateSpec, Program, Quota, Scenario};
use crate::Error;
use crate::load;
use crate::signal::Signal;
use crate::sink;
use std::time::{Duration, Instant};
use verdict::{Backend, Phase, Stage};

/// Time for the second backend to get what was kept for it.
const RECOVERY: Duration = Duration::from_secs(120);

/// Id of the exporter whose backend fails, in every config.
const SECOND: &str = "otlp/second";

/// Bytes of a span or log record in the log, with its share of what an entry needs.
const ITEM_BYTES: f64 = 430.0;

/// Quota where no rate says how soon it is full.
const SATURATED_QUOTA: f64 = (32 << 20) as f64;

pub(super) async fn fanout(bench: &Bench, scenario: &Scenario) -> Result<Outcome, Error> {
    let mut outcome = Outcome::new(scenario, bench.options.smoke);
    let candidates = bench.candidates(scenario);
    outcome.rows = candidates.iter().map(|spec| Row::new(&spec.name)).collect();
    for round in 1..=bench.options.runs {
        for spec in &candidates {
            let Some(row) = outcome.rows.iter_mut().find(|row| row.candidate == spec.name) else { continue };
            match one_run(bench, scenario, spec, round).await {
                Ok(run) => {
                    run.phases.iter().for_each(|phase| eprintln!("   {round} {:<10} {}", spec.name, phase.line()));
                    row.fanouts.push(run);
                }
                Err(error) => row.problems.push(error.to_string()),
            }
        }
    }
    Ok(outcome)
}

/// The parts of a run.
struct Running<'r> {
    scenario: &'r Scenario,
    load: LoadProcess,
    first: SinkProcess,
    second: SinkProcess,
    collector: Process,
    ledger: Option<LedgerWatch>,
    phases: Vec<Phase>,
}

/// The quota for the second backend, in bytes: it is full after about one phase, or never.
fn quota(bench: &Bench, scenario: &Scenario) -> u64 {
    let rate = bench.rate(&scenario.load);
    let in_a_phase = rate.map_or(SATURATED_QUOTA, |rate| rate * bench.options.seconds * ITEM_BYTES);
    let phases = if scenario.fanout.quota.is_some() { 1.0 } else { 2.0 };
    (in_a_phase * phases).max(f64::from(4 << 20)) as u64
}

async fn one_run(bench: &Bench, scenario: &Scenario, spec: &CandidateSpec, round: u32) -> Result<Run, Error> {
    let run = format!("{}.{}.{round}", scenario.name, spec.name);
    let ports = bench.ports()?;
    let first = bench.start_sink(&run, "sink", true).await?;
    let second = bench.start_sink(&run, "sink2", true).await?;
    let quota = quota(bench, scenario);
    // A quarter of the budget is the log, and the first backend needs a share of it besides.
    let memory = (8 * quota).div_ceil(1 << 20).max(512);
    let further = vec![("QUOTA", quota.to_string()), ("MEMORY_MIB", memory.to_string())];
    let (collector, _) = bench.start_candidate(scenario, spec, &run, ports, &[&first, &second], further).await?;
    let ledger = match spec.program {
        Program::Sluice => Some(LedgerWatch::start(ports.telemetry).await?),
        _ => None,
    };
    let load = bench.start_load(&scenario.load, spec, &run, ports, &["--track"]).await?;
    let mut running = Running { scenario, load, first, second, collector, ledger, phases: Vec::new() };
    tokio::time::sleep(Duration::from_secs_f64(bench.options.warmup)).await;

    let length = Duration::from_secs_f64(bench.options.seconds);
    let cycles = if bench.options.smoke { 1 } else { scenario.fanout.cycles.max(1) };
    for _ in 0..cycles {
        running.phase(Stage::BothWell, length).await?;
        running.second.set_mode(&scenario.fanout.outage).await?;
        match scenario.fanout.quota {
            None => running.phase(Stage::OneFails, length).await?,
            Some(quota) => {
                running.fill(quota, 4 * length).await?;
                running.phase(Stage::QuotaFull, length).await?;
            }
        }
        running.second.set_mode("ok").await?;
        running.phase(Stage::BothAgain, length).await?;
        running.caught_up().await?;
    }
    running.end().await
}

impl Running<'_> {
    fn arrived(&self, report: &sink::Report) -> u64 {
        match self.scenario.load.signal {
            Signal::Traces => report.spans,
            Signal::Logs => report.logs,
            Signal::Metrics => report.points.max(report.samples),
        }
    }

    /// Watches for a while.
    async fn phase(&mut self, stage: Stage, length: Duration) -> Result<(), Error> {
        let begun = self.open().await?;
        tokio::time::sleep(length).await;
        self.close(stage, begun).await
    }

    /// Watches until the quota is full: requests are refused, or entries dropped.
    async fn fill(&mut self, quota: Quota, within: Duration) -> Result<(), Error> {
        let begun = self.open().await?;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let full = match (quota, &self.ledger) {
                (Quota::DropOldest, Some(ledger)) => ledger.now().await?.last.dropped_at(SECOND) > begun.dropped,
                _ => self.load.stats().await?.refused > begun.sent.refused,
            };
            if full {
                return self.close(Stage::OneFails, begun).await;
            }
            if begun.at.elapsed() > within {
                return Err(Error::Invalid(format!("the second backend's quota was not full after {within:?}")));
            }
        }
    }

    async fn dropped(&self) -> Result<i64, Error> {
        match &self.ledger {
            Some(ledger) => Ok(ledger.now().await?.last.dropped_at(SECOND)),
            None => Ok(0),
        }
    }

    async fn open(&self) -> Result<Begun, Error> {
        self.first.open_window().await?;
        Ok(Begun {
            sent: self.load.open_window().await?,
            first: self.first.stats().await?,
            cpu: self.collector.cpu()?,
            dropped: self.dropped().await?,
            at: Instant::now(),
        })
    }

    async fn close(&mut self, stage: Stage, begun: Begun) -> Result<(), Error> {
        let seconds = begun.at.elapsed().as_secs_f64();
        let (sent, first, cpu) = (self.load.stats().await?, self.first.stats().await?, self.collector.cpu()?);
        let (rss, _) = self.collector.memory()?;
        let accepted = sent.accepted - begun.sent.accepted;
        let refused = |report: &load::Report| report.refused + report.unanswered;
        let arrived = self.arrived(&first).saturating_sub(self.arrived(&begun.first));
        self.phases.push(Phase {
            stage,
            seconds,
            accepted_per_second: accepted as f64 / seconds,
            refused_per_second: (refused(&sent) - refused(&begun.sent)) as f64 / seconds,
            first_per_second: arrived as f64 / seconds,
            dropped: self.dropped().await? - begun.dropped,
            p50_us: sent.p50_us,
            p99_us: sent.p99_us,
            delivery_p50_us: first.delivery_p50_us,
            delivery_p99_us: first.delivery_p99_us,
            cpu_ns_per_item: cpu.saturating_sub(begun.cpu).as_nanos() as f64 / accepted.max(1) as f64,
            rss_mib: rss as f64 / f64::from(1 << 20),
        });
        Ok(())
    }

    /// Waits until the second backend has what was kept for it, while the load goes on.
    async fn caught_up(&self) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            let waiting = match &self.ledger {
                Some(ledger) => ledger.now().await?.last.term(&format!("destination/{SECOND}"), "held"),
                None => 0,
            };
            let in_a_moment = self.load.stats().await?.accepted / 100;
            if waiting <= in_a_moment as i64 {
                return Ok(());
            }
            if begun.elapsed() > RECOVERY {
                return Err(Error::Invalid(format!("{waiting} items were still waiting after {RECOVERY:?}")));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends the load, waits for all that was kept, and compares.
    async fn end(self) -> Result<Run, Error> {
        let Running { scenario, load, first, second, collector, ledger, phases } = self;
        let sent = load.finish().await?;
        let counted = scenario.load.signal;
        let enough = |report: &sink::Report| {
            let arrived = match counted {
                Signal::Traces => report.spans,
                Signal::Logs => report.logs,
                Signal::Metrics => report.points.max(report.samples),
            };
            arrived >= sent.accepted
        };
        let begun = Instant::now();
        first.settled(RECOVERY, enough).await?;
        second.settled(RECOVERY, enough).await?;
        let drained_seconds = begun.elapsed().as_secs_f64();
        let (seen, seen2) = (first.seen().await?, second.seen().await?);
        let watched = match &ledger {
            Some(ledger) => Some(ledger.now().await?),
            None => None,
        };
        drop(ledger);
        let (_, peak) = collector.memory()?;
        collector.stop().await;
        first.process.stop().await;
        second.process.stop().await;
        let Some(acknowledged) = sent.acknowledged else {
            return Err(Error::Invalid("the generator did not track".into()));
        };
        let backend = |seen: &crate::tracked::SeenReport| Backend {
            arrived: seen.clients.iter().map(|client| client.ranges.count()).sum(),
            lost: seen.lost(&acknowledged),
            unacknowledged: seen.unacknowledged(&acknowledged),
            duplicates: seen.duplicates,
        };
        Ok(Run {
            phases,
            quota: scenario.fanout.quota.is_some(),
            ambiguous: scenario.fanout.outage == "hang",
            accepted: sent.accepted,
            refused: sent.refused,
            unanswered: sent.unanswered,
            errors: sent.errors,
            backends: [backend(&seen), backend(&seen2)],
            ledger: watched,
            drained_seconds,
            peak_rss_mib: peak as f64 / f64::from(1 << 20),
        })
    }
}

/// Where a phase began.
struct Begun {
    sent: load::Report,
    first: sink::Report,
    cpu: Duration,
    dropped: i64,
    at: Instant,
}
