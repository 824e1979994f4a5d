//! A walk over the generated types that names the place of every text: what planter and model share.

use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, metric::Data};
use opentelemetry_proto::tonic::resource::v1::Resource;
use sluice_pdata::testing::Decoded;

use crate::redaction::Place;

/// What is done to the parts of a request.
pub(super) trait Edit {
    fn text(&mut self, place: Place, text: &mut String);
    fn attributes(&mut self, place: Place, attributes: &mut Vec<KeyValue>);
    fn body(&mut self, body: &mut AnyValue);
}

pub(super) fn walk(request: &mut Decoded, edit: &mut impl Edit) {
    match request {
        Decoded::Traces(request) => {
            for group in &mut request.resource_spans {
                resource(&mut group.resource, &mut group.schema_url, edit);
                for group in &mut group.scope_spans {
                    scope(&mut group.scope, &mut group.schema_url, edit);
                    for span in &mut group.spans {
                        edit.text(Place::SpanTraceState, &mut span.trace_state);
                        edit.text(Place::SpanName, &mut span.name);
                        edit.attributes(Place::SpanAttribute, &mut span.attributes);
                        for event in &mut span.events {
                            edit.text(Place::EventName, &mut event.name);
                            edit.attributes(Place::EventAttribute, &mut event.attributes);
                        }
                        for link in &mut span.links {
                            edit.text(Place::LinkTraceState, &mut link.trace_state);
                            edit.attributes(Place::LinkAttribute, &mut link.attributes);
                        }
                        if let Some(status) = &mut span.status {
                            edit.text(Place::SpanStatus, &mut status.message);
                        }
                    }
                }
            }
        }
        Decoded::Logs(request) => {
            for group in &mut request.resource_logs {
                resource(&mut group.resource, &mut group.schema_url, edit);
                for group in &mut group.scope_logs {
                    scope(&mut group.scope, &mut group.schema_url, edit);
                    for record in &mut group.log_records {
                        edit.text(Place::LogSeverityText, &mut record.severity_text);
                        if let Some(body) = &mut record.body {
                            edit.body(body);
                        }
                        edit.attributes(Place::LogAttribute, &mut record.attributes);
                        edit.text(Place::LogEventName, &mut record.event_name);
                    }
                }
            }
        }
        Decoded::Metrics(request) => {
            for group in &mut request.resource_metrics {
                resource(&mut group.resource, &mut group.schema_url, edit);
                for group in &mut group.scope_metrics {
                    scope(&mut group.scope, &mut group.schema_url, edit);
                    for metric in &mut group.metrics {
                        edit.text(Place::MetricName, &mut metric.name);
                        edit.text(Place::MetricDescription, &mut metric.description);
                        edit.text(Place::MetricUnit, &mut metric.unit);
                        edit.attributes(Place::MetricMetadata, &mut metric.metadata);
                        points(&mut metric.data, edit);
                    }
                }
            }
        }
    }
}

fn points(data: &mut Option<Data>, edit: &mut impl Edit) {
    match data {
        Some(Data::Gauge(gauge)) => {
            for point in &mut gauge.data_points {
                edit.attributes(Place::DatapointAttribute, &mut point.attributes);
                exemplars(&mut point.exemplars, edit);
            }
        }
        Some(Data::Sum(sum)) => {
            for point in &mut sum.data_points {
                edit.attributes(Place::DatapointAttribute, &mut point.attributes);
                exemplars(&mut point.exemplars, edit);
            }
        }
        Some(Data::Histogram(histogram)) => {
            for point in &mut histogram.data_points {
                edit.attributes(Place::DatapointAttribute, &mut point.attributes);
                exemplars(&mut point.exemplars, edit);
            }
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            for point in &mut histogram.data_points {
                edit.attributes(Place::DatapointAttribute, &mut point.attributes);
                exemplars(&mut point.exemplars, edit);
            }
        }
        Some(Data::Summary(summary)) => {
            for point in &mut summary.data_points {
                edit.attributes(Place::DatapointAttribute, &mut point.attributes);
            }
        }
        None => {}
    }
}

fn exemplars(exemplars: &mut [Exemplar], edit: &mut impl Edit) {
    for exemplar in exemplars {
        edit.attributes(Place::ExemplarAttribute, &mut exemplar.filtered_attributes);
    }
}

fn resource(resource: &mut Option<Resource>, schema_url: &mut String, edit: &mut impl Edit) {
    if let Some(resource) = resource {
        edit.attributes(Place::ResourceAttribute, &mut resource.attributes);
        for EntityRef { schema_url, r#type, id_keys, description_keys } in &mut resource.entity_refs {
            edit.text(Place::ResourceSchemaUrl, schema_url);
            edit.text(Place::ResourceEntity, r#type);
            id_keys.iter_mut().chain(description_keys).for_each(|key| edit.text(Place::Key, key));
        }
    }
    edit.text(Place::ResourceSchemaUrl, schema_url);
}

fn scope(scope: &mut Option<InstrumentationScope>, schema_url: &mut String, edit: &mut impl Edit) {
    if let Some(scope) = scope {
        edit.text(Place::ScopeName, &mut scope.name);
        edit.text(Place::ScopeVersion, &mut scope.version);
        edit.attributes(Place::ScopeAttribute, &mut scope.attributes);
    }
    edit.text(Place::ScopeSchemaUrl, schema_url);
}
