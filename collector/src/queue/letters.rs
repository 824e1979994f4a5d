//! Queues and dead letters of a journal, whether it belongs to a running instance or was opened for a look.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sluice_journal::dlq::{DeadLetter, DeadLetters, Keep};
use sluice_journal::{Error, Journal};
use sluice_pipeline::spine::NOTES;
use sluice_pipeline::spine::durable::{Worked, tenant};
use sluice_pipeline::{Error as PipelineError, Signal};

use super::report::{Action, DeadTotals, Done, Kept, Letter, Letters, Queue, Which};
use crate::logging::iso8601;

/// Bodies of one page, in bytes; one is always given.
const BODIES: u64 = 256 << 10;
/// Letters that are worked on together, and their bytes: a sync for each would take its time.
const BATCH: usize = 256;
const BATCH_BYTES: u64 = 1 << 20;
/// How long letters are worked on before whoever asked is told how far it got.
const TURN: Duration = Duration::from_secs(3);

/// Every destination that the journal knows, and those that have nothing but dead letters; but not what stages note for
/// themselves, which nobody sent and nobody is owed.
///
/// # Errors
/// I/O.
pub fn queues(journal: &Journal) -> Result<Vec<Queue>, Error> {
    let mut dead = BTreeMap::new();
    for name in journal.dead_letter_names()? {
        let totals = totals(&*journal.letters(&name)?);
        dead.insert(name, totals);
    }
    let mut queues = Vec::new();
    for (dest, name, configured) in journal.destinations().into_iter().filter(|(_, name, _)| !name.ends_with(NOTES)) {
        let letters = dead.remove(&name).unwrap_or_default();
        let backlog = journal.backlog(dest);
        let [traces, metrics, logs, _] = backlog.items;
        queues.push(Queue {
            configured,
            records: backlog.records,
            items: [traces, metrics, logs].into(),
            bytes: backlog.bytes,
            oldest_age_seconds: journal.oldest(dest).map(|(_, ingest_ms)| age(journal, ingest_ms)),
            quota_bytes: Some(journal.quota_bytes(dest)),
            ..empty(name, letters)
        });
    }
    let left = dead.into_iter().filter(|(_, letters)| letters.count > 0);
    queues.extend(left.map(|(name, letters)| empty(name, letters)));
    queues.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(queues)
}

fn empty(id: String, dead: DeadTotals) -> Queue {
    Queue {
        id,
        configured: false,
        kept: Kept::Disk,
        records: 0,
        items: [0; 3].into(),
        bytes: 0,
        oldest_age_seconds: None,
        quota_bytes: None,
        breaker: None,
        config_error: false,
        dead_letters: Some(dead),
    }
}

fn totals(letters: &DeadLetters) -> DeadTotals {
    let (count, items, bytes) = letters.usage();
    DeadTotals { count, items, bytes }
}

/// Seconds since a moment in milliseconds since the epoch.
fn age(journal: &Journal, since_ms: u64) -> f64 {
    journal.clock().now().wall_ms().saturating_sub(since_ms) as f64 / 1000.0
}

/// Whether there is such a queue.
pub fn is_known(journal: &Journal, name: &str) -> Result<bool, Error> {
    let known = journal.destinations().iter().any(|(_, known, _)| known == name);
    Ok(known || journal.dead_letter_names()?.iter().any(|known| known == name))
}

