//! Log records as text.

use sluice_pdata::Error;
use sluice_pdata::view::{LogRecordView, LogsView, text};

use super::value::{any_value, escaped, plain, time};
use super::{Out, hex};

const SEVERITIES: [&str; 6] = ["Trace", "Debug", "Info", "Warn", "Error", "Fatal"];

pub(super) fn render(request: &[u8], out: &mut Out) -> Result<String, Error> {
    let (mut resources, mut records) = (0, 0);
    for (index, resource_logs) in LogsView(request).resource_logs().enumerate() {
        let resource_logs = resource_logs?;
        resources += 1;
        if out.is_detailed() {
            out.line(format!("ResourceLog #{index}"));
            out.resource(resource_logs.resource()?, resource_logs.schema_url()?)?;
        } else if out.is_normal() {
            let attributes = out.inline(resource_logs.resource()?.attributes())?;
            let url = text(resource_logs.schema_url()?);
            out.line(format!("ResourceLog #{index} {}{attributes}", escaped(&url)).trim_end());
        }
        for (index, scope_logs) in resource_logs.scope_logs().enumerate() {
            let scope_logs = scope_logs?;
            if out.is_detailed() {
                out.line(format!("ScopeLogs #{index}"));
                out.scope("ScopeLogs", scope_logs.scope()?, scope_logs.schema_url()?)?;
            } else if out.is_normal() {
                let scope = scope_logs.scope()?;
                let attributes = out.inline(scope.attributes())?;
                let (name, version) = (text(scope.name()?), text(scope.version()?));
                out.line(format!("ScopeLog #{index} {}@{}{attributes}", escaped(&name), escaped(&version)));
            }
            for (index, record) in scope_logs.log_records().enumerate() {
                records += 1;
                let record = record?;
                if out.is_detailed() {
                    detailed(index, &record, out)?;
                } else if out.is_normal() {
                    let attributes = out.inline(record.attributes())?;
                    out.line(format!("{}{attributes}", plain(record.body()?)?));
                }
            }
        }
    }
    Ok(format!("Logs\t{{\"resource logs\": {resources}, \"log records\": {records}}}"))
}

/// `Info(9)`, `Info2(10)` …
fn severity(number: i32) -> String {
    match number {
        1..=24 => {
            let name = SEVERITIES[(number as usize - 1) / 4];
            match (number - 1) % 4 {
                0 => format!("{name}({number})"),
                step => format!("{name}{}({number})", step + 1),
            }
        }
        0 => "Unspecified(0)".to_owned(),
        _ => format!("({number})"),
    }
}

fn detailed(index: usize, record: &LogRecordView<'_>, out: &mut Out) -> Result<(), Error> {
    out.line(format!("LogRecord #{index}"));
    out.line(format!("ObservedTimestamp: {}", time(record.observed_time_unix_nano)));
    out.line(format!("Timestamp: {}", time(record.time_unix_nano)));
    out.line(format!("SeverityText: {}", escaped(&text(record.severity_text))));
    out.line(format!("SeverityNumber: {}", severity(record.severity_number)));
    if !record.event_name.is_empty() {
        out.line(format!("EventName: {}", escaped(&text(record.event_name))));
    }
    out.line(format!("Body: {}", any_value(record.body()?)?));
    out.attributes("Attributes:", record.attributes(), "     ")?;
    out.line(format!("Trace ID: {}", hex(record.trace_id)));
    out.line(format!("Span ID: {}", hex(record.span_id)));
    out.line(format!("Flags: {}", record.flags));
    if record.dropped_attributes_count > 0 {
        out.line(format!("DroppedAttributesCount: {}", record.dropped_attributes_count));
    }
    Ok(())
}
