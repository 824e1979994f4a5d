//! Two backends, of which the second fails for a while: what the sender and the first backend notice of it, and whether
//! both end up with exactly what was accepted.

use super::bench::{Bench, LoadProcess, SinkProcess};
use super::process::Process;
use super::report::{FanoutRun, Outcome, Phase, Row};
use super::scenario::{CandidateSpec, Scenario};
use crate::Error;
use crate::signal::Signal;
use crate::sink;
use std::time::{Duration, Instant};

/// Time for the second backend to get what was kept for it.
const RECOVERY: Duration = Duration::from_secs(120);

pub(super) async fn fanout(bench: &Bench, scenario: &Scenario) -> Result<Outcome, Error> {
    let mut outcome = Outcome::new(scenario, bench.options.smoke);
    let candidates = bench.candidates(scenario);
    outcome.rows = candidates.iter().map(|spec| Row::new(&spec.name)).collect();
    for round in 1..=bench.options.runs {
        for spec in &candidates {
            let Some(row) = outcome.rows.iter_mut().find(|row| row.candidate == spec.name) else { continue };
            match one_run(bench, scenario, spec, round).await {
                Ok(run) => {
                    eprintln!("   {round} {:<10} {run:?}", spec.name);
                    row.fanouts.push(run);
                }
                Err(error) => row.problems.push(error.to_string()),
            }
        }
    }
    Ok(outcome)
}

async fn one_run(bench: &Bench, scenario: &Scenario, spec: &CandidateSpec, round: u32) -> Result<FanoutRun, Error> {
    let run = format!("{}.{}.{round}", scenario.name, spec.name);
    let ports = bench.ports()?;
    let first = bench.start_sink(&run, "sink", true).await?;
    let second = bench.start_sink(&run, "sink2", true).await?;
    let (collector, _) = bench.start_candidate(scenario, spec, &run, ports, &[&first, &second]).await?;
    let load = bench.start_load(&scenario.load, spec, &run, ports, &["--track"]).await?;
    tokio::time::sleep(Duration::from_secs_f64(bench.options.warmup)).await;

    let seconds = Duration::from_secs_f64(bench.options.seconds);
    let healthy = phase(seconds, &load, &first, &collector, scenario).await?;
    second.set_mode(scenario.outage.as_deref().unwrap_or("fail")).await?;
    let outage = phase(seconds, &load, &first, &collector, scenario).await?;
    second.set_mode("ok").await?;
    let recovered = phase(seconds, &load, &first, &collector, scenario).await?;

    let sent = load.finish().await?;
    let enough = |report: &sink::Report| arrived(scenario, report) >= sent.accepted;
    let begun = Instant::now();
    first.settled(RECOVERY, enough).await?;
    second.settled(RECOVERY, enough).await?;
    let drained = begun.elapsed().as_secs_f64();
    let (seen, seen2) = (first.seen().await?, second.seen().await?);
    let (_, peak) = collector.memory()?;
    collector.stop().await;
    first.process.stop().await;
    second.process.stop().await;
    let Some(acknowledged) = sent.acknowledged else {
        return Err(Error::Invalid("the generator did not track".into()));
    };
    Ok(FanoutRun {
        healthy,
        outage,
        recovered,
        accepted: sent.accepted,
        refused: sent.refused + sent.unanswered,
        lost: [seen.lost(&acknowledged), seen2.lost(&acknowledged)],
        unacknowledged: [seen.unacknowledged(&acknowledged), seen2.unacknowledged(&acknowledged)],
        duplicates: [seen.duplicates, seen2.duplicates],
        drained_seconds: drained,
        peak_rss_mib: peak as f64 / f64::from(1 << 20),
    })
}

fn arrived(scenario: &Scenario, report: &sink::Report) -> u64 {
    match scenario.load.signal {
        Signal::Traces => report.spans,
        Signal::Logs => report.logs,
        Signal::Metrics => report.points.max(report.samples),
    }
}

async fn phase(
    length: Duration,
    load: &LoadProcess,
    first: &SinkProcess,
    collector: &Process,
    scenario: &Scenario,
) -> Result<Phase, Error> {
    let (sent_before, before, cpu_before) = (load.open_window().await?, first.stats().await?, collector.cpu()?);
    let begun = Instant::now();
    tokio::time::sleep(length).await;
    let seconds = begun.elapsed().as_secs_f64();
    let (sent, after, cpu) = (load.stats().await?, first.stats().await?, collector.cpu()?);
    let (rss, _) = collector.memory()?;
    let accepted = sent.accepted - sent_before.accepted;
    Ok(Phase {
        accepted_per_second: accepted as f64 / seconds,
        refused_per_second: (sent.refused + sent.unanswered - sent_before.refused - sent_before.unanswered) as f64
            / seconds,
        first_per_second: (arrived(scenario, &after) - arrived(scenario, &before)) as f64 / seconds,
        p50_us: sent.p50_us,
        p99_us: sent.p99_us,
        cpu_ns_per_item: cpu.saturating_sub(cpu_before).as_nanos() as f64 / accepted.max(1) as f64,
        rss_mib: rss as f64 / f64::from(1 << 20),
    })
}
