//! The bound of `max_size`, for every extension that has one.

use sluice_config::{ByteSize, Problems};
use sluice_pipeline::factory::field;

/// The least `max_size` of a journal (delivery §3.1).
pub(crate) const LEAST: u64 = 256 << 20;

/// Reports a `max_size` that is too small.
pub(crate) fn check(max_size: Option<ByteSize>, at: &str, problems: &mut Problems<'_>) {
    if max_size.is_some_and(|size| size.0 < LEAST) {
        problems.error(&field(at, "max_size"), "`max_size` must be at least 256MiB");
    }
}
