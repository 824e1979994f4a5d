//! Records on their way to the commit thread.

use std::sync::Arc;

use sluice_journal::Dest;
use tokio::sync::oneshot;

use super::{DurableSpine, complete, records, refusal};
use crate::BoxFuture;
use crate::admission::{Class, Reservation};
use crate::outcome::Refusal;
use crate::spine::confirm::Part;
use crate::spine::{Advance, Record, RouteSet, Seq, SeqRange, Waiting};

impl DurableSpine {
    /// Hands records to the commit thread.
    pub(super) fn write(
        &self,
        stage: Option<Vec<Advance>>,
        records: Vec<Record>,
    ) -> BoxFuture<'static, Result<Option<SeqRange>, Refusal>> {
        let shared = Arc::clone(&self.0);
        let (records, reservation) = match self.reserve(records) {
            Ok(reserved) => reserved,
            Err(refusal) => return Box::pin(std::future::ready(Err(refusal))),
        };
        let (tell, told) = oneshot::channel();
        let journal = shared.running.journal().clone();
        let derived = stage.is_some();
        let done = stage.unwrap_or_default();
        let seqs = |(stage, done): &Advance| (Dest(stage.0), done.iter().map(|(seq, _)| seq.0).collect());
        let passed = done.iter().map(seqs).collect();
        // Not the spine itself: the last to hold it waits for the very thread that answers.
        let (settling, books) = (journal.clone(), Arc::clone(&shared.books));
        let answer = Box::new(move |result: Result<Option<sluice_journal::SeqRange>, sluice_journal::Error>| {
            drop(reservation);
            if result.is_ok() {
                for (stage, done) in done {
                    done.into_iter().for_each(|(seq, completion)| complete(&settling, &books, stage, seq, &completion));
                }
            }
            let range =
                result.map(|range| range.map(|range| SeqRange { first: Seq(range.first), last: Seq(range.last) }));
            // Whoever asked may be gone: the append goes on.
            let _ = tell.send(range.map_err(refusal));
        });
        match derived {
            true => journal.commit(passed, records, answer),
            false => journal.append(records, answer),
        }
        Box::pin(async move { told.await.unwrap_or(Err(Refusal::ShuttingDown)) })
    }

    /// Hands records to the commit thread, for a sender who waits for the destinations in `awaited`.
    pub(super) fn write_awaited(
        &self,
        records: Vec<Record>,
        awaited: RouteSet,
    ) -> BoxFuture<'static, Result<Waiting, Refusal>> {
        let (records, reservation) = match self.reserve(records) {
            Ok(reserved) => reserved,
            Err(refusal) => return Box::pin(std::future::ready(Err(refusal))),
        };
        let (tell, told) = oneshot::channel();
        let journal = self.0.running.journal().clone();
        let books = Arc::clone(&self.0.books);
        let wanted: Vec<(RouteSet, usize)> = records.iter().map(|record| awaited_of(record, awaited)).collect();
        let appending = books.confirmations.appending();
        let answer = Box::new(move |result: Result<Option<sluice_journal::SeqRange>, sluice_journal::Error>| {
            drop(reservation);
            let waiting = result.map_err(refusal).map(|range| {
                let seqs = range.map_or(0..0, |range| range.first..range.last + 1);
                let all = wanted.iter().fold(RouteSet::EMPTY, |all, (awaited, _)| all.union(*awaited));
                // Where some were not kept at all, it is not known which is which.
                let known = seqs.end - seqs.start == wanted.len() as u64;
                let away = if known { RouteSet::EMPTY } else { all };
                let part = |(seq, (awaited, items))| Part { seq: Seq(seq), awaited, items };
                let parts: Vec<Part> = if known { seqs.zip(wanted).map(part).collect() } else { Vec::new() };
                appending.done(&parts, away, |destination| books.name(destination).unwrap_or_else(|| Arc::from("")))
            });
            let _ = tell.send(waiting);
        });
        journal.append(records, answer);
        Box::pin(async move { told.await.unwrap_or(Err(Refusal::ShuttingDown)) })
    }

    /// The records as the journal takes them, and their bytes in the memory budget.
    fn reserve(&self, records: Vec<Record>) -> Result<(Vec<sluice_journal::Record>, Reservation), Refusal> {
        let prepared = records::prepare(records, self.0.max_record, &self.0.books)?;
        let bytes: u64 = prepared.iter().map(|record| record.payload.len() as u64).sum();
        let reservation = self.0.memory.try_reserve(Class::CommitQueue, bytes).ok_or(Refusal::Memory)?;
        Ok((prepared, reservation))
    }
}

/// Who has to confirm a record, and its items.
fn awaited_of(record: &sluice_journal::Record, awaited: RouteSet) -> (RouteSet, usize) {
    let routes = awaited.iter().filter(|destination| record.routes.contains(Dest(destination.0))).collect();
    (routes, record.items as usize)
}
