//! Mode `exported` on virtual time: who is waited for, how long, and what becomes of what was not confirmed.

use tokio::task::JoinHandle;

use super::*;
use crate::batch::Batch;
use crate::intake::Outputs;
use crate::ledger::reasons;
use crate::receiver::Consumer;
use crate::spine::memory::MemorySpine;
use crate::spine::{Completion, CursorRule, Destination, Entry, OnQuota, ReadLimit};
use crate::testing::{World, destination, names, to};

const ALL: ReadLimit = ReadLimit { records: usize::MAX, items: usize::MAX, bytes: usize::MAX };
const HOLD: Duration = Duration::from_secs(8);
const A: Destination = Destination(0);
const B: Destination = Destination(1);
const C: Destination = Destination(2);

/// A pipeline to three destinations, of which senders wait for some.
struct Exported {
    world: World,
    spine: MemorySpine,
    intake: Arc<Intake>,
}

impl Exported {
    fn to(awaited: &[u8]) -> Self {
        Self::with(awaited, RouteSet::EMPTY)
    }

    fn with(awaited: &[u8], blocking: RouteSet) -> Self {
        let world = World::new();
        let specs = ["a", "b", "c"].map(|name| destination(name, None, OnQuota::Reject));
        let spine = world.spine(6 << 10, false, CursorRule::Absorbed, &specs);
        let outputs = Outputs { routes: to(&[0, 1, 2]), awaited: to(awaited), ..Outputs::default() };
        let clock: Arc<dyn Clock> = Arc::new(world.clock.clone());
        let branches = vec![world.branch("", vec![], outputs)];
        let intake = Intake::new(branches, Arc::new(spine.clone()), clock, blocking).holding(HOLD);
        Exported { intake: Arc::new(intake), spine, world }
    }

    /// A client that sends spans of these names.
    async fn send(&self, names: &[&str]) -> Client {
        self.send_batch(self.world.batch(names)).await
    }

    async fn send_batch(&self, batch: Batch) -> Client {
        let intake = Arc::clone(&self.intake);
        let client = Client(tokio::spawn(async move { intake.consume(batch).await }));
        client.waits().await;
        client
    }

    fn read(&self, from: Destination) -> Vec<Entry> {
        self.spine.read(from, ALL)
    }

    /// The destination takes all it has not taken.
    fn deliver(&self, to: Destination) {
        for entry in self.read(to) {
            self.spine.complete(to, entry.seq(), Completion::delivered(entry.batch().items()));
        }
    }

    fn gives_up(&self, at: Destination, reason: &'static str, items: usize) {
        for entry in self.read(at) {
            let delivered = entry.batch().items() - items;
            let completion = Completion { delivered, ..Completion::dropped(reason, items) };
            self.spine.complete(at, entry.seq(), completion);
        }
    }

    fn waiting(&self, at: Destination) -> usize {
        self.spine.backlog(at).records
    }

    fn admitted(&self) -> u64 {
        self.world.assert_balanced();
        let snapshot = self.world.ledger.snapshot();
        let account = snapshot.get("pipeline/traces").unwrap();
        account.entered[0] - account.held[0]
    }
}

struct Client(JoinHandle<Result<Accepted, Refusal>>);

impl Client {
    /// Whether it has no answer when everything has run that can.
    async fn waits(&self) -> bool {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        !self.0.is_finished()
    }

    async fn answer(self) -> Result<Accepted, Refusal> {
        assert!(!self.waits().await, "there is no answer");
        self.0.await.unwrap()
    }
}

fn unavailable(message: &str) -> Result<Accepted, Refusal> {
    Err(Refusal::DestinationUnavailable { message: message.to_owned() })
}

fn partial(rejected: u64, message: &str) -> Result<Accepted, Refusal> {
    Ok(Accepted { partial: Some(Partial::new(rejected, message)) })
}

