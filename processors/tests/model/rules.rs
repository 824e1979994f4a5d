//! What finds text under `redaction`: detectors, and the user's rules; and what is allowed in spite of them.

use regex::bytes::Regex;
use sluice_pdata::testing::Rng;

use crate::redaction::detect::{self, Detector};

/// A detector or rule, with its action as configured.
#[derive(Debug)]
pub struct Source {
    /// Shown in masks.
    pub label: &'static str,
    pub priority: u8,
    pub score: f32,
    pub action: Option<&'static str>,
    pub finder: Finder,
}

/// How a source finds.
#[derive(Debug)]
pub enum Finder {
    Detector(&'static dyn Detector),
    Pattern(Regex),
    /// Patterns of keys whose value is masked whole.
    Keys(Vec<Regex>),
}

impl Source {
    pub fn detector(&self) -> Option<&'static dyn Detector> {
        match self.finder {
            Finder::Detector(detector) => Some(detector),
            _ => None,
        }
    }
}

/// What is never a finding of a detector or rule.
#[derive(Debug, Default)]
pub struct Allow {
    pub prefix: Option<&'static str>,
    pub example_domains: bool,
    pub test_cards: bool,
}

impl Allow {
    pub fn allows(&self, source: &Source, found: &[u8]) -> bool {
        let normal = source.detector().map(|detector| {
            let mut normal = Vec::new();
            detector.normalize(found, &mut normal);
            (detector, normal)
        });
        self.prefix.is_some_and(|prefix| found.starts_with(prefix.as_bytes()))
            || normal.is_some_and(|(detector, normal)| {
                self.example_domains && detector.is_example(&normal)
                    || self.test_cards && detector.is_test_value(&normal)
            })
    }

    pub fn random(rng: &mut Rng, config: &mut serde_json::Value) -> Self {
        if !rng.chance(20) {
            return Allow::default();
        }
        let allow = Allow {
            prefix: rng.chance(30).then(|| rng.pick(&["bob", "4111", "to"])),
            example_domains: rng.chance(50),
            test_cards: rng.chance(50),
        };
        let prefixes: Vec<_> = allow.prefix.into_iter().collect();
        config["allow"] = serde_json::json!({
            "prefixes": prefixes, "example_domains": allow.example_domains, "test_cards": allow.test_cards,
        });
        allow
    }
}

/// A pattern without characters beyond ASCII, on bytes.
pub fn pattern(text: &str) -> Regex {
    Regex::new(&format!("(?-u){text}")).unwrap()
}

const EDITS: [Option<&str>; 8] = [
    None,
    None,
    Some("mask"),
    Some("mask_len"),
    Some("partial"),
    Some("drop_value"),
    Some("drop_attribute"),
    Some("tag_only"),
];
const DROPS: [Option<&str>; 3] = [None, Some("mask"), Some("drop_record")];

/// Some of the built-in detectors and some rules, written into the config.
pub fn random_sources(rng: &mut Rng, config: &mut serde_json::Value, drops: bool) -> Vec<Source> {
    let actions: &[Option<&'static str>] = if drops { &DROPS } else { &EDITS };
    let with_action = |mut written: serde_json::Value, action: Option<&str>| {
        action.iter().for_each(|action| written["action"] = serde_json::json!(action));
        written
    };
    let mut sources = Vec::new();
    let mut written = serde_json::json!({});
    for detector in detect::all() {
        if rng.chance(25) {
            continue;
        }
        let action = rng.pick(actions);
        let spec = detector.spec();
        written[spec.id] = with_action(serde_json::json!({}), action);
        let (label, priority, score) = (spec.label, spec.priority, spec.base);
        sources.push(Source { label, priority, score, action, finder: Finder::Detector(detector) });
    }
    config["detectors"] = written;
    let mut rules = Vec::new();
    for label in ["R0", "R1", "R2"] {
        if !rng.chance(15) {
            continue;
        }
        let action = rng.pick(actions);
        let (rule, finder) = match rng.below(3) {
            0 => {
                let text = rng.pick(&["xx+", "[0-9]{4}-[0-9]{4}", "GET|POST", "(?i)ALICE", "t[a-z]?k"]);
                (serde_json::json!({"pattern": text}), Finder::Pattern(pattern(text)))
            }
            1 => (
                serde_json::json!({"keywords": ["secret", "example", "a.b"]}),
                Finder::Pattern(pattern("(?i)\\b(?:secret|example|a\\.b)\\b")),
            ),
            _ => (
                serde_json::json!({"keys": ["HTTP.*", "c?rd"]}),
                Finder::Keys(vec![pattern("(?is)^http\\..*$"), pattern("(?is)^c.rd$")]),
            ),
        };
        let mut rule = with_action(rule, action);
        rule["id"] = serde_json::json!(label.to_lowercase());
        rules.push(rule);
        sources.push(Source { label, priority: 50, score: 1.0, action, finder });
    }
    config["rules"] = serde_json::json!(rules);
    sources
}
