//! How policies come together, against a model that goes by upstream's table of decisions.

use sluice_pdata::testing::Rng;

use super::threshold::ONE;
use super::*;

/// A condition in the model.
#[derive(Clone, Debug)]
enum Sub {
    Always,
    Text {
        key: &'static str,
        value: &'static str,
        invert: bool,
    },
    Errors,
    Count(u32, u32),
    /// Percent.
    Share(u32),
    Slow(u64, u64),
}

#[derive(Clone, Debug)]
enum Policy {
    One(Sub),
    And(Vec<Sub>),
    Not(Sub),
    Drop(Vec<Sub>),
}

fn random_sub(rng: &mut Rng) -> Sub {
    match rng.below(7) {
        0 => Sub::Always,
        1 | 2 => Sub::Text { key: rng.pick(&["a", "b"]), value: rng.pick(&["x", "y"]), invert: rng.chance(40) },
        3 => Sub::Errors,
        4 => Sub::Count(rng.below(4) as u32, rng.pick(&[0, 2, 3, 6])),
        5 => Sub::Share(rng.pick(&[0, 25, 50, 100])),
        _ => Sub::Slow(rng.pick(&[0, 50, 100]), rng.pick(&[0, 150])),
    }
}

fn random_policy(rng: &mut Rng, inverted: bool) -> Policy {
    let several = |rng: &mut Rng| (0..1 + rng.below(3)).map(|_| random_sub(rng)).collect();
    match rng.below(8) {
        0 | 1 => Policy::And(several(rng)),
        2 => Policy::Not(random_sub(rng)),
        3 => Policy::Drop(several(rng)),
        _ => loop {
            let sub = random_sub(rng);
            if inverted || !matches!(sub, Sub::Text { invert: true, .. }) {
                return Policy::One(sub);
            }
        },
    }
}

impl Sub {
    fn yaml(&self, name: &str) -> String {
        let config = match self {
            Sub::Always => "type: always_sample".to_owned(),
            Sub::Text { key, value, invert } => format!(
                "type: string_attribute, string_attribute: {{key: {key}, values: [{value}], invert_match: {invert}}}"
            ),
            Sub::Errors => "type: status_code, status_code: {status_codes: [ERROR]}".to_owned(),
            Sub::Count(min, max) => {
                format!("type: span_count, span_count: {{min_spans: {min}, max_spans: {max}}}")
            }
            Sub::Share(percent) => {
                format!("type: probabilistic, probabilistic: {{sampling_percentage: {percent}}}")
            }
            Sub::Slow(above, upto) => {
                format!("type: latency, latency: {{threshold_ms: {above}, upper_threshold_ms: {upto}}}")
            }
        };
        format!("{{name: {name}, {config}}}")
    }

    /// `rest`: of a share, what is left of it.
    fn holds(&self, spans: &[Span], r: u64, rest: bool) -> bool {
        let has = |key: &str, value: &str| {
            spans.iter().any(|span| {
                let first = span.attributes.iter().find(|pair| pair.key == key);
                first.is_some_and(|pair| *pair == text(key, value))
            })
        };
        match self {
            Sub::Always => true,
            Sub::Text { key, value, invert } => has(key, value) != *invert,
            Sub::Errors => spans.iter().any(|span| span.status.as_ref().is_some_and(|status| status.code == 2)),
            Sub::Count(min, max) => {
                let count = spans.len() as u32;
                count >= *min && (*max == 0 || count <= *max)
            }
            Sub::Share(percent) if rest => r < u64::from(*percent) * (ONE / 4) / 25,
            Sub::Share(percent) => r >= ONE - u64::from(*percent) * (ONE / 4) / 25,
            Sub::Slow(above, upto) => {
                let timed = || spans.iter().filter(|span| span.end_time_unix_nano > 0);
                let start = timed().map(|span| span.start_time_unix_nano).min();
                let end = timed().map(|span| span.end_time_unix_nano).max();
                start.zip(end).is_some_and(|(start, end)| {
                    let ms = (end - start) / 1_000_000;
                    ms > *above && (*upto == 0 || ms <= *upto)
                })
            }
        }
    }
}

/// Upstream's decisions.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    Sampled,
    NotSampled,
    InvertSampled,
    InvertNotSampled,
    Dropped,
}

impl Policy {
    fn yaml(&self, name: &str) -> String {
        let list = |subs: &[Sub]| {
            let subs: Vec<String> = subs.iter().enumerate().map(|(n, sub)| sub.yaml(&format!("s{n}"))).collect();
            subs.join(", ")
        };
        match self {
            Policy::One(sub) => sub.yaml(name),
            Policy::And(subs) => format!("{{name: {name}, type: and, and: {{and_sub_policy: [{}]}}}}", list(subs)),
            Policy::Not(sub) => format!("{{name: {name}, type: not, not: {{not_sub_policy: {}}}}}", sub.yaml("s")),
            Policy::Drop(subs) => {
                format!("{{name: {name}, type: drop, drop: {{drop_sub_policy: [{}]}}}}", list(subs))
            }
        }
    }

