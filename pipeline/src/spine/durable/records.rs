//! Batches as records, and back.

use std::sync::Arc;

use bytes::Bytes;
use sluice_pdata::Signal;
use sluice_pdata::split::{count, split};

use super::books::Books;
use super::context;
use crate::batch::{Batch, Redacted};
use crate::clock::Clock;
use crate::outcome::{Refusal, SizeLimit};
use crate::spine::{Record, RouteSet};

/// Beside the payload: header, context, padding.
const AROUND: u64 = 64 + sluice_journal::CONTEXT_BYTES as u64 + 8;

/// The records of one request as the journal takes them. Those over its limit are split between items.
pub(super) fn prepare(
    records: Vec<Record>,
    max_record: u64,
    books: &Books,
) -> Result<Vec<sluice_journal::Record>, Refusal> {
    let most = most(max_record);
    let mut prepared = Vec::with_capacity(records.len());
    let request_id = books.next_request();
    for Record { batch, routes: to } in records.into_iter().filter(|record| !record.routes.is_empty()) {
        let encoded = Bytes::from(context::encode(batch.context())?);
        for part in parts(batch, most)? {
            let attached = part.held_bytes().saturating_sub(part.bytes().len());
            prepared.push(sluice_journal::Record {
                routes: routes(to),
                signal: part.signal() as u8,
                items: u32::try_from(part.items()).unwrap_or(u32::MAX),
                tenant: books.tenant_hash(&part.context().tenant),
                ingest_ms: part.context().arrival.wall.0 / 1_000_000,
                request_id,
                context: encoded.clone(),
                payload: part.bytes().clone(),
                attachment: Some(Arc::new(part)),
                attachment_bytes: attached as u64,
            });
        }
    }
    Ok(prepared)
}

/// Most bytes of a batch that one record takes.
pub(super) fn most(max_record: u64) -> usize {
    max_record.saturating_sub(AROUND) as usize
}

/// A batch in parts that each fit a record.
pub(super) fn parts(batch: Redacted<Batch>, most: usize) -> Result<Vec<Redacted<Batch>>, Refusal> {
    if batch.bytes().len() <= most {
        return Ok(vec![batch]);
    }
    // Every part of what was redacted is.
    let signal = batch.signal();
    let malformed = |error: sluice_pdata::Error| Refusal::Malformed { message: error.to_string() };
    let mut parts = Vec::new();
    for part in split(signal, batch.bytes(), usize::MAX, most).map_err(malformed)? {
        let part = part.map_err(malformed)?;
        if part.len() > most {
            let (size, limit) = (part.len() as u64, most as u64);
            return Err(Refusal::TooLarge { what: SizeLimit::Record, size, limit });
        }
        let items = count(signal, &part).map_err(malformed)?;
        parts.push(Redacted::proven((*batch).clone().replaced(part, items)));
    }
    Ok(parts)
}

/// The batch of an entry: the very one that was appended if it is still in memory. `None` for a record that this version
/// cannot have written.
pub(super) fn restore(entry: &sluice_journal::Entry, clock: &Arc<dyn Clock>, books: &Books) -> Option<Redacted<Batch>> {
    if let Some(batch) = entry.attachment.as_ref().and_then(|kept| kept.downcast_ref::<Redacted<Batch>>()) {
        return Some(batch.clone());
    }
    let signal = Signal::ALL.into_iter().find(|signal| *signal as u8 == entry.signal)?;
    let arrival = context::arrival(entry.ingest_ms, &**clock);
    let context = context::decode(&entry.context, arrival)?;
    books.tenant_hash(&context.tenant);
    let batch = Batch::new(signal, entry.payload.clone(), entry.items as usize, Arc::new(context));
    // Only redacted batches were appended.
    Some(Redacted::proven(batch))
}

pub(super) fn routes(set: RouteSet) -> sluice_journal::RouteSet {
    set.iter().map(|destination| sluice_journal::Dest(destination.0)).collect()
}
