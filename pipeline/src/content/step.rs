//! The limits as a step of the fused pass.

use sluice_pdata::msg::Message;
use sluice_pdata::pass::{BatchState, Cx, Hooks, Level, Step, Verdict};
use sluice_pdata::tags::metric;
use sluice_pdata::{Error, Signal};

use super::shape::{self, Shape};
use super::{ContentLimits, Limit, Remedy};
use crate::context::Context;
use crate::telemetry::Telemetry;

/// Holds what comes in to the limits. Stands in front of all processors.
pub struct LimitStep {
    limits: ContentLimits,
    telemetry: Telemetry,
}

impl LimitStep {
    pub fn new(limits: ContentLimits, telemetry: &Telemetry) -> Self {
        telemetry.describe(
            "sluice_limit_applied_total",
            None,
            "Messages that were over a content limit, by what was done.",
        );
        LimitStep { limits, telemetry: telemetry.clone() }
    }

    fn hold(
        &self,
        cx: &mut Cx<'_, Context>,
        shape: &'static Shape,
        identifies: bool,
        message: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        let Some(excess) = self.limits.inspect(shape, message.bytes())? else { return Ok(Verdict::Keep) };
        let rejects = match excess.remedy {
            Remedy::Cut => self.limits.reject,
            Remedy::Trim => identifies || self.limits.reject,
            Remedy::Reject => true,
        };
        if let Some(applied) = cx.state::<Applied>() {
            applied.counts[excess.limit as usize][usize::from(rejects)] += 1;
        }
        if rejects {
            return Ok(Verdict::Drop(excess.limit.reason()));
        }
        message.rewrite(|bytes, _, out| self.limits.trim(shape, bytes, out).map(|()| true))?;
        Ok(Verdict::Keep)
    }
}

/// How often each limit was applied in a batch: by trimming, and by rejecting.
struct Applied {
    counts: [[u64; 2]; Limit::ALL.len()],
    signal: Signal,
    telemetry: Telemetry,
}

impl BatchState for Applied {
    fn apply(self: Box<Self>) {
        for (limit, counts) in Limit::ALL.into_iter().zip(self.counts) {
            for (action, count) in ["trim", "reject"].into_iter().zip(counts).filter(|(_, count)| *count > 0) {
                // Rare enough to look the handle up; limits are a closed list.
                let labels = [("limit", limit.name()), ("action", action), ("signal", self.signal.name())];
                self.telemetry.counter("sluice_limit_applied_total", &labels).increment(count);
            }
        }
    }
}

impl Step<Context> for LimitStep {
    fn hooks(&self, _signal: Signal) -> Hooks {
        Hooks { resource: true, scope: true, metric: true, item: true, changes: Some(Level::Item), observes: None }
    }

    fn begin(&self, signal: Signal, _batch: &[u8]) -> Option<Box<dyn BatchState>> {
        let telemetry = self.telemetry.clone();
        Some(Box::new(Applied { counts: Default::default(), signal, telemetry }))
    }

    fn resource(
        &self,
        cx: &mut Cx<'_, Context>,
        resource: &mut Message<'_>,
        _envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        let identifies = cx.signal == Signal::Metrics;
        self.hold(cx, &shape::RESOURCE, identifies, resource)
    }

    fn scope(
        &self,
        cx: &mut Cx<'_, Context>,
        scope: &mut Message<'_>,
        _envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        let identifies = cx.signal == Signal::Metrics;
        self.hold(cx, &shape::SCOPE, identifies, scope)
    }

    fn metric(
        &self,
        cx: &mut Cx<'_, Context>,
        metric: &mut Message<'_>,
        _data: &mut Message<'_>,
        _whole: &[u8],
    ) -> Result<Verdict, Error> {
        self.hold(cx, &shape::METRIC, true, metric)
    }

    fn item(&self, cx: &mut Cx<'_, Context>, item: &mut Message<'_>) -> Result<Verdict, Error> {
        match cx.signal {
            Signal::Traces => self.hold(cx, &shape::SPAN, false, item),
            Signal::Logs => self.hold(cx, &shape::LOG_RECORD, false, item),
            Signal::Metrics => {
                let kind = cx.metric.map_or(metric::GAUGE, |head| head.kind);
                self.hold(cx, shape::data_point(kind), true, item)
            }
        }
    }
}
