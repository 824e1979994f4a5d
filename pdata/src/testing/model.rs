//! What an [`Edit`] does, on the generated types.

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::{Decoded, Edit};

impl Decoded {
    /// The request after one step. Parents that had children and lost them all go too.
    #[must_use]
    pub fn edited(mut self, edit: Edit) -> Self {
        match &mut self {
            Decoded::Traces(request) => request.resource_spans.retain_mut(|group| {
                if !resource(edit, &mut group.resource, &mut group.schema_url) {
                    return false;
                }
                let resource = attributes_of(&group.resource);
                retain(&mut group.scope_spans, |group| {
                    scope(edit, &mut group.scope, &mut group.schema_url)
                        && retain(&mut group.spans, |span| {
                            keeps_item(edit, resource, &group.scope, None)
                                && item(edit, span.start_time_unix_nano, &mut span.attributes)
                        })
                })
            }),
            Decoded::Logs(request) => request.resource_logs.retain_mut(|group| {
                if !resource(edit, &mut group.resource, &mut group.schema_url) {
                    return false;
                }
                let resource = attributes_of(&group.resource);
                retain(&mut group.scope_logs, |group| {
                    scope(edit, &mut group.scope, &mut group.schema_url)
                        && retain(&mut group.log_records, |record| {
                            keeps_item(edit, resource, &group.scope, None)
                                && item(edit, record.time_unix_nano, &mut record.attributes)
                        })
                })
            }),
            Decoded::Metrics(request) => request.resource_metrics.retain_mut(|group| {
                if !resource(edit, &mut group.resource, &mut group.schema_url) {
                    return false;
                }
                let resource = attributes_of(&group.resource);
                retain(&mut group.scope_metrics, |group| {
                    scope(edit, &mut group.scope, &mut group.schema_url)
                        && retain(&mut group.metrics, |metric| {
                            keeps_metric(edit, metric) && keeps_points(edit, resource, &group.scope, metric)
                        })
                })
            }),
        }
        self
    }
}

/// Keeps the children that `keep` says; false if there were some and none is left.
fn retain<T>(children: &mut Vec<T>, keep: impl FnMut(&mut T) -> bool) -> bool {
    let before = children.len();
    children.retain_mut(keep);
    before == 0 || !children.is_empty()
}

fn attributes_of(resource: &Option<Resource>) -> &[KeyValue] {
    resource.as_ref().map_or(&[], |resource| &resource.attributes)
}

fn has(pairs: &[KeyValue], key: &str) -> bool {
    pairs.iter().any(|pair| pair.key == key)
}

fn set(pairs: &mut Vec<KeyValue>, key: &str, value: any_value::Value) {
    let pair = KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 };
    match pairs.iter_mut().find(|pair| pair.key == key) {
        Some(first) => *first = pair,
        None => pairs.push(pair),
    }
}

fn resource(edit: Edit, resource: &mut Option<Resource>, schema_url: &mut String) -> bool {
    match edit {
        Edit::DropResourcesWith(key) => return !has(attributes_of(resource), key),
        Edit::SetResourceAttribute(key, value) => {
            let value = any_value::Value::StringValue(value.to_owned());
            set(&mut resource.get_or_insert_default().attributes, key, value);
        }
        Edit::RemoveResourceAttribute(key) => {
            if let Some(resource) = resource {
                resource.attributes.retain(|pair| pair.key != key);
            }
        }
        Edit::SetResourceSchemaUrl(url) => *schema_url = url.to_owned(),
        _ => {}
    }
    true
}

fn scope_name(scope: &Option<InstrumentationScope>) -> &str {
    scope.as_ref().map_or("", |scope| &scope.name)
}

fn scope(edit: Edit, scope: &mut Option<InstrumentationScope>, schema_url: &mut String) -> bool {
    match edit {
        Edit::DropScopes(name) => return scope_name(scope) != name,
        Edit::SetScopeName(name) => scope.get_or_insert_default().name = name.to_owned(),
        Edit::SetScopeSchemaUrl(url) => *schema_url = url.to_owned(),
        _ => {}
    }
    true
}

/// What an item's surroundings decide.
fn keeps_item(edit: Edit, resource: &[KeyValue], scope: &Option<InstrumentationScope>, metric: Option<&str>) -> bool {
    match edit {
        Edit::DropItemsOf(key) => !has(resource, key),
        Edit::DropItemsIn(name) => scope_name(scope) != name,
        Edit::DropPointsOf(name) => metric != Some(name),
        _ => true,
    }
}

fn item(edit: Edit, time: u64, attributes: &mut Vec<KeyValue>) -> bool {
    match edit {
        Edit::DropItemsAt(multiple) => return !time.is_multiple_of(multiple),
        Edit::DropItemsWith(key) => return !has(attributes, key),
        Edit::SetItemAttribute(key, value) => set(attributes, key, any_value::Value::IntValue(value)),
        Edit::RemoveItemAttribute(key) => attributes.retain(|pair| pair.key != key),
        _ => {}
    }
    true
}

fn keeps_metric(edit: Edit, metric: &mut Metric) -> bool {
    use metric::Data;
    match edit {
        Edit::DropMetrics(name) => return metric.name != name,
        Edit::SetMetricName(name) => metric.name = name.to_owned(),
        Edit::DropMetricsBelow(least) => {
            let points = match &metric.data {
                None => 0,
                Some(Data::Gauge(data)) => data.data_points.len(),
                Some(Data::Sum(data)) => data.data_points.len(),
                Some(Data::Histogram(data)) => data.data_points.len(),
                Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
                Some(Data::Summary(data)) => data.data_points.len(),
            };
            return points >= least;
        }
        Edit::MakeDelta => match &mut metric.data {
            Some(Data::Sum(data)) => data.aggregation_temporality = 1,
            Some(Data::Histogram(data)) => data.aggregation_temporality = 1,
            Some(Data::ExponentialHistogram(data)) => data.aggregation_temporality = 1,
            _ => {}
        },
        _ => {}
    }
    true
}

fn keeps_points(edit: Edit, resource: &[KeyValue], scope: &Option<InstrumentationScope>, metric: &mut Metric) -> bool {
    use metric::Data;
    let name = Some(metric.name.as_str());
    // A macro, because the five kinds of points share fields but no type.
    macro_rules! points {
        ($data:expr) => {
            retain(&mut $data.data_points, |point| {
                keeps_item(edit, resource, scope, name) && item(edit, point.time_unix_nano, &mut point.attributes)
            })
        };
    }
    match &mut metric.data {
        None => true,
        Some(Data::Gauge(data)) => points!(data),
        Some(Data::Sum(data)) => points!(data),
        Some(Data::Histogram(data)) => points!(data),
        Some(Data::ExponentialHistogram(data)) => points!(data),
        Some(Data::Summary(data)) => points!(data),
    }
}
