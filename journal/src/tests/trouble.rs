//! Disks that fail or fill up.

use super::*;
use crate::format::{Chain, PAGE};
use crate::sim::Faults;

#[test]
fn a_failed_sync_moves_on_to_a_new_segment_and_then_acknowledges() {
    let mut rig = Rig::new(specs(&["a"]));
    let first = rig.append(&["a"], 100).unwrap();
    rig.disk.set_faults(Faults { sync_error: 1000, ..Faults::default() });
    assert!(matches!(rig.append(&["a"], 100), Err(Error::AppendFailed)));
    assert!(rig.journal.stats().drain_only, "three failures in a row");
    assert!(matches!(rig.append(&["a"], 100), Err(Error::DrainOnly)));
    assert_eq!(rig.read("a"), [first], "what is durable can be drained");
    rig.complete("a", &[first]);
    rig.keep(Duration::from_secs(1));
    assert!(rig.journal.stats().drain_only && rig.journal.stats().cursor_errors > 0);
    rig.disk.set_faults(Faults::default());
    rig.keep(Duration::from_millis(500));
    assert!(!rig.journal.stats().drain_only);
    let second = rig.append(&["a"], 100).unwrap();
    assert!(second > first + 1, "what was refused keeps its number");
    rig.disk.crash(Random::seeded(4));
    rig.restart();
    assert_eq!(rig.read("a"), [second]);
}

#[test]
fn a_full_disk_is_drained_and_taken_again_when_space_returns() {
    let rig = Rig::new(specs(&["a"]));
    let sequences: Vec<u64> = (0..20).map(|_| rig.append(&["a"], 2000).unwrap()).collect();
    rig.disk.set_neighbour(8 << 20);
    rig.keep(Duration::from_millis(500));
    assert!(matches!(rig.append(&["a"], 100), Err(Error::DrainOnly)));
    assert!(matches!(rig.journal.check(RouteSet::EMPTY.with(Dest(0))), Err(Error::DrainOnly)));
    assert_eq!(rig.read("a"), sequences);
    rig.complete("a", &sequences);
    rig.keep(Duration::from_millis(500));
    assert!(rig.journal.stats().segments <= 1, "what is drained is freed");
    rig.disk.set_neighbour(0);
    rig.keep(Duration::from_millis(500));
    assert!(rig.append(&["a"], 100).is_ok());
    assert!(rig.saw(|event| *event == Event::Resumed));
}

#[test]
fn a_stage_can_finish_while_the_disk_is_full() {
    let stage = DestSpec { stage: true, ..DestSpec::new("s") };
    let rig = Rig::with(Config { stages: true, ..config() }, vec![DestSpec::new("a"), stage]);
    let emit = |seq| {
        let routes = RouteSet::EMPTY.with(rig.dest("a"));
        let record = Record { routes, items: 1, payload: Bytes::from_static(b"out"), ..Record::default() };
        let (tell, told) = std::sync::mpsc::channel();
        let answer = Box::new(move |result: Result<_, Error>| tell.send(result.is_ok()).unwrap());
        rig.journal.commit(vec![(rig.dest("s"), vec![seq])], vec![record], answer);
        rig.journal.step_writer();
        rig.complete("s", &[seq]);
        told.try_recv().unwrap()
    };
    let sequences: Vec<u64> = (0..3).map(|_| rig.append(&["s"], 100).unwrap()).collect();
    assert_eq!(rig.read("s"), sequences);
    assert!(emit(sequences[0]));
    rig.disk.set_neighbour(8 << 20);
    rig.keep(Duration::from_millis(500));
    assert!(rig.append(&["s"], 100).is_err());
    assert!(emit(sequences[1]) && emit(sequences[2]));
    assert_eq!(rig.read("a").len(), 3);
}