    fn say(&self, spans: &[Span], r: u64, plain: bool) -> Said {
        let plainly = |sampled: bool| if sampled { Said::Sampled } else { Said::NotSampled };
        match self {
            Policy::One(sub @ Sub::Text { invert: true, .. }) if !plain => {
                if sub.holds(spans, r, false) {
                    Said::InvertSampled
                } else {
                    Said::InvertNotSampled
                }
            }
            Policy::One(sub) => plainly(sub.holds(spans, r, false)),
            Policy::And(subs) => plainly(subs.iter().all(|sub| sub.holds(spans, r, false))),
            // The rest of a share is kept where the randomness is high, as everything is.
            Policy::Not(Sub::Share(percent)) => plainly(!Sub::Share(*percent).holds(spans, r, true)),
            Policy::Not(sub) => plainly(!sub.holds(spans, r, false)),
            Policy::Drop(subs) => {
                if subs.iter().all(|sub| sub.holds(spans, r, true)) {
                    Said::Dropped
                } else {
                    Said::NotSampled
                }
            }
        }
    }
}

/// Upstream: drops are asked first; the first that samples ends it, if so configured.
fn model(policies: &[Policy], spans: &[Span], r: u64, first_match: bool, plain: bool) -> (bool, Option<usize>) {
    let mut said: Vec<(Said, usize)> = Vec::new();
    let (drops, others): (Vec<_>, Vec<_>) =
        policies.iter().enumerate().partition(|(_, policy)| matches!(policy, Policy::Drop(_)));
    for (index, policy) in drops.into_iter().chain(others) {
        let decision = policy.say(spans, r, plain);
        said.push((decision, index));
        if decision == Said::Dropped || (first_match && decision == Said::Sampled) {
            break;
        }
    }
    let first = |wanted: Said| said.iter().find(|(decision, _)| *decision == wanted).map(|(_, index)| *index);
    if let Some(index) = first(Said::Dropped).or(first(Said::InvertNotSampled)) {
        return (false, Some(index));
    }
    if let Some(index) = first(Said::Sampled) {
        return (true, Some(index));
    }
    match first(Said::InvertSampled) {
        Some(index) if first(Said::NotSampled).is_none() => (true, Some(index)),
        _ => (false, None),
    }
}

pub(super) fn random_span(rng: &mut Rng) -> Span {
    let mut attributes = Vec::new();
    for key in ["a", "b"] {
        if rng.chance(40) {
            attributes.push(text(key, rng.pick(&["x", "y", "z"])));
        }
    }
    let times = if rng.chance(70) { lasting(rng.pick(&[10, 60, 120, 200])) } else { Span::default() };
    let code = if rng.chance(20) { 2 } else { 0 };
    Span { attributes, status: status(code).status, ..times }
}

fn yaml(policies: &[Policy]) -> String {
    let list: Vec<String> =
        policies.iter().enumerate().map(|(n, policy)| format!("  - {}\n", policy.yaml(&format!("p{n}")))).collect();
    format!("policies:\n{}", list.concat())
}

pub(super) fn random_policies(rng: &mut Rng, inverted: bool) -> String {
    let policies: Vec<Policy> = (0..1 + rng.below(4)).map(|_| random_policy(rng, inverted)).collect();
    yaml(&policies)
}

#[test]
fn policies_come_together_as_upstreams_table_says() {
    let mut rng = Rng::new(41);
    let mut kept = 0;
    for case in 0..6000 {
        let policies: Vec<Policy> = (0..1 + rng.below(5)).map(|_| random_policy(&mut rng, true)).collect();
        let options = PolicyOptions { sample_on_first_match: rng.chance(50), plain_inversion: rng.chance(30) };
        let text = yaml(&policies);
        let (mut sampler, _) = compiled(&text, options).unwrap_or_else(|found| panic!("{text}: {found:?}"));
        let mut traces = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..4 {
            let spans: Vec<Span> = (0..1 + rng.below(4)).map(|_| random_span(&mut rng)).collect();
            let trace = Trace::new(rng.bits());
            let trace = spans.iter().fold(trace, |trace, span| trace.span(&mut sampler, span));
            let r = trace.facts.randomness;
            expected.push(model(&policies, &spans, r, options.sample_on_first_match, options.plain_inversion));
            traces.push(trace.facts);
        }
        let decisions = sampler.decide(&traces, 0);
        for (at, (decision, expected)) in decisions.iter().zip(&expected).enumerate() {
            let got = (decision.kept, decision.rule.map(|rule| usize::from(rule.0)));
            assert_eq!(got, *expected, "case {case}, trace {at}, {options:?}\n{text}{:?}", traces[at]);
            kept += usize::from(decision.kept);
        }
    }
    assert!(kept > 3000, "{kept}");
}

