//! What is known of a trace, and the items it is learned from.

use sluice_pdata::view::{KeyValueView, LogRecordView, SpanView};

use super::leaves::Leaves;

/// What is known of a trace when it is decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceFacts {
    pub trace_id: [u8; 16],
    /// R, 56 bits: from `ot=rv` of the first span that has one, else the low 56 bits of the id.
    pub randomness: u64,
    /// The conditions that held for some item.
    pub leaves: Leaves,
    pub spans: u32,
    /// Spans with status ERROR.
    pub errors: u32,
    pub logs: u32,
    /// Log records with a severity of ERROR or above.
    pub log_errors: u32,
    /// Distinct `service.name`s.
    pub services: u32,
    /// Whether a span without a parent was seen.
    pub root: bool,
    /// Earliest start and latest end, unix ns. Spans whose times make no sense do not count; `None` where none does.
    pub start: Option<u64>,
    pub end: Option<u64>,
    /// Encoded bytes of its spans, for `bytes_limiting`.
    pub bytes: u64,
}

impl TraceFacts {
    /// From the earliest start to the latest end, in whole milliseconds as upstream counts; `None` if unknown.
    pub fn duration_ms(&self) -> Option<u64> {
        Some(self.end?.checked_sub(self.start?)? / 1_000_000)
    }
}

/// A span and what is around it.
#[derive(Clone, Copy, Debug)]
pub struct SpanItem<'a> {
    pub view: SpanView<'a>,
    /// Status code and attributes, where they have been read already.
    pub status: Option<i32>,
    pub attributes: Option<&'a [KeyValueView<'a>]>,
    /// The `Resource` message; empty if there is none.
    pub resource: &'a [u8],
    /// The `ResourceSpans` message or what stands for it: it holds the schema URL in field 3.
    pub resource_envelope: &'a [u8],
    /// The `InstrumentationScope` message; empty if there is none.
    pub scope: &'a [u8],
    pub scope_envelope: &'a [u8],
    /// The stage's time in unix ns, for conditions that ask for it.
    pub now: u64,
}

/// A log record and what is around it.
#[derive(Clone, Copy, Debug)]
pub struct LogItem<'a> {
    pub view: LogRecordView<'a>,
    pub resource: &'a [u8],
    pub resource_envelope: &'a [u8],
    pub scope: &'a [u8],
    pub scope_envelope: &'a [u8],
    pub now: u64,
}
