//! Laws of consistent probability: who is kept, and what the kept ones stand for.

use sluice_pdata::testing::Rng;

use super::threshold::{ONE, adjusted_count, rewrite};
use super::*;

fn facts(rng: &mut Rng) -> TraceFacts {
    let mut trace = Trace::new(rng.bits()).facts;
    trace.spans = 1;
    trace
}

fn probabilistic(percentage: &str) -> Sampler {
    sampler(&format!(
        "policies: [{{name: p, type: probabilistic, probabilistic: {{sampling_percentage: {percentage}}}}}]"
    ))
}

#[test]
fn a_trace_is_kept_exactly_where_its_randomness_reaches_the_threshold() {
    let mut rng = Rng::new(11);
    for percentage in ["100", "250", "50", "10", "1", "0.01"] {
        let mut sampler = probabilistic(percentage);
        let t = Threshold::from_probability(percentage.parse::<f64>().unwrap() / 100.0).unwrap();
        let mut traces: Vec<TraceFacts> = (0..2000).map(|_| facts(&mut rng)).collect();
        // And those just at it.
        for r in [t.get(), t.get().saturating_sub(1), t.get() + 1, 0, ONE - 1] {
            traces.push(TraceFacts { randomness: r.min(ONE - 1), ..facts(&mut rng) });
        }
        for (trace, decision) in traces.iter().zip(sampler.decide(&traces, 0)) {
            assert_eq!(decision.kept, trace.randomness >= t.get(), "{percentage}");
            assert!(!decision.kept || decision.weight == Weight::Threshold(t.get()));
        }
    }
    let mut never = probabilistic("0");
    assert!(!never.decide(&[TraceFacts { randomness: ONE - 1, ..facts(&mut rng) }], 0)[0].kept);
}

/// The estimate of how many traces there were, from the spans that were kept, and its error in standard deviations.
fn deviations(weights: &[f64], traces: usize) -> f64 {
    let estimate: f64 = weights.iter().sum();
    // Of a sum of independent keeps: each kept one contributes w (w - 1).
    let variance: f64 = weights.iter().map(|weight| weight * (weight - 1.0)).sum();
    if variance == 0.0 {
        assert_eq!(estimate, traces as f64);
        return 0.0;
    }
    (estimate - traces as f64) / variance.sqrt()
}

#[test]
fn adjusted_counts_are_unbiased_through_a_chain_of_samplers() {
    // Head sampling, then policies that overlap, then another sampler behind: each writes its threshold on each span.
    let policies = r#"policies:
  - {name: base, type: probabilistic, probabilistic: {sampling_percentage: 5}}
  - name: more
    type: and
    and:
      and_sub_policy:
        - {name: long, type: span_count, span_count: {min_spans: 3}}
        - {name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}
  - {name: all, type: span_count, span_count: {min_spans: 9}}
  - name: less
    type: drop
    drop:
      drop_sub_policy:
        - {name: dull, type: span_count, span_count: {min_spans: 6, max_spans: 6}}
        - {name: some, type: probabilistic, probabilistic: {sampling_percentage: 75}}
"#;
    let mut rng = Rng::new(17);
    let mut first = sampler(policies);
    let mut first_match =
        compiled(policies, PolicyOptions { sample_on_first_match: true, ..PolicyOptions::default() }).unwrap().0;
    let mut second = probabilistic("20");
    let total = 400_000;
    let mut weights: [Vec<f64>; 4] = Default::default();
    let mut by_size = [0_usize; 11];
    let mut weights_by_size: [Vec<f64>; 11] = Default::default();
    for _ in 0..total {
        let mut trace = facts(&mut rng);
        trace.spans = 1 + rng.below(10) as u32;
        by_size[trace.spans as usize] += 1;
        let head = Threshold::from_probability(rng.pick(&[1.0, 0.5, 0.3])).unwrap();
        if !head.keeps(trace.randomness) {
            continue;
        }
        let mut state = rewrite(b"", Weight::Threshold(head.get()), trace.randomness).changed.unwrap_or_default();
        weights[0].push(adjusted_count(&state, &trace.trace_id));
        let other = first_match.decide(std::slice::from_ref(&trace), 0)[0];
        if other.kept {
            let rewritten = rewrite(&state, other.weight, trace.randomness).changed.unwrap_or(state.clone());
            weights[3].push(adjusted_count(&rewritten, &trace.trace_id));
        }
        for (stage, sampler) in [&mut first, &mut second].into_iter().enumerate() {
            let decision = sampler.decide(std::slice::from_ref(&trace), 0)[0];
            if !decision.kept {
                break;
            }
            let before = threshold::own_threshold(&state, trace.randomness);
            let rewritten = rewrite(&state, decision.weight, trace.randomness);
            if let Some(changed) = rewritten.changed {
                state = changed;
            }
            // It only rises, and the trace is still one that it keeps.
            if let threshold::OwnThreshold::Valid(before) = before {
                assert!(rewritten.threshold >= Some(before));
            }
            let count = adjusted_count(&state, &trace.trace_id);
            weights[1 + stage].push(count);
            if stage == 0 {
                weights_by_size[trace.spans as usize].push(count);
            }
        }
    }
    for (stage, weights) in weights.iter().enumerate() {
        let off = deviations(weights, total);
        assert!(off.abs() < 3.0, "after stage {stage}: {off} standard deviations off");
    }
    for (size, weights) in weights_by_size.iter().enumerate().skip(1) {
        let off = deviations(weights, by_size[size]);
        assert!(off.abs() < 3.5, "traces of {size} spans: {off} standard deviations off");
    }
}

