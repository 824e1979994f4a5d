//! Relabelling as Prometheus does it, from YAML to labels.

use crate::up::labels::LabelsBuilder;
use crate::up::relabel::{RelabelConfig, RelabelRule, dropped_by};

fn rules(yaml: &str) -> Result<Vec<RelabelRule>, String> {
    let configs: Vec<RelabelConfig> = serde_saphyr::from_str(yaml).map_err(|e| e.to_string())?;
    configs.iter().map(RelabelRule::compile).collect()
}

/// `a=b c=d` → labels.
fn labels(text: &str) -> LabelsBuilder {
    text.split_whitespace().filter_map(|pair| pair.split_once('=')).collect()
}

/// The labels after the rules, or "dropped".
fn relabel(yaml: &str, before: &str) -> String {
    let mut labels = labels(before);
    match dropped_by(&rules(yaml).unwrap_or_else(|e| panic!("{yaml}: {e}")), &mut labels) {
        Some(_) => "dropped".to_owned(),
        None => labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "),
    }
}

#[test]
fn every_action_does_what_prometheus_does() {
    for (rule, before, after) in [
        // replace
        ("{source_labels: [a], target_label: b}", "a=1", "a=1 b=1"),
        ("{source_labels: [a, c], target_label: b, separator: '-'}", "a=1 c=2", "a=1 b=1-2 c=2"),
        ("{source_labels: [a], regex: 'x(.*)', target_label: b, replacement: 'y$1'}", "a=xz", "a=xz b=yz"),
        ("{source_labels: [a], regex: 'x', target_label: b, replacement: y}", "a=xz", "a=xz"),
        ("{source_labels: [a], regex: 'x(.*)', target_label: a, replacement: '$1'}", "a=x b=1", "b=1"),
        ("{target_label: b, replacement: fixed}", "", "b=fixed"),
        ("{source_labels: [none], target_label: b}", "b=1", ""),
        ("{source_labels: [a], regex: '(.*)-(.*)', target_label: 'x_$1', replacement: '$2'}", "a=k-v", "a=k-v x_k=v"),
        ("{source_labels: [a], regex: '(?P<name>.*)', target_label: b, replacement: '${name}!'}", "a=1", "a=1 b=1!"),
        ("{source_labels: [a], target_label: b, replacement: '$1x'}", "a=1 b=2", "a=1"),
        ("{source_labels: [a], target_label: b, replacement: '${1}x'}", "a=1", "a=1 b=1x"),
        ("{source_labels: [a], target_label: b, replacement: '$$1$'}", "a=1", "a=1 b=$1$"),
        ("{source_labels: [a], target_label: '$2', replacement: x}", "a=1", "a=1"),
        ("{source_labels: [a], regex: 8080, target_label: b, replacement: 1}", "a=8080", "a=8080 b=1"),
        // keep, drop: anchored
        ("{source_labels: [a], regex: x, action: keep}", "a=x", "a=x"),
        ("{source_labels: [a], regex: x, action: keep}", "a=xy", "dropped"),
        ("{source_labels: [a], regex: 'x|y', action: DROP}", "a=y", "dropped"),
        ("{source_labels: [a], regex: 'x|y', action: drop}", "a=yx", "a=yx"),
        ("{source_labels: [none], regex: '', action: drop}", "a=1", "dropped"),
        // keepequal, dropequal
        ("{source_labels: [a], target_label: b, action: keepequal}", "a=1 b=1", "a=1 b=1"),
        ("{source_labels: [a], target_label: b, action: keepequal}", "a=1 b=2", "dropped"),
        ("{source_labels: [a], target_label: b, action: dropequal}", "a=1 b=1", "dropped"),
        ("{source_labels: [a, c], target_label: b, action: dropequal}", "a=1 b=1;2 c=2", "dropped"),
        // hashmod: the last eight bytes of MD5
        ("{source_labels: [a], target_label: b, modulus: 1000, action: hashmod}", "a=foo", "a=foo b=696"),
        (
            "{source_labels: [a, c], target_label: b, modulus: 1000, action: hashmod}",
            "a=foo c=bar",
            "a=foo b=750 c=bar",
        ),
        // labelmap, labeldrop, labelkeep
        ("{regex: 'm_(.+)', action: labelmap}", "m_a=1 m_b=2 c=3", "a=1 b=2 c=3 m_a=1 m_b=2"),
        ("{regex: 'm_(.+)', replacement: 'n_${1}_n', action: labelmap}", "m_a=1", "m_a=1 n_a_n=1"),
        ("{regex: '(m_)?m_(.+)', replacement: '$2', action: labelmap}", "m_m_a=1", "a=1 m_m_a=1"),
        ("{regex: 'm_.*', action: labeldrop}", "m_a=1 a=2", "a=2"),
        ("{regex: 'm_.*', action: labelkeep}", "m_a=1 a=2", "m_a=1"),
        // lowercase, uppercase: one character for one
        ("{source_labels: [a], target_label: a, action: lowercase}", "a=ÄbC", "a=äbc"),
        ("{source_labels: [a], target_label: b, action: uppercase}", "a=Straße", "a=Straße b=STRAßE"),
        ("{source_labels: [a], target_label: b, action: uppercase}", "a=ᾳ", "a=ᾳ b=ᾼ"),
        ("{source_labels: [a], target_label: b, action: lowercase}", "a=İ", "a=İ b=i"),
    ] {
        assert_eq!(relabel(&format!("[{rule}]"), before), after, "{rule} on {before}");
    }
}

#[test]
fn rules_apply_in_order_and_the_one_that_drops_is_known() {
    let yaml = "[{target_label: x, replacement: y}, {source_labels: [x], regex: y, action: drop}]";
    assert_eq!(dropped_by(&rules(yaml).expect("rules"), &mut labels("a=1")), Some(1));
}

#[test]
fn a_newline_is_matched_by_a_dot() {
    let mut labels = LabelsBuilder::default();
    labels.set("a", "x\ny");
    let rules = rules("[{source_labels: [a], regex: 'x.y', target_label: b, replacement: hit}]").expect("rules");
    assert_eq!(dropped_by(&rules, &mut labels), None);
    assert_eq!(labels.get("b"), "hit");
}

#[test]
fn what_prometheus_refuses_is_refused() {
    for rule in [
        "{action: nonsense}",
        "{action: replace}",
        "{action: hashmod, target_label: b}",
        "{action: hashmod, modulus: 3}",
        "{action: lowercase}",
        "{action: lowercase, target_label: a, replacement: x}",
        "{action: keepequal, source_labels: [a]}",
        "{action: dropequal, source_labels: [a], target_label: b, regex: x}",
        "{action: labeldrop, regex: x, source_labels: [a]}",
        "{action: labelkeep, regex: x, target_label: a}",
        "{action: keep, source_labels: [a], regex: '('}",
        "{target_label: a, unknown: 1}",
    ] {
        assert!(rules(&format!("[{rule}]")).is_err(), "{rule}");
    }
}
