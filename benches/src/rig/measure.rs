//! CPU time per item under load.

use super::bench::{Bench, LoadProcess, SinkProcess};
use super::disk;
use super::process::Process;
use super::report::{Measured, Outcome, Row};
use super::scenario::{CandidateSpec, LoadSpec, Program, Scenario, Unit};
use crate::Error;
use crate::load;
use crate::signal::Signal;
use crate::sink;
use std::time::{Duration, Instant};

/// Time for what is in flight to arrive after the generator has stopped.
const SETTLE: Duration = Duration::from_secs(20);
/// How long a collector gets the load before the next one does.
pub(super) const TURN: Duration = Duration::from_secs(1);
/// Behind a turn, what is in flight is answered, and upkeep that is due ten times a second done.
pub(super) const AFTERWARDS: Duration = Duration::from_millis(150);
/// How long a peer that did not do its work has run, the next times, before it gets the load.
const PEER_SETTLES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(6)];

/// Checks that each candidate does the work, then measures them, one after the other or in turns.
pub(super) async fn throughput(bench: &Bench, scenario: &Scenario) -> Result<Outcome, Error> {
    let candidates = bench.candidates(scenario);
    let mut outcome = Outcome::new(scenario, bench.options.smoke);
    if !scenario.answer_budget_ms.is_empty() {
        outcome.syncs.push(disk::sync_times(&bench.options.out)?);
    }
    for spec in &candidates {
        let mut row = Row::new(&spec.name);
        if scenario.samples {
            outcome.rows.push(row);
            continue;
        }
        row.problems = verify_settled(bench, scenario, spec).await.unwrap_or_else(|error| vec![error.to_string()]);
        row.problems.iter().for_each(|problem| eprintln!("rig: {}/{}: {problem}", scenario.name, spec.name));
        outcome.rows.push(row);
    }
    for round in 1..=bench.options.runs {
        let together = match scenario.in_turns {
            true => in_turns(bench, scenario, &candidates, round).await,
            false => Ok(Vec::new()),
        };
        // What goes wrong before each has its figures is said of all.
        let of_all = |error: Error| candidates.iter().map(|_| Err(Error::Invalid(error.to_string()))).collect();
        let mut together = together.unwrap_or_else(of_all).into_iter();
        for spec in &candidates {
            let Some(row) = outcome.rows.iter_mut().find(|row| row.candidate == spec.name) else { continue };
            let measured = match together.next() {
                Some(measured) => measured,
                None => measure(bench, scenario, spec, round).await,
            };
            match measured {
                Ok(measured) => {
                    eprintln!("   {round} {:<10} {}", spec.name, measured.line());
                    row.runs.push(measured);
                }
                Err(error) => {
                    eprintln!("rig: {}/{}: {error}", scenario.name, spec.name);
                    row.problems.push(error.to_string());
                }
            }
        }
        if !scenario.answer_budget_ms.is_empty() {
            outcome.disk_calls_ns.extend(disk_calls(bench, scenario, &outcome)?);
        }
    }
    if !scenario.answer_budget_ms.is_empty() {
        outcome.syncs.push(disk::sync_times(&bench.options.out)?);
    }
    Ok(outcome)
}

/// What a write and a sync of each request would cost by themselves, in CPU ns an item: as many bytes as went out, paced
/// alike, on the collector's core.
fn disk_calls(bench: &Bench, scenario: &Scenario, outcome: &Outcome) -> Result<Option<f64>, Error> {
    let last = outcome.rows.last().and_then(|row| row.runs.last());
    let (Some(last), Some(rate)) = (last, scenario.load.rate) else { return Ok(None) };
    let items = f64::from(scenario.load.items);
    let (bytes, every) = ((last.bytes_out_per_unit * items) as usize, Duration::from_secs_f64(items / rate));
    let cost = disk::calls_us(&bench.options.out, bench.options.collector_core, bytes, every)?;
    Ok(cost.map(|us| us * 1e3 / items))
}

/// Verifies a candidate; a peer with problems again, when it has run for longer: Prometheus sends on only samples that are
/// younger than its sender, so that one which is still starting loses what it accepts. Ours gets no second chance.
async fn verify_settled(bench: &Bench, scenario: &Scenario, spec: &CandidateSpec) -> Result<Vec<String>, Error> {
    let mut problems = verify(bench, scenario, spec, Duration::ZERO).await?;
    for settling in PEER_SETTLES {
        if problems.is_empty() || spec.program == Program::Sluice {
            break;
        }
        eprintln!("rig: {}/{}: {}; again after {settling:?}", scenario.name, spec.name, problems.join("; "));
        problems = verify(bench, scenario, spec, settling).await?;
    }
    Ok(problems)
}

