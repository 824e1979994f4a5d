//! What is kept before its time, and that it would have been kept in any case.

use sluice_pdata::testing::Rng;

use super::*;

fn early(sampler: &mut Sampler, facts: &TraceFacts) -> Option<String> {
    let decision = sampler.early(facts)?;
    assert!(decision.kept && decision.weight == Weight::Threshold(0));
    Some(sampler.rule_name(decision.rule.unwrap()).to_owned())
}

#[test]
fn certain_conditions_keep_early_and_others_wait() {
    let errors = "{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}";
    let slow = "{name: slow, type: latency, latency: {threshold_ms: 100}}";
    let band = "{name: band, type: latency, latency: {threshold_ms: 10, upper_threshold_ms: 500}}";
    let rest = "{name: rest, type: probabilistic, probabilistic: {sampling_percentage: 100}}";
    let some = "{name: some, type: probabilistic, probabilistic: {sampling_percentage: 99}}";
    let rate = "{name: rate, type: rate_limiting, rate_limiting: {spans_per_second: 1000}}";
    let drop = "{name: drop, type: drop, drop: {drop_sub_policy: [{name: s, type: string_attribute, string_attribute: {key: k, values: [v]}}]}}";
    let small =
        "{name: small, type: drop, drop: {drop_sub_policy: [{name: s, type: span_count, span_count: {max_spans: 1}}]}}";
    let not = "{name: not, type: string_attribute, string_attribute: {key: k, values: [v], invert_match: true}}";
    for (policies, spans, kept) in [
        (vec![errors, slow], vec![status(0)], None),
        (vec![errors, slow], vec![status(0), status(2)], Some("errors")),
        (vec![errors, slow], vec![lasting(101)], Some("slow")),
        (vec![band], vec![lasting(101)], None), // it may yet take longer
        (vec![rest], vec![status(0)], Some("rest")),
        (vec![some], vec![status(0)], None), // another policy could yet make it certain
        (vec![rate], vec![status(0)], None),
        (vec![some, errors], vec![status(2)], Some("errors")),
        (vec![drop, errors], vec![status(2)], None),
        (vec![small, errors], vec![status(2)], None),
        (vec![small, errors], vec![status(2), status(0)], Some("errors")), // too long to be dropped
        (vec![errors, not], vec![status(2)], None),
    ] {
        let mut sampler = sampler(&format!("policies: [{}]", policies.join(",")));
        let trace = spans.iter().fold(Trace::new(1), |trace, span| trace.span(&mut sampler, span));
        assert_eq!(early(&mut sampler, &trace.facts).as_deref(), kept, "{policies:?} {spans:?}");
    }
}

#[test]
fn without_a_sign_nobody_needs_to_ask() {
    let policies = "policies: [{name: errors, type: status_code, status_code: {status_codes: [ERROR]}},
      {name: slow, type: latency, latency: {threshold_ms: 100}}, {name: wide, type: span_count, span_count: {min_spans: 3}},
      {name: band, type: latency, latency: {threshold_ms: 10, upper_threshold_ms: 500}},
      {name: some, type: probabilistic, probabilistic: {sampling_percentage: 50}}]";
    let signs = sampler(policies).early_signs();
    for (spans, seen) in [
        (vec![status(0)], false),
        (vec![status(0), status(2)], true),
        (vec![lasting(100)], false),
        (vec![lasting(101)], true),
        (vec![status(0), status(0)], false),
        (vec![status(0), status(0), status(0)], true),
    ] {
        let mut sampler = sampler(policies);
        let facts = spans.iter().fold(Trace::new(1), |trace, span| trace.span(&mut sampler, span)).facts;
        assert_eq!(signs.are_in(facts.leaves, facts.spans, facts.duration_ms()), seen, "{spans:?}");
    }
    let both = "policies: [{name: both, type: and, and: {and_sub_policy: [
      {name: error, type: status_code, status_code: {status_codes: [ERROR]}},
      {name: slow, type: latency, latency: {threshold_ms: 100}}]}}]";
    for (spans, seen) in [(vec![status(2)], false), (vec![lasting(101)], false), (vec![status(2), lasting(101)], true)]
    {
        let mut sampler = sampler(both);
        let facts = spans.iter().fold(Trace::new(1), |trace, span| trace.span(&mut sampler, span)).facts;
        assert_eq!(sampler.early_signs().are_in(facts.leaves, facts.spans, facts.duration_ms()), seen, "{spans:?}");
        assert_eq!(sampler.early(&facts).is_some(), seen);
    }
    let drop = "policies: [{name: d, type: probabilistic, probabilistic: {sampling_percentage: 1}}]";
    assert_eq!(sampler(drop).early_signs(), EarlySigns::NEVER);
}

