//! A destination in trouble: breaker, retry budget and concurrency as its senders meet them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sluice_pipeline::blocks::{Concurrency, Protection, Retry};
use sluice_pipeline::exporter::Delivery;
use sluice_pipeline::send::{RetryCause, SendOutcome};

use super::world::{Setup, World, of, pause, queued, singly, unavailable};

#[tokio::test]
async fn while_a_destination_fails_one_attempt_at_a_time_probes_it() {
    let works = Arc::new(AtomicBool::new(false));
    let repaired = Arc::clone(&works);
    let world =
        World::new(
            queued(),
            move |_, _| {
                if works.load(Ordering::SeqCst) { SendOutcome::delivered() } else { unavailable() }
            },
        );
    world.append_apart(0..50).await;
    // Ten payloads are tried; five failures in a row open the breaker.
    let first = world.sends();
    assert!((5..=10).contains(&first), "{first} sends");
    assert_eq!(world.metric("sluice_destination_breaker_state"), 1.0);
    world.exporter.server.takes(Duration::from_millis(10));
    world.exporter.most_in_flight.store(0, Ordering::SeqCst);
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.exporter.most_in_flight.load(Ordering::SeqCst), 1, "one probe at a time");
    assert!(world.sends() < first + 20, "{} sends", world.sends());
    repaired.store(true, Ordering::SeqCst);
    world.settle().await;
    assert_eq!((world.booked(), world.metric("sluice_destination_breaker_state")), ((50, 0), 0.0));
}

#[tokio::test]
async fn a_payload_that_fails_alone_stops_nobody() {
    // Item 7 fails again and again, but is not poison.
    let world = World::new(queued(), |number, payload| {
        if of(payload).contains(&7) && number < 300 { unavailable() } else { SendOutcome::delivered() }
    });
    for item in 1..=290 {
        world.append_apart([item]).await;
        world.pass(Duration::from_millis(20)).await;
        assert!(world.backlog() <= 1, "{item}: the others pass");
        assert_eq!(world.metric("sluice_destination_breaker_state"), 0.0);
    }
    assert_eq!(world.backlog(), 1);
    let retries = world.metric("sluice_exporter_retries_total");
    assert!(retries >= 3.0, "{retries}");
    world.append_apart(291..=300).await;
    world.settle().await;
    assert_eq!(world.booked(), (300, 0));
}

#[tokio::test]
async fn retries_do_not_multiply_the_load_of_a_destination_that_fails_now_and_then() {
    // Two of five attempts fail: never enough to open the breaker.
    let failed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failed);
    let hasty = Retry { initial_interval: Some(sluice_config::GoDuration::from_millis(1)), ..Retry::default() };
    let protection = Protection { concurrency: Concurrency { min: 32, max: Some(32) }, ..Protection::default() };
    let delivery = Delivery { retry: Some(hasty), protection, ..queued() };
    let world = World::new(delivery, move |number, _| {
        if number % 5 < 2 {
            counted.fetch_add(1, Ordering::SeqCst);
            return unavailable();
        }
        SendOutcome::delivered()
    });
    let begun = 0;
    let mut time = Duration::ZERO;
    for item in begun..400 {
        world.append_apart([item]).await;
        world.pass(Duration::from_millis(50)).await;
        time += Duration::from_millis(50);
        let (delivered, _) = world.booked();
        let retries = world.metric("sluice_exporter_retries_total");
        // What was saved at the start, a tenth of the successes, and one a second.
        let most = 10.0 + delivered as f64 * 0.1 + time.as_secs_f64() + 1.0;
        assert!(retries <= most, "{retries} retries after {delivered} successes and {time:?}");
    }
    assert!(failed.load(Ordering::SeqCst) > 40);
    assert!(world.backlog() > 0, "the budget was not what limited it");
    assert_eq!(world.metric("sluice_destination_breaker_state"), 0.0);
    world.settle().await;
    assert!(world.dropped().is_empty(), "without budget they wait, and nothing is dropped");
    assert_eq!(world.booked(), (400, 0));
}

#[tokio::test]
async fn a_hint_holds_for_the_whole_destination() {
    let world = World::new(queued(), |number, _| match number {
        0 => SendOutcome::Retry {
            after: Some(Duration::from_secs(60)),
            cause: RetryCause::Throttled,
            message: "429".into(),
        },
        _ => SendOutcome::delivered(),
    });
    world.append_apart(1..=5).await;
    world.pass(Duration::from_secs(59)).await;
    assert_eq!(world.sends(), 1);
    world.pass(Duration::from_secs(2)).await;
    assert_eq!((world.sends(), world.booked()), (6, (5, 0)));
}

