//! Every policy type, with the cases at its edges.

use super::*;

const YES: bool = true;
const NO: bool = false;

fn int(key: &str, value: i64) -> KeyValue {
    pair(key, Value::IntValue(value))
}

fn flag(key: &str, value: bool) -> KeyValue {
    pair(key, Value::BoolValue(value))
}

#[test]
fn always_sample_keeps_everything() {
    assert!(keeps("type: always_sample", vec![], &[Span::default()]));
    // Also a trace of logs alone.
    assert!(keeps("type: always_sample", vec![], &[]));
}

#[test]
fn latency_is_that_of_the_whole_trace() {
    let over = "type: latency, latency: {threshold_ms: 100}";
    let between = "type: latency, latency: {threshold_ms: 100, upper_threshold_ms: 200}";
    for (policy, ms, kept) in [
        (over, 99, NO),
        (over, 100, NO),
        (over, 101, YES),
        (between, 100, NO),
        (between, 101, YES),
        (between, 200, YES),
        (between, 201, NO),
    ] {
        assert_eq!(keeps(policy, vec![], &[lasting(ms)]), kept, "{policy} {ms}");
    }
    // From the earliest start to the latest end, though no span takes that long.
    let late = |by: u64| {
        let span = lasting(60);
        Span {
            start_time_unix_nano: span.start_time_unix_nano + by * 1_000_000,
            end_time_unix_nano: span.end_time_unix_nano + by * 1_000_000,
            ..span
        }
    };
    assert!(keeps(over, vec![], &[late(0), late(50)]));
    assert!(keeps(over, vec![], &[late(50), late(0)]));
    assert!(!keeps(over, vec![], &[late(0), late(40)]));
    // 100.9 ms are 100 whole ones.
    let mut span = lasting(100);
    span.end_time_unix_nano += 900_000;
    assert!(!keeps(over, vec![], &[span]));
    // Unknown times are no latency, not even one above nothing.
    assert!(!keeps("type: latency, latency: {threshold_ms: -1}", vec![], &[Span::default()]));
    assert!(!keeps("type: latency, latency: {threshold_ms: -1}", vec![], &[]));
}

#[test]
fn numeric_attribute_takes_integers_in_a_range() {
    let range = "type: numeric_attribute, numeric_attribute: {key: n, min_value: -5, max_value: 9}";
    let from = "type: numeric_attribute, numeric_attribute: {key: n, min_value: 5}";
    let upto = "type: numeric_attribute, numeric_attribute: {key: n, max_value: 5}";
    let not = "type: numeric_attribute, numeric_attribute: {key: n, min_value: 1, max_value: 9, invert_match: true}";
    for (policy, value, kept) in [
        (range, -6, NO),
        (range, -5, YES),
        (range, 9, YES),
        (range, 10, NO),
        (from, 4, NO),
        (from, 5, YES),
        (from, i64::MAX, YES),
        (upto, 5, YES),
        (upto, i64::MIN, YES),
        (upto, 6, NO),
        (not, 5, NO),
        (not, 10, YES),
    ] {
        assert_eq!(keeps(policy, vec![], &[with(vec![int("n", value)])]), kept, "{policy} {value}");
        assert_eq!(keeps(policy, vec![int("n", value)], &[Span::default()]), kept, "resource: {policy} {value}");
    }
    // Other types are no numbers.
    assert!(!keeps(range, vec![], &[with(vec![text("n", "5"), pair("m", Value::DoubleValue(5.0))])]));
    assert!(!keeps(range, vec![], &[with(vec![pair("n", Value::DoubleValue(5.0))])]));
    // One span of many is enough; inverted, one is enough against it.
    assert!(keeps(range, vec![], &[Span::default(), with(vec![int("n", 1)])]));
    assert!(!keeps(not, vec![], &[with(vec![int("n", 100)]), with(vec![int("n", 1)])]));
    assert!(keeps(not, vec![], &[Span::default()]), "without the key it is sampled");
    // The first of several attributes with one key counts.
    assert!(!keeps(range, vec![], &[with(vec![int("n", 100), int("n", 1)])]));
}