#[test]
fn the_threshold_is_the_least_of_those_that_match_whatever_the_randomness() {
    let policies = r#"policies:
  - {name: rare, type: probabilistic, probabilistic: {sampling_percentage: 1}}
  - {name: often, type: probabilistic, probabilistic: {sampling_percentage: 50}}
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
"#;
    for first_match in [false, true] {
        let options = PolicyOptions { sample_on_first_match: first_match, ..PolicyOptions::default() };
        let (mut sampler, _) = compiled(policies, options).unwrap();
        let half = ONE / 2;
        let mut decide = |r: u64, code: i32| {
            let mut trace = Trace::new(1).span(&mut sampler, &status(code)).facts;
            trace.randomness = r;
            let decision = sampler.decide(&[trace], 0)[0];
            (decision.kept, decision.weight, decision.rule.map(|rule| rule.0))
        };
        // The rare one keeps it, too; but it would have been kept at a half.
        assert_eq!(decide(ONE - 1, 0), (true, Weight::Threshold(half), Some(0)), "{first_match}");
        assert_eq!(decide(half, 0), (true, Weight::Threshold(half), Some(1)));
        assert_eq!(decide(half - 1, 0), (false, Weight::Threshold(0), None));
        assert_eq!(decide(half - 1, 2), (true, Weight::Threshold(0), Some(2)));
        assert_eq!(decide(ONE - 1, 2), (true, Weight::Threshold(0), Some(0)));
    }
}

#[test]
fn keeps_of_unknown_probability_erase_and_others_do_not() {
    let mut sampler = sampler(
        r#"policies:
  - {name: known, type: probabilistic, probabilistic: {sampling_percentage: 50}}
  - name: shares
    type: composite
    composite:
      max_total_spans_per_second: 10
      policy_order: [all]
      composite_sub_policy: [{name: all, type: always_sample}]
"#,
    );
    let mut decide = |r: u64| {
        let mut trace = Trace::new(1).facts;
        (trace.randomness, trace.spans) = (r, 5);
        sampler.decide(&[trace], 0)[0]
    };
    let low = decide(1);
    assert_eq!((low.kept, low.weight, low.sub_rule), (true, Weight::Unknown, Some(RuleIndex(2))));
    let high = decide(ONE - 1);
    assert_eq!((high.kept, high.weight), (true, Weight::Threshold(ONE / 2)));
    assert!(!decide(1).kept, "the share is used up");
}

#[test]
fn not_and_drop_of_a_probability_leave_the_rest() {
    let not = |percentage: u32| {
        sampler(&format!(
            "policies: [{{name: n, type: not, not: {{not_sub_policy: {{name: p, type: probabilistic, probabilistic: {{sampling_percentage: {percentage}}}}}}}}}]"
        ))
    };
    let at = |sampler: &mut Sampler, r: u64| {
        let decision = sampler.decide(&[TraceFacts { randomness: r, spans: 1, ..TraceFacts::default() }], 0)[0];
        (decision.kept, decision.weight)
    };
    // 75 % are left of not 25 %.
    let quarter = ONE / 4;
    assert_eq!(at(&mut not(25), quarter), (true, Weight::Threshold(quarter)));
    assert!(!at(&mut not(25), quarter - 1).0);
    assert!(!at(&mut not(100), ONE - 1).0);
    assert_eq!(at(&mut not(0), 0), (true, Weight::Threshold(0)));
    let mut drop = sampler(
        r#"policies:
  - {name: all, type: always_sample}
  - name: d
    type: drop
    drop: {drop_sub_policy: [{name: p, type: probabilistic, probabilistic: {sampling_percentage: 25}}]}
"#,
    );
    assert_eq!(at(&mut drop, quarter), (true, Weight::Threshold(quarter)));
    assert!(!at(&mut drop, quarter - 1).0);
}
