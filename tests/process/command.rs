//! The command line.

use crate::sluice::{run, text};

const UNKNOWN_KEYS: &str = "yaml:receivers: {otlp: {protocols: {grpc: {endpont: \"127.0.0.1:0\"}}}}
exporters: {debug: {verbositty: normal}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}";

const GOOD: &str = "yaml:receivers: {otlp: {protocols: {grpc: }}}
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}";

#[test]
fn check_names_every_unknown_key_with_its_line_and_column() {
    let folder = std::env::temp_dir().join(format!("sluice-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("bad.yaml");
    std::fs::write(&file, UNKNOWN_KEYS.strip_prefix("yaml:").unwrap()).unwrap();
    let name = file.to_str().unwrap();
    let output = run(&["check", "-c", name]);
    std::fs::remove_dir_all(&folder).unwrap();
    let found = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{found}");
    assert!(found.contains("endpont") && found.contains("verbositty"), "{found}");
    assert!(found.contains(&format!("{name}:1:39")), "{found}");
    assert!(found.contains(&format!("{name}:2:21")), "{found}");
    assert!(found.contains("endpoint") && found.contains("verbosity"), "suggestions: {found}");
}

#[test]
fn check_prints_json_for_programs() {
    let output = run(&["check", "-c", UNKNOWN_KEYS, "-o", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["diagnostics"].as_array().map(Vec::len), Some(2), "{found}");
    assert_eq!((&found["ok"], &found["errors"]), (&false.into(), &2.into()), "{found}");
}

#[test]
fn check_and_validate_pass_a_good_configuration() {
    assert_eq!(run(&["check", "-c", GOOD]).status.code(), Some(0));
    let output = run(&["validate", "--config", GOOD]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
}

#[test]
fn a_processor_that_drops_before_up_is_warned_of_and_one_behind_it_is_not() {
    let config = |order: &str| {
        format!(
            "yaml:receivers: {{otlp: {{protocols: {{grpc: }}}}}}
processors: {{up: {{learned: {{enabled: true}}}}, filter/noise: {{metrics: {{metric: ['name == \"x\"']}}}}}}
exporters: {{nop: }}
service: {{pipelines: {{metrics: {{receivers: [otlp], processors: [{order}], exporters: [nop]}}}}}}"
        )
    };
    let output = run(&["check", "-c", &config("filter/noise, up")]);
    let found = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{found}");
    assert!(found.contains("W0519") && found.contains("filter/noise"), "{found}");
    let output = run(&["check", "-c", &config("up, filter/noise")]);
    assert!(!text(&output.stderr).contains("W0519"), "{}", text(&output.stderr));
}

#[test]
fn correlate_needs_spans_and_logs_and_redaction_before_it() {
    let config = |traces: &str, logs: &str| {
        let pipeline = |order: &str| format!("{{receivers: [otlp], processors: [{order}], exporters: [nop]}}");
        format!(
            "yaml:receivers: {{otlp: {{protocols: {{grpc: }}}}}}
processors: {{correlate: , redaction: {{allow_all_keys: true}}}}
exporters: {{nop: }}
service: {{delivery: {{ack: memory}}, pipelines: {{traces: {}, logs: {}}}}}",
            pipeline(traces),
            pipeline(logs)
        )
    };
    let output = run(&["check", "-c", &config("redaction, correlate", "redaction, correlate")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("W0519"), "{}", text(&output.stderr));
    let output = run(&["check", "-c", &config("redaction, correlate", "redaction")]);
    assert!(text(&output.stderr).contains("only one of the two comes to it"), "{}", text(&output.stderr));
    let output = run(&["check", "-c", &config("correlate, redaction", "redaction, correlate")]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("which copies between items"), "{}", text(&output.stderr));
}

#[test]
fn validate_exits_1_as_upstream_does() {
    assert_eq!(run(&["validate", "--config", UNKNOWN_KEYS]).status.code(), Some(1));
    assert_eq!(run(&["validate"]).status.code(), Some(1));
}

#[test]
fn components_lists_every_component_with_its_signals() {
    let output = run(&["components"]);
    assert_eq!(output.status.code(), Some(0));
    let list = text(&output.stdout);
    for name in
        ["otlp", "attributes", "batch", "filter", "memory_limiter", "redaction", "resource", "up", "debug", "nop"]
    {
        assert!(list.contains(&format!("- name: {name}\n")), "{name} in\n{list}");
    }
    assert!(list.contains("otlp_grpc") && list.contains("prometheusremotewrite"), "{list}");
}

#[test]
fn featuregate_lists_gates_and_bad_ones_are_refused() {
    let output = run(&["featuregate"]);
    assert_eq!(output.status.code(), Some(0));
    let list = text(&output.stdout);
    assert!(list.contains("processor.tailsamplingprocessor.recordpolicy "), "{list}");
    let one = run(&["featuregate", "processor.tailsamplingprocessor.disableinvertdecisions"]);
    assert_eq!((one.status.code(), text(&one.stdout).lines().count()), (Some(0), 2));
    assert_eq!(run(&["featuregate", "no.such.gate"]).status.code(), Some(1));
    let refused = run(&["run", "--dry-run", "--feature-gates=a,,b"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("empty feature gate identifier at index 1"), "{}", text(&refused.stderr));
    assert_eq!(run(&["run", "--dry-run", "--feature-gates=some.gate,-other.gate"]).status.code(), Some(0));
}

#[test]
fn version_is_printed_in_both_forms() {
    let version = format!("sluice version {}", env!("CARGO_PKG_VERSION"));
    for arguments in [["version"], ["--version"], ["-v"]] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stdout).trim(), version, "{arguments:?}");
    }
}

#[test]
fn the_default_configuration_can_be_printed_and_checked() {
    let printed = text(&run(&["config", "defaults"]).stdout);
    assert!(printed.contains("redaction"), "{printed}");
    let output = run(&["check", "-c", &format!("yaml:{printed}")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
