//! The search for items that a destination will never take (delivery §4.2).
//!
//! What is known to hold a bad item is halved and its first half sent. If that is taken, the bad one is in the second half; if
//! not, the second half is set aside and the search goes on in the first. A single item that is refused goes to the dead
//! letters. Then everything set aside is sent in one payload, which may hold another one. One bad item among `n` costs at
//! most `⌈log₂ n⌉ + 2` requests beyond the first: one per halving, one to make sure, one for what was set aside.

use std::ops::Range;

use sluice_pdata::pass::Reason;
use sluice_pipeline::exporter::Payload;
use sluice_pipeline::ledger::reasons;
use sluice_pipeline::send::RefusedItems;
use sluice_pipeline::spine::{Keep, Letter, Unparked};

use super::fate::{Fate, Fates};
use super::piece::{Piece, cut};
use super::sender::{Sender, Terms, Verdict};

/// A piece that is known to hold something bad, and what was said of it.
struct Bad {
    piece: Piece,
    reason: Reason,
    status: String,
}

/// How far the search is.
#[derive(Default)]
struct Search {
    /// To be sent next, last first.
    todo: Vec<Piece>,
    bad: Option<Bad>,
    aside: Vec<Piece>,
    /// Items whose fate is known.
    known: Vec<(Range<usize>, Fate)>,
    /// What goes to the dead letters, once all is known.
    letters: Vec<Bad>,
    /// Something was refused for what it is: every request from here on is part of the search.
    poisoned: bool,
    sends: u32,
}

impl Search {
    fn fate(&mut self, piece: &Piece, fate: Fate) {
        self.known.extend(piece.runs.iter().map(|run| (run.clone(), fate)));
    }

    /// Everything that is still open, as one.
    fn rest(&mut self, bad: Option<Piece>) -> Option<Piece> {
        let mut rest = std::mem::take(&mut self.todo);
        rest.append(&mut self.aside);
        rest.extend(bad);
        Piece::merged(rest)
    }
}

impl Sender {
    /// Finds the fates of a payload that was refused as a whole; none if the gate closed before.
    pub(super) async fn search(&self, payload: Payload, refused: Verdict, terms: &Terms) -> Option<Fates> {
        let mut search = Search::default();
        self.judge(&mut search, Piece::whole(payload), refused)?;
        loop {
            if let Some(bad) = search.bad.take() {
                self.narrow(&mut search, bad, terms).await?;
                continue;
            }
            let next = match search.todo.pop() {
                Some(piece) => piece,
                None => match Piece::merged(std::mem::take(&mut search.aside)) {
                    Some(piece) => piece,
                    None => break,
                },
            };
            if search.poisoned && search.sends >= self.delivery.protection.poison.max_sends {
                if let Some(piece) = search.rest(Some(next)) {
                    let status = "not searched: too many requests would be needed".to_owned();
                    search.letters.push(Bad { piece, reason: reasons::PERMANENT_ERROR, status });
                }
                break;
            }
            let verdict = self.try_piece(&mut search, &next, terms).await;
            self.judge(&mut search, next, verdict)?;
        }
        self.post(&mut search).await?;
        Some(Fates::of(search.known))
    }

    async fn try_piece(&self, search: &mut Search, piece: &Piece, terms: &Terms) -> Verdict {
        if search.poisoned {
            search.sends += 1;
            self.metrics.bisect_sends.increment(1);
        }
        self.attempt(&piece.payload, terms).await
    }

    /// Halves what holds something bad, and sends the first half.
    async fn narrow(&self, search: &mut Search, bad: Bad, terms: &Terms) -> Option<()> {
        let poison = &self.delivery.protection.poison;
        if !poison.bisect || bad.piece.items() < 2 {
            search.letters.push(bad);
            return Some(());
        }
        if search.sends >= poison.max_sends {
            let Bad { piece, reason, status } = bad;
            let status = format!("not searched further: {status}");
            let rest = search.rest(Some(piece));
            search.letters.extend(rest.map(|piece| Bad { piece, reason, status }));
            return Some(());
        }
        let Some([first, second]) = bad.piece.halves() else {
            search.letters.push(bad);
            return Some(());
        };
        let verdict = self.try_piece(search, &first, terms).await;
        match verdict {
            // So the bad one is here. One item alone is asked for: the destination may have changed its mind.
            Verdict::Delivered(_) if second.items() > 1 => search.bad = Some(Bad { piece: second, ..bad }),
            Verdict::Delivered(_) => search.todo.push(second),
            _ => search.aside.push(second),
        }
        self.judge(search, first, verdict)
    }

