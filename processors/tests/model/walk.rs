//! One step after another over a whole request, on the generated types.

use std::cell::Cell;

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use sluice_pdata::testing::{Decoded, Meaning};
use sluice_pipeline::Context;

use super::pairs::Pairs;
use super::tree::{Refused, Request, message, nodes, retain};

/// What is around a message, and where the request came from.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    pub context: &'a Context,
    /// To be set by every edit of attributes.
    pub touched: &'a Cell<bool>,
    pub resource: &'a Resource,
    pub resource_url: &'a str,
    pub scope: &'a InstrumentationScope,
    pub scope_url: &'a str,
    /// The metric of a data point, without its points.
    pub metric: Option<&'a Metric>,
}

/// A span, log record or data point.
pub enum Item<'a> {
    Span(&'a mut Span),
    Log(&'a mut LogRecord),
    Number(&'a mut NumberDataPoint),
    Histogram(&'a mut HistogramDataPoint),
    Exponential(&'a mut ExponentialHistogramDataPoint),
    Summary(&'a mut SummaryDataPoint),
}

impl Item<'_> {
    /// The attributes, and the number of their field.
    pub fn attributes(&mut self) -> (&mut Vec<KeyValue>, u32) {
        match self {
            Item::Span(span) => (&mut span.attributes, 9),
            Item::Log(record) => (&mut record.attributes, 6),
            Item::Number(point) => (&mut point.attributes, 7),
            Item::Histogram(point) => (&mut point.attributes, 9),
            Item::Exponential(point) => (&mut point.attributes, 1),
            Item::Summary(point) => (&mut point.attributes, 7),
        }
    }
}

/// The model of a processor. Each hook says whether the message stays.
pub trait Plain {
    /// The attributes of a resource.
    fn resource(&self, _: &Around<'_>, _: &mut Pairs<'_>) -> Result<bool, Refused> {
        Ok(true)
    }
    fn scope(&self, _: &Around<'_>) -> Result<bool, Refused> {
        Ok(true)
    }
    fn metric(&self, _: &Around<'_>, _: &Metric) -> Result<bool, Refused> {
        Ok(true)
    }
    fn item(&self, _: &Around<'_>, _: &mut Item<'_>, _: &mut Meaning) -> Result<bool, Refused> {
        Ok(true)
    }
}

/// Runs one step over a request. Parents that had children and lost them all go too.
pub fn run(step: &dyn Plain, request: &mut Request, context: &Context) -> Result<(), Refused> {
    let groups = nodes(&mut request.tree, 1);
    let touched = &request.touched;
    match &mut request.decoded {
        Decoded::Traces(decoded) => retain(&mut decoded.resource_spans, groups, |group, tree| {
            let group_url = group.schema_url.clone();
            let resource = (&mut group.resource, group_url.as_str());
            in_resource(step, (context, touched), resource, &mut group.scope_spans, tree, |around, group, tree| {
                let around = Around { scope: &scope(&group.scope), scope_url: &group.schema_url, ..around };
                Ok(step.scope(&around)?
                    && retain(&mut group.spans, nodes(tree, 2), |span, tree| {
                        step.item(&around, &mut Item::Span(span), tree)
                    })?)
            })
        }),
        Decoded::Logs(decoded) => retain(&mut decoded.resource_logs, groups, |group, tree| {
            let group_url = group.schema_url.clone();
            let resource = (&mut group.resource, group_url.as_str());
            in_resource(step, (context, touched), resource, &mut group.scope_logs, tree, |around, group, tree| {
                let around = Around { scope: &scope(&group.scope), scope_url: &group.schema_url, ..around };
                Ok(step.scope(&around)?
                    && retain(&mut group.log_records, nodes(tree, 2), |record, tree| {
                        step.item(&around, &mut Item::Log(record), tree)
                    })?)
            })
        }),
        Decoded::Metrics(decoded) => retain(&mut decoded.resource_metrics, groups, |group, tree| {
            let group_url = group.schema_url.clone();
            let resource = (&mut group.resource, group_url.as_str());
            in_resource(step, (context, touched), resource, &mut group.scope_metrics, tree, |around, group, tree| {
                let around = Around { scope: &scope(&group.scope), scope_url: &group.schema_url, ..around };
                Ok(step.scope(&around)?
                    && retain(&mut group.metrics, nodes(tree, 2), |metric, tree| {
                        Ok(step.metric(&around, metric)? && points(step, around, metric, tree)?)
                    })?)
            })
        }),
    }?;
    Ok(())
}

fn scope(scope: &Option<InstrumentationScope>) -> InstrumentationScope {
    scope.clone().unwrap_or_default()
}

/// Shows a resource, and then its scopes, which stand in field 2.
fn in_resource<T>(
    step: &dyn Plain,
    (context, touched): (&Context, &Cell<bool>),
    (resource, resource_url): (&mut Option<Resource>, &str),
    scopes: &mut Vec<T>,
    tree: &mut Meaning,
    mut each: impl FnMut(Around<'_>, &mut T, &mut Meaning) -> Result<bool, Refused>,
) -> Result<bool, Refused> {
    let none = InstrumentationScope::default();
    let around =
        |resource| Around { context, touched, resource, resource_url, scope: &none, scope_url: "", metric: None };
    let mut found = resource.clone().unwrap_or_default();
    let before = found.clone();
    let mut content = message(tree, 1).clone();
    let mut pairs = Pairs { list: &mut found.attributes, nodes: nodes(&mut content, 1), added: false, touched };
    let keeps = step.resource(&around(&before), &mut pairs)?;
    let added = pairs.added;
    if resource.is_some() || added {
        *message(tree, 1) = content;
        *resource = Some(found.clone());
    } else {
        nodes(tree, 1).clear();
    }
    Ok(keeps && retain(scopes, nodes(tree, 2), |scope, tree| each(around(&found), scope, tree))?)
}

fn points(step: &dyn Plain, around: Around<'_>, metric: &mut Metric, tree: &mut Meaning) -> Result<bool, Refused> {
    let head = without_points(metric.clone());
    let around = Around { metric: Some(&head), ..around };
    macro_rules! points {
        ($data:expr, $number:expr, $item:path) => {
            retain(&mut $data.data_points, nodes(message(tree, $number), 1), |point, tree| {
                step.item(&around, &mut $item(point), tree)
            })
        };
    }
    match &mut metric.data {
        None => Ok(true),
        Some(Data::Gauge(data)) => points!(data, 5, Item::Number),
        Some(Data::Sum(data)) => points!(data, 7, Item::Number),
        Some(Data::Histogram(data)) => points!(data, 9, Item::Histogram),
        Some(Data::ExponentialHistogram(data)) => points!(data, 10, Item::Exponential),
        Some(Data::Summary(data)) => points!(data, 11, Item::Summary),
    }
}

fn without_points(mut metric: Metric) -> Metric {
    match &mut metric.data {
        None => {}
        Some(Data::Gauge(data)) => data.data_points.clear(),
        Some(Data::Sum(data)) => data.data_points.clear(),
        Some(Data::Histogram(data)) => data.data_points.clear(),
        Some(Data::ExponentialHistogram(data)) => data.data_points.clear(),
        Some(Data::Summary(data)) => data.data_points.clear(),
    }
    metric
}
