//! `sluice run`: from a plan to a running graph, and to its end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use sluice_config::service::MetricsLevel;
use sluice_net::listen::Server;
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::clock::{Clock, SystemClock};
use sluice_pipeline::factory::Registries;
use sluice_pipeline::ledger::Ledger;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::telemetry::{Naming, ProcFs, ProcessMetrics, Telemetry};
use tokio::signal::unix::{SignalKind, signal};

use crate::graph::{Graph, Surroundings};
use crate::plan::Plan;

/// In-flight requests have this long at shutdown (delivery §8).
const INTAKE_GRACE: Duration = Duration::from_secs(2);
/// In memory mode, what is kept has this long to be delivered (delivery §8).
const DRAIN: Duration = Duration::from_secs(5);
/// How often the ledger is added up, whether anybody looks or not (delivery §10).
const AUDIT: Duration = Duration::from_secs(10);
/// How long memory that a burst left behind is kept at most, about.
const TIDY: Duration = Duration::from_secs(2);
/// Until the graph sets the budget from what it may use.
const FIRST_BUDGET: u64 = 64 << 20;

/// Runs until SIGTERM or SIGINT.
pub async fn run(plan: Plan, registries: &Registries) -> anyhow::Result<()> {
    // Listening for signals comes first: one that arrives during the start must not kill the process half-way.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    tracing::info!(Version = env!("CARGO_PKG_VERSION"), NumCPU = cpus as u64, "Starting sluice...");

    let telemetry = Telemetry::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    ProcessMetrics::install(&telemetry, Arc::new(ProcFs::default()), Arc::clone(&clock));
    let around = Surroundings {
        ledger: Ledger::new(&telemetry, registries.reasons()),
        memory: MemBudget::new(FIRST_BUDGET, Arc::clone(&clock)),
        rng: Arc::new(SplitMix::from_entropy()),
        telemetry: telemetry.clone(),
        clock,
    };
    around.memory.publish(&telemetry);
    let ledger = around.ledger.clone();
    telemetry.on_scrape(move || ledger.publish());
    let endpoints = metrics_endpoints(&plan, &telemetry).await?;
    let graph = Graph::start(&plan, &around).await?;
    let audit = tokio::spawn(audit(around.ledger.clone(), Arc::clone(&around.clock)));
    let tidy = tokio::spawn(tidy(Arc::clone(&around.clock)));
    tracing::info!("Everything is ready. Begin running and processing data.");

    let name = tokio::select! {
        _ = terminate.recv() => "terminated",
        _ = interrupt.recv() => "interrupt",
    };
    tracing::info!(signal = name, "Received signal from OS");
    tracing::info!("Starting shutdown...");
    let stopping = graph.stop(INTAKE_GRACE, DRAIN);
    tokio::select! {
        () = stopping => {}
        _ = terminate.recv() => tracing::warn!("second signal: stopping at once"),
        _ = interrupt.recv() => tracing::warn!("second signal: stopping at once"),
    }
    audit.abort();
    tidy.abort();
    around.ledger.check();
    for endpoint in endpoints {
        endpoint.shutdown(Duration::ZERO).await;
    }
    tracing::info!("Shutdown complete.");
    Ok(())
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

async fn metrics_endpoints(plan: &Plan, telemetry: &Telemetry) -> anyhow::Result<Vec<Server>> {
    let metrics = &plan.service.telemetry.metrics;
    if metrics.level == MetricsLevel::None {
        return Ok(Vec::new());
    }
    let mut servers = Vec::new();
    for reader in &metrics.readers {
        let Some(prometheus) = reader.prometheus() else {
            return Err(anyhow!("service::telemetry::metrics::readers: only pull readers are available yet"));
        };
        let naming = Naming {
            without_type_suffix: prometheus.without_type_suffix,
            without_units: prometheus.without_units,
            ..Naming::default()
        };
        let address = format!("{}:{}", prometheus.host, prometheus.port);
        servers.push(crate::exposition::serve(telemetry.clone(), naming, &address).await?);
    }
    Ok(servers)
}
