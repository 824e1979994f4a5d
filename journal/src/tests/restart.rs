//! What a new process finds.

use super::*;
use crate::checksum::crc32c;

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let rig = Rig::new(specs(&["a"]));
    rig.append(&["a"], 10).unwrap();
    rig.journal.close().unwrap();
    rig.disk.kill();
    // The version stands behind magic and checksum of each slot.
    let before = {
        use crate::format::slot::Slot;
        use crate::vfs::{Open, Vfs, write_full};
        let file = rig.disk.open("META", Open::Write).unwrap();
        let mut slot = Slot::encode(99, &rig.journal.id(), b"");
        slot[8] = 3;
        let crc = crc32c(&slot[8..]);
        slot[4..8].copy_from_slice(&crc.to_le_bytes());
        write_full(&*file, &slot, 0).unwrap();
        file.sync().unwrap();
        rig.disk.files()
    };
    let refused = open(&rig.disk, &rig.clock, &rig.notes, &rig.config, &rig.specs);
    assert!(matches!(refused, Err(Error::Newer(3))));
    assert_eq!(rig.disk.files(), before);
}

#[test]
fn a_second_process_is_told_that_the_journal_is_in_use() {
    let rig = Rig::new(specs(&["a"]));
    assert!(matches!(open(&rig.disk, &rig.clock, &rig.notes, &rig.config, &rig.specs), Err(Error::Locked(_))));
    rig.journal.close().unwrap();
    assert!(open(&rig.disk, &rig.clock, &rig.notes, &rig.config, &rig.specs).is_ok());
}

#[test]
fn between_two_groups_cursors_are_saved_for_a_kill_when_that_is_due() {
    use crate::cursors::Survive;
    use crate::keeper::SAVE_EVERY;
    let mut rig = Rig::new(specs(&["a"]));
    let sequences = [rig.append(&["a"], 10).unwrap(), rig.append(&["a"], 10).unwrap()];
    assert_eq!(rig.read("a"), sequences);
    rig.complete("a", &sequences[..1]);
    rig.clock.advance(SAVE_EVERY / 4);
    assert_eq!(rig.journal.step_cursors(), SAVE_EVERY * 3 / 4);
    rig.clock.advance(SAVE_EVERY);
    {
        let _upkeep = rig.journal.0.lock_keeper();
        assert_eq!(rig.journal.step_cursors(), SAVE_EVERY);
    }
    assert!(!rig.journal.0.is_saved("a", Survive::Kill), "neither before it is due nor while upkeep is under way");
    assert_eq!(rig.journal.step_cursors(), SAVE_EVERY);
    assert!(rig.journal.0.is_saved("a", Survive::Kill) && !rig.journal.0.is_saved("a", Survive::PowerCut));
    rig.restart();
    assert_eq!(rig.read("a"), sequences[1..]);
}

#[test]
fn a_record_that_kills_the_process_twice_is_condemned() {
    let mut rig = Rig::new(specs(&["a"]));
    let sequences: Vec<u64> = (0..4).map(|_| rig.append(&["a"], 10).unwrap()).collect();
    assert_eq!(rig.read("a"), sequences);
    rig.keep(Duration::from_secs(1));
    for death in 1..=4 {
        rig.restart();
        let entries = rig.journal.read(rig.dest("a"), ALL).unwrap();
        let together = if death == 1 { 4 } else { 1 };
        assert_eq!(entries.len(), together, "those with which it died go out one by one");
        assert_eq!((entries[0].seq, entries[0].condemned), (sequences[0], death == 4));
    }
    rig.complete("a", &sequences[..1]);
    let next = rig.journal.read(rig.dest("a"), ALL).unwrap();
    assert_eq!((next[0].seq, next[0].condemned), (sequences[1], false));
}

