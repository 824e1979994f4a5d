//! The three kinds of account.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Counter;
use sluice_pdata::pass::Reason;

use super::book::{AccountSnapshot, Drops};
use super::reasons;
use crate::Signal;
use crate::context::Tenant;
use crate::spine::Completion;

/// Items by signal.
pub type Tally = [u64; 3];

/// Sums per reason, by component and signal.
type Dropped = BTreeMap<(Arc<str>, Reason), Tally>;

/// Items lost here: where, why, how many.
pub(super) fn total_of(dropped: &Dropped) -> Tally {
    dropped.values().fold([0; 3], |sum, tally| std::array::from_fn(|signal| sum[signal] + tally[signal]))
}

/// What enters a pipeline, and what its steps make of it.
pub struct PipelineAccount {
    pub(super) id: Arc<str>,
    counts: Mutex<Ingress>,
    admitted: [Counter; 3],
    appended: [Counter; 3],
    drops: Drops,
}

#[derive(Default)]
struct Ingress {
    admitted: Tally,
    created: Tally,
    appended: Tally,
    discarded: Dropped,
    in_pass: Tally,
}

/// Items on their way through a pipeline. Dropping it unsettled means that the request was refused, and counts nothing.
pub struct InPass {
    account: Arc<PipelineAccount>,
    signal: Signal,
    items: u64,
}

impl PipelineAccount {
    pub(super) fn new(id: &str, admitted: [Counter; 3], appended: [Counter; 3], drops: Drops) -> Self {
        PipelineAccount { id: id.into(), counts: Mutex::default(), admitted, appended, drops }
    }

    /// A request begins its pass.
    pub fn enter(self: &Arc<Self>, signal: Signal, items: usize) -> InPass {
        self.lock().in_pass[signal as usize] += items as u64;
        InPass { account: Arc::clone(self), signal, items: items as u64 }
    }

    fn lock(&self) -> MutexGuard<'_, Ingress> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn snapshot(&self) -> AccountSnapshot {
        let counts = self.lock();
        let discarded = total_of(&counts.discarded);
        let sides = |signal: usize| {
            // What is in the pass counts as admitted until it is refused.
            let left = counts.admitted[signal] + counts.in_pass[signal] + counts.created[signal];
            (left, counts.appended[signal] + discarded[signal] + counts.in_pass[signal])
        };
        AccountSnapshot {
            scope: format!("pipeline/{}", self.id),
            entered: std::array::from_fn(|signal| counts.admitted[signal] + counts.in_pass[signal]),
            created: counts.created,
            left: counts.appended,
            dropped: counts.discarded.iter().map(|((component, reason), n)| (component.clone(), *reason, *n)).collect(),
            parked: [0; 3],
            held: counts.in_pass,
            error: super::book::error(sides),
        }
    }
}

impl InPass {
    /// The request was accepted: `kept` items left the pass, `dropped` did not, by component and reason, and `created` came
    /// out that nobody sent.
    pub fn settle(mut self, tenant: &Tenant, kept: usize, dropped: &[(Arc<str>, Reason, usize)], created: usize) {
        let signal = self.signal as usize;
        let items = std::mem::take(&mut self.items);
        let account = Arc::clone(&self.account);
        let mut counts = account.lock();
        counts.in_pass[signal] -= items;
        counts.admitted[signal] += items;
        counts.created[signal] += created as u64;
        counts.appended[signal] += kept as u64;
        for (component, reason, items) in dropped {
            let reason = account.drops.registered(reason);
            counts.discarded.entry((Arc::clone(component), reason)).or_default()[signal] += *items as u64;
        }
        drop(counts);
        account.admitted[signal].increment(items);
        account.appended[signal].increment(kept as u64);
        for (component, reason, items) in dropped {
            account.drops.count(component, reason, self.signal, tenant, *items);
        }
    }
}

impl Drop for InPass {
    fn drop(&mut self) {
        if self.items > 0 {
            self.account.lock().in_pass[self.signal as usize] -= self.items;
        }
    }
}

/// What a stage or connector takes in and gives out.
pub struct StageAccount {
    pub(super) id: Arc<str>,
    component: Arc<str>,
    counts: Mutex<Through>,
    drops: Drops,
}

#[derive(Default)]
struct Through {
    consumed: u64,
    created: u64,
    emitted: u64,
    dropped: BTreeMap<Reason, u64>,
    held: u64,
}

impl StageAccount {
    pub(super) fn new(id: &str, component: &str, drops: Drops) -> Self {
        StageAccount { id: id.into(), component: component.into(), counts: Mutex::default(), drops }
    }

