//! What has become of what was sent.

use std::collections::BTreeMap;
use std::time::Duration;

use sluice_pipeline::Signal;

/// Different texts of refusals that are remembered.
const TEXTS: usize = 8;
/// Longest text that is remembered.
const TEXT_BYTES: usize = 300;

/// Running totals.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub requests: u64,
    /// Items of requests that were sent at least once; by signal, as the others.
    pub sent: [u64; 3],
    pub accepted: [u64; 3],
    /// Refused for good, given up, or never answered.
    pub rejected: [u64; 3],
    /// Attempts beyond the first of a request.
    pub retries: u64,
    /// What the server said to refusals, and how often.
    pub refusals: BTreeMap<String, u64>,
    /// Whether a request ended without the server ever being reached.
    pub unreachable: bool,
    latency: Latency,
}

impl Counts {
    /// Remembers what a refusal said.
    pub fn refused(&mut self, text: &str) {
        let text = escaped(text);
        let known = self.refusals.len();
        match self.refusals.get_mut(&text) {
            Some(count) => *count += 1,
            None if known < TEXTS => drop(self.refusals.insert(text, 1)),
            None => *self.refusals.entry("others".to_owned()).or_default() += 1,
        }
    }

    /// How long the answer to an accepted request took.
    pub fn answered(&mut self, after: Duration) {
        self.latency.record(after);
    }

    pub fn all(counts: &[u64; 3]) -> u64 {
        counts.iter().sum()
    }

    /// Median and 99th percentile of answers; `None` without any.
    pub fn latencies(&self) -> Option<(Duration, Duration)> {
        Some((self.latency.quantile(0.5)?, self.latency.quantile(0.99)?))
    }

    /// Of the signals that were sent, in words: `120 spans, 40 log records`.
    pub fn words(counts: &[u64; 3], sent: &[u64; 3]) -> String {
        let word = |signal: Signal| match signal {
            Signal::Traces => "spans",
            Signal::Metrics => "data points",
            Signal::Logs => "log records",
        };
        let some: Vec<_> = Signal::ALL
            .into_iter()
            .filter(|signal| sent[*signal as usize] > 0)
            .map(|signal| format!("{} {}", counts[signal as usize], word(signal)))
            .collect();
        if some.is_empty() { "nothing".to_owned() } else { some.join(", ") }
    }
}

/// A server's text, safe for a terminal.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for letter in text.chars() {
        if safe.len() > TEXT_BYTES {
            safe.push('…');
            break;
        }
        if letter.is_control() { safe.extend(letter.escape_default()) } else { safe.push(letter) }
    }
    safe
}

/// Times in buckets that grow by 5 %, from a microsecond on.
#[derive(Clone, Debug, Default)]
struct Latency {
    counts: BTreeMap<u16, u64>,
    total: u64,
}

const GROWTH: f64 = 1.05;

impl Latency {
    fn record(&mut self, time: Duration) {
        let micros = time.as_secs_f64() * 1e6;
        let bucket = if micros > 1.0 { micros.log(GROWTH).ceil() as u16 } else { 0 };
        *self.counts.entry(bucket).or_default() += 1;
        self.total += 1;
    }

    fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let (bucket, _) = self.counts.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        })?;
        Some(Duration::from_secs_f64(GROWTH.powi(i32::from(*bucket)) / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        (1..=1000).for_each(|millis| latency.record(Duration::from_millis(millis)));
        for (share, millis) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = latency.quantile(share).unwrap().as_secs_f64() * 1e3;
            assert!(found >= millis && found <= millis * 1.06, "{found} for {millis}");
        }
    }

    #[test]
    fn refusals_are_bounded_and_harmless() {
        let mut counts = Counts::default();
        (0..20).for_each(|number| counts.refused(&format!("no {number}")));
        counts.refused("no 1");
        assert_eq!((counts.refusals.len(), counts.refusals["others"], counts.refusals["no 1"]), (9, 12, 2));
        let mut one = Counts::default();
        one.refused(&format!("\u{1b}[2J{}", "x".repeat(5_000)));
        let text = one.refusals.keys().next().unwrap();
        assert!(text.starts_with("\\u{1b}[2J") && text.len() < 400, "{text}");
    }
}
