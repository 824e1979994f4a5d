//! The memory spine, case by case; random histories are in `tests/histories.rs`.

use std::time::Duration;

use super::*;
use crate::processor::Sizer;
use crate::spine::OnQuota::{self, DropNewest, DropOldest, Reject};
use crate::telemetry::Naming;
use crate::testing::{World, destination, names, to};

mod histories;

const ALL: ReadLimit = ReadLimit { records: usize::MAX, items: usize::MAX, bytes: usize::MAX };

/// What one record of a one-letter span is charged.
fn one(world: &World) -> u64 {
    quota::charged(&world.batch(&["a"]))
}

fn record(world: &World, name: &str, routes: &[u8]) -> Record {
    Record { batch: world.redacted(&[name]), routes: to(routes) }
}

fn keep(spine: &MemorySpine, records: Vec<Record>) -> Result<Option<SeqRange>, Refusal> {
    spine.0.keep(Origin::Received, records, Vec::new())
}

fn read(spine: &MemorySpine, from: u8) -> Vec<String> {
    spine.read(Destination(from), ALL).iter().flat_map(|entry| names(entry.batch().bytes())).collect()
}

fn two(world: &World, max_records: u64, second: OnQuota) -> MemorySpine {
    let bytes = Some(one(world) * max_records);
    let to = [destination("a", bytes, Reject), destination("b", bytes, second)];
    world.spine(2 * one(world) * max_records, false, CursorRule::Absorbed, &to)
}

#[test]
fn an_entry_is_freed_when_no_destination_needs_it() {
    let world = World::new();
    let spine = two(&world, 4, Reject);
    let range = keep(&spine, vec![record(&world, "x", &[0, 1])]).unwrap().unwrap();
    assert_eq!(spine.usage().0, one(&world));
    assert_eq!((read(&spine, 0), read(&spine, 1)), (vec!["x".to_owned()], vec!["x".to_owned()]));
    spine.complete(Destination(0), range.first, Completion::delivered(1));
    assert_eq!(spine.usage().0, one(&world));
    spine.complete(Destination(1), range.first, Completion::delivered(1));
    assert_eq!((spine.usage().0, world.memory.total()), (0, 0));
    // Completing twice changes nothing.
    spine.complete(Destination(1), range.first, Completion::delivered(1));
    world.assert_balanced();
}

#[test]
fn a_full_quota_refuses_the_whole_request_before_anything_is_kept() {
    let world = World::new();
    let spine = two(&world, 2, Reject);
    keep(&spine, vec![record(&world, "x", &[0, 1]), record(&world, "y", &[1])]).unwrap();
    let refusal = keep(&spine, vec![record(&world, "p", &[0]), record(&world, "q", &[1])]);
    assert_eq!(refusal, Err(Refusal::QuotaFull { destination: "b".to_owned() }));
    assert_eq!(read(&spine, 0), ["x"]);
    assert_eq!(spine.check(to(&[1])), Err(Refusal::QuotaFull { destination: "b".to_owned() }));
    // The healthy one goes on.
    assert_eq!(spine.check(to(&[0])), Ok(()));
    keep(&spine, vec![record(&world, "p", &[0])]).unwrap();
    world.assert_balanced();
}

#[test]
fn drop_oldest_refuses_nothing_and_counts_at_the_dead_one_alone() {
    let world = World::new();
    let spine = two(&world, 2, DropOldest);
    for name in ["1", "2", "3", "4", "5"] {
        keep(&spine, vec![record(&world, name, &[0, 1])]).unwrap();
        for entry in spine.read(Destination(0), ALL) {
            spine.complete(Destination(0), entry.seq(), Completion::delivered(1));
        }
        world.assert_balanced();
    }
    assert_eq!(read(&spine, 1), ["4", "5"]);
    let snapshot = world.ledger.snapshot();
    let dropped = |name| snapshot.get(name).unwrap().dropped.clone();
    assert_eq!(dropped("destination/b"), [("b".into(), "quota_drop_oldest", [3, 0, 0])]);
    assert_eq!(dropped("destination/a"), []);
}

