//! What a span can learn of its logs.

use std::collections::HashMap;

use super::read::{Arrivals, SpanKey};
use crate::settings::Nanos;

/// The logs of a span, as far as they have arrived when it leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// `log.count`.
    pub logs: usize,
    /// `log.warn.count`.
    pub warnings: usize,
    /// `log.error.count`: ERROR and above.
    pub errors: usize,
    /// The body of the first ERROR log to arrive.
    pub first_error: Option<Vec<u8>>,
    /// Logs that arrive after it has left.
    pub missed: usize,
}

impl Arrivals {
    /// The summary of each span that is held for `hold` after its first arrival. Logs that arrive in the very moment count.
    pub fn summaries(&self, hold: Nanos) -> HashMap<SpanKey, Summary> {
        let mut summaries: HashMap<SpanKey, Summary> =
            self.spans.keys().map(|key| (*key, Summary::default())).collect();
        for log in &self.logs {
            let Some((key, span)) = log.span.and_then(|key| Some((key, self.spans.get(&key)?))) else { continue };
            let summary = summaries.entry(key).or_default();
            if log.at > span.at + hold {
                summary.missed += 1;
                continue;
            }
            summary.logs += 1;
            match log.severity {
                13..=16 => summary.warnings += 1,
                17.. => {
                    summary.errors += 1;
                    summary.first_error.get_or_insert_with(|| log.body.clone());
                }
                _ => {}
            }
        }
        summaries
    }

    /// Of the spans that have logs: how many have all of them when they leave, in percent.
    pub fn complete_summaries(&self, hold: Nanos) -> f64 {
        let summaries = self.summaries(hold);
        let with_logs = summaries.values().filter(|summary| summary.logs + summary.missed > 0);
        let (complete, all) = with_logs
            .fold((0usize, 0usize), |(complete, all), summary| (complete + usize::from(summary.missed == 0), all + 1));
        if all == 0 { 100.0 } else { 100.0 * complete as f64 / all as f64 }
    }
}
