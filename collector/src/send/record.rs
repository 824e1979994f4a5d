//! Files beside the telemetry: what was planted, and what really happened.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use serde_json::{Value, json};
use sluice_generator::secrets::Planted;
use sluice_generator::{Settings, Truth};

/// Writes the list of planted secrets.
///
/// # Errors
/// The file cannot be written.
pub fn planted(path: &Path, planted: &[Planted]) -> std::io::Result<()> {
    write(path, &json!({"schema": "sluice.send_planted/1", "planted": planted.iter().map(secret).collect::<Vec<_>>()}))
}

/// Writes the truth. Times are virtual nanoseconds: timestamps of an undisturbed instance less `epoch_unix_nano`.
///
/// # Errors
/// The file cannot be written.
pub fn truth(path: &Path, settings: &Settings, truth: &Truth) -> std::io::Result<()> {
    let trace = |trace: &sluice_generator::truth::TraceTruth| {
        json!({
            "trace_id": hex(&trace.trace_id), "root_service": trace.root_service, "sampled": trace.sampled,
            "spans": trace.spans, "errors": trace.errors, "logs": trace.logs, "log_errors": trace.log_errors,
            "start": trace.start, "duration": trace.duration(), "root_at": trace.root_at, "complete_at": trace.complete_at(),
        })
    };
    let log = |(number, log): (usize, &sluice_generator::truth::LogTruth)| {
        let span = log.span.map(|index| &truth.spans[index as usize]);
        json!({
            "uid": format!("{number:016x}"), "kind": format!("{:?}", log.kind), "emitted": log.emitted, "at": log.at,
            "trace_id": span.map(|span| hex(&truth.traces[span.trace as usize].trace_id)),
            "span_id": span.map(|span| hex(&span.span_id)), "span_at": truth.span_at(log),
        })
    };
    let whole = json!({
        "schema": "sluice.send_truth/1", "seed": settings.seed, "epoch_unix_nano": settings.epoch.to_string(),
        "traces": truth.traces.iter().map(trace).collect::<Vec<_>>(),
        "logs": truth.logs.iter().enumerate().map(log).collect::<Vec<_>>(),
        "planted": truth.planted.iter().map(secret).collect::<Vec<_>>(),
        "data_points": truth.points, "data_points_lost": truth.points_lost, "exemplars": truth.exemplars,
        "duplicated": truth.duplicated,
    });
    write(path, &whole)
}

fn secret(planted: &Planted) -> Value {
    let place = planted.place.name();
    json!({"kind": planted.kind.name(), "value": planted.value, "place": place, "trace_id": hex(&planted.trace_id)})
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(path: &Path, value: &Value) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()
}
