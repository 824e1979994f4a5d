//! The dead letters of a journal: a store for each destination, opened when it is first asked for.

use std::sync::Arc;

use super::{DeadLetter, DeadLetterLimits, DeadLetters};
use crate::clock::{Clock, Stamp};
use crate::error::Error;
use crate::journal::{Inner, Journal};
use crate::names;
use crate::queue::Answer;
use crate::record::Record;
use crate::route::{Dest, RouteSet};

impl Journal {
    /// The dead letters of a destination, opened with these limits at the first call. [`DeadLetters::set_limits`] changes
    /// them.
    ///
    /// # Errors
    /// I/O.
    pub fn dead_letters(&self, name: &str, limits: DeadLetterLimits) -> Result<Arc<DeadLetters>, Error> {
        let mut open = self.0.lock_dead();
        if let Some(letters) = open.get(name) {
            return Ok(Arc::clone(letters));
        }
        let letters = Arc::new(DeadLetters::open(Arc::clone(&self.0.vfs), self.0.uuid, name, limits)?);
        open.insert(name.to_owned(), Arc::clone(&letters));
        Ok(letters)
    }

    /// The dead letters of a destination, for whoever looks at them: nothing expires before its exporter has set limits.
    ///
    /// # Errors
    /// I/O.
    pub fn letters(&self, name: &str) -> Result<Arc<DeadLetters>, Error> {
        self.dead_letters(name, DeadLetterLimits { max_age: None, ..DeadLetterLimits::default() })
    }

    /// Items and bytes in the dead letters of a destination, once they are open.
    pub fn dead_letter_usage(&self, name: &str) -> Option<(u64, u64)> {
        let letters = self.0.lock_dead().get(name).map(Arc::clone)?;
        let (_, items, bytes) = letters.usage();
        Some((items, bytes))
    }

    /// Names of destinations that have dead letters, or had.
    ///
    /// # Errors
    /// I/O.
    pub fn dead_letter_names(&self) -> Result<Vec<String>, Error> {
        let listed = self.0.vfs.list(names::DEAD_LETTERS).map_err(Error::io("list dead letters"))?;
        Ok(listed.iter().filter_map(|name| names::decode(name)).collect())
    }

    /// Appends a dead letter for its destination again. Once that is answered with success, the caller removes the letter.
    pub fn replay(&self, dest: Dest, letter: &DeadLetter, request_id: u64, answer: Answer) {
        self.replay_all(dest, std::slice::from_ref(letter), request_id, answer);
    }

    /// The same for several, all or none.
    pub fn replay_all(&self, dest: Dest, letters: &[DeadLetter], request_id: u64, answer: Answer) {
        let record = |letter: &DeadLetter| Record {
            routes: RouteSet::EMPTY.with(dest),
            signal: letter.signal,
            items: letter.items,
            tenant: letter.tenant,
            ingest_ms: letter.ingest_ms,
            request_id,
            context: letter.context.clone(),
            payload: letter.payload.clone(),
            attachment: None,
            attachment_bytes: 0,
        };
        self.append(letters.iter().map(record).collect(), answer);
    }

    /// The clock it runs by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }
}

impl Inner {
    /// Drops dead letters that are too old.
    pub(crate) fn expire_dead(&self, now: &Stamp) {
        let open: Vec<Arc<DeadLetters>> = self.lock_dead().values().cloned().collect();
        for letters in open {
            match letters.expire(now) {
                Ok(gone) => gone.iter().for_each(|gone| self.observer.dead_letter_expired(&letters.name, *gone)),
                Err(error) => {
                    let what = format!("expire dead letters of {}", letters.name);
                    self.observer.event(&crate::observer::Event::Trouble { what, error: error.to_string() });
                }
            }
        }
    }
}
