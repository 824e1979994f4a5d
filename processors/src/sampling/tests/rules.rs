//! Rules: the first that matches decides.

use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::threshold::ONE;
use super::*;

const SHOP: &str = r#"rules:
  - {name: health, when: {span: ['attributes["url.path"] == "/healthz"']}, action: drop}
  - {name: errors, when: {trace: ["error_count > 0"]}, action: keep}
  - {name: logged, when: {log: ["severity_number >= SEVERITY_NUMBER_ERROR"]}, action: keep}
  - {name: slow, when: {trace: ["duration_ms > 1000"], span: ['name == "pay"', 'name == "buy"']}, action: keep}
  - {name: events, when: {spanevent: ['name == "exception"']}, action: {probability: 0.5}}
  - {name: many, when: {trace: ["span_count >= 3 and has_root == true"]}, action: {rate: {spans_per_second: 3}}}
  - {name: rest, action: {probability: 0.25}}
"#;

#[test]
fn the_first_rule_that_matches_decides() {
    use opentelemetry_proto::tonic::trace::v1::span::Event;
    let named = |name: &str, span: Span| Span { name: name.to_owned(), ..span };
    let event = Span { events: vec![Event { name: "exception".to_owned(), ..Event::default() }], ..Span::default() };
    let health = with(vec![text("url.path", "/healthz")]);
    let (high, low) = (ONE - 1, ONE / 4);
    for (spans, severity, r, rule, weight) in [
        (vec![health, status(2)], 0, high, "health", None),
        (vec![status(2)], 0, low, "errors", Some(0)),
        (vec![status(0)], 17, low, "logged", Some(0)),
        (vec![status(0)], 16, low, "rest", None),
        (vec![named("pay", lasting(1001))], 0, low, "slow", Some(0)),
        (vec![named("buy", lasting(1000)), lasting(10)], 0, low, "rest", None),
        (vec![named("look", lasting(5000))], 0, low, "rest", None),
        (vec![event.clone()], 0, ONE / 2, "events", Some(ONE / 2)),
        (vec![event], 0, ONE / 2 - 1, "events", None),
        (vec![status(0), status(0), status(0)], 0, 0, "many", Some(0)),
        (vec![status(0); 7], 0, high, "many", None), // more than the burst
        (vec![status(0)], 0, ONE / 4 * 3, "rest", Some(ONE / 4 * 3)),
        (vec![], 9, high, "rest", Some(ONE / 4 * 3)), // logs alone
    ] {
        let mut sampler = sampler(SHOP);
        let mut trace = spans.iter().fold(Trace::new(1), |trace, span| trace.span(&mut sampler, span));
        if severity > 0 {
            trace = trace.log(&mut sampler, &LogRecord { severity_number: severity, ..LogRecord::default() });
        }
        trace.facts.randomness = r;
        let decision = sampler.decide(&[trace.facts], 0)[0];
        assert_eq!(sampler.rule_name(decision.rule.unwrap()), rule, "{spans:?} {severity}");
        let kept = decision.kept.then_some(decision.weight);
        assert_eq!(kept, weight.map(Weight::Threshold), "{rule} {spans:?}");
    }
}

#[test]
fn no_match_is_a_drop_and_worth_a_warning() {
    let (mut sampler, warnings) = compiled(
        r#"rules: [{name: errors, when: {trace: ["error_count > 0"]}, action: keep}]"#,
        PolicyOptions::default(),
    )
    .unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.contains("no rule matches every trace"), "{}", warnings[0].message);
    let trace = Trace::new(1).span(&mut sampler, &status(0)).facts;
    assert_eq!(sampler.decide(&[trace], 0)[0], Decision::UNMATCHED);
    let (_, warnings) =
        compiled("rules: [{name: all, action: keep}, {name: never, action: drop}]", PolicyOptions::default()).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.contains("never reached"), "{}", warnings[0].message);
}

#[test]
fn conditions_over_the_trace_compare_what_is_counted() {
    let facts = TraceFacts {
        spans: 5,
        errors: 1,
        logs: 3,
        log_errors: 0,
        services: 2,
        root: true,
        start: Some(1_000_000_000),
        end: Some(1_250_999_999),
        ..TraceFacts::default()
    };
    for (condition, holds) in [
        ("span_count == 5", true),
        ("trace.span_count != 5", false),
        ("error_count >= 1", true),
        ("log_count < 3", false),
        ("log_error_count <= 0", true),
        ("service_count > 1.5", true),
        ("duration_ms == 250", true),
        ("250 < duration_ms", false),
        ("has_root", true),
        ("not has_root", false),
        ("has_root == false", false),
        ("span_count > log_count and (error_count > 3 or service_count == 2)", true),
        ("not (span_count > 4)", false),
        ("span_count > -1", true),
        ("true", true),
    ] {
        let mut sampler = sampler(&format!(
            "rules: [{{name: it, when: {{trace: [\"{condition}\"]}}, action: keep}}, {{name: rest, action: drop}}]"
        ));
        assert_eq!(sampler.decide(std::slice::from_ref(&facts), 0)[0].kept, holds, "{condition}");
    }
    // An unknown duration is neither long nor short.
    for condition in ["duration_ms > 0", "duration_ms <= 0", "duration_ms != 7"] {
        let mut sampler = sampler(&format!(
            "rules: [{{name: it, when: {{trace: [\"{condition}\"]}}, action: keep}}, {{name: rest, action: drop}}]"
        ));
        assert!(!sampler.decide(&[TraceFacts { end: None, ..facts.clone() }], 0)[0].kept, "{condition}");
    }
}

#[test]
fn only_traces_of_the_rule_use_its_rate() {
    let mut sampler = sampler(
        r#"rules:
  - {name: big, when: {trace: ["span_count > 5"]}, action: {rate: {spans_per_second: 10, burst_capacity: 10}}}
  - {name: small, action: {rate: {spans_per_second: 2, burst_capacity: 2}}}
"#,
    );
    let trace = |randomness: u64, spans: u32| TraceFacts { randomness, spans, ..TraceFacts::default() };
    let decisions = sampler.decide(&[trace(5, 6), trace(4, 1), trace(9, 7), trace(3, 1), trace(2, 1)], 0);
    let got: Vec<_> = decisions.iter().map(|decision| (decision.kept, decision.rule.unwrap().0)).collect();
    assert_eq!(got, [(false, 0), (true, 1), (true, 0), (true, 1), (false, 1)]);
    assert_eq!(decisions[2].weight, Weight::Threshold(6));
    assert_eq!(decisions[1].weight, Weight::Threshold(3));
}
