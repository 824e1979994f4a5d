//! A chain of steps, planned into walks, and its run over one batch.

use std::sync::Arc;

use bytes::Bytes;

use super::step::{BatchState, Hooks, Level, Reason, Step};
use super::walk::{Scratch, Walk};
use crate::error::Error;
use crate::signal::Signal;

/// Steps of one walk: for each level the steps with a hook there, by their index in the chain.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Index of the walk's first step in the chain, and of the first step behind it.
    pub(super) first: usize,
    pub(super) end: usize,
    pub(super) resource: Vec<usize>,
    pub(super) scope: Vec<usize>,
    pub(super) metric: Vec<usize>,
    pub(super) item: Vec<usize>,
    /// Fields of the request other than resources are left out.
    pub(super) strips_request: bool,
}

impl Plan {
    fn starting_at(first: usize) -> Self {
        Plan { first, end: first, ..Plan::default() }
    }

    fn add(&mut self, index: usize, hooks: Hooks, signal: Signal) {
        self.end = index + 1;
        let levels = [
            (hooks.resource, &mut self.resource),
            (hooks.scope, &mut self.scope),
            (hooks.metric && signal == Signal::Metrics, &mut self.metric),
            (hooks.item, &mut self.item),
        ];
        for (wanted, steps) in levels {
            if wanted {
                steps.push(index);
            }
        }
    }
}

/// The steps of a pipeline segment, planned into as few walks as give the result of running them one by one.
pub struct Chain<C: ?Sized> {
    signal: Signal,
    steps: Vec<Arc<dyn Step<C>>>,
    plans: Vec<Plan>,
}

impl<C: ?Sized> Chain<C> {
    /// Plans the steps for one signal. Steps without hooks for it are kept in the numbering and never called.
    pub fn new(signal: Signal, steps: Vec<Arc<dyn Step<C>>>) -> Self {
        let mut plans: Vec<Plan> = Vec::new();
        let mut changed: Option<Level> = None; // innermost level changed by the steps of the last plan
        for (index, step) in steps.iter().enumerate() {
            let hooks = step.hooks(signal);
            let conflict = matches!((changed, hooks.observes), (Some(inner), Some(outer)) if inner > outer);
            if plans.is_empty() || conflict {
                plans.push(Plan::starting_at(index));
                changed = None;
            }
            if let Some(plan) = plans.last_mut() {
                plan.add(index, hooks, signal);
                plan.strips_request |= step.strips_request();
            }
            changed = changed.max(hooks.changes);
        }
        Chain { signal, steps, plans }
    }

    /// The signal the chain was planned for.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// Number of steps, in whose numbering [`Passed::dropped`] counts.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many walks a batch takes.
    pub fn walks(&self) -> usize {
        self.plans.len()
    }

    /// Starts a run over one batch, whose envelopes are plain and which holds `items` items.
    pub fn start(&self, batch: Bytes, items: usize) -> Run<'_, C> {
        Run { chain: self, plan: 0, walk: None, bytes: batch, items, dropped: Vec::new(), states: Vec::new() }
    }

    /// Runs the whole chain over one batch without yielding.
    pub fn run(&self, batch: Bytes, items: usize, context: &C, scratch: &mut Scratch) -> Result<Passed, Error> {
        let mut run = self.start(batch, items);
        loop {
            match run.advance(context, scratch, usize::MAX)? {
                Progress::Yield(resumed) => run = resumed,
                Progress::Done(passed) => return Ok(passed),
            }
        }
    }
}

/// A run that may stop between items and go on later.
pub struct Run<'c, C: ?Sized> {
    chain: &'c Chain<C>,
    plan: usize,
    walk: Option<Walk>,
    bytes: Bytes,
    items: usize,
    dropped: Vec<(usize, Reason, usize)>,
    states: Vec<Box<dyn BatchState>>,
}

/// How far a run has come.
pub enum Progress<'c, C: ?Sized> {
    /// The slice is used up; let others run, then go on.
    Yield(Run<'c, C>),
    Done(Passed),
}

/// A batch that has passed.
pub struct Passed {
    /// The batch as it leaves: the same `Bytes` that came in if nobody changed it.
    pub bytes: Bytes,
    /// Items left.
    pub items: usize,
    /// Items dropped: step, reason, how many. Each pair of step and reason occurs once.
    pub dropped: Vec<(usize, Reason, usize)>,
    states: Vec<Box<dyn BatchState>>,
}

impl Passed {
    /// Makes the steps' effects lasting. Call it when the batch has been accepted; dropping `Passed` forgets them.
    pub fn apply_effects(&mut self) {
        for state in self.states.drain(..) {
            state.apply();
        }
    }
}

impl<'c, C: ?Sized> Run<'c, C> {
    /// Goes on for about `budget` bytes of input.
    pub fn advance(mut self, context: &C, scratch: &mut Scratch, budget: usize) -> Result<Progress<'c, C>, Error> {
        let mut budget = budget;
        while let Some(plan) = self.chain.plans.get(self.plan) {
            let steps = &self.chain.steps;
            let mut walk = match self.walk.take() {
                Some(walk) => walk,
                None => Walk::new(self.chain.signal, plan, steps, &self.bytes),
            };
            let used = walk.advance(plan, steps, context, &self.bytes, scratch, budget)?;
            if !walk.is_done() {
                self.walk = Some(walk);
                return Ok(Progress::Yield(self));
            }
            budget = budget.saturating_sub(used);
            let end = walk.finish(&self.bytes);
            if let Some(bytes) = end.bytes {
                self.bytes = Bytes::from(bytes);
            }
            self.dropped.extend(end.dropped);
            self.states.extend(end.states.into_iter().flatten());
            self.plan += 1;
        }
        let gone: usize = self.dropped.iter().map(|&(_, _, items)| items).sum();
        Ok(Progress::Done(Passed {
            bytes: self.bytes,
            items: self.items.saturating_sub(gone),
            dropped: self.dropped,
            states: self.states,
        }))
    }
}
