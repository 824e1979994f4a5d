//! Start time, idle memory and binary size.

use super::bench::Bench;
use super::candidate;
use super::report::{Footprint, Outcome, Row};
use super::scenario::Scenario;
use crate::Error;
use std::time::Duration;

/// How long a collector idles before its memory is read.
const IDLE: Duration = Duration::from_secs(5);

/// Starts each candidate a few times without load.
pub(super) async fn footprint(bench: &Bench, scenario: &Scenario) -> Result<Outcome, Error> {
    let mut outcome = Outcome::new(scenario, bench.options.smoke);
    for spec in bench.candidates(scenario) {
        let mut row = Row::new(&spec.name);
        let binary = candidate::program(bench, spec);
        let size = std::fs::metadata(&binary).map_err(Error::io(binary.display().to_string()))?.len();
        for round in 1..=bench.options.runs {
            let run = format!("{}.{}.{round}", scenario.name, spec.name);
            let ports = bench.ports()?;
            let sink = bench.start_sink(&run, "sink", false).await?;
            match bench.start_candidate(scenario, spec, &run, ports, &[&sink], Vec::new()).await {
                Ok((collector, ready)) => {
                    tokio::time::sleep(if bench.options.smoke { Duration::from_secs(1) } else { IDLE }).await;
                    let (rss, _) = collector.memory()?;
                    let footprint = Footprint {
                        ready_ms: ready.as_secs_f64() * 1e3,
                        idle_rss_mib: rss as f64 / f64::from(1 << 20),
                        binary_mb: size as f64 / 1e6,
                    };
                    eprintln!("   {round} {:<10} {footprint:?}", spec.name);
                    row.footprints.push(footprint);
                    collector.stop().await;
                }
                Err(error) => row.problems.push(error.to_string()),
            }
            sink.process.stop().await;
        }
        outcome.rows.push(row);
    }
    Ok(outcome)
}
