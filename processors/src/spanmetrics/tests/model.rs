//! A plain model of the connector on generated types: lists of observations, looked at afresh at every flush.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::collector::{INSTANCE, Metrics, Pairs, int, pairs};
use crate::spanmetrics::Config;
use crate::spanmetrics::config::Dimension;
use crate::spanmetrics::dimension::{kind_name, status_name};
use crate::spanmetrics::exponential::index;

type Key = (Pairs, String, Pairs);

/// All observations of a series: value, weight.
#[derive(Default)]
struct Seen {
    observations: Vec<(f64, f64)>,
    /// How many of them had come at the flush before.
    told: usize,
}

pub struct Model {
    config: Config,
    series: BTreeMap<Key, Seen>,
}

impl Model {
    pub fn new(config: Config) -> Self {
        Model { config, series: BTreeMap::new() }
    }

    pub fn absorb(&mut self, request: &ExportTraceServiceRequest) {
        for resource_spans in &request.resource_spans {
            let attributes = &resource_spans.resource.as_ref().unwrap().attributes;
            let resource = pairs(attributes);
            let Some((_, service)) = resource.iter().find(|(key, _)| key == "service.name") else { continue };
            for span in resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans) {
                self.span(&resource, service, span, attributes);
            }
        }
    }

    fn span(&mut self, resource: &Pairs, service: &str, span: &Span, of_resource: &[KeyValue]) {
        let config = self.config.clone();
        let weight = weight(span);
        let unit = config.histogram.unit.nanos();
        let value = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) as f64 / unit;
        let mut observe = |name: &str, own: &[Dimension], event: &[KeyValue]| {
            let mut dimensions: Pairs = [
                ("service.name", service),
                ("span.name", &span.name),
                ("span.kind", kind_name(span.kind)),
                ("status.code", status_name(span.status.as_ref().map_or(0, |status| status.code))),
                ("collector.instance.id", INSTANCE),
            ]
            .into_iter()
            .filter(|(key, _)| !config.exclude_dimensions.iter().any(|excluded| excluded == key))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
            for dimension in config.dimensions.iter().chain(own) {
                let owners = [&span.attributes[..], event, of_resource];
                let found = owners.iter().find_map(|list| {
                    pairs(list).into_iter().find(|(key, _)| *key == dimension.name).map(|(_, value)| value)
                });
                if let Some(value) = found.or_else(|| dimension.default.clone()) {
                    dimensions.push((dimension.name.clone(), value));
                }
            }
            let key = (resource.clone(), format!("{}.{name}", config.namespace), dimensions);
            self.series.entry(key).or_default().observations.push((value, weight));
        };
        observe("calls", &config.calls_dimensions, &[]);
        if !config.histogram.disable {
            observe("duration", &config.histogram.dimensions, &[]);
        }
        if config.events.enabled {
            span.events.iter().for_each(|event| observe("events", &config.events.dimensions, &event.attributes));
        }
    }

    /// Compares with what was written. Exact: sums are added in the same order.
    pub fn compare(&mut self, metrics: &Metrics, context: &str) {
        let delta = self.config.is_delta();
        let mut points = 0;
        for (key, seen) in &mut self.series {
            let told = std::mem::replace(&mut seen.told, seen.observations.len());
            if delta && told == seen.observations.len() {
                continue;
            }
            points += 1;
            let (before, all) = (&seen.observations[..told], &seen.observations[..]);
            let counted = |pick: &dyn Fn(f64) -> bool| {
                let now = rounded(all, pick);
                if delta { now - rounded(before, pick) } else { now }
            };
            let since = if delta { &all[told..] } else { all };
            let sum: f64 = since.iter().fold(0.0, |sum, (value, weight)| sum + value * weight);
            if !key.1.ends_with(".duration") {
                assert_eq!(int(&metrics.sums[key]) as u64, counted(&|_| true), "{context}: {key:?}");
            } else if let Some(point) = metrics.histograms.get(key) {
                let bounds = self.config.bounds();
                let in_bucket = |bucket: usize| {
                    let (low, high) = (bucket.checked_sub(1).map(|at| bounds[at]), bounds.get(bucket).copied());
                    move |value: f64| low.is_none_or(|low| value > low) && high.is_none_or(|high| value <= high)
                };
                let expected: Vec<u64> = (0..=bounds.len()).map(|bucket| counted(&in_bucket(bucket))).collect();
                assert_eq!(point.bucket_counts, expected, "{context}: {key:?}");
                assert_eq!((point.count, point.sum), (expected.iter().sum(), Some(sum)), "{context}: {key:?}");
            } else {
                let point = &metrics.exponentials[key];
                let buckets = point.positive.as_ref().unwrap();
                assert_eq!(point.sum, Some(sum), "{context}: {key:?}");
                assert_eq!(point.zero_count, counted(&|value| value == 0.0), "{context}: {key:?}");
                let listed: u64 = buckets.bucket_counts.iter().sum();
                assert_eq!(point.count, listed + point.zero_count, "{context}: {key:?}");
                let whole = all.iter().all(|(_, weight)| weight.fract() == 0.0);
                for (at, count) in buckets.bucket_counts.iter().enumerate() {
                    let number = buckets.offset + at as i32;
                    let exact = counted(&|value| value > 0.0 && index(value, point.scale) == number);
                    // Where buckets were merged, each may have been rounded by one half.
                    let most = if whole { 0 } else { 1 + all.len() as u64 / 2 };
                    assert!(count.abs_diff(exact) <= most, "{context}: {key:?} {count} {exact}");
                }
            }
        }
        assert_eq!(metrics.sums.len() + metrics.histograms.len() + metrics.exponentials.len(), points, "{context}");
    }
}

fn rounded(observations: &[(f64, f64)], pick: &dyn Fn(f64) -> bool) -> u64 {
    let total = observations.iter().filter(|(value, _)| pick(*value)).fold(0.0, |sum, (_, weight)| sum + weight);
    // The total itself must have been whole within one half.
    let whole = f64::round_ties_even(total);
    assert!((whole - total).abs() <= 0.5);
    whole as u64
}

/// 2^56 / (2^56 − T), if there is a `th` and it does not contradict R.
fn weight(span: &Span) -> f64 {
    let ot = span.trace_state.split(',').find_map(|member| member.trim().strip_prefix("ot="));
    let sub = |key: &str| ot.into_iter().flat_map(|ot| ot.split(';')).find_map(|sub| sub.strip_prefix(key));
    let Some(th) = sub("th:") else { return 1.0 };
    if th.is_empty()
        || th.len() > 14
        || th.chars().any(|digit| !digit.is_ascii_hexdigit() || digit.is_ascii_uppercase())
    {
        return 1.0;
    }
    let threshold = u64::from_str_radix(&format!("{th:0<14}"), 16).unwrap();
    let id = u64::from_be_bytes(span.trace_id[8..].try_into().unwrap()) & ((1 << 56) - 1);
    let randomness = sub("rv:").and_then(|rv| u64::from_str_radix(rv, 16).ok()).unwrap_or(id);
    if randomness < threshold { 1.0 } else { (1_u64 << 56) as f64 / ((1_u64 << 56) - threshold) as f64 }
}
