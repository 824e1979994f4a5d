//! Metrics that were seen before: names, types, units.

use std::collections::HashMap;

use ahash::RandomState;
use sluice_pdata::pass::Reason;
use sluice_pdata::view::{DataView, MetricView, Temporality, text};

use super::Malformed;
use crate::prometheus_remote_write::encode::{Encoder, MetricType};
use crate::prometheus_remote_write::translate::unit::UnitWords;
use crate::prometheus_remote_write::translate::{MetricKind, MetricNamer};

/// Metrics that are remembered from one payload to the next.
const MAX_METRICS: usize = 10_000;
/// Bytes of their names.
const MAX_BYTES: usize = 2 << 20;

/// Number of a metric; good until [`Metrics::trim`] forgets all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MetricId(u32);

/// Which of a metric's series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suffix {
    None,
    Bucket,
    Sum,
    Count,
}

const SUFFIXES: [&str; 4] = ["", "_bucket", "_sum", "_count"];

/// A metric under its Prometheus name.
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) metric_type: MetricType,
    /// The unit in words.
    pub(super) unit: String,
    /// When its metadata entry was sent, in milliseconds, and a hash of the help text it had.
    pub(super) metadata_sent: Option<(i64, u64)>,
    /// The `__name__` labels, by suffix.
    pieces: [Vec<u8>; 4],
    /// Which of them are there, a bit each.
    made: u8,
    epoch: u32,
}

impl Metric {
    /// The piece of the `__name__` label of one of the metric's series. [`Metrics::renew`] first.
    #[inline]
    pub(super) fn piece(&self, suffix: Suffix) -> &[u8] {
        &self.pieces[suffix as usize]
    }
}

/// Metrics by what their names depend on.
pub(super) struct Metrics {
    namer: MetricNamer,
    by_key: HashMap<Box<[u8]>, Option<MetricId>, RandomState>,
    metrics: Vec<Metric>,
    bytes: usize,
    key: Vec<u8>,
    label_name: Vec<u8>,
}

/// The five kinds of metrics, sums told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    /// A sum that may fall.
    Level,
    Histogram,
    Exponential,
    Summary,
    /// A histogram with explicit bounds that becomes a native one.
    CustomBuckets,
}

impl Kind {
    /// The kind of a metric's data, `None` if it has none.
    pub(super) fn of(data: DataView<'_>) -> Option<Kind> {
        Some(match data {
            DataView::Empty => return None,
            DataView::Gauge(_) => Kind::Gauge,
            DataView::Sum { is_monotonic: true, .. } => Kind::Counter,
            DataView::Sum { .. } => Kind::Level,
            DataView::Histogram { .. } => Kind::Histogram,
            DataView::ExponentialHistogram { .. } => Kind::Exponential,
            DataView::Summary(_) => Kind::Summary,
        })
    }

    fn metric_type(self) -> MetricType {
        match self {
            Kind::Gauge | Kind::Level => MetricType::Gauge,
            Kind::Counter => MetricType::Counter,
            Kind::Histogram | Kind::Exponential | Kind::CustomBuckets => MetricType::Histogram,
            Kind::Summary => MetricType::Summary,
        }
    }

    /// Which series it has, a bit for each [`Suffix`].
    fn suffixes(self) -> u8 {
        let bit = |suffix: Suffix| 1 << suffix as u8;
        match self {
            Kind::Histogram => bit(Suffix::Bucket) | bit(Suffix::Sum) | bit(Suffix::Count),
            Kind::Summary => bit(Suffix::None) | bit(Suffix::Sum) | bit(Suffix::Count),
            _ => bit(Suffix::None),
        }
    }

    fn naming(self) -> MetricKind {
        match self {
            Kind::Gauge => MetricKind::Gauge,
            Kind::Counter => MetricKind::Counter,
            _ => MetricKind::Other,
        }
    }
}

/// What data says of its origin: the type a metric had in Prometheus.
pub(super) fn type_hint(metric: &MetricView<'_>) -> Result<Option<MetricType>, Malformed> {
    let hint = metric.metadata().get(b"prometheus.type")?;
    Ok(hint.and_then(|value| value.as_str()).map(|hint| match hint {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"gaugehistogram" => MetricType::GaugeHistogram,
        b"summary" => MetricType::Summary,
        b"info" => MetricType::Info,
        b"stateset" => MetricType::StateSet,
        _ => MetricType::Unknown,
    }))
}

