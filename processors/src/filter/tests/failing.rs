//! Conditions that fail: at load, with a text that says why, and on a record, as `error_mode` says.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use serde_json::json;
use sluice_pdata::Signal;

use crate::model::small::{log_request, problems, record, run, step};

/// One record fails under `HasPrefix`, the other does not.
fn request() -> ExportLogsServiceRequest {
    log_request(None, vec![record(json!({"a": 1})), record(json!({"a": "x1"}))])
}

const FAILS_ON_NUMBERS: &str = r#"HasPrefix(attributes["a"], "x")"#;

/// How many records are left; `None` if the request is refused.
fn left(config: &str) -> Option<usize> {
    let bytes = run(Signal::Logs, &[("filter", config)], &request()).ok()?;
    let after = ExportLogsServiceRequest::decode(bytes).unwrap();
    Some(after.resource_logs.iter().flat_map(|group| &group.scope_logs).map(|group| group.log_records.len()).sum())
}

#[test]
fn the_error_mode_decides_what_a_failure_does() {
    let older = |mode: &str| format!("{{{mode} logs: {{log_record: ['{FAILS_ON_NUMBERS}']}}}}");
    assert_eq!(left(&older("")), Some(1), "ignore is the default");
    assert_eq!(left(&older("error_mode: ignore,")), Some(1));
    assert_eq!(left(&older("error_mode: Silent,")), Some(1));
    assert_eq!(left(&older("error_mode: propagate,")), None);
}

#[test]
fn a_failed_condition_is_passed_over_and_the_next_one_decides() {
    let two = |mode: &str, first: &str, second: &str| {
        left(&format!("{{{mode} logs: {{log_record: ['{first}', '{second}']}}}}"))
    };
    assert_eq!(two("", FAILS_ON_NUMBERS, r#"attributes["a"] == 1"#), Some(0));
    assert_eq!(two("error_mode: propagate,", FAILS_ON_NUMBERS, r#"attributes["a"] == 1"#), None);
    // The first that holds decides; what stands behind it does not run.
    assert_eq!(two("error_mode: propagate,", r#"attributes["a"] == 1"#, FAILS_ON_NUMBERS), Some(0));
}

#[test]
fn a_group_may_have_its_own_error_mode() {
    let group = |of_all: &str, of_group: &str| {
        left(&format!("{{{of_all} log_conditions: [{{context: log, {of_group} conditions: ['{FAILS_ON_NUMBERS}']}}]}}"))
    };
    assert_eq!(group("", ""), Some(1));
    assert_eq!(group("", "error_mode: propagate,"), None);
    assert_eq!(group("error_mode: propagate,", ""), None);
    assert_eq!(group("error_mode: propagate,", "error_mode: ignore,"), Some(1));
}

#[test]
fn a_failure_does_not_refuse_over_what_an_earlier_step_emptied() {
    let all_gone = ("filter", r#"{logs: {log_record: ['true']}}"#);
    let fails = ("filter", r#"{error_mode: propagate, logs: {resource: ['HasPrefix(attributes["absent"], "x")']}}"#);
    assert!(run(Signal::Logs, &[fails], &request()).is_err());
    assert!(run(Signal::Logs, &[all_gone, fails], &request()).unwrap().is_empty());
}

#[test]
fn conditions_are_checked_when_the_config_is_loaded() {
    for (yaml, text) in [
        ("{error_mode: foo}", "unknown error mode foo"),
        ("{log_conditions: [{error_mode: foo, conditions: []}]}", "unknown error mode foo"),
        ("{traces: {span: ['nope ==']}}", "unable to parse OTTL condition \"nope ==\""),
        ("{traces: {span: ['Bogus(name)']}}", "undefined function \"Bogus\""),
        ("{logs: {log_record: ['severity == 1']}}", "is not a valid path nor a valid OTTL keyword for the log context"),
        (
            r#"{trace_conditions: ['span.name == "a"', {conditions: []}]}"#,
            "configuring multiple configuration styles is not supported, please use only Basic configuration or only Advanced configuration",
        ),
        (r#"{trace_conditions: ['name == "a"']}"#, "unable to infer context"),
        (r#"{trace_conditions: ['metric.name == "a"']}"#, "context \"metric\" inferred from"),
        ("{log_conditions: [{context: span, conditions: []}]}", "context \"span\" is not one of logs"),
        ("{log_conditions: [{contexts: log, conditions: []}]}", "unknown field \"contexts\""),
        ("{log_conditions: [[]]}", "a condition must be a string"),
        ("{logs: {log_records: []}}", "log_records"),
        ("{spans: {include: {match_type: strict}}}", "`spans` (include/exclude) is not supported yet"),
        ("{metrics: {include: {match_type: strict}}}", "`metrics::include` (include/exclude) is not supported yet"),
        ("{logs: {exclude: {match_type: strict}}}", "`logs::exclude` (include/exclude) is not supported yet"),
        (r#"{logs: {log_record: ['IsMatch(body, "(")']}}"#, "is not a valid pattern"),
        (r#"{metrics: {datapoint: ['HasAttrKeyOnDatapoint("a")']}}"#, "undefined function \"HasAttrKeyOnDatapoint\""),
    ] {
        let found = problems("filter", yaml);
        assert!(found.contains(text), "{yaml}\nfound    {found}\nexpected {text}");
    }
}

#[test]
fn every_field_of_upstream_is_known() {
    step("filter", "{}");
    step(
        "filter",
        r#"{error_mode: silent,
            traces: {resource: ['attributes["a"] == 1'], span: ['name == "a"'], spanevent: ['name == "a"']},
            metrics: {resource: ['attributes["a"] == 1'], metric: ['name == "a"'], datapoint: ['count == 1']},
            logs: {resource: ['attributes["a"] == 1'], log_record: ['body == "a"']},
            trace_conditions: ['span.name == "a"', 'spanevent.name == "a"', 'scope.name == "a"'],
            metric_conditions: [{context: datapoint, error_mode: ignore, conditions: ['count == 1']}],
            log_conditions: ['log.body == "a"', 'instrumentation_scope.name == "a"']}"#,
    );
}
