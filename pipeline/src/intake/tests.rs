use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::append::OVERFLOW_WAIT;
use super::*;
use crate::Signal;
use crate::component::Component;
use crate::connector::Routed;
use crate::outcome::Partial;
use crate::spine::memory::MemorySpine;
use crate::spine::{CursorRule, Destination, OnQuota, ReadLimit};
use crate::testing::{CountBatches, DropNamed, World, destination, names, to};

const ALL: ReadLimit = ReadLimit { records: usize::MAX, items: usize::MAX, bytes: usize::MAX };

fn spine(world: &World, max_bytes: Option<u64>) -> MemorySpine {
    let specs = [destination("a", max_bytes, OnQuota::Reject), destination("b", None, OnQuota::Reject)];
    world.spine(1 << 20, false, CursorRule::Absorbed, &specs)
}

fn intake(world: &World, spine: &MemorySpine, branches: Vec<Arc<Branch>>) -> Intake {
    Intake::new(branches, Arc::new(spine.clone()), Arc::new(world.clock.clone()), RouteSet::EMPTY)
}

fn routes(destinations: &[u8]) -> Outputs {
    Outputs { routes: to(destinations), ..Outputs::default() }
}

fn read(spine: &MemorySpine, from: u8) -> Vec<Vec<String>> {
    spine.read(Destination(from), ALL).iter().map(|entry| names(entry.batch().bytes())).collect()
}

#[tokio::test]
async fn pipelines_with_the_same_output_share_a_record() {
    let world = World::new();
    let spine = spine(&world, None);
    let drop = || -> Vec<Arc<crate::Step>> { vec![Arc::new(DropNamed("drop", "filter"))] };
    let branches = vec![
        world.branch("plain", vec![], routes(&[0])),
        world.branch("filtered", drop(), routes(&[0])),
        world.branch("other", drop(), routes(&[1])),
    ];
    let intake = intake(&world, &spine, branches);
    intake.consume(world.batch(&["x"])).await.unwrap();
    assert_eq!(spine.backlog(Destination(0)).records, 1);
    intake.consume(world.batch(&["x", "drop"])).await.unwrap();
    assert_eq!(read(&spine, 0), [vec!["x"], vec!["x", "drop"], vec!["x"]]);
    assert_eq!(read(&spine, 1), [["x"], ["x"]]);
    world.assert_balanced();
}

#[tokio::test]
async fn a_refused_request_leaves_no_trace_and_counts_once_when_sent_again() {
    let world = World::new();
    // Room for one record.
    let spine = spine(&world, Some(600));
    let effects = Arc::new(AtomicUsize::new(0));
    let steps: Vec<Arc<crate::Step>> = vec![Arc::new(CountBatches(Arc::clone(&effects)))];
    let intake = intake(&world, &spine, vec![world.branch("", steps, routes(&[0, 1]))]);
    intake.consume(world.batch(&["x"])).await.unwrap();
    let refused = intake.consume(world.batch(&["y"])).await;
    assert_eq!(refused, Err(Refusal::QuotaFull { destination: "a".to_owned() }));
    assert_eq!(effects.load(Ordering::SeqCst), 1);
    world.assert_balanced();
    for entry in spine.read(Destination(0), ALL) {
        spine.complete(Destination(0), entry.seq(), Completion::delivered(1));
    }
    intake.consume(world.batch(&["y"])).await.unwrap();
    assert_eq!(effects.load(Ordering::SeqCst), 2);
    assert_eq!((read(&spine, 0).concat(), read(&spine, 1).concat()), (vec!["y".into()], vec!["x".into(), "y".into()]));
    assert_eq!(world.ledger.snapshot().get("pipeline/traces").unwrap().entered, [2, 0, 0]);
    world.assert_balanced();
}

#[tokio::test]
async fn items_at_fault_are_told_and_filtered_ones_are_not() {
    let world = World::new();
    let spine = spine(&world, None);
    let steps: Vec<Arc<crate::Step>> =
        vec![Arc::new(DropNamed("bad", "invalid")), Arc::new(DropNamed("drop", "filter"))];
    let intake = intake(&world, &spine, vec![world.branch("", steps, routes(&[0]))]);
    let accepted = intake.consume(world.batch(&["x", "bad", "drop", "bad"])).await.unwrap();
    assert_eq!(accepted.partial, Some(Partial::new(2, "2 items rejected: invalid (toy/0)")));
    assert_eq!(intake.consume(world.batch(&["drop"])).await, Ok(Accepted::default()));
    let refused = intake.consume(world.batch(&["bad", "bad"])).await;
    assert!(matches!(refused, Err(Refusal::AllRejected(Partial { rejected: 2, .. }))));
    assert_eq!(read(&spine, 0), [["x"]]);
    world.assert_balanced();
}

/// Sends to nobody, and answers as told.
struct Scripted(Mutex<Vec<SendOutcome>>);

impl Component for Scripted {}

impl Exporter for Scripted {
    fn send<'a>(&'a self, _payload: Payload, _attempt: &'a Attempt) -> BoxFuture<'a, SendOutcome> {
        let outcome = self.0.lock().unwrap().pop().unwrap_or(SendOutcome::delivered());
        Box::pin(std::future::ready(outcome))
    }
}

