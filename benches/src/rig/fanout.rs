//! Two or three backends, of which the second fails for a while: what the sender and the others notice of it, and whether
//! all end up with exactly what was accepted.

mod recovery;
mod report;
mod verdict;

pub(super) use report::table;
pub(super) use verdict::Run;

use super::bench::{Bench, LoadProcess, SinkProcess};
use super::ledger::LedgerWatch;
use super::measure::{AFTERWARDS, TURN};
use super::process::Process;
use super::report::{Outcome, Row};
use super::scenario::{CandidateSpec, Program, Quota, Scenario};
use crate::Error;
use crate::load;
use crate::signal::Signal;
use crate::sink;
use std::time::{Duration, Instant};
use verdict::{Backend, Phase, Recovery, Stage};

/// Time for the second backend to get what was kept for it.
const RECOVERY: Duration = Duration::from_secs(120);

/// Id of the exporter whose backend fails, in every config.
const SECOND: &str = "otlp/second";

/// Its place among the backends.
const FAILING: usize = 1;

/// Names of the sinks' logs.
const SINKS: [&str; 3] = ["sink", "sink2", "sink3"];

/// Time to fill a journal to its end at a fixed rate.
const FILLING: Duration = Duration::from_secs(120);

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
                    run.beside.iter().for_each(|phase| eprintln!("   {round} {:<10} {}", "beside it", phase.line()));
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
    backends: Vec<SinkProcess>,
    collector: Process,
    ledger: Option<LedgerWatch>,
    phases: Vec<Phase>,
    recoveries: Vec<Recovery>,
    /// Highest resident set of the phases so far, in bytes.
    peak: u64,
    /// The same with backends that are all well. It has load while this one has none, and the other way around.
    beside: Option<Box<Self>>,
}

/// The quota for the second backend, in bytes: it is full after about one phase, or never.
fn quota(bench: &Bench, scenario: &Scenario) -> u64 {
    let rate = bench.load(scenario).rate;
    let in_a_phase = rate.map_or(SATURATED_QUOTA, |rate| rate * bench.options.seconds * ITEM_BYTES);
    let phases = if scenario.fanout.quota.is_some() { 1.0 } else { 2.0 };
    (in_a_phase * phases).max(f64::from(4 << 20)) as u64
}

async fn one_run(bench: &Bench, scenario: &Scenario, spec: &CandidateSpec, round: u32) -> Result<Run, Error> {
    let name = format!("{}.{}.{round}", scenario.name, spec.name);
    let other = format!("{name}.beside");
    let mut running = start(bench, scenario, spec, &name).await?;
    tokio::time::sleep(Duration::from_secs_f64(bench.options.warmup)).await;
    if scenario.fanout.beside {
        running.load.pause().await?;
        let beside = start(bench, scenario, spec, &other).await?;
        tokio::time::sleep(Duration::from_secs_f64(bench.options.warmup)).await;
        beside.load.pause().await?;
        running.load.resume().await?;
        running.beside = Some(Box::new(beside));
    }

    let length = Duration::from_secs_f64(bench.options.seconds);
    let calm = bench.options.calm.map_or(length, Duration::from_secs_f64);
    let usual = if bench.options.smoke { 1 } else { scenario.fanout.cycles };
    for _ in 0..bench.options.cycles.unwrap_or(usual).max(1) {
        running.phase(Stage::AllWell, calm).await?;
        running.set_mode(&scenario.fanout.outage).await?;
        match scenario.fanout.quota {
            None => running.phase(Stage::OneFails, length).await?,
            Some(quota) => {
                running.fill(quota, FILLING.max(4 * length)).await?;
                running.phase(Stage::QuotaFull, length).await?;
            }
        }
        running.recover(calm).await?;
    }
    let beside = match running.beside.take() {
        Some(beside) => Some(beside.end().await?),
        None => None,
    };
    let mut run = running.end().await?;
    if let Some(beside) = beside {
        run.beside_is_exact = beside.is_exact();
        run.beside = beside.phases;
    }
    [name, other].iter().for_each(|run| bench.remove_storage(run));
    Ok(run)
}

