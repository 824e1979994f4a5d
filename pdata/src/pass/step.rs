//! The contract between the pass and its steps.

use std::any::Any;

use super::walk::Head;
use crate::error::Error;
use crate::msg::Message;
use crate::signal::Signal;

/// Why an item was dropped: a name from the closed list of ledger reasons, registered at compile time.
pub type Reason = &'static str;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    /// The message goes, with everything inside it.
    Drop(Reason),
}

/// The nesting of a batch, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Resource,
    Scope,
    Metric,
    /// A span, log record or data point.
    Item,
}

/// Which hooks of a step are called, and what the planner must know to fuse it with others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hooks {
    pub resource: bool,
    pub scope: bool,
    /// Only for metrics.
    pub metric: bool,
    pub item: bool,
    /// The innermost level at which the step drops or edits.
    pub changes: Option<Level>,
    /// The outermost level at which a hook looks at what lies inside its message, or has effects that presume that the
    /// message survived the steps before. The step then gets a walk of its own after steps that change something further in.
    pub observes: Option<Level>,
}

/// What a step gathers during one batch: scratch, and effects that outlive it (counters, contacts, table entries).
pub trait BatchState: Any + Send {
    /// Makes the effects lasting. Called once, after the batch has been accepted; never for a refused one, so that a request
    /// that its client sends again counts once.
    fn apply(self: Box<Self>);
}

/// What a hook may see besides its own message.
pub struct Cx<'a, C: ?Sized> {
    /// Where the batch came from.
    pub context: &'a C,
    pub signal: Signal,
    /// The `Resource` around the message, as this step would find it. Empty in the resource hook.
    pub resource: &'a [u8],
    /// The `InstrumentationScope` around the message. Empty in the resource and scope hooks.
    pub scope: &'a [u8],
    /// The metric around a data point.
    pub metric: Option<MetricHead<'a>>,
    /// In the hooks of envelopes: the envelope as it came to this walk, with everything inside. Empty for items.
    pub body: &'a [u8],
    pub(super) outer: Outer<'a>,
    pub(super) state: Option<&'a mut (dyn BatchState + 'static)>,
}

/// The envelopes around a message, read when a step asks for them.
#[derive(Clone, Copy)]
pub(super) struct Outer<'a> {
    pub(super) resource: Option<&'a Head>,
    pub(super) scope: Option<&'a Head>,
    /// Who asks.
    pub(super) step: usize,
}

impl<'a, C: ?Sized> Cx<'a, C> {
    /// The fields of the resource's envelope other than resource and scopes, its schema URL above all, as this step would find
    /// them. Empty in the resource hook.
    pub fn resource_envelope(&self) -> &'a [u8] {
        self.outer.resource.map_or(&[], |head| head.envelope_seen_by(self.outer.step))
    }

    /// The fields of the scope's envelope other than scope and items, as this step would find them. Empty in the resource and
    /// scope hooks.
    pub fn scope_envelope(&self) -> &'a [u8] {
        self.outer.scope.map_or(&[], |head| head.envelope_seen_by(self.outer.step))
    }

    /// The state that [`Step::begin`] made for this batch.
    pub fn state<T: BatchState>(&mut self) -> Option<&mut T> {
        let state: &mut dyn Any = self.state.as_deref_mut()?;
        state.downcast_mut()
    }
}

/// A metric without its points.
#[derive(Clone, Copy, Debug)]
pub struct MetricHead<'a> {
    /// The `Metric` fields other than the data.
    pub fields: &'a [u8],
    /// Field number of the data member: its kind.
    pub kind: u32,
    /// The fields of the data message other than the points.
    pub data: &'a [u8],
}

/// One processor's part in the pass. `C` is the batch context of the embedding program.
///
/// Hooks are called outermost first. An error means malformed bytes: it refuses the request, and nothing of it is kept.
pub trait Step<C: ?Sized>: Send + Sync {
    /// Which hooks this step has for a signal. Called once, when the chain is built.
    fn hooks(&self, signal: Signal) -> Hooks;

    /// Whether fields of the request itself other than its resources are left out: no hook sees them. Called once, when the
    /// chain is built.
    fn strips_request(&self) -> bool {
        false
    }

    /// Called at the start of each walk with the whole batch, for prefilters and to gather effects.
    fn begin(&self, _signal: Signal, _batch: &[u8]) -> Option<Box<dyn BatchState>> {
        None
    }

    /// A resource, and the fields of its envelope other than resource and scopes (schema URL, unknown fields).
    fn resource(
        &self,
        _cx: &mut Cx<'_, C>,
        _resource: &mut Message<'_>,
        _envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        Ok(Verdict::Keep)
    }

    /// A scope, and the fields of its envelope other than scope and items.
    fn scope(
        &self,
        _cx: &mut Cx<'_, C>,
        _scope: &mut Message<'_>,
        _envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        Ok(Verdict::Keep)
    }

    /// A metric (fields other than data), and the fields of its data message other than points. `whole` is the metric as it
    /// came, points included.
    fn metric(
        &self,
        _cx: &mut Cx<'_, C>,
        _metric: &mut Message<'_>,
        _data: &mut Message<'_>,
        _whole: &[u8],
    ) -> Result<Verdict, Error> {
        Ok(Verdict::Keep)
    }

    /// A span, log record or data point.
    fn item(&self, _cx: &mut Cx<'_, C>, _item: &mut Message<'_>) -> Result<Verdict, Error> {
        Ok(Verdict::Keep)
    }
}