#[tokio::test]
async fn success_waits_for_every_destination_that_is_waited_for_and_for_no_other() {
    let exported = Exported::to(&[0, 1]);
    let client = exported.send(&["x", "y"]).await;
    assert!(client.waits().await);
    assert_eq!(exported.admitted(), 0, "nothing counts before the answer");
    exported.deliver(A);
    assert!(client.waits().await);
    exported.deliver(B);
    assert_eq!(client.answer().await, Ok(Accepted::default()));
    assert_eq!((exported.admitted(), exported.waiting(C)), (2, 1));
    // The other goes on in its own time.
    exported.deliver(C);
    assert_eq!((exported.spine.usage().0, exported.world.memory.total()), (0, 0));
    exported.world.assert_balanced();
}

#[tokio::test]
async fn what_comes_from_the_collector_itself_waits_for_nobody() {
    let exported = Exported::to(&[0]);
    let Intake { branches, spine, clock, .. } = &*exported.intake;
    let own = Intake::new(branches.clone(), Arc::clone(spine), Arc::clone(clock), RouteSet::EMPTY);
    assert_eq!(own.consume(exported.world.batch(&["x"])).await, Ok(Accepted::default()));
    assert_eq!(exported.waiting(A), 1);
}

#[tokio::test]
async fn without_confirmation_in_time_it_is_refused_and_what_nobody_read_is_taken_back() {
    let exported = Exported::to(&[0, 1]);
    let client = exported.send(&["x", "y"]).await;
    let in_hand = exported.read(A);
    exported.world.clock.advance(HOLD - Duration::from_nanos(1));
    assert!(client.waits().await);
    exported.world.clock.advance(Duration::from_nanos(1));
    assert_eq!(client.answer().await, unavailable("no confirmation in time"));
    assert_eq!((exported.waiting(A), exported.waiting(B), exported.waiting(C)), (1, 0, 0));
    assert_eq!(exported.admitted(), 0, "refused requests are not admitted");
    // What was read is sent, and settles with nobody waiting.
    exported.spine.complete(A, in_hand[0].seq(), Completion::delivered(2));
    drop(in_hand);
    assert_eq!(exported.spine.usage().0, 0);
    exported.world.assert_balanced();
    assert_eq!(exported.world.ledger.snapshot().get("destination/b").unwrap().entered, [0; 3], "never routed");
}

#[tokio::test]
async fn clients_that_try_again_during_an_outage_pile_nothing_up() {
    let exported = Exported::to(&[0]);
    let in_hand = exported.send(&["x"]).await;
    assert_eq!(exported.read(A).len(), 1);
    let before = exported.spine.usage().0;
    for _ in 0..50 {
        let again = exported.send(&["x"]).await;
        exported.world.clock.advance(HOLD);
        assert!(again.answer().await.is_err());
        assert_eq!((exported.waiting(A), exported.spine.usage().0), (1, before));
    }
    assert!(in_hand.answer().await.is_err());
    exported.world.assert_balanced();
}

#[tokio::test]
async fn the_client_s_own_deadline_ends_the_wait_and_one_that_has_passed_keeps_nothing() {
    let exported = Exported::to(&[0]);
    let until = |wait| {
        let now = exported.world.clock.now();
        let context = crate::Context { deadline: Some(now + wait), ..(*exported.world.context()).clone() };
        Batch::new(crate::Signal::Traces, crate::testing::spans(&["x"]), 1, Arc::new(context))
    };
    let client = exported.send_batch(until(Duration::from_secs(2))).await;
    exported.world.clock.advance(Duration::from_secs(2));
    assert_eq!(client.answer().await, unavailable("no confirmation in time"));
    assert_eq!(exported.waiting(A), 0);
    let late = exported.send_batch(until(Duration::ZERO)).await;
    assert_eq!(late.answer().await, Err(Refusal::DeadlineExceeded));
    assert_eq!((exported.waiting(A), exported.admitted()), (0, 0));
}

#[tokio::test]
async fn the_append_completes_if_the_client_goes_away() {
    let exported = Exported::to(&[0, 1]);
    let client = exported.send(&["x", "y"]).await;
    client.0.abort();
    assert!(client.0.await.unwrap_err().is_cancelled());
    assert_eq!((exported.waiting(A), exported.waiting(B)), (1, 1));
    exported.deliver(A);
    exported.deliver(B);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(exported.admitted(), 2, "it counts as what it is: delivered");
}

