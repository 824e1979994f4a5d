//! A destination that answers as it is told, read by a pump on virtual time, from a spine that may keep dead letters.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sluice_config::Toggle;
use sluice_pdata::wire::{Value, fields, put_message, put_varint_field};
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::batch::NoRedaction;
use sluice_pipeline::blocks::{QueueBatch, Retry, SendingQueue};
use sluice_pipeline::clock::{Clock, VirtualClock, WallTime};
use sluice_pipeline::component::Component;
use sluice_pipeline::exporter::{Attempt, Delivery, Exporter, Payload};
use sluice_pipeline::ledger::Ledger;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::send::{RetryCause, SendOutcome};
use sluice_pipeline::spine::memory::MemorySpine;
use sluice_pipeline::spine::{CursorRule, Destination, DestinationSpec, Keep, OnQuota, Record, Role, RouteSet, Spine};
use sluice_pipeline::telemetry::{Naming, Telemetry};
use sluice_pipeline::{Batch, BoxFuture, ComponentId, Context, Signal};

use super::lettered::{Lettered, Letters};
use super::server::Server;
use crate::delivery::{Parts, Pump};

pub(super) const TOLD: Destination = Destination(0);

type Answer = Box<dyn Fn(usize, &Payload) -> SendOutcome + Send + Sync>;

/// A destination that answers as it is told, with the number of the send.
pub(super) struct Told {
    answer: Answer,
    pub(super) server: Server,
    /// Whether a connection can be made.
    pub(super) reachable: AtomicBool,
    clock: VirtualClock,
    sends: AtomicUsize,
    in_flight: AtomicUsize,
    pub(super) most_in_flight: AtomicUsize,
    pub(super) delivered: Mutex<Vec<Bytes>>,
}

impl Component for Told {}

impl Exporter for Told {
    fn send<'a>(&'a self, payload: Payload, _attempt: &'a Attempt) -> BoxFuture<'a, SendOutcome> {
        Box::pin(async move {
            let number = self.sends.fetch_add(1, Ordering::SeqCst);
            let under_way = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_in_flight.fetch_max(under_way, Ordering::SeqCst);
            self.server.serve(payload.items, &self.clock).await;
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            let outcome = (self.answer)(number, &payload);
            match &outcome {
                SendOutcome::Delivered { .. } | SendOutcome::Partial { .. } => {
                    self.delivered.lock().unwrap().push(payload.contiguous());
                }
                SendOutcome::Refused { refused, .. } => {
                    let is_refused = |place: &usize| refused.iter().any(|refused| refused.items.contains(place));
                    let taken = of(&payload).into_iter().enumerate().filter(|(place, _)| !is_refused(place));
                    let taken: Vec<u64> = taken.map(|(_, item)| item).collect();
                    self.delivered.lock().unwrap().push(request(&taken));
                }
                _ => {}
            }
            outcome
        })
    }

    fn probe(&self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(self.reachable.load(Ordering::SeqCst)))
    }
}

pub(super) struct World {
    pub(super) clock: VirtualClock,
    pub(super) spine: Arc<dyn Spine>,
    pub(super) letters: Arc<Letters>,
    pub(super) disk: Arc<AtomicUsize>,
    pub(super) ledger: Ledger,
    pub(super) telemetry: Telemetry,
    pub(super) exporter: Arc<Told>,
    pub(super) pump: Pump,
}

