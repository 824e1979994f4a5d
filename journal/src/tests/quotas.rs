//! Quotas, age, detached destinations, compaction.

use super::*;

fn with_quota(quota: Quota) -> Vec<DestSpec> {
    vec![DestSpec { quota, ..DestSpec::new("a") }, DestSpec::new("b")]
}

#[test]
fn a_quota_that_rejects_does_so_only_when_the_journal_has_no_room_beyond() {
    let rig = Rig::new(with_quota(Quota { max_bytes: Some(4000), ..Quota::default() }));
    let mut taken = 0;
    let refusal = loop {
        match rig.append(&["a"], 3000) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        rig.keep(Duration::from_secs(1));
    };
    assert!(taken * 3000 > 6 * SEGMENT, "{taken} records are beyond the quota of one");
    assert!(matches!(&refusal, Error::QuotaFull(name) if name == "a"), "{refusal}");
    assert!(rig.saw(|event| *event == Event::OverQuota { name: "a".to_owned() }));
    assert!(rig.saw(|event| *event == Event::Filling { percent: 75 }));
    // The other one goes on, however long.
    for _ in 0..100 {
        let seq = rig.append(&["b"], 3000).unwrap();
        assert_eq!(rig.read("b"), [seq]);
        rig.complete("b", &[seq]);
        rig.keep(Duration::from_secs(1));
    }
    // What was kept for `a` is all there, and once it is delivered there is room again.
    let kept = rig.read("a");
    assert_eq!(kept.len() as u64, taken);
    rig.complete("a", &kept);
    rig.keep(Duration::from_secs(1));
    assert!(rig.append(&["a"], 3000).is_ok());
}

#[test]
fn a_strict_queue_refuses_at_its_size() {
    let rig = Rig::new(with_quota(Quota { max_records: Some(2), strict: true, ..Quota::default() }));
    assert!(rig.append(&["a", "b"], 10).is_ok() && rig.append(&["a"], 10).is_ok());
    assert!(matches!(rig.append(&["a", "b"], 10), Err(Error::QuotaFull(_))));
    assert!(matches!(rig.journal.check(RouteSet::EMPTY.with(rig.dest("a"))), Err(Error::QuotaFull(_))));
    assert!(rig.journal.check(RouteSet::EMPTY.with(rig.dest("b"))).is_ok());
    assert_eq!(rig.journal.backlog(rig.dest("b")).records, 1, "nothing of the request was kept");
    assert!(rig.append(&["b"], 10).is_ok());
}

#[test]
fn the_oldest_or_the_newest_goes_where_loss_is_tolerated() {
    let quota = |on_quota| Quota { max_records: Some(3), on_quota, ..Quota::default() };
    let rig = Rig::new(with_quota(quota(OnQuota::DropOldest)));
    let sequences: Vec<u64> = (0..30).map(|_| rig.append(&["a", "b"], 900).unwrap()).collect();
    assert_eq!(rig.read("a"), &sequences[27..]);
    assert_eq!((rig.read("b").len(), rig.dropped(DropReason::QuotaOldest)), (30, 27));

    let rig = Rig::new(with_quota(quota(OnQuota::DropNewest)));
    let sequences: Vec<u64> = (0..30).map(|_| rig.append(&["a", "b"], 900).unwrap()).collect();
    assert_eq!(rig.read("a"), &sequences[..3]);
    assert_eq!((rig.read("b").len(), rig.dropped(DropReason::QuotaNewest)), (30, 27));
}

#[test]
fn the_writer_does_not_wait_for_itself_where_the_oldest_cannot_be_read() {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let quota = Quota { max_records: Some(3), on_quota: OnQuota::DropOldest, ..Quota::default() };
        let rig = Rig::with(Config { tail_bytes: 0, ..config() }, with_quota(quota));
        let first: Vec<u64> = (0..3).map(|_| rig.append(&["a", "b"], 900).unwrap()).collect();
        // In the segment that is being written.
        let segment = rig.disk.files().into_iter().find(|(path, _)| path.ends_with(".log")).unwrap().0;
        rig.disk.flip(&segment, crate::format::PAGE + 40, 1);
        let last = rig.append(&["a", "b"], 900).unwrap();
        assert_eq!(rig.dropped(DropReason::QuotaNewest), 1, "the oldest cannot be told for now");
        assert_eq!(rig.read("b"), [first[1], first[2], last], "the reader has the segment sealed and looked through");
        assert_eq!(rig.dropped(DropReason::Corrupt), 2);
        assert!(rig.append(&["a"], 900).is_ok());
        assert_eq!(rig.read("a").len(), 3);
        tell.send(()).unwrap();
    });
    told.recv_timeout(Duration::from_secs(60)).expect("it waits forever, or has failed");
}

