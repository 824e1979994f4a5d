//! Segments that are used again: nothing of what was in them comes back.

use super::*;
use crate::vfs::{Open, Vfs, read_full};

/// Bytes of the spare segment, if there is one.
fn spare(rig: &Rig) -> Option<Vec<u8>> {
    let file = rig.disk.open("seg/spare", Open::Read).ok()?;
    let mut bytes = vec![0; SEGMENT as usize];
    (read_full(&*file, &mut bytes, 0).unwrap() == bytes.len()).then_some(bytes)
}

/// A journal with a spare segment that was a segment before.
fn with_used_spare() -> Rig {
    let rig = Rig::new(specs(&["a"]));
    // A fresh one is made now, and the next look at the disk is half a second away.
    rig.keep(Duration::from_secs(1));
    for _ in 0..9 {
        rig.append(&["a"], 8000).unwrap();
    }
    rig.complete("a", &rig.read("a"));
    rig.keep(Duration::from_millis(100));
    rig
}

#[test]
fn a_deleted_segment_becomes_the_spare_one_without_header_and_trailer() {
    let rig = with_used_spare();
    let bytes = spare(&rig).unwrap();
    assert!(bytes[..4096].iter().all(|&byte| byte == 0) && bytes[SEGMENT as usize - 4096..].iter().all(|&b| b == 0));
    assert!(bytes.contains(&7), "written before");
}

#[test]
fn it_does_even_if_the_disk_is_looked_at_in_the_same_turn() {
    let rig = with_used_spare();
    for _ in 0..9 {
        rig.append(&["a"], 8000).unwrap();
    }
    assert!(spare(&rig).is_none(), "taken");
    rig.complete("a", &rig.read("a"));
    rig.keep(Duration::from_secs(1));
    assert!(spare(&rig).unwrap().contains(&7), "written before");
}

#[test]
fn old_records_behind_the_end_are_no_records() {
    for seed in 0..200 {
        let mut rig = with_used_spare();
        let mut sent = Vec::new();
        // The segment being written is full soon; then the spare one is used, and has old records behind its end.
        let kill = seed % 2 == 0;
        for size in [8000, 8000, 700 + seed as usize * 30] {
            sent.push(rig.append(&["a"], size).unwrap());
        }
        assert!(spare(&rig).is_none());
        if kill {
            rig.restart();
        } else {
            rig.disk.crash(Random::seeded(seed));
            rig.journal = open(&rig.disk, &rig.clock, &rig.notes, &rig.config, &rig.specs).unwrap();
        }
        let mut read = Vec::new();
        for _ in 0..20 {
            let more = rig.read("a");
            more.iter().for_each(|&seq| rig.journal.survived(rig.dest("a"), seq, seq));
            rig.complete("a", &more);
            read.extend(more);
        }
        assert_eq!(read, sent, "seed {seed}");
        let stats = rig.journal.stats();
        assert_eq!((stats.corrupt_ranges, stats.corrupt_items), (0, [0; SIGNALS]), "seed {seed}");
    }
}

#[test]
fn without_meta_a_spare_segment_is_not_trusted() {
    let mut rig = with_used_spare();
    // The only other segment stays needed, and cannot become the spare one.
    rig.append(&["a"], 100).unwrap();
    rig.disk.remove("META");
    rig.restart();
    assert!(rig.journal.0.lock().lacks_spare());
    rig.keep(Duration::from_secs(1));
    assert!(spare(&rig).unwrap().iter().all(|&byte| byte == 0));
}