#[test]
fn string_attribute_takes_values_or_patterns() {
    let exact = r#"type: string_attribute, string_attribute: {key: k, values: [b, a, ""]}"#;
    let regex = r#"type: string_attribute, string_attribute: {key: k, values: ["^v\\d", oo], enabled_regex_matching: true, cache_max_size: 5}"#;
    let not = r#"type: string_attribute, string_attribute: {key: k, values: [a], invert_match: true}"#;
    let any = r#"type: string_attribute, string_attribute: {key: k, values: [".*"], enabled_regex_matching: true}"#;
    for (policy, value, kept) in [
        (exact, "a", YES),
        (exact, "b", YES),
        (exact, "ab", NO),
        (exact, "", NO),
        (regex, "v1", YES),
        (regex, "av1", NO),
        (regex, "food", YES),
        (regex, "fo", NO),
        (not, "a", NO),
        (not, "b", YES),
        (any, "x", YES),
    ] {
        assert_eq!(keeps(policy, vec![], &[with(vec![text("k", value)])]), kept, "{policy} {value}");
        assert_eq!(keeps(policy, vec![text("k", value)], &[Span::default()]), kept, "resource: {policy} {value}");
    }
    assert!(!keeps(exact, vec![], &[with(vec![int("k", 1)])]));
    assert!(keeps(not, vec![], &[Span::default()]));
    assert!(!keeps(not, vec![text("k", "a")], &[with(vec![text("k", "b")])]), "the resource matches");
    // An empty text of a span is as good as none; one of a resource is a text.
    assert!(!keeps(any, vec![], &[with(vec![text("k", "")])]));
    assert!(keeps(any, vec![text("k", "")], &[Span::default()]));
    // What is not UTF-8 is looked at as it is.
    let mut sampler = sampler(&format!("policies: [{{name: p, {any}}}]"));
    let bytes = [0x4a, 8, 0x0a, 1, b'k', 0x12, 3, 0x0a, 1, 0xff];
    let item = SpanItem {
        status: None,
        attributes: None,
        view: SpanView::parse(&bytes).unwrap(),
        resource: &[],
        resource_envelope: &[],
        scope: &[],
        scope_envelope: &[],
        now: 0,
    };
    let mut leaves = Leaves::default();
    sampler.observe_span(&item, &mut leaves);
    assert!(leaves.contains(0));
}

#[test]
fn many_keys_are_found_as_well_as_few() {
    let policies: Vec<String> = (0..40)
        .map(|n| format!("{{name: p{n}, type: string_attribute, string_attribute: {{key: key{n}, values: [v{n}]}}}}"))
        .collect();
    let mut sampler = sampler(&format!("policies: [{}]", policies.join(",")));
    assert_eq!(sampler.leaf_count(), 40);
    let attributes = (0..40).rev().map(|n| text(&format!("key{n}"), &format!("v{}", n - n % 2))).collect();
    let trace = Trace::new(1).span(&mut sampler, &with(attributes));
    for n in 0..40 {
        assert_eq!(trace.facts.leaves.contains(n), n % 2 == 0, "{n}");
    }
}

#[test]
fn boolean_attribute_takes_its_value() {
    let yes = "type: boolean_attribute, boolean_attribute: {key: k, value: true}";
    let no = "type: boolean_attribute, boolean_attribute: {key: k, value: false}";
    let not = "type: boolean_attribute, boolean_attribute: {key: k, value: true, invert_match: true}";
    for (policy, value, kept) in
        [(yes, true, YES), (yes, false, NO), (no, false, YES), (no, true, NO), (not, true, NO), (not, false, YES)]
    {
        assert_eq!(keeps(policy, vec![], &[with(vec![flag("k", value)])]), kept, "{policy} {value}");
        assert_eq!(keeps(policy, vec![flag("k", value)], &[Span::default()]), kept, "resource: {policy} {value}");
    }
    assert!(!keeps(no, vec![], &[with(vec![text("k", "false")])]));
    assert!(!keeps(no, vec![], &[Span::default()]));
}

#[test]
fn status_code_is_that_of_any_span() {
    let error = "type: status_code, status_code: {status_codes: [ERROR]}";
    let others = "type: status_code, status_code: {status_codes: [OK, UNSET]}";
    for (policy, codes, kept) in [
        (error, &[0, 1][..], NO),
        (error, &[0, 2], YES),
        (others, &[2], NO),
        (others, &[2, 1], YES),
        (others, &[0], YES),
        (others, &[7, -3], NO),
    ] {
        let spans: Vec<Span> = codes.iter().map(|code| status(*code)).collect();
        assert_eq!(keeps(policy, vec![], &spans), kept, "{policy} {codes:?}");
    }
    assert!(keeps(others, vec![], &[Span::default()]), "no status is unset");
}

#[test]
fn trace_state_looks_up_a_member() {
    let policy = "type: trace_state, trace_state: {key: vendor, values: [a, b]}";
    for (list, kept) in [
        ("vendor=a", YES),
        ("x=1, vendor=b ", YES),
        ("vendor=ab", NO),
        ("x=a", NO),
        ("", NO),
        ("vendor=a,vendor=a", NO), // no valid list
        ("vendor", NO),
    ] {
        let span = Span { trace_state: list.to_owned(), ..Span::default() };
        assert_eq!(keeps(policy, vec![], &[Span::default(), span]), kept, "{list}");
    }
}

#[test]
fn trace_flags_looks_for_the_sampled_bit() {
    for (flags, kept) in [(0, NO), (1, YES), (0x101, YES), (0x100, NO), (2, NO)] {
        assert_eq!(keeps("type: trace_flags", vec![], &[Span { flags, ..Span::default() }]), kept, "{flags}");
    }
}