#[test]
fn what_is_too_old_is_dropped_unless_the_wall_clock_has_stepped() {
    let rig = Rig::new(with_quota(Quota { max_age: Some(Duration::from_secs(60)), ..Quota::default() }));
    rig.append(&["a", "b"], 10).unwrap();
    rig.keep(Duration::from_secs(30));
    let young = rig.append(&["a"], 10).unwrap();
    rig.keep(Duration::from_secs(31));
    assert_eq!(rig.dropped(DropReason::MaxAge), 1);
    rig.clock.step(1000);
    rig.keep(Duration::from_secs(2));
    assert_eq!(rig.dropped(DropReason::MaxAge), 1, "nothing is given up on the word of a clock that jumps");
    assert_eq!((rig.read("a"), rig.read("b").len()), (vec![young], 1));
}

#[test]
fn a_detached_destination_keeps_its_backlog_for_the_time_of_grace() {
    let mut rig = Rig::new(specs(&["a", "b"]));
    rig.config.detach_grace = Duration::from_secs(3600);
    rig.restart();
    let kept = rig.append(&["a"], 10).unwrap();
    rig.journal.configure(&specs(&["b"])).unwrap();
    assert_eq!(rig.journal.destination("a"), None);
    rig.specs = specs(&["b"]);
    rig.restart();
    rig.keep(Duration::from_secs(1800));
    rig.journal.configure(&specs(&["a", "b"])).unwrap();
    assert_eq!(rig.read("a"), [kept]);
    rig.journal.configure(&specs(&["b"])).unwrap();
    rig.keep(Duration::from_secs(3601));
    assert_eq!(rig.dropped(DropReason::Detached), 1);
    assert!(rig.saw(|event| *event == Event::Retired { name: "a".to_owned() }));
    // The index is free once no segment refers to it.
    rig.restart();
    (0..3).for_each(|_| rig.keep(Duration::from_secs(3601)));
    assert_eq!(rig.journal.destinations().len(), 1);
    rig.journal.configure(&specs(&["b", "c"])).unwrap();
    assert_eq!((rig.dest("c"), rig.read("c")), (Dest(0), vec![]));
}

#[test]
fn a_nearly_full_journal_keeps_only_what_a_lagging_destination_needs() {
    let mut rig = Rig::new(specs(&["a", "b"]));
    let mut needed = Vec::new();
    for turn in 0..300 {
        let to: &[&str] = if turn % 20 == 0 { &["a", "b"] } else { &["b"] };
        let seq = rig.append(to, 1500).unwrap();
        needed.extend((turn % 20 == 0).then_some(seq));
        rig.complete("b", &rig.read("b"));
        rig.keep(Duration::from_millis(200));
    }
    let stats = rig.journal.stats();
    assert!(stats.compactions > 5 && stats.bytes < stats.capacity, "{stats:?}");
    assert_eq!(rig.read("a"), needed);
    rig.restart();
    assert_eq!(rig.journal.backlog(rig.dest("a")).records, 15);
    assert_eq!(rig.journal.stats().corrupt_items, [0; 4]);
    let mut again = Vec::new();
    loop {
        let read = rig.read("a");
        if read.is_empty() {
            break;
        }
        again.extend(read);
    }
    assert_eq!(again, needed);
}

#[test]
fn a_destination_that_is_far_behind_keeps_little_in_memory_and_gets_everything_from_disk() {
    let rig = Rig::with(Config { tail_bytes: 64 << 10, ..config() }, specs(&["a", "b"]));
    let held = || rig.journal.0.lock().tail.bytes();
    let mut sequences = Vec::new();
    let mut most = 0;
    for _ in 0..50 {
        sequences.push(rig.append(&["a", "b"], 1000).unwrap());
        assert_eq!(rig.read("a"), sequences[sequences.len() - 1..]);
        rig.complete("a", &sequences[sequences.len() - 1..]);
        most = most.max(held());
    }
    assert!(most <= (64 << 10) / 8 + 3 * 1500, "{most} bytes are held");
    assert_eq!(rig.read("b"), sequences);
}
