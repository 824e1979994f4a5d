//! Spans as text.

use sluice_pdata::Error;
use sluice_pdata::view::{SpanView, TracesView, text};

use super::value::{escaped, time};
use super::{Out, hex};

const KINDS: [&str; 6] = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
const STATUSES: [&str; 3] = ["Unset", "Ok", "Error"];

pub(super) fn render(request: &[u8], out: &mut Out) -> Result<String, Error> {
    let (mut resources, mut spans) = (0, 0);
    for (index, resource_spans) in TracesView(request).resource_spans().enumerate() {
        let resource_spans = resource_spans?;
        resources += 1;
        if out.is_detailed() {
            out.line(format!("ResourceSpans #{index}"));
            out.resource(resource_spans.resource()?, resource_spans.schema_url()?)?;
        } else if out.is_normal() {
            let attributes = out.inline(resource_spans.resource()?.attributes())?;
            let url = text(resource_spans.schema_url()?);
            out.line(format!("ResourceTraces #{index} {}{attributes}", escaped(&url)).trim_end());
        }
        for (index, scope_spans) in resource_spans.scope_spans().enumerate() {
            let scope_spans = scope_spans?;
            if out.is_detailed() {
                out.line(format!("ScopeSpans #{index}"));
                out.scope("ScopeSpans", scope_spans.scope()?, scope_spans.schema_url()?)?;
            } else if out.is_normal() {
                let scope = scope_spans.scope()?;
                let attributes = out.inline(scope.attributes())?;
                let (name, version) = (text(scope.name()?), text(scope.version()?));
                out.line(format!("ScopeTraces #{index} {}@{}{attributes}", escaped(&name), escaped(&version)));
            }
            for (index, span) in scope_spans.spans().enumerate() {
                spans += 1;
                let span = span?;
                if out.is_detailed() {
                    detailed(index, &span, out)?;
                } else if out.is_normal() {
                    let attributes = out.inline(span.attributes())?;
                    let (trace, id) = (hex(span.trace_id), hex(span.span_id));
                    out.line(format!("{} {trace} {id}{attributes}", escaped(&text(span.name))));
                }
            }
        }
    }
    Ok(format!("Traces\t{{\"resource spans\": {resources}, \"spans\": {spans}}}"))
}

fn name<'n>(names: &[&'n str], number: i32) -> &'n str {
    usize::try_from(number).ok().and_then(|index| names.get(index)).copied().unwrap_or("")
}

fn detailed(index: usize, span: &SpanView<'_>, out: &mut Out) -> Result<(), Error> {
    out.line(format!("Span #{index}"));
    out.line(format!("    Trace ID       : {}", hex(span.trace_id)));
    out.line(format!("    Parent ID      : {}", hex(span.parent_span_id)));
    out.line(format!("    ID             : {}", hex(span.span_id)));
    out.line(format!("    Name           : {}", escaped(&text(span.name))));
    out.line(format!("    Kind           : {}", name(&KINDS, span.kind)));
    if !span.trace_state.is_empty() {
        out.line(format!("    TraceState     : {}", escaped(&text(span.trace_state))));
    }
    out.line(format!("    Start time     : {}", time(span.start_time_unix_nano)));
    out.line(format!("    End time       : {}", time(span.end_time_unix_nano)));
    let status = span.status()?.unwrap_or_default();
    out.line(format!("    Status code    : {}", name(&STATUSES, status.code)));
    out.line(format!("    Status message : {}", escaped(&text(status.message))));
    for (what, dropped) in [
        ("DroppedAttributesCount", span.dropped_attributes_count),
        ("DroppedEventsCount", span.dropped_events_count),
        ("DroppedLinksCount", span.dropped_links_count),
    ] {
        if dropped > 0 {
            out.line(format!("    {what}: {dropped}"));
        }
    }
    out.attributes("Attributes:", span.attributes(), "     ")?;
    for (index, event) in span.events().enumerate() {
        let event = event?;
        if index == 0 {
            out.line("Events:");
        }
        out.line(format!("SpanEvent #{index}"));
        out.line(format!("     -> Name: {}", escaped(&text(event.name))));
        out.line(format!("     -> Timestamp: {}", time(event.time_unix_nano)));
        out.line(format!("     -> DroppedAttributesCount: {}", event.dropped_attributes_count));
        out.attributes("     -> Attributes::", event.attributes(), "          ")?;
    }
    for (index, link) in span.links().enumerate() {
        let link = link?;
        if index == 0 {
            out.line("Links:");
        }
        out.line(format!("SpanLink #{index}"));
        out.line(format!("     -> Trace ID: {}", hex(link.trace_id)));
        out.line(format!("     -> ID: {}", hex(link.span_id)));
        out.line(format!("     -> TraceState: {}", escaped(&text(link.trace_state))));
        out.line(format!("     -> DroppedAttributesCount: {}", link.dropped_attributes_count));
        out.attributes("     -> Attributes::", link.attributes(), "          ")?;
    }
    Ok(())
}
