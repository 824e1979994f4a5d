//! Dead letters, across restarts and damage.

use super::*;
use crate::sim::{Faults, Random, SimDisk};

const UUID: Uuid = [7; 16];

fn disk() -> SimDisk {
    SimDisk::new(Random::seeded(1), 64 << 20)
}

fn open(disk: &SimDisk, max_bytes: u64) -> DeadLetters {
    let limits = DeadLetterLimits { max_bytes, max_age: Some(Duration::from_secs(60)) };
    DeadLetters::open(Arc::new(disk.clone()), UUID, "otlp/a", limits).unwrap()
}

fn letter(seq: u64, bytes: usize, keep: Keep) -> DeadLetter {
    let cause =
        Cause { reason: "permanent_error".into(), status: "400".into(), origin_seq: seq, parked_ms: 1000 * seq };
    DeadLetter {
        id: 0,
        cause,
        keep,
        signal: 1,
        items: 2,
        tenant: 3,
        ingest_ms: 4,
        context: Bytes::from_static(b"context"),
        payload: vec![seq as u8; bytes].into(),
    }
}

fn sequences(letters: &DeadLetters) -> Vec<u64> {
    letters.list(0, 1000).iter().map(|letter| letter.cause.origin_seq).collect()
}

#[test]
fn a_letter_is_there_until_it_is_removed_whatever_crashes() {
    let disk = disk();
    let letters = open(&disk, 1 << 20);
    for seq in 1..=5 {
        assert_eq!(letters.park(&[letter(seq, 100, Keep::Evictable)]).unwrap(), []);
    }
    disk.crash(Random::seeded(2));
    let letters = open(&disk, 1 << 20);
    assert_eq!(sequences(&letters), [1, 2, 3, 4, 5]);
    let second = letters.list(0, 2)[1].id;
    let whole = letters.read(second).unwrap().unwrap();
    assert_eq!(whole, DeadLetter { id: second, ..letter(2, 100, Keep::Evictable) });
    assert_eq!(letters.remove(second).unwrap().map(|gone| gone.items), Some(2));
    assert_eq!((letters.remove(second).unwrap(), letters.read(second).unwrap()), (None, None));
    letters.park(&[letter(6, 100, Keep::Always)]).unwrap();
    disk.crash(Random::seeded(3));
    let letters = open(&disk, 1 << 20);
    assert_eq!(sequences(&letters), [1, 3, 4, 5, 6]);
    assert_eq!(letters.usage().0, 5);
    for id in letters.list(0, 10).iter().map(|letter| letter.id) {
        letters.remove(id).unwrap();
    }
    assert_eq!(letters.usage(), (0, 0, 0), "a file without letters is deleted");
}

#[test]
fn the_oldest_poison_is_evicted_and_what_failed_through_no_fault_of_its_own_is_not() {
    let disk = disk();
    let letters = open(&disk, 4 << 20);
    let mut evicted = Vec::new();
    for seq in 1..=10 {
        evicted.extend(letters.park(&[letter(seq, 1 << 20, Keep::Evictable)]).unwrap());
    }
    assert!(!evicted.is_empty() && letters.usage().2 <= 4 << 20);
    assert_eq!(sequences(&letters).len() + evicted.len(), 10);
    assert_eq!(sequences(&letters).last(), Some(&10));
    for seq in 11..=13 {
        letters.park(&[letter(seq, 1 << 20, Keep::Always)]).unwrap();
    }
    let full = letters.park(&[letter(14, 1 << 20, Keep::Always)]);
    assert!(matches!(full, Err(Error::DeadLettersFull(name)) if name == "otlp/a"));
    assert!(letters.park(&[letter(15, 1 << 20, Keep::Evictable)]).is_err());
    assert_eq!(sequences(&letters), [11, 12, 13]);
}

#[test]
fn old_letters_expire() {
    let disk = disk();
    let letters = open(&disk, 1 << 20);
    letters.park(&[letter(100, 10, Keep::Evictable), letter(150, 10, Keep::Always)]).unwrap();
    let now = Stamp { wall: Duration::from_secs(170), ..Stamp::default() };
    assert_eq!(letters.expire(&now).unwrap().len(), 1);
    assert_eq!(sequences(&letters), [150]);
}

#[test]
fn letters_that_expire_together_cost_one_file_and_others_are_marked() {
    let disk = disk();
    let letters = open(&disk, 1 << 20);
    letters.park(&(1..=500).map(|seq| letter(100, seq, Keep::Evictable)).collect::<Vec<_>>()).unwrap();
    letters.park(&[letter(150, 10, Keep::Evictable)]).unwrap();
    let at = |seconds| Stamp { wall: Duration::from_secs(seconds), ..Stamp::default() };
    assert_eq!(letters.expire(&at(159)).unwrap(), []);
    let turns = std::iter::from_fn(|| Some(letters.expire(&at(170)).unwrap().len()).filter(|&gone| gone > 0));
    assert_eq!(turns.collect::<Vec<_>>(), [64, 64, 64, 64, 64, 64, 64, 52], "a sync each, so not all at once");
    assert_eq!(sequences(&letters), [150]);
    letters.park(&(1..=200).map(|_| letter(151, 10, Keep::Evictable)).collect::<Vec<_>>()).unwrap();
    assert_eq!(letters.expire(&at(212)).unwrap().len(), 201);
    assert_eq!(letters.usage(), (0, 0, 0));
}

#[test]
fn damage_costs_the_letters_it_covers_and_a_failed_write_takes_a_new_file() {
    let disk = disk();
    let letters = open(&disk, 1 << 20);
    letters.park(&(1..=5).map(|seq| letter(seq, 1000, Keep::Evictable)).collect::<Vec<_>>()).unwrap();
    disk.set_faults(Faults { sync_error: 1000, ..Faults::default() });
    assert!(letters.park(&[letter(6, 10, Keep::Evictable)]).is_err());
    disk.set_faults(Faults::default());
    letters.park(&[letter(7, 10, Keep::Evictable)]).unwrap();
    drop(letters);
    disk.flip("dlq/otlp%2fa/00000001.poison.log", 4096 + 1500, 4);
    let left = sequences(&open(&disk, 1 << 20));
    assert_eq!(left.iter().filter(|seq| **seq <= 5).count(), 4);
    assert!(left.contains(&7));
}
