//! The configuration that runs, and how another one takes its place: all of it, or none of it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use metrics::{Counter, Gauge};
use serde_json::json;
use sluice_config::service::{Encoding, LogLevel};
use sluice_config::{Diagnostic, Severity};
use sluice_pipeline::telemetry::Telemetry;
use tokio::sync::oneshot;

use crate::diff::{Change, Diff};
use crate::exposition::Endpoints;
use crate::exposure;
use crate::graph::{Graph, Patience, Surroundings};
use crate::live::Live;
use crate::plan::{Loaded, Plan};

/// Somebody asks for a reload by the admin API.
pub struct Ask {
    /// Only say what it would change.
    pub dry_run: bool,
    pub tell: oneshot::Sender<Reloaded>,
}

/// What a reload came to.
pub enum Reloaded {
    Applied(Diff),
    /// Nothing was changed; this would.
    Planned(Diff),
    Refused {
        error: String,
        findings: Vec<Diagnostic>,
    },
}

impl Reloaded {
    /// As JSON (experience §9).
    pub fn shown(&self) -> serde_json::Value {
        let (result, diff) = match self {
            Reloaded::Applied(diff) => ("applied", diff),
            Reloaded::Planned(diff) => ("planned", diff),
            Reloaded::Refused { error, findings } => {
                let findings: Vec<_> = findings.iter().map(sluice_config::render::json).collect();
                return json!({"result": "refused", "error": error, "changes": [], "diagnostics": findings});
            }
        };
        let kinds = [
            ("receiver", &diff.receivers),
            ("processor", &diff.processors),
            ("exporter", &diff.exporters),
            ("connector", &diff.connectors),
            ("extension", &diff.extensions),
        ];
        let changes = kinds.iter().flat_map(|(kind, changes)| {
            changes
                .iter()
                .map(move |(id, change)| json!({"id": format!("{kind}/{}", id.as_str()), "action": change.name()}))
        });
        json!({"result": result, "changes": changes.collect::<Vec<_>>(), "diagnostics": []})
    }
}

/// A configuration that cannot be used, and what was found in it.
struct Unusable {
    error: anyhow::Error,
    findings: Vec<Diagnostic>,
}

impl From<anyhow::Error> for Unusable {
    fn from(error: anyhow::Error) -> Self {
        Unusable { error, findings: Vec::new() }
    }
}

/// Reads the configuration sources that the command line names.
pub type Load = Arc<dyn Fn() -> Loaded + Send + Sync>;

/// All that a configuration describes, at work.
pub struct Collector {
    pub graph: Graph,
    pub endpoints: Endpoints,
    around: Surroundings,
    live: Live,
    load: Load,
    outcomes: Outcomes,
    exposure: exposure::Watch,
    /// As the process was started with.
    logs: (LogLevel, Encoding),
}

impl Collector {
    /// Starts from a plan.
    ///
    /// # Errors
    /// What a component or an endpoint says that cannot start.
    pub async fn start(plan: Plan, load: Load, around: Surroundings, live: Live) -> anyhow::Result<Self> {
        let mut collector = Collector {
            graph: Graph::new(&around)?,
            endpoints: Endpoints::new(around.telemetry.clone()),
            live,
            load,
            outcomes: Outcomes::new(&around.telemetry),
            exposure: exposure::Watch::new(&around.telemetry),
            logs: logs(&plan),
            around,
        };
        let (_never, patient) = tokio::sync::watch::channel(false);
        collector.apply(plan, &Patience::new(patient)).await?;
        collector.outcomes.running();
        Ok(collector)
    }

    /// Reads the configuration again and puts it into practice. If it cannot be, everything goes on as before.
    pub async fn reload(&mut self, patience: Patience) -> Reloaded {
        match self.try_reload(&patience).await {
            Ok(diff) => {
                self.outcomes.succeeded();
                tracing::info!(
                    kept = diff.count(Change::Keep),
                    replaced = diff.count(Change::Replace),
                    added = diff.count(Change::Add),
                    removed = diff.count(Change::Remove),
                    "Configuration reloaded"
                );
                Reloaded::Applied(diff)
            }
            Err(Unusable { error, findings }) => {
                self.outcomes.failed();
                let error = format!("{error:#}");
                tracing::error!(error = %error, "Configuration not reloaded: the one before goes on");
                Reloaded::Refused { error, findings }
            }
        }
    }