/// Why data of this temporality cannot be sent.
pub(super) fn temporality_fault(data: DataView<'_>) -> Option<Reason> {
    match data.temporality() {
        None | Some(Temporality::Cumulative) => None,
        Some(Temporality::Delta) => Some(super::drops::DELTA_TEMPORALITY),
        Some(Temporality::Unspecified) => Some(super::drops::UNSPECIFIED_TEMPORALITY),
    }
}

impl Metrics {
    pub(super) fn new(namer: MetricNamer) -> Self {
        Metrics {
            namer,
            by_key: HashMap::default(),
            metrics: Vec::new(),
            bytes: 0,
            key: Vec::new(),
            label_name: Vec::new(),
        }
    }

    /// Forgets all metrics if there are too many; ids are invalid then.
    pub(super) fn trim(&mut self) {
        if self.by_key.len() > MAX_METRICS || self.bytes > MAX_BYTES {
            self.by_key.clear();
            self.metrics.clear();
            self.bytes = 0;
        }
    }

    /// The metric of this name, unit and kind; `None` if no valid name can be made. `hint`: it has a Prometheus name already.
    pub(super) fn id(&mut self, metric: &MetricView<'_>, kind: Kind, hint: Option<MetricType>) -> Option<MetricId> {
        self.key.clear();
        self.key.extend_from_slice(&[kind as u8, hint.map_or(u8::MAX, |hint| hint as u8)]);
        self.key.extend_from_slice(&(metric.unit.len() as u64).to_le_bytes());
        self.key.extend_from_slice(metric.unit);
        self.key.extend_from_slice(metric.name);
        if let Some(&known) = self.by_key.get(self.key.as_slice()) {
            return known;
        }
        let (name, unit) = (text(metric.name), text(metric.unit));
        let built = match hint {
            Some(_) => (!name.is_empty()).then(|| name.into_owned()),
            None => self.namer.build(&name, &unit, kind.naming()),
        };
        let id = built.map(|name| {
            self.bytes += 5 * name.len();
            self.metrics.push(Metric {
                name,
                metric_type: hint.unwrap_or_else(|| kind.metric_type()),
                unit: UnitWords::escaped(&unit, self.namer.compat).joined(),
                metadata_sent: None,
                pieces: Default::default(),
                made: 0,
                epoch: 0,
            });
            // Far fewer than 2^32: each takes at least a byte of a payload.
            MetricId(self.metrics.len() as u32 - 1)
        });
        self.bytes += self.key.len();
        self.by_key.insert(self.key.as_slice().into(), id);
        id
    }

    /// The metric itself.
    pub(super) fn get(&self, id: MetricId) -> &Metric {
        &self.metrics[id.0 as usize]
    }

    /// The metric itself.
    pub(super) fn get_mut(&mut self, id: MetricId) -> &mut Metric {
        &mut self.metrics[id.0 as usize]
    }

    /// Makes those pieces that are missing, and all anew if the encoder's epoch has changed.
    #[inline]
    pub(super) fn renew<E: Encoder>(&mut self, id: MetricId, kind: Kind, encoder: &mut E) {
        let metric = &mut self.metrics[id.0 as usize];
        if metric.epoch != encoder.epoch() {
            (metric.epoch, metric.made) = (encoder.epoch(), 0);
        }
        let missing = kind.suffixes() & !metric.made;
        if missing == 0 {
            return;
        }
        metric.made |= missing;
        self.label_name.clear();
        encoder.name("__name__", &mut self.label_name);
        let mut whole = Vec::with_capacity(metric.name.len() + 8);
        for suffix in [Suffix::None, Suffix::Bucket, Suffix::Sum, Suffix::Count] {
            if missing & 1 << suffix as u8 != 0 {
                let piece = &mut metric.pieces[suffix as usize];
                piece.clear();
                whole.clear();
                whole.extend_from_slice(metric.name.as_bytes());
                whole.extend_from_slice(SUFFIXES[suffix as usize].as_bytes());
                encoder.label(&self.label_name, &whole, piece);
            }
        }
    }
}
