//! The records of a request on their way into the log, and back to its sender: at once, or when destinations have confirmed
//! them (delivery §1.1).

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::verdict::verdict;
use super::{Gathered, Intake};
use crate::BoxFuture;
use crate::clock::{Clock, Monotonic};
use crate::outcome::{Accepted, Partial, Refusal};
use crate::spine::{Confirmation, Record, RouteSet, Spine, Waiting};

/// Longest wait for room where `block_on_overflow` asks for one.
pub(super) const OVERFLOW_WAIT: Duration = Duration::from_secs(5);

/// An append, polled once.
type Begun<T> = Poll<Result<T, Refusal>>;

/// When whoever sent this stops waiting, if that is known and earlier.
fn earlier(deadline: Monotonic, of_client: Option<Monotonic>) -> Monotonic {
    of_client.map_or(deadline, |of_client| of_client.min(deadline))
}

impl Intake {
    /// Appends, and answers in the sense of the pipelines' modes. `sent` is what exporters without a queue have made of it,
    /// `until` when the client stops waiting.
    pub(super) async fn append(
        &self,
        mut gathered: Gathered,
        partial: Option<Partial>,
        until: Option<Monotonic>,
    ) -> Result<Accepted, Refusal> {
        let records = gathered.take_records();
        let sent = gathered.sent();
        let routes = records.iter().fold(RouteSet::EMPTY, |all, record| all.union(record.routes));
        let awaited = routes.intersection(self.awaited);
        if !awaited.is_empty() {
            return self.export(gathered, records, awaited, Answer { partial, sent, until }).await;
        }
        let partial = verdict(&sent.0, sent.1, partial)?;
        let spine = &self.spine;
        let (result, append) = self.begin(records, routes, until, |records| spine.append(records)).await;
        match result {
            Poll::Ready(result) => result.map(|_| gathered.settle())?,
            Poll::Pending => {
                let settle = async move { append.await.map(|_| gathered.settle()) };
                tokio::spawn(settle).await.unwrap_or(Err(Refusal::Internal))?;
            }
        }
        Ok(Accepted { partial })
    }

    /// Begins an append; while a destination has no room that asks for patience, after a wait. An append that is pending has
    /// begun and completes: so must what is to be done then, even if the client goes away.
    async fn begin<T>(
        &self,
        mut records: Vec<Record>,
        routes: RouteSet,
        until: Option<Monotonic>,
        append: impl Fn(Vec<Record>) -> BoxFuture<'static, Result<T, Refusal>>,
    ) -> (Begun<T>, BoxFuture<'static, Result<T, Refusal>>) {
        let waits = !routes.intersection(self.blocking).is_empty();
        let mut give_up = None;
        loop {
            // Asked for before the append, so that room that comes free right after a refusal is not missed.
            let released = waits.then(|| self.spine.released());
            let attempt = if waits { records.clone() } else { std::mem::take(&mut records) };
            let mut append = append(attempt);
            let result = std::future::poll_fn(|cx| Poll::Ready(append.as_mut().poll(cx))).await;
            let (Poll::Ready(Err(Refusal::QuotaFull { .. } | Refusal::QueueFull)), Some(released)) =
                (&result, released)
            else {
                return (result, append);
            };
            let now = self.clock.now();
            let give_up = *give_up.get_or_insert_with(|| earlier(now + OVERFLOW_WAIT, until));
            if now >= give_up {
                return (result, append);
            }
            tokio::select! {
                () = released => {}
                () = self.clock.sleep_until(give_up) => {}
            }
        }
    }

    /// Appends, and answers when the destinations in `awaited` have the data.
    async fn export(
        &self,
        gathered: Gathered,
        records: Vec<Record>,
        awaited: RouteSet,
        answer: Answer,
    ) -> Result<Accepted, Refusal> {
        let routes = records.iter().fold(RouteSet::EMPTY, |all, record| all.union(record.routes));
        let held = Held {
            spine: Arc::clone(&self.spine),
            clock: Arc::clone(&self.clock),
            until: earlier(self.clock.now() + self.hold, answer.until),
        };
        let (spine, until) = (&self.spine, answer.until);
        let appended = self.begin(records, routes, until, |records| spine.append_awaited(records, awaited)).await;
        let waiting = match appended {
            (Poll::Ready(Err(refusal)), _) => return Err(refusal),
            (Poll::Ready(Ok(waiting)), _) => Ok(waiting),
            (Poll::Pending, append) => Err(append),
        };
        let settle = async move {
            let waiting = match waiting {
                Ok(waiting) => waiting,
                Err(append) => append.await?,
            };
            held.wait(waiting, gathered, answer).await
        };
        // The client may go away: what has been appended is settled all the same.
        tokio::spawn(settle).await.unwrap_or(Err(Refusal::Internal))
    }
}

/// What is known of the answer before the append.
struct Answer {
    partial: Option<Partial>,
    /// What exporters without a queue have not delivered, and the number of the others.
    sent: (Vec<Confirmation>, usize),
    until: Option<Monotonic>,
}

/// A request whose client waits for destinations.
struct Held {
    spine: Arc<dyn Spine>,
    clock: Arc<dyn Clock>,
    until: Monotonic,
}

impl Held {
    /// Waits until all of them are done with it, or the time is over.
    ///
    /// A request that is refused here will come again, so what no destination has read of it is taken back: during an outage
    /// the copies of a client that tries again would else fill the log, and all of them would be delivered after it. What a
    /// reader has in hand may be on its way already, and is sent: that is a bounded number of payloads for each destination,
    /// which are also what its breaker probes with, and their copies are duplicates that at-least-once delivery allows. What
    /// is taken back was never admitted and is no loss: it counts as neither. The journal takes nothing back. There, what is
    /// kept is safe and will be delivered; the breaker bounds the copies, because it refuses before anything is kept.
    async fn wait(self, mut waiting: Waiting, gathered: Gathered, answer: Answer) -> Result<Accepted, Refusal> {
        let range = waiting.range;
        let confirmed = tokio::select! {
            biased;
            confirmed = waiting.confirmed() => confirmed,
            () = self.clock.sleep_until(self.until) => {
                let message = "no confirmation in time".to_owned();
                Err(Refusal::DestinationUnavailable { message })
            }
        };
        drop(waiting);
        let answered = confirmed.and_then(|mut parts| {
            let (missing, others) = answer.sent;
            parts.extend(missing);
            verdict(&parts, others, answer.partial)
        });
        match answered {
            Ok(partial) => {
                gathered.settle();
                Ok(Accepted { partial })
            }
            Err(refusal) => {
                if let Some(range) = range.filter(|_| refusal.is_retryable()) {
                    self.spine.withdraw(range);
                }
                Err(refusal)
            }
        }
    }
}

#[cfg(test)]
mod tests;
