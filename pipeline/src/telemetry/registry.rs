//! The registry: metric families and their series, in atomics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Label, Metadata, SharedString, Unit,
};

/// Bounds for durations in seconds.
pub const SECONDS_BOUNDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upstream's bounds for batch sizes in items.
pub const BATCH_SIZE_BOUNDS: &[f64] = &[
    10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0, 6000.0, 7000.0, 8000.0,
    9000.0, 10000.0, 20000.0, 30000.0, 50000.0, 100000.0,
];

/// All metrics of the process. Clones share them. Install it as the global recorder so that libraries' metrics are seen too.
#[derive(Clone, Default)]
pub struct Telemetry(Arc<Registry>);

#[derive(Default)]
struct Registry {
    families: Mutex<BTreeMap<String, Family>>,
    hooks: Mutex<Vec<Hook>>,
}

/// Says whether it wants to be called again.
type Hook = Box<dyn Fn() -> bool + Send + Sync>;

/// Label names and values, in the order given.
pub(super) type Labels = Vec<(String, String)>;

#[derive(Default)]
pub(super) struct Family {
    pub(super) help: String,
    pub(super) unit: Option<Unit>,
    pub(super) bounds: Option<&'static [f64]>,
    pub(super) series: BTreeMap<Labels, Series>,
}

#[derive(Clone)]
pub(super) enum Series {
    Counter(Arc<AtomicU64>),
    Gauge(Arc<AtomicU64>),
    /// A counter of something that is measured, not counted: set like a gauge, shown as a counter.
    Total(Arc<AtomicU64>),
    Histogram(Arc<Buckets>),
}

impl Telemetry {
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a family's help text and unit.
    pub fn describe(&self, name: &str, unit: Option<Unit>, help: &str) {
        let mut families = self.families();
        let family = families.entry(name.to_owned()).or_default();
        (family.unit, family.help) = (unit, help.to_owned());
    }

    /// Sets the bucket bounds of a histogram, before its first series. Default: [`SECONDS_BOUNDS`].
    pub fn bounds(&self, name: &str, bounds: &'static [f64]) {
        self.families().entry(name.to_owned()).or_default().bounds = Some(bounds);
    }

