//! The walk over a payload.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ahash::RandomState;
use sluice_pdata::pass::Reason;
use sluice_pdata::view::{DataView, MetricView, ResourceMetricsView, ResourceView, ScopeMetricsView, text};
use sluice_pdata::wire::{Value as Wire, fields};

use super::Malformed;
use super::bounds::Bounds;
use super::context::{self, Context};
use super::drops::{self, Drops};
use super::exemplar::ExemplarWriter;
use super::layout::Scratch;
use super::metric::{Kind, MetricId, Metrics, temporality_fault, type_hint};
use super::names::LabelNames;
use super::native::HistogramContent;
use super::point::{Point, millis};
use super::requests::{Limits, Request, Requests};
use super::target_info::{Infos, Targets};
use crate::prometheus_remote_write::encode::Encoder;
use crate::prometheus_remote_write::translate::{LabelNamer, NhcbOnV1, Options};

/// Resources with scopes that are remembered from one payload to the next.
const MAX_CONTEXTS: usize = 1000;
/// Bytes of the resources and scopes.
const MAX_CONTEXT_BYTES: usize = 2 << 20;
/// Metric names that were warned about once.
const MAX_WARNED: usize = 1000;

/// What to make of a payload.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Data points at the front that are done with.
    pub skip: usize,
    /// Milliseconds since the epoch.
    pub now: i64,
    /// Samples before this are dropped.
    pub oldest: i64,
    /// Send metadata entries that are due.
    pub metadata: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { skip: 0, now: 0, oldest: i64::MIN, metadata: false }
    }
}

/// What became of a payload.
#[derive(Clone, Debug, Default)]
pub struct Converted {
    pub requests: Vec<Request>,
    /// What was dropped behind the last request; the rest is with each.
    pub drops: Drops,
    /// Metrics that gave no series at all, by no fault of their points.
    pub empty_metrics: usize,
    /// Data points that were looked at.
    pub points: usize,
    /// Histograms that were to have custom buckets and became classic ones, as the message holds no others.
    pub as_classic: usize,
}

/// Converts payloads one after another.
pub struct Converter<E> {
    pub(super) options: Arc<Options>,
    pub(super) targets: Targets,
    pub(super) infos: Infos,
    pub(super) requests: Requests<E>,
    pub(super) names: LabelNames,
    pub(super) verbatim_names: LabelNames,
    pub(super) metrics: Metrics,
    pub(super) bounds: Bounds,
    contexts: HashMap<Box<[u8]>, Context, RandomState>,
    context_bytes: usize,
    context_key: Vec<u8>,
    pub(super) scratch: Scratch,
    pub(super) exemplars: ExemplarWriter,
    pub(super) histogram: HistogramContent,
    /// What each series of the metric at hand says about it, and when that was encoded.
    pub(super) metadata: Vec<u8>,
    pub(super) metadata_epoch: u32,
    pub(super) plan: Plan,
    empty_metrics: usize,
    as_classic: usize,
    /// Earliest and latest data point of the resource at hand.
    span: Option<(i64, i64)>,
    /// `target_info` samples of this payload: hash of the labels, time.
    pub(super) told: HashSet<(u64, i64), RandomState>,
    pub(super) hasher: RandomState,
    pub(super) due: Vec<(MetricId, Box<[u8]>)>,
    warned: HashSet<Box<[u8]>, RandomState>,
}

/// The metric at hand.
#[derive(Clone, Copy)]
pub(super) struct Current<'a> {
    pub(super) id: MetricId,
    pub(super) kind: Kind,
    /// Came from a scrape: names are verbatim.
    pub(super) scraped: bool,
    pub(super) help: &'a [u8],
}

impl Converted {
    /// All that was dropped.
    pub fn all_drops(&self) -> Drops {
        let mut all = self.drops.clone();
        for request in &self.requests {
            request.drops.iter().for_each(|(reason, points)| all.add(reason, points));
        }
        all
    }
}