#[test]
fn what_a_stage_could_not_commit_does_not_count_after_a_kill() {
    let stage = DestSpec { stage: true, ..DestSpec::new("s") };
    let mut rig = Rig::with(Config { stages: true, ..config() }, vec![DestSpec::new("a"), DestSpec::new("b"), stage]);
    let emit = |rig: &Rig, seq| {
        let routes = RouteSet::EMPTY.with(rig.dest("a")).with(rig.dest("b"));
        let record = Record { routes, items: 1, payload: Bytes::from_static(b"out"), ..Record::default() };
        let (tell, told) = std::sync::mpsc::channel();
        let answer = Box::new(move |result: Result<_, Error>| tell.send(result.is_ok()).unwrap());
        rig.journal.commit(vec![(rig.dest("s"), vec![seq])], vec![record], answer);
        rig.journal.step_writer();
        told.try_recv().unwrap()
    };
    let (first, second) = (rig.append(&["s"], 100).unwrap(), rig.append(&["s"], 100).unwrap());
    assert_eq!(rig.read("s"), [first, second]);
    assert!(emit(&rig, first));
    rig.complete("s", &[first]);
    // All of it is written, and the sync fails: it is in a segment that nothing follows.
    rig.disk.set_faults(Faults { sync_error: 1000, ..Faults::default() });
    assert!(!emit(&rig, second));
    rig.disk.set_faults(Faults::default());
    rig.keep(Duration::from_secs(1));
    // What comes later passes: the cursor of `a` is then beyond what the stage made. `b` keeps the segment.
    rig.append(&["a"], 100).unwrap();
    let read = rig.read("a");
    assert_eq!(read.len(), 2);
    rig.complete("a", &read);
    rig.keep(Duration::from_secs(1));
    rig.restart();
    assert_eq!(rig.read("a"), []);
    assert_eq!(rig.read("s"), [second], "acknowledged, and nothing was made of it");
}

/// A record that is refused, as its sync fails: half of its sectors are lost, and the pages count as clean.
fn append_half(rig: &Rig) {
    rig.disk.set_faults(Faults { sync_error: 1000, ..Faults::default() });
    assert!(rig.append(&["a"], 9000).is_err());
    rig.disk.set_faults(Faults::default());
}

/// The process is killed, the power goes at this call of the next one, and a third one reads everything for `a`.
fn all_after_a_start_that_dies(rig: &mut Rig, calls: u64, seed: u64) -> Vec<u64> {
    rig.disk.kill();
    rig.disk.crash_after(calls);
    drop(open(&rig.disk, &rig.clock, &rig.notes, &rig.config, &rig.specs));
    rig.disk.crash(Random::seeded(seed));
    rig.restart();
    let mut read = Vec::new();
    loop {
        let more = rig.read("a");
        if more.is_empty() {
            return read;
        }
        rig.complete("a", &more);
        read.extend(more);
    }
}

#[test]
fn what_only_the_kernel_remembers_is_durable_before_a_footer_says_so() {
    // The calls in which a start seals the segment are the 27th to the 32nd.
    for (calls, seed) in (24..36).flat_map(|calls| (0..50).map(move |seed| (calls, seed))) {
        let mut rig = Rig::new(specs(&["a"]));
        let first = rig.append(&["a"], 100).unwrap();
        append_half(&rig);
        // The next process finds it whole in the kernel's memory, and the power goes while it seals the segment.
        let read = all_after_a_start_that_dies(&mut rig, calls, seed);
        assert!(read.first() == Some(&first) && read.len() <= 2, "{read:?}");
        assert_eq!(rig.journal.stats().corrupt_items, [0; 4], "nothing acknowledged is damaged, {calls} {seed}");
    }
}

