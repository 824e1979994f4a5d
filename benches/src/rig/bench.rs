//! The bench: where programs are, which ports are free, and how a generator and a sink are started.

use super::candidate;
use super::options::Options;
use super::process::{Launch, Process};
use super::scenario::{CandidateSpec, LoadSpec, Scenario};
use crate::client::Protocol;
use crate::load;
use crate::sink;
use crate::tracked::SeenReport;
use crate::{Error, control};
use clap::ValueEnum;
use http::Method;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// Time a process gets to accept connections.
const START: Duration = Duration::from_secs(20);
/// Ports of listeners.
const PORTS: Range<u16> = 20_000..32_000;

/// The prepared bench.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) options: Options,
    /// Folder of the rig's own binaries.
    own: PathBuf,
    peers: PathBuf,
}

/// Addresses of one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) in_grpc: SocketAddr,
    pub(super) in_http: SocketAddr,
    pub(super) telemetry: SocketAddr,
}

/// A running sink.
#[derive(Debug)]
pub(super) struct SinkProcess {
    pub(super) process: Process,
    pub(super) grpc: SocketAddr,
    pub(super) http: SocketAddr,
    control: SocketAddr,
}

/// A running generator.
#[derive(Debug)]
pub(super) struct LoadProcess {
    pub(super) process: Process,
    control: SocketAddr,
    log: PathBuf,
}

/// An address of loopback that nobody uses and that was not given out before. It lies below the ports that the system gives to
/// outgoing connections: one of these could take it until it is bound, were it only a client that asks whether it is yet.
fn free() -> Result<SocketAddr, Error> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let of_this_process = std::process::id().wrapping_mul(97);
    for _ in 0..PORTS.len() {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = of_this_process.wrapping_add(step) % PORTS.len() as u32;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS.start + offset as u16));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(Error::Process { process: "rig".to_owned(), problem: format!("no free port in {PORTS:?}") })
}

