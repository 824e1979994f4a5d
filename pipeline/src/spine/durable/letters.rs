//! Dead letters: payloads as the journal's store keeps them, and what becomes of those that it evicts.

use std::sync::Arc;

use sluice_journal::Error;
use sluice_journal::dlq::{Cause, DeadLetter, DeadLetterLimits, DeadLetters, Keep};

use super::{Shared, context, records};
use crate::BoxFuture;
use crate::batch::{Batch, Redacted};
use crate::blocks;
use crate::ledger::reasons;
use crate::spine::{Completion, Destination, Letter, Seq, Unparked};

/// Runs what waits for the disk where waiting is allowed.
pub(super) fn on_a_thread<T: Send + 'static>(
    what: impl FnOnce() -> Result<T, Unparked> + Send + 'static,
) -> BoxFuture<'static, Result<T, Unparked>> {
    let task = tokio::task::spawn_blocking(what);
    Box::pin(async move { task.await.unwrap_or_else(|error| Err(Unparked::Failed(error.to_string()))) })
}

impl Shared {
    fn letters(&self, name: &str) -> Result<Arc<DeadLetters>, Error> {
        self.journal().dead_letters(name, DeadLetterLimits::default())
    }

    pub(super) fn limit_letters(&self, destination: Destination, limits: blocks::DeadLetter) {
        let Some(name) = self.books.name(destination) else { return };
        let max_age = Some(*limits.max_age).filter(|age| !age.is_zero());
        match self.letters(&name) {
            Ok(letters) => letters.set_limits(DeadLetterLimits { max_bytes: limits.max_bytes.0, max_age }),
            Err(error) => tracing::error!(destination = &*name, "cannot open its dead letters: {error}"),
        }
    }

    /// Puts letters aside; what is evicted for them is counted.
    pub(super) fn park(&self, destination: Destination, letters: Vec<Letter>) -> Result<(), Unparked> {
        let failed = |error: String| Unparked::Failed(error);
        let Some(name) = self.books.name(destination) else { return Err(Unparked::NoPlace) };
        let mut parked = Vec::with_capacity(letters.len());
        for letter in letters {
            self.encode(letter, &mut parked).map_err(failed)?;
        }
        self.store(&name, &parked).map_err(|error| match &error {
            Error::DeadLettersFull(_) => Unparked::Full,
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Unparked::Full,
            _ => Unparked::Failed(error.to_string()),
        })
    }

    fn store(&self, name: &Arc<str>, letters: &[DeadLetter]) -> Result<(), Error> {
        let evicted = self.letters(name)?.park(letters)?;
        evicted.iter().for_each(|gone| self.books.lost_letter(name, *gone, reasons::DLQ_FULL));
        Ok(())
    }

    /// A letter as records; one that is over their limit is split between items, so that it can be appended again.
    fn encode(&self, letter: Letter, to: &mut Vec<DeadLetter>) -> Result<(), String> {
        let encoded = context::encode(&letter.context).map_err(|refusal| format!("{refusal:?}"))?;
        let ingest_ms = letter.context.arrival.wall.0 / 1_000_000;
        let tenant = self.books.tenant_hash(&letter.context.tenant);
        let batch = Batch::new(letter.signal, letter.bytes.clone(), letter.items, Arc::clone(&letter.context));
        // Only redacted batches were appended, and this was read from among them. What cannot be split stays whole.
        let batch = Redacted::proven(batch);
        let parts = records::parts(batch.clone(), records::most(self.max_record)).unwrap_or_else(|_| vec![batch]);
        to.extend(parts.iter().map(|part| DeadLetter {
            id: 0,
            cause: self.cause(letter.reason, letter.status.clone(), letter.origin.0),
            keep: match letter.keep {
                crate::spine::Keep::Evictable => Keep::Evictable,
                crate::spine::Keep::Always => Keep::Always,
            },
            signal: letter.signal as u8,
            items: u32::try_from(part.items()).unwrap_or(u32::MAX),
            tenant,
            ingest_ms,
            context: encoded.clone().into(),
            payload: part.bytes().clone(),
        }));
        Ok(())
    }

    fn cause(&self, reason: &str, status: String, origin_seq: u64) -> Cause {
        // By the journal's clock, as letters expire by it.
        let parked_ms = self.journal().clock().now().wall_ms();
        Cause { reason: reason.to_owned(), status, origin_seq, parked_ms }
    }

    /// Puts what killed the process twice aside, undecoded. It stays in the journal if that fails.
    pub(super) fn condemn(&self, destination: Destination, entry: &sluice_journal::Entry) {
        let Some(name) = self.books.name(destination) else { return };
        let status = "the process died twice while this record alone was being read".to_owned();
        let letter = DeadLetter {
            id: 0,
            cause: self.cause("crash_loop", status, entry.seq),
            keep: Keep::Evictable,
            signal: entry.signal,
            items: entry.items,
            tenant: entry.tenant,
            ingest_ms: entry.ingest_ms,
            context: entry.context.clone(),
            payload: entry.payload.clone(),
        };
        match self.store(&name, &[letter]) {
            Ok(()) => {
                let parked = Completion { parked: entry.items as usize, ..Completion::default() };
                self.complete(destination, Seq(entry.seq), &parked);
            }
            Err(error) => tracing::error!(destination = &*name, seq = entry.seq, "cannot park a record: {error}"),
        }
    }
}
