//! Dead letters of a journal, for those who only look at it.

use super::*;
use crate::clock::Stamp;
use crate::dlq::{Cause, DeadLetter, DeadLetterLimits, Keep};

fn letter(payload: &[u8]) -> DeadLetter {
    DeadLetter {
        id: 0,
        cause: Cause { parked_ms: 1000, ..Cause::default() },
        keep: Keep::Evictable,
        signal: 0,
        items: 1,
        tenant: 0,
        ingest_ms: 0,
        context: Bytes::new(),
        payload: Bytes::copy_from_slice(payload),
    }
}

#[test]
fn who_only_looks_sets_no_limits_and_lets_nothing_expire() {
    let rig = Rig::new(specs(&["a"]));
    let letters = rig.journal.letters("a").unwrap();
    letters.park(&[letter(&[7; 100])]).unwrap();
    let id = letters.list(0, 1)[0].id;
    assert!(letters.bytes_of(id).is_some_and(|bytes| bytes > 100) && letters.bytes_of(id + 1).is_none());
    assert_eq!((letters.ids(), letters.items()), (vec![id], [1, 0, 0, 0]));
    let late = Stamp { wall: Duration::from_secs(1 << 30), ..Stamp::default() };
    assert_eq!(letters.expire(&late).unwrap(), []);
    let limits = DeadLetterLimits { max_bytes: 1 << 20, max_age: Some(Duration::from_secs(1)) };
    letters.set_limits(limits);
    assert_eq!(rig.journal.letters("a").unwrap().expire(&late).unwrap().len(), 1, "as the limits say that were set");
}

#[test]
fn several_letters_go_together_and_come_again_together() {
    let rig = Rig::new(specs(&["a"]));
    let letters = rig.journal.letters("a").unwrap();
    let parked: Vec<DeadLetter> = (0..5u8).map(|number| letter(&[number; 100])).collect();
    letters.park(&parked).unwrap();
    let ids = letters.ids();
    let whole: Vec<DeadLetter> = ids[1..4].iter().map(|id| letters.read(*id).unwrap().unwrap()).collect();
    let (tell, told) = std::sync::mpsc::channel();
    rig.journal.replay_all(rig.dest("a"), &whole, 0, Box::new(move |result| tell.send(result).unwrap()));
    rig.journal.step_writer();
    let range = told.try_recv().unwrap().unwrap().unwrap();
    assert_eq!(range.last - range.first, 2);
    let gone = letters.remove_all(&[ids[1], ids[2], ids[3], 99]).unwrap();
    assert_eq!(gone.iter().map(|gone| gone.id).collect::<Vec<_>>(), ids[1..4]);
    assert_eq!(letters.ids(), [ids[0], ids[4]]);
    drop(letters);
    let mut rig = rig;
    rig.restart();
    let letters = rig.journal.letters("a").unwrap();
    assert_eq!(letters.ids(), [ids[0], ids[4]], "marked on disk");
    // One at a time, for one of them may have been the end of the process.
    let read = || rig.journal.read(rig.dest("a"), ALL).unwrap();
    let entries: Vec<u8> = (0..4).flat_map(|_| read()).map(|entry| entry.payload[0]).collect();
    assert_eq!(entries, [1, 2, 3]);
    assert_eq!(letters.remove_all(&[ids[4], ids[0]]).unwrap().len(), 2);
    assert_eq!(letters.usage(), (0, 0, 0), "a file without letters is deleted");
    assert_eq!(letters.remove_all(&ids).unwrap(), []);
}

#[test]
fn a_directory_tells_its_destinations_before_it_is_opened() {
    let rig = Rig::new(specs(&["b", "a/x"]));
    assert_eq!(Journal::names_in(&rig.disk).unwrap(), ["a/x", "b"]);
    let empty = SimDisk::new(Random::seeded(1), 8 << 20);
    assert!(Journal::names_in(&empty).is_err(), "there is no journal");
}
