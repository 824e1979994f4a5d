//! What each target pushed last, so that its series can be ended when it falls silent (`up`, Stale markers for the target's
//! own series). In memory only: it may not be redacted yet.

use std::collections::HashMap;
use std::sync::Arc;

use super::config::StaleTrackerConfig;
use super::state::{Mono, Timing};

/// The batches of the last interval of each target, compressed.
#[derive(Debug)]
pub struct StaleTracker {
    limits: StaleTrackerConfig,
    targets: HashMap<u32, Vec<Kept>, ahash::RandomState>,
    /// Compressed bytes of all targets.
    bytes: usize,
    degraded: u64,
}

/// One batch, or the knowledge that it was too much to be kept.
#[derive(Debug)]
struct Kept {
    /// Which series it has, whatever their values.
    series: u64,
    at: Mono,
    /// None if it did not fit.
    compressed: Option<Arc<[u8]>>,
}

impl Kept {
    fn len(&self) -> usize {
        self.compressed.as_ref().map_or(0, |compressed| compressed.len())
    }
}

impl StaleTracker {
    /// A tracker that knows no target.
    pub fn new(limits: StaleTrackerConfig) -> Self {
        StaleTracker { limits, targets: HashMap::default(), bytes: 0, degraded: 0 }
    }

    /// A target pushed series with this hash. False if their bytes are not known and did not come with it: they are wanted
    /// with the next push.
    pub fn pushed(&mut self, target: u32, timing: &Timing, at: Mono, series: u64, bytes: Option<&[u8]>) -> bool {
        let kept = self.targets.entry(target).or_default();
        kept.retain(|kept| {
            let stays = kept.series == series || kept.at.saturating_add(timing.late) >= at;
            self.bytes -= if stays { 0 } else { kept.len() };
            stays
        });
        if let Some(known) = kept.iter_mut().find(|kept| kept.series == series) {
            known.at = at;
            return true;
        }
        let Some(bytes) = bytes else {
            if kept.is_empty() {
                self.targets.remove(&target);
            }
            return false;
        };
        let compressed = (!bytes.is_empty()).then(|| zstd::bulk::compress(bytes, 1).ok()).flatten().map(Arc::from);
        let used: usize = kept.iter().map(Kept::len).sum();
        let fits = |compressed: &Arc<[u8]>| {
            used + compressed.len() <= self.limits.max_bytes_per_target
                && self.bytes + compressed.len() <= self.limits.max_bytes
        };
        let compressed = compressed.filter(fits);
        self.degraded += u64::from(compressed.is_none());
        let new = Kept { series, at, compressed };
        self.bytes += new.len();
        kept.push(new);
        true
    }

    /// What a target pushed last. Nothing if any of it did not fit: a part would make a target that is half stale.
    pub fn last_pushed(&self, target: u32) -> Vec<Arc<[u8]>> {
        let kept = self.targets.get(&target).into_iter().flatten();
        kept.map(|kept| kept.compressed.clone()).collect::<Option<Vec<_>>>().unwrap_or_default()
    }

    /// A target is expected no more.
    pub fn forget(&mut self, target: u32) {
        let kept = self.targets.remove(&target).unwrap_or_default();
        self.bytes -= kept.iter().map(Kept::len).sum::<usize>();
    }

    /// Compressed bytes of all targets.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Batches that were too much to be kept.
    pub fn degraded(&self) -> u64 {
        self.degraded
    }
}
