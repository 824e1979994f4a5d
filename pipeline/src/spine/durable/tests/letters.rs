//! Dead letters of the spine on disk: what is kept, what has to go, and that the ledger knows.

use sluice_config::{ByteSize, GoDuration};
use sluice_journal::dlq::{DeadLetterLimits, Gone};
use sluice_journal::observer::Observer as _;

use super::*;
use crate::ledger::reasons;
use crate::spine::Keep;

fn limits(bytes: u64) -> DeadLetter {
    DeadLetter { max_bytes: ByteSize(bytes), max_age: GoDuration::from_secs(60) }
}

/// Reads everything of `a`, and puts each entry aside.
async fn park_all(spine: &DurableSpine, keep: Keep) -> Vec<Result<(), Unparked>> {
    let mut parked = Vec::new();
    let a = Destination(0);
    for entry in spine.read(a, ALL) {
        let payload =
            crate::exporter::Payload::of(entry.batch(), None, SeqRange { first: entry.seq(), last: entry.seq() });
        let letter = Letter::of(&payload, reasons::PERMANENT_ERROR, "400\nno".to_owned(), keep);
        let result = spine.park(a, vec![letter]).await;
        if result.is_ok() {
            let items = entry.batch().items();
            spine.complete(a, entry.seq(), Completion { parked: items, ..Completion::default() });
        }
        parked.push(result);
    }
    parked
}

fn account(world: &World) -> crate::ledger::AccountSnapshot {
    world.assert_balanced();
    world.ledger.check().get("destination/a").unwrap().clone()
}

#[tokio::test]
async fn a_letter_holds_the_payload_and_its_context_and_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let context = Context {
        tenant: Tenant::new("acme"),
        ..Context::internal(ComponentId::new("otlp", "in"), world.clock.arrival())
    };
    let bytes = crate::testing::spans(&["x", "y"]);
    let batch = Batch::new(crate::Signal::Traces, bytes.clone(), 2, Arc::new(context));
    spine.append(vec![Record { batch: NoRedaction.waive(batch), routes: to(&[0]) }]).await.unwrap();
    assert_eq!(park_all(&spine, Keep::Evictable).await, [Ok(())]);
    assert_eq!((account(&world).parked, account(&world).held), ([2, 0, 0], [0; 3]));
    spine.close().unwrap();
    drop(spine);

    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let letters = spine.journal().dead_letters("a", DeadLetterLimits::default()).unwrap();
    let listed = letters.list(0, 10);
    let letter = letters.read(listed[0].id).unwrap().unwrap();
    assert_eq!((listed.len(), letter.items, &letter.payload), (1, 2, &bytes));
    assert_eq!((&*letter.cause.reason, &*letter.cause.status), ("permanent_error", "400 no"));
    assert!(letter.cause.origin_seq > 0);
    let now = spine.journal().clock().now().wall_ms();
    assert!(letter.cause.parked_ms <= now && now - letter.cause.parked_ms < 600_000, "by the clock that it expires by");
    // It can be appended again, with its tenant.
    let (answer, answered) = tokio::sync::oneshot::channel();
    let dest = spine.journal().destination("a").unwrap();
    spine.journal().replay(dest, &letter, 1, Box::new(move |result| _ = answer.send(result.is_ok())));
    assert!(answered.await.unwrap());
    let entries = spine.read(Destination(dest.0), ALL);
    assert_eq!((entries[0].batch().bytes(), entries[0].batch().context().tenant.name()), (&bytes, "acme"));
}

