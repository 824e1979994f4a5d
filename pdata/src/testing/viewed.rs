//! A request read through every accessor of every view, put into the generated types to be compared with [`Decoded`].

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

use super::Decoded;
use crate::error::Error;
use crate::signal::Signal;
use crate::tags;
use crate::view::{
    AnyValueView, AttributesView, BucketsView, DataView, ExemplarView, ExponentialHistogramDataPointView,
    HistogramDataPointView, KeyValueView, LogsView, MetricView, MetricsView, NumberDataPointView, NumberValue,
    ResourceView, ScopeView, SpanView, SummaryDataPointView, TracesView, text,
};
use crate::wire::{Value, fields};

/// Reads a request with plain envelopes through the views. Equals `Decoded::new(signal, request)` up to four things that
/// views do not tell apart: an absent resource, scope, attribute value or body and an empty one; an unknown temporality and
/// none. [`Decoded::as_views_tell`] makes the oracle forget the same.
///
/// # Errors
/// Malformed bytes that a view met.
pub fn viewed(signal: Signal, request: &[u8]) -> Result<Decoded, Error> {
    Ok(match signal {
        Signal::Traces => Decoded::Traces(traces(request)?),
        Signal::Logs => Decoded::Logs(logs(request)?),
        Signal::Metrics => Decoded::Metrics(metrics(request)?),
    })
}

fn string(bytes: &[u8]) -> String {
    text(bytes).into_owned()
}

fn attributes(view: AttributesView<'_>) -> Result<Vec<KeyValue>, Error> {
    view.iter().map(|pair| key_value(pair?)).collect()
}

fn key_value(pair: KeyValueView<'_>) -> Result<KeyValue, Error> {
    // No view has the reference into a string table; it belongs to the profiles signal.
    let mut key_strindex = 0;
    for field in fields(pair.bytes()) {
        if let (tags::key_value::KEY_STRINDEX, Value::Varint(value)) = (field?.number, field?.value) {
            key_strindex = value as i32;
        }
    }
    Ok(KeyValue { key: string(pair.key()), value: Some(any_value(pair.value()?)?), key_strindex })
}

fn any_value(view: AnyValueView<'_>) -> Result<AnyValue, Error> {
    use any_value::Value as V;
    let value = match view {
        AnyValueView::Empty => None,
        AnyValueView::Str(text) => Some(V::StringValue(string(text))),
        AnyValueView::Bool(value) => Some(V::BoolValue(value)),
        AnyValueView::Int(value) => Some(V::IntValue(value)),
        AnyValueView::Double(value) => Some(V::DoubleValue(value)),
        AnyValueView::Bytes(bytes) => Some(V::BytesValue(bytes.to_vec())),
        AnyValueView::StrIndex(index) => Some(V::StringValueStrindex(index)),
        AnyValueView::Array(elements) => {
            let values = elements.values().map(|value| any_value(value?)).collect::<Result<_, _>>()?;
            Some(V::ArrayValue(ArrayValue { values }))
        }
        AnyValueView::KvList(elements) => {
            let values = elements.key_values().map(|pair| key_value(pair?)).collect::<Result<_, _>>()?;
            Some(V::KvlistValue(KeyValueList { values }))
        }
    };
    Ok(AnyValue { value })
}

fn resource(view: ResourceView<'_>) -> Result<Option<Resource>, Error> {
    let mut entity_refs = Vec::new();
    for field in fields(view.0) {
        if let (tags::resource::ENTITY_REFS, Value::Len(payload)) = (field?.number, field?.value) {
            entity_refs.extend(EntityRef::decode(payload)); // views do not have these
        }
    }
    Ok(Some(Resource {
        attributes: attributes(view.attributes())?,
        dropped_attributes_count: view.dropped_attributes_count()?,
        entity_refs,
    }))
}

fn scope(view: ScopeView<'_>) -> Result<Option<InstrumentationScope>, Error> {
    Ok(Some(InstrumentationScope {
        name: string(view.name()?),
        version: string(view.version()?),
        attributes: attributes(view.attributes())?,
        dropped_attributes_count: view.dropped_attributes_count()?,
    }))
}

fn traces(request: &[u8]) -> Result<ExportTraceServiceRequest, Error> {
    let mut out = ExportTraceServiceRequest::default();
    for group in TracesView(request).resource_spans() {
        let group = group?;
        let mut spans = ResourceSpans {
            resource: resource(group.resource()?)?,
            scope_spans: Vec::new(),
            schema_url: string(group.schema_url()?),
        };
        for group in group.scope_spans() {
            let group = group?;
            spans.scope_spans.push(ScopeSpans {
                scope: scope(group.scope()?)?,
                spans: group.spans().map(|view| span(view?)).collect::<Result<_, _>>()?,
                schema_url: string(group.schema_url()?),
            });
        }
        out.resource_spans.push(spans);
    }
    Ok(out)
}

