//! `redaction`: random settings.

use regex::bytes::Regex;
use serde_json::{Value as Json, json};
use sluice_pdata::Signal;
use sluice_pdata::testing::Rng;

use super::KEYS;
use super::rules::{Allow, pattern, random_sources};
use super::text::{KEY, Texts};

/// `redaction`.
#[derive(Debug)]
pub struct Redaction {
    pub config: Json,
    pub texts: Texts,
    /// Keys that stay; `None` for all.
    pub allowed: Option<Vec<&'static str>>,
    pub ignored: Vec<&'static str>,
    pub ignored_patterns: Vec<Regex>,
    pub blocked_keys: Vec<Regex>,
    pub max_depth: usize,
    pub keeps_unknown: bool,
    pub dry_run: bool,
}

const KEY_PATTERNS: [&str; 4] = ["^http", "card|token", "^k8s\\.", "id$"];
const BLOCKED: [&str; 19] = [
    "user",
    "[0-9]{4}",
    "[aeiou]{2}",
    "(?i)MAIL",
    "^null$",
    "secret|token",
    "a[a-z]*@",
    "1111 1111",
    "x{10,}",
    "(bob|carol)[a-z%0-9]*",
    "4[0-9]{15}",
    "[0-9]$",
    "^a=",
    "\\bGET\\b",
    "card\": [0-9]+",
    "[@%]",
    // What masks write.
    "hidden",
    "[*]{2}",
    "[A-Z]{3}",
];
const ALLOWED: [&str; 3] = ["example\\.(com|org)", "^GET$", "@example\\.com"];
impl Redaction {
    pub fn random(rng: &mut Rng, signal: Signal) -> Self {
        let mut config = json!({});
        let drops = rng.chance(12);
        let mut texts = Texts { max_value_bytes: 1 << 20, metrics: signal == Signal::Metrics, ..Texts::default() };
        texts.sources = random_sources(rng, &mut config, drops);
        texts.allow = Allow::random(rng, &mut config);
        let mut patterns = |rng: &mut Rng, name: &str, pool: &[&str], percent: usize| -> Vec<Regex> {
            let count = if rng.chance(percent) { 1 + rng.below(2) } else { 0 };
            let chosen: Vec<_> = (0..count).map(|_| rng.pick(pool)).collect();
            if count > 0 {
                config[name] = json!(chosen);
            }
            chosen.into_iter().map(pattern).collect()
        };
        texts.blocked = patterns(rng, "blocked_values", &BLOCKED, 50);
        texts.allowed = patterns(rng, "allowed_values", &ALLOWED, 20);
        let ignored_patterns = patterns(rng, "ignored_key_patterns", &KEY_PATTERNS, 15);
        let blocked_keys = patterns(rng, "blocked_key_patterns", &KEY_PATTERNS, 30);
        let some_keys = |rng: &mut Rng| -> Vec<&'static str> { (0..=rng.below(4)).map(|_| rng.pick(&KEYS)).collect() };
        let allowed = rng.chance(25).then(|| some_keys(rng));
        let ignored = if rng.chance(20) { some_keys(rng) } else { Vec::new() };
        config["allow_all_keys"] = json!(allowed.is_none());
        allowed.iter().for_each(|keys| config["allowed_keys"] = json!(keys));
        config["ignored_keys"] = json!(ignored);
        texts.allowed_whole = rng.chance(50);
        config["allowed_scope"] = json!(if texts.allowed_whole { "value" } else { "match" });
        if rng.chance(30) {
            texts.mask = Some(rng.pick(&["<hidden {type}>", "[{type}]", "XX"]));
            config["mask"] = json!(texts.mask);
        }
        if rng.chance(25) {
            texts.hash = Some(rng.pick(&["md5", "sha1", "sha3", "hmac-sha256"]));
            config["hash_function"] = json!(texts.hash);
            config["hmac_key"] = json!(KEY);
        }
        if rng.chance(25) {
            texts.tokens = Some(("k1", KEY));
            config["tokens"] = json!({"active": {"kid": "k1", "key": KEY}});
        }
        texts.all_types = rng.chance(20);
        config["redact_all_types"] = json!(texts.all_types);
        texts.keys_drop = !drops && rng.chance(20);
        config["keys"] = json!(if texts.keys_drop { "drop_attribute" } else { "mask" });
        texts.drops_on_limit = drops && rng.chance(50);
        config["on_limit"] = json!(if texts.drops_on_limit { "drop_item" } else { "mask_value" });
        if rng.chance(15) {
            texts.max_value_bytes = 30 + rng.below(100);
            config["max_value_bytes"] = json!(texts.max_value_bytes);
        }
        let max_depth = if rng.chance(20) { 1 + rng.below(3) } else { 32 };
        config["max_depth"] = json!(max_depth);
        if rng.chance(20) {
            texts.excluded = vec![rng.pick(&["resource", "span", "log", "datapoint", "key", "scope"])];
            config["scope"] = json!({"exclude": texts.excluded});
        }
        let (keeps_unknown, dry_run) = (rng.chance(25), rng.chance(5));
        config["unknown_fields"] = json!(if keeps_unknown { "keep" } else { "drop" });
        config["dry_run"] = json!(dry_run);
        Redaction { config, texts, allowed, ignored, ignored_patterns, blocked_keys, max_depth, keeps_unknown, dry_run }
    }

    pub fn config(&self) -> Json {
        self.config.clone()
    }

    /// Whether unknown fields inside of ignored attributes may stay or go: an attribute that is ignored is not looked into,
    /// but canonical form leaves out what nobody can judge.
    pub fn is_lax(&self) -> bool {
        let ignores = !self.ignored.is_empty() || !self.ignored_patterns.is_empty();
        ignores && !self.keeps_unknown && !self.dry_run
    }
}
