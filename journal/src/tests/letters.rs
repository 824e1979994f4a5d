//! Dead letters of a journal, for those who only look at it.

use super::*;
use crate::clock::Stamp;
use crate::dlq::{Cause, DeadLetter, DeadLetterLimits, Keep};

#[test]
fn who_only_looks_sets_no_limits_and_lets_nothing_expire() {
    let rig = Rig::new(specs(&["a"]));
    let letters = rig.journal.letters("a").unwrap();
    let letter = DeadLetter {
        id: 0,
        cause: Cause { parked_ms: 1000, ..Cause::default() },
        keep: Keep::Evictable,
        signal: 0,
        items: 1,
        tenant: 0,
        ingest_ms: 0,
        context: Bytes::new(),
        payload: vec![7; 100].into(),
    };
    letters.park(&[letter]).unwrap();
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
fn a_directory_tells_its_destinations_before_it_is_opened() {
    let rig = Rig::new(specs(&["b", "a/x"]));
    assert_eq!(Journal::names_in(&rig.disk).unwrap(), ["a/x", "b"]);
    let empty = SimDisk::new(Random::seeded(1), 8 << 20);
    assert!(Journal::names_in(&empty).is_err(), "there is no journal");
}