fn span(view: SpanView<'_>) -> Result<Span, Error> {
    let events = view.events().map(|view| {
        let view = view?;
        Ok(Event {
            time_unix_nano: view.time_unix_nano,
            name: string(view.name),
            attributes: attributes(view.attributes())?,
            dropped_attributes_count: view.dropped_attributes_count,
        })
    });
    let links = view.links().map(|view| {
        let view = view?;
        Ok(Link {
            trace_id: view.trace_id.to_vec(),
            span_id: view.span_id.to_vec(),
            trace_state: string(view.trace_state),
            attributes: attributes(view.attributes())?,
            dropped_attributes_count: view.dropped_attributes_count,
            flags: view.flags,
        })
    });
    Ok(Span {
        trace_id: view.trace_id.to_vec(),
        span_id: view.span_id.to_vec(),
        trace_state: string(view.trace_state),
        parent_span_id: view.parent_span_id.to_vec(),
        flags: view.flags,
        name: string(view.name),
        kind: view.kind,
        start_time_unix_nano: view.start_time_unix_nano,
        end_time_unix_nano: view.end_time_unix_nano,
        attributes: attributes(view.attributes())?,
        dropped_attributes_count: view.dropped_attributes_count,
        events: events.collect::<Result<_, Error>>()?,
        dropped_events_count: view.dropped_events_count,
        links: links.collect::<Result<_, Error>>()?,
        dropped_links_count: view.dropped_links_count,
        status: view.status()?.map(|status| Status { message: string(status.message), code: status.code }),
    })
}

fn logs(request: &[u8]) -> Result<ExportLogsServiceRequest, Error> {
    let mut out = ExportLogsServiceRequest::default();
    for group in LogsView(request).resource_logs() {
        let group = group?;
        let mut logs = ResourceLogs {
            resource: resource(group.resource()?)?,
            scope_logs: Vec::new(),
            schema_url: string(group.schema_url()?),
        };
        for group in group.scope_logs() {
            let group = group?;
            let records = group.log_records().map(|view| {
                let view = view?;
                Ok(LogRecord {
                    time_unix_nano: view.time_unix_nano,
                    observed_time_unix_nano: view.observed_time_unix_nano,
                    severity_number: view.severity_number,
                    severity_text: string(view.severity_text),
                    body: Some(any_value(view.body()?)?),
                    attributes: attributes(view.attributes())?,
                    dropped_attributes_count: view.dropped_attributes_count,
                    flags: view.flags,
                    trace_id: view.trace_id.to_vec(),
                    span_id: view.span_id.to_vec(),
                    event_name: string(view.event_name),
                })
            });
            logs.scope_logs.push(ScopeLogs {
                scope: scope(group.scope()?)?,
                log_records: records.collect::<Result<_, Error>>()?,
                schema_url: string(group.schema_url()?),
            });
        }
        out.resource_logs.push(logs);
    }
    Ok(out)
}

fn metrics(request: &[u8]) -> Result<ExportMetricsServiceRequest, Error> {
    let mut out = ExportMetricsServiceRequest::default();
    for group in MetricsView(request).resource_metrics() {
        let group = group?;
        let mut metrics = ResourceMetrics {
            resource: resource(group.resource()?)?,
            scope_metrics: Vec::new(),
            schema_url: string(group.schema_url()?),
        };
        for group in group.scope_metrics() {
            let group = group?;
            metrics.scope_metrics.push(ScopeMetrics {
                scope: scope(group.scope()?)?,
                metrics: group.metrics().map(|view| metric(view?)).collect::<Result<_, _>>()?,
                schema_url: string(group.schema_url()?),
            });
        }
        out.resource_metrics.push(metrics);
    }
    Ok(out)
}

