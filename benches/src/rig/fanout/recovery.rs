//! After an outage: how soon the backend gets something again, and how fast it catches up while the load goes on.

use super::verdict::{Recovery, Stage};
use super::{RECOVERY, Running, SECOND};
use crate::Error;
use std::time::{Duration, Instant};

/// Between two looks.
const POLL: Duration = Duration::from_millis(20);

impl Running<'_> {
    /// Watches for at least `length`, and until the backend that had failed has what was kept for it.
    pub(super) async fn recover(&mut self, length: Duration) -> Result<(), Error> {
        let mut open = Some(self.open().await?);
        let before = self.arrived(&self.failing()?.stats().await?);
        self.set_mode("ok").await?;
        let at = Instant::now();
        // When nothing had arrived for the last time: what a sink that is busy with the first says late came after that.
        let mut silent = Duration::ZERO;
        let (mut resumed, mut caught_up) = (None, None);
        while caught_up.is_none() || open.is_some() {
            tokio::time::sleep(POLL).await;
            let asked = at.elapsed();
            let arrived = self.arrived(&self.failing()?.stats().await?) - before;
            if arrived > 0 {
                resumed.get_or_insert(silent);
            } else {
                silent = asked;
            }
            let waiting = self.waiting().await?;
            let in_a_moment = self.load.stats().await?.accepted / 100;
            if waiting <= in_a_moment as i64 {
                caught_up.get_or_insert_with(|| (at.elapsed(), arrived));
            }
            if at.elapsed() >= length
                && let Some(begun) = open.take()
            {
                let loaded = begun.at.elapsed();
                self.close(Stage::AllAgain, begun, loaded).await?;
            }
            if caught_up.is_none() && at.elapsed() > RECOVERY.max(length) {
                return Err(Error::Invalid(format!("{waiting} items were still waiting after {RECOVERY:?}")));
            }
        }
        if let (Some(resumed), Some((caught_up, items))) = (resumed, caught_up)
            && caught_up > resumed
        {
            let seconds = (caught_up - resumed).as_secs_f64();
            self.recoveries.push(Recovery { resumed: resumed.as_secs_f64(), seconds, items });
        }
        Ok(())
    }

    /// Items that the failing backend is still to get.
    async fn waiting(&self) -> Result<i64, Error> {
        match &self.ledger {
            Some(ledger) => Ok(ledger.now().await?.last.term(&format!("destination/{SECOND}"), "held")),
            None => Ok(0),
        }
    }
}
