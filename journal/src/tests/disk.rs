//! On a real disk, with the threads of the product.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;

use super::*;
use crate::clock::SystemClock;
use crate::observer::Unobserved;
use crate::rng::SystemRng;
use crate::threads::{Running, run};
use crate::vfs::disk::DiskVfs;
use crate::vfs::{Open, Vfs, VfsFile, write_full};

fn open_real(dir: &Path) -> Result<Running, Error> {
    open_to(dir, &["a", "b"])
}

fn open_to(dir: &Path, names: &[&str]) -> Result<Running, Error> {
    let parts = Parts {
        vfs: Arc::new(DiskVfs::open(dir, true).unwrap()),
        clock: Arc::new(SystemClock::new()),
        rng: Arc::new(SystemRng),
        observer: Arc::new(Unobserved),
        config: Config { segment_size: 8 << 20, ballast: 8 << 20, ..Config::sized(256 << 20) },
    };
    let (journal, _) = Journal::open(parts, &specs(names))?;
    Ok(run(journal).unwrap())
}

#[test]
fn concurrent_appends_are_all_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/journal");
    let running = open_real(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(matches!(open_real(&path), Err(Error::Locked(Some(pid))) if pid == std::process::id()));
    let routes = RouteSet::EMPTY.with(Dest(0)).with(Dest(1));
    std::thread::scope(|scope| {
        for client in 0..8u64 {
            let journal = running.journal().clone();
            scope.spawn(move || {
                for request in 0..40 {
                    let (tell, told) = mpsc::channel();
                    let payload = Bytes::from(vec![client as u8; 30_000]);
                    let request_id = client << 32 | request;
                    let record = Record { routes, items: 1, payload, request_id, ..Record::default() };
                    journal.append(vec![record], Box::new(move |result| tell.send(result.is_ok()).unwrap()));
                    assert!(told.recv().unwrap());
                }
            });
        }
    });
    let journal = running.journal().clone();
    let a = journal.read(Dest(0), ALL).unwrap();
    assert_eq!(a.len(), 320);
    a.iter().for_each(|entry| journal.complete(Dest(0), entry.seq, |_, _| {}));
    running.stop().unwrap();
    let files: Vec<_> = std::fs::read_dir(path.join("seg")).unwrap().map(|file| file.unwrap()).collect();
    assert!(files.len() > 1 && files.iter().all(|file| file.metadata().unwrap().permissions().mode() & 0o77 == 0));

    let running = open_real(&path).unwrap();
    let journal = running.journal();
    assert_eq!((journal.backlog(Dest(0)).records, journal.backlog(Dest(1)).records), (0, 320));
    let b = journal.read(Dest(1), ALL).unwrap();
    let mut ids: Vec<u64> = b.iter().map(|entry| entry.request_id).collect();
    ids.sort_unstable();
    let sent: Vec<u64> = (0..8).flat_map(|client| (0..40).map(move |request| client << 32 | request)).collect();
    assert_eq!(ids, sent);
    assert!(b.iter().all(|entry| entry.payload.iter().all(|&byte| u64::from(byte) == entry.request_id >> 32)));
}

#[test]
fn a_directory_that_others_may_write_to_and_links_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open = dir.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(DiskVfs::open(&open, true).is_err());
    let link = dir.path().join("link");
    symlink(dir.path().join("fine"), &link).unwrap();
    assert!(DiskVfs::open(&link, false).is_err());
    let vfs = DiskVfs::open(&dir.path().join("fine"), true).unwrap();
    std::fs::write(dir.path().join("secret"), b"secret").unwrap();
    symlink(dir.path().join("secret"), dir.path().join("fine/META")).unwrap();
    assert!(vfs.open("META", Open::Write).is_err());
}

#[test]
fn a_preallocated_file_is_zeros_and_can_be_cut() {
    let dir = tempfile::tempdir().unwrap();
    let vfs = DiskVfs::open(&dir.path().join("j"), true).unwrap();
    let file = vfs.open("x", Open::Create).unwrap();
    file.allocate(10_000).unwrap();
    let mut bytes = vec![1; 10_000];
    assert_eq!((file.size().unwrap(), crate::vfs::read_full(&*file, &mut bytes, 0).unwrap()), (10_000, 10_000));
    assert!(bytes.iter().all(|&byte| byte == 0));
    file.truncate(100).unwrap();
    assert_eq!(crate::vfs::read_full(&*file, &mut bytes, 0).unwrap(), 100);
    assert!(vfs.open("x", Open::Create).is_err());
    assert_eq!(vfs.list("").unwrap_or_else(|_| vfs.list(".").unwrap()), ["x"]);
    vfs.rename("x", "y").unwrap();
    vfs.sync_dir("").unwrap();
    assert!(vfs.open("x", Open::Read).is_err() && vfs.open("y", Open::Read).is_ok());
}

