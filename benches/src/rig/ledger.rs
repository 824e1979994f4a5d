//! The loss ledger of Sluice, read from its own metrics while it runs, and added up again here.

use crate::Error;
use crate::control;
use http::Method;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two snapshots.
const PAUSE: Duration = Duration::from_millis(50);

/// The terms of one account's equation: `entered + created = left + dropped + parked + held`.
pub(super) type Terms = BTreeMap<String, i64>;

/// One scrape.
#[derive(Debug, Default, Clone, Serialize)]
pub(super) struct Snapshot {
    /// By scope, summed over signals.
    pub(super) accounts: BTreeMap<String, Terms>,
    /// `sluice_items_dropped_total`, by component and reason.
    pub(super) dropped: BTreeMap<String, i64>,
    /// Bytes that the quota of each destination is charged with.
    pub(super) held_bytes: BTreeMap<String, i64>,
    /// The largest `sluice_conservation_error` by magnitude.
    conservation_error: i64,
}

/// What all snapshots of a run had in common.
#[derive(Debug, Default, Clone, Serialize)]
pub(super) struct Watched {
    pub(super) snapshots: u64,
    /// Largest difference between the sides of any account's equation, added up here, and where it was.
    pub(super) max_imbalance: i64,
    pub(super) imbalance_at: String,
    /// Largest difference that Sluice itself reported.
    pub(super) max_reported: i64,
    /// Largest number of items that a pipeline had appended and a destination behind it had not been given.
    pub(super) max_unrouted: i64,
    /// Most that any one destination was charged with.
    pub(super) max_held_bytes: i64,
    pub(super) last: Snapshot,
}

impl Snapshot {
    fn parse(text: &str) -> Self {
        let mut snapshot = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Some((name, labels)) = series.split_once('{') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let value = value as i64;
            let label = |key: &str| {
                let after = labels.split_once(&format!("{key}=\""))?.1;
                after.split_once('"').map(|(value, _)| value.to_owned())
            };
            match name {
                "sluice_ledger_items" => {
                    if let (Some(scope), Some(term)) = (label("scope"), label("term")) {
                        *snapshot.accounts.entry(scope).or_default().entry(term).or_default() += value;
                    }
                }
                "sluice_conservation_error" => {
                    snapshot.conservation_error = snapshot.conservation_error.max(value.abs());
                }
                "sluice_items_dropped_total" => {
                    if let (Some(component), Some(reason)) = (label("component"), label("reason")) {
                        *snapshot.dropped.entry(format!("{component}: {reason}")).or_default() += value;
                    }
                }
                "sluice_destination_held_bytes" => {
                    if let Some(exporter) = label("exporter") {
                        snapshot.held_bytes.insert(exporter, value);
                    }
                }
                _ => {}
            }
        }
        snapshot
    }

    /// A term of an account; 0 if there is none.
    pub(super) fn term(&self, scope: &str, term: &str) -> i64 {
        self.accounts.get(scope).and_then(|terms| terms.get(term)).copied().unwrap_or_default()
    }

    /// Items dropped at a destination.
    pub(super) fn dropped_at(&self, destination: &str) -> i64 {
        self.term(&format!("destination/{destination}"), "dropped")
    }
}

impl Watched {
    fn add(&mut self, snapshot: Snapshot) {
        self.snapshots += 1;
        self.max_reported = self.max_reported.max(snapshot.conservation_error);
        let mut appended = 0;
        for (scope, terms) in &snapshot.accounts {
            let sum = |names: &[&str]| names.iter().filter_map(|name| terms.get(*name)).sum::<i64>();
            let imbalance = (sum(&["entered", "created"]) - sum(&["left", "dropped", "parked", "held"])).abs();
            if imbalance > self.max_imbalance {
                (self.max_imbalance, self.imbalance_at) = (imbalance, scope.clone());
            }
            if scope.starts_with("pipeline/") {
                appended += sum(&["left"]);
            }
        }
        // The pipelines' accounts are read first, so what they have appended the destinations have been given by now.
        let destinations = snapshot.accounts.iter().filter(|(scope, _)| scope.starts_with("destination/"));
        let entered = destinations.filter_map(|(_, terms)| terms.get("entered"));
        let unrouted = entered.map(|entered| appended - entered).max().unwrap_or_default();
        self.max_unrouted = self.max_unrouted.max(unrouted);
        let held = snapshot.held_bytes.values().copied().max().unwrap_or_default();
        self.max_held_bytes = self.max_held_bytes.max(held);
        self.last = snapshot;
    }
}

