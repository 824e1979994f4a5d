//! Workflow commands that GitHub shows as annotations on the lines of a change.

use std::fmt::Write as _;

use crate::diagnostic::{Diagnostic, Severity};

/// One `::error file=…,line=…::message` line for each finding.
pub fn github(diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    for finding in diagnostics {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let _ = write!(out, "::{command} title={}", property(finding.code));
        if let Some(origin) = &finding.origin {
            let (start, end) = (origin.start(), origin.end());
            let file = property(origin.file());
            let _ = write!(out, ",file={file},line={},col={},endLine={}", start.line, start.column, end.line);
            // GitHub takes an end column on the same line only.
            if start.line == end.line {
                let _ = write!(out, ",endColumn={}", end.column);
            }
        }
        let more = finding.label.iter().chain(&finding.notes).chain(&finding.help);
        let text: Vec<&str> = std::iter::once(&finding.message).chain(more).map(String::as_str).collect();
        let _ = writeln!(out, "::{}", data(&text.join("\n")));
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