/// Dead letters of a known queue from an id on, oldest first; bodies only if they are asked for.
///
/// # Errors
/// I/O.
pub fn page(journal: &Journal, name: &str, from: u64, limit: usize, bodies: bool) -> Result<Letters, Error> {
    let dead = journal.letters(name)?;
    let total = dead.usage().0;
    // One more tells that there is a next page.
    let mut listed = dead.list(from, limit.saturating_add(1));
    let mut next = (listed.len() > limit).then(|| listed.pop()).flatten().map(|letter| letter.id);
    let (mut letters, mut bytes) = (Vec::new(), 0);
    for letter in listed {
        let Some(size) = dead.bytes_of(letter.id) else { continue };
        if bodies && !letters.is_empty() && bytes + size > BODIES {
            next = Some(letter.id);
            break;
        }
        bytes += size;
        let body = match bodies {
            // It may be gone by now, or damaged.
            true => dead.read(letter.id)?.map(|whole| STANDARD.encode(&whole.payload)),
            false => None,
        };
        letters.push(shown(journal, &letter, size, body));
    }
    Ok(Letters { schema: "sluice.queue_dead/1".to_owned(), queue: name.to_owned(), total, letters, cursor: next })
}

/// Bytes that a page of bodies takes, at most.
pub fn page_bytes(journal: &Journal, name: &str, from: u64) -> Result<u64, Error> {
    let dead = journal.letters(name)?;
    let first = dead.list(from, 1).pop().and_then(|letter| dead.bytes_of(letter.id)).unwrap_or(0);
    Ok(first.max(BODIES))
}

fn shown(journal: &Journal, letter: &DeadLetter, bytes: u64, body: Option<String>) -> Letter {
    Letter {
        id: letter.id,
        reason: letter.cause.reason.clone(),
        status: letter.cause.status.clone(),
        origin_seq: letter.cause.origin_seq,
        signal: signal(letter.signal).map_or_else(|| letter.signal.to_string(), |signal| signal.name().to_owned()),
        items: u64::from(letter.items),
        tenant: tenant(&letter.context).unwrap_or_default().name().to_owned(),
        received: iso8601(u128::from(letter.ingest_ms)),
        parked: iso8601(u128::from(letter.cause.parked_ms)),
        age_seconds: age(journal, letter.cause.parked_ms),
        bytes,
        evictable: letter.keep == Keep::Evictable,
        body,
    }
}

fn signal(number: u8) -> Option<Signal> {
    Signal::ALL.into_iter().find(|signal| *signal as u8 == number)
}

/// Does the same to all letters that were asked for, some at a time, until time is up. One that cannot be done does not keep
/// the others.
///
/// # Errors
/// None could be done: what was said of the first one.
pub fn work(
    letters: &DeadLetters,
    name: &str,
    action: Action,
    which: &Which,
    act: impl Fn(&[u64]) -> Worked,
) -> Result<Done, PipelineError> {
    let mut done = Done {
        schema: format!("sluice.queue_{}/1", action.name()),
        queue: name.to_owned(),
        action,
        letters: 0,
        items: 0,
        left: 0,
        up_to: 0,
        stopped: None,
    };
    let mut ids: Vec<u64> = match which.id {
        Some(id) => vec![id],
        None => letters.ids(),
    };
    ids.retain(|id| which.up_to.is_none_or(|last| *id <= last));
    done.up_to = ids.last().copied().or(which.up_to).unwrap_or(0);
    let began = Instant::now();
    let (mut rest, mut failed) = (ids.as_slice(), None);
    while !rest.is_empty() {
        if rest.len() < ids.len() && began.elapsed() >= TURN {
            done.left += rest.len() as u64;
            break;
        }
        let (some, behind) = rest.split_at(batch(letters, rest));
        rest = behind;
        let worked = act(some);
        done.letters += worked.gone.len() as u64;
        done.items += worked.gone.iter().map(|gone| u64::from(gone.items)).sum::<u64>();
        done.left += worked.left;
        failed = failed.or(worked.error);
    }
    match failed {
        Some(error) if done.letters == 0 => Err(error),
        failed => {
            done.stopped = failed.map(|error| error.to_string());
            Ok(done)
        }
    }
}

/// How many of the next letters are worked on together.
fn batch(letters: &DeadLetters, ids: &[u64]) -> usize {
    let mut bytes = 0;
    let fits = |id: &&u64| {
        bytes += letters.bytes_of(**id).unwrap_or(0);
        bytes <= BATCH_BYTES
    };
    ids.iter().take(BATCH).take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests;
