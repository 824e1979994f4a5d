//! All accounts of the process, their snapshot, and the metrics they feed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Counter;
use sluice_pdata::pass::Reason;

use super::account::{DestinationAccount, PipelineAccount, StageAccount, Tally};
use super::reasons;
use crate::Signal;
use crate::context::Tenant;
use crate::telemetry::Telemetry;

/// Tenants that have a label of their own; later ones are `other`.
const TENANT_LABELS: usize = 100;

/// The reason shown for one that nobody registered: a bug of ours, and an error in any test.
const UNREGISTERED: Reason = "unregistered";

/// The accounts of the process. Accounts are made once per id and live as long as the process, so a reload goes on counting.
#[derive(Clone)]
pub struct Ledger(Arc<Book>);

struct Book {
    telemetry: Telemetry,
    drops: Drops,
    accounts: Mutex<Accounts>,
}

#[derive(Default)]
struct Accounts {
    pipelines: BTreeMap<Arc<str>, Arc<PipelineAccount>>,
    stages: BTreeMap<Arc<str>, Arc<StageAccount>>,
    destinations: BTreeMap<Arc<str>, Arc<DestinationAccount>>,
}

/// One account at one instant. Every number counts items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSnapshot {
    /// `pipeline/<id>`, `stage/<id>` or `destination/<id>`.
    pub scope: String,
    /// Admitted, consumed, or restored and routed.
    pub entered: Tally,
    pub created: Tally,
    /// Appended, emitted or delivered.
    pub left: Tally,
    /// By component and reason.
    pub dropped: Vec<(Arc<str>, Reason, Tally)>,
    /// In the dead letters.
    pub parked: Tally,
    /// In the pass, held back, or backlog.
    pub held: Tally,
    /// What entered and was created, minus where it is. Zero, always.
    pub error: i64,
}

/// All accounts; each is consistent in itself.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub accounts: Vec<AccountSnapshot>,
}

impl Snapshot {
    /// Accounts that do not balance.
    pub fn errors(&self) -> impl Iterator<Item = &AccountSnapshot> {
        self.accounts.iter().filter(|account| account.error != 0)
    }

    /// The account of a scope.
    pub fn get(&self, scope: &str) -> Option<&AccountSnapshot> {
        self.accounts.iter().find(|account| account.scope == scope)
    }
}

/// Left minus right, summed over the signals by magnitude so that two errors cannot cancel out.
pub(super) fn error(sides: impl Fn(usize) -> (u64, u64)) -> i64 {
    let differences = (0..3).map(|signal| {
        let (left, right) = sides(signal);
        left as i64 - right as i64
    });
    let differences: Vec<i64> = differences.collect();
    let sum: i64 = differences.iter().sum();
    if sum != 0 { sum } else { differences.iter().map(|difference| difference.abs()).sum() }
}

impl Ledger {
    /// A ledger that knows the core reasons and those of the components.
    pub fn new(telemetry: &Telemetry, further: impl IntoIterator<Item = Reason>) -> Self {
        telemetry.describe("sluice_items_admitted_total", None, "Items of requests that a pipeline accepted.");
        telemetry.describe("sluice_items_appended_total", None, "Items that left a pipeline's steps and were kept.");
        telemetry.describe("sluice_items_delivered_total", None, "Items a destination has confirmed.");
        telemetry.describe("sluice_items_dropped_total", None, "Items that are gone, by component and reason.");
        super::publish::describe(telemetry);
        let mut known: Vec<Reason> = reasons::CORE.to_vec();
        known.extend(further);
        known.push(UNREGISTERED);
        known.sort_unstable();
        known.dedup();
        let drops = Drops(Arc::new(DropMetrics {
            telemetry: telemetry.clone(),
            known,
            tenants: Mutex::default(),
            counters: Mutex::default(),
        }));
        Ledger(Arc::new(Book { telemetry: telemetry.clone(), drops, accounts: Mutex::default() }))
    }

    /// The account of a pipeline, or of the steps behind a stage.
    pub fn pipeline(&self, id: &str) -> Arc<PipelineAccount> {
        let counters = |name| self.counters(name, "pipeline", id);
        let make = || {
            let (admitted, appended) = ("sluice_items_admitted_total", "sluice_items_appended_total");
            Arc::new(PipelineAccount::new(id, counters(admitted), counters(appended), self.0.drops.clone()))
        };
        Arc::clone(self.accounts().pipelines.entry(id.into()).or_insert_with(make))
    }

