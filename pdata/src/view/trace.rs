//! Traces: request, resource and scope envelopes, spans, events, links.

use super::common::{AttributesView, Messages, ResourceView, ScopeView, last_len};
use super::flat::flat_view;
use crate::error::Error;
use crate::tags::{resource_spans, scope_spans, span, span_event, span_link, status, traces_request};
use crate::wire::{Value, fields};

/// An `ExportTraceServiceRequest` (or `TracesData`: the same bytes).
#[derive(Clone, Copy, Debug)]
pub struct TracesView<'a>(pub &'a [u8]);

impl<'a> TracesView<'a> {
    pub fn resource_spans(self) -> impl Iterator<Item = Result<ResourceSpansView<'a>, Error>> + Clone {
        Messages::new(self.0, traces_request::RESOURCE_SPANS).map(|bytes| bytes.map(ResourceSpansView))
    }
}

/// A `ResourceSpans` whose resource occurs at most once ([`crate::framing`]).
#[derive(Clone, Copy, Debug)]
pub struct ResourceSpansView<'a>(pub &'a [u8]);

impl<'a> ResourceSpansView<'a> {
    pub fn resource(self) -> Result<ResourceView<'a>, Error> {
        last_len(self.0, resource_spans::RESOURCE).map(ResourceView)
    }
    pub fn schema_url(self) -> Result<&'a [u8], Error> {
        last_len(self.0, resource_spans::SCHEMA_URL)
    }
    pub fn scope_spans(self) -> impl Iterator<Item = Result<ScopeSpansView<'a>, Error>> + Clone {
        Messages::new(self.0, resource_spans::SCOPE_SPANS).map(|bytes| bytes.map(ScopeSpansView))
    }
}

/// A `ScopeSpans` whose scope occurs at most once.
#[derive(Clone, Copy, Debug)]
pub struct ScopeSpansView<'a>(pub &'a [u8]);

impl<'a> ScopeSpansView<'a> {
    pub fn scope(self) -> Result<ScopeView<'a>, Error> {
        last_len(self.0, scope_spans::SCOPE).map(ScopeView)
    }
    pub fn schema_url(self) -> Result<&'a [u8], Error> {
        last_len(self.0, scope_spans::SCHEMA_URL)
    }
    pub fn spans(self) -> impl Iterator<Item = Result<SpanView<'a>, Error>> + Clone {
        Messages::new(self.0, scope_spans::SPANS).map(|bytes| bytes.and_then(SpanView::parse))
    }
}

flat_view! {
    /// A `Span`. Scalars are read at once, attributes, events and links on demand.
    SpanView {
        trace_id: bytes = span::TRACE_ID,
        span_id: bytes = span::SPAN_ID,
        trace_state: bytes = span::TRACE_STATE,
        parent_span_id: bytes = span::PARENT_SPAN_ID,
        name: bytes = span::NAME,
        kind: varint_i32 = span::KIND,
        start_time_unix_nano: fixed64 = span::START_TIME_UNIX_NANO,
        end_time_unix_nano: fixed64 = span::END_TIME_UNIX_NANO,
        dropped_attributes_count: varint_u32 = span::DROPPED_ATTRIBUTES_COUNT,
        dropped_events_count: varint_u32 = span::DROPPED_EVENTS_COUNT,
        dropped_links_count: varint_u32 = span::DROPPED_LINKS_COUNT,
        flags: fixed32 = span::FLAGS,
    }
}

impl<'a> SpanView<'a> {
    pub fn attributes(&self) -> AttributesView<'a> {
        AttributesView::new(self.bytes, span::ATTRIBUTES)
    }
    pub fn events(&self) -> impl Iterator<Item = Result<EventView<'a>, Error>> + Clone + use<'a> {
        Messages::new(self.bytes, span::EVENTS).map(|bytes| bytes.and_then(EventView::parse))
    }
    pub fn links(&self) -> impl Iterator<Item = Result<LinkView<'a>, Error>> + Clone + use<'a> {
        Messages::new(self.bytes, span::LINKS).map(|bytes| bytes.and_then(LinkView::parse))
    }
    /// The status, merged from all its occurrences; `None` if there is none.
    pub fn status(&self) -> Result<Option<StatusView<'a>>, Error> {
        let mut merged: Option<StatusView<'a>> = None;
        for part in Messages::new(self.bytes, span::STATUS) {
            let view = merged.get_or_insert_default();
            for field in fields(part?) {
                let field = field?;
                match (field.number, field.value) {
                    (status::MESSAGE, Value::Len(message)) => view.message = message,
                    (status::CODE, Value::Varint(code)) => view.code = code as i32,
                    _ => {}
                }
            }
        }
        Ok(merged)
    }
}

/// A `Status`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusView<'a> {
    pub message: &'a [u8],
    /// `Status.StatusCode`: 0 unset, 1 ok, 2 error.
    pub code: i32,
}

flat_view! {
    /// A span `Event`.
    EventView {
        time_unix_nano: fixed64 = span_event::TIME_UNIX_NANO,
        name: bytes = span_event::NAME,
        dropped_attributes_count: varint_u32 = span_event::DROPPED_ATTRIBUTES_COUNT,
    }
}

impl<'a> EventView<'a> {
    pub fn attributes(&self) -> AttributesView<'a> {
        AttributesView::new(self.bytes, span_event::ATTRIBUTES)
    }
}

flat_view! {
    /// A span `Link`.
    LinkView {
        trace_id: bytes = span_link::TRACE_ID,
        span_id: bytes = span_link::SPAN_ID,
        trace_state: bytes = span_link::TRACE_STATE,
        dropped_attributes_count: varint_u32 = span_link::DROPPED_ATTRIBUTES_COUNT,
        flags: fixed32 = span_link::FLAGS,
    }
}

impl<'a> LinkView<'a> {
    pub fn attributes(&self) -> AttributesView<'a> {
        AttributesView::new(self.bytes, span_link::ATTRIBUTES)
    }
}
