//! `sluice run`: from a plan to a running graph, and to its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::clock::{Clock, SystemClock};
use sluice_pipeline::gates::FeatureGates;
use sluice_pipeline::ledger::Ledger;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::telemetry::{ProcFs, ProcessMetrics, Telemetry};
use sluice_pipeline::verdict::VerdictBoard;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::admin::{Address, Admin};
use crate::failed_start::FailedStart;
use crate::graph::{Patience, Surroundings};
use crate::live::Live;
use crate::plan::Plan;
use crate::reload::{Ask, Collector, Load};
use crate::state;

/// In-flight requests have this long at shutdown (delivery §8).
const INTAKE_GRACE: Duration = Duration::from_secs(2);
/// In memory mode, what is kept has this long to be delivered: the whole stop takes 6 s at most (delivery §8).
const DRAIN: Duration = Duration::from_millis(3500);
/// How often the ledger is added up, whether anybody looks or not (delivery §10).
const AUDIT: Duration = Duration::from_secs(10);
/// How long memory that a burst left behind is kept at most, about.
const TIDY: Duration = Duration::from_secs(2);
/// Until the graph sets the budget from what it may use.
const FIRST_BUDGET: u64 = 64 << 20;

/// What the command line says of the process.
#[derive(Default)]
pub struct Options {
    pub admin: Address,
    pub data_dir: Option<PathBuf>,
    /// Feature gates that are on.
    pub gates: FeatureGates,
}

/// Runs until SIGTERM or SIGINT. SIGHUP makes it read its configuration again.
pub async fn run(plan: Plan, load: Load, options: Options) -> anyhow::Result<()> {
    // Listening for signals comes first: one that arrives during the start must not kill the process half-way.
    let mut end = EndSignals::new()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    tracing::info!(Version = env!("CARGO_PKG_VERSION"), NumCPU = cpus as u64, "Starting sluice...");

    let telemetry = Telemetry::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    ProcessMetrics::install(&telemetry, Arc::new(ProcFs::default()), Arc::clone(&clock));
    let around = Surroundings {
        ledger: Ledger::new(&telemetry, crate::catalog::registries().reasons()),
        memory: MemBudget::new(FIRST_BUDGET, Arc::clone(&clock)),
        rng: Arc::new(SplitMix::from_entropy()),
        telemetry: telemetry.clone(),
        clock,
        verdicts: VerdictBoard::default(),
        gates: options.gates.clone(),
        data_dir: options.data_dir.as_deref().map(Arc::from),
    };
    around.memory.publish(&telemetry);
    let ledger = around.ledger.clone();
    telemetry.on_scrape(move || ledger.publish());
    let audit = tokio::spawn(audit(around.ledger.clone(), Arc::clone(&around.clock)));
    let (live, (ask, mut asked)) = (Live::starting(), mpsc::channel(1));
    if let Some(directory) = &options.data_dir {
        state::open(Some(directory)).map_err(|error| {
            FailedStart::coded("E0703", directory.display().to_string(), format!("--data-dir: {error:#}"))
        })?;
    }
    let admin = Admin::start(options.admin, options.data_dir.as_deref(), &around, &live, ask).await?;
    let mut collector = Collector::start(plan, load, around.clone(), live.clone()).await?;
    let tidy = tokio::spawn(tidy(Arc::clone(&around.clock)));
    tracing::info!("Everything is ready. Begin running and processing data.");

    let name = loop {
        let ask = tokio::select! {
            name = end.received() => break name,
            _ = hangup.recv() => {
                tracing::info!("Received signal from OS: reading the configuration again");
                None
            }
            Some(ask) = asked.recv() => {
                tracing::info!(dry_run = ask.dry_run, "Asked by the admin API: reading the configuration again");
                Some(ask)
            }
        };
        if let Some(Ask { dry_run: true, tell }) = ask {
            // Who asked may have stopped waiting.
            let _ = tell.send(collector.preview().await);
            continue;
        }
        // To its end, or there would be two halves of a graph; but without waiting for others if the process is to end.
        let (hurry, patience) = watch::channel(false);
        let reload = collector.reload(Patience::new(patience));
        tokio::pin!(reload);
        tokio::select! {
            reloaded = &mut reload => {
                let _ = ask.map(|ask| ask.tell.send(reloaded));
                continue;
            }
            name = end.received() => {
                hurry.send_replace(true);
                reload.await;
                break name;
            }
        }
    };
    tracing::info!(signal = name, "Received signal from OS");
    tracing::info!("Starting shutdown...");
    live.stops();
    let Collector { graph, endpoints, .. } = collector;
    tokio::select! {
        () = graph.stop(INTAKE_GRACE, DRAIN) => {}
        _ = end.received() => tracing::warn!("second signal: stopping at once"),
    }
    audit.abort();
    tidy.abort();
    around.ledger.check();
    live.ended();
    endpoints.stop().await;
    admin.stop().await;
    tracing::info!("Shutdown complete.");
    Ok(())
}

struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    fn new() -> std::io::Result<Self> {
        Ok(EndSignals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Until the process is to end: what the signal is called.
    async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "terminated",
            _ = self.interrupt.recv() => "interrupt",
        }
    }
}

/// Logs an error whenever the ledger does not balance.
async fn audit(ledger: Ledger, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep(AUDIT).await;
        ledger.check();
    }
}

/// Lets the allocator give back what a burst left behind. It does so one second after memory was freed, but only when it next
/// frees a page: without traffic, never.
async fn tidy(clock: Arc<dyn Clock>) {
    /// More than fits into a page that is shared with other allocations.
    const PAGE: usize = 1 << 20;
    loop {
        clock.sleep(TIDY).await;
        drop(std::hint::black_box(Vec::<u8>::with_capacity(PAGE)));
    }
}
