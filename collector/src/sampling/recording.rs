//! Recordings: OTLP/JSON, one document or one a line as file exporters write, or one OTLP protobuf request.

use std::path::Path;

use sluice_pdata::{Signal, framing, json};

/// A request of a recording.
pub(super) struct Part {
    pub(super) signal: Signal,
    pub(super) request: Vec<u8>,
    /// Where it was, for people.
    pub(super) place: String,
}

/// Reads a recording. The signal of protobuf cannot be seen: it is traces unless said otherwise.
pub(super) fn read(path: &Path, signal: Option<Signal>) -> Result<Vec<Part>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let parts = match bytes.trim_ascii_start().first() {
        Some(b'{') => documents(&bytes, signal),
        Some(_) => protobuf(bytes, signal.unwrap_or(Signal::Traces)),
        None => Ok(Vec::new()),
    };
    parts.map_err(|error| format!("{}: {error}", path.display()))
}

fn documents(bytes: &[u8], signal: Option<Signal>) -> Result<Vec<Part>, String> {
    // A document that goes over several lines does not end in the first.
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let ends = |line: &&[u8]| serde_json::from_slice::<serde_json::Value>(line).is_ok();
    let texts = lines.iter().copied().enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    let texts: Vec<(usize, &[u8])> = texts.collect();
    if texts.first().is_some_and(|(_, line)| ends(line)) {
        let parts = texts.into_iter().map(|(at, line)| document(line, signal, format!("line {}", at + 1)));
        return parts.filter_map(Result::transpose).collect();
    }
    Ok(document(bytes, signal, "the document".to_owned())?.into_iter().collect())
}

/// One document; `None` if it is of a signal that is not asked for.
fn document(text: &[u8], wanted: Option<Signal>, place: String) -> Result<Option<Part>, String> {
    let tree: serde_json::Value = serde_json::from_slice(text).map_err(|error| format!("{place}: {error}"))?;
    let has = |key: &str| tree.get(key).is_some();
    let signal = match (has("resourceSpans"), has("resourceLogs"), has("resourceMetrics")) {
        (true, ..) => Signal::Traces,
        (_, true, _) => Signal::Logs,
        (_, _, true) => Signal::Metrics,
        _ => return Err(format!("{place}: neither resourceSpans nor resourceLogs: this is not OTLP/JSON")),
    };
    if wanted.is_some_and(|wanted| wanted != signal) {
        return Ok(None);
    }
    let request = json::read(signal, text).map_err(|error| format!("{place}: {error}"))?;
    Ok(Some(Part { signal, request, place }))
}

fn protobuf(request: Vec<u8>, signal: Signal) -> Result<Vec<Part>, String> {
    framing::check(signal, &request)
        .map_err(|error| format!("neither OTLP/JSON nor an OTLP protobuf request of {}: {error}", signal.name()))?;
    Ok(vec![Part { signal, request, place: "the request".to_owned() }])
}
