//! Request, error and duration metrics: as they really are, from every span by hand; as a connector tells them.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, metric::Data, number_data_point};
use prost::Message as _;
use sluice_generator::oracle::TraceId;
use sluice_generator::shop::Export;
use sluice_pdata::Signal;
use sluice_pipeline::batch::Batch;

/// Service, span name, kind and status.
pub type Series = [String; 4];

/// Upper bounds of buckets, in milliseconds.
pub const BOUNDS: [f64; 5] = [5.0, 10.0, 50.0, 100.0, 400.0];

/// A span, as far as these metrics know it.
#[derive(Clone, Debug)]
pub struct Observed {
    pub series: Series,
    pub trace: TraceId,
    /// In milliseconds.
    pub duration: f64,
}

impl Observed {
    /// The bucket that it belongs to.
    pub fn bucket(&self) -> usize {
        BOUNDS.iter().position(|bound| self.duration <= *bound).unwrap_or(BOUNDS.len())
    }
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    let found = attributes.iter().find(|pair| pair.key == key);
    match found.and_then(|pair| pair.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key}: {other:?}"),
    }
}

/// Every span that arrived, as often as it did.
pub fn observed(exports: &[Export]) -> Vec<Observed> {
    const KINDS: [&str; 6] = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
    const STATUSES: [&str; 3] = ["UNSET", "OK", "ERROR"];
    let mut all = Vec::new();
    for export in exports.iter().filter(|export| export.signal == Signal::Traces) {
        for group in ExportTraceServiceRequest::decode(&export.bytes[..]).unwrap().resource_spans {
            let service = text(&group.resource.unwrap().attributes, "service.name").to_owned();
            for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let status = span.status.map_or(0, |status| status.code);
                let kind = format!("SPAN_KIND_{}", KINDS[span.kind as usize]);
                let status = format!("STATUS_CODE_{}", STATUSES[status as usize]);
                all.push(Observed {
                    series: [service.clone(), span.name, kind, status],
                    trace: span.trace_id.try_into().unwrap(),
                    duration: (span.end_time_unix_nano - span.start_time_unix_nano) as f64 / 1e6,
                });
            }
        }
    }
    all
}

/// The last state of all series.
#[derive(Debug, Default)]
pub struct Told {
    pub calls: BTreeMap<Series, f64>,
    pub buckets: BTreeMap<(Series, usize), f64>,
    pub sums: BTreeMap<Series, f64>,
    /// The exemplars of each series of a metric, in the order in which they came.
    pub exemplars: BTreeMap<(String, Series), Vec<Exemplar>>,
}

impl Told {
    /// Reads cumulative metrics of a `span_metrics`, in order.
    pub fn of(batches: &[Batch]) -> Self {
        let mut told = Told::default();
        batches.iter().for_each(|batch| told.add(&ExportMetricsServiceRequest::decode(&batch.bytes()[..]).unwrap()));
        told
    }

    fn add(&mut self, request: &ExportMetricsServiceRequest) {
        let series = |attributes: &[KeyValue]| {
            ["service.name", "span.name", "span.kind", "status.code"].map(|key| text(attributes, key).to_owned())
        };
        for metric in request.resource_metrics.iter().flat_map(|it| &it.scope_metrics).flat_map(|it| &it.metrics) {
            match metric.data.as_ref().unwrap() {
                Data::Sum(sum) => {
                    for point in &sum.data_points {
                        let Some(number_data_point::Value::AsInt(value)) = point.value else { panic!("{point:?}") };
                        let series = series(&point.attributes);
                        self.mark(&metric.name, &series, &point.exemplars);
                        self.calls.insert(series, value as f64);
                    }
                }
                Data::Histogram(histogram) => {
                    for point in &histogram.data_points {
                        let series = series(&point.attributes);
                        assert_eq!(point.explicit_bounds, BOUNDS);
                        for (bucket, count) in point.bucket_counts.iter().enumerate() {
                            self.buckets.insert((series.clone(), bucket), *count as f64);
                        }
                        self.mark(&metric.name, &series, &point.exemplars);
                        self.sums.insert(series, point.sum.unwrap());
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn mark(&mut self, metric: &str, series: &Series, exemplars: &[Exemplar]) {
        if !exemplars.is_empty() {
            self.exemplars.entry((metric.to_owned(), series.clone())).or_default().extend_from_slice(exemplars);
        }
    }
}

/// The traces that exemplars point to, of any metrics.
pub fn exemplar_traces(batches: &[Batch]) -> Vec<TraceId> {
    let mut found = Vec::new();
    for batch in batches {
        let request = ExportMetricsServiceRequest::decode(&batch.bytes()[..]).unwrap();
        let metrics = request.resource_metrics.iter().flat_map(|it| &it.scope_metrics).flat_map(|it| &it.metrics);
        let exemplars = metrics.flat_map(|metric| -> Vec<&Exemplar> {
            match metric.data.as_ref().unwrap() {
                Data::Sum(it) => it.data_points.iter().flat_map(|point| &point.exemplars).collect(),
                Data::Gauge(it) => it.data_points.iter().flat_map(|point| &point.exemplars).collect(),
                Data::Histogram(it) => it.data_points.iter().flat_map(|point| &point.exemplars).collect(),
                Data::ExponentialHistogram(it) => it.data_points.iter().flat_map(|point| &point.exemplars).collect(),
                Data::Summary(_) => Vec::new(),
            }
        });
        found.extend(exemplars.filter_map(|exemplar| TraceId::try_from(&exemplar.trace_id[..]).ok()));
    }
    found
}

/// The traces of spans.
pub fn span_traces(batches: &[Batch]) -> BTreeSet<TraceId> {
    let mut found = BTreeSet::new();
    for batch in batches {
        let request = ExportTraceServiceRequest::decode(&batch.bytes()[..]).unwrap();
        let spans = request.resource_spans.into_iter().flat_map(|it| it.scope_spans).flat_map(|it| it.spans);
        found.extend(spans.map(|span| TraceId::try_from(span.trace_id).unwrap()));
    }
    found
}
