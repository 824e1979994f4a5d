//! Finding what a destination will never take: how many requests that costs, and that nothing else is lost.

use std::time::Duration;

use sluice_pipeline::blocks::{Poison, Protection};
use sluice_pipeline::exporter::{Delivery, Payload};
use sluice_pipeline::rng::{Rng, SplitMix};
use sluice_pipeline::send::{RetryCause, SendOutcome};
use sluice_pipeline::spine::Keep;

use super::world::{World, of, permanent, queued, unavailable};

/// Refuses payloads with one of these severities.
fn refuses(bad: Vec<u64>) -> impl Fn(usize, &Payload) -> SendOutcome + Send + Sync + 'static {
    move |_, payload| {
        if of(payload).iter().any(|severity| bad.contains(severity)) { permanent() } else { SendOutcome::delivered() }
    }
}

fn with(poison: Poison) -> Delivery {
    Delivery { protection: Protection { poison, ..Protection::default() }, ..queued() }
}

/// Items from 1 to `n`, but for these.
fn all_but(n: u64, bad: &[u64]) -> Vec<u64> {
    (1..=n).filter(|item| !bad.contains(item)).collect()
}

/// Sends a payload of `n` items of which one is bad; the requests beyond the first.
async fn search(n: u64, bad: u64) -> usize {
    let world = World::lettered(queued(), refuses(vec![bad]));
    world.append(&(1..=n).collect::<Vec<_>>()).await;
    world.settle().await;
    assert_eq!(world.parked(), [("permanent_error", vec![bad], Keep::Evictable)], "{n} items, {bad} bad");
    assert_eq!(world.delivered(), all_but(n, &[bad]), "the others once each: {n} items, {bad} bad");
    assert_eq!(world.booked(), (n - 1, 1));
    assert!(world.dropped().is_empty());
    assert_eq!(world.metric("sluice_exporter_bisect_sends_total"), (world.sends() - 1) as f64);
    world.sends() - 1
}

#[tokio::test]
async fn one_bad_item_among_n_costs_a_logarithm_and_two() {
    let positions = |n: u64| if n <= 17 { (1..=n).collect() } else { vec![1, 2, n / 3, n / 2, n / 2 + 1, n - 1, n] };
    for n in (1..=17u64).chain([31, 32, 33, 100, 1000, 1023, 1025, 8191, 8192]) {
        let most = n.next_power_of_two().trailing_zeros() as usize + 2;
        for bad in positions(n) {
            let extra = search(n, bad).await;
            assert!(extra <= most, "{n} items, the bad one at {bad}: {extra} requests beyond the first");
        }
    }
}

#[tokio::test]
async fn several_bad_items_are_all_found_and_nothing_else_is_lost() {
    let rng = SplitMix::seeded(11);
    for round in 0..60 {
        let n = 1 + rng.below(200);
        let bad: Vec<u64> = (1..=n).filter(|_| rng.below(n) < 3).collect();
        let world = World::lettered(queued(), refuses(bad.clone()));
        // Several records in one payload: each is completed with its own items.
        let items: Vec<u64> = (1..=n).collect();
        let size = 1 + rng.below(n) as usize;
        for chunk in items.chunks(size) {
            world.append(chunk).await;
        }
        world.settle().await;
        let parked: Vec<Vec<u64>> = world.parked().into_iter().map(|(_, items, _)| items).collect();
        assert_eq!(world.booked(), (n - bad.len() as u64, bad.len() as u64), "round {round}");
        assert_eq!(world.delivered(), all_but(n, &bad), "round {round}");
        let mut found = parked.concat();
        found.sort_unstable();
        assert_eq!(found, bad, "round {round}");
        assert!(parked.iter().all(|items| items.len() == 1));
    }
}

#[tokio::test]
async fn after_so_many_requests_the_rest_is_put_aside_as_one() {
    let poison = Poison { max_sends: 10, ..Poison::default() };
    let world = World::lettered(with(poison), |_, payload| {
        // The items whose number is even are bad.
        if of(payload).iter().any(|item| item % 2 == 0) { permanent() } else { SendOutcome::delivered() }
    });
    world.append(&(1..=1000).collect::<Vec<_>>()).await;
    world.settle().await;
    assert_eq!(world.sends(), 11);
    let parked = world.parked();
    let (delivered, letters) = (world.delivered(), parked.iter().map(|letter| letter.1.len()).collect::<Vec<_>>());
    assert!(letters[..letters.len() - 1].iter().all(|&items| items == 1), "{letters:?}");
    let rest = *letters.last().unwrap();
    assert!(rest > 900, "{letters:?}");
    let mut all: Vec<u64> = parked.into_iter().flat_map(|letter| letter.1).chain(delivered.iter().copied()).collect();
    all.sort_unstable();
    assert_eq!(all, (1..=1000).collect::<Vec<_>>(), "every item once");
    assert_eq!(world.booked(), (delivered.len() as u64, 1000 - delivered.len() as u64));
}

#[tokio::test]
async fn without_bisection_the_payload_is_put_aside_whole() {
    let world = World::lettered(with(Poison { bisect: false, ..Poison::default() }), refuses(vec![3]));
    world.append(&[1, 2, 3]).await;
    world.settle().await;
    assert_eq!((world.sends(), world.parked()), (1, vec![("permanent_error", vec![1, 2, 3], Keep::Evictable)]));
}

