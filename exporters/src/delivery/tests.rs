//! Delivery on virtual time: retries, isolation, division of what is refused, and what is counted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sluice_pdata::wire::{put_message, put_varint_field};
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::batch::NoRedaction;
use sluice_pipeline::blocks::{Retry, SendingQueue};
use sluice_pipeline::clock::{Clock, VirtualClock, WallTime};
use sluice_pipeline::component::Component;
use sluice_pipeline::exporter::{Attempt, Delivery, Exporter, Payload};
use sluice_pipeline::ledger::Ledger;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::send::{RetryCause, SendOutcome};
use sluice_pipeline::spine::memory::MemorySpine;
use sluice_pipeline::spine::{CursorRule, Destination, DestinationSpec, OnQuota, Record, RouteSet, Spine};
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::{Batch, BoxFuture, ComponentId, Context, Signal};

use super::*;

type Answer = Box<dyn Fn(usize, &Payload) -> SendOutcome + Send + Sync>;

/// A destination that answers as it is told.
struct Told {
    answer: Answer,
    sends: AtomicUsize,
    delivered: Mutex<Vec<Bytes>>,
}

impl Component for Told {}

impl Exporter for Told {
    fn send<'a>(&'a self, payload: Payload, _attempt: &'a Attempt) -> BoxFuture<'a, SendOutcome> {
        let number = self.sends.fetch_add(1, Ordering::SeqCst);
        let outcome = (self.answer)(number, &payload);
        if matches!(outcome, SendOutcome::Delivered { .. } | SendOutcome::Partial { .. }) {
            self.delivered.lock().unwrap().push(payload.contiguous());
        }
        Box::pin(std::future::ready(outcome))
    }
}

struct World {
    clock: VirtualClock,
    spine: Arc<dyn Spine>,
    ledger: Ledger,
    exporter: Arc<Told>,
    pump: Pump,
}

/// Log records with these severities.
fn request(severities: &[u64]) -> Bytes {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 2, |scope| {
            for &severity in severities {
                put_message(scope, 2, |record| put_varint_field(record, 2, severity));
            }
        });
    });
    Bytes::from(out)
}

impl World {
    fn new(delivery: Delivery, answer: impl Fn(usize, &Payload) -> SendOutcome + Send + Sync + 'static) -> Self {
        let clock = VirtualClock::new(WallTime(1));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let telemetry = Telemetry::new();
        let ledger = Ledger::new(&telemetry, []);
        let memory = MemBudget::new(64 << 20, Arc::clone(&shared));
        let spec =
            DestinationSpec { name: "told".into(), max_bytes: None, queue_size: None, on_quota: OnQuota::Reject };
        let spine = MemorySpine::new(16 << 20, false, CursorRule::Absorbed, memory, &ledger, &[spec]).unwrap();
        let spine: Arc<dyn Spine> = Arc::new(spine);
        let exporter =
            Arc::new(Told { answer: Box::new(answer), sends: AtomicUsize::new(0), delivered: Mutex::default() });
        let pump = Pump::start(Parts {
            id: ComponentId::new("told", ""),
            exporter: Arc::clone(&exporter) as Arc<dyn Exporter>,
            delivery,
            batching: None,
            spine: Arc::clone(&spine),
            destination: Destination(0),
            clock: shared,
            rng: Arc::new(SplitMix::seeded(7)),
            telemetry,
        });
        World { clock, spine, ledger, exporter, pump }
    }

    async fn append(&self, severities: &[u64]) {
        let context = Context::internal(ComponentId::new("test", ""), self.clock.arrival());
        let batch = Batch::new(Signal::Logs, request(severities), severities.len(), Arc::new(context));
        let routes = RouteSet::EMPTY.with(Destination(0));
        let record = Record { batch: NoRedaction.waive(batch), routes };
        self.spine.append(vec![record]).await.unwrap();
    }

