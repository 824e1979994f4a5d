//! What the journal tells, put into the ledger, the log and the waiting tasks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::Histogram;
use sluice_journal::dlq::Gone;
use sluice_journal::observer::{DropReason, Event, Moved, Observer};
use sluice_journal::{Dest, Items, Journal, Tally};
use sluice_pdata::pass::Reason;
use tokio::sync::Notify;
use xxhash_rust::xxh3::xxh3_64;

use super::other;
use crate::Signal;
use crate::context::Tenant;
use crate::ledger::{DestinationAccount, Ledger, reasons};
use crate::spine::{Completion, Confirmations, Destination, NOTES};
use crate::telemetry::Telemetry;

/// Tenants whose names are remembered for the counts of their drops.
const TENANTS: usize = 10_000;

/// The ledger's accounts by destination, and who waits.
pub(super) struct Books {
    ledger: Ledger,
    accounts: Mutex<HashMap<u8, Account>>,
    tenants: Mutex<HashMap<u32, Tenant>>,
    readable: Vec<Arc<Notify>>,
    released: Arc<Notify>,
    pub(super) confirmations: Confirmations,
    requests: AtomicU64,
    /// Held while a dead letter is sent again or dropped.
    pub(super) letters: Mutex<()>,
    commit_seconds: Histogram,
    commit_records: Histogram,
}

struct Account {
    name: Arc<str>,
    account: Arc<DestinationAccount>,
}

/// The signals that there are.
pub(super) fn by_signal(items: &Items) -> [u64; 3] {
    [items[0], items[1], items[2]]
}

pub(super) fn signal(index: u8) -> Signal {
    Signal::ALL.into_iter().find(|signal| *signal as u8 == index).unwrap_or(Signal::Traces)
}

impl Books {
    /// `journal` is its name, for its metrics.
    pub(super) fn new(ledger: Ledger, journal: &str, telemetry: &Telemetry) -> Self {
        Books {
            ledger,
            accounts: Mutex::default(),
            tenants: Mutex::default(),
            readable: (0..=u8::MAX).map(|_| Arc::default()).collect(),
            released: Arc::default(),
            confirmations: Confirmations::default(),
            requests: AtomicU64::new(1),
            letters: Mutex::default(),
            commit_seconds: telemetry.histogram("sluice_journal_commit_seconds", &[("journal", journal)]),
            commit_records: telemetry.histogram("sluice_journal_commit_records", &[("journal", journal)]),
        }
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<u8, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens an account for every destination that has none under its name. Notes are no telemetry, and have none.
    pub(super) fn attach(&self, journal: &Journal) {
        for (dest, name, _) in journal.destinations().into_iter().filter(|(_, name, _)| !name.ends_with(NOTES)) {
            self.account(dest.0, &name);
        }
    }

    /// Counts the dead letters that are there at the start. To be called before anything can change them.
    ///
    /// # Errors
    /// I/O.
    pub(super) fn restore_letters(&self, journal: &Journal) -> Result<(), sluice_journal::Error> {
        for name in journal.dead_letter_names()? {
            let items = by_signal(&journal.letters(&name)?.items());
            let account = self.ledger.destination(&name);
            Signal::ALL
                .into_iter()
                .for_each(|signal| account.restored_letters(signal, items[signal as usize] as usize));
        }
        Ok(())
    }

    fn account(&self, index: u8, name: &str) -> Arc<DestinationAccount> {
        let mut accounts = self.accounts();
        match accounts.get(&index).filter(|account| &*account.name == name) {
            Some(known) => Arc::clone(&known.account),
            None => {
                let account = self.ledger.destination(name);
                accounts.insert(index, Account { name: name.into(), account: Arc::clone(&account) });
                account
            }
        }
    }

    /// The account of a destination that may be gone.
    pub(super) fn of_name(&self, name: &str) -> Arc<DestinationAccount> {
        self.ledger.destination(name)
    }

    fn of(&self, index: u8) -> Option<Arc<DestinationAccount>> {
        self.accounts().get(&index).map(|account| Arc::clone(&account.account))
    }

    pub(super) fn name(&self, destination: Destination) -> Option<Arc<str>> {
        self.accounts().get(&destination.0).map(|account| Arc::clone(&account.name))
    }

    pub(super) fn readable_of(&self, destination: Destination) -> Arc<Notify> {
        Arc::clone(&self.readable[usize::from(destination.0)])
    }

    pub(super) fn released_of(&self) -> Arc<Notify> {
        Arc::clone(&self.released)
    }

    pub(super) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// What stands for a tenant in a record header.
    pub(super) fn tenant_hash(&self, tenant: &Tenant) -> u32 {
        let hash = xxh3_64(tenant.name().as_bytes()) as u32;
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() < TENANTS && !tenants.contains_key(&hash) {
            tenants.insert(hash, tenant.clone());
        }
        hash
    }

    fn tenant(&self, hash: u32) -> Tenant {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.get(&hash).cloned().unwrap_or_else(other)
    }

    pub(super) fn completed(&self, destination: Destination, moved: Moved, completion: &Completion, backlog: &Items) {
        if let Some(account) = self.of(destination.0) {
            account.completed(signal(moved.signal), &self.tenant(moved.tenant), completion, by_signal(backlog));
        }
    }

    /// A dead letter went that nobody has read.
    pub(super) fn lost_letter(&self, name: &str, gone: Gone, reason: Reason) {
        let account = self.ledger.destination(name);
        account.lost_letters(signal(gone.signal), &self.tenant(gone.tenant), reason, gone.items as usize);
    }

    /// A whole backlog was given up.
    pub(super) fn discarded(&self, destination: Destination, dropped: &Tally, reason: Reason) {
        let Some(account) = self.of(destination.0) else { return };
        let mut left = by_signal(&dropped.items);
        for signal in Signal::ALL {
            let items = std::mem::take(&mut left[signal as usize]) as usize;
            if items > 0 {
                account.completed(signal, &other(), &Completion::dropped(reason, items), left);
            }
        }
    }
}

impl Observer for Books {
    fn restored(&self, dest: Dest, name: &str, backlog: &Items) {
        if name.ends_with(NOTES) {
            return;
        }
        let account = self.account(dest.0, name);
        let all = by_signal(backlog);
        let mut so_far = [0; 3];
        for signal in Signal::ALL {
            so_far[signal as usize] = all[signal as usize];
            account.restored(signal, all[signal as usize] as usize, so_far);
        }
    }

