//! Metrics as text.

use sluice_pdata::Error;
use sluice_pdata::view::{
    DataView, ExemplarView, ExponentialHistogramDataPointView, HistogramDataPointView, MetricView, MetricsView,
    NumberDataPointView, SummaryDataPointView, Temporality, text,
};

use super::value::{escaped, number, time};
use super::{Out, hex};

pub(super) fn render(request: &[u8], out: &mut Out) -> Result<String, Error> {
    let (mut resources, mut metrics, mut points) = (0, 0, 0);
    for (index, resource_metrics) in MetricsView(request).resource_metrics().enumerate() {
        let resource_metrics = resource_metrics?;
        resources += 1;
        if out.is_detailed() {
            out.line(format!("ResourceMetrics #{index}"));
            out.resource(resource_metrics.resource()?, resource_metrics.schema_url()?)?;
        } else if out.is_normal() {
            let attributes = out.inline(resource_metrics.resource()?.attributes())?;
            let url = text(resource_metrics.schema_url()?);
            out.line(format!("ResourceMetrics #{index} {}{attributes}", escaped(&url)).trim_end());
        }
        for (index, scope_metrics) in resource_metrics.scope_metrics().enumerate() {
            let scope_metrics = scope_metrics?;
            if out.is_detailed() {
                out.line(format!("ScopeMetrics #{index}"));
                out.scope("ScopeMetrics", scope_metrics.scope()?, scope_metrics.schema_url()?)?;
            } else if out.is_normal() {
                let scope = scope_metrics.scope()?;
                let attributes = out.inline(scope.attributes())?;
                let (name, version) = (text(scope.name()?), text(scope.version()?));
                out.line(format!("ScopeMetrics #{index} {}@{}{attributes}", escaped(&name), escaped(&version)));
            }
            for (index, metric) in scope_metrics.metrics().enumerate() {
                metrics += 1;
                points += one(index, &metric?, out)?;
            }
        }
    }
    Ok(format!("Metrics\t{{\"resource metrics\": {resources}, \"metrics\": {metrics}, \"data points\": {points}}}"))
}

fn temporality(temporality: Temporality) -> &'static str {
    match temporality {
        Temporality::Unspecified => "Unspecified",
        Temporality::Delta => "Delta",
        Temporality::Cumulative => "Cumulative",
    }
}

/// One metric. Returns the number of its points.
fn one(index: usize, metric: &MetricView<'_>, out: &mut Out) -> Result<usize, Error> {
    let data = metric.data()?;
    let kind = match data {
        DataView::Empty => "Empty",
        DataView::Gauge(_) => "Gauge",
        DataView::Sum { .. } => "Sum",
        DataView::Histogram { .. } => "Histogram",
        DataView::ExponentialHistogram { .. } => "ExponentialHistogram",
        DataView::Summary(_) => "Summary",
    };
    if out.is_detailed() {
        out.line(format!("Metric #{index}"));
        out.line("Descriptor:");
        out.line(format!("     -> Name: {}", escaped(&text(metric.name))));
        out.line(format!("     -> Description: {}", escaped(&text(metric.description))));
        out.line(format!("     -> Unit: {}", escaped(&text(metric.unit))));
        out.line(format!("     -> DataType: {kind}"));
        if let DataView::Sum { is_monotonic, .. } = data {
            out.line(format!("     -> IsMonotonic: {is_monotonic}"));
        }
        if let Some(found) = data.temporality() {
            out.line(format!("     -> AggregationTemporality: {}", temporality(found)));
        }
    }
    let mut points = 0;
    for (index, bytes) in data.points().enumerate() {
        let bytes = bytes?;
        points += 1;
        match data {
            DataView::Empty => {}
            DataView::Gauge(_) | DataView::Sum { .. } => {
                number_point(index, metric, &NumberDataPointView::parse(bytes)?, out)?;
            }
            DataView::Histogram { .. } => histogram(index, metric, &HistogramDataPointView::parse(bytes)?, out)?,
            DataView::ExponentialHistogram { .. } => {
                exponential(index, metric, &ExponentialHistogramDataPointView::parse(bytes)?, out)?;
            }
            DataView::Summary(_) => summary(index, metric, &SummaryDataPointView::parse(bytes)?, out)?,
        }
    }
    Ok(points)
}

fn times(start: u64, end: u64, out: &mut Out) {
    out.line(format!("StartTimestamp: {}", time(start)));
    out.line(format!("Timestamp: {}", time(end)));
}

fn exemplars<'a>(exemplars: impl Iterator<Item = Result<ExemplarView<'a>, Error>>, out: &mut Out) -> Result<(), Error> {
    for (index, exemplar) in exemplars.enumerate() {
        let exemplar = exemplar?;
        if index == 0 {
            out.line("Exemplars:");
        }
        out.line(format!("Exemplar #{index}"));
        out.line(format!("     -> Trace ID: {}", hex(exemplar.trace_id)));
        out.line(format!("     -> Span ID: {}", hex(exemplar.span_id)));
        out.line(format!("     -> Timestamp: {}", time(exemplar.time_unix_nano)));
        out.line(format!("     -> Value: {}", number(exemplar.value()?)));
        out.attributes("     -> FilteredAttributes:", exemplar.filtered_attributes(), "          ")?;
    }
    Ok(())
}