#[tokio::test]
async fn concurrency_is_found_within_its_bounds() {
    let run = async |protection: Protection, consumers: Option<i64>| {
        let mut delivery = singly(Delivery { protection, ..queued() });
        delivery.queue.as_mut().unwrap().num_consumers = consumers;
        let world = World::new(delivery, |_, _| SendOutcome::delivered());
        world.exporter.server.takes(Duration::from_secs(1));
        world.append_apart(1..=3000).await;
        world.settle().await;
        assert_eq!(world.booked(), (3000, 0));
        world.exporter.most_in_flight.load(Ordering::SeqCst)
    };
    assert_eq!(run(Protection::default(), None).await, 32);
    assert_eq!(run(Protection::default(), Some(15)).await, 15);
    let max = Concurrency { min: 1, max: Some(3) };
    assert_eq!(run(Protection { concurrency: max, ..Protection::default() }, Some(15)).await, 3);
    assert_eq!(run(Protection { strict_order: true, ..Protection::default() }, Some(15)).await, 1);
}

#[tokio::test]
async fn pressure_lowers_concurrency_and_success_raises_it_again() {
    let pressed = Arc::new(AtomicBool::new(true));
    let eased = Arc::clone(&pressed);
    let world = World::new(singly(queued()), move |number, _| {
        if pressed.load(Ordering::SeqCst) && number % 4 == 3 {
            return SendOutcome::Retry { after: None, cause: RetryCause::Throttled, message: "429".into() };
        }
        SendOutcome::delivered()
    });
    world.exporter.server.takes(Duration::from_millis(20));
    world.append_apart(1..=100).await;
    world.pass(Duration::from_secs(30)).await;
    let low = world.metric("sluice_destination_concurrency");
    assert!(low < 10.0, "{low}");
    eased.store(false, Ordering::SeqCst);
    world.append_apart(101..=1200).await;
    world.settle().await;
    let high = world.metric("sluice_destination_concurrency");
    assert!(high > 20.0, "{high}");
}

#[tokio::test]
async fn a_dead_destination_holds_few_payloads_and_its_backlog_stays_in_the_spine() {
    let world = World::new(queued(), |_, _| unavailable());
    world.append_apart(0..5).await;
    // Open by now: what comes later is not even read.
    world.append_apart(5..200).await;
    world.pass(Duration::from_secs(60)).await;
    let unread = world.spine.read(
        super::world::TOLD,
        sluice_pipeline::spine::ReadLimit { records: usize::MAX, items: usize::MAX, bytes: usize::MAX },
    );
    assert!(unread.len() >= 190, "{} left", unread.len());
}

#[tokio::test]
async fn nobody_of_the_runtime_waits_for_the_disk() {
    let setup = Setup { delivery: queued(), letters: None, blocks: true };
    let world = World::with(setup, |_, _| SendOutcome::delivered());
    for item in 1..=20 {
        world.append(&[item]).await;
    }
    // A thread reads: it takes real time, and no virtual time.
    for _ in 0..1_000_000 {
        if world.backlog() == 0 {
            break;
        }
        std::thread::yield_now();
        pause().await;
    }
    assert_eq!(world.delivered(), (1..=20).collect::<Vec<_>>());
}

/// An outage of ten minutes, by which waits are long; then it can be sent to, and connected to or not. How long until the first
/// payload is delivered.
async fn healed_after(cause: RetryCause, reachable: bool) -> Duration {
    let works = Arc::new(AtomicBool::new(false));
    let repaired = Arc::clone(&works);
    let slow = Retry { randomization_factor: Some(0.0), ..Retry::default() };
    let world = World::new(Delivery { retry: Some(slow), ..queued() }, move |_, _| {
        if works.load(Ordering::SeqCst) {
            return SendOutcome::delivered();
        }
        SendOutcome::Retry { after: None, cause, message: String::new() }
    });
    world.append_apart(1..=5).await;
    world.pass(Duration::from_secs(600)).await;
    // Just after a probe has failed.
    let sends = world.sends();
    while world.sends() == sends {
        world.pass(Duration::from_millis(100)).await;
    }
    repaired.store(true, Ordering::SeqCst);
    world.exporter.reachable.store(reachable, Ordering::SeqCst);
    let mut took = Duration::ZERO;
    while world.booked().0 == 0 {
        world.pass(Duration::from_millis(100)).await;
        took += Duration::from_millis(100);
    }
    took
}

#[tokio::test]
async fn who_can_be_connected_to_again_is_tried_at_once() {
    let took = healed_after(RetryCause::Connection, true).await;
    assert!(took <= Duration::from_millis(2200), "{took:?}");
    // What answers says itself when to come back.
    assert!(healed_after(RetryCause::Throttled, true).await > Duration::from_secs(20));
    assert!(healed_after(RetryCause::Connection, false).await > Duration::from_secs(20));
}
