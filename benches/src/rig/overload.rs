//! More is offered than the backend can take, in a small control group: whether the collector stays within its memory, goes on
//! delivering as much as the backend takes, and tells senders when to come back.

mod report;
mod verdict;

pub(super) use report::table;
pub(super) use verdict::Run;

use super::bench::{Bench, Ports, SinkProcess};
use super::candidate;
use super::cgroup::MemoryGroup;
use super::ledger::LedgerWatch;
use super::process::Process;
use super::report::{Outcome, Row};
use super::scenario::{CandidateSpec, LoadSpec, Scenario};
use crate::Error;
use crate::load;
use crate::sink;
use std::time::{Duration, Instant};
use verdict::{Phase, Sender};

/// Longest time until the first request is refused, once as much is sent as is answered.
const FILLING: Duration = Duration::from_secs(60);

/// Longest windows in which latency without load and capacity are found out.
const FINDING: Duration = Duration::from_secs(30);

/// Time for what was kept to arrive once the backend is well.
const DRAINING: Duration = Duration::from_secs(120);

/// Share of the backend's rate that is no load.
const UNLOADED: f64 = 0.5;

pub(super) async fn overload(bench: &Bench, scenario: &Scenario) -> Result<Outcome, Error> {
    let mut outcome = Outcome::new(scenario, bench.options.smoke);
    let candidates = bench.candidates(scenario);
    outcome.rows = candidates.iter().map(|spec| Row::new(&spec.name)).collect();
    for round in 1..=bench.options.runs {
        for spec in &candidates {
            let Some(row) = outcome.rows.iter_mut().find(|row| row.candidate == spec.name) else { continue };
            match one_run(bench, scenario, spec, round).await {
                Ok(run) => row.overloads.push(run),
                Err(error) => row.problems.push(error.to_string()),
            }
        }
    }
    Ok(outcome)
}

/// What stays throughout a run.
struct Running<'r> {
    bench: &'r Bench,
    scenario: &'r Scenario,
    spec: &'r CandidateSpec,
    run: &'r str,
    ports: Ports,
    sink: SinkProcess,
    collector: Process,
    phases: Vec<Phase>,
    senders: Vec<Sender>,
}

async fn one_run(bench: &Bench, scenario: &Scenario, spec: &CandidateSpec, round: u32) -> Result<Run, Error> {
    let run = format!("{}.{}.{round}", scenario.name, spec.name);
    let plan = &scenario.overload;
    let group = MemoryGroup::create(plan.group_mib << 20);
    if let Err(problem) = &group {
        eprintln!("rig: SKIPPED the control group of {} MiB in {}: {problem}", plan.group_mib, scenario.name);
    }
    let ports = bench.ports()?;
    let sink = bench.start_yielding_sink(&run, "sink").await?;
    sink.set_mode(&format!("rate={}", plan.backend_rate)).await?;
    let mut launch = candidate::launch(bench, scenario, spec, &run, ports, &[&sink])?;
    launch.group = group.as_ref().ok().map(MemoryGroup::processes);
    let (collector, _) = bench.start_launch(scenario, spec, &run, ports, &launch).await?;
    let ledger = LedgerWatch::start(ports.telemetry).await?;

    let (phases, senders) = (Vec::new(), Vec::new());
    let mut running = Running { bench, scenario, spec, run: &run, ports, sink, collector, phases, senders };
    let length = Duration::from_secs_f64(bench.options.seconds);
    let unloaded = f64::from(plan.backend_rate) * UNLOADED;
    running.phase("unloaded", Some(unloaded), length.min(FINDING)).await?;
    let capacity = running.phase("saturated", None, length.min(FINDING)).await?;
    running.phase("overload", Some(capacity * plan.factor), length).await?;

    let Running { sink, mut collector, phases, senders, .. } = running;
    collector.alive()?;
    sink.set_mode("ok").await?;
    let accepted = senders.iter().map(|sender| sender.accepted).sum::<u64>();
    let begun = Instant::now();
    sink.settled(DRAINING, |report| items(report) >= accepted).await?;
    let drained_seconds = begun.elapsed().as_secs_f64();
    let (seen, watched) = (sink.seen().await?, ledger.now().await?);
    drop(ledger);
    let (_, peak) = collector.memory()?;
    collector.stop().await;
    sink.process.stop().await;
    bench.remove_storage(&run);
    Ok(Run {
        phases,
        senders: senders.into_iter().map(|sender| sender.compared(&seen)).collect(),
        duplicates: seen.duplicates,
        ledger: watched,
        drained_seconds,
        peak_rss_mib: peak as f64 / f64::from(1 << 20),
        limit_rss_mib: plan.rss_mib,
        group_mib: group.is_ok().then_some(plan.group_mib),
    })
}

fn items(report: &sink::Report) -> u64 {
    report.spans + report.logs + report.points
}

impl Running<'_> {
    /// Sends at a rate, or as much as is answered, watches for a while, and returns the items that arrived in a second. Without a
    /// rate the watch begins when the collector is full.
    async fn phase(&mut self, name: &'static str, rate: Option<f64>, length: Duration) -> Result<f64, Error> {
        let client = (self.senders.len() + 1).to_string();
        let mut extra = vec!["--track", "--client", client.as_str()];
        if rate.is_none() {
            // A sender that is told to come back does.
            extra.push("--retry");
        }
        let spec = LoadSpec { rate, ..self.scenario.load.clone() };
        let log = format!("{}.{name}", self.run);
        let load = self.bench.start_load(&spec, self.spec, &log, self.ports, &extra).await?;
        if rate.is_none() {
            let begun = Instant::now();
            while load.stats().await?.refused == 0 {
                if begun.elapsed() > FILLING {
                    return Err(Error::Invalid(format!("nothing was refused within {FILLING:?}")));
                }
                self.collector.alive()?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        tokio::time::sleep(Duration::from_secs_f64(self.bench.options.warmup)).await;
        let (sent_before, arrived_before) = (load.open_window().await?, self.sink.stats().await?);
        let (cpu_before, begun) = (self.collector.cpu()?, Instant::now());
        tokio::time::sleep(length).await;
        let seconds = begun.elapsed().as_secs_f64();
        let (sent, arrived) = (load.stats().await?, self.sink.stats().await?);
        let cpu = self.collector.cpu()?.saturating_sub(cpu_before);
        let (rss, peak) = self.collector.memory()?;
        let refused = |report: &load::Report| report.refused + report.unanswered;
        let delivered_per_second = (items(&arrived) - items(&arrived_before)) as f64 / seconds;
        let phase = Phase {
            name,
            seconds,
            offered_per_second: rate,
            accepted_per_second: (sent.accepted - sent_before.accepted) as f64 / seconds,
            refused_per_second: (refused(&sent) - refused(&sent_before)) as f64 / seconds,
            delivered_per_second,
            p50_us: sent.p50_us,
            p99_us: sent.p99_us,
            core_share: cpu.as_secs_f64() / seconds,
            rss_mib: rss as f64 / f64::from(1 << 20),
            peak_rss_mib: peak as f64 / f64::from(1 << 20),
        };
        eprintln!("   {:<10} {}", self.spec.name, phase.line());
        self.phases.push(phase);
        self.senders.push(Sender::of(load.finish().await?)?);
        Ok(delivered_per_second)
    }
}
