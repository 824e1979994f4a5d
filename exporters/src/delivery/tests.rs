//! Delivery on virtual time.

mod age;
mod capacity;
mod chance;
mod lettered;
mod letters;
mod outage;
mod poison;
mod server;
mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sluice_pipeline::BoxFuture;
use sluice_pipeline::ComponentId;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::component::Component;
use sluice_pipeline::exporter::{Attempt, Exporter, Payload};
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::send::{RetryCause, SendOutcome};
use sluice_pipeline::spine::Destination;
use sluice_pipeline::telemetry::Telemetry;

use super::*;
use lettered::{FREE, HANGS, HUNG};
use world::{Setup, World, pause, queued, request, unavailable};

#[tokio::test]
async fn what_cannot_be_delivered_now_is_tried_until_it_can() {
    let world = World::new(queued(), |number, _| if number < 7 { unavailable() } else { SendOutcome::delivered() });
    world.append(&[1, 2, 3]).await;
    world.settle().await;
    assert_eq!(world.sends(), 8);
    assert_eq!(world.exporter.delivered.lock().unwrap().as_slice(), &[request(&[1, 2, 3])]);
    assert!(world.dropped().is_empty());
}

#[tokio::test]
async fn a_hint_is_a_floor_for_the_wait() {
    let hint = Some(Duration::from_secs(60));
    let world = World::new(queued(), move |number, _| match number {
        0 => SendOutcome::Retry { after: hint, cause: RetryCause::Throttled, message: String::new() },
        _ => SendOutcome::delivered(),
    });
    let before = world.clock.now();
    world.append(&[1]).await;
    world.settle().await;
    assert!(world.clock.now().since(before) >= Duration::from_secs(60));
}

#[tokio::test]
async fn what_a_destination_rejects_of_a_payload_is_counted_and_not_sent_again() {
    let world = World::new(queued(), |_, _| SendOutcome::Partial { rejected: 2, message: "late".to_owned() });
    world.append(&[1, 2, 3]).await;
    world.settle().await;
    assert_eq!((world.sends(), world.dropped()), (1, vec![("peer_partial_success", 2)]));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_shutdown_is_counted_as_lost_with_the_memory() {
    let world = World::new(queued(), |_, _| unavailable());
    world.append(&[1, 2, 3]).await;
    pause().await;
    let World { pump, ledger, spine, .. } = world;
    pump.stop(Duration::from_secs(5)).await;
    assert_eq!(spine.backlog(Destination(0)).records, 0);
    let snapshot = ledger.check();
    let account = snapshot.get("destination/told").unwrap();
    assert_eq!(account.dropped.iter().map(|(_, reason, _)| *reason).collect::<Vec<_>>(), ["shutdown_memory_mode"]);
}

/// A destination that never answers.
struct Hangs;

impl Component for Hangs {}

impl Exporter for Hangs {
    fn send<'a>(&'a self, _payload: Payload, _attempt: &'a Attempt) -> BoxFuture<'a, SendOutcome> {
        Box::pin(std::future::pending())
    }
}

impl World {
    /// The present reader ends, and one with another exporter goes on.
    async fn hand_over(self, to: Arc<dyn Exporter>) -> World {
        let World { clock, spine, ledger, exporter, pump, letters, disk, telemetry } = self;
        pump.hand_over(clock.sleep(Duration::from_secs(5))).await;
        let pump = Pump::start(Parts {
            id: ComponentId::new("told", ""),
            exporter: to,
            delivery: queued(),
            batching: None,
            spine: Arc::clone(&spine),
            destination: Destination(0),
            clock: Arc::new(clock.clone()),
            rng: Arc::new(SplitMix::seeded(7)),
            telemetry: Telemetry::new(),
        });
        World { clock, spine, ledger, exporter, pump, letters, disk, telemetry }
    }
}

#[tokio::test]
async fn a_backlog_is_handed_over_once_and_in_full() {
    let world = World::new(queued(), |_, _| SendOutcome::delivered());
    let told = Arc::clone(&world.exporter);
    world.append(&[1]).await;
    world.settle().await;
    // Nothing is in flight: the reader ends at once, though no time passes.
    let world = world.hand_over(Arc::new(Hangs)).await;
    world.append(&[2]).await;
    world.append(&[3, 4]).await;
    pause().await;
    // What hangs is cut off after five seconds, and sent again by the next one.
    let clock = world.clock.clone();
    let next = world.hand_over(Arc::clone(&told) as Arc<dyn Exporter>);
    tokio::pin!(next);
    let world = loop {
        tokio::select! {
            biased;
            world = &mut next => break world,
            () = tokio::task::yield_now() => if clock.next_timer().is_some() { clock.advance(Duration::from_secs(1)) },
        }
    };
    world.settle().await;
    assert!(world.dropped().is_empty());
    let mut severities: Vec<u8> = Vec::new();
    for payload in told.delivered.lock().unwrap().iter() {
        severities.extend(payload.windows(2).filter(|pair| pair[0] == 0x10).map(|pair| pair[1]));
    }
    severities.sort_unstable();
    assert_eq!(severities, [1, 2, 3, 4]);
    let snapshot = world.ledger.check();
    assert_eq!(snapshot.get("destination/told").unwrap().left, [0, 0, 4]);
}

#[tokio::test]
async fn a_reader_that_drains_leaves_what_it_could_not_deliver_to_others() {
    let world = World::new(queued(), |_, _| unavailable());
    world.append(&[1, 2]).await;
    pause().await;
    let World { pump, spine, .. } = world;
    pump.drain(std::future::ready(())).await;
    assert_eq!(spine.backlog(Destination(0)).items, [0, 0, 2]);
}

#[tokio::test]
async fn nobody_waits_for_a_destination_that_fails_to_hand_its_backlog_over() {
    let world = World::new(queued(), |_, _| unavailable());
    for severity in 1..=30 {
        world.append(&[severity]).await;
    }
    pause().await;
    let told = World::new(queued(), |_, _| SendOutcome::delivered()).exporter;
    // No time passes: what waits to be tried again is left at once.
    let world = world.hand_over(Arc::clone(&told) as Arc<dyn Exporter>).await;
    world.settle().await;
    assert!(world.dropped().is_empty());
    assert_eq!(world.ledger.check().get("destination/told").unwrap().left, [0, 0, 30]);
}

#[tokio::test]
async fn what_a_read_still_hands_out_when_its_reader_is_cut_off_goes_to_the_next_one() {
    let setup = Setup { delivery: queued(), letters: None, blocks: true };
    let world = World::with(setup, |_, _| SendOutcome::delivered());
    let disk = Arc::clone(&world.disk);
    disk.store(HANGS, Ordering::SeqCst);
    world.append(&[1, 2, 3]).await;
    while disk.load(Ordering::SeqCst) != HUNG {
        pause().await;
    }
    let told = Arc::clone(&world.exporter);
    let clock = world.clock.clone();
    let next = world.hand_over(told);
    tokio::pin!(next);
    for _ in 0..10 {
        // The time to hand over passes, and the disk hangs all the same.
        tokio::select! {
            biased;
            _ = &mut next => {
                disk.store(FREE, Ordering::SeqCst);
                panic!("handed over while a read is under way");
            }
            () = pause() => clock.advance(Duration::from_secs(1)),
        }
    }
    disk.store(FREE, Ordering::SeqCst);
    let world = next.await;
    for _ in 0..1_000_000 {
        if world.backlog() == 0 {
            break;
        }
        std::thread::yield_now();
        pause().await;
    }
    assert_eq!(world.delivered(), [1, 2, 3]);
}