#[tokio::test]
async fn an_open_breaker_refuses_who_waits_and_who_comes_but_lets_in_what_it_can_probe_with() {
    let exported = Exported::to(&[0, 1]);
    assert_eq!(exported.intake.ready(), Ok(()));
    let client = exported.send(&["x"]).await;
    let in_hand = exported.read(A);
    let refused = Refusal::DestinationUnavailable { message: "a takes nothing at present".to_owned() };
    let confirmations = exported.spine.confirmations();
    // One that nobody waits for is nobody's trouble.
    confirmations.available(C, false);
    assert_eq!(exported.intake.ready(), Ok(()));
    confirmations.available(A, false);
    assert_eq!(client.answer().await, unavailable("a: takes nothing at present"));
    assert_eq!(exported.waiting(B), 0);
    assert_eq!(exported.intake.ready(), Err(refused));
    // What it had in hand is given up: without anything to try it with, it would be closed forever.
    exported.spine.complete(A, in_hand[0].seq(), Completion::dropped(reasons::PERMANENT_ERROR, 1));
    assert_eq!(exported.intake.ready(), Ok(()));
    let probe = exported.send(&["y"]).await;
    assert!(probe.waits().await && exported.intake.ready().is_err());
    confirmations.available(A, true);
    assert_eq!(exported.intake.ready(), Ok(()));
    exported.deliver(A);
    exported.deliver(B);
    assert_eq!(probe.answer().await, Ok(Accepted::default()));
    exported.world.assert_balanced();
}

#[tokio::test]
async fn a_rejection_is_told_in_the_destination_s_words_if_it_is_the_only_one() {
    let alone = Exported::to(&[0]);
    let everything = crate::spine::SeqRange { first: crate::spine::Seq(0), last: crate::spine::Seq(u64::MAX) };
    let explain = |exported: &Exported, at, again, message: &str| {
        exported.spine.confirmations().explain(at, everything, again, message);
    };
    let client = alone.send(&["x", "y", "z"]).await;
    explain(&alone, A, false, "one is too old");
    alone.gives_up(A, reasons::PEER_PARTIAL_SUCCESS, 1);
    assert_eq!(client.answer().await, partial(1, "one is too old"));
    assert_eq!(alone.admitted(), 3);
    let client = alone.send(&["x", "y"]).await;
    explain(&alone, A, true, "busy");
    explain(&alone, A, false, "no such tenant");
    alone.gives_up(A, reasons::PERMANENT_ERROR, 2);
    let rejected = Refusal::DestinationRejected { message: "a: no such tenant".to_owned() };
    assert_eq!(client.answer().await, Err(rejected));
    assert_eq!(alone.admitted(), 3);

    let both = Exported::to(&[0, 1]);
    let client = both.send(&["x", "y", "z"]).await;
    explain(&both, B, false, "one is too old");
    both.deliver(A);
    both.gives_up(B, reasons::PEER_PARTIAL_SUCCESS, 1);
    assert_eq!(client.answer().await, partial(1, "b: one is too old"));
    let client = both.send(&["x"]).await;
    both.gives_up(B, reasons::PERMANENT_ERROR, 1);
    assert!(client.waits().await, "the other one may want it again");
    both.deliver(A);
    let rejected = Refusal::DestinationRejected { message: "b: all of it".to_owned() };
    assert_eq!(client.answer().await, Err(rejected));
    both.world.assert_balanced();
}

#[tokio::test]
async fn what_was_given_up_for_now_may_come_again() {
    let exported = Exported::to(&[0, 1]);
    let everything = crate::spine::SeqRange { first: crate::spine::Seq(0), last: crate::spine::Seq(u64::MAX) };
    let client = exported.send(&["x"]).await;
    exported.spine.confirmations().explain(A, everything, true, "503");
    exported.gives_up(A, reasons::PERMANENT_ERROR, 1);
    exported.gives_up(B, reasons::PERMANENT_ERROR, 1);
    assert_eq!(client.answer().await, unavailable("a: 503"), "what may succeed later comes first");
    let client = exported.send(&["x"]).await;
    exported.spine.discard(A, reasons::OPERATOR_PURGE);
    assert_eq!(client.answer().await, unavailable("a: its backlog was discarded"));
    let client = exported.send(&["x"]).await;
    exported.spine.confirmations().refuse_all(&Refusal::ShuttingDown);
    assert_eq!(client.answer().await, Err(Refusal::ShuttingDown));
    assert_eq!((exported.waiting(A), exported.waiting(B), exported.waiting(C)), (0, 0, 0));
    exported.world.assert_balanced();
}