impl<E: Encoder> Converter<E> {
    pub fn new(options: Arc<Options>, limits: Limits, targets: Targets) -> Self {
        Converter {
            targets,
            infos: Infos::default(),
            requests: Requests::new(limits),
            names: LabelNames::new(options.label_namer()),
            verbatim_names: LabelNames::new(LabelNamer::VERBATIM),
            metrics: Metrics::new(options.metric_namer()),
            bounds: Bounds::new(options.le_format),
            contexts: HashMap::default(),
            context_bytes: 0,
            context_key: Vec::new(),
            scratch: Scratch::default(),
            exemplars: ExemplarWriter::default(),
            histogram: HistogramContent::default(),
            metadata: Vec::new(),
            metadata_epoch: 0,
            plan: Plan::default(),
            empty_metrics: 0,
            as_classic: 0,
            span: None,
            told: HashSet::default(),
            hasher: RandomState::new(),
            due: Vec::new(),
            warned: HashSet::default(),
            options,
        }
    }

    /// Begins a payload; what was left of another is forgotten.
    pub fn begin(&mut self, plan: Plan, limits: Limits) {
        if !self.requests.is_empty() {
            self.requests.close();
        }
        self.requests.done.clear();
        self.requests.limits = limits;
        (self.requests.points, self.requests.seen) = (0, 0);
        self.plan = plan;
        self.requests.drops = Drops::default();
        (self.empty_metrics, self.as_classic) = (0, 0);
        self.told.clear();
        self.due.clear();
        self.bounds.trim();
        self.metrics.trim();
        let forgotten = self.names.trim() | self.verbatim_names.trim();
        if forgotten
            || self.contexts.len().max(self.infos.len()) > MAX_CONTEXTS
            || self.context_bytes > MAX_CONTEXT_BYTES
        {
            self.contexts.clear();
            self.infos.clear();
            self.context_bytes = 0;
        }
    }

    /// Converts one `ResourceMetrics`. Malformed bytes end it; what was read by then is kept.
    pub fn resource(&mut self, metrics: ResourceMetricsView<'_>) {
        self.span = None;
        let _ = self.scopes(metrics);
        if self.options.target_info
            && let Some(span) = self.span
            && let Ok(resource) = metrics.resource()
        {
            self.target_info(resource, span);
        }
    }

    /// Ends the payload.
    pub fn finish(&mut self) -> Converted {
        self.requests.close();
        self.metadata_requests();
        Converted {
            requests: std::mem::take(&mut self.requests.done),
            drops: std::mem::take(&mut self.requests.drops),
            empty_metrics: self.empty_metrics,
            points: self.requests.seen,
            as_classic: self.as_classic,
        }
    }

    fn scopes(&mut self, metrics: ResourceMetricsView<'_>) -> Result<(), Malformed> {
        let resource = metrics.resource()?;
        let mut point = Point::default();
        for scope in metrics.scope_metrics() {
            let scope = scope?;
            let mut context = self.context(resource, scope)?;
            let walked = scope.metrics().try_for_each(|metric| self.metric(&metric?, &mut context, &mut point));
            if let Some(place) = self.contexts.get_mut(self.context_key.as_slice()) {
                *place = context;
            }
            walked?;
        }
        Ok(())
    }

    /// The context, taken out of the map; `context_key` is where it belongs.
    fn context(&mut self, resource: ResourceView<'_>, scope: ScopeMetricsView<'_>) -> Result<Context, Malformed> {
        context::key(resource, scope, &mut self.context_key)?;
        if let Some(context) = self.contexts.get_mut(self.context_key.as_slice()) {
            return Ok(std::mem::take(context));
        }
        let context = Context::new(resource, scope, &self.options)?;
        self.context_bytes += self.context_key.len();
        self.contexts.insert(self.context_key.as_slice().into(), Context::default());
        Ok(context)
    }

