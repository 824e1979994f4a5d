//! Entries that a stage had given up from memory under pressure, and needs again (correlation §10, 80 %).

use std::sync::Arc;

use super::{PAUSE, Run, Turn};
use crate::clock::WallTime;
use crate::spine::{Again, Entry, ReadLimit, Seq, SeqRange};
use crate::stage::{Port, Stage, StageOutput};

/// Read at once.
const READ: ReadLimit = ReadLimit { records: 64, items: 8192, bytes: 4 << 20 };

/// Entries for others that are read along between two that are wanted, rather than looking twice.
const GAP: u64 = 8;

/// Attempts for a stage that goes away, a pause apart; then what cannot be read is lost.
const ATTEMPTS: usize = 100;

/// The first of what is wanted that can be read at once: those of one port that are close to one another.
fn run(wanted: &[(Port, Seq)]) -> Option<(Port, Vec<Seq>)> {
    let &(port, first) = wanted.first()?;
    let mut run = vec![first];
    for &(_, seq) in wanted.iter().filter(|(at, seq)| *at == port && *seq > first) {
        if run.last().is_some_and(|last| seq.0 - last.0 > GAP) {
            break;
        }
        run.push(seq);
    }
    Some((port, run))
}

/// Hands over what was read. `false` if that was nothing.
fn hand_over(
    stage: &mut dyn Stage,
    port: Port,
    wanted: &[Seq],
    again: &Again,
    now: WallTime,
    out: &mut StageOutput,
) -> bool {
    let mut any = false;
    for &seq in wanted.iter().take_while(|&&seq| seq <= again.through) {
        let found = again.entries.binary_search_by_key(&seq, Entry::seq).ok();
        if found.is_none() {
            tracing::error!(seq = seq.0, "the log has lost what a stage holds");
        }
        stage.restore(port, seq, found.map(|at| &again.entries[at]), now, out);
        any = true;
    }
    any
}

impl Run {
    /// Gives the stage again what it wants, a part in each commit, so that memory stays what it is. `false` if that is not
    /// possible at present: the next turn tries it again.
    pub(super) async fn restore(&mut self, now: WallTime) -> bool {
        loop {
            let Some((port, wanted)) = run(&self.driver.stage.wanted()) else { return true };
            let again = self.read_again(port, &wanted).await.map(|again| self.as_it_was_given(port, again));
            let mut out = StageOutput::default();
            let stage = &mut *self.driver.stage;
            if !again.is_some_and(|again| hand_over(stage, port, &wanted, &again, now, &mut out)) {
                self.driver.clock.sleep(PAUSE).await;
                return false;
            }
            self.account_memory(now, &mut out);
            self.commit(Turn { consumed: 0, out, now }).await;
        }
    }

    /// Gives a stage that goes away what it wants.
    pub(super) async fn restore_all(&mut self, stage: &mut dyn Stage, now: WallTime, out: &mut StageOutput) {
        let mut attempts = 0;
        while let Some((port, wanted)) = run(&stage.wanted()) {
            let again = match self.read_again(port, &wanted).await {
                None if attempts < ATTEMPTS => {
                    attempts += 1;
                    self.driver.clock.sleep(PAUSE).await;
                    continue;
                }
                again => again.unwrap_or(Again { entries: Vec::new(), through: Seq(u64::MAX) }),
            };
            let again = self.as_it_was_given(port, again);
            if !hand_over(stage, port, &wanted, &again, now, out) {
                return;
            }
        }
    }

    fn as_it_was_given(&self, port: Port, mut again: Again) -> Again {
        for entry in &mut again.entries {
            if let Some(given) = self.as_given(port, entry) {
                *entry = given;
            }
        }
        again
    }

    async fn read_again(&mut self, port: Port, wanted: &[Seq]) -> Option<Again> {
        let destination = *self.driver.ports.get(usize::from(port.0))?;
        let range = SeqRange { first: *wanted.first()?, last: *wanted.last()? };
        let spine = Arc::clone(&self.driver.spine);
        let read = move || spine.read_again(destination, range, READ);
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }
}
