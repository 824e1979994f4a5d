//! Dead letters as people handle them: sent again, or dropped, and counted either way.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use sluice_journal::dlq::{DeadLetter, DeadLetters, Gone};
use sluice_journal::{Dest, Journal};

use super::books::signal;
use super::{DurableSpine, context};
use crate::clock::{Monotonic, WallTime};
use crate::context::{Arrival, Tenant};
use crate::error::Error;
use crate::ledger::reasons;

/// Longest an append is waited for. It goes on, and the letters stay.
const APPEND: Duration = Duration::from_secs(4);

/// Whose a record is, by its context. `None` for a context that no version wrote: such a record could not be delivered.
pub fn tenant(context: &[u8]) -> Option<Tenant> {
    let arrival = Arrival { monotonic: Monotonic::default(), wall: WallTime(0) };
    context::decode(context, arrival).map(|context| context.tenant)
}

/// What became of the letters that somebody named. Those that were not there are in neither number.
#[derive(Debug, Default)]
pub struct Worked {
    /// Sent again, or dropped.
    pub gone: Vec<Gone>,
    /// Still there.
    pub left: u64,
    /// Why, for the first of them.
    pub error: Option<Error>,
}

impl Worked {
    fn fail(&mut self, letters: usize, error: Error) {
        self.left += letters as u64;
        self.error.get_or_insert(error);
    }
}

/// Appends dead letters for their destination again, and removes them once that is on disk: all of them with two syncs or a
/// few more, so they should be few enough to be held in memory. `drive` is called behind the append, for a journal without
/// threads of its own. Blocks.
pub fn replay(journal: &Journal, name: &str, ids: &[u64], request_id: u64, drive: impl Fn()) -> Worked {
    let mut worked = Worked::default();
    let Some(destination) = journal.destination(name) else {
        worked.fail(ids.len(), Error::config(format!("no exporter {name} is configured")));
        return worked;
    };
    let letters = match journal.letters(name) {
        Ok(letters) => letters,
        Err(error) => {
            worked.fail(ids.len(), caused(name, error));
            return worked;
        }
    };
    let mut ready = Vec::with_capacity(ids.len());
    for id in ids {
        match letters.read(*id) {
            Ok(None) => {}
            Ok(Some(letter)) if tenant(&letter.context).is_none() => {
                let text = format!("dead letter {id} of {name}: no version of Sluice wrote it");
                worked.fail(1, Error::config(text));
            }
            Ok(Some(letter)) => ready.push(letter),
            Err(error) => worked.fail(1, caused(name, error)),
        }
    }
    match append(journal, destination, &ready, request_id, &drive) {
        Ok(()) => remove(&letters, name, &ready, &mut worked),
        // Nothing was appended, and perhaps because of one of them.
        Err(sluice_journal::Error::TooLarge { .. }) if ready.len() > 1 => {
            for letter in ready.chunks(1) {
                match append(journal, destination, letter, request_id, &drive) {
                    Ok(()) => remove(&letters, name, letter, &mut worked),
                    Err(error) => worked.fail(1, caused(name, error)),
                }
            }
        }
        Err(error) => worked.fail(ready.len(), caused(name, error)),
    }
    worked
}

fn append(
    journal: &Journal,
    destination: Dest,
    letters: &[DeadLetter],
    request_id: u64,
    drive: impl Fn(),
) -> Result<(), sluice_journal::Error> {
    let (tell, told) = sync_channel(1);
    // Whoever waits may be gone by then.
    let answer = Box::new(move |result: Result<_, _>| drop(tell.send(result.map(drop))));
    journal.replay_all(destination, letters, request_id, answer);
    drive();
    told.recv_timeout(APPEND).unwrap_or(Err(sluice_journal::Error::AppendFailed))
}

fn remove(letters: &DeadLetters, name: &str, appended: &[DeadLetter], worked: &mut Worked) {
    let ids: Vec<u64> = appended.iter().map(|letter| letter.id).collect();
    match letters.remove_all(&ids) {
        Ok(gone) => worked.gone.extend(gone),
        // They arrive, and are there still.
        Err(error) => worked.fail(ids.len(), caused(name, error)),
    }
}

impl DurableSpine {
    /// [`replay`] on this spine, and in its ledger.
    pub fn replay_letters(&self, name: &str, ids: &[u64]) -> Worked {
        let books = &self.0.books;
        let _one_at_a_time = books.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let worked = replay(self.journal(), name, ids, books.next_request(), || {});
        let account = books.of_name(name);
        worked.gone.iter().for_each(|gone| account.replayed(signal(gone.signal), gone.items as usize));
        worked
    }

    /// Drops dead letters for good. Blocks.
    pub fn drop_letters(&self, name: &str, ids: &[u64]) -> Worked {
        let books = &self.0.books;
        let _one_at_a_time = books.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut worked = Worked::default();
        let dropped = self.journal().letters(name).and_then(|letters| {
            let one = |id: &u64| letters.list(*id, 1).pop().filter(|letter| letter.id == *id);
            let known = ids.iter().filter_map(one).map(|letter| (letter.id, tenant(&letter.context)));
            let tenants: HashMap<u64, Tenant> = known.map(|(id, tenant)| (id, tenant.unwrap_or_default())).collect();
            Ok((letters.remove_all(ids)?, tenants))
        });
        match dropped {
            Ok((gone, mut tenants)) => {
                let account = books.of_name(name);
                for letter in &gone {
                    let tenant = tenants.remove(&letter.id).unwrap_or_default();
                    let (signal, items) = (signal(letter.signal), letter.items as usize);
                    account.lost_letters(signal, &tenant, reasons::OPERATOR_PURGE, items);
                }
                worked.gone = gone;
            }
            Err(error) => worked.fail(ids.len(), caused(name, error)),
        }
        worked
    }
}

fn caused(name: &str, source: sluice_journal::Error) -> Error {
    Error::Caused { context: format!("dead letters of {name}"), source: source.into() }
}
