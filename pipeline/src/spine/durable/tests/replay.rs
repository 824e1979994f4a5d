//! Dead letters that people send again or drop, and what the ledger says of them.

use sluice_journal::dlq::{Cause, DeadLetter, DeadLetterLimits, Keep};

use super::super::replay::tenant;
use super::*;
use crate::ledger::reasons;

/// Puts everything that waits for a destination aside.
fn park(spine: &DurableSpine, destination: Destination, name: &str) {
    let letters = spine.journal().letters(name).unwrap();
    let limit = sluice_journal::ReadLimit { records: usize::MAX, items: usize::MAX, bytes: usize::MAX };
    for entry in spine.journal().read(Dest(destination.0), limit).unwrap() {
        let cause = Cause { reason: "permanent_error".to_owned(), origin_seq: entry.seq, ..Cause::default() };
        let letter = DeadLetter {
            id: 0,
            cause,
            keep: Keep::Evictable,
            signal: entry.signal,
            items: entry.items,
            tenant: entry.tenant,
            ingest_ms: entry.ingest_ms,
            context: entry.context,
            payload: entry.payload,
        };
        letters.park(&[letter]).unwrap();
        let parked = Completion { parked: entry.items as usize, ..Completion::default() };
        spine.complete(destination, Seq(entry.seq), parked);
    }
}

/// The letters that are gone, where nothing went wrong.
fn done(worked: Worked) -> usize {
    assert!(worked.left == 0 && worked.error.is_none(), "{worked:?}");
    worked.gone.len()
}

#[tokio::test]
async fn dead_letters_stay_in_the_ledger_until_they_are_sent_or_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let a = spine.destination("a").unwrap();
    for name in ["x", "y", "z"] {
        spine.append(vec![record(&world, name, &[a.0])]).await.unwrap();
    }
    park(&spine, a, "a");
    let account = |world: &World| world.ledger.snapshot().get("destination/a").cloned().unwrap();
    assert_eq!((account(&world).parked, account(&world).held), ([3, 0, 0], [0; 3]));
    world.assert_balanced();
    spine.close().unwrap();
    drop(spine);

    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let a = spine.destination("a").unwrap();
    assert_eq!((account(&world).entered, account(&world).parked), ([3, 0, 0], [3, 0, 0]), "found at the start");
    world.assert_balanced();
    let ids: Vec<u64> = spine.journal().letters("a").unwrap().list(0, 9).iter().map(|letter| letter.id).collect();
    assert_eq!(done(spine.replay_letters("a", &ids[1..2])), 1);
    world.assert_balanced();
    assert_eq!((account(&world).parked, account(&world).held), ([2, 0, 0], [1, 0, 0]));
    assert_eq!(read(&spine, a.0), ["y"]);
    assert_eq!(done(spine.replay_letters("a", &ids[1..2])), 0, "it is gone");
    assert_eq!(done(spine.drop_letters("a", &ids[..2])), 1);
    assert_eq!(done(spine.drop_letters("a", &ids[..2])), 0);
    assert_eq!(account(&world).dropped, [("a".into(), reasons::OPERATOR_PURGE, [1, 0, 0])]);
    world.assert_balanced();
    // The exporter's limits say that the last one is too old.
    let limits = DeadLetterLimits { max_age: Some(Duration::ZERO), ..DeadLetterLimits::default() };
    spine.journal().letters("a").unwrap().set_limits(limits);
    tokio::task::spawn_blocking(move || {
        while account(&world).parked != [0; 3] {
            std::thread::yield_now();
        }
        world.assert_balanced();
        assert_eq!(account(&world).dropped[0].1, reasons::DLQ_EXPIRED);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_letter_that_could_not_be_delivered_is_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, dir.path(), &two());
    let letter = |context: &'static [u8]| DeadLetter {
        id: 0,
        cause: Cause::default(),
        keep: Keep::Always,
        signal: 0,
        items: 1,
        tenant: 0,
        ingest_ms: 0,
        context: bytes::Bytes::from_static(context),
        payload: crate::testing::spans(&["x"]),
    };
    let park = |name: &str, context| {
        let letters = spine.journal().letters(name).unwrap();
        letters.park(&[letter(context)]).unwrap();
        letters
    };
    let readable: &[u8] = &[1, 0, 1, 0, b't', 0, 0];
    assert_eq!(tenant(readable), Some(Tenant::new("t")));
    let strange = park("a", b"no context");
    park("a", readable);
    let worked = spine.replay_letters("a", &[1, 2]);
    assert_eq!((worked.gone.len(), worked.left), (1, 1), "it does not keep the other");
    assert!(worked.error.unwrap().to_string().contains("no version"));
    let gone = park("gone", readable);
    let worked = spine.replay_letters("gone", &[1]);
    assert_eq!((worked.gone.len(), worked.left), (0, 1));
    assert!(worked.error.unwrap().to_string().contains("no exporter gone"));
    assert_eq!((strange.usage().0, gone.usage().0), (1, 1), "they are still there");
    assert_eq!(done(spine.drop_letters("gone", &[1])), 1);
    assert_eq!(gone.usage().0, 0);
    assert_eq!(world.ledger.snapshot().get("destination/gone").unwrap().error, 0);
}
