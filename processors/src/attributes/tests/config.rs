//! What is refused, in upstream's words (v0.159, as `otelcol validate` prints them), and what is accepted.

use crate::model::small::{problems, step};

fn refused(kind: &str, rows: &[(&str, &str)]) {
    for (yaml, text) in rows {
        let found = problems(kind, yaml);
        assert!(found.contains(text), "{yaml}\nfound    {found}\nexpected {text}");
    }
}

#[test]
fn actions_are_checked_when_the_config_is_loaded() {
    let rows = [
        ("{key: a}", "due to unsupported action \"\""),
        ("{key: a, action: bogus, value: 1}", "error creating AttrProc due to unsupported action \"bogus\""),
        (
            "{action: insert, value: 1}",
            "error creating AttrProc due to missing required field \"key\" at the 0-th action",
        ),
        (
            "{key: a, action: delete}, {action: hash}",
            "error creating AttrProc due to missing required field (at least one of \"key\" and \"pattern\" have to be used) at the 1-th action",
        ),
        (
            "{key: a, action: insert}",
            "error with key \"a\" (0-th action): error creating AttrProc. Either field \"value\", \"from_attribute\", \"from_context\", or \"default_value\" must be specified",
        ),
        (
            "{key: a, action: insert, value: null}",
            "error with key \"a\" (0-th action): error creating AttrProc. Either field \"value\", ",
        ),
        (
            "{key: a, action: upsert, value: 1, from_attribute: b}",
            "error with key \"a\" (0-th action): error creating AttrProc due to multiple value sources being set",
        ),
        (
            "{key: a, action: update, from_context: client.address, from_attribute: b}",
            "due to multiple value sources being set",
        ),
        (
            "{key: a, action: insert, value: 1, pattern: b}",
            "error with key \"a\" (0-th action): error creating AttrProc. Action \"insert\" does not use the \"pattern\" field. This must not be specified",
        ),
        (
            "{key: a, action: insert, value: 1, converted_type: int}",
            "Action \"insert\" does not use the \"converted_type\" field. This must not be specified",
        ),
        (
            "{key: a, action: hash, value: 1}",
            "Action \"hash\" does not use \"value\" or \"from_attribute\" field. These must not be specified",
        ),
        (
            "{key: a, action: delete, converted_type: int}",
            "Action \"delete\" does not use the \"converted_type\" field. This must not be specified",
        ),
        (
            "{action: delete, pattern: (}",
            "error with key \"\" (0-th action): error creating AttrProc. Field \"pattern\" has invalid pattern: \"(\"",
        ),
        (
            "{key: a, action: extract}",
            "error with key \"a\" (0-th action): error creating AttrProc due to missing required field \"pattern\" for action \"extract\"",
        ),
        (
            "{key: a, action: extract, pattern: a}",
            "error creating AttrProc. Field \"pattern\" contains no named matcher groups",
        ),
        (
            "{key: a, action: extract, pattern: '(a)(?P<b>.)'}",
            "error creating AttrProc. Field \"pattern\" contains at least one unnamed matcher group",
        ),
        (
            "{key: a, action: extract, value: 1, pattern: '(?P<b>a)'}",
            "Action \"extract\" does not use a value source field. These must not be specified",
        ),
        (
            "{key: a, action: convert}",
            "error with key \"a\" (0-th action): error creating AttrProc due to missing required field \"converted_type\" for action \"convert\"",
        ),
        (
            "{key: a, action: convert, pattern: x}",
            "Action \"convert\" does not use value sources or \"pattern\" field. These must not be specified",
        ),
        (
            "{key: a, action: convert, converted_type: x}",
            "error creating AttrProc due to invalid value \"x\" in field \"converted_type\" for action \"convert\"",
        ),
    ];
    for (action, text) in rows {
        refused("attributes", &[(&format!("{{actions: [{action}]}}"), text)]);
        refused("resource", &[(&format!("{{attributes: [{action}]}}"), text)]);
    }
}

#[test]
fn an_empty_list_of_actions_is_refused() {
    refused(
        "attributes",
        &[
            ("{}", "missing required field \"actions\""),
            ("{actions: []}", "missing required field \"actions\""),
            ("{actions: [{key: a, action: delete}], attributes: []}", "attributes"),
        ],
    );
    refused("resource", &[("{}", "missing required field \"attributes\"")]);
}

#[test]
fn what_items_are_meant_is_checked_too() {
    let rows = [
        ("{services: [a]}", "unrecognized match_type: '', valid types are: [regexp strict]"),
        ("{match_type: foo, services: [a]}", "unrecognized match_type: 'foo', valid types are: [regexp strict]"),
        ("{match_type: regexp, services: ['(']}", "error parsing regexp"),
        ("{match_type: regexp, attributes: [{key: a, value: '('}]}", "error parsing regexp"),
        ("{match_type: regexp, attributes: [{key: a, value: [1]}]}", "only supports scalar values"),
        ("{match_type: strict, attributes: [{key: a, value: [1]}]}", "error unsupported value type"),
        ("{match_type: strict, attributes: [{value: a}]}", "can't have empty key in the list of attributes"),
        ("{match_type: strict, span_name: [a]}", "span_name"),
    ];
    for (properties, text) in rows {
        for field in ["include", "exclude"] {
            let yaml = format!("{{{field}: {properties}, actions: [{{key: a, action: delete}}]}}");
            refused("attributes", &[(&yaml, text)]);
        }
    }
}

#[test]
fn every_field_of_upstream_is_known() {
    step(
        "attributes",
        "{include: {match_type: regexp, regexp: {cacheenabled: true, cachemaxnumentries: 10}, services: [a],
          span_names: [a], span_kinds: [SPAN_KIND_SERVER], attributes: [{key: a, value: 1}], resources: [{key: a}],
          libraries: [{name: a, version: b}], log_bodies: [a], log_severity_texts: [a],
          log_severity_number: {min: 9, match_undefined: true}, metric_names: [a]},
          exclude: {match_type: strict, services: [b]},
          actions: [{key: a, value: 1, action: insert}, {key: b, from_attribute: a, default_value: 2, action: upsert},
            {key: c, from_context: metadata.x, action: update}, {pattern: a, action: delete},
            {key: a, pattern: '(?P<b>.)', action: extract}, {key: a, converted_type: int, action: convert}]}",
    );
}

#[test]
fn the_headers_that_actions_read_are_announced() {
    let (_, headers) = step(
        "attributes",
        "{actions: [{key: a, from_context: metadata.X-Team, action: insert}, {key: b, from_context: x-b, action: insert},
          {key: c, from_context: client.address, action: insert}, {key: c, from_context: auth.subject, action: insert}]}",
    );
    assert_eq!(headers, ["x-team", "x-b"]);
}