#[tokio::test]
async fn the_oldest_poison_goes_for_newer_and_is_counted_as_lost() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    spine.limit_letters(Destination(0), limits(64 << 10)).await;
    let large = "n".repeat(20 << 10);
    for _ in 0..10 {
        spine.append(vec![record(&world, &large, &[0])]).await.unwrap();
        assert_eq!(park_all(&spine, Keep::Evictable).await, [Ok(())]);
    }
    let account = account(&world);
    let lost: u64 = account.dropped.iter().filter(|(_, reason, _)| *reason == reasons::DLQ_FULL).map(|d| d.2[0]).sum();
    let (letters, items, bytes) = spine.journal().dead_letters("a", DeadLetterLimits::default()).unwrap().usage();
    assert!(lost > 0 && bytes <= 64 << 10, "{lost} lost, {bytes} bytes");
    assert_eq!((account.parked[0], letters), (items, items), "what is parked is there");
    assert_eq!(account.parked[0] + lost, 10);
    let text = world.telemetry.render(&crate::telemetry::Naming::default());
    assert!(text.contains(&format!("sluice_dlq_items{{exporter=\"a\"}} {items}")), "{text}");
    assert!(text.contains(&format!("sluice_dlq_bytes{{exporter=\"a\"}} {bytes}")));
}

#[tokio::test]
async fn what_must_be_kept_is_never_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    spine.limit_letters(Destination(0), limits(64 << 10)).await;
    let large = "n".repeat(20 << 10);
    for _ in 0..5 {
        spine.append(vec![record(&world, &large, &[0])]).await.unwrap();
    }
    let parked = park_all(&spine, Keep::Always).await;
    assert_eq!(parked[..2], [Ok(()), Ok(())]);
    assert_eq!(parked.last(), Some(&Err(Unparked::Full)));
    let kept = parked.iter().filter(|result| result.is_ok()).count();
    assert_eq!((account(&world).parked[0], account(&world).held[0]), (kept as u64, 5 - kept as u64));
    assert!(account(&world).dropped.is_empty());
    // More room, and what waited goes.
    spine.limit_letters(Destination(0), limits(1 << 20)).await;
    spine.rewind(Destination(0));
    assert_eq!(park_all(&spine, Keep::Always).await.len(), 5 - kept);
    assert_eq!(account(&world).parked[0], 5);
}

#[tokio::test]
async fn a_letter_that_expires_is_lost_for_its_destination_even_one_of_an_earlier_process() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    spine.append(vec![record(&world, "x", &[0])]).await.unwrap();
    assert_eq!(park_all(&spine, Keep::Evictable).await, [Ok(())]);
    for id in [1, 2] {
        spine.0.books.dead_letter_expired("a", Gone { id, signal: 0, items: 1, tenant: 0 });
    }
    let account = account(&world);
    assert_eq!((account.parked[0], account.entered[0]), (0, 1), "what was there at the start is known from the start");
    assert_eq!(account.dropped.iter().map(|(_, reason, n)| (*reason, n[0])).collect::<Vec<_>>(), [("dlq_expired", 2)]);
}

#[tokio::test]
async fn a_letter_over_the_limit_of_a_record_is_split_so_that_it_can_be_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let large = "n".repeat(3 << 20);
    let batch = world.batch(&[&large, &large, "small"]);
    let range = SeqRange { first: Seq(1), last: Seq(2) };
    let payload = crate::exporter::Payload::of(&batch, None, range);
    let letter = Letter::of(&payload, reasons::SERVER_ERROR, String::new(), Keep::Always);
    spine.park(Destination(0), vec![letter]).await.unwrap();
    let letters = spine.journal().dead_letters("a", DeadLetterLimits::default()).unwrap();
    let listed = letters.list(0, 10);
    assert!(listed.len() > 1);
    assert_eq!(listed.iter().map(|letter| letter.items).sum::<u32>(), 3);
}

#[tokio::test]
async fn only_a_laggard_reads_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    spine.append(vec![record(&world, "x", &[0])]).await.unwrap();
    assert!(!spine.read_blocks(Destination(0)));
    spine.close().unwrap();
    drop(spine);
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    assert!(spine.read_blocks(Destination(0)));
    assert_eq!(read(&spine, 0), ["x"]);
    assert!(!spine.read_blocks(Destination(0)));
}
