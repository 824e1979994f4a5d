//! The rig's command line.

use clap::Parser;
use std::path::PathBuf;

/// Runs scenarios and prints CPU time per item and ratios.
#[derive(Debug, Clone, Parser)]
#[command(about = "Runs load scenarios against collectors and prints CPU time per item and ratios")]
pub struct Options {
    /// Scenarios to run: folders below --scenarios [default: all]
    pub names: Vec<String>,
    /// Only these candidates, such as relay,sluice
    #[arg(long, value_delimiter = ',')]
    pub candidates: Vec<String>,
    /// Seconds of each measured window
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Seconds of load before the window opens
    #[arg(long, default_value_t = 3.0)]
    pub warmup: f64,
    /// Rounds; each runs every candidate once, the median counts
    #[arg(long, default_value_t = 3)]
    pub runs: u32,
    /// How often a fan-out run repeats the outage [default: as the scenario says; 1 in a smoke run]
    #[arg(long)]
    pub cycles: Option<u32>,
    /// Seconds of a fan-out run's phases before and after the outage [default: as --seconds]
    #[arg(long)]
    pub calm: Option<f64>,
    /// One short round at a low rate: shows that everything works, measures nothing
    #[arg(long)]
    pub smoke: bool,
    /// Record where the collector spends its time (needs `perf`): OUT/SCENARIO.CANDIDATE.ROUND.perf. Costs a few per cent
    #[arg(long)]
    pub profile: bool,
    #[arg(long, default_value = "benches/scenarios")]
    pub scenarios: PathBuf,
    /// Where results and the logs of all processes go
    #[arg(long, default_value = "target/bench-results")]
    pub out: PathBuf,
    /// The collector that is built here
    #[arg(long, default_value = "target/release/sluice")]
    pub sluice: PathBuf,
    /// Folder of the peers' binaries [default: bin below SLUICE_PEERS, as tests/peers/install.sh has it]
    #[arg(long)]
    pub peers: Option<PathBuf>,
    /// Core of the collector
    #[arg(long, default_value_t = 0)]
    pub collector_core: usize,
    /// Core of generator and sink
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
}

impl Options {
    /// Where `tests/peers/install.sh` puts the peers' binaries.
    pub(super) fn peers_folder(&self) -> PathBuf {
        let cache = || match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
            (Some(cache), _) => PathBuf::from(cache).join("sluice-peers"),
            (None, Some(home)) => PathBuf::from(home).join(".cache/sluice-peers"),
            (None, None) => PathBuf::from("sluice-peers"),
        };
        let installed = || std::env::var_os("SLUICE_PEERS").map_or_else(cache, PathBuf::from).join("bin");
        self.peers.clone().unwrap_or_else(installed)
    }
}
