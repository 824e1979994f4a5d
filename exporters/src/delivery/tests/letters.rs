//! What goes to the dead letters, and what happens when they are full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluice_config::ByteSize;
use sluice_pipeline::blocks::{CircuitBreaker, DeadLetter, Protection, Retry};
use sluice_pipeline::exporter::{Delivery, Payload};
use sluice_pipeline::send::{RefusedItems, SendOutcome};
use sluice_pipeline::spine::Keep;

use super::world::{Setup, World, of, pause, permanent, queued, singly, unavailable};

fn internal() -> SendOutcome {
    SendOutcome::Internal { message: "500".to_owned() }
}

/// A world whose dead letters have room for so many items.
fn narrow(room: usize, answer: impl Fn(usize, &Payload) -> SendOutcome + Send + Sync + 'static) -> World {
    World::with(Setup { delivery: queued(), letters: Some(room), blocks: false }, answer)
}

#[tokio::test]
async fn what_a_destination_fails_on_is_kept_as_it_is_and_for_good() {
    let world = World::lettered(queued(), |number, _| if number == 0 { internal() } else { SendOutcome::delivered() });
    world.append(&[1, 2, 3]).await;
    world.settle().await;
    world.append(&[4]).await;
    world.settle().await;
    assert_eq!((world.sends(), world.parked()), (2, vec![("server_error", vec![1, 2, 3], Keep::Always)]));
    assert_eq!(world.booked(), (1, 3));
}

#[tokio::test]
async fn without_a_place_for_letters_it_is_dropped_for_its_own_reason() {
    let world = World::new(queued(), |_, _| internal());
    world.append(&[1, 2]).await;
    world.settle().await;
    assert_eq!((world.sends(), world.dropped()), (1, vec![("server_error", 2)]));
}

#[tokio::test]
async fn without_retry_there_is_one_attempt() {
    let once = || Delivery { retry: None, ..queued() };
    let world = World::new(once(), |_, _| unavailable());
    world.append(&[1, 2]).await;
    world.settle().await;
    assert_eq!((world.sends(), world.dropped()), (1, vec![("retries_exhausted", 2)]));
    let world = World::lettered(once(), |_, _| unavailable());
    world.append(&[1, 2]).await;
    world.settle().await;
    assert_eq!((world.sends(), world.parked()), (1, vec![("retries_exhausted", vec![1, 2], Keep::Always)]));
}

#[tokio::test]
async fn after_the_time_that_was_written_it_is_given_up() {
    let seconds = |seconds| Some(sluice_config::GoDuration::from_secs(seconds));
    let retry = Retry { max_elapsed_time: seconds(20), max_interval: seconds(2), ..Retry::default() };
    let world = World::lettered(Delivery { retry: Some(retry), ..queued() }, |_, _| unavailable());
    let begun = world.clock.next_timer().unwrap_or_default();
    world.append(&[1]).await;
    world.settle().await;
    let took = sluice_pipeline::clock::Clock::now(&world.clock).since(begun);
    assert!(took >= Duration::from_secs(20) && took < Duration::from_secs(30), "{took:?}");
    assert_eq!(world.parked(), [("retries_exhausted", vec![1], Keep::Always)]);
}

#[tokio::test]
async fn a_wrong_configuration_costs_no_data_whatever_the_retries() {
    let right = Arc::new(AtomicBool::new(false));
    let put_right = Arc::clone(&right);
    let world = World::lettered(Delivery { retry: None, ..queued() }, move |_, _| {
        if right.load(Ordering::SeqCst) {
            return SendOutcome::delivered();
        }
        SendOutcome::ConfigError { message: "401".to_owned() }
    });
    world.append_apart(1..=20).await;
    world.pass(Duration::from_secs(600)).await;
    // Once at a time, at the longest interval.
    assert!((19..=22).contains(&world.sends()), "{}", world.sends());
    assert_eq!((world.backlog(), world.metric("sluice_destination_config_error")), (20, 1.0));
    put_right.store(true, Ordering::SeqCst);
    world.settle().await;
    assert_eq!((world.booked(), world.metric("sluice_destination_config_error")), ((20, 0), 0.0));
}

#[tokio::test]
async fn poison_never_stops_its_destination() {
    let world =
        narrow(
            2,
            |_, payload| {
                if of(payload).iter().any(|item| item % 10 == 0) { permanent() } else { SendOutcome::delivered() }
            },
        );
    for first in [1, 11, 21, 31] {
        world.append(&(first..first + 10).collect::<Vec<_>>()).await;
        world.settle().await;
    }
    assert_eq!((world.booked(), world.dropped()), ((36, 2), vec![("dlq_full", 2)]));
    // Three bad ones at once, and room for two.
    let world =
        narrow(
            2,
            |_, payload| {
                if of(payload).iter().any(|item| item % 10 == 0) { permanent() } else { SendOutcome::delivered() }
            },
        );
    world.append(&(1..=30).collect::<Vec<_>>()).await;
    world.settle().await;
    assert_eq!((world.booked(), world.dropped()), ((27, 2), vec![("dlq_full", 1)]));
}