impl Bench {
    pub(super) fn prepare(mut options: Options) -> Result<Self, Error> {
        if options.smoke {
            (options.seconds, options.warmup, options.runs) = (2.0, 0.5, 1);
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if cores < 2 {
            eprintln!("rig: one core only; generator, collector and sink share it, and the figures mean little");
            (options.collector_core, options.load_core) = (0, 0);
        }
        let program = std::env::current_exe().map_err(Error::io("own path"))?;
        let own = program.parent().map(Path::to_path_buf).unwrap_or_default();
        std::fs::create_dir_all(&options.out).map_err(Error::io(options.out.display().to_string()))?;
        // Programs may take no relative path, such as a journal's.
        options.out = options.out.canonicalize().map_err(Error::io(options.out.display().to_string()))?;
        let peers = options.peers_folder();
        Ok(Self { options, own, peers })
    }

    pub(super) fn own(&self, name: &str) -> PathBuf {
        self.own.join(name)
    }

    pub(super) fn peer(&self, name: &str) -> PathBuf {
        self.peers.join(name)
    }

    pub(super) fn ports(&self) -> Result<Ports, Error> {
        Ok(Ports { in_grpc: free()?, in_http: free()?, telemetry: free()? })
    }

    /// The candidates of a scenario whose programs are there; each missing one is said loudly.
    pub(super) fn candidates<'a>(&self, scenario: &'a Scenario) -> Vec<&'a CandidateSpec> {
        let wanted = &self.options.candidates;
        let chosen = |spec: &&CandidateSpec| wanted.is_empty() || wanted.contains(&spec.name);
        let present = |spec: &&CandidateSpec| {
            let program = candidate::program(self, spec);
            let there = program.exists();
            if !there {
                eprintln!("rig: SKIPPED {}/{}: {} is not there", scenario.name, spec.name, program.display());
            }
            there
        };
        scenario.candidates.iter().filter(chosen).filter(present).collect()
    }

    /// Removes what a run wrote to disk: journals are large.
    pub(super) fn remove_storage(&self, run: &str) {
        let _ = std::fs::remove_dir_all(candidate::storage(self, run));
    }

    pub(super) fn log(&self, run: &str, process: &str) -> PathBuf {
        self.options.out.join(format!("{run}.{process}.log"))
    }

    pub(super) async fn start_sink(&self, run: &str, name: &str, track: bool) -> Result<SinkProcess, Error> {
        self.start_sink_by(Launch::new(self.own("sink")), run, name, track).await
    }

    /// A sink that gives way to the generator on their core: a backend at its limit gets thousands of items at once, and what it
    /// does with them is not to delay the next request.
    pub(super) async fn start_yielding_sink(&self, run: &str, name: &str) -> Result<SinkProcess, Error> {
        let ordinary = ["-o", "0", "nice", "-n", "5"].into_iter().fold(Launch::new("chrt"), Launch::arg);
        self.start_sink_by(ordinary.arg(self.own("sink")), run, name, true).await
    }

    async fn start_sink_by(
        &self,
        mut launch: Launch,
        run: &str,
        name: &str,
        track: bool,
    ) -> Result<SinkProcess, Error> {
        let (grpc, http, control) = (free()?, free()?, free()?);
        for (flag, address) in [("--grpc", grpc), ("--http", http), ("--control", control)] {
            launch = launch.arg(flag).arg(address.to_string());
        }
        if track {
            launch = launch.arg("--track");
        }
        let mut process = Process::start(name, &launch, self.options.load_core, &self.log(run, name))?;
        process.ready(control, START).await?;
        Ok(SinkProcess { process, grpc, http, control })
    }

    /// Starts a candidate that sends to the sinks, and waits until it listens. Its config may name `further` variables.
    pub(super) async fn start_candidate(
        &self,
        scenario: &Scenario,
        spec: &CandidateSpec,
        run: &str,
        ports: Ports,
        sinks: &[&SinkProcess],
        further: Vec<(&'static str, String)>,
    ) -> Result<(Process, Duration), Error> {
        let mut launch = candidate::launch(self, scenario, spec, run, ports, sinks)?;
        launch.environment.extend(further);
        self.start_launch(scenario, spec, run, ports, &launch).await
    }

    /// Starts a candidate by this command, and waits until it listens.
    pub(super) async fn start_launch(
        &self,
        scenario: &Scenario,
        spec: &CandidateSpec,
        run: &str,
        ports: Ports,
        launch: &Launch,
    ) -> Result<(Process, Duration), Error> {
        let log = self.log(run, "collector");
        let mut process = Process::start(&spec.name, launch, self.options.collector_core, &log)?;
        let address = match scenario.load.protocol {
            Protocol::Grpc => ports.in_grpc,
            Protocol::Http => ports.in_http,
        };
        let ready = process.ready(address, START).await?;
        Ok((process, ready))
    }

    /// Samples where the collector is until the profiler is interrupted.
    pub(super) fn start_profile(&self, run: &str, collector: &Process) -> Result<Process, Error> {
        let data = self.options.out.join(format!("{run}.perf"));
        let pid = collector.pid().to_string();
        let launch = ["record", "-q", "-F", "999", "-p", &pid, "-o"];
        let launch = launch.iter().fold(Launch::new("perf"), |launch, arg| launch.arg(*arg)).arg(data);
        Process::start("perf", &launch, self.options.load_core, &self.log(run, "perf"))
    }

    /// What the scenario says that the generator is to send; in a smoke run, at a low rate.
    pub(super) fn load(&self, scenario: &Scenario) -> LoadSpec {
        const SMOKE_RATE: f64 = 5000.0;
        let spec = scenario.load.clone();
        if self.options.smoke {
            LoadSpec { rate: Some(spec.rate.unwrap_or(SMOKE_RATE).min(SMOKE_RATE)), ..spec }
        } else {
            spec
        }
    }

    /// Starts the generator.
    pub(super) async fn start_load(
        &self,
        spec: &LoadSpec,
        candidate: &CandidateSpec,
        run: &str,
        ports: Ports,
        extra: &[&str],
    ) -> Result<LoadProcess, Error> {
        let control = free()?;
        let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value().map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        let target = if spec.protocol == Protocol::Http { ports.in_http } else { ports.in_grpc };
        let mut launch = Launch::new(self.own("loadgen"))
            .arg("--target")
            .arg(target.to_string())
            .arg("--signal")
            .arg(name(&|| spec.signal.to_possible_value()))
            .arg("--protocol")
            .arg(name(&|| spec.protocol.to_possible_value()))
            .arg("--compression")
            .arg(name(&|| spec.compression.to_possible_value()))
            .arg("--items")
            .arg(spec.items.to_string())
            .arg("--control")
            .arg(control.to_string());
        if let Some(rate) = spec.rate {
            launch = launch.arg("--rate").arg(rate.to_string());
        }
        if let Some(connections) = spec.connections {
            launch = launch.arg("--connections").arg(connections.to_string());
        }
        if let Some(items) = spec.trace_items.filter(|_| !extra.contains(&"--track")) {
            launch = launch.arg("--trace-items").arg(items.to_string());
        }
        if let (Protocol::Http, Some(path)) = (spec.protocol, &candidate.http_path) {
            launch = launch.arg("--path").arg(path);
        }
        for arg in extra {
            launch = launch.arg(*arg);
        }
        let log = self.log(run, "loadgen");
        let mut process = Process::start("loadgen", &launch, self.options.load_core, &log)?;
        process.ready(control, START).await?;
        Ok(LoadProcess { process, control, log })
    }
}