    /// Reads the configuration again, and says what it would change.
    pub async fn preview(&self) -> Reloaded {
        match self.read().await {
            Ok(plan) => Reloaded::Planned(self.graph.diff(&plan)),
            Err(Unusable { error, findings }) => Reloaded::Refused { error: format!("{error:#}"), findings },
        }
    }

    async fn try_reload(&mut self, patience: &Patience) -> Result<Diff, Unusable> {
        let plan = self.read().await?;
        if logs(&plan) != self.logs {
            tracing::warn!("`service::telemetry::logs` has changed: that needs a restart");
        }
        Ok(self.apply(plan, patience).await?)
    }

    async fn read(&self) -> Result<Plan, Unusable> {
        let load = Arc::clone(&self.load);
        // Files are read and patterns compiled there.
        let loaded = tokio::task::spawn_blocking(move || load()).await.context("loading the configuration")?;
        loaded.findings.iter().for_each(log);
        let errors = loaded.findings.iter().filter(|found| found.is_error()).count();
        let unusable = || anyhow!("invalid configuration: {errors} errors");
        loaded.plan.ok_or_else(|| Unusable { error: unusable(), findings: loaded.findings })
    }

    async fn apply(&mut self, mut plan: Plan, patience: &Patience) -> anyhow::Result<Diff> {
        let endpoints = self.endpoints.bind(&plan.service.telemetry.metrics).await?;
        let ports = std::mem::take(&mut plan.ports);
        let diff = self.graph.load(plan, &self.around, patience).await?;
        self.exposure.see(&ports);
        self.endpoints.swap(endpoints).await;
        self.live.runs(self.graph.shown());
        Ok(diff)
    }
}

/// What the process's log is set to.
fn logs(plan: &Plan) -> (LogLevel, Encoding) {
    let logs = &plan.service.telemetry.logs;
    (logs.level, logs.encoding)
}

/// A finding in the log, with the place it is about.
fn log(found: &Diagnostic) {
    let at = found.origin.as_ref().map(ToString::to_string).unwrap_or_default();
    let (code, message) = (found.code, &found.message);
    match found.severity {
        Severity::Error => tracing::error!(code, at, "{message}"),
        Severity::Warning => tracing::warn!(code, at, "{message}"),
        Severity::Note => tracing::info!(code, at, "{message}"),
    }
}

/// What reloads came to, as metrics.
struct Outcomes {
    success: Gauge,
    timestamp: Gauge,
    succeeded: Counter,
    failed: Counter,
}

impl Outcomes {
    fn new(telemetry: &Telemetry) -> Self {
        let (success, timestamp) = ("sluice_config_last_reload_success", "sluice_config_last_reload_timestamp_seconds");
        let reloads = "sluice_config_reloads_total";
        telemetry.describe(success, None, "1 if the configuration that was read last runs, 0 if it could not be used.");
        telemetry.describe(timestamp, None, "When the configuration that runs was put into practice.");
        telemetry.describe(reloads, None, "Reloads, by what they came to.");
        Outcomes {
            success: telemetry.gauge(success, &[]),
            timestamp: telemetry.gauge(timestamp, &[]),
            succeeded: telemetry.counter(reloads, &[("result", "success")]),
            failed: telemetry.counter(reloads, &[("result", "failure")]),
        }
    }

    fn running(&self) {
        self.success.set(1.0);
        self.timestamp.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    }

    fn succeeded(&self) {
        self.running();
        self.succeeded.increment(1);
    }

    fn failed(&self) {
        self.success.set(0.0);
        self.failed.increment(1);
    }
}