fn number_point(
    index: usize,
    metric: &MetricView<'_>,
    point: &NumberDataPointView<'_>,
    out: &mut Out,
) -> Result<(), Error> {
    let value = number(point.value()?);
    if out.is_normal() {
        let attributes = out.inline(point.attributes())?;
        out.line(format!("{}{{{}}} {value}", escaped(&text(metric.name)), attributes.trim_start()));
    }
    if !out.is_detailed() {
        return Ok(());
    }
    out.line(format!("NumberDataPoints #{index}"));
    out.attributes("Data point attributes:", point.attributes(), "     ")?;
    times(point.start_time_unix_nano, point.time_unix_nano, out);
    out.line(format!("Value: {value}"));
    exemplars(point.exemplars(), out)
}

fn optional(name: &str, value: Option<f64>, out: &mut Out) {
    if let Some(value) = value {
        out.line(format!("{name}: {value:.6}"));
    }
}

fn histogram(
    index: usize,
    metric: &MetricView<'_>,
    point: &HistogramDataPointView<'_>,
    out: &mut Out,
) -> Result<(), Error> {
    if out.is_normal() {
        let attributes = out.inline(point.attributes())?;
        let sum = point.sum.map(|sum| format!(" sum={sum}")).unwrap_or_default();
        let (name, count) = (escaped(&text(metric.name)), point.count);
        out.line(format!("{name}{{{}}} count={count}{sum}", attributes.trim_start()));
    }
    if !out.is_detailed() {
        return Ok(());
    }
    out.line(format!("HistogramDataPoints #{index}"));
    out.attributes("Data point attributes:", point.attributes(), "     ")?;
    times(point.start_time_unix_nano, point.time_unix_nano, out);
    out.line(format!("Count: {}", point.count));
    optional("Sum", point.sum, out);
    optional("Min", point.min, out);
    optional("Max", point.max, out);
    for (index, bound) in point.explicit_bounds().enumerate() {
        out.line(format!("ExplicitBounds #{index}: {:.6}", bound?));
    }
    for (index, count) in point.bucket_counts().enumerate() {
        out.line(format!("Buckets #{index}, Count: {}", count?));
    }
    exemplars(point.exemplars(), out)
}

fn exponential(
    index: usize,
    metric: &MetricView<'_>,
    point: &ExponentialHistogramDataPointView<'_>,
    out: &mut Out,
) -> Result<(), Error> {
    if out.is_normal() {
        let attributes = out.inline(point.attributes())?;
        let (name, count) = (escaped(&text(metric.name)), point.count);
        out.line(format!("{name}{{{}}} count={count}", attributes.trim_start()));
    }
    if !out.is_detailed() {
        return Ok(());
    }
    out.line(format!("ExponentialHistogramDataPoints #{index}"));
    out.attributes("Data point attributes:", point.attributes(), "     ")?;
    times(point.start_time_unix_nano, point.time_unix_nano, out);
    out.line(format!("Count: {}", point.count));
    optional("Sum", point.sum, out);
    optional("Min", point.min, out);
    optional("Max", point.max, out);
    let base = 2f64.powf(2f64.powi(-point.scale));
    let (negative, positive) = (point.negative(), point.positive());
    let offset = f64::from(negative.offset()?);
    let counts: Vec<u64> = negative.counts().collect::<Result<_, _>>()?;
    for (at, count) in counts.iter().enumerate().rev().filter(|(_, count)| **count > 0) {
        let lower = base.powf(offset + at as f64);
        out.line(format!("Bucket [{:.6}, {:.6}), Count: {count}", -lower * base, -lower));
    }
    if point.zero_count > 0 {
        out.line(format!("Bucket [0, 0], Count: {}", point.zero_count));
    }
    let offset = f64::from(positive.offset()?);
    for (at, count) in positive.counts().enumerate() {
        let count = count?;
        if count > 0 {
            let lower = base.powf(offset + at as f64);
            out.line(format!("Bucket ({:.6}, {:.6}], Count: {count}", lower, lower * base));
        }
    }
    exemplars(point.exemplars(), out)
}

fn summary(
    index: usize,
    metric: &MetricView<'_>,
    point: &SummaryDataPointView<'_>,
    out: &mut Out,
) -> Result<(), Error> {
    if out.is_normal() {
        let attributes = out.inline(point.attributes())?;
        let (name, count, sum) = (escaped(&text(metric.name)), point.count, point.sum);
        out.line(format!("{name}{{{}}} count={count} sum={sum}", attributes.trim_start()));
    }
    if !out.is_detailed() {
        return Ok(());
    }
    out.line(format!("SummaryDataPoints #{index}"));
    out.attributes("Data point attributes:", point.attributes(), "     ")?;
    times(point.start_time_unix_nano, point.time_unix_nano, out);
    out.line(format!("Count: {}", point.count));
    out.line(format!("Sum: {:.6}", point.sum));
    for (index, value) in point.quantile_values().enumerate() {
        let value = value?;
        out.line(format!("QuantileValue #{index}: Quantile {:.6}, Value {:.6}", value.quantile, value.value));
    }
    Ok(())
}
