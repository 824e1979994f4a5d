//! Lazy, zero-copy views over OTLP messages.
//!
//! A view borrows the bytes of one message and reads from them when asked. Semantics are protobuf's: fields may come in any
//! order, the last occurrence of a singular scalar wins, occurrences of a singular message merge, the last member of a oneof
//! wins, scalars of repeated fields may be packed or not, and what is unknown is skipped. A known field with a foreign wire
//! type counts as unknown.
//!
//! Views over items never fail half-way: [`fields`](crate::wire::fields) errors surface where they are met, as `Err`.
//! String accessors return bytes, because OTLP peers do send strings that are not UTF-8; [`text`] repairs them for targets
//! that need UTF-8.

mod any_value;
mod common;
mod flat;
mod logs;
mod metrics;
mod trace;

pub use any_value::{AnyValueView, Elements, ElementsIter, KeyValueView, KvListIter};
pub(crate) use common::pair;
pub use common::{AttributesView, Messages, ResourceView, Scalars, ScopeView, attribute, last_varint};
pub use logs::{LogRecordView, LogsView, ResourceLogsView, ScopeLogsView};
pub use metrics::{
    BucketsView, DataView, ExemplarView, ExponentialHistogramDataPointView, HistogramDataPointView, MetricView,
    MetricsView, NumberDataPointView, NumberValue, ResourceMetricsView, ScopeMetricsView, SummaryDataPointView,
    Temporality, ValueAtQuantileView, data_member,
};
pub use trace::{EventView, LinkView, ResourceSpansView, ScopeSpansView, SpanView, StatusView, TracesView};

use std::borrow::Cow;

/// A string field as text, with each ill-formed sequence replaced by U+FFFD. Borrows when it is UTF-8 already.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
