//! The translation, written plainly on decoded messages: what requests must hold.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    self as otlp, Metric, ResourceMetrics, ScopeMetrics, exemplar, metric, number_data_point,
};
use sluice_exporters::prometheus_remote_write::translate::{
    Compat, LabelNamer, MetricKind, NhcbOnV1, Options, number, unit::UnitWords,
};

use crate::read::{Exemplar, Native, Series, Value};

const STALE: u64 = 0x7ff0000000000002;

/// What a payload must become.
#[derive(Debug, Default)]
pub struct Expected {
    pub series: Vec<Series>,
    pub drops: BTreeMap<&'static str, usize>,
    pub points: usize,
}

type Labels = BTreeMap<String, String>;

/// How far each `target_info` series has been told, over all payloads.
pub type Latest = BTreeMap<Labels, i64>;

struct Model<'o> {
    options: &'o Options,
    version_2: bool,
    out: Expected,
    latest: &'o mut Latest,
}

/// What `request` must become in one of the versions.
pub fn expected(
    request: &ExportMetricsServiceRequest,
    options: &Options,
    version_2: bool,
    latest: &mut Latest,
) -> Expected {
    let mut model = Model { options, version_2, out: Expected::default(), latest };
    let mut told = BTreeSet::new();
    for resource in &request.resource_metrics {
        model.resource(resource, &mut told);
    }
    model.out.series.sort();
    model.out
}

fn get<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a KeyValue> {
    attributes.iter().find(|pair| pair.key == key)
}

fn text_of(value: &Option<AnyValue>) -> String {
    match value.as_ref().and_then(|value| value.value.as_ref()) {
        None | Some(any_value::Value::StringValueStrindex(_)) => String::new(),
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::BoolValue(value)) => value.to_string(),
        Some(any_value::Value::IntValue(value)) => value.to_string(),
        Some(any_value::Value::DoubleValue(value)) => double_text(*value),
        Some(any_value::Value::BytesValue(bytes)) => base64(bytes),
        Some(_) => json(value.as_ref().unwrap()).to_string(),
    }
}