#[tokio::test]
async fn an_exporter_without_a_queue_answers_for_the_sender_before_anything_is_kept() {
    let world = World::new();
    let spine = spine(&world, None);
    let unavailable =
        SendOutcome::Retry { after: None, cause: crate::send::RetryCause::Unavailable, message: "down".to_owned() };
    let script = vec![
        SendOutcome::Permanent { message: "no".to_owned() },
        unavailable,
        SendOutcome::Partial { rejected: 1, message: String::new() },
    ];
    let inline = Arc::new(InlineDestination {
        exporter: Arc::new(Scripted(Mutex::new(script))),
        account: world.ledger.destination("inline"),
        timeout: None,
    });
    let outputs = Outputs { inline: vec![inline], ..routes(&[0]) };
    let intake = intake(&world, &spine, vec![world.branch("", vec![], outputs)]);
    intake.consume(world.batch(&["x", "y"])).await.unwrap();
    let refused = intake.consume(world.batch(&["z"])).await;
    assert_eq!(refused, Err(Refusal::DestinationUnavailable { message: "down".to_owned() }));
    let refused = intake.consume(world.batch(&["z"])).await;
    assert_eq!(refused, Err(Refusal::DestinationRejected { message: "no".to_owned() }));
    assert_eq!(read(&spine, 0), [["x", "y"]]);
    let snapshot = world.ledger.snapshot();
    let account = snapshot.get("destination/inline").unwrap();
    assert_eq!((account.left, &account.dropped[0].1), ([1, 0, 0], &"peer_partial_success"));
    world.assert_balanced();
}

/// Sends everything to its first target, and a copy to its second.
struct Twice;

impl InlineConnector for Twice {
    fn route(&self, batch: &Batch) -> Result<Routed, Refusal> {
        let outputs = vec![(0, batch.clone()), (1, batch.clone())];
        Ok(Routed { outputs, created: batch.items(), dropped: Vec::new() })
    }
}

#[tokio::test]
async fn a_connector_feeds_pipelines_within_the_same_request() {
    let world = World::new();
    let spine = spine(&world, Some(600));
    let connector = ConnectorOutput {
        connector: Arc::new(Twice),
        account: world.ledger.stage("forward"),
        targets: vec![
            world.branch("first", vec![Arc::new(DropNamed("drop", "filter"))], routes(&[0])),
            world.branch("second", vec![], routes(&[1])),
        ],
    };
    let outputs = Outputs { connectors: vec![connector], ..Outputs::default() };
    let intake = intake(&world, &spine, vec![world.branch("in", vec![], outputs)]);
    intake.consume(world.batch(&["x", "drop"])).await.unwrap();
    assert!(intake.consume(world.batch(&["y"])).await.is_err());
    assert_eq!((read(&spine, 0), read(&spine, 1)), (vec![vec!["x".to_owned()]], vec![vec!["x".into(), "drop".into()]]));
    let snapshot = world.ledger.snapshot();
    assert_eq!(snapshot.get("stage/forward").unwrap().entered, [2, 0, 0]);
    world.assert_balanced();
}

struct Seen(Mutex<Vec<String>>);

impl Component for Seen {}

impl Observer for Seen {
    fn observe(&self, batch: &Redacted<Batch>) {
        self.0.lock().unwrap().extend(names(batch.bytes()));
    }
}

#[tokio::test]
async fn observers_see_what_was_accepted_and_owe_nothing() {
    let world = World::new();
    let spine = spine(&world, Some(600));
    let seen = Arc::new(Seen(Mutex::default()));
    let outputs = Outputs { observers: vec![Arc::clone(&seen) as Arc<dyn Observer>], ..routes(&[0]) };
    let intake = intake(&world, &spine, vec![world.branch("", vec![], outputs)]);
    intake.consume(world.batch(&["x"])).await.unwrap();
    assert!(intake.consume(world.batch(&["refused"])).await.is_err());
    assert_eq!(*seen.0.lock().unwrap(), ["x"]);
}

#[tokio::test]
async fn block_on_overflow_waits_for_room_and_then_gives_up() {
    let world = World::new();
    let spine = spine(&world, Some(600));
    let branch = world.branch("", vec![], routes(&[0]));
    let clock: Arc<dyn Clock> = Arc::new(world.clock.clone());
    let intake = Arc::new(Intake::new(vec![branch], Arc::new(spine.clone()), clock, to(&[0])));
    let consume = |batch| {
        let intake = Arc::clone(&intake);
        tokio::spawn(async move { intake.consume(batch).await })
    };
    consume(world.batch(&["x"])).await.unwrap().unwrap();
    let waiting = consume(world.batch(&["y"]));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    for entry in spine.read(Destination(0), ALL) {
        spine.complete(Destination(0), entry.seq(), Completion::delivered(1));
    }
    waiting.await.unwrap().unwrap();
    assert_eq!(read(&spine, 0), [["y"]]);

    let waiting = consume(world.batch(&["z"]));
    tokio::task::yield_now().await;
    world.clock.advance(OVERFLOW_WAIT);
    assert!(waiting.await.unwrap().is_err());
    world.assert_balanced();
}

#[tokio::test]
async fn a_signal_without_pipeline_is_refused_and_an_empty_batch_goes_nowhere() {
    use crate::context::MetadataKeys;
    use crate::receiver::Ingress;
    use crate::rng::SplitMix;
    let world = World::new();
    let spine = spine(&world, None);
    let intake = intake(&world, &spine, vec![world.branch("", vec![], routes(&[0]))]);
    let clock: Arc<dyn Clock> = Arc::new(world.clock.clone());
    let rng = Arc::new(SplitMix::seeded(1));
    let ingress = Ingress::new(world.memory.clone(), clock, rng, MetadataKeys::default())
        .with_consumer(Signal::Traces, Arc::new(intake));
    assert!(ingress.takes(Signal::Traces) && !ingress.takes(Signal::Logs));
    let logs = Batch::new(Signal::Logs, bytes::Bytes::new(), 1, world.context());
    assert_eq!(ingress.consume(logs).await, Err(Refusal::NoPipeline(Signal::Logs)));
    assert_eq!(ingress.consume(world.batch(&[])).await, Ok(Accepted::default()));
    assert_eq!(spine.backlog(Destination(0)).records, 0);
}
