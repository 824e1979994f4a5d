//! `sending_queue` (collector-compat §2.7, delivery §4.1). The queue is the exporter's cursor on the spine.

use serde::{Deserialize, Serialize};
use sluice_config::{ByteSize, GoDuration, Problems, Toggle};

use crate::factory::{Validate, field};
use crate::processor::{Batching, Sizer};
use crate::spine::OnQuota;

/// `sending_queue`. Off means that payloads are sent before the request is acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SendingQueue {
    /// Upper bound of concurrent sends; 32 unless written.
    pub num_consumers: Option<i64>,
    /// A further quota in units of `sizer`; bytes only unless written.
    pub queue_size: Option<i64>,
    /// What `queue_size` counts.
    pub sizer: Option<Sizer>,
    /// Wait for room before refusing.
    pub block_on_overflow: bool,
    /// Answer only after the export.
    pub wait_for_result: bool,
    /// Id of the extension that keeps the queue.
    pub storage: Option<String>,
    /// How payloads are merged and split.
    pub batch: Toggle<QueueBatch>,
    /// Most bytes of backlog; an equal share of the log unless written.
    pub max_bytes: Option<ByteSize>,
    /// Age from which on entries are dropped; never unless written.
    pub max_age: Option<GoDuration>,
    /// What happens when the quota is used up.
    pub on_quota: OnQuota,
    /// Losing data at the quota is accepted.
    pub loss_tolerant: bool,
}

impl SendingQueue {
    /// What the quota counts.
    pub fn sizer(&self) -> Sizer {
        self.sizer.unwrap_or_default()
    }

    /// The further quota, if written.
    pub fn queue_quota(&self) -> Option<(u64, Sizer)> {
        self.queue_size.and_then(|size| u64::try_from(size).ok()).map(|size| (size, self.sizer()))
    }

    /// The merge policy, if written; else whatever is readable is merged, without waiting.
    pub fn batching(&self) -> Option<Batching> {
        let batch = self.batch.as_ref()?;
        Some(Batching {
            flush_timeout: *batch.flush_timeout,
            min_size: u64::try_from(batch.min_size).unwrap_or(0),
            max_size: u64::try_from(batch.max_size).unwrap_or(0),
            sizer: batch.sizer(self.sizer),
            metadata_keys: batch.partition.metadata_keys.iter().map(|key| key.to_ascii_lowercase()).collect(),
        })
    }
}

impl Validate for SendingQueue {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.num_consumers.is_some_and(|number| number <= 0) {
            problems.error(&field(at, "num_consumers"), "`num_consumers` must be positive");
        }
        if self.queue_size.is_some_and(|size| size <= 0) {
            problems.error(&field(at, "queue_size"), "`queue_size` must be positive");
        }
        if self.wait_for_result && self.storage.is_some() {
            let text = "`wait_for_result` is not supported with a persistent queue configured with `storage`";
            problems.error(&field(at, "wait_for_result"), text);
        }
        if self.on_quota != OnQuota::Reject && !self.loss_tolerant {
            let text = format!("`on_quota: {}` loses data: it needs `loss_tolerant: true`", self.on_quota.name());
            problems.error(&field(at, "on_quota"), text);
        }
        if let Some(batch) = self.batch.as_ref() {
            let at = field(at, "batch");
            batch.validate(&at, problems);
            if let Some(queue_size) = self.queue_size
                && batch.sizer(self.sizer) == self.sizer()
                && batch.min_size > queue_size
            {
                problems.error(&field(&at, "min_size"), "`min_size` must be less than or equal to `queue_size`");
            }
        }
    }
}

/// `sending_queue::batch`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueBatch {
    /// How long a payload waits for more.
    pub flush_timeout: GoDuration,
    /// It goes at this size.
    pub min_size: i64,
    /// 0 for no split.
    pub max_size: i64,
    /// Items; the queue's own sizer if only that is written.
    pub sizer: Option<Sizer>,
    /// What is never merged.
    pub partition: Partition,
}

impl Default for QueueBatch {
    fn default() -> Self {
        QueueBatch {
            flush_timeout: GoDuration::from_millis(200),
            min_size: 8192,
            max_size: 0,
            sizer: None,
            partition: Partition::default(),
        }
    }
}

impl QueueBatch {
    fn sizer(&self, of_queue: Option<Sizer>) -> Sizer {
        self.sizer.or(of_queue).unwrap_or(Sizer::Items)
    }
}

impl Validate for QueueBatch {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.sizer == Some(Sizer::Requests) {
            let text = "`batch` supports only `items` or `bytes` sizer, found \"requests\"";
            problems.error(&field(at, "sizer"), text);
        }
        if self.flush_timeout.is_zero() {
            problems.error(&field(at, "flush_timeout"), "`flush_timeout` must be positive, found 0");
        }
        if self.min_size < 0 {
            let text = format!("`min_size` must be non-negative, found {}", self.min_size);
            problems.error(&field(at, "min_size"), text);
        }
        if self.max_size < 0 {
            let text = format!("`max_size` must be non-negative, found {}", self.max_size);
            problems.error(&field(at, "max_size"), text);
        }
        if self.max_size > 0 && self.max_size < self.min_size {
            let text =
                format!("`max_size` ({}) must be greater or equal to `min_size` ({})", self.max_size, self.min_size);
            problems.error(&field(at, "max_size"), text);
        }
        self.partition.validate(&field(at, "partition"), problems);
    }
}

/// `sending_queue::batch::partition`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Partition {
    /// Request headers by whose values payloads are kept apart, in any case.
    pub metadata_keys: Vec<String>,
}

impl Validate for Partition {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        let keys = &self.metadata_keys;
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|earlier| earlier.eq_ignore_ascii_case(key)) {
                let text = format!("duplicate entry in metadata_keys: {:?} (case-insensitive)", key.to_lowercase());
                problems.error(&field(at, &format!("metadata_keys::{index}")), text);
            }
        }
    }
}
