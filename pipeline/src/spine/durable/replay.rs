//! Dead letters as people handle them: sent again, or dropped, and counted either way.

use std::sync::PoisonError;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use sluice_journal::Dest;
use sluice_journal::dlq::DeadLetter;

use super::books::signal;
use super::{DurableSpine, context};
use crate::clock::{Monotonic, WallTime};
use crate::context::{Arrival, Tenant};
use crate::error::Error;
use crate::ledger::reasons;

/// Longest an append is waited for. It goes on, and so does the letter.
const APPEND: Duration = Duration::from_secs(4);

/// Whose a record is, by its context. `None` for a context that no version wrote: such a record could not be delivered.
pub fn tenant(context: &[u8]) -> Option<Tenant> {
    let arrival = Arrival { monotonic: Monotonic::default(), wall: WallTime(0) };
    context::decode(context, arrival).map(|context| context.tenant)
}

impl DurableSpine {
    /// Appends a dead letter for its destination again, and removes it once that is on disk. Gives its items; `None` if there
    /// is no such letter. Blocks.
    ///
    /// # Errors
    /// The destination is not configured, the journal does not take the record now, or I/O: the letter is then still there.
    pub fn replay_letter(&self, name: &str, id: u64) -> Result<Option<usize>, Error> {
        let failed = |source: sluice_journal::Error| caused(name, id, source);
        let _one_at_a_time = self.0.books.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let journal = self.journal();
        let letters = journal.letters(name).map_err(failed)?;
        let Some(letter) = letters.read(id).map_err(failed)? else { return Ok(None) };
        if tenant(&letter.context).is_none() {
            return Err(Error::config(format!("dead letter {id} of {name}: no version of Sluice wrote it")));
        }
        let unknown = || Error::config(format!("dead letter {id} of {name}: no exporter of this id is configured"));
        let destination: Dest = journal.destination(name).ok_or_else(unknown)?;
        let (tell, told) = sync_channel(1);
        // Whoever waits may be gone by then.
        let answer = Box::new(move |result: Result<_, _>| drop(tell.send(result.map(drop))));
        journal.replay(destination, &letter, self.0.books.next_request(), answer);
        told.recv_timeout(APPEND).unwrap_or(Err(sluice_journal::Error::AppendFailed)).map_err(failed)?;
        if letters.remove(id).map_err(failed)?.is_some() {
            let account = self.0.books.of_name(name);
            account.replayed(signal(letter.signal), letter.items as usize);
        }
        Ok(Some(letter.items as usize))
    }

    /// Drops a dead letter for good. Gives its items; `None` if there is no such letter. Blocks.
    ///
    /// # Errors
    /// I/O: the letter is then still there.
    pub fn drop_letter(&self, name: &str, id: u64) -> Result<Option<usize>, Error> {
        let failed = |source: sluice_journal::Error| caused(name, id, source);
        let _one_at_a_time = self.0.books.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let letters = self.journal().letters(name).map_err(failed)?;
        let letter: Option<DeadLetter> = letters.list(id, 1).pop().filter(|letter| letter.id == id);
        let (Some(letter), Some(gone)) = (letter, letters.remove(id).map_err(failed)?) else { return Ok(None) };
        let tenant = tenant(&letter.context).unwrap_or_default();
        let items = gone.items as usize;
        self.0.books.of_name(name).lost_letters(signal(gone.signal), &tenant, reasons::OPERATOR_PURGE, items);
        Ok(Some(items))
    }
}

fn caused(name: &str, id: u64, source: sluice_journal::Error) -> Error {
    Error::Caused { context: format!("dead letter {id} of {name}"), source: source.into() }
}
