//! The orchestrator: starts generator, collector and sink, each pinned to a core, measures the collector's CPU over a
//! window, and compares candidates in turns so that a change of the machine's mood hits all of them.

mod bench;
mod candidate;
mod cgroup;
mod disk;
mod fanout;
mod footprint;
mod ledger;
mod measure;
mod options;
mod overload;
mod process;
mod report;
mod scenario;

pub use options::Options;

use crate::Error;
use report::Results;
use scenario::{Kind, Scenario};

/// Runs the scenarios named in the options (all of them by default), prints a table and writes the results as JSON.
/// Returns whether everything ran and everything that was accepted also arrived.
pub async fn run(options: Options) -> Result<bool, Error> {
    let scenarios = Scenario::load_all(&options.scenarios, &options.names)?;
    let rig = bench::Bench::prepare(options)?;
    let mut results = Results::new(&rig.options);
    for scenario in &scenarios {
        if scenario.by_hand && rig.options.smoke && rig.options.names.is_empty() {
            eprintln!("\n== {}: left out of a smoke run, it takes too long", scenario.name);
            continue;
        }
        eprintln!("\n== {}: {}", scenario.name, scenario.measures);
        let outcome = match scenario.kind {
            Kind::Throughput => measure::throughput(&rig, scenario).await,
            Kind::Footprint => footprint::footprint(&rig, scenario).await,
            Kind::Fanout => fanout::fanout(&rig, scenario).await,
            Kind::Overload => overload::overload(&rig, scenario).await,
        }?;
        results.add(&rig.options.out, outcome)?;
    }
    results.finish(&rig.options.out)
}