    /// The stage starts over with nothing. What it held before is read `again`, and then was never consumed; or it is lost.
    pub fn restart(&self, again: bool) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let held = std::mem::take(&mut counts.held);
        if held == 0 {
            return;
        }
        if again {
            // Items that the stage made itself are made again too.
            let consumed = held.min(counts.consumed);
            counts.consumed -= consumed;
            counts.created = counts.created.saturating_sub(held - consumed);
            return;
        }
        *counts.dropped.entry(reasons::PANIC).or_default() += held;
        drop(counts);
        self.drops.count(&self.component, reasons::PANIC, Signal::Traces, &Tenant::default(), held as usize);
    }

    /// What it held when it was recorded last.
    pub fn held(&self) -> usize {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).held as usize
    }

    /// One call of the stage: what it absorbed, made, emitted and dropped, and what it holds now by its own account.
    pub fn record(
        &self,
        consumed: usize,
        created: usize,
        emitted: usize,
        dropped: &[(Signal, Reason, usize)],
        held: usize,
    ) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.consumed += consumed as u64;
        counts.created += created as u64;
        counts.emitted += emitted as u64;
        counts.held = held as u64;
        for &(_, reason, items) in dropped {
            *counts.dropped.entry(self.drops.registered(reason)).or_default() += items as u64;
        }
        drop(counts);
        for &(signal, reason, items) in dropped {
            self.drops.count(&self.component, reason, signal, &Tenant::default(), items);
        }
    }

    pub(super) fn snapshot(&self) -> AccountSnapshot {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped: u64 = counts.dropped.values().sum();
        let sides = (counts.consumed + counts.created, counts.emitted + dropped + counts.held);
        // A stage may turn one signal into another, so only the sum over signals is conserved.
        AccountSnapshot {
            scope: format!("stage/{}", self.id),
            entered: [counts.consumed, 0, 0],
            created: [counts.created, 0, 0],
            left: [counts.emitted, 0, 0],
            dropped: counts.dropped.iter().map(|(reason, n)| (self.component.clone(), *reason, [*n, 0, 0])).collect(),
            parked: [0; 3],
            held: [counts.held, 0, 0],
            error: super::book::error(|signal| if signal == 0 { sides } else { (0, 0) }),
        }
    }
}

/// What a destination was given, and what became of it. Kept by the spine.
pub struct DestinationAccount {
    pub(super) id: Arc<str>,
    counts: Mutex<Egress>,
    delivered: [Counter; 3],
    drops: Drops,
}

#[derive(Default)]
struct Egress {
    restored: Tally,
    routed: Tally,
    delivered: Tally,
    dropped: BTreeMap<Reason, Tally>,
    /// A letter may go before whoever parked it says so: then it is below zero for a moment.
    parked: [i64; 3],
    backlog: Tally,
}

impl DestinationAccount {
    pub(super) fn new(id: &str, delivered: [Counter; 3], drops: Drops) -> Self {
        DestinationAccount { id: id.into(), counts: Mutex::default(), delivered, drops }
    }

    /// Found at the start in a log that outlived the process. `backlog` is what the spine counts as not completed, now.
    pub fn restored(&self, signal: Signal, items: usize, backlog: Tally) {
        let mut counts = self.lock();
        counts.restored[signal as usize] += items as u64;
        counts.backlog = backlog;
    }

    /// Appended for this destination, or dropped at its quota in the same breath.
    pub fn routed(&self, signal: Signal, items: usize, backlog: Tally) {
        let mut counts = self.lock();
        counts.routed[signal as usize] += items as u64;
        counts.backlog = backlog;
    }

    /// Found at the start among the dead letters.
    pub fn restored_letters(&self, signal: Signal, items: usize) {
        let mut counts = self.lock();
        counts.restored[signal as usize] += items as u64;
        counts.parked[signal as usize] += items as i64;
    }

    /// A dead letter is gone, for it has been appended again. That was counted as routed, which its items are a second time:
    /// they are now where everything is that came once.
    pub fn replayed(&self, signal: Signal, items: usize) {
        let mut counts = self.lock();
        counts.parked[signal as usize] -= items as i64;
        counts.routed[signal as usize] = counts.routed[signal as usize].saturating_sub(items as u64);
    }

    /// Dead letters are gone for good.
    pub fn lost_letters(&self, signal: Signal, tenant: &Tenant, reason: Reason, items: usize) {
        let mut counts = self.lock();
        counts.parked[signal as usize] -= items as i64;
        counts.dropped.entry(self.drops.registered(reason)).or_default()[signal as usize] += items as u64;
        drop(counts);
        self.drops.count(&self.id, reason, signal, tenant, items);
    }

    /// Taken back before the destination has seen it: its sender was refused, and will send it again.
    pub fn withdrawn(&self, signal: Signal, items: usize, backlog: Tally) {
        let mut counts = self.lock();
        counts.routed[signal as usize] -= items as u64;
        counts.backlog = backlog;
    }

    /// The exporter's id.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The destination is done with an entry.
    pub fn completed(&self, signal: Signal, tenant: &Tenant, completion: &Completion, backlog: Tally) {
        let index = signal as usize;
        let mut counts = self.lock();
        counts.delivered[index] += completion.delivered as u64;
        counts.parked[index] += completion.parked as i64;
        for &(reason, items) in &completion.dropped {
            counts.dropped.entry(self.drops.registered(reason)).or_default()[index] += items as u64;
        }
        counts.backlog = backlog;
        drop(counts);
        self.delivered[index].increment(completion.delivered as u64);
        for &(reason, items) in &completion.dropped {
            self.drops.count(&self.id, reason, signal, tenant, items);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Egress> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn snapshot(&self) -> AccountSnapshot {
        let counts = self.lock();
        let sides = |signal: usize| {
            let dropped: u64 = counts.dropped.values().map(|tally| tally[signal]).sum();
            let gone = counts.delivered[signal] + dropped + counts.backlog[signal];
            let out = gone.saturating_add_signed(counts.parked[signal]);
            (counts.restored[signal] + counts.routed[signal], out)
        };
        AccountSnapshot {
            scope: format!("destination/{}", self.id),
            entered: std::array::from_fn(|signal| counts.restored[signal] + counts.routed[signal]),
            created: [0; 3],
            left: counts.delivered,
            dropped: counts.dropped.iter().map(|(reason, n)| (self.id.clone(), *reason, *n)).collect(),
            parked: counts.parked.map(|items| u64::try_from(items).unwrap_or(0)),
            held: counts.backlog,
            error: super::book::error(sides),
        }
    }
}