/// A short tracked run: is everything there that is to be there, and nothing that is not?
async fn verify(
    bench: &Bench,
    scenario: &Scenario,
    spec: &CandidateSpec,
    settling: Duration,
) -> Result<Vec<String>, Error> {
    let run = format!("{}.{}.verify", scenario.name, spec.name);
    let ports = bench.ports()?;
    let sink = bench.start_sink(&run, "sink", true).await?;
    let (collector, _) = bench.start_candidate(scenario, spec, &run, ports, &[&sink], Vec::new()).await?;
    tokio::time::sleep(settling).await;
    let slow = LoadSpec { rate: Some(5000.0), ..scenario.load.clone() };
    let mut load = bench.start_load(&slow, spec, &run, ports, &["--track", "--duration", "1"]).await?;
    load.process.ended(Duration::from_secs(30)).await?;
    let sent = load.last_report()?;
    let expected = expected(scenario, spec, &sent);
    let counted = scenario.load.signal;
    let arrived = sink.settled(SETTLE, |report| items(counted, report).max(report.samples) >= expected).await?;
    let seen = sink.seen().await?;
    let mut problems = Vec::new();
    let Some(acknowledged) = &sent.acknowledged else {
        return Err(Error::Invalid("the generator did not track".into()));
    };
    if sent.accepted == 0 {
        problems.push(format!("nothing accepted: {:?}", sent.errors));
    }
    let lost = seen.lost(acknowledged);
    let to_drop = sent.accepted - expected;
    if lost != to_drop {
        problems
            .push(format!("{lost} of {} accepted items did not arrive, {to_drop} were to be dropped", sent.accepted));
    }
    if scenario.masks && !spec.passes_all && arrived.unmasked > 0 {
        problems.push(format!("{} items with an e-mail address arrived", arrived.unmasked));
    }
    if arrived.malformed > 0 {
        problems.push(format!("the sink could not read {} requests", arrived.malformed));
    }
    collector.stop().await;
    sink.process.stop().await;
    bench.remove_storage(&run);
    Ok(problems)
}

/// Items of what was accepted that are to arrive.
fn expected(scenario: &Scenario, spec: &CandidateSpec, sent: &load::Report) -> u64 {
    let drops = scenario.drops && !spec.passes_all;
    if drops { sent.accepted - sent.to_drop } else { sent.accepted }
}

fn items(signal: Signal, report: &sink::Report) -> u64 {
    match signal {
        Signal::Traces => report.spans,
        Signal::Logs => report.logs,
        Signal::Metrics => report.points,
    }
}

/// A collector under load, with its own generator and sink.
struct Running<'s> {
    scenario: &'s Scenario,
    spec: &'s CandidateSpec,
    run: String,
    sink: SinkProcess,
    collector: Process,
    ready: Duration,
    load: LoadProcess,
    /// The second generator.
    other: Option<LoadProcess>,
}

/// What was counted at one end of a window.
struct Counts {
    sent: load::Report,
    arrived: sink::Report,
    /// Accepted from the second generator.
    other: u64,
}