impl SinkProcess {
    pub(super) async fn stats(&self) -> Result<sink::Report, Error> {
        control::call(self.control, Method::GET, "/stats", "").await
    }

    pub(super) async fn seen(&self) -> Result<SeenReport, Error> {
        control::call(self.control, Method::GET, "/track", "").await
    }

    /// Begins a window for latencies.
    pub(super) async fn open_window(&self) -> Result<(), Error> {
        control::call::<Value>(self.control, Method::POST, "/window", "").await.map(drop)
    }

    pub(super) async fn set_mode(&self, mode: &str) -> Result<(), Error> {
        control::call::<Value>(self.control, Method::POST, "/mode", mode).await.map(drop)
    }

    /// Waits until `enough` says so, or nothing new has arrived for longer than senders hold back a batch that is not
    /// full (Prometheus: 5 s).
    pub(super) async fn settled(
        &self,
        within: Duration,
        enough: impl Fn(&sink::Report) -> bool,
    ) -> Result<sink::Report, Error> {
        const QUIET: Duration = Duration::from_millis(6500);
        const POLL: Duration = Duration::from_millis(50);
        let begun = std::time::Instant::now();
        let mut last = (self.stats().await?, begun);
        while begun.elapsed() < within && last.1.elapsed() < QUIET && !enough(&last.0) {
            tokio::time::sleep(POLL).await;
            let now = self.stats().await?;
            if now != last.0 {
                last = (now, std::time::Instant::now());
            }
        }
        Ok(last.0)
    }
}

impl LoadProcess {
    pub(super) async fn stats(&self) -> Result<load::Report, Error> {
        control::call(self.control, Method::GET, "/stats", "").await
    }

    /// Begins a window for latencies and returns the counts so far.
    pub(super) async fn open_window(&self) -> Result<load::Report, Error> {
        control::call(self.control, Method::POST, "/window", "").await
    }

    pub(super) async fn pause(&self) -> Result<(), Error> {
        control::call::<Value>(self.control, Method::POST, "/pause", "").await.map(drop)
    }

    pub(super) async fn resume(&self) -> Result<(), Error> {
        control::call::<Value>(self.control, Method::POST, "/resume", "").await.map(drop)
    }

    /// Stops it and returns its last report.
    pub(super) async fn finish(mut self) -> Result<load::Report, Error> {
        const IN_FLIGHT: Duration = Duration::from_secs(40);
        control::call::<Value>(self.control, Method::POST, "/stop", "").await?;
        self.process.ended(IN_FLIGHT).await?;
        self.last_report()
    }

    /// The report it printed when it ended.
    pub(super) fn last_report(&self) -> Result<load::Report, Error> {
        let output = std::fs::read_to_string(&self.log).map_err(Error::io(self.log.display().to_string()))?;
        let report = output.lines().find(|line| line.starts_with('{')).unwrap_or_default();
        serde_json::from_str(report).map_err(|error| Error::Invalid(format!("loadgen's report: {error}")))
    }
}
