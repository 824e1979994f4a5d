//! The connector as a stage: when it flushes, and what of its input the cursor may pass.
//!
//! Everything between two flushes holds the cursor, and each flush writes all of it. So after a crash exactly those spans are
//! read again that no flush has told of, and the totals begin again, with a new start time (correlation §13).

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_pdata::Signal;
use sluice_pdata::pass::Reason;
use sluice_pipeline::ComponentId;
use sluice_pipeline::batch::Batch;
use sluice_pipeline::clock::{Clock, WallTime};
use sluice_pipeline::component::Environment;
use sluice_pipeline::context::Context;
use sluice_pipeline::ledger::reasons;
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Held, Port, Stage, StageOutput};
use sluice_pipeline::verdict::VerdictBoard;

use super::aggregate::{Aggregate, Counts};
use super::config::Config;
use super::exemplar::{Judge, Outcomes};
use super::flush::{Flush, Retention};
use super::plan::Plan;
use super::telemetry::SpanMetricsMetrics;

/// Spans that went into totals: they end here, and the metrics are new items.
pub const AGGREGATED: Reason = "aggregated";
/// Spans of resources without `service.name`.
pub const NO_SERVICE_NAME: Reason = "no_service_name";

/// How long the time of a flush is noted for: what is read again after a crash came later than that flush, or little earlier.
const NOTE: Duration = Duration::from_secs(600);

/// Nothing leaves before a flush, so requests that come one after the other are read together.
const PATIENCE: Duration = Duration::from_millis(20);

/// Percent of the memory class at which candidates go, new series are refused, idle ones go, all go.
const STRIP: u8 = 80;
const CLOSE: u8 = 85;
const EVICT: u8 = 90;
const BEGIN_AGAIN: u8 = 100;

/// The stage.
pub struct SpanMetrics {
    id: ComponentId,
    config: Config,
    instance: String,
    ports: u16,
    clock: Arc<dyn Clock>,
    verdicts: VerdictBoard,
    metrics: SpanMetricsMetrics,
    aggregate: Aggregate,
    outcomes: Outcomes,
    next: Option<WallTime>,
    /// Highest time that was told, or written: what begins, begins behind it.
    latest: u64,
    /// The oldest entry since the last flush, and the spans since then.
    oldest: Option<Seq>,
    spans: usize,
}

impl SpanMetrics {
    /// A stage that feeds that many pipelines. `instance`: the value of `collector.instance.id`.
    pub fn new(config: &Config, environment: &Environment, instance: &str, ports: usize) -> Self {
        SpanMetrics {
            id: environment.id.clone(),
            config: config.clone(),
            instance: instance.to_owned(),
            ports: u16::try_from(ports).unwrap_or(u16::MAX),
            clock: Arc::clone(&environment.clock),
            verdicts: environment.verdicts.clone(),
            metrics: SpanMetricsMetrics::new(&environment.telemetry, &environment.id),
            aggregate: Aggregate::new(Plan::new(config, instance)),
            outcomes: Outcomes::default(),
            next: None,
            latest: 0,
            oldest: None,
            spans: 0,
        }
    }

    fn judge(&self) -> Judge {
        let named = &self.config.exemplars.verdicts;
        let found = match named.as_str() {
            "" => self.verdicts.find(None),
            id => self.verdicts.find(Some(&ComponentId::from(id))),
        };
        match found {
            Some(verdicts) => Judge::Component(verdicts),
            None if named.is_empty() && self.verdicts.is_empty() => Judge::Nobody,
            None => Judge::Missing,
        }
    }

    fn retention(&self) -> Retention {
        let size = |size: i64| usize::try_from(size).unwrap_or(usize::MAX);
        Retention {
            resources: size(self.config.resource_metrics_cache_size),
            resource: *self.config.metrics_expiration,
            series: *self.config.series_expiration,
            timestamps: size(self.config.metric_timestamp_cache_size),
        }
    }

    /// Writes everything that is due, with that time.
    fn flush(&mut self, time: WallTime, out: &mut StageOutput) {
        let judge = self.judge();
        let flush = Flush {
            namespace: &self.config.namespace,
            time: time.0.max(self.latest),
            judge: &judge,
            retention: self.retention(),
        };
        self.latest = flush.time;
        let flushed = self.aggregate.flush(&flush, &mut self.outcomes);
        for metrics in flushed {
            let mut context = Context::internal(self.id.clone(), self.clock.arrival());
            context.tenant = metrics.tenant;
            let batch = Batch::new(Signal::Metrics, Bytes::from(metrics.request), metrics.points, Arc::new(context));
            for port in 0..self.ports {
                out.create_items(metrics.points);
                out.emit(Port(port), batch.clone());
            }
        }
        self.settle(out);
        out.note(Bytes::copy_from_slice(&self.latest.to_le_bytes()), WallTime(self.latest.saturating_add(nanos(NOTE))));
    }

