//! A scenario is a folder: `scenario.yaml` says what is measured, beside it lie the collectors' configs.

use crate::Error;
use crate::client::Protocol;
use crate::encoding::Encoding;
use crate::signal::Signal;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is measured, with which load, against which collectors.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name of the folder.
    #[serde(skip)]
    pub name: String,
    #[serde(skip)]
    pub folder: PathBuf,
    /// One line for the table.
    pub measures: String,
    #[serde(default)]
    pub kind: Kind,
    /// What the CPU time is divided by.
    #[serde(default)]
    pub unit: Unit,
    #[serde(default)]
    pub load: LoadSpec,
    /// Whether the configured collectors drop the share of the items that the drop condition meets.
    #[serde(default)]
    pub drops: bool,
    /// Whether the configured collectors keep a share of the traces and hold them back before: what arrives is compared between
    /// them, not with what was sent.
    #[serde(default)]
    pub samples: bool,
    /// Whether the collectors run side by side on their core and get the load in short turns: what neighbours do to the machine
    /// for seconds is then done to all of them alike. Otherwise one runs after the other.
    #[serde(default)]
    pub in_turns: bool,
    /// Whether the configured collectors mask e-mail addresses.
    #[serde(default)]
    pub masks: bool,
    /// In the order of the table.
    pub candidates: Vec<CandidateSpec>,
    /// What Sluice's CPU time per item may be at most, as a multiple of the named candidate's.
    #[serde(default)]
    pub budget: BTreeMap<String, f64>,
    /// How much later than the named candidate Sluice may answer, in milliseconds at the 99th percentile.
    #[serde(default)]
    pub answer_budget_ms: BTreeMap<String, f64>,
    /// What happens in a fan-out scenario.
    #[serde(default)]
    pub fanout: Fanout,
    /// What happens in an overload scenario.
    #[serde(default)]
    pub overload: Overload,
    /// It takes too long for a smoke run, which leaves it out unless it is named.
    #[serde(default)]
    pub by_hand: bool,
}

/// The course of a fan-out scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fanout {
    /// How the second backend fails: a mode of the sink.
    pub outage: String,
    /// What the config says of the second backend's quota. Without it the quota is never reached.
    pub quota: Option<Quota>,
    /// How often the outage is repeated within a run.
    pub cycles: u32,
    /// How many there are, the failing one among them.
    pub backends: usize,
    /// What is kept for the failing backend is on disk, and costs next to no memory.
    pub durable: bool,
    /// A second collector runs beside the first, and none of its backends fails. The two get the load in turns, so that what
    /// neighbours do to the machine is done to both.
    pub beside: bool,
}

impl Default for Fanout {
    fn default() -> Self {
        Self { outage: "fail".into(), quota: None, cycles: 1, backends: 2, durable: false, beside: false }
    }
}

/// The course of an overload scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overload {
    /// Items a second that the backend can take.
    pub backend_rate: u32,
    /// How many times the capacity is offered.
    pub factor: f64,
    /// Limit of the control group, in MiB.
    pub group_mib: u64,
    /// Resident memory that is never to be exceeded, in MiB.
    pub rss_mib: f64,
}

impl Default for Overload {
    fn default() -> Self {
        Self { backend_rate: 20_000, factor: 3.0, group_mib: 256, rss_mib: 200.0 }
    }
}

/// `on_quota` of the second backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quota {
    Reject,
    DropOldest,
}

/// The course of a scenario.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// CPU time per item under load.
    #[default]
    Throughput,
    /// Start time, idle memory and binary size.
    Footprint,
    /// Two backends or more, the second of which fails for a while.
    Fanout,
    /// More is offered than the backend can take.
    Overload,
}

/// What the CPU time is divided by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Spans, log records or data points that the collector accepted.
    #[default]
    Item,
    /// Prometheus samples that arrived at the sink.
    Sample,
}

/// What the generator sends.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadSpec {
    pub signal: Signal,
    pub items: u32,
    /// Items a second; none is saturated.
    pub rate: Option<f64>,
    pub compression: Encoding,
    pub protocol: Protocol,
    /// gRPC connections; 4 unless written.
    pub connections: Option<u32>,
    /// Items of a trace; without it each has one of its own.
    pub trace_items: Option<u32>,
    /// A second generator sends as much of this signal, beginning a little later, with the same trace and span ids; needs
    /// `trace_items`. The items of both count.
    pub with: Option<Signal>,
}

impl Default for LoadSpec {
    fn default() -> Self {
        let (compression, protocol) = (Encoding::None, Protocol::Grpc);
        Self {
            signal: Signal::Traces,
            items: 1000,
            rate: None,
            compression,
            protocol,
            connections: None,
            trace_items: None,
            with: None,
        }
    }
}

/// A collector under test, and what of the scenario is different for it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidateSpec {
    /// The row's name.
    pub name: String,
    /// Which program it is.
    pub program: Program,
    /// Config file in the scenario's folder.
    #[serde(default)]
    pub config: Option<String>,
    /// Further arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Path of its OTLP/HTTP receiver, if it is not the usual one.
    #[serde(default)]
    pub http_path: Option<String>,
    /// It forwards everything untouched, whatever the scenario drops or masks.
    #[serde(default)]
    pub passes_all: bool,
}

/// A program the rig can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    Relay,
    Sluice,
    Otelcol,
    /// With tail sampling; installed when asked for.
    #[serde(rename = "otelcol-sampling")]
    OtelcolSampling,
    Vmagent,
    Prometheus,
}

impl Scenario {
    /// Reads the named scenarios, or every folder with a `scenario.yaml`, in the order of their names.
    pub fn load_all(root: &Path, names: &[String]) -> Result<Vec<Self>, Error> {
        let mut found = names.to_vec();
        if found.is_empty() {
            let entries = std::fs::read_dir(root).map_err(Error::io(root.display().to_string()))?;
            let folders = entries.flatten().filter(|entry| entry.path().join("scenario.yaml").exists());
            found = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            found.sort();
        }
        found.into_iter().map(|name| Self::load(root, name)).collect()
    }

    fn load(root: &Path, name: String) -> Result<Self, Error> {
        let folder = root.join(&name);
        let file = folder.join("scenario.yaml");
        let text = std::fs::read_to_string(&file).map_err(Error::io(file.display().to_string()))?;
        let scenario: Self =
            serde_saphyr::from_str(&text).map_err(|error| Error::Invalid(format!("{}: {error}", file.display())))?;
        Ok(Self { name, folder, ..scenario })
    }
}

#[cfg(test)]
mod tests {
    use super::Scenario;
    use std::path::Path;

    #[test]
    fn every_scenario_of_the_tree_is_whole() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let scenarios = Scenario::load_all(&root, &[]).unwrap();
        assert!(!scenarios.is_empty());
        for scenario in scenarios {
            for candidate in &scenario.candidates {
                if let Some(config) = &candidate.config {
                    assert!(scenario.folder.join(config).exists(), "{}: no {config}", scenario.name);
                }
            }
            for name in scenario.budget.keys().chain(scenario.answer_budget_ms.keys()) {
                assert!(
                    scenario.candidates.iter().any(|candidate| candidate.name == *name),
                    "{}: {name}",
                    scenario.name
                );
            }
        }
    }
}