#[test]
fn what_another_segment_superseded_is_not_taken_for_durable_when_that_one_is_gone() {
    for (calls, seed) in (24..60).flat_map(|calls| (0..20).map(move |seed| (calls, seed))) {
        let mut rig = Rig::new(specs(&["a"]));
        let first = rig.append(&["a"], 100).unwrap();
        append_half(&rig);
        rig.keep(Duration::from_secs(1));
        // The segment that goes on behind it comes and goes; the next one stays.
        let others: Vec<u64> = (0..10).map(|_| rig.append(&["a"], 9000).unwrap()).collect();
        assert_eq!(rig.read("a"), [&[first], &others[..]].concat());
        rig.complete("a", &others);
        rig.keep(Duration::from_secs(1));
        assert_eq!(rig.journal.stats().segments, 2, "the failed one and the newest");
        let read = all_after_a_start_that_dies(&mut rig, calls, seed);
        assert!(read.first() == Some(&first) && read.len() <= 2, "{read:?}");
        assert_eq!(rig.journal.stats().corrupt_items, [0; 4], "nothing acknowledged is damaged, {calls} {seed}");
    }
}

#[test]
fn a_record_over_half_a_segment_is_refused_for_good() {
    let rig = Rig::new(specs(&["a"]));
    let refusal = rig.append(&["a"], SEGMENT as usize / 2).unwrap_err();
    assert!(matches!(refusal, Error::TooLarge { .. }) && !refusal.is_retryable());
    assert!(rig.append(&["a"], SEGMENT as usize / 2 - 64).is_ok());
}

#[test]
fn a_bad_sector_costs_what_overlaps_it_and_a_disk_that_is_gone_costs_nothing() {
    let rig = Rig::with(Config { tail_bytes: 0, ..config() }, specs(&["a"]));
    let sequences: Vec<u64> = (0..12).map(|_| rig.append(&["a"], 1900).unwrap()).collect();
    let dest = rig.dest("a");
    rig.disk.set_faults(Faults { read_error: 1000, ..Faults::default() });
    (0..100).for_each(|_| assert!(rig.journal.read(dest, ALL).is_err()));
    rig.disk.set_faults(Faults::default());
    assert_eq!(rig.journal.stats().corrupt_items, [0; 4]);
    // The third block of the first segment, in which records lie.
    let first = rig.disk.files().into_iter().find(|(path, _)| path.ends_with(".log")).unwrap().0;
    rig.disk.break_block(&first, 2);
    let mut read = Vec::new();
    for _ in 0..100 {
        match rig.journal.read(dest, ALL) {
            Ok(entries) => read.extend(entries),
            Err(_) => rig.clock.advance(Duration::from_millis(250)),
        }
    }
    assert!(!rig.journal.has_unread(dest));
    let lost = sequences.len() - read.len();
    assert!((2..=4).contains(&lost), "{lost} records of 2 KiB overlap a block of 4 KiB");
    assert_eq!(rig.journal.stats().corrupt_items[0], lost as u64);
    assert_eq!(rig.dropped(DropReason::Corrupt), lost as u64);
}

#[test]
fn what_is_damaged_on_disk_goes_out_from_memory_while_it_is_there() {
    let rig = Rig::with(Config { tail_bytes: 8000, ..config() }, specs(&["a", "b"]));
    let sequences: Vec<u64> = (0..3).map(|_| rig.append(&["a", "b"], 1000).unwrap()).collect();
    rig.journal.0.roll(Chain::Main).unwrap();
    let first = rig.disk.files().into_iter().find(|(path, _)| path.ends_with(".log")).unwrap().0;
    rig.disk.flip(&first, PAGE + 1500, 1);
    rig.journal.scrub().unwrap();
    assert_eq!(rig.journal.stats().corrupt_items[0], 1);
    assert_eq!(rig.read("a"), sequences);
    rig.complete("a", &sequences);
    assert_eq!(rig.journal.backlog(rig.dest("a")).records, 0);
    assert_eq!(rig.dropped(DropReason::Corrupt), 0);
    // The other one comes when it is not in memory any more.
    let more: Vec<u64> = (0..8).map(|_| rig.append(&["b"], 1000).unwrap()).collect();
    let left = [&[sequences[0], sequences[2]], &more[..]].concat();
    let mut read = rig.read("b");
    read.extend(rig.read("b"));
    assert_eq!(read, left);
    rig.complete("b", &left);
    assert_eq!(rig.journal.backlog(rig.dest("b")).records, 0);
    assert_eq!(rig.dropped(DropReason::Corrupt), 1);
}
