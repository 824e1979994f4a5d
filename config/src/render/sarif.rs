//! SARIF 2.1.0: for code scanning, editors and archives.

use serde_json::{Value, json};

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::Origin;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// A log with one run. Columns count Unicode code points. `version` is that of the program.
pub fn sarif(diagnostics: &[Diagnostic], version: &str) -> Value {
    let mut used: Vec<&str> = diagnostics.iter().map(|finding| finding.code).collect();
    used.sort_unstable();
    used.dedup();
    let rules: Vec<Value> = used
        .iter()
        .map(|code| {
            let meaning = codes::meaning(code).unwrap_or(code);
            json!({"id": code, "shortDescription": {"text": meaning}, "help": {"text": format!("sluice explain {code}")}})
        })
        .collect();
    let results: Vec<Value> = diagnostics.iter().map(|finding| result(finding, &used)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "sluice", "version": version, "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(finding: &Diagnostic, rules: &[&str]) -> Value {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let more = finding.label.iter().chain(&finding.notes).chain(&finding.help);
    let text = std::iter::once(&finding.message).chain(more).cloned().collect::<Vec<_>>().join("\n");
    let index = rules.iter().position(|code| *code == finding.code);
    let mut result = json!({
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": level,
        "message": {"text": text},
        "locations": finding.origin.iter().map(|origin| json!({"physicalLocation": physical(origin)})).collect::<Vec<_>>(),
    });
    if !finding.labels.is_empty() {
        let related = finding.labels.iter().enumerate().map(|(id, label)| {
            json!({"id": id, "physicalLocation": physical(&label.origin), "message": {"text": label.text}})
        });
        result["relatedLocations"] = related.collect();
    }
    if !finding.fix.is_empty() {
        let changes = finding.fix.iter().map(|edit| {
            let replacement = json!({"deletedRegion": region(&edit.origin), "insertedContent": {"text": edit.text}});
            json!({"artifactLocation": {"uri": uri(&edit.origin)}, "replacements": [replacement]})
        });
        let changes: Vec<Value> = changes.collect();
        result["fixes"] = json!([{"artifactChanges": changes}]);
    }
    result
}

fn physical(origin: &Origin) -> Value {
    json!({"artifactLocation": {"uri": uri(origin)}, "region": region(origin)})
}

fn region(origin: &Origin) -> Value {
    let (start, end) = (origin.start(), origin.end());
    json!({"startLine": start.line, "startColumn": start.column, "endLine": end.line, "endColumn": end.column})
}

/// A relative or `file:` reference; what a URI cannot hold is escaped.
fn uri(origin: &Origin) -> String {
    let mut out = String::new();
    if origin.file().starts_with('/') {
        out.push_str("file://");
    }
    for byte in origin.file().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' | b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