    fn metric<'a>(
        &mut self,
        metric: &MetricView<'a>,
        context: &mut Context,
        point: &mut Point<'a>,
    ) -> Result<(), Malformed> {
        let data = metric.data()?;
        let Some(kind) = Kind::of(data) else {
            self.empty_metrics += 1;
            return Ok(());
        };
        let kind = if kind == Kind::Histogram && self.makes_custom_buckets() { Kind::CustomBuckets } else { kind };
        let hint = type_hint(metric)?;
        if let Some(reason) = temporality_fault(data) {
            self.warn_temporality(metric, reason);
            return self.refuse(data, reason);
        }
        let Some(id) = self.metrics.id(metric, kind, hint) else {
            return self.refuse(data, drops::INVALID_METRIC_NAME);
        };
        if kind == Kind::Exponential && !self.options.send_native_histograms && !E::ALWAYS_NATIVE {
            return self.refuse(data, drops::NATIVE_HISTOGRAM_DISABLED);
        }
        if kind == Kind::Histogram && self.lacks_custom_buckets() && self.options.nhcb_on_v1 == NhcbOnV1::Drop {
            return self.refuse(data, drops::NHCB_V1);
        }
        self.metadata_epoch = 0;
        let current = Current { id, kind, scraped: hint.is_some(), help: metric.description };
        let mut points = 0;
        for bytes in data.points() {
            let bytes = bytes?;
            points += 1;
            let read = match kind {
                Kind::Histogram | Kind::CustomBuckets => point.read_histogram(bytes),
                Kind::Summary => point.read_summary(bytes),
                Kind::Exponential => point.read_exponential(bytes),
                _ => point.read_number(bytes),
            };
            let outcome = match read {
                Ok(()) => self.point(current, context, point, bytes),
                Err(Malformed) => Err(drops::INVALID),
            };
            self.done(outcome.err());
        }
        if points == 0 {
            self.empty_metrics += 1;
        }
        self.note_metadata(current);
        Ok(())
    }

    fn point(
        &mut self,
        current: Current<'_>,
        context: &mut Context,
        point: &mut Point<'_>,
        bytes: &[u8],
    ) -> Result<(), Reason> {
        let time = millis(point.time);
        self.extend_span(point.time);
        if self.requests.seen < self.plan.skip {
            return Ok(());
        }
        if self.options.max_future_ms > 0 && time > self.plan.now.saturating_add(self.options.max_future_ms) {
            return Err(drops::FUTURE);
        }
        if time < self.plan.oldest {
            return Err(drops::SAMPLE_AGE);
        }
        match current.kind {
            Kind::Histogram => self.histogram(current, context, point),
            Kind::CustomBuckets => self.custom_buckets(current, context, point),
            Kind::Summary => self.summary(current, context, point),
            Kind::Exponential => self.exponential(current, context, point, bytes),
            _ => self.number(current, context, point),
        }?;
        self.requests.points += 1;
        if current.kind == Kind::Histogram && self.lacks_custom_buckets() {
            self.as_classic += 1;
        }
        Ok(())
    }

    fn makes_custom_buckets(&self) -> bool {
        self.options.convert_histograms_to_nhcb && E::ALWAYS_NATIVE
    }

    fn lacks_custom_buckets(&self) -> bool {
        self.options.convert_histograms_to_nhcb && !E::ALWAYS_NATIVE
    }

    /// A point is done with, dropped for a reason or not.
    fn done(&mut self, reason: Option<Reason>) {
        if let Some(reason) = reason
            && self.requests.seen >= self.plan.skip
        {
            self.requests.drops.add(reason, 1);
        }
        self.requests.seen += 1;
    }

    /// Drops all points of a metric.
    fn refuse(&mut self, data: DataView<'_>, reason: Reason) -> Result<(), Malformed> {
        for point in data.points() {
            // The time is field 3 in every kind of point.
            let mut time = 0;
            for field in fields(point?) {
                if let (3, Wire::Fixed64(nanos)) = field.map(|field| (field.number, field.value))? {
                    time = nanos;
                }
            }
            self.extend_span(time);
            self.done(Some(reason));
        }
        Ok(())
    }

    fn extend_span(&mut self, nanos: u64) {
        if nanos != 0 {
            let time = millis(nanos);
            let (earliest, latest) = self.span.unwrap_or((time, time));
            self.span = Some((earliest.min(time), latest.max(time)));
        }
    }

    /// Tells once of a metric that holds a sum of nothing: it is sent as it is.
    pub(super) fn warn_sum_of_nothing(&mut self, current: Current<'_>) {
        let name = &self.metrics.get(current.id).name;
        if self.warned.len() < MAX_WARNED && self.warned.insert(name.as_bytes().into()) {
            tracing::warn!(metric = %name, "histogram counts nothing and has a sum that is not 0");
        }
    }

    fn warn_temporality(&mut self, metric: &MetricView<'_>, reason: Reason) {
        if self.warned.len() < MAX_WARNED && self.warned.insert(metric.name.into()) {
            tracing::warn!(
                metric = %text(metric.name),
                reason,
                "Prometheus has cumulative metrics only, this one is dropped; the processor delta_to_cumulative converts"
            );
        }
    }
}