#[test]
fn what_a_destination_still_needs_is_shown() {
    let world = World::new();
    let spine = two(&world, 4, Reject);
    spine.publish(&world.telemetry, Arc::new(world.clock.clone()));
    keep(&spine, vec![record(&world, "1", &[1])]).unwrap();
    world.clock.advance(Duration::from_secs(3));
    keep(&spine, vec![record(&world, "2", &[0, 1])]).unwrap();
    assert_eq!(read(&spine, 0), ["2"]);
    let text = world.telemetry.render(&Naming::default());
    for line in [
        r#"otelcol_exporter_queue_size{exporter="a",data_type="traces"} 1"#,
        r#"otelcol_exporter_queue_size{exporter="b",data_type="traces"} 2"#,
        r#"sluice_destination_lag_items{exporter="b",data_type="traces"} 2"#,
        r#"sluice_destination_lag_seconds{exporter="a"} 0"#,
        r#"sluice_destination_lag_seconds{exporter="b"} 3"#,
        &format!(r#"sluice_destination_held_bytes{{exporter="b"}} {}"#, 2 * one(&world)),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} not in\n{text}");
    }
}

#[test]
fn what_is_in_flight_is_never_evicted() {
    let world = World::new();
    let spine = two(&world, 2, DropOldest);
    keep(&spine, vec![record(&world, "1", &[1]), record(&world, "2", &[1])]).unwrap();
    assert_eq!(read(&spine, 1), ["1", "2"]);
    keep(&spine, vec![record(&world, "3", &[1])]).unwrap();
    assert_eq!(read(&spine, 1), [""; 0]);
    spine.rewind(Destination(1));
    assert_eq!(read(&spine, 1), ["1", "2"]);
    let snapshot = world.ledger.check();
    assert_eq!(snapshot.get("destination/b").unwrap().dropped, [("b".into(), "quota_drop_newest", [1, 0, 0])]);
    world.assert_balanced();
}

#[test]
fn drop_newest_keeps_what_it_has() {
    let world = World::new();
    let spine = two(&world, 2, DropNewest);
    for name in ["1", "2", "3"] {
        keep(&spine, vec![record(&world, name, &[1])]).unwrap();
    }
    assert_eq!(read(&spine, 1), ["1", "2"]);
    assert_eq!(spine.usage().0, 2 * one(&world));
    world.assert_balanced();
}

#[test]
fn a_dead_destination_fills_its_quota_and_not_the_log() {
    let world = World::new();
    let specs = [destination("a", None, Reject), destination("b", None, Reject)];
    let spine = world.spine(20 * one(&world), false, CursorRule::Absorbed, &specs);
    let mut refused = 0;
    for _ in 0..15 {
        refused += u32::from(keep(&spine, vec![record(&world, "x", &[1])]).is_err());
    }
    assert_eq!(refused, 5);
    for _ in 0..10 {
        keep(&spine, vec![record(&world, "y", &[0])]).unwrap();
    }
    assert_eq!(spine.usage(), (20 * one(&world), 20 * one(&world)));
}

#[test]
fn quotas_that_exceed_the_log_are_a_configuration_error() {
    let world = World::new();
    let specs = [destination("a", Some(1000), Reject), destination("b", None, Reject)];
    let made = MemorySpine::new(1000, false, CursorRule::Absorbed, world.memory.clone(), &world.ledger, &specs);
    assert!(matches!(made.err(), Some(Error::Config { .. })));
}

#[test]
fn a_request_that_can_never_fit_is_refused_for_good() {
    let world = World::new();
    let spine = two(&world, 2, Reject);
    let records = (0..3).map(|_| record(&world, "x", &[0])).collect();
    assert!(matches!(keep(&spine, records), Err(Refusal::TooLarge { .. })));
}

#[test]
fn a_written_queue_size_is_a_further_quota() {
    let world = World::new();
    for (sizer, size, fits) in [(Sizer::Requests, 3, 3), (Sizer::Items, 4, 4), (Sizer::Bytes, 20, 2)] {
        let spec = DestinationSpec { queue_size: Some((size, sizer)), ..destination("a", None, Reject) };
        let spine = world.spine(1 << 20, false, CursorRule::Absorbed, &[spec]);
        let mut kept = 0;
        while keep(&spine, vec![record(&world, "x", &[0])]).is_ok() {
            kept += 1;
        }
        // A one-letter span makes a request of seven bytes.
        assert_eq!(kept, fits, "{sizer:?}");
        spine.discard(Destination(0), "operator_purge");
        world.assert_balanced();
    }
}

#[test]
fn completion_may_come_in_any_order_and_reading_starts_over_where_nothing_is_done() {
    let world = World::new();
    let spine = two(&world, 9, Reject);
    for name in ["1", "2", "3", "4"] {
        keep(&spine, vec![record(&world, name, &[0])]).unwrap();
    }
    let limit = ReadLimit { items: 2, ..ALL };
    let first = spine.read(Destination(0), limit);
    assert_eq!(first.len(), 2);
    spine.complete(Destination(0), Seq(1), Completion::delivered(1));
    // Also one that was not read yet.
    spine.complete(Destination(0), Seq(2), Completion::dropped("operator_purge", 1));
    assert_eq!(spine.backlog(Destination(0)).oldest.unwrap().0, Seq(0));
    spine.rewind(Destination(0));
    assert_eq!(read(&spine, 0), ["1", "4"]);
    assert_eq!(spine.backlog(Destination(0)).items, [2, 0, 0]);
    world.assert_balanced();
}

#[test]
fn a_read_gives_at_least_one_entry() {
    let world = World::new();
    let spine = two(&world, 9, Reject);
    keep(&spine, vec![record(&world, "1", &[0]), record(&world, "2", &[0])]).unwrap();
    assert_eq!(spine.read(Destination(0), ReadLimit { records: 0, items: 0, bytes: 0 }).len(), 1);
}

#[test]
fn a_reload_keeps_the_backlog_of_known_names_and_counts_that_of_others() {
    let world = World::new();
    let spine = two(&world, 9, Reject);
    keep(&spine, vec![record(&world, "x", &[0, 1])]).unwrap();
    let specs = [destination("b", None, Reject), destination("c", None, Reject)];
    spine.configure(18 * one(&world), &world.ledger, &specs).unwrap();
    assert_eq!((spine.destination("a"), spine.destination("b")), (None, Some(Destination(1))));
    assert_eq!(spine.destination("c"), Some(Destination(0)));
    assert_eq!(read(&spine, 1), ["x"]);
    assert_eq!(read(&spine, 0), [""; 0]);
    let snapshot = world.ledger.check();
    assert_eq!(snapshot.get("destination/a").unwrap().dropped, [("a".into(), "detached_destination", [1, 0, 0])]);
    world.assert_balanced();
}

#[test]
fn what_was_routed_before_a_reload_never_comes_to_a_destination_that_is_new() {
    let world = World::new();
    let spine = two(&world, 9, Reject);
    let capacity = 18 * one(&world);
    let specs = [destination("b", None, Reject), destination("c", None, Reject)];
    spine.attach(capacity, &world.ledger, &specs).unwrap();
    let names = ["a", "b", "c"].map(|name| spine.destination(name));
    assert_eq!(names, [0, 1, 2].map(|index| Some(Destination(index))));
    // Passed before the swap, appended after it.
    keep(&spine, vec![record(&world, "late", &[0, 1])]).unwrap();
    spine.configure(capacity, &world.ledger, &specs).unwrap();
    // So late that it was not waited for.
    keep(&spine, vec![record(&world, "too late", &[0, 1])]).unwrap();
    assert_eq!((read(&spine, 1), read(&spine, 2)), (vec!["late".to_owned(), "too late".to_owned()], Vec::new()));
    let snapshot = world.ledger.check();
    assert_eq!(snapshot.get("destination/a").unwrap().dropped, [("a".into(), "detached_destination", [2, 0, 0])]);
    world.assert_balanced();
}

#[test]
fn a_reload_changes_how_much_is_kept() {
    let world = World::new();
    let specs = [destination("a", None, Reject)];
    let spine = world.spine(one(&world), false, CursorRule::Absorbed, &specs);
    keep(&spine, vec![record(&world, "x", &[0])]).unwrap();
    assert!(keep(&spine, vec![record(&world, "y", &[0])]).is_err());
    spine.configure(2 * one(&world), &world.ledger, &specs).unwrap();
    keep(&spine, vec![record(&world, "y", &[0])]).unwrap();
    // Less than is kept already: nothing is lost, nothing more is taken.
    spine.configure(one(&world), &world.ledger, &specs).unwrap();
    assert!(keep(&spine, vec![record(&world, "z", &[0])]).is_err());
    assert_eq!(read(&spine, 0), ["x", "y"]);
}

#[test]
fn stages_can_finish_when_receivers_have_filled_their_part() {
    let world = World::new();
    let specs = [destination("stage", None, Reject), destination("out", None, Reject)];
    let spine = world.spine(12 * one(&world), true, CursorRule::Emitted, &specs);
    while keep(&spine, vec![record(&world, "x", &[0])]).is_ok() {}
    while keep(&spine, vec![record(&world, "y", &[1])]).is_ok() {}
    let entry = &spine.read(Destination(0), ALL)[0];
    let done = vec![(entry.seq(), Completion::delivered(1))];
    let derived = vec![record(&world, "z", &[1])];
    assert!(spine.0.keep(Origin::Derived, derived, vec![(Destination(0), done)]).is_ok());
    assert_eq!(spine.backlog(Destination(0)).records, 3);
    assert_eq!(read(&spine, 1), ["y", "y", "y", "y", "z"]);
    world.assert_balanced();
}

#[tokio::test]
async fn readers_are_woken_by_appends_and_the_refused_by_releases() {
    let world = World::new();
    let spine = two(&world, 1, Reject);
    let reader = tokio::spawn(spine.readable(Destination(0)));
    tokio::task::yield_now().await;
    assert!(!reader.is_finished());
    spine.append(vec![record(&world, "x", &[0])]).await.unwrap();
    reader.await.unwrap();
    spine.readable(Destination(0)).await;

    let released = spine.released();
    assert!(spine.append(vec![record(&world, "y", &[0])]).await.is_err());
    let entry = spine.read(Destination(0), ALL).remove(0);
    spine.complete(Destination(0), entry.seq(), Completion::delivered(1));
    drop(entry);
    released.await;
    assert!(spine.append(vec![record(&world, "y", &[0])]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_fast_a_reader_is_every_sender_is_told() {
    let world = World::new();
    let spine = world.spine(1 << 20, false, CursorRule::Absorbed, &[destination("a", None, Reject)]);
    let reader = tokio::spawn({
        let spine = spine.clone();
        async move {
            loop {
                spine.readable(Destination(0)).await;
                for entry in spine.read(Destination(0), ALL) {
                    spine.complete(Destination(0), entry.seq(), Completion::delivered(1));
                }
            }
        }
    });
    let clients = (0..4).map(|_| {
        let (spine, batch) = (spine.clone(), world.redacted(&["x"]));
        tokio::spawn(async move {
            for _ in 0..5000 {
                let record = Record { batch: batch.clone(), routes: to(&[0]) };
                let mut waiting = spine.append_awaited(vec![record], to(&[0])).await.unwrap();
                let told = tokio::time::timeout(Duration::from_secs(60), waiting.confirmed()).await;
                assert_eq!(told.unwrap().unwrap()[0].delivered, 1);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    reader.abort();
    world.assert_balanced();
}