#[tokio::test]
async fn without_dead_letters_what_is_bad_is_dropped_and_counted() {
    let world = World::new(queued(), refuses(vec![13]));
    world.append(&(1..=20).collect::<Vec<_>>()).await;
    world.settle().await;
    assert_eq!((world.dropped(), world.booked()), (vec![("permanent_error", 1)], (19, 0)));
}

#[tokio::test]
async fn a_panic_costs_the_item_that_causes_it() {
    let world = World::lettered(queued(), |_, payload| {
        assert!(!of(payload).contains(&7), "seven");
        SendOutcome::delivered()
    });
    world.append(&(1..=20).collect::<Vec<_>>()).await;
    world.settle().await;
    assert_eq!(world.parked(), [("panic", vec![7], Keep::Evictable)]);
    assert!(world.letters.kept.lock().unwrap()[0].status.contains("seven"));
    assert_eq!(world.delivered(), all_but(20, &[7]));
    // A destination that panics on everything does not stop the pump.
    world.append(&[7]).await;
    world.append(&[8]).await;
    world.settle().await;
    assert_eq!(world.booked(), (20, 2));
    let under_way = world.metric("otelcol_exporter_in_flight_requests");
    assert!(under_way == 0.0, "{under_way}");
}

#[tokio::test]
async fn a_search_outlasts_an_outage() {
    let world = World::lettered(queued(), |number, payload| match number {
        2..=9 => unavailable(),
        _ if of(payload).contains(&5) => permanent(),
        _ => SendOutcome::delivered(),
    });
    world.append(&(1..=64).collect::<Vec<_>>()).await;
    world.settle().await;
    assert_eq!(world.parked(), [("permanent_error", vec![5], Keep::Evictable)]);
    assert_eq!(world.delivered(), all_but(64, &[5]));
}

#[tokio::test]
async fn what_is_rejected_of_a_part_is_counted_where_it_is() {
    let world = World::lettered(queued(), |_, payload| match of(payload) {
        items if items.contains(&1) => permanent(),
        items if items.len() > 2 => SendOutcome::Partial { rejected: 1, message: String::new() },
        _ => SendOutcome::delivered(),
    });
    world.append(&[1, 2, 3, 4, 5, 6, 7, 8]).await;
    world.settle().await;
    let dropped: u64 = world.dropped().iter().map(|(_, items)| items).sum();
    assert_eq!(world.dropped()[0].0, "peer_partial_success");
    assert_eq!(world.booked(), (7 - dropped, 1));
}

#[tokio::test]
async fn what_is_too_large_is_sent_in_parts_and_the_size_remembered() {
    let limit = 100_000;
    let world = World::lettered(queued(), move |_, payload| {
        if payload.len() > limit { SendOutcome::Split { message: "413".into() } } else { SendOutcome::delivered() }
    });
    let items: Vec<u64> = (1..=20_000).collect();
    for chunk in items.chunks(8000) {
        world.append(chunk).await;
    }
    world.settle().await;
    assert_eq!(world.delivered(), items);
    assert!(world.parked().is_empty());
    let sends = world.sends();
    world.append(&items[..8000]).await;
    world.settle().await;
    let total: usize = super::world::request(&items[..8000]).len();
    assert_eq!(world.sends() - sends, total.div_ceil(limit), "nothing is sent in vain");
    world.clock.advance(Duration::from_secs(601));
    world.append(&items[..8000]).await;
    world.settle().await;
    assert!(world.delivered().len() == 36_000);
}

#[tokio::test]
async fn a_single_item_that_is_too_large_is_put_aside() {
    let world = World::lettered(queued(), |_, payload| match of(payload) {
        items if items.contains(&3) => SendOutcome::Split { message: "413".into() },
        _ => SendOutcome::delivered(),
    });
    world.append(&[1, 2, 3, 4, 5]).await;
    world.settle().await;
    assert_eq!(world.parked(), [("permanent_error", vec![3], Keep::Evictable)]);
    assert_eq!(world.delivered(), [1, 2, 4, 5]);
}

#[tokio::test]
async fn a_retry_within_the_search_sends_the_same_part() {
    let world = World::lettered(queued(), |number, payload| match (number, of(payload)) {
        (1, _) => SendOutcome::Retry { after: None, cause: RetryCause::Ambiguous, message: "reset".into() },
        (_, items) if items.contains(&2) => permanent(),
        _ => SendOutcome::delivered(),
    });
    world.append(&[1, 2, 3, 4]).await;
    world.settle().await;
    assert_eq!((world.delivered(), world.metric("sluice_exporter_ambiguous_total")), (vec![1, 3, 4], 1.0));
}

#[tokio::test]
async fn an_item_is_put_aside_only_if_it_was_refused_alone() {
    // Refused as a whole, and never again: the destination has changed its mind.
    for n in [2, 3, 4, 9, 100] {
        let world = World::lettered(queued(), |number, _| match number {
            0 => permanent(),
            _ => SendOutcome::delivered(),
        });
        world.append(&(1..=n).collect::<Vec<_>>()).await;
        world.settle().await;
        assert_eq!((world.parked(), world.delivered()), (vec![], all_but(n, &[])), "{n} items");
    }
}
