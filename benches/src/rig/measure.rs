//! CPU time per item under load.

use super::bench::Bench;
use super::disk;
use super::report::{Measured, Outcome, Row};
use super::scenario::{CandidateSpec, LoadSpec, Program, Scenario, Unit};
use crate::Error;
use crate::load;
use crate::signal::Signal;
use crate::sink;
use std::time::{Duration, Instant};

/// Time for what is in flight to arrive after the generator has stopped.
const SETTLE: Duration = Duration::from_secs(20);
/// How long a peer that did not do its work has run, the next times, before it gets the load.
const PEER_SETTLES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(6)];

/// Checks that each candidate does the work, then measures them in turns.
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
        for spec in &candidates {
            let Some(row) = outcome.rows.iter_mut().find(|row| row.candidate == spec.name) else { continue };
            match measure(bench, scenario, spec, round).await {
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

async fn measure(bench: &Bench, scenario: &Scenario, spec: &CandidateSpec, round: u32) -> Result<Measured, Error> {
    let run = format!("{}.{}.{round}", scenario.name, spec.name);
    let ports = bench.ports()?;
    let sink = bench.start_sink(&run, "sink", false).await?;
    let (mut collector, ready) = bench.start_candidate(scenario, spec, &run, ports, &[&sink], Vec::new()).await?;
    let load = bench.start_load(&bench.load(scenario), spec, &run, ports, &[]).await?;
    let other = match scenario.load.with {
        Some(signal) => {
            let other = LoadSpec { signal, ..bench.load(scenario) };
            Some(bench.start_load(&other, spec, &format!("{run}.with"), ports, &[]).await?)
        }
        None => None,
    };
    let accepted = async || match &other {
        Some(other) => other.stats().await.map(|report| report.accepted),
        None => Ok(0),
    };
    tokio::time::sleep(Duration::from_secs_f64(bench.options.warmup)).await;

    let (sent_before, arrived_before) = (load.open_window().await?, sink.stats().await?);
    let other_before = accepted().await?;
    let profiler = bench.options.profile.then(|| bench.start_profile(&run, &collector)).transpose()?;
    let (cpu_before, begun) = (collector.cpu()?, Instant::now());
    tokio::time::sleep(Duration::from_secs_f64(bench.options.seconds)).await;
    let (cpu, seconds) = (collector.cpu()?.saturating_sub(cpu_before), begun.elapsed().as_secs_f64());
    let (sent, arrived) = (load.stats().await?, sink.stats().await?);
    let other_accepted = accepted().await? - other_before;
    let (rss, peak_rss) = collector.memory()?;
    collector.alive()?;

    if let Some(profiler) = profiler {
        profiler.interrupt().await;
    }
    let window_accepted = sent.accepted - sent_before.accepted + other_accepted;
    if let Some(other) = other {
        other.finish().await?;
    }
    let last = load.finish().await?;
    let (units, missing) = match scenario.unit {
        Unit::Item if scenario.samples => (window_accepted, 0),
        Unit::Item => {
            let (due, signal) = (expected(scenario, spec, &last), scenario.load.signal);
            let settled = sink.settled(SETTLE, |report| items(signal, report) >= due).await?;
            (window_accepted, due as i64 - items(signal, &settled) as i64)
        }
        Unit::Sample => (arrived.samples - arrived_before.samples, 0),
    };
    collector.stop().await;
    sink.process.stop().await;
    bench.remove_storage(&run);
    if units == 0 {
        let problem = format!("nothing got through in the window; errors: {:?}", sent.errors);
        return Err(Error::Process { process: spec.name.clone(), problem });
    }
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
        ready_ms: ready.as_secs_f64() * 1e3,
        rss_mib: rss as f64 / f64::from(1 << 20),
        peak_rss_mib: peak_rss as f64 / f64::from(1 << 20),
        bytes_out_per_unit: (arrived.bytes - arrived_before.bytes) as f64 / units as f64,
        units_per_item: units as f64 / window_accepted.max(1) as f64,
    })
}