#[test]
fn services_are_counted_for_conditions_that_ask_for_them() {
    for (condition, counts) in
        [("service_count > 3", true), ("span_count > 1 and service_count > 3", true), ("span_count > 3", false)]
    {
        let sampler = sampler(&format!(r#"rules: [{{name: r, when: {{trace: ["{condition}"]}}, action: keep}}]"#));
        assert_eq!(sampler.counts_services(), counts, "{condition}");
    }
}

#[test]
fn an_earlier_rule_that_may_match_holds_a_later_one_back() {
    let rules = |first: &str| {
        format!(
            r#"rules:
  - {{name: first, when: {{{first}}}, action: drop}}
  - {{name: errors, when: {{trace: ["error_count > 0"]}}, action: keep}}
  - {{name: rest, action: {{probability: 0.5}}}}
"#
        )
    };
    for (first, spans, kept) in [
        (r#"span: ['name == "x"']"#, vec![status(2)], None),
        (r#"trace: ["span_count < 2"]"#, vec![status(2)], None),
        (r#"trace: ["span_count < 2"]"#, vec![status(2), status(0)], Some("errors")),
        (r#"trace: ["span_count < 2"]"#, vec![status(0), status(0)], None),
        (r#"trace: ["span_count == 1"]"#, vec![status(2), status(0)], Some("errors")),
        (r#"trace: ["not has_root"]"#, vec![status(2)], Some("errors")),
        (r#"trace: ["has_root"]"#, vec![status(2)], None),
    ] {
        let mut sampler = sampler(&rules(first));
        let trace = spans.iter().fold(Trace::new(1), |trace, span| trace.span(&mut sampler, span));
        assert_eq!(early(&mut sampler, &trace.facts).as_deref(), kept, "{first}");
    }
}

/// An early keep is what the decision over the whole trace would have been, for random policies and traces.
#[test]
fn early_keeps_agree_with_the_decision_over_the_whole_trace() {
    let mut rng = Rng::new(31);
    let (mut early, mut late, mut unseen) = (0, 0, 0);
    for case in 0..3000 {
        let mut sampler = sampler(&composition::random_policies(&mut rng, false));
        let mut trace = Trace::new(rng.bits());
        let mut decided = None;
        for _ in 0..1 + rng.below(6) {
            trace = trace.span(&mut sampler, &composition::random_span(&mut rng));
            let facts = &trace.facts;
            let seen = sampler.early_signs().are_in(facts.leaves, facts.spans, facts.duration_ms());
            let sure = sampler.early(facts);
            assert!(seen || sure.is_none(), "case {case}: kept early without a sign");
            unseen += u32::from(!seen);
            decided = decided.or(sure);
        }
        let whole = sampler.decide(std::slice::from_ref(&trace.facts), 0)[0];
        match decided {
            Some(decided) => {
                early += 1;
                assert_eq!((whole.kept, whole.weight), (true, decided.weight), "case {case}");
            }
            None => late += 1,
        }
    }
    assert!(early > 200 && late > 200 && unseen > 200, "{early} early, {late} late, {unseen} without a sign");
}
