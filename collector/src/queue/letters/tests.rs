use std::path::Path;
use std::sync::Arc;

use sluice_journal::clock::SystemClock;
use sluice_journal::dlq::{Cause, Gone};
use sluice_journal::observer::Unobserved;
use sluice_journal::rng::SystemRng;
use sluice_journal::vfs::disk::DiskVfs;
use sluice_journal::{Config, DestSpec, Parts};

use super::*;

fn open(directory: &Path) -> Journal {
    let parts = Parts {
        vfs: Arc::new(DiskVfs::open(&directory.join("journal"), true).unwrap()),
        clock: Arc::new(SystemClock::new()),
        rng: Arc::new(SystemRng),
        observer: Arc::new(Unobserved),
        config: Config::sized(256 << 20),
    };
    Journal::open(parts, &[DestSpec::new("a"), DestSpec::new("b")]).unwrap().0
}

/// Parks letters of these sizes.
fn park(journal: &Journal, name: &str, sizes: &[usize]) {
    let parked_ms = journal.clock().now().wall_ms() - 5000;
    let letters: Vec<DeadLetter> = sizes
        .iter()
        .map(|size| DeadLetter {
            id: 0,
            cause: Cause { reason: "permanent_error".to_owned(), parked_ms, origin_seq: 9, ..Cause::default() },
            keep: Keep::Always,
            signal: Signal::Logs as u8,
            items: 2,
            tenant: 0,
            ingest_ms: 0,
            context: vec![1, 0, 4, 0, b'a', b'c', b'm', b'e', 0, 0].into(),
            payload: vec![7; *size].into(),
        })
        .collect();
    journal.letters(name).unwrap().park(&letters).unwrap();
}

fn ids(page: &Letters) -> Vec<u64> {
    page.letters.iter().map(|letter| letter.id).collect()
}

#[test]
fn pages_are_as_long_as_asked_for_and_as_bodies_allow() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    park(&journal, "a", &[10, 20, 30]);
    let first = page(&journal, "a", 0, 2, false).unwrap();
    assert_eq!((ids(&first), first.total, first.cursor), (vec![1, 2], 3, Some(3)));
    let letter = &first.letters[0];
    assert_eq!((&*letter.signal, letter.items, &*letter.tenant, &letter.body), ("logs", 2, "acme", &None));
    assert!(letter.age_seconds >= 5.0 && letter.bytes > 10 && !letter.evictable);
    let last = page(&journal, "a", 3, 2, true).unwrap();
    assert_eq!((ids(&last), last.cursor), (vec![3], None));
    assert_eq!(STANDARD.decode(last.letters[0].body.as_ref().unwrap()).unwrap(), [7; 30]);
    let large = BODIES as usize * 2 / 3;
    park(&journal, "b", &[large, large, BODIES as usize * 2, 1]);
    let mut from = Some(0);
    let mut seen = Vec::new();
    while let Some(next) = from {
        let page = page(&journal, "b", next, 100, true).unwrap();
        seen.push(ids(&page));
        from = page.cursor;
    }
    assert_eq!(seen, [vec![1], vec![2], vec![3], vec![4]], "one at least, however large");
    assert_eq!(page_bytes(&journal, "b", 3).unwrap(), journal.letters("b").unwrap().bytes_of(3).unwrap());
    assert_eq!(ids(&page(&journal, "b", 0, 100, false).unwrap()), [1, 2, 3, 4]);
}

#[test]
fn queues_are_those_with_a_cursor_and_those_with_letters() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    park(&journal, "b", &[10]);
    park(&journal, "gone", &[10, 10]);
    journal.letters("emptied").unwrap();
    let shown = queues(&journal).unwrap();
    let brief: Vec<_> = shown
        .iter()
        .map(|queue| (queue.id.as_str(), queue.configured, queue.dead_letters.map(|dead| (dead.count, dead.items))))
        .collect();
    assert_eq!(brief, [("a", true, Some((0, 0))), ("b", true, Some((1, 2))), ("gone", false, Some((2, 4)))]);
    assert!(is_known(&journal, "gone").unwrap() && !is_known(&journal, "never").unwrap());
    assert!(!folder.path().join("journal/dlq/a").exists(), "a look makes nothing");
}

#[test]
fn one_letter_that_cannot_be_done_does_not_keep_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    park(&journal, "a", &[1, 1, 1, 1]);
    let letters = journal.letters("a").unwrap();
    let try_all = |which: Which, bad: &[u64]| {
        let done = work(&letters, "a", Action::Replay, &which, |ids| {
            let mut worked = Worked::default();
            for id in ids.iter().filter(|id| **id != 3) {
                if bad.contains(id) {
                    worked.left += 1;
                    worked.error.get_or_insert(PipelineError::Start(format!("{id} will not")));
                } else {
                    worked.gone.push(Gone { id: *id, signal: 0, items: 2, tenant: 0 });
                }
            }
            worked
        });
        done.map_err(|error| error.to_string())
    };
    let all = Which { all: true, ..Which::default() };
    let done = try_all(all.clone(), &[1, 4]).unwrap();
    assert_eq!((done.letters, done.items, done.left, done.up_to), (1, 2, 2, 4));
    assert_eq!(done.stopped.as_deref(), Some("1 will not"));
    let done = try_all(Which { up_to: Some(2), ..all.clone() }, &[]).unwrap();
    assert_eq!((done.letters, done.left, done.up_to, done.stopped), (2, 0, 2, None));
    assert_eq!(try_all(all, &[1, 2, 4]), Err("1 will not".to_owned()));
    let one = Which { id: Some(2), ..Which::default() };
    assert_eq!(try_all(one.clone(), &[2]), Err("2 will not".to_owned()));
    assert_eq!(try_all(one, &[]).map(|done| done.letters), Ok(1));
}

#[test]
fn batches_are_bounded_by_number_and_by_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    park(&journal, "a", &vec![1; BATCH + 10]);
    let letters = journal.letters("a").unwrap();
    assert_eq!(batch(&letters, &letters.ids()), BATCH);
    let half = BATCH_BYTES as usize / 2;
    park(&journal, "b", &[half, half, 2 * BATCH_BYTES as usize, 1]);
    let letters = journal.letters("b").unwrap();
    let ids = letters.ids();
    assert_eq!([0, 1, 2, 3].map(|from| batch(&letters, &ids[from..])), [1, 1, 1, 1], "one at least, however large");
}
