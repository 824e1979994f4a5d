//! Reads requests as a strict receiver does, and says what they hold.

use std::collections::{BTreeMap, HashSet};

use prost::Message as _;
use sluice_exporters::prometheus_remote_write::series::{Converted, Request};

use crate::messages::{Count, Histogram, ZeroCount, v1, v2};

/// One sample or histogram with all that is said about it. Doubles are their bits, so that equal means identical.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    pub labels: Vec<(String, String)>,
    pub timestamp: i64,
    pub start: i64,
    pub value: Value,
    pub exemplars: Vec<Exemplar>,
    /// Type, help, unit; none in version 1.
    pub metadata: Option<(i32, String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Sample(u64),
    Histogram(Native),
}

/// A native histogram by bucket index and count.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Native {
    pub count: u64,
    pub sum: u64,
    pub schema: i32,
    pub zero_threshold: u64,
    pub zero_count: u64,
    pub negative: BTreeMap<i64, i64>,
    pub positive: BTreeMap<i64, i64>,
    pub reset_hint: i32,
    /// Bounds of custom buckets.
    pub custom: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exemplar {
    pub labels: Vec<(String, String)>,
    pub value: u64,
    pub timestamp: i64,
}

fn body(request: &Request) -> Vec<u8> {
    snap::raw::Decoder::new().decompress_vec(&request.body).unwrap()
}

fn native(histogram: &Histogram) -> Native {
    let side = |spans: &[crate::messages::BucketSpan], deltas: &[i64]| {
        assert_eq!(spans.iter().map(|span| span.length as usize).sum::<usize>(), deltas.len());
        let (mut index, mut count, mut deltas) = (0i64, 0i64, deltas.iter());
        let mut buckets = BTreeMap::new();
        for (at, span) in spans.iter().enumerate() {
            assert!(at == 0 || span.offset >= 0, "spans overlap");
            index += i64::from(span.offset);
            for _ in 0..span.length {
                count += deltas.next().unwrap();
                assert!(count >= 0, "negative count");
                if count > 0 {
                    buckets.insert(index, count);
                }
                index += 1;
            }
        }
        buckets
    };
    let Some(Count::Int(count)) = histogram.count else { panic!("no integer count") };
    let zero_count = match histogram.zero_count {
        Some(ZeroCount::Int(count)) => count,
        None => 0,
        Some(ZeroCount::Float(_)) => panic!("float zero count"),
    };
    if histogram.schema == -53 {
        let bounds = &histogram.custom_values;
        assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "bounds rise: {bounds:?}");
        assert!(bounds.iter().all(|bound| !bound.is_nan() && *bound != f64::INFINITY), "{bounds:?}");
        assert!(histogram.negative_spans.is_empty() && zero_count == 0 && histogram.zero_threshold == 0.0);
    } else {
        assert!((-4..=8).contains(&histogram.schema) && histogram.custom_values.is_empty());
    }
    Native {
        count,
        sum: histogram.sum.to_bits(),
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold.to_bits(),
        zero_count,
        negative: side(&histogram.negative_spans, &histogram.negative_deltas),
        positive: side(&histogram.positive_spans, &histogram.positive_deltas),
        reset_hint: histogram.reset_hint,
        custom: histogram.custom_values.iter().map(|bound| bound.to_bits()).collect(),
    }
}

/// Labels are sorted, unique, not empty, and name the series.
fn check_labels(labels: &[(String, String)]) {
    assert!(labels.windows(2).all(|pair| pair[0].0 < pair[1].0), "labels are sorted and unique: {labels:?}");
    assert!(labels.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()), "no empty label: {labels:?}");
}

/// Decodes version 2 and checks every rule of the protocol.
pub fn v2(request: &Request) -> Vec<Series> {
    let decoded = v2::Request::decode(&*body(request)).unwrap();
    let symbols = &decoded.symbols;
    assert_eq!(symbols[0], "");
    assert_eq!(symbols.iter().collect::<HashSet<_>>().len(), symbols.len(), "symbols are unique");
    let labels_of = |refs: &[u32]| {
        assert_eq!(refs.len() % 2, 0);
        let pairs = refs.chunks(2).map(|pair| (symbols[pair[0] as usize].clone(), symbols[pair[1] as usize].clone()));
        pairs.collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for series in &decoded.timeseries {
        let labels = labels_of(&series.labels_refs);
        check_labels(&labels);
        let exemplars = series.exemplars.iter().map(|exemplar| {
            let labels = labels_of(&exemplar.labels_refs);
            check_labels(&labels);
            Exemplar { labels, value: exemplar.value.to_bits(), timestamp: exemplar.timestamp }
        });
        let metadata = series.metadata.as_ref().map(|metadata| {
            let text = |at: u32| symbols[at as usize].clone();
            (metadata.r#type, text(metadata.help_ref), text(metadata.unit_ref))
        });
        assert!(metadata.is_some(), "every series has metadata");
        let (value, timestamp, start) = match (&series.samples[..], &series.histograms[..]) {
            ([one], []) => (Value::Sample(one.value.to_bits()), one.timestamp, one.start_timestamp),
            ([], [one]) => (Value::Histogram(native(one)), one.timestamp, one.start_timestamp),
            _ => panic!("one sample or one histogram"),
        };
        all.push(Series { labels, timestamp, start, value, exemplars: exemplars.collect(), metadata });
    }
    check_order(&all);
    check_content(request, &all);
    all
}

/// Decodes version 1 and checks every rule of the protocol.
pub fn v1(request: &Request) -> (Vec<Series>, Vec<v1::MetricMetadata>) {
    let decoded = v1::WriteRequest::decode(&*body(request)).unwrap();
    let labels_of =
        |labels: &[v1::Label]| labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect::<Vec<_>>();
    let mut all = Vec::new();
    for series in &decoded.timeseries {
        let labels = labels_of(&series.labels);
        check_labels(&labels);
        let exemplars = series.exemplars.iter().map(|exemplar| {
            let labels = labels_of(&exemplar.labels);
            check_labels(&labels);
            Exemplar { labels, value: exemplar.value.to_bits(), timestamp: exemplar.timestamp }
        });
        let (value, timestamp) = match (&series.samples[..], &series.histograms[..]) {
            ([one], []) => (Value::Sample(one.value.to_bits()), one.timestamp),
            ([], [one]) => (Value::Histogram(native(one)), one.timestamp),
            _ => panic!("one sample or one histogram"),
        };
        all.push(Series { labels, timestamp, start: 0, value, exemplars: exemplars.collect(), metadata: None });
    }
    check_order(&all);
    check_content(request, &all);
    (all, decoded.metadata)
}

fn check_order(all: &[Series]) {
    assert!(all.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp), "series are in the order of time");
}

fn check_content(request: &Request, all: &[Series]) {
    let samples = all.iter().filter(|series| matches!(series.value, Value::Sample(_))).count();
    assert_eq!((request.content.samples, request.content.histograms), (samples, all.len() - samples));
    assert_eq!(request.content.exemplars, all.iter().map(|series| series.exemplars.len()).sum::<usize>());
}

/// All series of a payload, sorted.
pub fn all_v2(converted: &Converted) -> Vec<Series> {
    let mut all: Vec<_> = converted.requests.iter().flat_map(v2).collect();
    all.sort();
    all
}

/// All series of a payload, sorted.
pub fn all_v1(converted: &Converted) -> Vec<Series> {
    let mut all: Vec<_> = converted.requests.iter().flat_map(|request| v1(request).0).collect();
    all.sort();
    all
}