    /// The counter of this name and labels.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Counter {
        self.counter_of(name, own(labels))
    }

    /// The gauge of this name and labels.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Gauge {
        self.gauge_of(name, own(labels))
    }

    /// A counter that is set to what was measured elsewhere and may have fractions, such as CPU seconds.
    pub fn total(&self, name: &str, labels: &[(&str, &str)]) -> Gauge {
        match self.series(name, own(labels), |_| Series::Total(Arc::default())) {
            Series::Total(value) => Gauge::from_arc(Arc::new(GaugeValue(value))),
            _ => Gauge::noop(),
        }
    }

    /// The histogram of this name and labels.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Histogram {
        self.histogram_of(name, own(labels))
    }

    /// Brings what is measured at scrapes up to date.
    pub fn refresh(&self) {
        drop(self.run_hooks());
    }

    /// What a counter or gauge is set to. `None` if there is no such series.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        match self.families().get(name)?.series.get(&own(labels))? {
            Series::Counter(value) => Some(value.load(Ordering::Relaxed) as f64),
            Series::Gauge(value) | Series::Total(value) => Some(f64::from_bits(value.load(Ordering::Relaxed))),
            Series::Histogram(_) => None,
        }
    }

    /// Forgets a series, when the component it belongs to is gone.
    pub fn forget(&self, name: &str, labels: &[(&str, &str)]) {
        if let Some(family) = self.families().get_mut(name) {
            family.series.remove(&own(labels));
        }
    }

    /// Calls `hook` before each scrape.
    pub fn on_scrape(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.add_hook(Box::new(move || {
            hook();
            true
        }));
    }

    /// Calls `hook` with `owner` before each scrape for as long as anybody else holds the owner: that of a component which a
    /// reload removes goes with it.
    pub fn on_scrape_of<T: Send + Sync + 'static>(&self, owner: &Arc<T>, hook: impl Fn(&T) + Send + Sync + 'static) {
        let owner = Arc::downgrade(owner);
        self.add_hook(Box::new(move || owner.upgrade().map(|owner| hook(&owner)).is_some()));
    }

    /// Calls `hook` before each scrape until it says that it is the last time, by `false`.
    pub fn on_scrape_while(&self, hook: impl Fn() -> bool + Send + Sync + 'static) {
        self.add_hook(Box::new(hook));
    }

    fn add_hook(&self, hook: Hook) {
        self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(hook);
    }

    /// Runs the hooks. While the guard lives no other scrape runs them: what they set together is shown together.
    pub(super) fn run_hooks(&self) -> impl Sized + '_ {
        let mut hooks = self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        hooks.retain(|hook| hook());
        hooks
    }

    pub(super) fn families(&self) -> MutexGuard<'_, BTreeMap<String, Family>> {
        self.0.families.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn series(&self, name: &str, labels: Labels, make: impl FnOnce(&Family) -> Series) -> Series {
        let mut families = self.families();
        let family = families.entry(name.to_owned()).or_default();
        if let Some(series) = family.series.get(&labels) {
            return series.clone();
        }
        let series = make(family);
        family.series.insert(labels, series.clone());
        series
    }

    // A name that was registered as another kind gets a handle that counts nowhere: exposing both would be invalid.
    fn counter_of(&self, name: &str, labels: Labels) -> Counter {
        match self.series(name, labels, |_| Series::Counter(Arc::default())) {
            Series::Counter(value) => Counter::from_arc(Arc::new(CounterValue(value))),
            _ => Counter::noop(),
        }
    }

    fn gauge_of(&self, name: &str, labels: Labels) -> Gauge {
        match self.series(name, labels, |_| Series::Gauge(Arc::default())) {
            Series::Gauge(value) => Gauge::from_arc(Arc::new(GaugeValue(value))),
            _ => Gauge::noop(),
        }
    }

    fn histogram_of(&self, name: &str, labels: Labels) -> Histogram {
        let make = |family: &Family| Series::Histogram(Arc::new(Buckets::new(family.bounds.unwrap_or(SECONDS_BOUNDS))));
        match self.series(name, labels, make) {
            Series::Histogram(buckets) => Histogram::from_arc(buckets),
            _ => Histogram::noop(),
        }
    }
}

fn own(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn labels_of(key: &Key) -> Labels {
    key.labels().map(|label: &Label| (label.key().to_owned(), label.value().to_owned())).collect()
}

impl metrics::Recorder for Telemetry {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe(key.as_str(), unit, &description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe(key.as_str(), unit, &description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe(key.as_str(), unit, &description);
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        self.counter_of(key.name(), labels_of(key))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        self.gauge_of(key.name(), labels_of(key))
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        self.histogram_of(key.name(), labels_of(key))
    }
}

/// A monotone count. `absolute` never goes back.
struct CounterValue(Arc<AtomicU64>);

impl CounterFn for CounterValue {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}

/// The bits of an `f64`.
struct GaugeValue(Arc<AtomicU64>);

impl GaugeValue {
    fn update(&self, change: impl Fn(f64) -> f64) {
        add(&self.0, change);
    }
}

impl GaugeFn for GaugeValue {
    fn increment(&self, value: f64) {
        self.update(|now| now + value);
    }

    fn decrement(&self, value: f64) {
        self.update(|now| now - value);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

/// Changes an `f64` kept as bits.
fn add(bits: &AtomicU64, change: impl Fn(f64) -> f64) {
    let changed = |now| Some(change(f64::from_bits(now)).to_bits());
    // The closure never returns `None`, so this always succeeds.
    let _ = bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
}

/// A histogram with fixed bounds. Counts are per bucket, not cumulative.
pub(super) struct Buckets {
    pub(super) bounds: &'static [f64],
    pub(super) counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

impl Buckets {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Buckets { bounds, counts, sum: AtomicU64::new(0f64.to_bits()) }
    }

    pub(super) fn sum(&self) -> f64 {
        f64::from_bits(self.sum.load(Ordering::Relaxed))
    }
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        let bucket = self.bounds.partition_point(|&bound| bound < value);
        self.counts[bucket].fetch_add(count as u64, Ordering::Relaxed);
        add(&self.sum, |sum| sum + value * count as f64);
    }
}