    /// Lets tasks run until nothing is left, moving time from timer to timer.
    async fn settle(&self) {
        for _ in 0..10_000 {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            if self.spine.backlog(Destination(0)).records == 0 {
                return;
            }
            if let Some(next) = self.clock.next_timer() {
                let wait = next.since(self.clock.now());
                self.clock.advance(wait);
            }
        }
        panic!("delivery did not come to an end");
    }

    fn sends(&self) -> usize {
        self.exporter.sends.load(Ordering::SeqCst)
    }

    fn dropped(&self) -> Vec<(&'static str, u64)> {
        let snapshot = self.ledger.check();
        assert_eq!(snapshot.errors().count(), 0, "the ledger balances");
        let account = snapshot.get("destination/told").unwrap();
        account.dropped.iter().map(|(_, reason, tally)| (*reason, tally.iter().sum())).collect()
    }
}

fn queued() -> Delivery {
    Delivery { queue: Some(SendingQueue::default()), retry: Some(Retry::default()), timeout: Duration::from_secs(5) }
}

fn unavailable() -> SendOutcome {
    SendOutcome::Retry { after: None, cause: RetryCause::Unavailable, message: "503".to_owned() }
}

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
async fn while_a_destination_fails_one_attempt_at_a_time_probes_it() {
    let open = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&open);
    let world =
        World::new(
            queued(),
            move |_, _| {
                if seen.load(Ordering::SeqCst) == 0 { unavailable() } else { SendOutcome::delivered() }
            },
        );
    for severity in 0..50 {
        world.append(&[severity]).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    // Ten senders hold a payload each; but for the first round, only probes are sent.
    let first = world.sends();
    assert!(first <= 10, "{first} sends");
    for round in 1..=5 {
        let wait = world.clock.next_timer().unwrap().since(world.clock.now());
        world.clock.advance(wait);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert!(world.sends() <= first + round, "one probe a step");
    }
    open.store(1, Ordering::SeqCst);
    world.settle().await;
    assert!(world.dropped().is_empty());
}

#[tokio::test]
async fn one_bad_item_is_found_and_only_it_is_lost() {
    let bad = |payload: &Payload| {
        let bytes = payload.contiguous();
        // Severity 13 is the poison: field 2, varint 13.
        bytes.windows(2).any(|pair| pair == [0x10, 13])
    };
    let world = World::new(queued(), move |_, payload| {
        if bad(payload) { SendOutcome::Permanent { message: "400".to_owned() } } else { SendOutcome::delivered() }
    });
    let severities: Vec<u64> = (1..=20).collect();
    world.append(&severities).await;
    world.settle().await;
    assert_eq!(world.dropped(), [("permanent_error", 1)]);
    assert!(world.sends() <= 12, "{} sends", world.sends());
}

#[tokio::test]
async fn what_a_destination_rejects_of_a_payload_is_counted_and_not_sent_again() {
    let world = World::new(queued(), |_, _| SendOutcome::Partial { rejected: 2, message: "late".to_owned() });
    world.append(&[1, 2, 3]).await;
    world.settle().await;
    assert_eq!((world.sends(), world.dropped()), (1, vec![("peer_partial_success", 2)]));
}

#[tokio::test]
async fn without_retry_there_is_one_attempt() {
    let world = World::new(Delivery { retry: None, ..queued() }, |_, _| unavailable());
    world.append(&[1, 2]).await;
    world.settle().await;
    assert_eq!((world.sends(), world.dropped()), (1, vec![("permanent_error", 2)]));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_shutdown_is_counted_as_lost_with_the_memory() {
    let world = World::new(queued(), |_, _| unavailable());
    world.append(&[1, 2, 3]).await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
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
        let World { clock, spine, ledger, exporter, pump } = self;
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
        World { clock, spine, ledger, exporter, pump }
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
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
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
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
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
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    let told = World::new(queued(), |_, _| SendOutcome::delivered()).exporter;
    // No time passes: what waits to be tried again is left at once.
    let world = world.hand_over(Arc::clone(&told) as Arc<dyn Exporter>).await;
    world.settle().await;
    assert!(world.dropped().is_empty());
    assert_eq!(world.ledger.check().get("destination/told").unwrap().left, [0, 0, 30]);
}