fn metric(view: MetricView<'_>) -> Result<Metric, Error> {
    let data = view.data()?;
    let aggregation_temporality = data.temporality().map_or(0, |temporality| temporality as i32);
    let data = match data {
        DataView::Empty => None,
        DataView::Gauge(_) => Some(metric::Data::Gauge(Gauge { data_points: points(data, number_point)? })),
        DataView::Sum { is_monotonic, .. } => Some(metric::Data::Sum(Sum {
            data_points: points(data, number_point)?,
            aggregation_temporality,
            is_monotonic,
        })),
        DataView::Histogram { .. } => Some(metric::Data::Histogram(Histogram {
            data_points: points(data, histogram_point)?,
            aggregation_temporality,
        })),
        DataView::ExponentialHistogram { .. } => Some(metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points: points(data, exponential_point)?,
            aggregation_temporality,
        })),
        DataView::Summary(_) => Some(metric::Data::Summary(Summary { data_points: points(data, summary_point)? })),
    };
    Ok(Metric {
        name: string(view.name),
        description: string(view.description),
        unit: string(view.unit),
        metadata: attributes(view.metadata())?,
        data,
    })
}

fn points<T>(data: DataView<'_>, point: impl Fn(&[u8]) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    data.points().map(|bytes| point(bytes?)).collect()
}

fn exemplars<'a>(views: impl Iterator<Item = Result<ExemplarView<'a>, Error>>) -> Result<Vec<Exemplar>, Error> {
    let exemplars = views.map(|view| {
        let view = view?;
        Ok(Exemplar {
            filtered_attributes: attributes(view.filtered_attributes())?,
            time_unix_nano: view.time_unix_nano,
            span_id: view.span_id.to_vec(),
            trace_id: view.trace_id.to_vec(),
            value: match view.value()? {
                NumberValue::Empty => None,
                NumberValue::Int(value) => Some(exemplar::Value::AsInt(value)),
                NumberValue::Double(value) => Some(exemplar::Value::AsDouble(value)),
            },
        })
    });
    exemplars.collect()
}

fn number_point(bytes: &[u8]) -> Result<NumberDataPoint, Error> {
    let view = NumberDataPointView::parse(bytes)?;
    Ok(NumberDataPoint {
        attributes: attributes(view.attributes())?,
        start_time_unix_nano: view.start_time_unix_nano,
        time_unix_nano: view.time_unix_nano,
        exemplars: exemplars(view.exemplars())?,
        flags: view.flags,
        value: match view.value()? {
            NumberValue::Empty => None,
            NumberValue::Int(value) => Some(number_data_point::Value::AsInt(value)),
            NumberValue::Double(value) => Some(number_data_point::Value::AsDouble(value)),
        },
    })
}

fn histogram_point(bytes: &[u8]) -> Result<HistogramDataPoint, Error> {
    let view = HistogramDataPointView::parse(bytes)?;
    Ok(HistogramDataPoint {
        attributes: attributes(view.attributes())?,
        start_time_unix_nano: view.start_time_unix_nano,
        time_unix_nano: view.time_unix_nano,
        count: view.count,
        sum: view.sum,
        bucket_counts: view.bucket_counts().collect::<Result<_, _>>()?,
        explicit_bounds: view.explicit_bounds().collect::<Result<_, _>>()?,
        exemplars: exemplars(view.exemplars())?,
        flags: view.flags,
        min: view.min,
        max: view.max,
    })
}

fn buckets(view: BucketsView<'_>) -> Result<Option<Buckets>, Error> {
    let buckets = Buckets { offset: view.offset()?, bucket_counts: view.counts().collect::<Result<_, _>>()? };
    Ok(view.is_present().then_some(buckets))
}

fn exponential_point(bytes: &[u8]) -> Result<ExponentialHistogramDataPoint, Error> {
    let view = ExponentialHistogramDataPointView::parse(bytes)?;
    Ok(ExponentialHistogramDataPoint {
        attributes: attributes(view.attributes())?,
        start_time_unix_nano: view.start_time_unix_nano,
        time_unix_nano: view.time_unix_nano,
        count: view.count,
        sum: view.sum,
        scale: view.scale,
        zero_count: view.zero_count,
        positive: buckets(view.positive())?,
        negative: buckets(view.negative())?,
        flags: view.flags,
        exemplars: exemplars(view.exemplars())?,
        min: view.min,
        max: view.max,
        zero_threshold: view.zero_threshold,
    })
}

fn summary_point(bytes: &[u8]) -> Result<SummaryDataPoint, Error> {
    let view = SummaryDataPointView::parse(bytes)?;
    let quantile_values = view.quantile_values().map(|view| {
        let view = view?;
        Ok(ValueAtQuantile { quantile: view.quantile, value: view.value })
    });
    Ok(SummaryDataPoint {
        attributes: attributes(view.attributes())?,
        start_time_unix_nano: view.start_time_unix_nano,
        time_unix_nano: view.time_unix_nano,
        count: view.count,
        sum: view.sum,
        quantile_values: quantile_values.collect::<Result<_, Error>>()?,
        flags: view.flags,
    })
}
