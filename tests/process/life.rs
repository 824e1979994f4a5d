//! Start, work, end.

use crate::sluice::{READY, Sluice};
use crate::wire::{frame, grpc, http, trace, trace_json};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn without_a_config_it_takes_otlp_and_shows_it_redacted() {
    let sluice = Sluice::start(&[]);
    assert_eq!(grpc(sluice.grpc, EXPORT, &[], &frame(&trace("mail to jane.roe@acme-mail.org"))).code, 0);
    let json = trace_json("card 4111 1111 1111 1111");
    assert_eq!(http(sluice.http, "POST", "/v1/traces", &[JSON], json.as_bytes()).status, 200);
    sluice.signal("TERM");
    let (status, log, shown) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(shown.contains("mail to ") && shown.contains("card "), "{shown}\n{log}");
    for secret in ["jane.roe", "acme-mail", "4111 1111"] {
        assert!(!shown.contains(secret) && !log.contains(secret), "{secret} in\n{shown}\n{log}");
    }
}

#[test]
fn both_signals_drain_and_exit_0() {
    for (signal, name) in [("TERM", "terminated"), ("INT", "interrupt")] {
        let sluice = Sluice::start(&[]);
        assert_eq!(grpc(sluice.grpc, EXPORT, &[], &frame(&trace("before the end"))).code, 0);
        sluice.signal(signal);
        let (status, log, shown) = sluice.end();
        assert_eq!(status.code(), Some(0), "SIG{signal}: {log}");
        assert!(shown.contains("before the end"), "SIG{signal}: {shown}\n{log}");
        let mut from = 0;
        for line in
            ["Starting sluice...", READY, "Received signal from OS", "Starting shutdown...", "Shutdown complete."]
        {
            let at = log[from..].find(line);
            from += at.unwrap_or_else(|| panic!("SIG{signal}: {line:?} is not there, or too early, in:\n{log}"));
        }
        assert!(log.contains(name), "SIG{signal}: {log}");
        assert!(!log.contains("does not balance"), "SIG{signal}: {log}");
    }
}

/// The value of the first sample whose name and labels hold all of `parts`.
fn sample(text: &str, parts: &[&str]) -> Option<f64> {
    let line = text.lines().find(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn its_own_metrics_count_what_was_taken_and_the_ledger_balances() {
    let sluice = Sluice::start(&[]);
    for _ in 0..3 {
        assert_eq!(grpc(sluice.grpc, EXPORT, &[], &frame(&trace("counted"))).code, 0);
    }
    let json = trace_json("counted");
    assert_eq!(http(sluice.http, "POST", "/v1/traces", &[JSON], json.as_bytes()).status, 200);
    assert_eq!(http(sluice.http, "POST", "/v1/traces", &[JSON], b"{").status, 400);
    let text = http(sluice.metrics, "GET", "/metrics", &[], b"").body;
    let accepted = |transport| sample(&text, &["otelcol_receiver_accepted_spans", transport]);
    assert_eq!(accepted("transport=\"grpc\""), Some(3.0), "{text}");
    assert_eq!(accepted("transport=\"http\""), Some(1.0), "{text}");
    for stage in ["admitted", "appended"] {
        let name = format!("sluice_items_{stage}_total");
        let labels = [name.as_str(), "pipeline=\"traces\"", "signal=\"traces\""];
        assert_eq!(sample(&text, &labels), Some(4.0), "{text}");
    }
    assert_eq!(sample(&text, &["sluice_requests_refused_total", "malformed"]), Some(1.0), "{text}");
    assert!(text.contains("otelcol_process_uptime"), "{text}");
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = crate::sluice::run(&[
        "run",
        "--set",
        &format!("receivers.otlp.protocols.grpc.endpoint={address}"),
        "--set",
        "service.telemetry.metrics.level=none",
    ]);
    let errors = crate::sluice::text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("Error:") && errors.contains(&address), "{errors}");
}