    /// The account of a stage or connector.
    pub fn stage(&self, id: &str) -> Arc<StageAccount> {
        self.stage_of(id, id)
    }

    /// The account of one of several instances of a component, whose drops are counted under the component's id.
    pub fn stage_of(&self, id: &str, component: &str) -> Arc<StageAccount> {
        let make = || Arc::new(StageAccount::new(id, component, self.0.drops.clone()));
        Arc::clone(self.accounts().stages.entry(id.into()).or_insert_with(make))
    }

    /// The account of a destination.
    pub fn destination(&self, id: &str) -> Arc<DestinationAccount> {
        let make = || {
            let delivered = self.counters("sluice_items_delivered_total", "exporter", id);
            Arc::new(DestinationAccount::new(id, delivered, self.0.drops.clone()))
        };
        Arc::clone(self.accounts().destinations.entry(id.into()).or_insert_with(make))
    }

    /// All accounts as they are now.
    pub fn snapshot(&self) -> Snapshot {
        let accounts = self.accounts();
        let mut all: Vec<AccountSnapshot> = accounts.pipelines.values().map(|account| account.snapshot()).collect();
        all.extend(accounts.stages.values().map(|account| account.snapshot()));
        all.extend(accounts.destinations.values().map(|account| account.snapshot()));
        Snapshot { accounts: all }
    }

    /// All accounts as they are now; logs every one that does not balance. To be called every 10 s (delivery §10).
    pub fn check(&self) -> Snapshot {
        let snapshot = self.snapshot();
        for account in snapshot.errors() {
            tracing::error!(scope = account.scope, items = account.error, "ledger does not balance");
        }
        snapshot
    }

    /// Checks, and sets `sluice_conservation_error` and `sluice_ledger_items` to what it found. To be called before each
    /// scrape and by nobody else, so that all terms of an account that a scrape shows are of one instant.
    pub fn publish(&self) {
        super::publish::publish(&self.0.telemetry, &self.check());
    }

    fn counters(&self, name: &str, label: &str, id: &str) -> [Counter; 3] {
        Signal::ALL.map(|signal| self.0.telemetry.counter(name, &[(label, id), ("signal", signal.name())]))
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts drops under their labels. Clones share everything.
#[derive(Clone)]
pub(super) struct Drops(Arc<DropMetrics>);

/// Component, reason, signal, tenant.
type DropKey = (Arc<str>, Reason, Signal, Tenant);

struct DropMetrics {
    telemetry: Telemetry,
    known: Vec<Reason>,
    tenants: Mutex<Vec<Tenant>>,
    counters: Mutex<BTreeMap<DropKey, Counter>>,
}

impl Drops {
    /// The reason, if it is on the list.
    pub(super) fn registered(&self, reason: Reason) -> Reason {
        if self.0.known.binary_search(&reason).is_ok() {
            return reason;
        }
        tracing::error!(reason, "drop reason is not registered");
        UNREGISTERED
    }

    /// Counts `sluice_items_dropped_total`.
    pub(super) fn count(&self, component: &Arc<str>, reason: Reason, signal: Signal, tenant: &Tenant, items: usize) {
        let reason = self.registered(reason);
        let tenant = self.labelled(tenant);
        let key = (Arc::clone(component), reason, signal, tenant);
        let mut counters = self.0.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = counters.entry(key).or_insert_with_key(|(component, reason, signal, tenant)| {
            let labels =
                [("component", &**component), ("reason", reason), ("signal", signal.name()), ("tenant", tenant.name())];
            let labels = if tenant.name().is_empty() { &labels[..3] } else { &labels[..] };
            self.0.telemetry.counter("sluice_items_dropped_total", labels)
        });
        counter.increment(items as u64);
    }

    /// The tenant as a label: the first hundred under their names.
    fn labelled(&self, tenant: &Tenant) -> Tenant {
        if tenant.name().is_empty() {
            return tenant.clone();
        }
        let mut tenants = self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.contains(tenant) {
            tenant.clone()
        } else if tenants.len() < TENANT_LABELS {
            tenants.push(tenant.clone());
            tenant.clone()
        } else {
            Tenant::new("other")
        }
    }
}
