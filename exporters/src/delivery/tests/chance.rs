//! Destinations that answer by chance: whatever they say, every item is delivered, put aside or counted as dropped, and delivery
//! comes to an end once they work. A seed that fails is named, and repeats.

use std::collections::BTreeMap;
use std::time::Duration;

use sluice_config::GoDuration;
use sluice_pipeline::blocks::{Concurrency, Poison, Protection, Retry};
use sluice_pipeline::exporter::Delivery;
use sluice_pipeline::rng::{Rng, SplitMix};
use sluice_pipeline::send::{RefusedItems, RetryCause, SendOutcome};
use smallvec::SmallVec;

use super::world::{Setup, World, of, permanent, queued, singly};

/// Items that are never taken.
fn is_bad(item: u64) -> bool {
    item % 97 == 13
}

/// An item that the exporter panics on.
fn is_mine(item: u64) -> bool {
    item % 211 == 5
}

fn delivery(rng: &SplitMix) -> Delivery {
    let chance = |of: u64| rng.below(of) == 0;
    let protection = Protection {
        poison: Poison { bisect: !chance(5), max_sends: [3, 20, 64][rng.below(3) as usize] },
        concurrency: Concurrency { min: 1 + rng.below(3) as u32, max: Some(3 + rng.below(30) as u32) },
        strict_order: chance(4),
        ..Protection::default()
    };
    let retry = Retry {
        max_interval: Some(GoDuration::from_secs(2)),
        max_elapsed_time: chance(4).then(|| GoDuration::from_secs(10)),
        ..Retry::default()
    };
    let delivery = Delivery { retry: (!chance(8)).then_some(retry), protection, ..queued() };
    if chance(3) { singly(delivery) } else { delivery }
}

async fn run(seed: u64) {
    let rng = SplitMix::seeded(seed);
    let room = [None, Some(0), Some(30), Some(usize::MAX)][rng.below(4) as usize];
    let setup = Setup { delivery: delivery(&rng), letters: room, blocks: false };
    let (faults, most) = (rng.below(200) as usize, 200 + rng.below(5000) as usize);
    let answers = SplitMix::seeded(seed ^ 0xdead);
    let world = World::with(setup, move |number, payload| {
        let items = of(payload);
        assert_eq!(items.len(), payload.items);
        assert!(!items.iter().any(|&item| is_mine(item)), "mine");
        if payload.len() > most {
            return SendOutcome::Split { message: "413".into() };
        }
        if items.iter().any(|&item| is_bad(item)) {
            return permanent();
        }
        let retry = |cause, after| SendOutcome::Retry { after, cause, message: "later".into() };
        match answers.below(12) {
            _ if number >= faults => SendOutcome::delivered(),
            0 => retry(RetryCause::Throttled, Some(Duration::from_secs(answers.below(10)))),
            1 => retry(RetryCause::Ambiguous, None),
            2 => retry(RetryCause::Connection, None),
            3 => retry(RetryCause::Unavailable, None),
            4 => SendOutcome::Internal { message: "500".into() },
            5 => SendOutcome::ConfigError { message: "401".into() },
            7 => {
                let middle = answers.below(items.len() as u64) as usize;
                let refused = |items| RefusedItems { items, reason: "permanent_error", message: "400".into() };
                SendOutcome::Refused { dropped: SmallVec::new(), refused: vec![refused(middle / 2..middle + 1)] }
            }
            6 => SendOutcome::Partial { rejected: 1, message: "late".into() },
            _ => SendOutcome::delivered(),
        }
    });
    world.exporter.server.takes(Duration::from_millis(rng.below(50)));
    let mut total = 0;
    for _ in 0..rng.below(60) {
        let size = 1 + rng.below(80);
        world.append(&(total..total + size).collect::<Vec<_>>()).await;
        total += size;
        world.pass(Duration::from_millis(rng.below(2000))).await;
    }
    world.settle().await;
    let (delivered, parked) = world.booked();
    let dropped: BTreeMap<&str, u64> = world.dropped().into_iter().collect();
    assert_eq!(delivered + parked + dropped.values().sum::<u64>(), total, "seed {seed}");
    let (arrived, letters) = (world.delivered(), world.parked());
    assert!(arrived.iter().all(|&item| !is_bad(item) && !is_mine(item)), "seed {seed}");
    let mut seen: Vec<u64> = letters.iter().flat_map(|letter| &letter.1).chain(&arrived).copied().collect();
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count, "seed {seed}: an item came twice, or was put aside though it arrived");
    assert_eq!(parked, letters.iter().map(|letter| letter.1.len() as u64).sum::<u64>(), "seed {seed}");
    let rejected = dropped.get("peer_partial_success").copied().unwrap_or(0);
    assert_eq!(arrived.len() as u64, delivered + rejected, "seed {seed}");
    let reasons: Vec<&str> = dropped.keys().copied().filter(|reason| *reason != "peer_partial_success").collect();
    match room {
        Some(usize::MAX) => assert!(reasons.is_empty(), "seed {seed}: {reasons:?}"),
        Some(_) => assert!(reasons.iter().all(|reason| *reason == "dlq_full"), "seed {seed}: {reasons:?}"),
        None => assert_eq!(parked, 0, "seed {seed}"),
    }
}

#[tokio::test]
async fn every_item_is_delivered_put_aside_or_counted() {
    for seed in 0..100 {
        run(seed).await;
    }
}
