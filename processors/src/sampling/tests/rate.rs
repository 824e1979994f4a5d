//! Rate limits: how much passes, which, and that the counts are right.

use sluice_pdata::testing::Rng;

use super::threshold::ONE;
use super::*;

const SECOND: u64 = 1_000_000_000;

fn limited(spans_per_second: u32, burst: u32) -> Sampler {
    sampler(&format!(
        "policies: [{{name: r, type: rate_limiting, rate_limiting: {{spans_per_second: {spans_per_second}, burst_capacity: {burst}}}}}]"
    ))
}

fn traces(list: &[(u64, u32)]) -> Vec<TraceFacts> {
    list.iter().map(|(r, spans)| TraceFacts { randomness: *r, spans: *spans, ..TraceFacts::default() }).collect()
}

fn kept(sampler: &mut Sampler, list: &[(u64, u32)], now: u64) -> Vec<Option<u64>> {
    let decisions = sampler.decide(&traces(list), now);
    decisions
        .iter()
        .map(|decision| match decision.weight {
            Weight::Threshold(t) if decision.kept => Some(t),
            _ => None,
        })
        .collect()
}

#[test]
fn the_highest_pass_and_the_threshold_is_above_the_first_rejected() {
    let mut sampler = limited(10, 10);
    assert_eq!(kept(&mut sampler, &[(5, 4), (9, 4), (7, 4), (8, 4)], 0), [None, Some(8), None, Some(8)]);
    // Two tokens are left, and those of a tenth of a second.
    assert_eq!(kept(&mut sampler, &[(1, 3)], SECOND / 10), [Some(0)], "nothing rejected");
    assert_eq!(kept(&mut sampler, &[(1, 1)], SECOND / 10), [None]);
    // What would still fit behind the first rejected one does not pass: that would favour short traces.
    let mut sampler = limited(10, 10);
    assert_eq!(kept(&mut sampler, &[(9, 8), (8, 3), (7, 1)], 0), [Some(9), None, None]);
}

#[test]
fn ties_with_the_first_rejected_go_and_their_tokens_come_back() {
    let mut sampler = limited(10, 10);
    assert_eq!(kept(&mut sampler, &[(9, 2), (8, 5), (8, 5)], 0), [Some(9), None, None]);
    assert_eq!(kept(&mut sampler, &[(1, 8)], 0), [Some(0)]);
    let mut sampler = limited(10, 10);
    assert_eq!(kept(&mut sampler, &[(ONE - 1, 6), (ONE - 1, 6)], 0), [None, None], "no threshold is above those");
}

#[test]
fn a_trace_larger_than_the_burst_is_set_aside() {
    let mut sampler = limited(10, 10);
    assert_eq!(kept(&mut sampler, &[(9, 11), (8, 5), (7, 5)], 0), [None, Some(0), Some(0)]);
    assert_eq!(sampler.take_too_large(), 1);
    assert_eq!(sampler.take_too_large(), 0);
}

#[test]
fn the_burst_is_twice_the_rate_unless_given_and_refills() {
    let mut sampler = limited(10, 0);
    assert_eq!(kept(&mut sampler, &[(1, 20)], 5 * SECOND), [Some(0)]);
    assert_eq!(kept(&mut sampler, &[(1, 10)], 6 * SECOND - 1), [None]);
    assert_eq!(kept(&mut sampler, &[(1, 10)], 6 * SECOND), [Some(0)]);
    // A clock that goes back fills nothing.
    assert_eq!(kept(&mut sampler, &[(1, 1)], 0), [None]);
    assert_eq!(kept(&mut sampler, &[(1, 1)], 6 * SECOND), [None]);
    assert_eq!(kept(&mut sampler, &[(1, 20)], u64::MAX), [Some(0)]);
}