#[test]
fn span_count_is_inclusive() {
    let between = "type: span_count, span_count: {min_spans: 2, max_spans: 3}";
    let from = "type: span_count, span_count: {min_spans: 2}";
    for (policy, spans, kept) in
        [(between, 1, NO), (between, 2, YES), (between, 3, YES), (between, 4, NO), (from, 1, NO), (from, 4, YES)]
    {
        assert_eq!(keeps(policy, vec![], &vec![Span::default(); spans]), kept, "{policy} {spans}");
    }
}

#[test]
fn ottl_conditions_hold_for_a_span_or_an_event() {
    use opentelemetry_proto::tonic::trace::v1::span::Event;
    let policy = r#"type: ottl_condition, ottl_condition: {error_mode: ignore, span: ["attributes[\"a\"] == \"1\"", "span.name == \"n\"", "resource.attributes[\"r\"] == \"1\""], spanevent: ["name == \"e\"", "spanevent.attributes[\"x\"] == 3"]}"#;
    let event = |name: &str, attributes| Span {
        events: vec![Event::default(), Event { name: name.to_owned(), attributes, ..Event::default() }],
        ..Span::default()
    };
    for (span, kept) in [
        (with(vec![text("a", "1")]), YES),
        (with(vec![text("a", "2")]), NO),
        (Span { name: "n".to_owned(), ..Span::default() }, YES),
        (event("e", vec![]), YES),
        (event("f", vec![int("x", 3)]), YES),
        (event("f", vec![int("x", 4)]), NO),
    ] {
        assert_eq!(keeps(policy, vec![], &[Span::default(), span.clone()]), kept, "{span:?}");
    }
    assert!(keeps(policy, vec![text("r", "1")], &[Span::default()]));
}

#[test]
fn failing_conditions_do_not_match_and_are_counted() {
    for mode in ["ignore", "silent", "propagate"] {
        let mut sampler = sampler(&format!(
            r#"policies:
  - {{name: first, type: always_sample}}
  - name: second
    type: ottl_condition
    ottl_condition: {{error_mode: {mode}, span: ['ParseJSON(name) == "1"']}}
"#
        ));
        let broken = Span { name: "{".to_owned(), ..Span::default() };
        let trace = Trace::new(1).span(&mut sampler, &broken).span(&mut sampler, &broken);
        assert!(trace.facts.leaves.is_empty(), "{mode}");
        let errors: Vec<_> = sampler.take_evaluation_errors().collect();
        assert_eq!(errors, [(RuleIndex(1), 2)], "{mode}");
        assert_eq!(sampler.rule_name(errors[0].0), "second");
        assert_eq!(sampler.take_evaluation_errors().count(), 0);
    }
}

#[test]
fn salted_probability_is_the_go_collectors_hash() {
    // Counts as the collector does: FNV-1a over salt and id, at most this share of all hashes.
    let policy =
        "policies: [{name: p, type: probabilistic, probabilistic: {hash_salt: pepper, sampling_percentage: 25}}]";
    let mut sampler = sampler(policy);
    let mut rng = sluice_pdata::testing::Rng::new(7);
    let facts: Vec<TraceFacts> = (0..4000).map(|_| Trace::new(rng.bits()).facts).collect();
    let decisions = sampler.decide(&facts, 0);
    let expected = |facts: &TraceFacts| {
        let bytes = b"pepper".iter().chain(&facts.trace_id);
        let hash = bytes.fold(14_695_981_039_346_656_037_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211)
        });
        hash <= u64::MAX / 4
    };
    for (facts, decision) in facts.iter().zip(&decisions) {
        assert_eq!(decision.kept, expected(facts));
        assert!(!decision.kept || decision.weight == Weight::Unknown);
    }
    let kept = decisions.iter().filter(|decision| decision.kept).count();
    assert!((850..1150).contains(&kept), "{kept}");
}

#[test]
fn the_resource_is_looked_at_again_when_it_changes() {
    let mut sampler =
        sampler("policies: [{name: p, type: string_attribute, string_attribute: {key: service.name, values: [a]}}]");
    for (service, held) in [("a", true), ("b", false), ("a", true), ("a", true), ("c", false)] {
        let trace = Trace::new(1).resource(vec![text("service.name", service)]).span(&mut sampler, &Span::default());
        assert_eq!(trace.facts.leaves.contains(0), held, "{service}");
    }
    let trace = Trace::new(1).span(&mut sampler, &Span::default());
    assert!(!trace.facts.leaves.contains(0), "no resource at all");
}

#[test]
fn damaged_attributes_are_an_error_and_no_match() {
    let mut sampler = sampler("policies: [{name: p, type: string_attribute, string_attribute: {key: k, values: [a]}}]");
    let bytes = [0x4a, 2, 0x0a, 9];
    let item = SpanItem {
        status: None,
        attributes: None,
        view: SpanView::parse(&bytes).unwrap(),
        resource: &[],
        resource_envelope: &[],
        scope: &[],
        scope_envelope: &[],
        now: 0,
    };
    let mut leaves = Leaves::default();
    sampler.observe_span(&item, &mut leaves);
    assert!(leaves.is_empty());
    assert_eq!(sampler.take_evaluation_errors().map(|(_, errors)| errors).sum::<u64>(), 1);
}