#[test]
fn only_the_record_that_kills_is_condemned_wherever_it_stands() {
    for culprit in [0, 1, 5, 40, 99] {
        let mut rig = Rig::new(specs(&["a"]));
        let sequences: Vec<u64> = (0..100).map(|_| rig.append(&["a"], 10).unwrap()).collect();
        let (culprit, mut deaths, mut condemned) = (sequences[culprit], 0, Vec::new());
        rig.keep(Duration::from_secs(1));
        rig.restart();
        let mut delivered = Vec::new();
        while delivered.len() + condemned.len() < sequences.len() {
            let entries = rig.journal.read(rig.dest("a"), ALL).unwrap();
            assert!(!entries.is_empty(), "{culprit}: {delivered:?}");
            if entries.iter().any(|entry| entry.seq == culprit && !entry.condemned) {
                deaths += 1;
                rig.restart();
                continue;
            }
            if entries[0].condemned {
                condemned.push(entries[0].seq);
                rig.complete("a", &condemned);
                continue;
            }
            let looked_at: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
            let next = rig.journal.read(rig.dest("a"), ALL).unwrap();
            assert!(next.is_empty(), "nothing more before somebody has looked at these");
            rig.journal.survived(rig.dest("a"), looked_at[0], *looked_at.last().unwrap());
            rig.complete("a", &looked_at);
            rig.keep(Duration::from_secs(1));
            delivered.extend(looked_at);
        }
        assert_eq!((condemned, deaths), (vec![culprit], 3), "once among others, and twice alone");
    }
}

#[test]
fn a_process_that_is_killed_at_any_time_condemns_nobody_that_was_looked_at() {
    let mut rig = Rig::new(specs(&["a"]));
    (0..100).for_each(|_| _ = rig.append(&["a"], 10).unwrap());
    for round in 0..100 {
        rig.restart();
        // It gets as far as chance lets it, and delivers nothing.
        for _ in 0..=round % 7 {
            let entries = rig.journal.read(rig.dest("a"), ALL).unwrap();
            assert!(entries.iter().all(|entry| !entry.condemned), "round {round}");
            let Some(last) = entries.last() else { break };
            rig.journal.survived(rig.dest("a"), entries[0].seq, last.seq);
        }
        // Killed while the next ones are being looked at.
        rig.journal.read(rig.dest("a"), ALL).unwrap();
    }
}

#[test]
fn catching_up_after_a_crash_takes_a_few_turns_if_nothing_is_wrong() {
    let mut rig = Rig::new(specs(&["a"]));
    (0..500).for_each(|_| _ = rig.append(&["a"], 10).unwrap());
    rig.restart();
    let (mut turns, mut read) = (0, 0);
    while read < 500 {
        let entries = rig.journal.read(rig.dest("a"), ALL).unwrap();
        assert!(!rig.journal.has_unread(rig.dest("a")) || read + entries.len() >= 500, "the reader waits, and is told");
        assert!(rig.journal.read(rig.dest("a"), ALL).unwrap().is_empty());
        let (first, last) = (entries[0].seq, entries[entries.len() - 1].seq);
        rig.journal.survived(rig.dest("a"), first, last);
        (turns, read) = (turns + 1, read + entries.len());
    }
    assert!(turns <= 16, "{turns} turns");
}

#[test]
fn reading_again_in_the_same_process_is_no_death() {
    let mut rig = Rig::new(specs(&["a"]));
    let sequences: Vec<u64> = (0..4).map(|_| rig.append(&["a"], 10).unwrap()).collect();
    rig.restart();
    for _ in 0..5 {
        let entries = rig.journal.read(rig.dest("a"), ALL).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), sequences);
        assert!(entries.iter().all(|entry| !entry.condemned));
        rig.journal.rewind(rig.dest("a"));
    }
}

#[test]
fn a_clean_stop_leaves_nobody_suspect() {
    let mut rig = Rig::new(specs(&["a"]));
    let sequences: Vec<u64> = (0..4).map(|_| rig.append(&["a"], 10).unwrap()).collect();
    assert_eq!(rig.read("a").len(), 4);
    rig.journal.close().unwrap();
    rig.restart();
    assert_eq!(rig.read("a"), sequences);
}