fn double_text(value: f64) -> String {
    let mut out = Vec::new();
    number::double(&mut out, value);
    String::from_utf8(out).unwrap()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The JSON text that the Go Collector makes of a value.
fn json(value: &AnyValue) -> String {
    fn quoted(text: &str) -> String {
        let mut out = serde_json::to_string(text).unwrap();
        for (from, to) in [("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")] {
            out = out.replace(from, to);
        }
        out
    }
    match value.value.as_ref() {
        None | Some(any_value::Value::StringValueStrindex(_)) => "null".to_owned(),
        Some(any_value::Value::StringValue(text)) => quoted(text),
        Some(any_value::Value::BoolValue(value)) => value.to_string(),
        Some(any_value::Value::IntValue(value)) => value.to_string(),
        Some(any_value::Value::DoubleValue(value)) if value.is_finite() => double_text(*value),
        Some(any_value::Value::DoubleValue(_)) => "null".to_owned(),
        Some(any_value::Value::BytesValue(bytes)) => format!("\"{}\"", base64(bytes)),
        Some(any_value::Value::ArrayValue(array)) => {
            format!("[{}]", array.values.iter().map(json).collect::<Vec<_>>().join(","))
        }
        Some(any_value::Value::KvlistValue(list)) => {
            let map: BTreeMap<&str, String> = list
                .values
                .iter()
                .map(|pair| (pair.key.as_str(), json(pair.value.as_ref().unwrap_or(&AnyValue::default()))))
                .collect();
            let members: Vec<_> = map.iter().map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

/// Attributes in the order of their keys, joined where names collide. `None` if a key gives no name.
fn joined<'a>(attributes: impl Iterator<Item = &'a KeyValue>, namer: &LabelNamer) -> Option<Labels> {
    let mut sorted: Vec<_> = attributes.filter(|pair| pair.key != "__name__").collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    let mut labels = Labels::new();
    for pair in sorted {
        let value = text_of(&pair.value);
        let slot = labels.entry(namer.build(&pair.key)?).or_default();
        *slot = if slot.is_empty() { value } else { format!("{slot};{value}") };
    }
    Some(labels)
}

fn fill(labels: &mut Labels, name: String, value: String) {
    let slot = labels.entry(name).or_default();
    if slot.is_empty() {
        *slot = value;
    }
}

fn identify(labels: &mut Labels, resource: &[KeyValue]) {
    let value = |key| get(resource, key).map(|pair| text_of(&pair.value));
    if let Some(name) = value("service.name") {
        let job = value("service.namespace").map_or(name.clone(), |namespace| format!("{namespace}/{name}"));
        if !job.is_empty() {
            labels.insert("job".to_owned(), job);
        }
    }
    if let Some(instance) = value("service.instance.id").filter(|instance| !instance.is_empty()) {
        labels.insert("instance".to_owned(), instance);
    }
}

/// What a series is called and what is said about it.
struct Family {
    name: String,
    metadata: (i32, String, String),
    scraped: bool,
}

/// Times of a point.
#[derive(Clone, Copy)]
struct Times {
    timestamp: i64,
    start: i64,
}

fn millis(nanos: u64) -> i64 {
    (nanos / 1_000_000) as i64
}

fn times(start: u64, time: u64, cumulative: bool) -> Times {
    let start = if cumulative && start != 0 && start <= time { millis(start).max(1) } else { 0 };
    Times { timestamp: millis(time), start }
}

impl Model<'_> {
    fn resource(&mut self, metrics: &ResourceMetrics, told: &mut BTreeSet<(Labels, i64)>) {
        let resource = metrics.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        let mut seen = Vec::new();
        for scope in &metrics.scope_metrics {
            for metric in &scope.metrics {
                self.metric(metric, resource, scope, &mut seen);
            }
        }
        seen.retain(|&nanos| nanos != 0);
        if let (true, Some(first), Some(last)) =
            (self.options.target_info, seen.iter().min().copied(), seen.iter().max().copied())
        {
            self.target_info(resource, millis(first), millis(last), told);
        }
    }

    fn target_info(&mut self, resource: &[KeyValue], first: i64, last: i64, told: &mut BTreeSet<(Labels, i64)>) {
        let identifying = |pair: &&KeyValue| {
            ["service.name", "service.namespace", "service.instance.id"].contains(&pair.key.as_str())
        };
        if resource.iter().all(|pair| identifying(&pair)) {
            return;
        }
        let keep = self.options.keep_identifying_resource_attributes;
        let namer = self.options.label_namer();
        let mut labels = Labels::new();
        let mut kept: Vec<_> = resource.iter().filter(|pair| keep || !identifying(pair)).collect();
        kept.retain(|pair| namer.build(&pair.key).is_some());
        labels.extend(joined(kept.into_iter(), &namer).unwrap());
        identify(&mut labels, resource);
        for (name, value) in &self.options.external_labels {
            fill(&mut labels, name.clone(), value.clone());
        }
        labels.insert("__name__".to_owned(), self.options.metric_namer().target_info());
        labels.retain(|_, value| !value.is_empty());
        if !labels.contains_key("job") && !labels.contains_key("instance") {
            return;
        }
        let steps = (last - first) / 150_000;
        let mut time = first + (steps - 1000).max(0) * 150_000;
        loop {
            let latest = self.latest.entry(labels.clone()).or_insert(time);
            let is_new = time >= *latest;
            *latest = time.max(*latest);
            if is_new && told.insert((labels.clone(), time)) {
                self.out.series.push(Series {
                    labels: labels.clone().into_iter().collect(),
                    timestamp: time,
                    start: 0,
                    value: Value::Sample(1f64.to_bits()),
                    exemplars: Vec::new(),
                    metadata: Some((2, "Target metadata".to_owned(), String::new())),
                });
            }
            if time >= last {
                return;
            }
            time = (time + 150_000).min(last);
        }
    }

    fn drop(&mut self, reason: &'static str, points: usize) {
        if points > 0 {
            *self.out.drops.entry(reason).or_default() += points;
        }
    }

    fn metric(&mut self, metric: &Metric, resource: &[KeyValue], scope: &ScopeMetrics, seen: &mut Vec<u64>) {
        use metric::Data;
        let Some(data) = &metric.data else { return };
        let hint = get(&metric.metadata, "prometheus.type").and_then(|pair| {
            match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(any_value::Value::StringValue(hint)) => Some(hint.clone()),
                _ => None,
            }
        });
        let (kind, number, count, temporality): (_, i32, _, _) = match data {
            Data::Gauge(gauge) => (MetricKind::Gauge, 2, gauge.data_points.len(), None),
            Data::Sum(sum) if sum.is_monotonic => {
                (MetricKind::Counter, 1, sum.data_points.len(), Some(sum.aggregation_temporality))
            }
            Data::Sum(sum) => (MetricKind::Other, 2, sum.data_points.len(), Some(sum.aggregation_temporality)),
            Data::Histogram(histogram) => {
                (MetricKind::Other, 3, histogram.data_points.len(), Some(histogram.aggregation_temporality))
            }
            Data::ExponentialHistogram(histogram) => {
                (MetricKind::Other, 3, histogram.data_points.len(), Some(histogram.aggregation_temporality))
            }
            Data::Summary(summary) => (MetricKind::Other, 5, summary.data_points.len(), None),
        };
        self.out.points += count;
        seen.extend(point_times(data));
        match temporality {
            None | Some(2) => {}
            Some(1) => return self.drop("delta_temporality", count),
            Some(_) => return self.drop("unspecified_temporality", count),
        }
        let name = match &hint {
            Some(_) => Some(metric.name.clone()).filter(|name| !name.is_empty()),
            None => self.options.metric_namer().build(&metric.name, &metric.unit, kind),
        };
        let Some(name) = name else { return self.drop("invalid_metric_name", count) };
        let number = match hint.as_deref() {
            None => number,
            Some("counter") => 1,
            Some("gauge") => 2,
            Some("histogram") => 3,
            Some("gaugehistogram") => 4,
            Some("summary") => 5,
            Some("info") => 6,
            Some("stateset") => 7,
            Some(_) => 0,
        };
        let custom = matches!(data, Data::Histogram(_)) && self.options.convert_histograms_to_nhcb;
        if custom && !self.version_2 && self.options.nhcb_on_v1 == NhcbOnV1::Drop {
            return self.drop("nhcb_v1", count);
        }
        let unit = UnitWords::escaped(&metric.unit, self.options.compat).joined();
        let family = Family { name, metadata: (number, metric.description.clone(), unit), scraped: hint.is_some() };
        match data {
            Data::Gauge(gauge) => {
                for point in &gauge.data_points {
                    let point = otlp::NumberDataPoint { exemplars: Vec::new(), ..point.clone() };
                    self.number(&family, &point, false, resource, scope);
                }
            }
            Data::Sum(sum) => {
                let counter = sum.is_monotonic;
                sum.data_points.iter().for_each(|point| self.number(&family, point, counter, resource, scope));
            }
            Data::Histogram(histogram) => {
                histogram.data_points.iter().for_each(|point| self.histogram(&family, point, resource, scope));
            }
            Data::ExponentialHistogram(histogram) => {
                for point in &histogram.data_points {
                    self.exponential(&family, point, resource, scope);
                }
            }
            Data::Summary(summary) => {
                summary.data_points.iter().for_each(|point| self.summary(&family, point, resource, scope));
            }
        }
    }

    fn namer(&self, family: &Family) -> LabelNamer {
        if family.scraped { LabelNamer::VERBATIM } else { self.options.label_namer() }
    }

    fn labels(
        &self,
        family: &Family,
        attributes: &[KeyValue],
        resource: &[KeyValue],
        metrics: &ScopeMetrics,
    ) -> Option<Labels> {
        let mut labels = joined(attributes.iter(), &self.namer(family))?;
        let namer = self.options.label_namer();
        let mut promoted = Labels::new();
        for pair in resource {
            if self.options.promotes(pair.key.as_bytes())
                && let Some(name) = namer.build(&pair.key)
            {
                promoted.insert(name, text_of(&pair.value));
            }
        }
        for (name, value) in promoted {
            fill(&mut labels, name, value);
        }
        identify(&mut labels, resource);
        for (name, value) in &self.options.external_labels {
            fill(&mut labels, name.clone(), value.clone());
        }
        let none = InstrumentationScope::default();
        let scope = metrics.scope.as_ref().unwrap_or(&none);
        if self.options.scope_labels && !scope.name.is_empty() {
            for pair in &scope.attributes {
                if let Some(name) = namer.build(&format!("otel_scope_{}", pair.key)) {
                    labels.insert(name, text_of(&pair.value));
                }
            }
            labels.insert("otel_scope_name".to_owned(), scope.name.clone());
            labels.insert("otel_scope_version".to_owned(), scope.version.clone());
            labels.insert("otel_scope_schema_url".to_owned(), metrics.schema_url.clone());
        }
        Some(labels)
    }

    fn push(
        &mut self,
        family: &Family,
        (labels, suffix, extra): (&Labels, &str, Option<(&str, String)>),
        times: Times,
        value: Value,
        exemplars: Vec<Exemplar>,
    ) {
        let mut labels = labels.clone();
        if let Some((name, value)) = extra {
            labels.insert(name.to_owned(), value);
        }
        labels.insert("__name__".to_owned(), format!("{}{suffix}", family.name));
        labels.retain(|_, value| !value.is_empty());
        self.out.series.push(Series {
            labels: labels.into_iter().collect(),
            timestamp: times.timestamp,
            start: times.start,
            value,
            exemplars,
            metadata: Some(family.metadata.clone()),
        });
    }

    fn number(
        &mut self,
        family: &Family,
        point: &otlp::NumberDataPoint,
        counter: bool,
        resource: &[KeyValue],
        scope: &ScopeMetrics,
    ) {
        use number_data_point::Value as Number;
        let stale = point.flags & 1 != 0;
        let value = match point.value {
            _ if stale => f64::from_bits(STALE),
            Some(Number::AsDouble(value)) => value,
            Some(Number::AsInt(value)) => value as f64,
            None => return self.drop("empty_data_points", 1),
        };
        let Some(labels) = self.labels(family, &point.attributes, resource, scope) else {
            return self.drop("invalid_label_name", 1);
        };
        let exemplars = if self.options.send_exemplars {
            point.exemplars.iter().filter_map(|exemplar| self.exemplar(family, exemplar)).collect()
        } else {
            Vec::new()
        };
        let times = times(point.start_time_unix_nano, point.time_unix_nano, counter);
        self.push(family, (&labels, "", None), times, Value::Sample(value.to_bits()), exemplars);
    }

    fn histogram(
        &mut self,
        family: &Family,
        point: &otlp::HistogramDataPoint,
        resource: &[KeyValue],
        scope: &ScopeMetrics,
    ) {
        let Some(labels) = self.labels(family, &point.attributes, resource, scope) else {
            return self.drop("invalid_label_name", 1);
        };
        let stale = point.flags & 1 != 0;
        let value = |value: f64| Value::Sample(if stale { STALE } else { value.to_bits() });
        let times = times(point.start_time_unix_nano, point.time_unix_nano, true);
        if self.options.convert_histograms_to_nhcb
            && self.version_2
            && let Some(native) = self.custom_buckets(point)
        {
            let exemplars = self.native_exemplars(family, &point.exemplars);
            return self.push(family, (&labels, "", None), times, Value::Histogram(native), exemplars);
        }
        if point.sum.is_some() || stale {
            self.push(family, (&labels, "_sum", None), times, value(point.sum.unwrap_or(0.0)), Vec::new());
        }
        self.push(family, (&labels, "_count", None), times, value(point.count as f64), Vec::new());
        let mut exemplars: Vec<_> = point.exemplars.iter().filter(|_| self.options.send_exemplars).collect();
        exemplars.retain(|exemplar| exemplar.value.is_some());
        exemplars.sort_by(|a, b| exemplar_value(a).total_cmp(&exemplar_value(b)));
        let mut total = 0u64;
        for (bound, count) in point.explicit_bounds.iter().zip(&point.bucket_counts) {
            total = total.saturating_add(*count);
            if bound.is_nan() || *bound == f64::INFINITY {
                continue;
            }
            let mine = exemplars.iter().take_while(|exemplar| exemplar_value(exemplar) <= *bound).count();
            let mut mine: Vec<_> = exemplars.drain(..mine).collect();
            mine.sort_by_key(|exemplar| exemplar.time_unix_nano / 1_000_000);
            let mine = mine.into_iter().filter_map(|exemplar| self.exemplar(family, exemplar)).collect();
            let le = self.bound(*bound, family);
            self.push(family, (&labels, "_bucket", Some(("le", le))), times, value(total as f64), mine);
        }
        exemplars.sort_by_key(|exemplar| exemplar.time_unix_nano / 1_000_000);
        let rest = exemplars.into_iter().filter_map(|exemplar| self.exemplar(family, exemplar)).collect();
        let le = Some(("le", "+Inf".to_owned()));
        self.push(family, (&labels, "_bucket", le), times, value(point.count as f64), rest);
    }

    /// The histogram with custom buckets, if there can be one.
    fn custom_buckets(&self, point: &otlp::HistogramDataPoint) -> Option<Native> {
        let (bounds, counts) = (&point.explicit_bounds, &point.bucket_counts);
        let rising = (1..bounds.len()).all(|at| bounds[at - 1] < bounds[at]);
        let finite = !bounds.iter().any(|bound| bound.is_nan() || *bound == f64::INFINITY);
        let bare = bounds.is_empty() && counts.is_empty();
        let total: u128 = counts.iter().map(|count| u128::from(*count)).sum();
        let counted = (bare || counts.len() == bounds.len() + 1) && total <= i64::MAX as u128;
        let fits = rising && finite && counted;
        let positive = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let positive = positive.map(|(at, count)| (at as i64, *count as i64)).collect();
        let native = Native { schema: -53, positive, ..Native::default() };
        if point.flags & 1 != 0 {
            let specified = self.options.compat == Compat::OtelSpec;
            let native = if fits && !specified { native } else { Native { positive: BTreeMap::new(), ..native } };
            let custom =
                if fits && !specified { bounds.iter().map(|bound| bound.to_bits()).collect() } else { Vec::new() };
            return Some(Native { count: if specified { 0 } else { STALE }, sum: STALE, custom, ..native });
        }
        let agrees = if bare { point.count <= i64::MAX as u64 } else { total == u128::from(point.count) };
        if !fits || !agrees {
            return None;
        }
        let whole = || BTreeMap::from([(0, point.count as i64)]);
        let positive = if bare && point.count > 0 { whole() } else { native.positive };
        let custom = bounds.iter().map(|bound| bound.to_bits()).collect();
        Some(Native {
            count: point.count,
            sum: point.sum.unwrap_or(0.0).to_bits(),
            positive,
            custom,
            schema: -53,
            ..Native::default()
        })
    }

    /// Exemplars in the order of time, and of one time the lowest value first.
    fn native_exemplars(&self, family: &Family, exemplars: &[otlp::Exemplar]) -> Vec<Exemplar> {
        let mut sorted: Vec<_> = exemplars.iter().filter(|_| self.options.send_exemplars).collect();
        sorted.sort_by(|a, b| exemplar_value(a).total_cmp(&exemplar_value(b)));
        sorted.sort_by_key(|exemplar| exemplar.time_unix_nano / 1_000_000);
        sorted.into_iter().filter_map(|exemplar| self.exemplar(family, exemplar)).collect()
    }

    fn exponential(
        &mut self,
        family: &Family,
        point: &otlp::ExponentialHistogramDataPoint,
        resource: &[KeyValue],
        scope: &ScopeMetrics,
    ) {
        let stale = point.flags & 1 != 0;
        let specified = self.options.compat == Compat::OtelSpec;
        if point.scale < -4 {
            return self.drop("exponential_scale", 1);
        }
        if point.sum.is_none() && specified && !stale {
            return self.drop("missing_sum", 1);
        }
        let mut native = Native {
            count: if stale { STALE } else { point.count },
            sum: if stale { STALE } else { point.sum.unwrap_or(0.0).to_bits() },
            schema: point.scale.min(8),
            zero_threshold: 1e-128f64.to_bits(),
            zero_count: point.zero_count,
            ..Native::default()
        };
        if specified && point.zero_threshold != 0.0 {
            native.zero_threshold = point.zero_threshold.to_bits();
        }
        if specified && stale {
            native.count = 0;
        } else {
            for (side, out) in [(&point.positive, &mut native.positive), (&point.negative, &mut native.negative)] {
                match side.as_ref().map_or(Some(BTreeMap::new()), |side| buckets(side, point.scale)) {
                    Some(buckets) => *out = buckets,
                    None => return self.drop("invalid", 1),
                }
            }
        }
        let Some(labels) = self.labels(family, &point.attributes, resource, scope) else {
            return self.drop("invalid_label_name", 1);
        };
        let times = times(point.start_time_unix_nano, point.time_unix_nano, true);
        let exemplars = self.native_exemplars(family, &point.exemplars);
        self.push(family, (&labels, "", None), times, Value::Histogram(native), exemplars);
    }

    fn summary(
        &mut self,
        family: &Family,
        point: &otlp::SummaryDataPoint,
        resource: &[KeyValue],
        scope: &ScopeMetrics,
    ) {
        let Some(labels) = self.labels(family, &point.attributes, resource, scope) else {
            return self.drop("invalid_label_name", 1);
        };
        let stale = point.flags & 1 != 0;
        let value = |value: f64| Value::Sample(if stale { STALE } else { value.to_bits() });
        let times = times(0, point.time_unix_nano, false);
        self.push(family, (&labels, "_sum", None), times, value(point.sum), Vec::new());
        self.push(family, (&labels, "_count", None), times, value(point.count as f64), Vec::new());
        for quantile in &point.quantile_values {
            let text = self.bound(quantile.quantile, family);
            self.push(family, (&labels, "", Some(("quantile", text))), times, value(quantile.value), Vec::new());
        }
    }

    fn bound(&self, bound: f64, family: &Family) -> String {
        let mut out = Vec::new();
        number::bound(&mut out, bound, self.options.le_format, family.scraped);
        String::from_utf8(out).unwrap()
    }

    fn exemplar(&self, family: &Family, exemplar: &otlp::Exemplar) -> Option<Exemplar> {
        exemplar.value?;
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let size =
            |labels: &Labels| labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        let mut labels = Labels::new();
        for (name, id) in [("trace_id", &exemplar.trace_id), ("span_id", &exemplar.span_id)] {
            let mut with = labels.clone();
            with.insert(name.to_owned(), hex(id));
            let size: usize = size(&with);
            if id.iter().any(|byte| *byte != 0) && size <= 128 {
                labels = with;
            }
        }
        let mut with = labels.clone();
        for pair in &exemplar.filtered_attributes {
            if let Some(name) = self.namer(family).build(&pair.key)
                && with.get(&name).is_none_or(String::is_empty)
            {
                with.insert(name, text_of(&pair.value));
            }
        }
        with.retain(|_, value| !value.is_empty());
        let size: usize = size(&with);
        let labels = if size <= 128 { with } else { labels };
        Some(Exemplar {
            labels: labels.into_iter().collect(),
            value: exemplar_value(exemplar).to_bits(),
            timestamp: millis(exemplar.time_unix_nano),
        })
    }
}

/// Counts by Prometheus' bucket index; `None` if an index or a count has no room.
fn buckets(side: &otlp::exponential_histogram_data_point::Buckets, scale: i32) -> Option<BTreeMap<i64, i64>> {
    let mut all = BTreeMap::<i64, i64>::new();
    for (at, count) in side.bucket_counts.iter().enumerate() {
        let count = i64::try_from(*count).ok()?;
        let index = (i64::from(side.offset) + at as i64).div_euclid(1 << (scale - 8).clamp(0, 31)) + 1;
        if count > 0 {
            let slot = all.entry(index).or_default();
            *slot = slot.checked_add(count)?;
        }
    }
    all.last_key_value().is_none_or(|(index, _)| i32::try_from(*index).is_ok()).then_some(all)
}

fn exemplar_value(exemplar: &otlp::Exemplar) -> f64 {
    match exemplar.value {
        None => 0.0,
        Some(exemplar::Value::AsDouble(value)) => value,
        Some(exemplar::Value::AsInt(value)) => value as f64,
    }
}

fn point_times(data: &metric::Data) -> Vec<u64> {
    use metric::Data;
    match data {
        Data::Gauge(gauge) => gauge.data_points.iter().map(|point| point.time_unix_nano).collect(),
        Data::Sum(sum) => sum.data_points.iter().map(|point| point.time_unix_nano).collect(),
        Data::Histogram(histogram) => histogram.data_points.iter().map(|point| point.time_unix_nano).collect(),
        Data::ExponentialHistogram(histogram) => {
            histogram.data_points.iter().map(|point| point.time_unix_nano).collect()
        }
        Data::Summary(summary) => summary.data_points.iter().map(|point| point.time_unix_nano).collect(),
    }
}