    /// What was absorbed is done with.
    fn settle(&mut self, out: &mut StageOutput) {
        let counts = std::mem::take(&mut self.aggregate.counts);
        let Counts { aggregated, without_service, malformed, refused, .. } = counts;
        for (reason, spans) in [
            (AGGREGATED, aggregated),
            (NO_SERVICE_NAME, without_service),
            (reasons::INVALID, malformed),
            (reasons::LIMIT_CARDINALITY, refused),
        ] {
            if spans > 0 {
                out.drop_items(Signal::Traces, reason, spans);
            }
        }
        self.metrics.add(&counts, &std::mem::take(&mut self.outcomes));
        self.metrics.show(self.aggregate.table.slab.count(), self.aggregate.bytes());
        (self.oldest, self.spans) = (None, 0);
    }

    fn interval(&self) -> u64 {
        nanos(*self.config.metrics_flush_interval).max(1)
    }
}

impl Stage for SpanMetrics {
    fn absorb(&mut self, _port: Port, input: &Entry, now: WallTime, _out: &mut StageOutput) {
        let batch = input.batch();
        self.latest = self.latest.max(now.0);
        self.oldest.get_or_insert(input.seq());
        // Begins behind the last flush, also behind one of an earlier process.
        let began = self.latest;
        self.next.get_or_insert(WallTime(began.saturating_add(self.interval())));
        self.spans += batch.items();
        if batch.signal() == Signal::Traces {
            self.aggregate.absorb(batch.bytes(), batch.items(), &batch.context().tenant, began);
        } else {
            self.aggregate.counts.malformed += batch.items();
        }
    }

    fn tick(&mut self, now: WallTime, out: &mut StageOutput) {
        let Some(due) = self.next.filter(|due| *due <= now) else { return };
        // The time that was agreed on, so that a replay writes the same points.
        self.flush(due, out);
        let missed = (now.0 - due.0) / self.interval();
        let next = due.0.saturating_add(self.interval().saturating_mul(missed + 1));
        self.next = (self.aggregate.table.slab.count() > 0).then_some(WallTime(next));
    }

    fn next_deadline(&self) -> Option<WallTime> {
        self.next
    }

    fn low_watermark(&self) -> Option<Seq> {
        self.oldest
    }

    fn held(&self) -> Held {
        Held { items: self.spans, bytes: self.aggregate.bytes() }
    }

    fn drain(&mut self, now: WallTime, out: &mut StageOutput) {
        if self.oldest.is_some() {
            self.flush(now, out);
        }
        let mut outcomes = Outcomes::default();
        self.aggregate.strip(&mut outcomes);
        self.metrics.add(&Counts::default(), &outcomes);
        self.next = None;
    }

    fn recall(&mut self, note: &[u8], _now: WallTime) {
        if let Ok(time) = <[u8; 8]>::try_from(note) {
            // What was written last must stay the older one.
            self.latest = self.latest.max(u64::from_le_bytes(time).saturating_add(1_000_000));
        }
    }

    fn succeed(&mut self, predecessor: Box<dyn Stage>) -> Option<Box<dyn Stage>> {
        let before = match predecessor.into_any().downcast::<SpanMetrics>() {
            Ok(before) if before.config.same_series(&self.config) => before,
            Ok(before) => return Some(before),
            // Never: a reload pairs stages of one type.
            Err(_) => return None,
        };
        let plan = std::mem::replace(&mut self.aggregate.plan, before.aggregate.plan);
        let before_plan = &mut self.aggregate.plan;
        // Only limits and exemplars can differ.
        (before_plan.limits, before_plan.exemplars) = (plan.limits, plan.exemplars);
        self.aggregate.table = before.aggregate.table;
        self.aggregate.resources = before.aggregate.resources;
        self.aggregate.counts = before.aggregate.counts;
        self.aggregate.candidates = before.aggregate.candidates;
        if self.aggregate.plan.exemplars.is_none() {
            self.aggregate.strip(&mut self.outcomes);
        }
        (self.latest, self.oldest, self.spans) = (before.latest, before.oldest, before.spans);
        self.next = before.next.map(|next| next.min(WallTime(before.latest.saturating_add(self.interval()))));
        None
    }

    fn reset(&mut self) -> bool {
        // As after a crash: totals begin again, behind what was written.
        self.aggregate = Aggregate::new(Plan::new(&self.config, &self.instance));
        (self.next, self.oldest, self.spans) = (None, None, 0);
        true
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn relieve(&mut self, percent: u8, now: WallTime, out: &mut StageOutput) {
        if percent >= STRIP {
            self.aggregate.strip(&mut self.outcomes);
        }
        if percent >= CLOSE {
            // Until the next flush.
            self.aggregate.open = false;
        }
        if percent >= EVICT {
            self.aggregate.remove_idle(&mut self.outcomes);
        }
        if percent >= BEGIN_AGAIN && self.oldest.is_some() {
            self.flush(now, out);
            self.aggregate.remove_idle(&mut self.outcomes);
            self.aggregate.open = false;
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
