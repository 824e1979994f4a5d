//! Exponential histograms against their definition.

use sluice_pdata::testing::Rng;

use super::collector::*;
use crate::spanmetrics::exponential::{Exponential, MAX_SCALE, index, octave};

/// The index by the definition: the largest i with base^i < value.
fn reference(value: f64, scale: i32) -> f64 {
    (value.log2() * f64::from(scale).exp2()).ceil() - 1.0
}

#[test]
fn the_index_of_a_value_is_that_of_the_definition() {
    let mut rng = Rng::new(1);
    for _ in 0..100_000 {
        let value = (rng.bits() % 1_000_000_000_000) as f64 / 1e6 + 1e-6;
        let scale = rng.below(31) as i32 - 10;
        let (found, expected) = (f64::from(index(value, scale)), reference(value, scale));
        // At the finest scales the logarithm's last bits decide.
        let close = if scale > 10 { 1.0 } else { 0.0 };
        assert!((found - expected).abs() <= close, "{value} at {scale}: {found}, not {expected}");
    }
}

#[test]
fn a_power_of_two_is_the_upper_bound_of_its_bucket() {
    for (value, scale, expected) in [
        (1.0, 0, -1),
        (2.0, 0, 0),
        (4.0, 0, 1),
        (4.1, 0, 2),
        (1.0, 20, -1),
        (2.0, 3, 7),
        (2.0, -1, 0),
        (4.0, -1, 0),
        (5.0, -1, 1),
        (0.5, 0, -2),
    ] {
        assert_eq!(index(value, scale), expected, "{value} at {scale}");
    }
    assert_eq!((octave(0.0), octave(3.0)), (i32::MIN, 1));
    assert!(index(f64::MAX, MAX_SCALE) > 0 && index(f64::MIN_POSITIVE, MAX_SCALE) < 0);
}

#[test]
fn the_scale_is_the_finest_that_fits() {
    let mut rng = Rng::new(2);
    for _ in 0..300 {
        let size = rng.pick(&[2, 3, 10, 160]);
        let mut histogram = Exponential::new(size);
        let values: Vec<f64> = (0..1 + rng.below(60)).map(|_| (rng.bits() >> rng.below(60)) as f64 / 1e6).collect();
        values.iter().for_each(|value| histogram.record(*value, 1.0));
        let point = histogram.write(false);
        assert!(point.buckets.len() <= size);
        assert_eq!(point.count, values.len() as u64);
        let positive: Vec<f64> = values.into_iter().filter(|value| *value > 0.0).collect();
        let range = |scale| {
            let of = |value: Option<f64>| value.map_or(0, |value| index(value, scale));
            let low = positive.iter().copied().min_by(f64::total_cmp);
            let high = positive.iter().copied().max_by(f64::total_cmp);
            of(high).abs_diff(of(low)) as usize + 1
        };
        if point.scale < MAX_SCALE {
            assert!(range(point.scale + 1) > size, "{size}: scale {}", point.scale);
        }
        let mut expected = vec![0; point.buckets.len()];
        positive.iter().for_each(|value| expected[index(*value, point.scale).abs_diff(point.offset) as usize] += 1);
        assert_eq!(point.buckets, expected);
    }
}

#[test]
fn weights_never_make_a_bucket_go_back_when_buckets_are_merged() {
    let mut rng = Rng::new(3);
    for _ in 0..300 {
        let mut histogram = Exponential::new(4);
        let (mut total, mut count) = (0.0, 0);
        for _ in 0..40 {
            let weight = rng.pick(&[1.0, 1.5, 4.0 / 3.0, 10.0]);
            histogram.record((rng.bits() >> rng.below(50)) as f64 / 1e6, weight);
            total += weight;
            if rng.chance(30) {
                let point = histogram.write(false);
                assert!(point.count >= count, "a count that goes back looks like a reset");
                count = point.count;
                assert!((point.count as f64 - total).abs() <= 0.5 * 40.0);
            }
        }
    }
}

#[test]
fn a_span_goes_to_an_exponential_histogram_if_asked_for() {
    let mut collector = Collector::new("histogram: {exponential: {max_size: 10}}");
    collector.spans(&[("service.name", "x")], [0.0, 1.0, 2.0, 4.0].map(|took| span("s", took)).to_vec());
    let metrics = collector.flush();
    let point = metrics.exponentials.first_key_value().unwrap().1;
    let buckets = point.positive.as_ref().unwrap();
    assert_eq!(
        (point.count, point.zero_count, point.sum, point.min, point.max),
        (4, 1, Some(7.0), Some(0.0), Some(4.0))
    );
    assert_eq!(buckets.bucket_counts.iter().sum::<u64>(), 3);
    // (1, 2] has four buckets at scale 2, so that 1 to 4 are nine.
    assert_eq!((point.scale, buckets.offset, buckets.bucket_counts.len()), (2, -1, 9));
    assert_eq!(point.attributes.len(), 5);
}
