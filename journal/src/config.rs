//! The settings of a journal and of its destinations: plain data.

use std::time::Duration;

use crate::bugs::Bugs;
use crate::error::Error;
use crate::format::{Chain, PAGE, routes::NAME_BYTES};

const MIB: u64 = 1 << 20;
/// Share of the disk budget that only stages may fill (delivery §3.10).
const DERIVED_SHARE: u64 = 3;
/// Segments that traffic within its quota may still use when others are over theirs.
pub(crate) const RESERVED_SEGMENTS: u64 = 1;

/// Settings of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Most bytes on disk.
    pub max_size: u64,
    pub segment_size: u64,
    /// Set free only for compaction on a full disk.
    pub ballast: u64,
    /// Whether stages write derived records, which then have a third of the room to themselves.
    pub stages: bool,
    /// Compress each record with zstd, level 1.
    pub compress: bool,
    /// Most bytes that wait to be written.
    pub queue_bytes: u64,
    /// Most bytes of recent records that stay in memory for readers that keep up.
    pub tail_bytes: u64,
    /// How long the backlog of a destination that is not configured any more is kept.
    pub detach_grace: Duration,
    /// Most bytes of quarantined ranges; the oldest are removed.
    pub quarantine_bytes: u64,
    /// After an unclean stop, records this far behind the newest one handed out are read one by one, for the one that may
    /// have killed the process.
    pub suspect_range: u64,
    /// Payloads from this length on begin at a page of the file: a disk can read them where they are in memory.
    pub page_from: usize,
    /// Deliberate faults that the simulation must notice.
    pub bugs: Bugs,
}

impl Config {
    /// The settings for a disk budget. Below 1 GiB, segments and ballast shrink with it.
    pub fn sized(max_size: u64) -> Self {
        let share = (max_size / 16).clamp(8 * MIB, 64 * MIB);
        Config {
            max_size,
            segment_size: share,
            ballast: share,
            stages: false,
            compress: false,
            queue_bytes: 64 * MIB,
            tail_bytes: 64 * MIB,
            detach_grace: Duration::from_secs(24 * 3600),
            quarantine_bytes: 64 * MIB,
            suspect_range: 1000,
            page_from: 128 << 10,
            bugs: Bugs::default(),
        }
    }

    /// # Errors
    /// [`Error::Config`], saying which bound was passed.
    pub fn validate(&self) -> Result<(), Error> {
        if self.max_size < 256 * MIB {
            return Err(Error::Config("`max_size` must be at least 256MiB".to_owned()));
        }
        if !(8 * MIB..=1024 * MIB).contains(&self.segment_size) || !self.segment_size.is_multiple_of(PAGE) {
            return Err(Error::Config("`segment_size` must be a multiple of 4KiB between 8MiB and 1GiB".to_owned()));
        }
        if self.segment_size > self.max_size / 16 {
            return Err(Error::Config("`segment_size` must be at most a sixteenth of `max_size`".to_owned()));
        }
        Ok(())
    }

    /// Bytes that the segments of a chain may use. Ballast and the spare segment are paid for first.
    pub(crate) fn capacity(&self, chain: Chain) -> u64 {
        let room = self.max_size.saturating_sub(self.ballast + self.segment_size);
        let derived = if self.stages { room / DERIVED_SHARE } else { 0 };
        match chain {
            Chain::Main => room - derived,
            // Even without stages, so that a journal which had some can be drained.
            Chain::Derived => derived.max(2 * self.segment_size),
        }
    }

    /// Largest record, header included: half a segment, 32 MiB with the usual one.
    pub fn max_record(&self) -> u64 {
        self.segment_size / 2
    }
}

/// What happens to new records at the quota of a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnQuota {
    /// The request is refused once the journal has no room beyond the quotas either.
    #[default]
    Reject,
    /// The oldest records are dropped for this destination.
    DropOldest,
    /// The new record is not kept for this destination.
    DropNewest,
}

/// What a destination may hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// `None` for an equal share.
    pub max_bytes: Option<u64>,
    pub max_records: Option<u64>,
    pub max_items: Option<u64>,
    /// Older records are dropped.
    pub max_age: Option<Duration>,
    pub on_quota: OnQuota,
    /// `max_records` and `max_items` refuse at once, and not only when the journal is full.
    pub strict: bool,
}

/// A destination as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestSpec {
    /// The identity of its cursor.
    pub name: String,
    pub quota: Quota,
    /// It completes in order, up to a watermark, and may read any distance ahead.
    pub stage: bool,
}

impl DestSpec {
    pub fn new(name: impl Into<String>) -> Self {
        DestSpec { name: name.into(), ..DestSpec::default() }
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        if self.name.is_empty() || self.name.len() > NAME_BYTES || crate::names::encode(&self.name).len() > 240 {
            return Err(Error::Config(format!("the id `{}` is too long for the journal", self.name)));
        }
        Ok(())
    }
}