async fn start<'r>(
    bench: &Bench,
    scenario: &'r Scenario,
    spec: &CandidateSpec,
    run: &str,
) -> Result<Running<'r>, Error> {
    let ports = bench.ports()?;
    let mut backends = Vec::new();
    for name in SINKS.iter().take(scenario.fanout.backends) {
        backends.push(bench.start_sink(run, name, true).await?);
    }
    let quota = quota(bench, scenario);
    // A quarter of the budget is the log, and the first backend needs a share of it besides.
    let memory = (8 * quota).div_ceil(1 << 20).max(512);
    let items = (quota as f64 / ITEM_BYTES) as u64;
    let further =
        vec![("QUOTA", quota.to_string()), ("QUOTA_ITEMS", items.to_string()), ("MEMORY_MIB", memory.to_string())];
    let sinks: Vec<&SinkProcess> = backends.iter().collect();
    let (collector, _) = bench.start_candidate(scenario, spec, run, ports, &sinks, further).await?;
    let ledger = match spec.program {
        Program::Sluice => Some(LedgerWatch::start(ports.telemetry).await?),
        _ => None,
    };
    let load = bench.start_load(&bench.load(scenario), spec, run, ports, &["--track"]).await?;
    let (phases, recoveries) = (Vec::new(), Vec::new());
    Ok(Running { scenario, load, backends, collector, ledger, phases, recoveries, peak: 0, beside: None })
}