    /// Notes what was said of a piece. None if somebody else goes on.
    fn judge(&self, search: &mut Search, piece: Piece, verdict: Verdict) -> Option<()> {
        match verdict {
            Verdict::LeftToOthers => return None,
            Verdict::Over(fate) => search.fate(&piece, fate),
            Verdict::Stale => search.fate(&piece, Fate::Dropped(reasons::MAX_AGE)),
            Verdict::Delivered(dropped) => {
                let mut left = piece.runs.clone();
                self.delivered(&piece.payload, &dropped, |items, fate| {
                    let [runs, behind] = cut(&left, items);
                    search.known.extend(runs.into_iter().map(|run| (run, fate)));
                    left = behind;
                });
            }
            Verdict::RefusedItems { dropped, refused } => {
                let (rest, pieces) = piece.without(refused.iter().map(|refused| refused.items.clone()));
                for (piece, RefusedItems { reason, message: status, .. }) in pieces.into_iter().zip(refused) {
                    search.letters.push(Bad { piece, reason, status });
                }
                return self.judge(search, rest, Verdict::Delivered(dropped));
            }
            Verdict::Refused { reason, status } => {
                tracing::debug!(exporter = %self.id, items = piece.items(), status, "searching what was refused");
                search.poisoned = true;
                search.bad = Some(Bad { piece, reason, status });
            }
            Verdict::TooLarge(status) => match piece.halves() {
                Some([first, second]) => {
                    self.learned.refused(piece.payload.len(), &*self.clock);
                    search.todo.extend([second, first]);
                }
                None => search.letters.push(Bad { piece, reason: reasons::PERMANENT_ERROR, status }),
            },
        }
        Some(())
    }

    /// Puts what was found into the dead letters. Poison never stops its destination: without room, it is lost and counted.
    async fn post(&self, search: &mut Search) -> Option<()> {
        let found = std::mem::take(&mut search.letters);
        if found.is_empty() {
            return Some(());
        }
        let letter = |bad: &Bad| Letter::of(&bad.piece.payload, bad.reason, bad.status.clone(), Keep::Evictable);
        let mut fate = self.park(found.iter().map(letter).collect()).await?;
        let one_by_one = fate == Err(Unparked::Full) && found.len() > 1;
        for bad in &found {
            if one_by_one {
                fate = self.park(vec![letter(bad)]).await?;
            }
            let fate = match fate {
                Ok(()) => Fate::Parked,
                Err(Unparked::NoPlace) => Fate::Dropped(bad.reason),
                Err(_) => Fate::Dropped(reasons::DLQ_FULL),
            };
            let (items, reason) = (bad.piece.items(), bad.reason);
            let code = (reason == reasons::PERMANENT_ERROR).then_some("E0808");
            tracing::error!(exporter = %self.id, code, items, reason, error = %bad.status, ?fate,
                "Exporting failed: the destination will not take these items.");
            self.common.send_failed.add(bad.piece.payload.signal, items);
            search.fate(&bad.piece, fate);
        }
        Some(())
    }

    /// Parks letters as soon as the disk lets it. None if the gate closed before.
    async fn park(&self, letters: Vec<Letter>) -> Option<Result<(), Unparked>> {
        loop {
            match self.spine.park(self.destination, letters.clone()).await {
                Err(Unparked::Failed(error)) => {
                    tracing::error!(exporter = %self.id, error, "cannot write dead letters; trying again");
                    let _aside = self.gate.aside();
                    let again = self.delivery.retry.unwrap_or_default().max_interval();
                    tokio::select! {
                        () = self.clock.sleep(again) => {}
                        () = self.gate.closed() => return None,
                    }
                }
                parked => return Some(parked),
            }
        }
    }
}
