//! What the engine did, counted by a worker until the batch is kept.

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
}

impl FailClosed {
    pub const ALL: [FailClosed; 3] = [FailClosed::Size, FailClosed::Depth, FailClosed::Findings];

    /// The label `reason`.
    pub fn name(self) -> &'static str {
        match self {
            FailClosed::Size => "size",
            FailClosed::Depth => "depth",
            FailClosed::Findings => "findings",
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

/// Columns of the findings table: the actions, and `dry_run`.
const ACTIONS: usize = 9;
/// The column of `dry_run`.
pub(crate) const DRY_RUN: usize = 8;

/// Counters of one worker since they were taken last.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// By source, action and place.
    findings: Vec<u64>,
    suppressed: Vec<u64>,
    pub fail_closed: [u64; 3],
    pub bytes_scanned: u64,
    /// Attributes that an ignored key exempted.
    pub values_skipped: u64,
    /// Attributes that were removed because their key is not on the allow-list.
    pub keys_removed: u64,
    /// Protobuf fields that could not be read and were removed.
    pub unknown_fields: u64,
    /// Bytes that patterns without a literal had to search.
    pub slow_lane_bytes: u64,
    any: bool,
}

impl Counts {
    pub(crate) fn new(sources: usize) -> Self {
        Counts {
            findings: vec![0; sources * ACTIONS * place::NAMES.len()],
            suppressed: vec![0; sources * Suppressed::ALL.len()],
            ..Counts::default()
        }
    }

    pub(crate) fn finding(&mut self, source: usize, action: usize, place: usize) {
        self.any = true;
        self.findings[(source * ACTIONS + action) * place::NAMES.len() + place] += 1;
    }

    pub(crate) fn suppressed(&mut self, source: usize, why: Suppressed) {
        self.any = true;
        self.suppressed[source * Suppressed::ALL.len() + why as usize] += 1;
    }

    pub(crate) fn fail_closed(&mut self, reason: FailClosed) {
        self.fail_closed[reason as usize] += 1;
    }

    /// Calls `show` with source, action, place and count of all findings.
    pub fn each_finding(&self, mut show: impl FnMut(usize, usize, &'static str, u64)) {
        if !self.any {
            return;
        }
        for (index, &count) in self.findings.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (row, place) = (index / place::NAMES.len(), index % place::NAMES.len());
            show(row / ACTIONS, row % ACTIONS, place::NAMES[place], count);
        }
    }

    /// Calls `show` with source, reason and count of everything that was left alone.
    pub fn each_suppressed(&self, mut show: impl FnMut(usize, Suppressed, u64)) {
        if !self.any {
            return;
        }
        for (index, &count) in self.suppressed.iter().enumerate().filter(|(_, count)| **count > 0) {
            show(index / Suppressed::ALL.len(), Suppressed::ALL[index % Suppressed::ALL.len()], count);
        }
    }

    /// Sets everything back to zero, keeping the tables.
    pub fn reset(&mut self) {
        if self.any {
            self.findings.fill(0);
            self.suppressed.fill(0);
            self.any = false;
        }
        self.fail_closed = [0; 3];
        (self.bytes_scanned, self.values_skipped, self.keys_removed) = (0, 0, 0);
        (self.unknown_fields, self.slow_lane_bytes) = (0, 0);
    }
}
