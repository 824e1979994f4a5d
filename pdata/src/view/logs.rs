//! Logs: request, resource and scope envelopes, log records.

use super::any_value::AnyValueView;
use super::common::{AttributesView, Messages, ResourceView, ScopeView, last_len};
use super::flat::flat_view;
use crate::error::Error;
use crate::tags::{log_record, logs_request, resource_logs, scope_logs};

/// An `ExportLogsServiceRequest` (or `LogsData`).
#[derive(Clone, Copy, Debug)]
pub struct LogsView<'a>(pub &'a [u8]);

impl<'a> LogsView<'a> {
    pub fn resource_logs(self) -> impl Iterator<Item = Result<ResourceLogsView<'a>, Error>> + Clone {
        Messages::new(self.0, logs_request::RESOURCE_LOGS).map(|bytes| bytes.map(ResourceLogsView))
    }
}

/// A `ResourceLogs` whose resource occurs at most once ([`crate::framing`]).
#[derive(Clone, Copy, Debug)]
pub struct ResourceLogsView<'a>(pub &'a [u8]);

impl<'a> ResourceLogsView<'a> {
    pub fn resource(self) -> Result<ResourceView<'a>, Error> {
        last_len(self.0, resource_logs::RESOURCE).map(ResourceView)
    }
    pub fn schema_url(self) -> Result<&'a [u8], Error> {
        last_len(self.0, resource_logs::SCHEMA_URL)
    }
    pub fn scope_logs(self) -> impl Iterator<Item = Result<ScopeLogsView<'a>, Error>> + Clone {
        Messages::new(self.0, resource_logs::SCOPE_LOGS).map(|bytes| bytes.map(ScopeLogsView))
    }
}

/// A `ScopeLogs` whose scope occurs at most once.
#[derive(Clone, Copy, Debug)]
pub struct ScopeLogsView<'a>(pub &'a [u8]);

impl<'a> ScopeLogsView<'a> {
    pub fn scope(self) -> Result<ScopeView<'a>, Error> {
        last_len(self.0, scope_logs::SCOPE).map(ScopeView)
    }
    pub fn schema_url(self) -> Result<&'a [u8], Error> {
        last_len(self.0, scope_logs::SCHEMA_URL)
    }
    pub fn log_records(self) -> impl Iterator<Item = Result<LogRecordView<'a>, Error>> + Clone {
        Messages::new(self.0, scope_logs::LOG_RECORDS).map(|bytes| bytes.and_then(LogRecordView::parse))
    }
}

flat_view! {
    /// A `LogRecord`. Scalars are read at once, body and attributes on demand.
    LogRecordView {
        time_unix_nano: fixed64 = log_record::TIME_UNIX_NANO,
        observed_time_unix_nano: fixed64 = log_record::OBSERVED_TIME_UNIX_NANO,
        severity_number: varint_i32 = log_record::SEVERITY_NUMBER,
        severity_text: bytes = log_record::SEVERITY_TEXT,
        dropped_attributes_count: varint_u32 = log_record::DROPPED_ATTRIBUTES_COUNT,
        flags: fixed32 = log_record::FLAGS,
        trace_id: bytes = log_record::TRACE_ID,
        span_id: bytes = log_record::SPAN_ID,
        event_name: bytes = log_record::EVENT_NAME,
    }
}

impl<'a> LogRecordView<'a> {
    pub fn attributes(&self) -> AttributesView<'a> {
        AttributesView::new(self.bytes, log_record::ATTRIBUTES)
    }
    /// The body; an absent one reads as [`AnyValueView::Empty`].
    pub fn body(&self) -> Result<AnyValueView<'a>, Error> {
        Ok(AnyValueView::of_field(self.bytes, log_record::BODY)?.unwrap_or(AnyValueView::Empty))
    }
}