#[test]
fn bytes_are_limited_the_same_way() {
    let mut sampler = sampler(
        "policies: [{name: b, type: bytes_limiting, bytes_limiting: {bytes_per_second: 50, burst_capacity: 100}}]",
    );
    let trace = |randomness: u64, bytes: u64| TraceFacts { randomness, bytes, spans: 1, ..TraceFacts::default() };
    let decisions = sampler.decide(&[trace(3, 60), trace(2, 60), trace(9, 101)], 0);
    assert_eq!(decisions.iter().map(|decision| decision.kept).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(decisions[0].weight, Weight::Threshold(3));
    assert!(sampler.decide(&[trace(1, 90)], SECOND)[0].kept);
}

#[test]
fn inside_and_only_what_can_still_pass_uses_tokens() {
    for order in [["half", "rate"], ["rate", "half"]] {
        let sub = |name: &str| match name {
            "half" => "{name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}",
            _ => "{name: rate, type: rate_limiting, rate_limiting: {spans_per_second: 1, burst_capacity: 2}}",
        };
        let mut sampler = sampler(&format!(
            "policies: [{{name: a, type: and, and: {{and_sub_policy: [{}, {}]}}}}]",
            sub(order[0]),
            sub(order[1])
        ));
        let high = ONE / 2;
        let got = kept(&mut sampler, &[(1, 1), (high + 1, 1), (high + 2, 1)], 0);
        assert_eq!(got, [None, Some(high), Some(high)], "{order:?}");
        assert_eq!(kept(&mut sampler, &[(high + 1, 1), (high + 2, 1)], SECOND), [None, Some(high + 2)], "{order:?}");
    }
}

#[test]
fn what_passes_a_limit_is_counted_without_bias_and_the_limit_holds() {
    // Sizes that vary, and a load that varies: the estimates of traces and of spans are right all the same.
    let mut rng = Rng::new(23);
    let mut sampler = limited(400, 600);
    let (mut traces_seen, mut spans_seen, mut spans_kept) = (0.0, 0.0, 0_u64);
    let (mut traces_told, mut spans_told, mut variance, mut spans_variance) = (0.0, 0.0, 0.0, 0.0);
    let ticks = 30_000;
    for tick in 0..ticks {
        let list: Vec<(u64, u32)> = (0..rng.below(40)).map(|_| (rng.bits() >> 8, 1 + rng.below(20) as u32)).collect();
        traces_seen += list.len() as f64;
        spans_seen += list.iter().map(|(_, spans)| f64::from(*spans)).sum::<f64>();
        for ((_, spans), t) in list.iter().zip(kept(&mut sampler, &list, tick * SECOND / 10)) {
            let Some(t) = t else { continue };
            let (count, spans) = (Threshold::new(t).unwrap().adjusted_count(), *spans);
            spans_kept += u64::from(spans);
            traces_told += count;
            spans_told += count * f64::from(spans);
            variance += count * (count - 1.0);
            spans_variance += count * (count - 1.0) * f64::from(spans).powi(2);
        }
    }
    let off = (traces_told - traces_seen) / f64::sqrt(variance);
    assert!(off.abs() < 3.0, "traces: {off} standard deviations off");
    let off = (spans_told - spans_seen) / f64::sqrt(spans_variance);
    assert!(off.abs() < 3.0, "spans: {off} standard deviations off");
    let most = 600 + 400 * ticks / 10;
    assert!(spans_kept <= most && spans_kept > most / 10 * 8, "{spans_kept} of at most {most}");
    assert!(spans_seen > 2.0 * spans_kept as f64, "the limit is no limit: {spans_seen}");
}

#[test]
fn composite_counts_by_second_and_sub_policy() {
    let yaml = |order: &str| {
        format!(
            r#"policies:
  - name: c
    type: composite
    composite:
      max_total_spans_per_second: 100
      policy_order: [{order}]
      composite_sub_policy:
        - {{name: long, type: span_count, span_count: {{min_spans: 10}}}}
        - {{name: rest, type: always_sample}}
      rate_allocation: [{{policy: long, percent: 30}}]
"#
        )
    };
    let spans = |list: &[u32]| -> Vec<TraceFacts> {
        list.iter().map(|spans| TraceFacts { spans: *spans, ..TraceFacts::default() }).collect()
    };
    let mut sampler = sampler(&yaml("long, rest"));
    let decide = |sampler: &mut Sampler, list: &[u32], now: u64| -> Vec<Option<String>> {
        let decisions = sampler.decide(&spans(list), now);
        let names = decisions.iter().map(|decision| {
            assert_eq!(decision.rule.is_some(), decision.kept);
            decision.sub_rule.map(|rule| sampler.rule_name(rule).to_owned())
        });
        names.collect()
    };
    let (long, rest) = (Some("long".to_owned()), Some("rest".to_owned()));
    // 30 of long ones; a share that is not given is an equal one, 50. What is too much for its share is not kept by another.
    assert_eq!(
        decide(&mut sampler, &[20, 9, 20, 10, 10, 9, 9, 9, 9, 9], SECOND),
        [&long, &rest, &None, &long, &None, &rest, &rest, &rest, &rest, &None].map(Clone::clone)
    );
    assert_eq!(decide(&mut sampler, &[1, 5, 1], 2 * SECOND - 1), [rest.clone(), None, rest.clone()]);
    assert_eq!(decide(&mut sampler, &[30], 2 * SECOND), [long]);
    // The order is that of `policy_order`.
    let mut other = super::sampler(&yaml("rest, long"));
    assert_eq!(decide(&mut other, &[20], 0), [rest]);
}
