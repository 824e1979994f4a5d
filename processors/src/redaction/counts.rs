//! What the engine did, counted by a worker until the batch is kept.

use super::config::Action;
use super::place;

/// Why a value was masked whole, or its item dropped, although nothing was found in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailClosed {
    /// Larger than `max_value_bytes`.
    Size,
    /// Deeper than `max_depth`.
    Depth,
    /// More findings than a value may have.
    Findings,
    /// The message has no canonical form within the limits.
    Parse,
    /// A detector panicked; the item was dropped.
    Panic,
}

impl FailClosed {
    pub const ALL: [FailClosed; 5] =
        [FailClosed::Size, FailClosed::Depth, FailClosed::Findings, FailClosed::Parse, FailClosed::Panic];

    /// The label `reason`.
    pub fn name(self) -> &'static str {
        match self {
            FailClosed::Size => "size",
            FailClosed::Depth => "depth",
            FailClosed::Findings => "findings",
            FailClosed::Parse => "parse",
            FailClosed::Panic => "panic",
        }
    }
}

/// Why something that looked like a finding was left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suppressed {
    Allow,
    Threshold,
    /// Below the threshold because of an excluded word.
    Context,
}

impl Suppressed {
    pub const ALL: [Suppressed; 3] = [Suppressed::Allow, Suppressed::Threshold, Suppressed::Context];

    /// The label `why`.
    pub fn name(self) -> &'static str {
        match self {
            Suppressed::Allow => "allow",
            Suppressed::Threshold => "threshold",
            Suppressed::Context => "context",
        }
    }
}

/// The column of `dry_run`, behind those of the actions.
pub(crate) const DRY_RUN: usize = Action::ALL.len();
const COLUMNS: usize = DRY_RUN + 1;

/// Counts without labels of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By [`FailClosed`].
    pub fail_closed: [u64; FailClosed::ALL.len()],
    pub bytes_scanned: u64,
    /// Attributes that an ignored key exempted.
    pub values_skipped: u64,
    /// Attributes that were removed because their key is not on the allow-list.
    pub keys_removed: u64,
    /// Protobuf fields that could not be read and were removed.
    pub unknown_fields: u64,
    /// Bytes that patterns without a literal had to search.
    pub slow_lane_bytes: u64,
}

/// Counters of one worker since they were reset last.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// By source, action and place.
    findings: Vec<u64>,
    /// By source and reason.
    suppressed: Vec<u64>,
    pub tally: Tally,
    /// Cells of `findings`, and behind them of `suppressed`, that were counted up since the last mark.
    since: Vec<u32>,
    marked: Tally,
    any: bool,
    paused: bool,
}

impl Counts {
    pub(crate) fn new(sources: usize) -> Self {
        Counts {
            findings: vec![0; sources * COLUMNS * place::NAMES.len()],
            suppressed: vec![0; sources * Suppressed::ALL.len()],
            ..Counts::default()
        }
    }

    /// Remembers the counts as they are, for [`Counts::back_to_mark`].
    #[inline]
    pub(crate) fn mark(&mut self) {
        self.since.clear();
        self.marked = self.tally;
    }

    /// Takes back what was counted since the mark.
    pub(crate) fn back_to_mark(&mut self) {
        self.tally = self.marked;
        for cell in self.since.drain(..) {
            let cell = cell as usize;
            match cell.checked_sub(self.findings.len()) {
                None => self.findings[cell] -= 1,
                Some(cell) => self.suppressed[cell] -= 1,
            }
        }
    }

    /// Lets findings go uncounted, or no longer.
    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    pub(crate) fn finding(&mut self, source: usize, column: usize, place: usize) {
        if self.paused {
            return;
        }
        self.any = true;
        let cell = (source * COLUMNS + column) * place::NAMES.len() + place;
        self.findings[cell] += 1;
        self.since.push(cell as u32);
    }

    pub(crate) fn suppressed(&mut self, source: usize, why: Suppressed) {
        if self.paused {
            return;
        }
        self.any = true;
        let cell = source * Suppressed::ALL.len() + why as usize;
        self.suppressed[cell] += 1;
        self.since.push((self.findings.len() + cell) as u32);
    }

    pub(crate) fn fail_closed(&mut self, reason: FailClosed) {
        self.tally.fail_closed[reason as usize] += 1;
    }

    /// Calls `show` with source, column (an action, or `dry_run`), place and count of all findings.
    pub(crate) fn each_finding(&self, mut show: impl FnMut(usize, usize, &'static str, u64)) {
        if !self.any {
            return;
        }
        for (index, &count) in self.findings.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (row, place) = (index / place::NAMES.len(), index % place::NAMES.len());
            show(row / COLUMNS, row % COLUMNS, place::NAMES[place], count);
        }
    }

    /// Calls `show` with source, reason and count of everything that was left alone.
    pub(crate) fn each_suppressed(&self, mut show: impl FnMut(usize, Suppressed, u64)) {
        if !self.any {
            return;
        }
        for (index, &count) in self.suppressed.iter().enumerate().filter(|(_, count)| **count > 0) {
            show(index / Suppressed::ALL.len(), Suppressed::ALL[index % Suppressed::ALL.len()], count);
        }
    }

    /// Sets everything back to zero, keeping the tables.
    pub(crate) fn reset(&mut self) {
        if self.any {
            self.findings.fill(0);
            self.suppressed.fill(0);
            self.any = false;
        }
        self.since.clear();
        self.tally = Tally::default();
    }
}
