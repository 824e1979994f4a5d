//! The spine on a real disk, through the trait.

mod letters;
mod replay;

use std::path::Path;

use sluice_journal::vfs::disk::DiskVfs;

use super::*;
use crate::batch::{Batch, NoRedaction};
use crate::context::{Context, Metadata, MetadataKeys, Transport};
use crate::id::ComponentId;
use crate::testing::{World, destination, names, to};

const ALL: ReadLimit = ReadLimit { records: usize::MAX, items: usize::MAX, bytes: usize::MAX };
const MIB: u64 = 1 << 20;

fn open(world: &World, dir: &Path, specs: &[DestinationSpec]) -> DurableSpine {
    let around = Surroundings {
        name: "journal",
        memory: world.memory.clone(),
        clock: Arc::new(world.clock.clone()),
        ledger: &world.ledger,
        telemetry: &world.telemetry,
    };
    let mut config = Config { ballast: 0, stages: true, ..Config::sized(256 * MIB) };
    config.segment_size = 8 * MIB;
    let vfs = Arc::new(DiskVfs::open(&dir.join("journal"), true).unwrap());
    DurableSpine::open(vfs, config, around, specs).unwrap().0
}

fn two() -> [DestinationSpec; 2] {
    [destination("a", None, OnQuota::Reject), DestinationSpec::of_stage("stage".into(), Role::Stage)]
}

fn record(world: &World, name: &str, routes: &[u8]) -> Record {
    Record { batch: world.redacted(&[name]), routes: to(routes) }
}

fn read(spine: &DurableSpine, from: u8) -> Vec<String> {
    spine.read(Destination(from), ALL).iter().flat_map(|entry| names(entry.batch().bytes())).collect()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let a = spine.destination("a").unwrap();
    for name in ["x", "y", "z"] {
        assert!(spine.append(vec![record(&world, name, &[a.0])]).await.unwrap().is_some());
    }
    spine.readable(a).await;
    let entries = spine.read(a, ALL);
    assert_eq!(entries.len(), 3);
    spine.complete(a, entries[1].seq(), Completion::delivered(1));
    assert_eq!(spine.backlog(a).items, [2, 0, 0]);
    world.assert_balanced();
    spine.close().unwrap();
    assert_eq!(spine.append(vec![record(&world, "late", &[a.0])]).await, Err(Refusal::ShuttingDown));
    drop((spine, entries));

    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let a = spine.destination("a").unwrap();
    assert_eq!(spine.backlog(a).items, [2, 0, 0]);
    assert_eq!(read(&spine, a.0), ["x", "z"]);
    world.assert_balanced();
    assert_eq!(spine.discard(a, crate::ledger::reasons::OPERATOR_PURGE), 2);
    assert_eq!(spine.backlog(a), Backlog::default());
    world.assert_balanced();
}

#[tokio::test]
async fn a_batch_comes_back_from_disk_with_tenant_and_metadata_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let keys = MetadataKeys::new(["x-team"]);
    let context = Context {
        peer: Some(([10, 0, 0, 1], 4317).into()),
        tenant: Tenant::new("acme"),
        metadata: Metadata::collect(&keys, [("x-team", "blue"), ("authorization", "Bearer s3cret")]),
        transport: Transport::GRPC,
        ..Context::internal(ComponentId::new("otlp", "in"), world.clock.arrival())
    };
    let bytes = crate::testing::spans(&["x"]);
    let batch = Batch::new(crate::Signal::Traces, bytes.clone(), 1, Arc::new(context));
    let kept = vec![Record { batch: NoRedaction.waive(batch), routes: to(&[0]) }];
    spine.append(kept).await.unwrap();
    // In memory it is the very batch.
    let peer = spine.read(Destination(0), ALL)[0].batch().context().peer;
    assert!(peer.is_some());
    spine.close().unwrap();
    drop(spine);

    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let entries = spine.read(Destination(0), ALL);
    let batch = entries[0].batch();
    assert_eq!((batch.bytes(), batch.items(), batch.signal()), (&bytes, 1, crate::Signal::Traces));
    let context = batch.context();
    assert_eq!((context.tenant.name(), context.receiver.as_str(), context.peer), ("acme", "otlp/in", None));
    assert_eq!(context.metadata.iter().collect::<Vec<_>>(), [("x-team", "blue")]);
    assert_eq!(context.transport, Transport::GRPC);
    let files = std::fs::read_dir(dir.path().join("journal/seg")).unwrap();
    for file in files {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"s3cret"));
    }
}

#[tokio::test]
async fn a_stage_moves_its_cursor_with_what_it_emits() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let (a, stage) = (spine.destination("a").unwrap(), spine.destination("stage").unwrap());
    spine.append(vec![record(&world, "in", &[stage.0])]).await.unwrap();
    let input = spine.read(stage, ALL);
    let done = vec![(input[0].seq(), Completion::delivered(1))];
    spine.commit(vec![(stage, done)], vec![record(&world, "out", &[a.0])]).await.unwrap();
    assert_eq!(spine.backlog(stage), Backlog::default());
    assert_eq!(read(&spine, a.0), ["out"]);
    world.assert_balanced();
    spine.rewind(a);
    assert_eq!(read(&spine, a.0), ["out"]);
}

