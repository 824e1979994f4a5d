//! Laws: every request meets the protocol and holds what the plain model says, whatever the input and the options.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;
use sluice_exporters::prometheus_remote_write::encode::{Encoder, V1, V2};
use sluice_exporters::prometheus_remote_write::series::{Converted, Converter, Limits, Plan, Targets};
use sluice_exporters::prometheus_remote_write::translate::{Compat, LeFormat, NhcbOnV1, Options, Strategy};
use sluice_pdata::Signal;
use sluice_pdata::testing::{self, Oddities, Rng, Shape};
use sluice_pdata::view::MetricsView;

use crate::model::Expected;
use crate::read::{self, Series};
use crate::{crafted, model};

pub const LIMITS: Limits = Limits { values: 2000, bytes: 3_000_000 };

/// A converter of one version.
pub fn converter<E: Encoder>(options: &Options, limits: Limits) -> Converter<E> {
    Converter::new(Arc::new(options.clone()), limits, Targets::default())
}

/// Converts a whole payload.
pub fn convert<E: Encoder>(converter: &mut Converter<E>, payload: &[u8], limits: Limits) -> Converted {
    converter.begin(Plan::default(), limits);
    for metrics in MetricsView(payload).resource_metrics().map_while(Result::ok) {
        converter.resource(metrics);
    }
    converter.finish()
}

/// Options that exercise everything the model knows.
pub fn options(rng: &mut Rng) -> Options {
    let half = |rng: &mut Rng| rng.chance(50);
    Options {
        strategy: rng.pick(&[
            Strategy::UnderscoreEscapingWithSuffixes,
            Strategy::UnderscoreEscapingWithoutSuffixes,
            Strategy::NoUTF8EscapingWithSuffixes,
            Strategy::NoTranslation,
        ]),
        compat: rng.pick(&[Compat::Prometheus, Compat::OtelSpec]),
        namespace: rng.pick(&["", "", "ns"]).to_string(),
        external_labels: match rng.below(3) {
            0 => Vec::new(),
            1 => vec![("cluster".to_owned(), "c1".to_owned())],
            _ => vec![("job".to_owned(), "j".to_owned()), ("le".to_owned(), "x".to_owned())],
        },
        promote_resource_attributes: match rng.below(2) {
            0 => Vec::new(),
            _ => vec!["host.name".to_owned(), "a.b".to_owned()],
        },
        promote_all_resource_attributes: rng.chance(30),
        ignore_resource_attributes: vec!["user.email".to_owned()],
        keep_identifying_resource_attributes: half(rng),
        scope_labels: half(rng),
        label_name_underscore_sanitization: half(rng),
        label_name_preserve_multiple_underscores: half(rng),
        le_format: rng.pick(&[LeFormat::Auto, LeFormat::Legacy, LeFormat::OpenMetrics]),
        target_info: rng.chance(70),
        stale_on_change: false,
        send_exemplars: rng.chance(80),
        send_native_histograms: true,
        convert_histograms_to_nhcb: half(rng),
        nhcb_on_v1: rng.pick(&[NhcbOnV1::Classic, NhcbOnV1::Classic, NhcbOnV1::Drop]),
        max_future_ms: 0,
    }
}

fn drops(converted: &Converted) -> BTreeMap<&'static str, usize> {
    converted.all_drops().iter().collect()
}

fn without_version_2(series: &[Series]) -> Vec<Series> {
    let mut series: Vec<_> =
        series.iter().map(|series| Series { start: 0, metadata: None, ..series.clone() }).collect();
    series.sort();
    series
}

/// What version 1 has no place for is counted.
fn check_left_out(first: &Converted, expected: &Expected, custom: bool) {
    let left_out: usize = first.requests.iter().map(|request| request.content.starts_left_out).sum();
    assert_eq!(left_out, expected.series.iter().filter(|series| series.start != 0).count());
    assert!(custom || first.as_classic == 0);
}

/// Both versions hold what the model says; nothing is lost or made up in the account.
fn check(
    (v1, v2): (&mut Converter<V1>, &mut Converter<V2>),
    payload: &[u8],
    (options, limits): (&Options, Limits),
    latest: &mut model::Latest,
) {
    let request = ExportMetricsServiceRequest::decode(payload).unwrap();
    let mut before = latest.clone();
    let expected = model::expected(&request, options, true, latest);
    let second = convert(v2, payload, limits);
    let found = read::all_v2(&second);
    for (found, expected) in found.iter().zip(&expected.series) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.series.len());
    assert_eq!(drops(&second), expected.drops);
    let custom = options.convert_histograms_to_nhcb;
    let expected_v1 = if custom { model::expected(&request, options, false, &mut before) } else { Expected::default() };
    let expected_v1 = if custom { &expected_v1 } else { &expected };
    let first = convert(v1, payload, limits);
    assert_eq!(read::all_v1(&first), without_version_2(&expected_v1.series));
    assert_eq!(drops(&first), expected_v1.drops);
    check_left_out(&first, expected_v1, custom);
    for converted in [first, second] {
        assert_eq!(converted.points, expected.points);
        let sent: usize = converted.requests.iter().map(|request| request.points).sum();
        assert_eq!(sent + converted.all_drops().total(), expected.points, "every point is accounted for");
        assert!(converted.requests.windows(2).all(|pair| pair[0].through <= pair[1].through));
    }
}

