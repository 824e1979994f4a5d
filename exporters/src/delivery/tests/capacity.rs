//! A destination at its capacity: one that works on what it is sent in turn, at a fixed rate, whether the sender still waits for
//! the answer or not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sluice_config::Toggle;
use sluice_pipeline::blocks::QueueBatch;
use sluice_pipeline::exporter::Delivery;
use sluice_pipeline::send::SendOutcome;

use super::world::{World, queued};

const SECOND: Duration = Duration::from_secs(1);
/// How often data is appended.
const TICK: Duration = Duration::from_millis(50);

/// In payloads of so many items.
fn sized(items: i64) -> Delivery {
    let mut delivery = queued();
    let batch = QueueBatch { min_size: 0, max_size: items, ..QueueBatch::default() };
    delivery.queue.as_mut().unwrap().batch = Toggle::On(batch);
    delivery
}

fn world(items: i64, rate: f64) -> World {
    let world = World::new(sized(items), |_, _| SendOutcome::delivered());
    world.exporter.server.rate(rate, &world.clock);
    world
}

impl World {
    /// There is always more to send, in records of so many items.
    async fn saturate(&self, items: usize, backlog: usize, time: Duration) {
        let record = vec![1; items];
        let mut passed = Duration::ZERO;
        while passed < time {
            while self.spine.backlog(super::world::TOLD).items.iter().sum::<usize>() < backlog {
                self.append(&record).await;
            }
            self.pass(TICK).await;
            assert_eq!(self.metric("sluice_destination_breaker_state"), 0.0, "it is only slow");
            passed += TICK;
        }
    }

    /// Items delivered in a second.
    async fn throughput(&self, items: usize, backlog: usize, time: Duration) -> f64 {
        let time = time.max(TICK);
        let (before, _) = self.booked();
        self.saturate(items, backlog, time).await;
        let (after, _) = self.booked();
        (after - before) as f64 / time.as_secs_f64()
    }

    fn timeouts(&self) -> f64 {
        let ambiguous = self.metric("sluice_exporter_ambiguous_total");
        if ambiguous.is_nan() { 0.0 } else { ambiguous }
    }
}

#[tokio::test]
async fn a_destination_at_its_capacity_is_fed_all_of_it_and_no_attempt_is_in_vain() {
    for (rate, items) in
        [(20_000, 8192), (8_000, 8192), (5_000, 8192), (4_000, 8192), (20_000, 1000), (500, 1000), (2_000, 10)]
    {
        let world = world(items, f64::from(rate));
        let (record, backlog) = (items as usize, 20 * items as usize + rate as usize);
        world.saturate(record, backlog, SECOND * 20).await;
        let reached = world.throughput(record, backlog, SECOND * 60).await / f64::from(rate);
        assert!((0.95..1.05).contains(&reached), "{items} items a payload at {rate}/s: {reached}");
        assert_eq!(world.timeouts(), 0.0, "{items} items a payload at {rate}/s");
    }
}

#[tokio::test]
async fn a_jump_from_small_payloads_to_full_ones_is_no_flood() {
    let world = world(8192, 20_000.0);
    // Half of what it takes, in small records that are sent as they come.
    for _ in 0..2_000 {
        world.append_apart([1; 50]).await;
        world.pass(Duration::from_millis(5)).await;
    }
    assert!(world.exporter.most_in_flight.load(Ordering::SeqCst) > 1);
    let reached = world.throughput(4096, 200_000, SECOND * 40).await / 20_000.0;
    assert!(reached > 0.95, "{reached}");
    assert_eq!(world.timeouts(), 0.0);
}

#[tokio::test]
async fn a_destination_that_changes_its_speed_is_fed_what_it_takes() {
    let world = world(8192, 20_000.0);
    let (record, backlog) = (8192, 200_000);
    let mut timeouts = 0.0;
    // At a fifth of its speed, what was already in line takes longer than the timeout; but only that.
    let speeds = [20_000.0, 10_000.0, 6_000.0, 20_000.0, 4_000.0, 20_000.0, 100_000.0];
    for rate in speeds {
        world.exporter.server.rate(rate, &world.clock);
        world.saturate(record, backlog, SECOND * 30).await;
        if rate > 4_000.0 {
            assert_eq!(world.timeouts(), timeouts, "at {rate}/s");
        }
        timeouts = world.timeouts();
        let reached = world.throughput(record, backlog, SECOND * 60).await / rate;
        assert!((0.95..1.05).contains(&reached), "{rate}/s: {reached}");
        assert_eq!(world.timeouts(), timeouts, "at {rate}/s");
    }
}

#[tokio::test]
async fn what_answers_many_at_a_time_is_sent_many_at_a_time() {
    // Far away, near, and slow by nature.
    for (takes, within) in
        [(Duration::from_millis(1), 1), (Duration::from_millis(100), 30), (Duration::from_millis(1500), 60)]
    {
        let world = world(10, 0.0);
        world.exporter.server.takes(takes);
        // More than is delivered until the next look.
        let backlog = if takes < TICK { 20_000 } else { 500 };
        world.saturate(10, backlog, SECOND * within).await;
        assert_eq!(world.exporter.most_in_flight.load(Ordering::SeqCst), 32, "{takes:?}");
        let reached = world.throughput(10, backlog, takes * 10).await * takes.as_secs_f64() / 10.0;
        assert!(reached > 30.0, "{takes:?}: {reached} at a time");
    }
}
