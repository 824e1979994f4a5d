//! Diagnostics as text for people (experience §4.1), and for programs: JSON, [`sarif`], [`github`].

mod github;
mod sarif;

pub use github::github;
pub use sarif::sarif;

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Severity};
use crate::excerpt::Excerpt;
use crate::source::Origin;

/// At most this many findings are printed unless all are asked for; the rest is counted.
pub const SHOWN: usize = 100;

/// How [`human`] prints.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// ANSI colours.
    pub color: bool,
    /// Print all findings instead of the first [`SHOWN`].
    pub all: bool,
}

/// Renders findings one after another, each ended by a blank line, and what was left out.
pub fn human(diagnostics: &[Diagnostic], style: Style) -> String {
    let shown = if style.all { diagnostics.len() } else { diagnostics.len().min(SHOWN) };
    let mut out = String::new();
    for diagnostic in diagnostics.iter().take(shown) {
        out.push_str(&one(diagnostic, style));
        out.push('\n');
    }
    if shown < diagnostics.len() {
        let _ = writeln!(out, "… and {} more (--all shows them)", diagnostics.len() - shown);
    }
    out
}

/// Renders one finding, ended by a line break.
pub fn one(diagnostic: &Diagnostic, style: Style) -> String {
    let mut out = String::new();
    let head = format!("{}[{}]", diagnostic.severity.name(), diagnostic.code);
    let head = match (style.color, diagnostic.severity) {
        (false, _) => head,
        (true, Severity::Error) => format!("\u{1b}[1;31m{head}\u{1b}[0m"),
        (true, Severity::Warning) => format!("\u{1b}[1;33m{head}\u{1b}[0m"),
        (true, Severity::Note) => format!("\u{1b}[1;36m{head}\u{1b}[0m"),
    };
    let _ = writeln!(out, "{head}: {}", escape(&diagnostic.message));
    let excerpt = diagnostic.origin.as_ref().map(Excerpt::new);
    let pad = " ".repeat(excerpt.as_ref().map_or(2, |excerpt| excerpt.gutter()));
    if let (Some(origin), Some(excerpt)) = (&diagnostic.origin, excerpt) {
        let at = origin.start();
        let _ = writeln!(out, "{pad}┌─ {}:{}:{}", escape(origin.file()), at.line, at.column);
        let label = diagnostic.label.as_deref().map(escape);
        out.push_str(&excerpt.render(label.as_deref()));
    }
    for label in &diagnostic.labels {
        let _ = writeln!(out, "{pad}= {}: {}", escape(&label.text), label.origin);
    }
    for note in &diagnostic.notes {
        let _ = writeln!(out, "{pad}= {}", escape(note));
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(out, "{pad}= {}", escape(help));
    }
    out
}

/// The last line of a human report: `2 errors, 0 warnings in 2 files`.
pub fn summary(diagnostics: &[Diagnostic], files: usize) -> String {
    let count = |severity| diagnostics.iter().filter(|finding| finding.severity == severity).count();
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    format!("{}, {} in {}", plural(errors, "error"), plural(warnings, "warning"), plural(files, "file"))
}

/// The whole report as JSON: `{schema, ok, errors, warnings, notes, files, diagnostics}`.
pub fn report(diagnostics: &[Diagnostic], files: &[String]) -> Value {
    let count = |severity| diagnostics.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    json!({
        "schema": "sluice.check/1",
        "ok": errors == 0,
        "errors": errors,
        "warnings": warnings,
        "notes": count(Severity::Note),
        "files": files,
        "diagnostics": diagnostics.iter().map(json).collect::<Vec<_>>(),
    })
}

/// One finding as JSON: `{code, severity, message, file, span, label, labels, notes, help, fix}`.
pub fn json(diagnostic: &Diagnostic) -> Value {
    let labels: Vec<Value> = diagnostic
        .labels
        .iter()
        .map(|label| json!({"file": label.origin.file(), "span": span(&label.origin), "text": label.text}))
        .collect();
    let edits: Vec<Value> = diagnostic
        .fix
        .iter()
        .map(|edit| json!({"file": edit.origin.file(), "span": span(&edit.origin), "text": edit.text}))
        .collect();
    json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity.name(),
        "message": diagnostic.message,
        "file": diagnostic.origin.as_ref().map(Origin::file),
        "span": diagnostic.origin.as_ref().map(span),
        "label": diagnostic.label,
        "labels": labels,
        "notes": diagnostic.notes,
        "help": diagnostic.help,
        "fix": {"edits": edits},
    })
}

fn span(origin: &Origin) -> Value {
    let (start, end) = (origin.start(), origin.end());
    json!({
        "line": start.line, "col": start.column, "end_line": end.line, "end_col": end.column,
        "byte": origin.span.start, "byte_end": origin.span.end,
    })
}

/// Control characters as `\x1b` text, so that a config cannot drive the terminal. Line breaks stay.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}
