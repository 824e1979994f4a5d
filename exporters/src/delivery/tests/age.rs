//! `max_age`: what is too old for its destination.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluice_config::GoDuration;
use sluice_pipeline::exporter::Delivery;
use sluice_pipeline::send::SendOutcome;

use super::world::{World, queued, unavailable};

fn aging(seconds: u64) -> Delivery {
    let mut delivery = queued();
    delivery.queue.as_mut().unwrap().max_age = Some(GoDuration::from_secs(seconds));
    delivery
}

#[tokio::test]
async fn what_is_older_than_the_limit_is_dropped_and_nothing_younger() {
    let works = Arc::new(AtomicBool::new(false));
    let repaired = Arc::clone(&works);
    let world =
        World::new(
            aging(60),
            move |_, _| {
                if works.load(Ordering::SeqCst) { SendOutcome::delivered() } else { unavailable() }
            },
        );
    // One a second for 100 seconds, and nobody takes them.
    for item in 1..=100 {
        world.append_apart([item]).await;
        world.pass(Duration::from_secs(1)).await;
    }
    let kept = world.backlog();
    assert!((60..=62).contains(&kept), "{kept}: whether they wait to be sent or to be read");
    assert_eq!(world.dropped(), [("max_age", 100 - kept as u64)]);
    repaired.store(true, Ordering::SeqCst);
    world.settle().await;
    let delivered = world.delivered();
    let gone = world.dropped()[0].1;
    assert_eq!(delivered, (gone + 1..=100).collect::<Vec<_>>(), "the youngest, and all of them");
    assert!(gone <= 60, "{gone}");
}

#[tokio::test]
async fn without_a_limit_nothing_gets_too_old() {
    let works = Arc::new(AtomicBool::new(false));
    let repaired = Arc::clone(&works);
    let world =
        World::new(
            queued(),
            move |_, _| {
                if works.load(Ordering::SeqCst) { SendOutcome::delivered() } else { unavailable() }
            },
        );
    world.append_apart(1..=20).await;
    world.pass(Duration::from_secs(100_000)).await;
    repaired.store(true, Ordering::SeqCst);
    world.settle().await;
    assert_eq!(world.booked(), (20, 0));
}

#[tokio::test]
async fn a_wall_clock_that_jumps_costs_nothing() {
    let world = World::new(aging(60), |_, _| unavailable());
    world.append_apart(1..=20).await;
    let ahead = sluice_pipeline::clock::Clock::wall(&world.clock).0 + 365 * 86_400 * 1_000_000_000;
    world.clock.set_wall(sluice_pipeline::clock::WallTime(ahead));
    world.pass(Duration::from_secs(300)).await;
    assert_eq!((world.backlog(), world.dropped()), (20, vec![]));
    // After ten minutes it is believed again.
    world.pass(Duration::from_secs(400)).await;
    assert_eq!((world.backlog(), world.dropped()), (0, vec![("max_age", 20)]));
}