fn cases() -> u64 {
    testing::law_cases()
}

#[test]
fn requests_hold_what_the_model_says_of_wild_requests() {
    for seed in 0..cases() {
        let mut rng = Rng::new(seed);
        let options = options(&mut rng);
        let (mut v1, mut v2) = (converter(&options, LIMITS), converter(&options, LIMITS));
        let mut latest = model::Latest::new();
        // The same converters, so that what they remember is used.
        for round in 0..3 {
            // Framing joins what is split before anything reads it.
            let oddities = Oddities { split: false, ..Oddities::ALL };
            let payload = testing::odd_request_of(Signal::Metrics, seed * 3 + round, &Shape::default(), &oddities);
            check((&mut v1, &mut v2), &payload, (&options, LIMITS), &mut latest);
        }
    }
}

#[test]
fn requests_hold_what_the_model_says_of_colliding_names() {
    for seed in 0..cases() * 3 {
        let mut rng = Rng::new(seed);
        let options = options(&mut rng);
        let limits = Limits { values: 1 + rng.below(40), bytes: rng.pick(&[200, 2_000, 3_000_000]) };
        let (mut v1, mut v2) = (converter(&options, limits), converter(&options, limits));
        let mut latest = model::Latest::new();
        for _ in 0..3 {
            let payload = crafted::request(&mut rng).encode_to_vec();
            check((&mut v1, &mut v2), &payload, (&options, limits), &mut latest);
        }
    }
}

#[test]
fn requests_keep_their_limits() {
    for seed in 0..cases() {
        let mut rng = Rng::new(seed);
        let payload = crafted::request(&mut rng).encode_to_vec();
        let limits = Limits { values: 1 + rng.below(20), bytes: 3_000_000 };
        let mut v2 = converter::<V2>(&Options::default(), limits);
        for request in convert(&mut v2, &payload, limits).requests {
            assert!(request.content.values() <= limits.values);
        }
        let limits = Limits { values: 2000, bytes: 4_000 };
        let mut v1 = converter::<V1>(&Options::default(), limits);
        for request in convert(&mut v1, &payload, limits).requests {
            let size = snap::raw::decompress_len(&request.body).unwrap();
            assert!(size <= limits.bytes || request.content.values() == 1, "{size}");
        }
    }
}

#[test]
fn broken_bytes_never_panic_and_every_request_stays_valid() {
    for seed in 0..cases() {
        let mut rng = Rng::new(seed);
        let shape = Shape { broken_utf8: true, ..Shape::default() };
        let mut payload = testing::request_of(Signal::Metrics, seed, &shape);
        for _ in 0..rng.below(6) {
            let at = rng.below(payload.len().max(1));
            if let Some(byte) = payload.get_mut(at) {
                *byte = rng.below(256) as u8;
            }
        }
        payload.truncate(payload.len() - rng.below(2) * rng.below(payload.len() / 2 + 1));
        let options = options(&mut rng);
        let (mut v1, mut v2) = (converter::<V1>(&options, LIMITS), converter::<V2>(&options, LIMITS));
        read::all_v1(&convert(&mut v1, &payload, LIMITS));
        read::all_v2(&convert(&mut v2, &payload, LIMITS));
    }
}

#[test]
fn points_that_are_done_with_are_skipped() {
    for seed in 0..cases() {
        let mut rng = Rng::new(seed);
        let payload = crafted::request(&mut rng).encode_to_vec();
        let options = Options { target_info: false, ..Options::default() };
        let limits = Limits { values: 7, bytes: 3_000_000 };
        let mut v2 = converter::<V2>(&options, limits);
        let whole = convert(&mut v2, &payload, limits);
        if whole.requests.len() < 2 {
            continue;
        }
        let done = rng.below(whole.requests.len() - 1);
        let mut v1 = converter::<V1>(&options, limits);
        v1.begin(Plan { skip: whole.requests[done].through, ..Plan::default() }, limits);
        MetricsView(&payload).resource_metrics().for_each(|metrics| v1.resource(metrics.unwrap()));
        let rest = v1.finish();
        let points = |requests: &[sluice_exporters::prometheus_remote_write::series::Request]| {
            requests.iter().map(|request| request.points).sum::<usize>()
        };
        assert_eq!(points(&rest.requests), points(&whole.requests[done + 1..]));
        let mut dropped: usize = whole.requests[done + 1..].iter().map(|request| request.drops.total()).sum();
        dropped += whole.drops.total();
        assert_eq!(rest.all_drops().total(), dropped);
    }
}
