//! Why items are dropped: a closed list, so that dashboards and alerts can name every reason.

use sluice_pdata::pass::Reason;

pub const FILTER: Reason = "filter";
pub const SAMPLED: Reason = "sampled";
pub const DEDUP: Reason = "dedup";
pub const INVALID: Reason = "invalid";
pub const LIMIT_DEPTH: Reason = "limit_depth";
pub const LIMIT_SIZE: Reason = "limit_size";
pub const LIMIT_CARDINALITY: Reason = "limit_cardinality";
pub const PANIC: Reason = "panic";
pub const REDACTION_FAILED: Reason = "redaction_failed";
pub const UNSUPPORTED: Reason = "unsupported";
pub const PERMANENT_ERROR: Reason = "permanent_error";
/// The destination failed in a way that no retry cures (INTERNAL, UNKNOWN, 5xx).
pub const SERVER_ERROR: Reason = "server_error";
/// Not delivered within `max_elapsed_time`, or by the only attempt.
pub const RETRIES_EXHAUSTED: Reason = "retries_exhausted";
pub const PEER_PARTIAL_SUCCESS: Reason = "peer_partial_success";
pub const DLQ_FULL: Reason = "dlq_full";
pub const DLQ_EXPIRED: Reason = "dlq_expired";
pub const QUOTA_DROP_OLDEST: Reason = "quota_drop_oldest";
pub const QUOTA_DROP_NEWEST: Reason = "quota_drop_newest";
pub const MAX_AGE: Reason = "max_age";
pub const CORRUPT: Reason = "corrupt";
pub const DETACHED_DESTINATION: Reason = "detached_destination";
pub const SOURCE_NOT_REPLAYABLE: Reason = "source_not_replayable";
pub const SHUTDOWN_MEMORY_MODE: Reason = "shutdown_memory_mode";
pub const OPERATOR_PURGE: Reason = "operator_purge";

/// The core list. Components register further ones with their factory.
pub const CORE: &[Reason] = &[
    FILTER,
    SAMPLED,
    DEDUP,
    INVALID,
    LIMIT_DEPTH,
    LIMIT_SIZE,
    LIMIT_CARDINALITY,
    PANIC,
    REDACTION_FAILED,
    UNSUPPORTED,
    PERMANENT_ERROR,
    SERVER_ERROR,
    RETRIES_EXHAUSTED,
    PEER_PARTIAL_SUCCESS,
    DLQ_FULL,
    DLQ_EXPIRED,
    QUOTA_DROP_OLDEST,
    QUOTA_DROP_NEWEST,
    MAX_AGE,
    CORRUPT,
    DETACHED_DESTINATION,
    SOURCE_NOT_REPLAYABLE,
    SHUTDOWN_MEMORY_MODE,
    OPERATOR_PURGE,
];

/// Whether a drop means that the sender's data was at fault, so that it is told in `partial_success` (delivery §6).
pub fn is_rejection(reason: Reason) -> bool {
    [INVALID, LIMIT_DEPTH, LIMIT_SIZE, LIMIT_CARDINALITY, PANIC, REDACTION_FAILED].contains(&reason)
}