impl<'s> Running<'s> {
    async fn start(
        bench: &Bench,
        scenario: &'s Scenario,
        spec: &'s CandidateSpec,
        round: u32,
    ) -> Result<Running<'s>, Error> {
        let run = format!("{}.{}.{round}", scenario.name, spec.name);
        let ports = bench.ports()?;
        let sink = bench.start_sink(&run, "sink", false).await?;
        let (collector, ready) = bench.start_candidate(scenario, spec, &run, ports, &[&sink], Vec::new()).await?;
        let load = bench.start_load(&bench.load(scenario), spec, &run, ports, &[]).await?;
        let other = match scenario.load.with {
            Some(signal) => {
                let other = LoadSpec { signal, ..bench.load(scenario) };
                Some(bench.start_load(&other, spec, &format!("{run}.with"), ports, &[]).await?)
            }
            None => None,
        };
        Ok(Self { scenario, spec, run, sink, collector, ready, load, other })
    }

    async fn counts(&self) -> Result<Counts, Error> {
        let (sent, arrived) = (self.load.stats().await?, self.sink.stats().await?);
        let other = match &self.other {
            Some(other) => other.stats().await?.accepted,
            None => 0,
        };
        Ok(Counts { sent, arrived, other })
    }

    /// The same, and latencies count from now on.
    async fn open_window(&self) -> Result<Counts, Error> {
        self.load.open_window().await?;
        self.counts().await
    }

    /// One of its turns: its CPU time and how long it was.
    async fn turn(&self) -> Result<(Duration, Duration), Error> {
        let (cpu, begun) = (self.collector.cpu()?, Instant::now());
        self.load.resume().await?;
        tokio::time::sleep(TURN).await;
        self.load.pause().await?;
        let took = begun.elapsed();
        tokio::time::sleep(AFTERWARDS).await;
        Ok((self.collector.cpu()?.saturating_sub(cpu), took))
    }

    /// Ends it, and gives what the window between the two counts had.
    async fn finish(
        mut self,
        bench: &Bench,
        (before, after): (Counts, Counts),
        cpu: Duration,
        took: Duration,
    ) -> Result<Measured, Error> {
        let Self { scenario, spec, .. } = self;
        let (rss, peak_rss) = self.collector.memory()?;
        self.collector.alive()?;
        let Counts { sent, arrived, other } = after;
        let window_accepted = sent.accepted - before.sent.accepted + other - before.other;
        if let Some(other) = self.other {
            other.finish().await?;
        }
        let last = self.load.finish().await?;
        let (units, missing) = match scenario.unit {
            Unit::Item if scenario.samples => (window_accepted, 0),
            Unit::Item => {
                let (due, signal) = (expected(scenario, spec, &last), scenario.load.signal);
                let settled = self.sink.settled(SETTLE, |report| items(signal, report) >= due).await?;
                (window_accepted, due as i64 - items(signal, &settled) as i64)
            }
            Unit::Sample => (arrived.samples - before.arrived.samples, 0),
        };
        self.collector.stop().await;
        self.sink.process.stop().await;
        bench.remove_storage(&self.run);
        if units == 0 {
            let problem = format!("nothing got through in the window; errors: {:?}", sent.errors);
            return Err(Error::Process { process: spec.name.clone(), problem });
        }
        let seconds = took.as_secs_f64();
        Ok(Measured {
            cpu_ns_per_unit: cpu.as_nanos() as f64 / units as f64,
            core_share: cpu.as_secs_f64() / seconds,
            accepted_per_second: window_accepted as f64 / seconds,
            units_per_second: units as f64 / seconds,
            missing,
            refused: last.refused + last.partial + last.unanswered,
            p50_us: sent.p50_us,
            p99_us: sent.p99_us,
            max_us: sent.max_us,
            ready_ms: self.ready.as_secs_f64() * 1e3,
            rss_mib: rss as f64 / f64::from(1 << 20),
            peak_rss_mib: peak_rss as f64 / f64::from(1 << 20),
            bytes_out_per_unit: (arrived.bytes - before.arrived.bytes) as f64 / units as f64,
            units_per_item: units as f64 / window_accepted.max(1) as f64,
        })
    }
}

/// One candidate alone.
async fn measure(bench: &Bench, scenario: &Scenario, spec: &CandidateSpec, round: u32) -> Result<Measured, Error> {
    let running = Running::start(bench, scenario, spec, round).await?;
    tokio::time::sleep(Duration::from_secs_f64(bench.options.warmup)).await;
    let before = running.open_window().await?;
    let profiler = bench.options.profile.then(|| bench.start_profile(&running.run, &running.collector)).transpose()?;
    let (cpu, begun) = (running.collector.cpu()?, Instant::now());
    tokio::time::sleep(Duration::from_secs_f64(bench.options.seconds)).await;
    let (cpu, took) = (running.collector.cpu()?.saturating_sub(cpu), begun.elapsed());
    let after = running.counts().await?;
    if let Some(profiler) = profiler {
        profiler.interrupt().await;
    }
    running.finish(bench, (before, after), cpu, took).await
}

/// All candidates side by side, on one core: each gets the load for a second while the others get none, forwards and
/// backwards, until each had its seconds. An idle one costs next to nothing, and that is not counted.
async fn in_turns(
    bench: &Bench,
    scenario: &Scenario,
    candidates: &[&CandidateSpec],
    round: u32,
) -> Result<Vec<Result<Measured, Error>>, Error> {
    let mut all = Vec::with_capacity(candidates.len());
    for spec in candidates {
        let running = Running::start(bench, scenario, spec, round).await?;
        tokio::time::sleep(Duration::from_secs_f64(bench.options.warmup)).await;
        running.load.pause().await?;
        tokio::time::sleep(AFTERWARDS).await;
        all.push((running, (Duration::ZERO, Duration::ZERO)));
    }
    let mut before = Vec::with_capacity(all.len());
    for (running, _) in &all {
        before.push(running.open_window().await?);
    }
    let turns = (bench.options.seconds / TURN.as_secs_f64()).ceil().max(1.0) as usize;
    for turn in 0..turns {
        for index in 0..all.len() {
            let index = if turn % 2 == 0 { index } else { all.len() - 1 - index };
            let Some((running, (cpu, took))) = all.get_mut(index) else { continue };
            let (more_cpu, longer) = running.turn().await?;
            (*cpu, *took) = (*cpu + more_cpu, *took + longer);
        }
    }
    let mut measured = Vec::with_capacity(all.len());
    for ((running, (cpu, took)), before) in all.into_iter().zip(before) {
        let after = running.counts().await?;
        measured.push(running.finish(bench, (before, after), cpu, took).await);
    }
    Ok(measured)
}