#[tokio::test]
async fn a_reload_that_removes_a_destination_refuses_who_waits_for_it() {
    let exported = Exported::to(&[0, 1]);
    let client = exported.send(&["x"]).await;
    exported.spine.confirmations().available(A, false);
    assert!(client.answer().await.is_err());
    let client = exported.send(&["x"]).await;
    let left = ["b", "c"].map(|name| destination(name, None, OnQuota::Reject));
    exported.spine.configure(6 << 10, &exported.world.ledger, &left).unwrap();
    assert_eq!(client.answer().await, unavailable("a: its backlog was discarded"));
    // Between the pass and the append.
    let client = exported.send(&["y"]).await;
    exported.deliver(B);
    assert_eq!(client.answer().await, unavailable("a: the data is not there any more"));
    // Who has its index next starts without a past.
    let specs = ["b", "c", "d"].map(|name| destination(name, None, OnQuota::Reject));
    exported.spine.configure(6 << 10, &exported.world.ledger, &specs).unwrap();
    assert_eq!(exported.spine.destination("d"), Some(A));
    assert_eq!(exported.intake.ready(), Ok(()));
}

#[tokio::test]
async fn a_full_destination_is_waited_for_where_that_is_written_and_the_held_bytes_stay_reserved() {
    let exported = Exported::with(&[0], to(&[0]));
    let large = "x".repeat(1200);
    let first = exported.send(&[&large]).await;
    assert!(first.waits().await && exported.world.memory.total() > 1200);
    let second = exported.send(&[&large]).await;
    exported.deliver(B);
    exported.deliver(C);
    assert!(second.waits().await && exported.waiting(A) == 1);
    exported.deliver(A);
    assert_eq!(first.answer().await, Ok(Accepted::default()));
    assert!(second.waits().await && exported.waiting(A) == 1, "it is kept, and waits");
    [A, B, C].into_iter().for_each(|at| exported.deliver(at));
    assert_eq!(second.answer().await, Ok(Accepted::default()));
    let third = exported.send(&[&large]).await;
    let fourth = exported.send(&[&large]).await;
    exported.world.clock.advance(OVERFLOW_WAIT);
    assert!(matches!(fourth.answer().await, Err(Refusal::QuotaFull { .. })));
    exported.deliver(A);
    assert_eq!(third.answer().await, Ok(Accepted::default()));
    exported.world.assert_balanced();
}

#[tokio::test]
async fn in_any_order_everybody_is_told_about_their_own() {
    use crate::rng::{Rng, SplitMix};
    for seed in 0..200 {
        let (exported, rng) = (Exported::to(&[0, 1]), SplitMix::seeded(seed));
        let mut clients = Vec::new();
        for number in 0..3 {
            let bad = rng.below(3) == 0;
            let name = if bad { format!("bad{number}") } else { format!("good{number}") };
            clients.push((exported.send(&[&name]).await, bad));
        }
        let mut left: Vec<(Destination, Entry)> =
            [A, B].into_iter().flat_map(|at| exported.read(at).into_iter().map(move |entry| (at, entry))).collect();
        while !left.is_empty() {
            let (at, entry) = left.swap_remove(rng.below(left.len() as u64) as usize);
            let bad = at == B && names(entry.batch().bytes())[0].starts_with("bad");
            let completion =
                if bad { Completion::dropped(reasons::PERMANENT_ERROR, 1) } else { Completion::delivered(1) };
            exported.spine.complete(at, entry.seq(), completion);
        }
        for (client, bad) in clients {
            let answer = client.answer().await;
            assert_eq!(matches!(answer, Err(Refusal::DestinationRejected { .. })), bad, "seed {seed}: {answer:?}");
            assert_eq!(answer.is_ok(), !bad, "seed {seed}");
        }
        exported.deliver(C);
        assert_eq!(exported.spine.usage().0, 0, "seed {seed}");
        exported.world.assert_balanced();
    }
}
