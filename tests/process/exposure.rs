//! Listeners that others can reach: named and counted, exempt where that is written, refused under `exposure: enforce`
//! (security §4.1).

use crate::durable::metrics;
use crate::sluice::{Sluice, free_port, run, text};

/// A second receiver on all addresses, with these fields beside its endpoint.
fn config(fields: &str, service: &str) -> String {
    let port = free_port();
    format!(
        "yaml:{{receivers: {{otlp: {{protocols: {{grpc: , http: }}}}, \
         otlp/open: {{protocols: {{grpc: {{endpoint: '0.0.0.0:{port}'{fields}}}}}}}}}, \
         exporters: {{nop: }}, service: {{{service}pipelines: {{traces: {{receivers: [otlp, otlp/open], exporters: [nop]}}}}}}}}"
    )
}

/// Starts with the configuration: what the gauge says, and the log.
fn start(arguments: &[&str]) -> (String, String) {
    let sluice = Sluice::start(arguments);
    let shown = metrics(sluice.metrics);
    let gauge = shown.lines().find_map(|line| line.strip_prefix("sluice_insecure_listeners ")).map(str::to_owned);
    sluice.signal("TERM");
    let (status, log, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
    (gauge.unwrap_or_else(|| panic!("no gauge in {shown}")), log)
}

#[test]
fn what_others_can_reach_is_named_and_counted() {
    let (count, log) = start(&["-c", &config("", "")]);
    assert_eq!(count, "1", "{log}");
    let warning = log.lines().find(|line| line.contains("W0501")).unwrap_or_else(|| panic!("{log}"));
    assert!(warning.contains("receivers::otlp/open::protocols::grpc") && warning.contains("allow_insecure"), "{log}");
    assert_eq!(log.matches("W0501").count(), 1, "{log}");
}

#[test]
fn exemptions_are_believed_and_only_where_they_were_given() {
    let (open, allowed) = (config("", ""), config(", allow_insecure: true", ""));
    for (arguments, count) in [
        (vec!["-c", &allowed], "0"),
        (vec!["--allow-insecure-listeners", "-c", &open], "0"),
        (vec!["--allow-insecure-listeners=otlp/open", "-c", &open], "0"),
        (vec!["--allow-insecure-listeners=otlp", "-c", &open], "1"),
    ] {
        let (seen, log) = start(&arguments);
        assert_eq!(seen, count, "{arguments:?}: {log}");
        assert_eq!(log.contains("W0501"), count == "1", "{arguments:?}: {log}");
    }
}

#[test]
fn enforced_it_does_not_start() {
    let enforce = "security: {exposure: enforce}, ";
    let refused = run(&["run", "-c", &config("", enforce)]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused.stderr).contains("error[E0213]: receivers::otlp/open"), "{}", text(&refused.stderr));
    assert_eq!(start(&["-c", &config(", allow_insecure: true", enforce)]).0, "0");
    assert_eq!(start(&["--allow-insecure-listeners=otlp/open", "-c", &config("", enforce)]).0, "0");
}