/// For every trace, the least randomness at which it is kept is its threshold: what `th` says is true.
#[test]
fn the_threshold_is_where_the_trace_begins_to_be_kept() {
    let mut rng = Rng::new(43);
    let mut sampled = 0;
    for case in 0..6000 {
        let policies: Vec<Policy> = (0..1 + rng.below(5)).map(|_| random_policy(&mut rng, true)).collect();
        let options = PolicyOptions { sample_on_first_match: rng.chance(50), plain_inversion: rng.chance(30) };
        let (mut sampler, _) = compiled(&yaml(&policies), options).unwrap();
        let spans: Vec<Span> = (0..1 + rng.below(4)).map(|_| random_span(&mut rng)).collect();
        let trace = spans.iter().fold(Trace::new(rng.bits()), |trace, span| trace.span(&mut sampler, span)).facts;
        let Decision { kept: true, weight: Weight::Threshold(t), .. } =
            sampler.decide(std::slice::from_ref(&trace), 0)[0]
        else {
            continue;
        };
        // Inverted policies keep only where nothing disagrees, so a share beside them cuts from above: no threshold can
        // say that, and upstream deprecates them.
        let shares = policies.iter().any(|policy| format!("{policy:?}").contains("Share"));
        let inverts = policies.iter().any(|policy| matches!(policy, Policy::One(Sub::Text { invert: true, .. })));
        if inverts && shares && !options.plain_inversion {
            continue;
        }
        let mut at = |r: u64| {
            let decision = sampler.decide(&[TraceFacts { randomness: r, ..trace.clone() }], 0)[0];
            (decision.kept, decision.kept.then_some(decision.weight))
        };
        assert_eq!(at(t), (true, Some(Weight::Threshold(t))), "case {case}");
        assert_eq!(at(ONE - 1), (true, Some(Weight::Threshold(t))), "case {case}");
        if t > 0 {
            sampled += 1;
            assert!(!at(t - 1).0, "case {case}\n{}", yaml(&policies));
        }
    }
    assert!(sampled > 100, "{sampled}");
}

#[test]
fn counts_tell_what_each_policy_said() {
    let mut sampler = sampler(
        r#"policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: drop, type: drop, drop: {drop_sub_policy: [{name: s, type: span_count, span_count: {max_spans: 1}}]}}
"#,
    );
    let one = Trace::new(1).span(&mut sampler, &status(2)).facts;
    let two = Trace::new(2).span(&mut sampler, &status(2)).span(&mut sampler, &status(0)).facts;
    let three = Trace::new(3).span(&mut sampler, &status(0)).span(&mut sampler, &status(0)).facts;
    sampler.decide(&[one, two, three], 0);
    let counts: Vec<_> = sampler.take_counts().collect();
    let of = |rule: u16| counts.iter().find(|(index, _)| index.0 == rule).unwrap().1;
    // What is dropped is shown to no other policy.
    let count = |counted: Counted| (counted.traces, counted.spans);
    assert_eq!((count(of(0).sampled), count(of(0).not_sampled)), ((1, 2), (1, 2)));
    assert_eq!((count(of(1).dropped), count(of(1).not_sampled)), ((1, 1), (2, 4)));
    assert_eq!(sampler.take_counts().count(), 0);
}

#[test]
fn a_successor_knows_the_old_leaves_and_goes_on_with_the_tokens() {
    let mut old = sampler(
        r#"policies:
  - {name: a, type: string_attribute, string_attribute: {key: k, values: [a]}}
  - {name: b, type: string_attribute, string_attribute: {key: k, values: [b]}}
  - {name: r, type: rate_limiting, rate_limiting: {spans_per_second: 1, burst_capacity: 5}}
"#,
    );
    let mut new = sampler(
        r#"policies:
  - {name: b, type: string_attribute, string_attribute: {key: k, values: [b]}}
  - {name: c, type: string_attribute, string_attribute: {key: k, values: [c]}}
  - {name: r, type: rate_limiting, rate_limiting: {spans_per_second: 1, burst_capacity: 4}}
"#,
    );
    let spans = [with(vec![text("k", "a")]), with(vec![text("k", "b")])];
    let mut trace = spans.iter().fold(Trace::new(1), |trace, span| trace.span(&mut old, span)).facts;
    assert_eq!(old.decide(std::slice::from_ref(&trace), 0).len(), 1); // takes two of five tokens
    trace.leaves = new.succeed(&old).translate(trace.leaves);
    let expected = {
        let mut leaves = Leaves::default();
        leaves.insert(0);
        leaves
    };
    assert_eq!(trace.leaves, expected);
    let cold = |spans: u32| TraceFacts { spans, ..TraceFacts::default() };
    assert!(!new.decide(&[cold(4)], 0)[0].kept);
    assert!(new.decide(&[cold(3)], 0)[0].kept);
}
