//! What waits for acceptance.

use crate::up::config::Signal;
use crate::up::labels::Labels;
use crate::up::outbox::{Outbox, OutboxCounts};
use crate::up::series::{Emission, Sample, Series};

fn emission(instance: &str, time_ms: u64, samples: &[(Series, Option<f64>)]) -> Emission {
    let labels: Labels = [("job", "app"), ("instance", instance)].into_iter().collect();
    let samples = samples.iter().map(|&(series, value)| Sample { series, value }).collect();
    Emission { labels, time_ms, start_ms: 0, resource: Labels::default(), samples }
}

fn up(instance: &str, time_ms: u64, value: f64) -> Emission {
    emission(instance, time_ms, &[(Series::Up, Some(value))])
}

fn gone(instance: &str, time_ms: u64) -> Emission {
    emission(instance, time_ms, &[(Series::Up, None)])
}

#[test]
fn of_samples_the_newest_grid_point_waits_and_the_rest_is_counted() {
    let mut outbox = Outbox::new(10, 1 << 20);
    outbox.add([up("a", 15, 1.0), up("b", 20, 1.0), up("a", 30, 0.0)]);
    assert_eq!(outbox.take(100), [up("a", 30, 0.0), up("b", 20, 1.0)]);
    assert_eq!(outbox.counts(), OutboxCounts { superseded: 1, evicted: 0, own_evicted: 0 });
    assert!(outbox.take(100).is_empty());
}

#[test]
fn what_comes_back_is_older_than_what_came_meanwhile() {
    let mut outbox = Outbox::new(10, 1 << 20);
    outbox.add([up("a", 15, 1.0), up("b", 15, 1.0)]);
    let refused = outbox.take(100);
    outbox.add([up("a", 30, 0.0), up("c", 30, 1.0)]);
    outbox.put_back(refused);
    assert_eq!(outbox.take(100), [up("b", 15, 1.0), up("a", 30, 0.0), up("c", 30, 1.0)]);
    assert_eq!(outbox.counts().superseded, 1);
}

#[test]
fn a_marker_is_never_replaced_by_a_sample_and_goes_out_in_its_turn() {
    let mut outbox = Outbox::new(10, 1 << 20);
    outbox.add([up("a", 15, 0.0), gone("a", 30)]);
    let refused = outbox.take(100);
    assert_eq!(refused, [up("a", 15, 0.0), gone("a", 30)]);
    // It returned in the meantime.
    outbox.add([up("a", 60, 1.0)]);
    outbox.put_back(refused);
    outbox.add([up("a", 75, 1.0)]);
    assert_eq!(outbox.take(100), [gone("a", 30), up("a", 75, 1.0)]);
    assert_eq!(outbox.counts(), OutboxCounts { superseded: 2, evicted: 0, own_evicted: 0 });
}

#[test]
fn of_two_ends_of_a_series_the_later_stays_and_no_series_is_left_out() {
    let seen = Series::LastSeen(Signal::Metrics);
    let mut outbox = Outbox::new(10, 1 << 20);
    outbox.add([emission("a", 60, &[(Series::Up, None)])]);
    outbox.put_back(vec![emission("a", 30, &[(Series::Up, None), (seen, None)])]);
    assert_eq!(outbox.take(100), [emission("a", 30, &[(seen, None)]), gone("a", 60)]);
    outbox.add([emission("a", 30, &[(Series::Up, None), (seen, None)]), gone("a", 60)]);
    assert_eq!(outbox.take(100), [emission("a", 30, &[(seen, None)]), gone("a", 60)]);
}

#[test]
fn memory_is_bounded_and_what_had_to_go_is_counted() {
    let mut outbox = Outbox::new(3, 1 << 20);
    outbox.add((0..1000u64).map(|i| up(&i.to_string(), i, 1.0)));
    assert_eq!(outbox.take(100), [up("997", 997, 1.0), up("998", 998, 1.0), up("999", 999, 1.0)]);
    assert_eq!(outbox.counts(), OutboxCounts { superseded: 0, evicted: 997, own_evicted: 0 });
}

#[test]
fn a_batch_is_at_most_so_large_but_never_splits_a_target() {
    let mut outbox = Outbox::new(10, 1 << 20);
    let two = |instance| emission(instance, 1, &[(Series::Up, Some(1.0)), (Series::Samples, Some(5.0))]);
    outbox.add([two("a"), two("b"), two("c")]);
    assert_eq!(outbox.points(), 6);
    assert_eq!(outbox.take(5), [two("a"), two("b")]);
    assert_eq!(outbox.take(1), [two("c")]);
}
