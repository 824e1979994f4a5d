//! Configurations: upstream's documented ones load as they are, and what is wrong is told with its place.

use super::*;

/// The examples of upstream's documentation and its test configuration, by their keys and values.
const DOCUMENTED: [&str; 3] =
    [include_str!("data/documented.yaml"), include_str!("data/practical.yaml"), include_str!("data/every_type.yaml")];

#[test]
fn upstreams_documented_configurations_load_unchanged() {
    for yaml in DOCUMENTED {
        let (sampler, warnings) =
            compiled(yaml, PolicyOptions::default()).unwrap_or_else(|found| panic!("{found:?}\n{yaml}"));
        assert!(warnings.is_empty(), "{warnings:?}");
        assert!(sampler.rule_count() >= 7);
    }
}

#[test]
fn the_practical_example_does_what_its_rules_say() {
    let mut sampler = sampler(DOCUMENTED[1]);
    let mut decide = |service: &str, span: Span| {
        let trace = Trace::new(1).resource(vec![text("service.name", service)]).span(&mut sampler, &span);
        let decision = sampler.decide(&[trace.facts], 0)[0];
        let name = decision.rule.map_or(String::new(), |rule| sampler.rule_name(rule).to_owned());
        (decision.kept, name)
    };
    let (yes, route) = (Value::BoolValue(true), |route: &str| with(vec![text("http.route", route)]));
    assert_eq!(decide("other", Span::default()), (true, "backwards-compatibility-policy".to_owned()));
    assert_eq!(decide("tail_sampling", status(2)), (true, "team_a-status-policy".to_owned()));
    assert_eq!(decide("tail_sampling", status(0)), (false, String::new()));
    assert_eq!(
        decide("list", with(vec![pair("app.force_sample", yes.clone())])),
        (true, "team_a-force-sample".to_owned())
    );
    let forced = with(vec![pair("app.force_sample", yes.clone()), pair("app.do_not_sample", yes)]);
    assert_eq!(decide("list", forced), (false, "do-not-sample".to_owned()));
    assert!(!decide("list", route("/live")).0);
    assert!(decide("service-1", route("/other")).0);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let mut missing = Vec::new();
    for (yaml, expected) in [
        ("policies: []", "<input>:1:1 at least one policy is needed"),
        (
            "policies:\n  - {name: a, type: always_sampel}",
            "<input>:2:21 policies::0: unknown sampling policy type \"always_sampel\": did you mean `always_sample`?",
        ),
        ("policies:\n  - {name: a}", "<input>:2:5 policies::0: a policy needs a `type`"),
        ("policies:\n  - {type: always_sample}", "<input>:2:5 policies::0: policy name cannot be empty"),
        (
            "policies:\n  - {name: a, type: always_sample}\n  - {name: a, type: always_sample}",
            "<input>:3:12 policies::1: duplicate policy name \"a\"",
        ),
        // As upstream's page shows it: the block is of another type.
        (
            "policies:\n  - {name: a, type: boolean_attribute, string_attribute: {key: k, value: true}}",
            "<input>:2:67 'policies[0].string_attribute' has invalid keys: value",
        ),
        (
            "policies:\n  - {name: a, type: string_attribute, string_attribute: {key: k, values: ['('], enabled_regex_matching: true}}",
            "<input>:2:75 policies::0::string_attribute::values: invalid regex `(`: error parsing regexp: missing closing ): `(`",
        ),
        (
            "policies:\n  - {name: a, type: status_code, status_code: {status_codes: [OK, WARN]}}",
            "<input>:2:67 policies::0::status_code::status_codes: unknown status code \"WARN\", supported: OK, ERROR, UNSET",
        ),
        (
            "policies:\n  - {name: a, type: status_code}",
            "<input>:2:5 policies::0::status_code: expected at least one status code to filter on",
        ),
        (
            "policies:\n  - {name: a, type: numeric_attribute, numeric_attribute: {key: k}}",
            "<input>:2:40 policies::0: at least one of `min_value` and `max_value` must be set",
        ),
        (
            "policies:\n  - {name: a, type: ottl_condition, ottl_condition: {error_mode: ignore}}",
            "<input>:2:37 policies::0: expected at least one OTTL condition to filter on",
        ),
        (
            "policies:\n  - {name: a, type: ottl_condition, ottl_condition: {error_mode: maybe, span: ['true']}}",
            "<input>:2:66 policies::0::ottl_condition: unknown error mode maybe",
        ),
        (
            "policies:\n  - {name: a, type: and, and: {and_sub_policy: [{name: b, type: composite}]}}",
            "<input>:2:65 policies::0::and::and_sub_policy::0: a policy of type `composite` cannot be inside `and`",
        ),
        ("policies:\n  - {name: a, type: and}", "<input>:2:5 policies::0::and: at least one sub-policy is needed"),
        ("policies:\n  - {name: a, type: not}", "<input>:2:5 policies::0::not: `not_sub_policy` is needed"),
        (
            "policies:\n  - {name: a, type: rate_limiting, rate_limiting: {spans_per_second: -1}}",
            "<input>:2:70 policies::0::rate_limiting: `spans_per_second` must not be negative",
        ),
        ("rules: []", "<input>:1:1 at least one rule is needed"),
        ("rules: [{name: a}]", "<input>:1:9 rules::0: a rule needs an `action`"),
        (
            "rules: [{name: a, action: maybe}]",
            "<input>:1:27 rules::0: unknown action \"maybe\": an action is `keep`, `drop`, `{probability: p}` or `{rate: {spans_per_second: n}}`",
        ),
        (
            "rules: [{name: a, action: {probability: 5}}]",
            "<input>:1:41 rules::0::action: `probability` must be between 0 and 1",
        ),
        ("rules: [{name: a, when: {trace: ['error_cuont > 0']}, action: keep}]", "unknown aggregate \"error_cuont\""),
        ("rules: [{name: a, when: {span: ['nam == \"x\"']}, action: keep}]", "nam"),
    ] {
        let found = errors(yaml);
        if !found.iter().any(|found| found.contains(expected)) {
            missing.push(format!("{yaml}\n  expected {expected}\n  found {found:#?}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn a_place_inside_a_condition_is_told() {
    let found = errors("rules: [{name: a, when: {trace: ['span_count > 1 and error_cuont > 0']}, action: keep}]");
    assert!(found.iter().any(|found| found.starts_with("<input>:1:54")), "{found:?}");
}

#[test]
fn more_than_256_different_conditions_are_refused() {
    let policy = |n: usize| {
        format!("  - {{name: p{n}, type: string_attribute, string_attribute: {{key: k, values: [v{n}]}}}}\n")
    };
    let many = |count: usize| format!("policies:\n{}", (0..count).map(policy).collect::<String>());
    assert!(errors(&many(256)).is_empty());
    assert_eq!(errors(&many(258)).len(), 1);
    // The same condition is looked for once.
    let same: String = (0..300)
        .map(|n| format!("  - {{name: p{n}, type: string_attribute, string_attribute: {{key: k, values: [v]}}}}\n"))
        .collect();
    let (sampler, _) = compiled(&format!("policies:\n{same}"), PolicyOptions::default()).unwrap();
    assert_eq!(sampler.leaf_count(), 1);
}

#[test]
fn inverted_policies_at_the_top_warn() {
    let top =
        "policies: [{name: a, type: string_attribute, string_attribute: {key: k, values: [v], invert_match: true}}]";
    let (_, warnings) = compiled(top, PolicyOptions::default()).unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].code, "W0516");
    let inside = "policies: [{name: n, type: and, and: {and_sub_policy: [{name: a, type: string_attribute, string_attribute: {key: k, values: [v], invert_match: true}}]}}]";
    assert!(compiled(inside, PolicyOptions::default()).unwrap().1.is_empty());
}

#[test]
fn policies_decode_with_their_defaults() {
    let policy: PolicyConfig = decoded("{name: a, type: rate_limiting}");
    assert_eq!(policy.rate_limiting, super::super::config::RateLimitingConfig::default());
    let policy: PolicyConfig = decoded("{name: a, type: string_attribute, string_attribute: {values: [404, true]}}");
    assert_eq!(policy.string_attribute.values, ["404", "true"]);
}