/// Log records with these severities.
pub(super) fn request(severities: &[u64]) -> Bytes {
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

/// The severities in a request.
pub(super) fn severities(request: &[u8]) -> Vec<u64> {
    fn inner(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
        fields(message).map(Result::unwrap).filter(move |field| field.number == number).filter_map(|f| f.value.len())
    }
    let records = inner(request, 1).flat_map(|resource| inner(resource, 2)).flat_map(|scope| inner(scope, 2));
    let severity = |record| {
        let of = |value| if let Value::Varint(severity) = value { Some(severity) } else { None };
        fields(record).map(Result::unwrap).find_map(|field| of(field.value)).unwrap_or(0)
    };
    records.map(severity).collect()
}

pub(super) fn of(payload: &Payload) -> Vec<u64> {
    severities(&payload.contiguous())
}

/// How a world is made.
pub(super) struct Setup {
    pub(super) delivery: Delivery,
    /// Items that the dead letters have room for; none for a spine without.
    pub(super) letters: Option<usize>,
    pub(super) blocks: bool,
}

impl World {
    pub(super) fn new(
        delivery: Delivery,
        answer: impl Fn(usize, &Payload) -> SendOutcome + Send + Sync + 'static,
    ) -> Self {
        Self::with(Setup { delivery, letters: None, blocks: false }, answer)
    }

    /// With room for any number of dead letters.
    pub(super) fn lettered(
        delivery: Delivery,
        answer: impl Fn(usize, &Payload) -> SendOutcome + Send + Sync + 'static,
    ) -> Self {
        Self::with(Setup { delivery, letters: Some(usize::MAX), blocks: false }, answer)
    }

    pub(super) fn with(setup: Setup, answer: impl Fn(usize, &Payload) -> SendOutcome + Send + Sync + 'static) -> Self {
        let Setup { delivery, letters: room, blocks } = setup;
        let clock = VirtualClock::new(WallTime(1_700_000_000_000_000_000));
        clock.advance(Duration::from_secs(1));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let telemetry = Telemetry::new();
        let ledger = Ledger::new(&telemetry, []);
        let memory = MemBudget::new(64 << 20, Arc::clone(&shared));
        let spec = DestinationSpec {
            name: "told".into(),
            role: Role::Exporter,
            max_bytes: None,
            queue_size: None,
            on_quota: OnQuota::Reject,
        };
        let log = MemorySpine::new(16 << 20, false, CursorRule::Absorbed, memory, &ledger, &[spec]).unwrap();
        let letters = Arc::new(Letters {
            kept: Mutex::default(),
            room: AtomicUsize::new(room.unwrap_or(0)),
            broken: Mutex::default(),
            limits: Mutex::default(),
        });
        let (disk, runtime) = (Arc::new(AtomicUsize::new(0)), std::thread::current().id());
        let known = room.map(|_| Arc::clone(&letters));
        let spine = Lettered { log, letters: known, blocks, disk: Arc::clone(&disk), runtime };
        let spine: Arc<dyn Spine> = Arc::new(spine);
        let exporter = Arc::new(Told {
            answer: Box::new(answer),
            server: Server::default(),
            reachable: AtomicBool::new(false),
            clock: clock.clone(),
            sends: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            delivered: Mutex::default(),
        });
        let pump = Pump::start(Parts {
            id: ComponentId::new("told", ""),
            exporter: Arc::clone(&exporter) as Arc<dyn Exporter>,
            delivery,
            batching: None,
            spine: Arc::clone(&spine),
            destination: TOLD,
            clock: shared,
            rng: Arc::new(SplitMix::seeded(7)),
            telemetry: telemetry.clone(),
        });
        World { clock, spine, letters, disk, ledger, telemetry, exporter, pump }
    }

    pub(super) async fn append(&self, severities: &[u64]) {
        let context = Context::internal(ComponentId::new("test", ""), self.clock.arrival());
        let batch = Batch::new(Signal::Logs, request(severities), severities.len(), Arc::new(context));
        let routes = RouteSet::EMPTY.with(TOLD);
        let record = Record { batch: NoRedaction.waive(batch), routes };
        self.spine.append(vec![record]).await.unwrap();
    }

    /// One payload each: what is appended is read before the next.
    pub(super) async fn append_apart(&self, severities: impl IntoIterator<Item = u64>) {
        for severity in severities {
            self.append(&[severity]).await;
            pause().await;
        }
    }

    /// Moves time to the next timer.
    pub(super) async fn step(&self) {
        if let Some(next) = self.clock.next_timer() {
            let wait = next.since(self.clock.now());
            self.clock.advance(wait);
        }
        pause().await;
    }

    /// Moves time on, from timer to timer.
    pub(super) async fn pass(&self, time: Duration) {
        let until = self.clock.now() + time;
        pause().await;
        while let Some(next) = self.clock.next_timer().filter(|&next| next <= until) {
            self.clock.advance(next.since(self.clock.now()));
            pause().await;
        }
        self.clock.advance(until.since(self.clock.now()));
        pause().await;
    }

    /// Lets tasks run until nothing is left, moving time from timer to timer.
    pub(super) async fn settle(&self) {
        for _ in 0..10_000 {
            pause().await;
            if self.backlog() == 0 {
                return;
            }
            self.step().await;
        }
        panic!("delivery did not come to an end");
    }

    pub(super) fn backlog(&self) -> usize {
        self.spine.backlog(TOLD).records
    }

    pub(super) fn sends(&self) -> usize {
        self.exporter.sends.load(Ordering::SeqCst)
    }

    /// Severities of what was delivered, as often as it was, in order.
    pub(super) fn delivered(&self) -> Vec<u64> {
        let delivered = self.exporter.delivered.lock().unwrap();
        let mut all: Vec<u64> = delivered.iter().flat_map(|request| severities(request)).collect();
        all.sort_unstable();
        all
    }

    /// Reason, severities and whether they may go, of each dead letter.
    pub(super) fn parked(&self) -> Vec<(&'static str, Vec<u64>, Keep)> {
        let kept = self.letters.kept.lock().unwrap();
        kept.iter()
            .map(|letter| {
                let inside = severities(&letter.bytes);
                assert_eq!(inside.len(), letter.items);
                (letter.reason, inside, letter.keep)
            })
            .collect()
    }

    pub(super) fn dropped(&self) -> Vec<(&'static str, u64)> {
        let snapshot = self.ledger.check();
        assert_eq!(snapshot.errors().count(), 0, "the ledger balances");
        let account = snapshot.get("destination/told").unwrap();
        account.dropped.iter().map(|(_, reason, tally)| (*reason, tally.iter().sum())).collect()
    }

    /// Items delivered and parked, by the ledger.
    pub(super) fn booked(&self) -> (u64, u64) {
        let snapshot = self.ledger.check();
        assert_eq!(snapshot.errors().count(), 0, "the ledger balances");
        let account = snapshot.get("destination/told").unwrap();
        (account.left.iter().sum(), account.parked.iter().sum())
    }

    /// The value of a series of this exporter.
    pub(super) fn metric(&self, name: &str) -> f64 {
        let text = self.telemetry.render(&Naming::default());
        let line = text.lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with('{'));
        line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
    }
}

/// Lets every task run that can.
pub(super) async fn pause() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

pub(super) fn queued() -> Delivery {
    Delivery {
        queue: Some(SendingQueue::default()),
        retry: Some(Retry::default()),
        timeout: Duration::from_secs(5),
        ..Delivery::default()
    }
}

/// Each item in a payload of its own.
pub(super) fn singly(mut delivery: Delivery) -> Delivery {
    let batch = QueueBatch { min_size: 0, max_size: 1, ..QueueBatch::default() };
    delivery.queue.as_mut().unwrap().batch = Toggle::On(batch);
    delivery
}

pub(super) fn unavailable() -> SendOutcome {
    SendOutcome::Retry { after: None, cause: RetryCause::Unavailable, message: "502".to_owned() }
}

pub(super) fn permanent() -> SendOutcome {
    SendOutcome::Permanent { message: "400".to_owned() }
}