/// Deleting files of this size, and taking new ones, costs syncs their time; with the same ones nobody waits.
#[test]
fn who_keeps_up_is_given_the_same_segments_over_and_over() {
    let dir = tempfile::tempdir().unwrap();
    let running = open_real(dir.path().join("journal").as_path()).unwrap();
    let (journal, segments) = (running.journal(), dir.path().join("journal/seg"));
    let spare_is_there = || {
        let begun = Instant::now();
        while !segments.join("spare").exists() {
            assert!(begun.elapsed() < Duration::from_secs(30), "no spare segment");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let mut files = BTreeSet::new();
    for _ in 0..12 {
        spare_is_there();
        for _ in 0..8 {
            let (tell, told) = mpsc::channel();
            let payload = Bytes::from(vec![1; 1 << 20]);
            let record = Record { routes: RouteSet::EMPTY.with(Dest(0)), items: 1, payload, ..Record::default() };
            journal.append(vec![record], Box::new(move |result| tell.send(result.is_ok()).unwrap()));
            assert!(told.recv().unwrap());
            for entry in journal.read(Dest(0), ALL).unwrap() {
                journal.complete(Dest(0), entry.seq, |_, _| {});
            }
        }
        let newest = std::fs::read_dir(&segments).unwrap().map(|file| file.unwrap());
        let newest = newest.filter(|file| file.file_name() != "spare").max_by_key(|file| file.file_name()).unwrap();
        files.insert(newest.metadata().unwrap().ino());
    }
    assert!((2..=4).contains(&files.len()), "{} files", files.len());
}

#[test]
fn a_large_file_is_deleted_in_slices_unless_it_has_another_name() {
    let dir = tempfile::tempdir().unwrap();
    let vfs = DiskVfs::open(&dir.path().join("j"), true).unwrap();
    for linked in [false, true] {
        let file = vfs.open("x", Open::Create).unwrap();
        file.allocate(5 << 20).unwrap();
        if linked {
            std::fs::hard_link(dir.path().join("j/x"), dir.path().join("backup")).unwrap();
        }
        vfs.unlink("x").unwrap();
        assert!(vfs.open("x", Open::Read).is_err());
        let left = file.size().unwrap();
        assert!(if linked { left == 5 << 20 } else { left <= 2 << 20 }, "{left}");
    }
    assert!(vfs.unlink("x").is_err());
}

/// What a build wrote whose format was 1: three requests on their way to a backend that was away, and an orderly end. Each file
/// by its name and length, then its bytes from an offset on; the rest is zeros.
const FORMAT_1: &str = include_str!("format1.txt");

/// Spans of each of its records.
const ITEMS: &[u32] = &[2, 2, 2];

#[test]
fn a_journal_of_the_first_format_is_read_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let vfs = DiskVfs::open(&path, true).unwrap();
    ["cur", "seg"].iter().for_each(|dir| vfs.create_dir(dir).unwrap());
    let mut file = None;
    for line in FORMAT_1.lines() {
        let (first, second) = line.split_once(' ').unwrap();
        if let Ok(offset) = first.parse() {
            let digits = second.as_bytes().chunks(2).map(|digits| std::str::from_utf8(digits).unwrap());
            let bytes: Vec<u8> = digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect();
            let file: &Arc<dyn VfsFile> = file.as_ref().unwrap();
            write_full(&**file, &bytes, offset).unwrap();
        } else {
            let created = vfs.open(first, Open::Create).unwrap();
            created.allocate(second.parse().unwrap()).unwrap();
            file = Some(created);
        }
    }
    for turn in 0..2 {
        let running = open_to(&path, &["otlp"]).unwrap();
        let journal = running.journal();
        let entries = journal.read(Dest(0), ALL).unwrap();
        let items: Vec<u32> = entries.iter().map(|entry| entry.items).collect();
        assert_eq!(items, if turn == 0 { ITEMS.to_vec() } else { [ITEMS, &[7]].concat() });
        let name = b"telemetrygen";
        let told = |entry: &Entry| entry.payload.windows(name.len()).any(|part| part == name);
        assert!(entries.iter().take(ITEMS.len()).all(told));
        let stats = journal.stats();
        assert_eq!((stats.corrupt_ranges, stats.corrupt_items), (0, [0; SIGNALS]));
        // Large enough to begin at a page.
        let payload = Bytes::from(vec![1; 1 << 20]);
        let record = Record { routes: RouteSet::EMPTY.with(Dest(0)), items: 7, payload, ..Record::default() };
        let (tell, told) = mpsc::channel();
        journal.append(vec![record], Box::new(move |result| tell.send(result.is_ok()).unwrap()));
        assert!(told.recv().unwrap());
        running.stop().unwrap();
    }
}
