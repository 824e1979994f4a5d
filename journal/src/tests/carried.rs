//! Cursors that travel in commit groups.

use std::time::Duration;

use super::*;

/// Longer than groups wait until they carry cursors, shorter than upkeep waits until it saves them.
const SOON: Duration = Duration::from_millis(60);

/// Two records for both, of which `a` is done with the first; a group has carried that.
fn carried() -> (Rig, u64, u64) {
    let rig = Rig::new(specs(&["a", "b"]));
    let first = rig.append(&["a", "b"], 100).unwrap();
    assert_eq!(rig.read("a"), [first]);
    rig.complete("a", &[first]);
    assert!(!rig.journal.0.is_saved("a"));
    rig.clock.advance(SOON);
    let second = rig.append(&["a", "b"], 100).unwrap();
    assert!(rig.journal.0.is_saved("a"));
    (rig, first, second)
}

#[test]
fn what_a_group_carried_is_known_after_a_crash() {
    let (mut rig, first, second) = carried();
    rig.restart();
    assert_eq!((rig.read("a"), rig.read("b")[0]), (vec![second], first));
}

#[test]
fn a_sealed_segment_tells_what_was_carried_in_it() {
    let (mut rig, first, second) = carried();
    while rig.journal.stats().segments < 3 {
        rig.append(&["b"], 10 << 10).unwrap();
    }
    rig.restart();
    assert_eq!((rig.read("a"), rig.read("b")[0]), (vec![second], first));
}

#[test]
fn a_slot_that_is_newer_counts_more() {
    let (mut rig, _, second) = carried();
    assert_eq!(rig.read("a"), [second]);
    rig.complete("a", &[second]);
    rig.keep(Duration::from_millis(200));
    rig.restart();
    assert_eq!(rig.read("a"), [0; 0]);
}

#[test]
fn a_segment_is_deleted_only_when_the_slot_knows_what_was_carried() {
    let (rig, first, second) = carried();
    assert_eq!((rig.read("a"), rig.read("b")), (vec![second], vec![first, second]));
    rig.complete("a", &[second]);
    rig.complete("b", &[first, second]);
    let mut later = Vec::new();
    while rig.journal.stats().segments < 2 {
        later.push(rig.append(&["a"], 10 << 10).unwrap());
        assert_eq!(rig.read("a"), later[later.len() - 1..]);
        rig.complete("a", &later[later.len() - 1..]);
    }
    rig.clock.advance(SOON);
    rig.append(&["a"], 100).unwrap();
    let slots = || rig.journal.0.lock().dests.values().map(|dest| dest.slot_is_old()).collect::<Vec<_>>();
    assert_eq!((slots(), rig.journal.stats().reclaimed), (vec![true, true], 0));
    rig.keep(Duration::from_millis(1));
    assert_eq!((slots(), rig.journal.stats().reclaimed), (vec![false, false], 1));
}