#[tokio::test]
async fn a_destination_that_comes_back_finds_its_backlog() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let a = spine.destination("a").unwrap();
    spine.append(vec![record(&world, "x", &[a.0])]).await.unwrap();
    spine.configure(&two()[1..]).unwrap();
    assert_eq!(spine.destination("a"), None);
    // Nobody is there to need it.
    spine.append(vec![record(&world, "y", &[a.0])]).await.unwrap();
    spine.configure(&two()).unwrap();
    assert_eq!(spine.destination("a"), Some(a));
    assert_eq!(read(&spine, a.0), ["x"]);
    world.assert_balanced();
}

#[tokio::test]
async fn a_record_over_the_limit_is_split_between_items() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let large = "n".repeat(3 << 20);
    let batch = world.redacted(&[&large, &large, "small"]);
    spine.append(vec![Record { batch, routes: to(&[0]) }]).await.unwrap();
    let entries = spine.read(Destination(0), ALL);
    assert_eq!(entries.iter().map(|entry| entry.batch().items()).sum::<usize>(), 3);
    assert!(entries.len() > 1 && entries.iter().all(|entry| entry.batch().bytes().len() < 4 << 20));
    world.assert_balanced();
    let batch = world.redacted(&[&"n".repeat(5 << 20)]);
    let refusal = spine.append(vec![Record { batch, routes: to(&[0]) }]).await;
    assert!(matches!(refusal, Err(Refusal::TooLarge { what: SizeLimit::Record, .. })), "{refusal:?}");
}

#[tokio::test]
async fn a_reader_that_waits_for_completions_is_told_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let a = spine.destination("a").unwrap();
    // More than a cursor can tell of beyond one that is not completed.
    for _ in 0..5 {
        let records = (0..1000).map(|_| record(&world, "x", &[a.0])).collect();
        spine.append(records).await.unwrap();
    }
    let mut held = Vec::new();
    loop {
        match spine.read(a, ALL) {
            entries if entries.is_empty() => break,
            entries => held.extend(entries),
        }
    }
    assert!(held.len() < 5000, "it reads no further than the cursor can tell");
    let mut readable = spine.readable(a);
    tokio::select! {
        biased;
        () = &mut readable => panic!("there is nothing to read yet"),
        () = std::future::ready(()) => {}
    }
    for entry in held {
        spine.complete(a, entry.seq(), Completion::delivered(1));
    }
    tokio::time::timeout(Duration::from_secs(30), readable).await.expect("told without another append");
    assert!(!spine.read(a, ALL).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_fast_a_reader_is_every_sender_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let a = spine.destination("a").unwrap();
    let reader = tokio::spawn({
        let spine = spine.clone();
        async move {
            loop {
                spine.readable(a).await;
                for entry in spine.read(a, ALL) {
                    spine.complete(a, entry.seq(), Completion::delivered(1));
                }
            }
        }
    });
    for _ in 0..20 {
        let appends = (0..20).map(|_| spine.append_awaited(vec![record(&world, "x", &[a.0])], to(&[a.0])));
        for waiting in futures_util::future::join_all(appends).await {
            let told = tokio::time::timeout(Duration::from_secs(60), waiting.unwrap().confirmed()).await;
            assert_eq!(told.unwrap().unwrap()[0].delivered, 1);
        }
    }
    reader.abort();
    spine.close().unwrap();
    world.assert_balanced();
}

#[tokio::test]
async fn on_disk_too_a_sender_can_wait_for_a_destination() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let a = spine.destination("a").unwrap();
    let records = vec![record(&world, "x", &[a.0]), record(&world, "y", &[a.0])];
    let mut waiting = spine.append_awaited(records, to(&[a.0])).await.unwrap();
    spine.readable(a).await;
    let entries = spine.read(a, ALL);
    spine.complete(a, entries[1].seq(), Completion::delivered(1));
    assert!(tokio::time::timeout(Duration::ZERO, waiting.confirmed()).await.is_err());
    let range = SeqRange { first: entries[0].seq(), last: entries[0].seq() };
    spine.confirmations().explain(a, range, false, "too old");
    spine.complete(a, entries[0].seq(), Completion::dropped(crate::ledger::reasons::PERMANENT_ERROR, 1));
    let told = waiting.confirmed().await.unwrap();
    let seen = |part: &crate::spine::Confirmation| (part.items, part.delivered, part.rejected, part.message.clone());
    assert_eq!(told.iter().map(seen).collect::<Vec<_>>(), [(2, 1, 1, Some("too old".to_owned()))]);
    assert_eq!(&*told[0].destination, "a");
    // A refusal is one before anything is waited for.
    spine.close().unwrap();
    let refused = spine.append_awaited(vec![record(&world, "z", &[a.0])], to(&[a.0])).await;
    assert!(matches!(refused, Err(Refusal::ShuttingDown)));
    world.assert_balanced();
}
