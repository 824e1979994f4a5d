//! Random histories against a plain model: after every step each equation of the ledger holds, nothing is lost without being
//! counted, nothing is read twice, and the log stays within its bounds.

use std::collections::BTreeMap;

use super::*;
use crate::rng::{Rng, SplitMix};

/// What one destination should hold: sequence and items, and which of them are handed out.
#[derive(Default)]
struct Expected {
    open: BTreeMap<Seq, (usize, bool)>,
    delivered: u64,
    dropped: u64,
}

struct History {
    world: World,
    spine: MemorySpine,
    rng: SplitMix,
    expected: Vec<Expected>,
    policies: Vec<OnQuota>,
    capacity: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let world = World::new();
        let rng = SplitMix::seeded(seed);
        let count = 1 + rng.below(4) as usize;
        let policies: Vec<OnQuota> =
            (0..count).map(|_| [Reject, DropOldest, DropNewest][rng.below(3) as usize]).collect();
        let specs: Vec<DestinationSpec> = policies
            .iter()
            .enumerate()
            .map(|(index, &policy)| DestinationSpec {
                role: crate::spine::Role::Exporter,
                queue_size: (rng.below(3) == 0).then(|| (5 + rng.below(20), Sizer::Items)),
                ..destination(&format!("d{index}"), None, policy)
            })
            .collect();
        let capacity = 4_000 + rng.below(30_000);
        let spine = world.spine(capacity, false, CursorRule::Absorbed, &specs);
        let expected = (0..count).map(|_| Expected::default()).collect();
        History { world, spine, rng, expected, policies, capacity }
    }

    fn append(&mut self) {
        let records: Vec<Record> = (0..1 + self.rng.below(3))
            .map(|_| {
                let items = 1 + self.rng.below(4) as usize;
                let routes = (0..self.expected.len() as u8).filter(|_| self.rng.below(2) == 0).collect::<Vec<_>>();
                Record { batch: self.world.redacted(&vec!["span"; items]), routes: to(&routes) }
            })
            .collect();
        let before: Vec<Backlog> = self.backlogs();
        match keep(&self.spine, records.clone()) {
            Err(refusal) => {
                assert!(matches!(refusal, Refusal::QuotaFull { .. } | Refusal::TooLarge { .. }), "{refusal:?}");
                assert!(self.policies.contains(&Reject));
                assert_eq!(self.backlogs(), before, "a refused request must leave no trace");
            }
            Ok(_) => self.follow(),
        }
    }

    /// Takes over what the spine says is there, having checked that only unread entries disappeared and only where losing is
    /// allowed.
    fn follow(&mut self) {
        for index in 0..self.expected.len() {
            let at = Destination(index as u8);
            let unread = self.unread(at);
            let expected = &mut self.expected[index];
            let gone: Vec<Seq> = expected
                .open
                .iter()
                .filter(|(seq, (_, out))| !out && !unread.contains_key(seq))
                .map(|(s, _)| *s)
                .collect();
            assert!(gone.is_empty() || self.policies[index] == DropOldest);
            for seq in gone {
                expected.dropped += expected.open.remove(&seq).unwrap().0 as u64;
            }
            for (seq, items) in unread {
                expected.open.entry(seq).or_insert((items, false));
            }
        }
    }

    /// Unread entries, without disturbing them.
    fn unread(&self, at: Destination) -> BTreeMap<Seq, usize> {
        self.spine.0.lock().unread(at)
    }

    fn backlogs(&self) -> Vec<Backlog> {
        (0..self.expected.len() as u8).map(|index| self.spine.backlog(Destination(index))).collect()
    }

    fn read(&mut self, index: usize) {
        let limit = ReadLimit { records: 1 + self.rng.below(4) as usize, ..ALL };
        for entry in self.spine.read(Destination(index as u8), limit) {
            let (items, out) = self.expected[index].open.get_mut(&entry.seq()).expect("an entry that is owed");
            assert!(!*out, "handed out twice");
            assert_eq!(*items, entry.batch().items());
            *out = true;
        }
    }

    fn complete(&mut self, index: usize) {
        let open: Vec<Seq> =
            self.expected[index].open.iter().filter(|(_, (_, out))| *out).map(|(seq, _)| *seq).collect();
        let Some(&seq) = open.get(self.rng.below(open.len() as u64) as usize) else { return };
        let (items, _) = self.expected[index].open.remove(&seq).unwrap();
        let lost = self.rng.below(items as u64 + 1) as usize;
        let completion = Completion { delivered: items - lost, ..Completion::dropped("permanent_error", lost) };
        self.spine.complete(Destination(index as u8), seq, completion);
        self.expected[index].delivered += (items - lost) as u64;
        self.expected[index].dropped += lost as u64;
    }

    fn step(&mut self) {
        let index = self.rng.below(self.expected.len() as u64) as usize;
        match self.rng.below(10) {
            0..=3 => self.append(),
            4..=5 => self.read(index),
            6..=7 => self.complete(index),
            8 => {
                self.spine.rewind(Destination(index as u8));
                self.expected[index].open.values_mut().for_each(|(_, out)| *out = false);
            }
            _ => self.world.clock.advance(std::time::Duration::from_millis(self.rng.below(100))),
        }
    }

    fn check(&self) {
        self.world.assert_balanced();
        let snapshot = self.world.ledger.snapshot();
        for (index, expected) in self.expected.iter().enumerate() {
            let account = snapshot.get(&format!("destination/d{index}")).unwrap();
            let open: u64 = expected.open.values().map(|(items, _)| *items as u64).sum();
            assert_eq!(account.held[0], open);
            assert_eq!(account.left[0], expected.delivered);
            let dropped: u64 = account.dropped.iter().map(|(.., tally)| tally[0]).sum();
            assert!(dropped >= expected.dropped, "a loss was not counted");
            assert!(
                self.policies[index] == DropNewest || self.policies[index] == DropOldest || dropped == expected.dropped
            );
            assert_eq!(account.entered[0], expected.delivered + dropped + open);
        }
        let (used, _) = self.spine.usage();
        assert!(used <= self.capacity);
        assert_eq!(world_total(&self.world), used);
    }
}

fn world_total(world: &World) -> u64 {
    world.memory.used(Class::Log)
}

#[test]
fn every_equation_holds_at_every_step_of_a_random_history() {
    let seeds = std::env::var("SLUICE_HISTORIES").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(200);
    for seed in 0..seeds {
        let mut history = History::new(seed);
        for step in 0..150 {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                history.step();
                history.check();
            }));
            assert!(outcome.is_ok(), "seed {seed}, step {step}");
        }
    }
}