#[tokio::test]
async fn when_what_must_be_kept_has_no_room_sending_stops_and_the_data_stays() {
    let world = narrow(3, |_, _| internal());
    world.append_apart(1..=50).await;
    world.pass(Duration::from_secs(120)).await;
    assert_eq!((world.booked(), world.backlog()), ((0, 3), 47), "nothing is lost");
    assert_eq!(world.metric("sluice_destination_dead_letters_full"), 1.0);
    assert_eq!(world.metric("sluice_destination_breaker_state"), 1.0);
    assert!(world.dropped().is_empty());
    // Probes only.
    let before = world.sends();
    world.pass(Duration::from_secs(3600)).await;
    let probes = world.sends() - before;
    assert!((60..=600).contains(&probes), "{probes} in an hour");
    // Room for all: everything the destination fails on goes there, one at each step.
    world.letters.room.store(usize::MAX, Ordering::SeqCst);
    world.settle().await;
    assert_eq!((world.booked(), world.metric("sluice_destination_dead_letters_full")), ((0, 50), 0.0));
}

#[tokio::test]
async fn a_destination_that_works_again_gets_what_had_no_room() {
    let works = Arc::new(AtomicBool::new(false));
    let repaired = Arc::clone(&works);
    let world = narrow(0, move |_, _| if works.load(Ordering::SeqCst) { SendOutcome::delivered() } else { internal() });
    world.append_apart(1..=50).await;
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(world.backlog(), 50);
    repaired.store(true, Ordering::SeqCst);
    world.settle().await;
    assert_eq!((world.booked(), world.delivered()), ((50, 0), (1..=50).collect::<Vec<_>>()));
    assert_eq!(world.metric("sluice_destination_dead_letters_full"), 0.0);
}

#[tokio::test]
async fn a_disk_that_fails_for_now_loses_no_letter() {
    let world =
        World::lettered(
            queued(),
            |_, payload| {
                if of(payload).contains(&2) { permanent() } else { SendOutcome::delivered() }
            },
        );
    *world.letters.broken.lock().unwrap() = Some("EIO".to_owned());
    world.append(&[1, 2, 3]).await;
    world.pass(Duration::from_secs(300)).await;
    assert_eq!((world.backlog(), world.parked()), (1, vec![]));
    // Others are not held up.
    world.append(&[4]).await;
    pause().await;
    assert_eq!(world.booked(), (1, 0));
    *world.letters.broken.lock().unwrap() = None;
    world.settle().await;
    assert_eq!(world.booked(), (3, 1));
}

#[tokio::test]
async fn the_bounds_of_the_letters_are_those_that_were_written() {
    let dead_letter = DeadLetter { max_bytes: ByteSize(1234), max_age: sluice_config::GoDuration::from_secs(5) };
    let protection = Protection { dead_letter, ..Protection::default() };
    let world = World::lettered(Delivery { protection, ..queued() }, |_, _| SendOutcome::delivered());
    pause().await;
    assert_eq!(*world.letters.limits.lock().unwrap(), Some(dead_letter));
}

#[tokio::test]
async fn full_letters_stop_sending_whatever_the_breaker_would_say() {
    let circuit_breaker =
        CircuitBreaker { consecutive_failures: 1000, min_requests: 100_000, ..CircuitBreaker::default() };
    let protection = Protection { circuit_breaker, ..Protection::default() };
    let delivery = Delivery { protection, ..queued() };
    let world = World::with(Setup { delivery, letters: Some(0), blocks: false }, |_, _| internal());
    world.append_apart(1..=50).await;
    let sends = world.sends();
    assert!(sends <= 10, "{sends}");
    world.pass(Duration::from_secs(600)).await;
    assert!(world.sends() - sends <= 120, "{} probes in ten minutes", world.sends() - sends);
    assert_eq!((world.backlog(), world.booked()), (50, (0, 0)));
}

#[tokio::test]
async fn items_that_are_refused_each_for_themselves_are_put_aside_without_a_search() {
    let answer = |_: usize, _: &Payload| SendOutcome::Refused {
        dropped: [("invalid", 2)].into_iter().collect(),
        refused: [2..5, 7..8]
            .map(|items| RefusedItems { items, reason: "permanent_error", message: "400".into() })
            .into(),
    };
    let world = World::lettered(queued(), answer);
    // Over several records.
    for records in [&[1, 2, 3][..], &[4, 5, 6, 7], &[8, 9, 10]] {
        world.append(records).await;
    }
    world.settle().await;
    let letter = |items: &[u64]| ("permanent_error", items.to_vec(), Keep::Evictable);
    assert_eq!((world.sends(), world.parked()), (1, vec![letter(&[3, 4, 5]), letter(&[8])]));
    assert_eq!((world.booked(), world.dropped()), ((4, 4), vec![("invalid", 2)]));
    let world = World::new(queued(), answer);
    world.append(&(1..=10).collect::<Vec<_>>()).await;
    world.settle().await;
    assert_eq!((world.booked(), world.dropped()), ((4, 0), vec![("invalid", 2), ("permanent_error", 4)]));
}

#[tokio::test]
async fn letters_that_cannot_be_written_do_not_keep_an_outage_from_ending() {
    let works = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&works);
    let world = World::lettered(singly(queued()), move |_, payload| match of(payload) {
        items if items.contains(&1) => permanent(),
        _ if works.load(Ordering::SeqCst) => SendOutcome::delivered(),
        _ => unavailable(),
    });
    *world.letters.broken.lock().unwrap() = Some("EIO".to_owned());
    world.append(&[1]).await;
    pause().await;
    state.store(false, Ordering::SeqCst);
    world.append_apart(2..=40).await;
    // All that are under way are given to the dead disk, or wait; then the destination is back.
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.metric("sluice_destination_breaker_state"), 1.0);
    state.store(true, Ordering::SeqCst);
    world.pass(Duration::from_secs(120)).await;
    assert_eq!((world.booked(), world.backlog()), ((39, 0), 1));
    *world.letters.broken.lock().unwrap() = None;
    world.settle().await;
    assert_eq!(world.booked(), (39, 1));
}