#[test]
fn a_planned_file_is_still_planned_after_a_crash() {
    let mut rig = Rig::new(specs(&["a"]));
    rig.journal.set_plan(rig.dest("a"), Some((3, 9))).unwrap();
    rig.disk.crash(Random::seeded(1));
    rig.restart();
    assert_eq!(rig.journal.plan(rig.dest("a")), Some((3, 9)));
}

#[test]
fn a_kill_takes_back_what_was_delivered_in_the_last_tenth_of_a_second_and_a_power_cut_in_the_last_second() {
    let nothing_survives = (0..).find(|&seed| Random::seeded(seed).below(4) == 0).unwrap();
    for (passed, after_kill, after_power_cut) in [(20, 4, 4), (110, 0, 4), (1100, 0, 0)] {
        for power_cut in [false, true] {
            let mut rig = Rig::new(specs(&["a"]));
            let sequences: Vec<u64> = (0..4).map(|_| rig.append(&["a"], 10).unwrap()).collect();
            // The last sync of the cursor was just now.
            rig.keep(Duration::from_secs(1));
            assert_eq!(rig.read("a"), sequences);
            rig.complete("a", &sequences);
            rig.keep(Duration::from_millis(passed));
            if power_cut {
                rig.disk.crash(Random::seeded(nothing_survives));
            }
            rig.restart();
            let again = if power_cut { after_power_cut } else { after_kill };
            assert_eq!(rig.journal.backlog(rig.dest("a")).records, again, "{passed} ms, {power_cut}");
        }
    }
}

#[test]
fn a_cursor_that_is_lost_starts_at_the_oldest_record() {
    let mut rig = Rig::new(specs(&["a", "b"]));
    let sequences: Vec<u64> = (0..6).map(|_| rig.append(&["a", "b"], 10).unwrap()).collect();
    let read = rig.read("a");
    rig.complete("a", &read);
    rig.journal.close().unwrap();
    for slot in [100, 4196] {
        rig.disk.flip("cur/a.cur", slot, 1);
    }
    rig.restart();
    assert_eq!(rig.read("a"), sequences);
    assert_eq!(rig.journal.stats().cursor_resets, 1);
    assert!(rig.saw(|event| *event == Event::CursorReset { name: "a".to_owned() }));
}

#[test]
fn a_large_payload_begins_at_a_page_of_the_file() {
    use crate::vfs::{Open, Vfs, read_full};
    let mut rig = Rig::with(Config { page_from: 1000, tail_bytes: 0, ..config() }, specs(&["a"]));
    let sequences: Vec<u64> = [100, 5000, 999, 1000].iter().map(|&len| rig.append(&["a"], len).unwrap()).collect();
    let check = |rig: &Rig| {
        let entries = rig.journal.read(rig.dest("a"), ALL).unwrap();
        assert!(entries.iter().all(|entry| entry.payload.iter().all(|&byte| byte == 7)));
        let lengths: Vec<_> = entries.iter().map(|entry| (entry.seq, entry.payload.len())).collect();
        assert_eq!(lengths, sequences.iter().copied().zip([100, 5000, 999, 1000]).collect::<Vec<_>>());
    };
    check(&rig);
    let (path, len) = rig.disk.files().into_iter().find(|(path, _)| path.ends_with(".log")).unwrap();
    let mut bytes = vec![0; len as usize];
    read_full(&*rig.disk.open(&path, Open::Read).unwrap(), &mut bytes, 0).unwrap();
    let page = crate::format::PAGE as usize;
    let begins = |at: &usize| bytes[*at..*at + 1000].iter().all(|&byte| byte == 7) && bytes[at - 8..*at] != [7; 8];
    assert_eq!((page..bytes.len() - page).step_by(page).filter(begins).count(), 2);
    rig.restart();
    check(&rig);
    // The largest record that a segment takes has no room before it.
    rig.append(&["a"], SEGMENT as usize / 2 - 64).unwrap();
}