    fn routed(&self, dest: Dest, moved: Moved, backlog: &Items) {
        if let Some(account) = self.of(dest.0) {
            account.routed(signal(moved.signal), moved.items as usize, by_signal(backlog));
        }
    }

    fn dropped(&self, dest: Dest, moved: Moved, reason: DropReason, backlog: &Items) {
        let reason = match reason {
            DropReason::Corrupt => reasons::CORRUPT,
            DropReason::QuotaOldest => reasons::QUOTA_DROP_OLDEST,
            DropReason::QuotaNewest => reasons::QUOTA_DROP_NEWEST,
            DropReason::MaxAge => reasons::MAX_AGE,
            DropReason::Detached => reasons::DETACHED_DESTINATION,
        };
        self.completed(Destination(dest.0), moved, &Completion::dropped(reason, moved.items as usize), backlog);
    }

    fn readable(&self, dest: Dest) {
        self.readable[usize::from(dest.0)].notify_waiters();
    }

    fn released(&self) {
        self.released.notify_waiters();
    }

    fn committed(&self, records: usize, _bytes: u64, took: Duration) {
        self.commit_seconds.record(took.as_secs_f64());
        self.commit_records.record(records as f64);
    }

    fn dead_letter_expired(&self, name: &str, gone: Gone) {
        tracing::warn!(destination = name, id = gone.id, items = gone.items, "a dead letter has expired");
        self.lost_letter(name, gone, reasons::DLQ_EXPIRED);
    }

    fn event(&self, event: &Event) {
        match event {
            Event::Corrupt { .. } | Event::CursorReset { .. } | Event::WriteFailed { .. } | Event::DrainOnly { .. } => {
                tracing::error!("journal: {event:?}");
            }
            Event::Resumed | Event::TornTail { .. } => tracing::info!("journal: {event:?}"),
            _ => tracing::warn!("journal: {event:?}"),
        }
    }
}
