//! What clients, readers, the stage and the faults do in a run.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::disk::Faults;
use super::explore;
use super::model::{DERIVED, LOSSY, Ledger, Model, NAMES, STAGE};
use super::random::Random;
use super::world::{DISK, SEGMENT, Theme, World, lock};
use crate::cursors::Survive;
use crate::journal::Journal;
use crate::record::{ReadLimit, Record};

impl World {
    pub(super) fn records(
        &mut self,
        count: u64,
        routes: impl Fn(&mut Random) -> BTreeSet<&'static str>,
    ) -> (Vec<u64>, Vec<Record>) {
        let (mut ids, mut records) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let most = if self.random.chance(50) { 14 << 10 } else { self.size };
            let routes = routes(&mut self.random);
            let mut model = lock(&self.model);
            let id = model.new_id();
            let now = crate::clock::Clock::now(&*self.clock).wall_ms();
            let journal = &self.journal;
            records.push(model.send(id, routes, &mut self.random, most, |name| journal.destination(name), now));
            ids.push(id);
        }
        (ids, records)
    }

    pub(super) fn append(&mut self) {
        let count = 1 + self.random.below(4);
        let (ids, records) = self.records(count, |random| {
            let mut routes: BTreeSet<&'static str> = NAMES.into_iter().filter(|_| random.chance(400)).collect();
            routes.insert(NAMES[random.below(3) as usize]);
            routes
        });
        let model = Arc::clone(&self.model);
        let answer = move |result: Result<Option<crate::SeqRange>, crate::Error>| {
            if let Ok(Some(range)) = result {
                lock(&model).ack(&ids, range.first);
            }
        };
        self.journal.append(records, Box::new(answer));
    }

    pub(super) fn read(&mut self) -> Result<(), String> {
        let name = NAMES[self.random.below(5) as usize];
        if self.dead == Some(name) {
            return Ok(());
        }
        let limit = ReadLimit { records: 1 + self.random.below(30) as usize, ..explore::ALL };
        let Some(dest) = self.journal.destination(name) else { return Ok(()) };
        // Errors are tried again by the next read.
        let entries = self.journal.read(dest, limit).unwrap_or_default();
        let model = lock(&self.model);
        for entry in entries {
            model.check_entry(name, &entry)?;
            if !model.may_come(name, entry.request_id, Survive::Kill) && self.theme != Theme::Damage && name != LOSSY {
                return Err(format!("record {} came again at {name}", entry.request_id));
            }
            self.held.entry(name).or_default().push((entry.seq, entry.request_id));
        }
        Ok(())
    }

    pub(super) fn complete(&mut self) {
        let name = NAMES[self.random.below(4) as usize];
        let held = self.held.entry(name).or_default();
        let count = self.random.below(held.len() as u64 + 1);
        for _ in 0..count {
            let index = if self.random.chance(700) { 0 } else { self.random.below(held.len() as u64) as usize };
            let (seq, id) = held.remove(index);
            settle(&self.journal, &self.ledger, &self.model, name, seq, id);
        }
    }

    /// The stage makes one record of each that it has absorbed, and commits.
    pub(super) fn emit(&mut self) {
        let held = std::mem::take(self.held.entry(STAGE).or_default());
        let take = self.random.below(held.len() as u64 + 1) as usize;
        let (now, later) = held.split_at(take);
        self.held.insert(STAGE, later.to_vec());
        if now.is_empty() {
            return;
        }
        let Some(stage) = self.journal.destination(STAGE) else { return };
        let mut records = Vec::new();
        for &(_, id) in now {
            let mut model = lock(&self.model);
            let journal = &self.journal;
            let routes = BTreeSet::from(["a"]);
            let known = model.sent.get(&(id | DERIVED)).cloned();
            let mut record =
                model.send(id | DERIVED, routes, &mut self.random, 300, |name| journal.destination(name), 0);
            if let Some(known) = known {
                // Made again: the same bytes under the same id.
                (record.signal, record.items) = (known.signal, known.items);
                record.payload = super::model::payload(id | DERIVED, known.len);
                model.sent.insert(id | DERIVED, super::model::Sent { again: true, ..known });
            }
            records.push(record);
        }
        let (journal, ledger, model) = (self.journal.clone(), Arc::clone(&self.ledger), Arc::clone(&self.model));
        let (done, now) = (now.iter().map(|(seq, _)| *seq).collect(), now.to_vec());
        let answer = move |result: Result<Option<crate::SeqRange>, crate::Error>| {
            if let Ok(Some(range)) = result {
                let ids: Vec<u64> = now.iter().map(|(_, id)| id | DERIVED).collect();
                lock(&model).ack(&ids, range.first);
                for (seq, id) in now {
                    settle(&journal, &ledger, &model, STAGE, seq, id);
                }
            } else if let Some(stage) = journal.destination(STAGE) {
                // It starts over from its cursor, as a driver would.
                journal.rewind(stage);
            }
        };
        self.journal.commit(vec![(stage, done)], records, Box::new(answer));
    }

    /// A turn of the commit thread.
    pub(super) fn write(&mut self) {
        self.journal.step_writer();
        self.journal.step_cursors();
        self.note_saved();
    }

    /// A turn of upkeep.
    pub(super) fn keep(&mut self) {
        self.journal.step_keeper();
        self.note_saved();
    }

    fn note_saved(&self) {
        let mut model = lock(&self.model);
        for name in NAMES {
            // A kill in the middle of a short write tears what is not synced; without faults, a slot is written at once.
            if self.theme != Theme::Errors && self.journal.0.is_saved(name, Survive::Kill) {
                model.saved(name, Survive::Kill);
            }
            if self.journal.0.is_saved(name, Survive::PowerCut) {
                model.saved(name, Survive::PowerCut);
            }
        }
    }

    pub(super) fn rewind(&mut self) {
        let name = NAMES[self.random.below(5) as usize];
        if let Some(dest) = self.journal.destination(name) {
            self.journal.rewind(dest);
            self.held.remove(name);
        }
    }

    /// Faults begin or end.
    pub(super) fn disturb(&mut self) {
        let some = |random: &mut Random| random.below(2) * random.below(120);
        let random = &mut self.random;
        match self.theme {
            Theme::Power => {}
            Theme::Errors => {
                let faults = Faults {
                    read_error: some(random) / 4,
                    write_error: some(random),
                    short_write: some(random),
                    sync_error: some(random),
                    name_error: some(random),
                    misdirected: 0,
                    read_only: random.chance(100),
                };
                self.disk.set_faults(if random.chance(500) { faults } else { Faults::default() });
            }
            Theme::Full => {
                let bytes = if random.chance(600) { DISK - random.below(64) * SEGMENT / 4 } else { 0 };
                self.disk.set_neighbour(bytes);
            }
            Theme::Damage => {
                let files = self.disk.files();
                let segments: Vec<_> = files.iter().filter(|(path, _)| path.ends_with(".log")).collect();
                if let Some((path, len)) = random.pick(&segments).copied().cloned() {
                    let mask = 1 << random.below(8);
                    self.disk.flip(&path, random.below(len), mask);
                    self.damage.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

fn settle(journal: &Journal, ledger: &Ledger, model: &Mutex<Model>, name: &'static str, seq: u64, id: u64) {
    let Some(dest) = journal.destination(name) else { return };
    let mut settled = false;
    journal.complete(dest, seq, |moved, backlog| {
        ledger.completed(dest, moved, backlog);
        settled = true;
    });
    if settled {
        lock(model).complete(name, id);
    }
}
