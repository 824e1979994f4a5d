//! What views do not tell apart, made equal in the oracle.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric, metric};

use super::Decoded;

impl Decoded {
    /// The request with every absent resource, scope, body and attribute value made present and empty, and every temporality
    /// that the enumeration lacks made unspecified.
    #[must_use]
    pub fn as_views_tell(mut self) -> Self {
        match &mut self {
            Decoded::Traces(request) => {
                for group in &mut request.resource_spans {
                    pairs(&mut group.resource.get_or_insert_default().attributes);
                    for group in &mut group.scope_spans {
                        pairs(&mut group.scope.get_or_insert_default().attributes);
                        for span in &mut group.spans {
                            pairs(&mut span.attributes);
                            span.events.iter_mut().for_each(|event| pairs(&mut event.attributes));
                            span.links.iter_mut().for_each(|link| pairs(&mut link.attributes));
                        }
                    }
                }
            }
            Decoded::Logs(request) => {
                for group in &mut request.resource_logs {
                    pairs(&mut group.resource.get_or_insert_default().attributes);
                    for group in &mut group.scope_logs {
                        pairs(&mut group.scope.get_or_insert_default().attributes);
                        for record in &mut group.log_records {
                            pairs(&mut record.attributes);
                            value(record.body.get_or_insert_default());
                        }
                    }
                }
            }
            Decoded::Metrics(request) => {
                for group in &mut request.resource_metrics {
                    pairs(&mut group.resource.get_or_insert_default().attributes);
                    for group in &mut group.scope_metrics {
                        pairs(&mut group.scope.get_or_insert_default().attributes);
                        group.metrics.iter_mut().for_each(forget_in_metric);
                    }
                }
            }
        }
        self
    }
}

fn pairs(pairs: &mut [KeyValue]) {
    pairs.iter_mut().for_each(|pair| value(pair.value.get_or_insert_default()));
}

fn value(found: &mut AnyValue) {
    match &mut found.value {
        Some(any_value::Value::ArrayValue(array)) => array.values.iter_mut().for_each(value),
        Some(any_value::Value::KvlistValue(list)) => pairs(&mut list.values),
        _ => {}
    }
}

fn exemplars(exemplars: &mut [Exemplar]) {
    exemplars.iter_mut().for_each(|exemplar| pairs(&mut exemplar.filtered_attributes));
}

fn temporality(number: &mut i32) {
    if !(0..=2).contains(number) {
        *number = 0;
    }
}

fn forget_in_metric(metric: &mut Metric) {
    pairs(&mut metric.metadata);
    let number_points = match &mut metric.data {
        Some(metric::Data::Gauge(data)) => &mut data.data_points,
        Some(metric::Data::Sum(data)) => {
            temporality(&mut data.aggregation_temporality);
            &mut data.data_points
        }
        Some(metric::Data::Histogram(data)) => {
            temporality(&mut data.aggregation_temporality);
            for point in &mut data.data_points {
                pairs(&mut point.attributes);
                exemplars(&mut point.exemplars);
            }
            return;
        }
        Some(metric::Data::ExponentialHistogram(data)) => {
            temporality(&mut data.aggregation_temporality);
            for point in &mut data.data_points {
                pairs(&mut point.attributes);
                exemplars(&mut point.exemplars);
            }
            return;
        }
        Some(metric::Data::Summary(data)) => {
            data.data_points.iter_mut().for_each(|point| pairs(&mut point.attributes));
            return;
        }
        None => return,
    };
    for point in number_points {
        pairs(&mut point.attributes);
        exemplars(&mut point.exemplars);
    }
}
