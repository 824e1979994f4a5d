//! How far it is, on standard error: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::Instant;

use super::count::Counts;

/// Width of the bar.
const WIDTH: usize = 24;
/// How often it is drawn, and how often a line is written.
const DRAW: Duration = Duration::from_millis(100);
const LINE: Duration = Duration::from_secs(5);

/// A bar.
pub struct Progress {
    terminal: bool,
    began: Instant,
    drawn: bool,
}

impl Progress {
    pub fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = std::io::stderr().is_terminal() && !dumb;
        Progress { terminal, began: Instant::now(), drawn: false }
    }

    /// Time between two calls of [`Progress::show`].
    pub fn interval(&self) -> Duration {
        if self.terminal { DRAW } else { LINE }
    }

    /// Shows the share that is done, if it is known, and the counts.
    pub fn show(&mut self, done: Option<f64>, counts: &Counts) {
        let line = line(done, counts, self.began.elapsed(), self.terminal);
        let mut out = std::io::stderr().lock();
        // Nobody has to look.
        let _ = if self.terminal { write!(out, "\r{line}\x1b[K") } else { writeln!(out, "{line}") };
        let _ = out.flush();
        self.drawn = self.terminal;
    }

    /// Leaves the line to the summary.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            eprint!("\r\x1b[K");
        }
    }
}

fn line(done: Option<f64>, counts: &Counts, elapsed: Duration, bar: bool) -> String {
    let (accepted, rejected) = (Counts::all(&counts.accepted), Counts::all(&counts.rejected));
    let rate = accepted as f64 / elapsed.as_secs_f64().max(0.001);
    let mut text = String::from("sending ");
    if let Some(done) = done.map(|done| done.clamp(0.0, 1.0)) {
        if bar {
            let full = (done * WIDTH as f64).round() as usize;
            text += &format!("▕{}{}▏ ", "█".repeat(full), " ".repeat(WIDTH - full));
        }
        text += &format!("{:.0}%  ", done * 100.0);
        if done > 0.01 && done < 1.0 {
            let left = elapsed.mul_f64((1.0 - done) / done).as_secs();
            text += &format!("ETA {}:{:02}  ", left / 60, left % 60);
        }
    }
    text + &format!("{accepted} accepted  {rate:.0}/s  {rejected} rejected  {} retries", counts.retries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_it_is_and_what_went_wrong() {
        let mut counts = Counts::default();
        (counts.accepted, counts.rejected, counts.retries) = ([300, 0, 0], [2, 0, 0], 1);
        let shown = line(Some(0.5), &counts, Duration::from_secs(3), true);
        assert_eq!(
            shown,
            "sending ▕████████████            ▏ 50%  ETA 0:03  300 accepted  100/s  2 rejected  1 retries"
        );
        let plain = line(None, &counts, Duration::from_secs(3), false);
        assert_eq!(plain, "sending 300 accepted  100/s  2 rejected  1 retries");
        assert!(line(Some(7.0), &counts, Duration::ZERO, true).contains("100%"));
    }
}