/// Reads the ledger again and again until it is dropped.
#[derive(Debug)]
pub(super) struct LedgerWatch {
    address: SocketAddr,
    watched: Arc<Mutex<Watched>>,
    task: tokio::task::JoinHandle<()>,
}

async fn scrape(address: SocketAddr) -> Result<Snapshot, Error> {
    let text = control::fetch(address, Method::GET, "/metrics", "").await?;
    Ok(Snapshot::parse(&String::from_utf8_lossy(&text)))
}

impl LedgerWatch {
    /// Begins to watch a collector whose metrics are here.
    ///
    /// # Errors
    /// The metrics cannot be read.
    pub(super) async fn start(address: SocketAddr) -> Result<Self, Error> {
        scrape(address).await?;
        let watched = Arc::new(Mutex::new(Watched::default()));
        let shared = Arc::clone(&watched);
        let task = tokio::spawn(async move {
            loop {
                if let Ok(snapshot) = scrape(address).await {
                    shared.lock().unwrap_or_else(PoisonError::into_inner).add(snapshot);
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Ok(Self { address, watched, task })
    }

    /// What was seen so far, with a snapshot that is newer than the call.
    pub(super) async fn now(&self) -> Result<Watched, Error> {
        let snapshot = scrape(self.address).await?;
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.add(snapshot);
        Ok(watched.clone())
    }
}

impl Drop for LedgerWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::{Snapshot, Watched};

    const TEXT: &str = r#"# TYPE sluice_ledger_items gauge
sluice_ledger_items{scope="pipeline/traces",signal="traces",term="entered"} 12
sluice_ledger_items{scope="pipeline/traces",signal="traces",term="left"} 10
sluice_ledger_items{scope="pipeline/traces",signal="traces",term="held"} 2
sluice_ledger_items{scope="destination/otlp/second",signal="traces",term="entered"} 10
sluice_ledger_items{scope="destination/otlp/second",signal="traces",term="left"} 4
sluice_ledger_items{scope="destination/otlp/second",signal="traces",term="dropped"} 3
sluice_ledger_items{scope="destination/otlp/second",signal="traces",term="held"} 3
sluice_items_dropped_total{component="otlp/second",reason="quota_drop_oldest",signal="traces"} 3
sluice_conservation_error{scope="pipeline/traces"} 0
sluice_destination_held_bytes{exporter="otlp/second"} 4096
"#;

    #[test]
    fn a_snapshot_is_added_up() {
        let mut watched = Watched::default();
        let snapshot = Snapshot::parse(TEXT);
        assert_eq!(snapshot.dropped_at("otlp/second"), 3);
        assert_eq!(snapshot.dropped.get("otlp/second: quota_drop_oldest"), Some(&3));
        watched.add(snapshot);
        assert_eq!((watched.max_imbalance, watched.max_reported, watched.max_unrouted), (0, 0, 0));
        assert_eq!(watched.max_held_bytes, 4096);
        watched.add(Snapshot::parse(&TEXT.replace("term=\"dropped\"} 3", "term=\"dropped\"} 1")));
        assert_eq!((watched.max_imbalance, watched.imbalance_at.as_str()), (2, "destination/otlp/second"));
        watched.add(Snapshot::parse(&TEXT.replace("term=\"left\"} 10", "term=\"left\"} 11")));
        assert_eq!((watched.snapshots, watched.max_unrouted), (3, 1));
    }
}