impl Running<'_> {
    fn arrived(&self, report: &sink::Report) -> u64 {
        match self.scenario.load.signal {
            Signal::Traces => report.spans,
            Signal::Logs => report.logs,
            Signal::Metrics => report.points.max(report.samples),
        }
    }

    fn failing(&self) -> Result<&SinkProcess, Error> {
        self.backends.get(FAILING).ok_or_else(|| Error::Invalid("a fan-out needs two backends".into()))
    }

    /// Those that must notice nothing.
    fn others(&self) -> impl Iterator<Item = &SinkProcess> {
        self.backends.iter().enumerate().filter(|(place, _)| *place != FAILING).map(|(_, backend)| backend)
    }

    /// Tells the failing backend how to answer.
    async fn set_mode(&self, mode: &str) -> Result<(), Error> {
        self.failing()?.set_mode(mode).await
    }

    /// Watches for a while; this one and the one beside it in turns, if there is one.
    async fn phase(&mut self, stage: Stage, length: Duration) -> Result<(), Error> {
        let begun = self.open().await?;
        let Some(mut beside) = self.beside.take() else {
            tokio::time::sleep(length).await;
            let loaded = begun.at.elapsed();
            return self.close(stage, begun, loaded).await;
        };
        let begun_beside = beside.open().await?;
        self.load.pause().await?;
        let (mut own, mut others) = (Duration::ZERO, Duration::ZERO);
        while begun.at.elapsed() < length {
            own += self.turn().await?;
            others += beside.turn().await?;
            others += beside.turn().await?;
            own += self.turn().await?;
        }
        beside.close(stage, begun_beside, others).await?;
        self.beside = Some(beside);
        self.close(stage, begun, own).await?;
        self.load.resume().await
    }

    /// Load for a while, and what is in flight then. Gives how long there was load.
    async fn turn(&self) -> Result<Duration, Error> {
        let begun = Instant::now();
        self.load.resume().await?;
        tokio::time::sleep(TURN).await;
        self.load.pause().await?;
        let loaded = begun.elapsed();
        tokio::time::sleep(AFTERWARDS).await;
        Ok(loaded)
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
                let loaded = begun.at.elapsed();
                return self.close(Stage::OneFails, begun, loaded).await;
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

    async fn open(&mut self) -> Result<Begun, Error> {
        self.peak = self.peak.max(self.collector.memory()?.1);
        self.collector.reset_peak();
        let mut others = Vec::new();
        for backend in self.others() {
            backend.open_window().await?;
            others.push(backend.stats().await?);
        }
        Ok(Begun {
            sent: self.load.open_window().await?,
            others,
            cpu: self.collector.cpu()?,
            dropped: self.dropped().await?,
            at: Instant::now(),
        })
    }

    /// `loaded` is how long there was load.
    async fn close(&mut self, stage: Stage, begun: Begun, loaded: Duration) -> Result<(), Error> {
        let seconds = loaded.as_secs_f64();
        let (sent, cpu) = (self.load.stats().await?, self.collector.cpu()?);
        let mut others = Vec::new();
        for backend in self.others() {
            others.push(backend.stats().await?);
        }
        let (rss, peak) = self.collector.memory()?;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let accepted = sent.accepted - begun.sent.accepted;
        let refused = |report: &load::Report| report.refused + report.unanswered;
        let arrived = others.iter().zip(&begun.others).map(|(now, before)| self.arrived(now) - self.arrived(before));
        let slowest = |field: fn(&sink::Report) -> u64| others.iter().map(field).max().unwrap_or_default();
        self.phases.push(Phase {
            stage,
            seconds,
            accepted_per_second: accepted as f64 / seconds,
            refused_per_second: (refused(&sent) - refused(&begun.sent)) as f64 / seconds,
            others_per_second: arrived.min().unwrap_or_default() as f64 / seconds,
            dropped: self.dropped().await? - begun.dropped,
            p50_us: sent.p50_us,
            p99_us: sent.p99_us,
            delivery_p50_us: slowest(|report| report.delivery_p50_us),
            delivery_p99_us: slowest(|report| report.delivery_p99_us),
            cpu_ns_per_item: cpu.saturating_sub(begun.cpu).as_nanos() as f64 / accepted.max(1) as f64,
            rss_mib: mib(rss),
            peak_rss_mib: mib(peak),
        });
        Ok(())
    }

    /// Ends the load, waits for all that was kept, and compares.
    async fn end(self) -> Result<Run, Error> {
        let Running { scenario, load, backends, collector, ledger, phases, recoveries, peak, beside: _ } = self;
        let sent = load.finish().await?;
        let counted = scenario.load.signal;
        let dropped = match &ledger {
            Some(ledger) => ledger.now().await?.last.dropped_at(SECOND),
            None => 0,
        };
        let enough = |report: &sink::Report, place: usize| {
            let arrived = match counted {
                Signal::Traces => report.spans,
                Signal::Logs => report.logs,
                Signal::Metrics => report.points.max(report.samples),
            };
            arrived + if place == FAILING { dropped as u64 } else { 0 } >= sent.accepted
        };
        let begun = Instant::now();
        let mut seen = Vec::new();
        for (place, backend) in backends.iter().enumerate() {
            backend.settled(RECOVERY, |report| enough(report, place)).await?;
        }
        let drained_seconds = begun.elapsed().as_secs_f64();
        for backend in &backends {
            seen.push(backend.seen().await?);
        }
        let watched = match &ledger {
            Some(ledger) => Some(ledger.now().await?),
            None => None,
        };
        drop(ledger);
        let peak = peak.max(collector.memory()?.1);
        collector.stop().await;
        for backend in backends {
            backend.process.stop().await;
        }
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
            recoveries,
            beside: Vec::new(),
            beside_is_exact: true,
            durable: scenario.fanout.durable,
            quota: scenario.fanout.quota.is_some(),
            ambiguous: matches!(scenario.fanout.outage.as_str(), "hang" | "closed"),
            accepted: sent.accepted,
            refused: sent.refused,
            unanswered: sent.unanswered,
            unhinted: sent.unhinted,
            errors: sent.errors,
            backends: seen.iter().map(backend).collect(),
            ledger: watched,
            drained_seconds,
            peak_rss_mib: peak as f64 / f64::from(1 << 20),
        })
    }
}

/// Where a phase began.
struct Begun {
    sent: load::Report,
    others: Vec<sink::Report>,
    cpu: Duration,
    dropped: i64,
    at: Instant,
}
