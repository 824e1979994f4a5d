//! What is shown of each attack, and what it is held against.

use std::fmt::Write as _;
use std::time::Duration;

use super::good::Served;

/// Growth of resident memory that no attack may reach.
pub const MOST_GROWTH: u64 = 64 << 20;

/// How one attack went.
pub struct Row {
    pub attack: String,
    /// What it came over.
    pub wire: &'static str,
    /// Names of answers that are right, with `|` between them.
    pub expected: &'static str,
    /// Each answer that was seen, and how often.
    pub seen: Vec<(String, usize)>,
    /// Why refusals were counted, and how many were.
    pub counted: Option<(&'static str, u64)>,
    pub growth: u64,
    pub beside: Served,
    /// Their p99 when they were alone.
    pub alone: Duration,
    /// Slower good clients than this are too slow.
    pub p99_allowed: Duration,
    /// How often it was looked at until they were served in time, or given up.
    pub tries: usize,
}

impl Row {
    /// Attacks that were answered or cut.
    pub fn rounds(&self) -> usize {
        self.seen.iter().map(|(_, times)| times).sum()
    }

    /// Whether the good clients were served in time.
    pub fn is_in_time(&self) -> bool {
        self.beside.p99() <= self.p99_allowed
    }

    /// What is wrong, a line each.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |is_right: bool, fault: String| {
            if !is_right {
                faults.push(format!("{} over {}: {fault}", self.attack, self.wire));
            }
        };
        let right: Vec<&str> = self.expected.split('|').collect();
        for (answer, times) in &self.seen {
            check(right.contains(&answer.as_str()), format!("{answer} {times} times instead of {}", self.expected));
        }
        check(self.rounds() > 0, "it did not take place".to_owned());
        if let Some((cause, counted)) = self.counted {
            let fault = format!("{counted} counted as {cause} instead of {}", self.rounds());
            check(counted >= self.rounds() as u64, fault);
        }
        check(self.growth < MOST_GROWTH, format!("resident memory grew by {} MiB", self.growth >> 20));
        let errors = &self.beside.errors;
        check(errors.is_empty(), format!("{} errors of good clients, first {:?}", errors.len(), errors.first()));
        check(self.beside.requests() > 0, "no good client was served beside it".to_owned());
        let slow = format!("p99 of good clients {:?} instead of {:?}", self.beside.p99(), self.alone);
        check(self.is_in_time(), slow);
        faults
    }
}

/// The rows under their headings.
pub fn shown(title: &str, rows: &[Row]) -> String {
    let mut text = format!("\n{title}\n");
    let heading = ("attack", "wire", "expected", "seen", "counted", "RSS +MiB", "good: requests", "errors", "p99 ms");
    let (a, b, c, d, e, f, g, h, i) = heading;
    let _ = writeln!(text, "{a:<46} {b:<6} {c:<28} {d:<44} {e:<22} {f:>8} {g:>14} {h:>6}  {i} (tries)");
    for row in rows {
        let seen: Vec<String> = row.seen.iter().map(|(answer, times)| format!("{answer} ×{times}")).collect();
        let counted = row.counted.map(|(cause, times)| format!("{cause} {times}")).unwrap_or_default();
        let millis = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
        let _ = writeln!(
            text,
            "{:<46} {:<6} {:<28} {:<44} {:<22} {:>8.1} {:>14} {:>6}  {} → {} ({})",
            row.attack,
            row.wire,
            row.expected,
            seen.join(", "),
            counted,
            row.growth as f64 / f64::from(1 << 20),
            row.beside.requests(),
            row.beside.errors.len(),
            millis(row.alone),
            millis(row.beside.p99()),
            row.tries,
        );
    }
    text
}
