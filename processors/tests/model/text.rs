//! One text under `redaction`: findings by asking at every byte, and their replacement, written plainly.
//!
//! What an address or a card number is, the detectors' own tables say; here they are asked without any search for anchors.

use aws_lc_rs::{digest, hmac};
use regex::bytes::Regex;

use super::replace::{Finding, base32, is_in_url, members_without, quoted, united, without_userinfo};
use super::rules::{Allow, Finder, Source};
use super::value::hex;

/// The kinds of places that make a difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// An attribute; its group by name.
    Attribute(&'static str),
    /// Any other text.
    Text(&'static str),
    /// Names that `blocked_values` leave alone.
    Identity(&'static str),
    Key,
    TraceState(&'static str),
    SchemaUrl(&'static str),
}

impl Place {
    fn group(self) -> &'static str {
        match self {
            Place::Key => "key",
            Place::Attribute(group)
            | Place::Text(group)
            | Place::Identity(group)
            | Place::TraceState(group)
            | Place::SchemaUrl(group) => group,
        }
    }
}

/// What becomes of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Keep,
    Replace(Vec<u8>),
    Empty,
    RemoveAttribute,
    DropItem,
}

/// What the config says about texts.
#[derive(Debug, Default)]
pub struct Texts {
    pub sources: Vec<Source>,
    pub allow: Allow,
    pub blocked: Vec<Regex>,
    pub allowed: Vec<Regex>,
    /// A match of `allowed` exempts the whole value.
    pub allowed_whole: bool,
    pub mask: Option<&'static str>,
    pub hash: Option<&'static str>,
    /// The name and the key of the join tokens.
    pub tokens: Option<(&'static str, &'static str)>,
    pub metrics: bool,
    pub all_types: bool,
    pub keys_drop: bool,
    pub drops_on_limit: bool,
    pub max_value_bytes: usize,
    /// Groups that detectors leave alone.
    pub excluded: Vec<&'static str>,
}

/// A key of 32 bytes for hashes and tokens.
pub const KEY: &str = "0123456789abcdef0123456789abcdef";

impl Texts {
    /// Judges a text.
    pub fn judge(&self, place: Place, text: &[u8]) -> Verdict {
        if text.len() > self.max_value_bytes {
            return self.over_limit(place);
        }
        let mut verdict = self.once(place, text);
        // Beside a letter that is not ASCII a finding can hide another one.
        let patterns = self.sources.iter().any(|source| matches!(source.finder, Finder::Pattern(_)));
        if !text.is_ascii() && self.blocked.is_empty() && !patterns {
            while let Verdict::Replace(left) = &verdict {
                match self.judge_replaced(place, left) {
                    Verdict::Keep => break,
                    again => verdict = again,
                }
            }
        }
        verdict
    }

    fn judge_replaced(&self, place: Place, left: &[u8]) -> Verdict {
        match self.once(place, left) {
            Verdict::Replace(text) if text == left => Verdict::Keep,
            verdict => verdict,
        }
    }

    /// What happens to a value that is too large.
    pub fn over_limit(&self, place: Place) -> Verdict {
        match place {
            _ if self.drops_on_limit => Verdict::DropItem,
            Place::TraceState(_) | Place::SchemaUrl(_) => Verdict::Empty,
            _ => Verdict::Replace(b"****".to_vec()),
        }
    }

    fn scans(&self, place: Place) -> bool {
        !self.excluded.contains(&place.group())
    }

    /// A whole number that no one asked to be read as text.
    pub fn number(&self, place: Place, number: i64) -> Verdict {
        let text = number.to_string();
        let mut findings = Vec::new();
        for (order, source) in self.sources.iter().enumerate() {
            let is = |detector: &dyn crate::redaction::detect::Detector| {
                number >= 100_000_000_000 && self.scans(place) && detector.verify_number(text.as_bytes()).is_some()
            };
            if source.detector().is_some_and(is) {
                findings.extend(self.finding((0, text.len()), place, text.as_bytes(), order));
            }
        }
        self.conclude(place, text.as_bytes(), findings)
    }

    /// The action of a source at a place.
    fn action(&self, source: &Source, place: Place) -> &'static str {
        let identity = place == Place::Attribute("datapoint") || self.metrics && place == Place::Attribute("resource");
        match (source.action, place) {
            (None, _) if identity && self.tokens.is_some() => "hmac",
            (None, _) => "mask",
            // What is no attribute cannot be removed, and a key cannot be empty.
            (Some("drop_attribute"), Place::Attribute(_)) => "drop_attribute",
            (Some("drop_attribute"), _) | (Some("drop_value"), Place::Key) => "mask",
            (Some(action), _) => action,
        }
    }

    /// A finding, unless it is allowed.
    fn finding(&self, own: (usize, usize), place: Place, text: &[u8], order: usize) -> Option<Finding> {
        let source = &self.sources[order];
        let (start, end) = own;
        let finding = Finding {
            start,
            end,
            own,
            score: source.score,
            priority: source.priority,
            label: Some(source.label),
            detector: source.detector(),
            order: order + 1,
            action: self.action(source, place),
        };
        (!self.allow.allows(source, &text[start..end])).then_some(finding)
    }

    fn once(&self, place: Place, text: &[u8]) -> Verdict {
        let has_at = |text: &[u8]| {
            ["@", "%40", "%2540", "＠"].iter().any(|at| text.windows(at.len()).any(|window| window == at.as_bytes()))
        };
        let detects_at = self.sources.iter().any(|source| source.label == "EMAIL");
        if let (Place::SchemaUrl(_), true) = (place, detects_at && has_at(text)) {
            let bare = without_userinfo(text);
            let findings = self.findings(place, &bare);
            return match self.conclude(place, &bare, findings) {
                Verdict::Keep if bare != text => Verdict::Replace(bare),
                verdict => verdict,
            };
        }
        self.conclude(place, text, self.findings(place, text))
    }

    /// Whether `allowed_values` exempt the whole text.
    pub fn exempts(&self, text: &[u8]) -> bool {
        self.allowed_whole && self.allowed.iter().any(|allowed| allowed.is_match(text))
    }

    fn findings(&self, place: Place, text: &[u8]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (order, source) in self.sources.iter().enumerate().filter(|_| self.scans(place)) {
            let mut ranges = Vec::new();
            match &source.finder {
                Finder::Detector(detector) => {
                    let (mut hits, mut from) = (Vec::new(), 0);
                    while from < text.len() {
                        from = detector.verify(text, from, &mut hits).max(from + 1);
                    }
                    ranges.extend(hits.iter().map(|hit| (hit.start, hit.end)));
                }
                Finder::Pattern(pattern) => {
                    let found = pattern.find_iter(text).filter(|found| !self.is_own_text(text, found.range()));
                    ranges.extend(found.map(|found| (found.start(), found.end())));
                }
                Finder::Keys(_) => {}
            }
            findings.extend(ranges.into_iter().filter_map(|range| self.finding(range, place, text, order)));
        }
        let blockable = !matches!(place, Place::Key | Place::Identity(_)) && !self.exempts(text);
        for blocked in self.blocked.iter().filter(|_| blockable) {
            for found in blocked.find_iter(text).filter(|found| !self.is_own_text(text, found.range())) {
                let own = (found.start(), found.end());
                let (start, end) = own;
                let (label, detector) = (None, None);
                let action = "mask";
                findings.push(Finding { start, end, own, score: 1.0, priority: 90, label, detector, order: 0, action });
            }
        }
        findings.retain(|finding| {
            !self
                .allowed
                .iter()
                .flat_map(|allowed| allowed.find_iter(text))
                .any(|allowed| allowed.start() <= finding.start && finding.end <= allowed.end())
        });
        findings
    }

    /// The texts that masks write.
    fn masks(&self) -> Vec<Vec<u8>> {
        let mut masks = vec![b"****".to_vec()];
        masks.extend(self.sources.iter().map(|source| self.mask_of(source.label)));
        if self.mask.is_some() && self.hash.is_none() {
            masks.extend(["BLOCKED_VALUES", "BLOCKED_KEY", "SCHEMA_USERINFO"].map(|label| self.mask_of(label)));
        }
        masks
    }

    fn mask_of(&self, label: &str) -> Vec<u8> {
        self.mask.unwrap_or("[{type}]").replace("{type}", label).into_bytes()
    }

    /// Whether a range lies inside what a mask has written.
    fn is_own_text(&self, text: &[u8], range: std::ops::Range<usize>) -> bool {
        self.masks().iter().any(|mask| {
            let starts = 0..(text.len() + 1).saturating_sub(mask.len());
            starts
                .into_iter()
                .any(|at| text[at..at + mask.len()] == mask[..] && at <= range.start && range.end <= at + mask.len())
        })
    }

    fn conclude(&self, place: Place, text: &[u8], mut findings: Vec<Finding>) -> Verdict {
        let has = |findings: &[Finding], action: &str| findings.iter().any(|finding| finding.action == action);
        if has(&findings, "drop_record") {
            return Verdict::DropItem;
        }
        match findings.iter().find(|finding| matches!(finding.action, "drop_value" | "drop_attribute")) {
            Some(finding) if finding.action == "drop_value" => return Verdict::Empty,
            Some(_) => return Verdict::RemoveAttribute,
            None => {}
        }
        findings.retain(|finding| finding.action != "tag_only");
        if findings.is_empty() {
            return Verdict::Keep;
        }
        if place == Place::Key && self.keys_drop {
            return Verdict::RemoveAttribute;
        }
        if let Place::TraceState(_) = place {
            return Verdict::Replace(members_without(text, &findings));
        }
        let mut out = Vec::new();
        let mut copied = 0;
        for finding in united(findings) {
            out.extend_from_slice(&text[copied..finding.start]);
            out.extend(self.replacement(text, &finding));
            copied = finding.end;
        }
        out.extend_from_slice(&text[copied..]);
        Verdict::Replace(out)
    }

    fn replacement(&self, text: &[u8], finding: &Finding) -> Vec<u8> {
        let found = &text[finding.own.0..finding.own.1];
        let whole = finding.own == (finding.start, finding.end);
        let mut out = Vec::new();
        match (finding.action, finding.detector, self.tokens) {
            ("mask_len", ..) => return vec![b'*'; finding.end - finding.start],
            ("partial", Some(detector), _) if whole => {
                detector.partial(found, &mut out);
                return out;
            }
            ("hmac", detector, Some((kid, key))) => {
                let label = finding.label.unwrap_or_default();
                let mut normal = format!("{label}\0").into_bytes();
                match detector {
                    Some(detector) => detector.normalize(found, &mut normal),
                    None => normal.extend_from_slice(found),
                }
                let sign = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), &normal);
                let token = format!("{label}_{kid}_{}", base32(sign.as_ref()));
                return quoted(text, finding, token.as_bytes());
            }
            _ => {}
        }
        let mask = match finding.label {
            Some(label) => self.mask_of(label),
            None => match self.blocked_mask("BLOCKED_VALUES") {
                Some(mask) => mask,
                None => return self.upstream_mask(&text[finding.start..finding.end]),
            },
        };
        quoted(text, finding, if is_in_url(text, finding.start) { b"REDACTED" } else { &mask })
    }

    fn blocked_mask(&self, label: &str) -> Option<Vec<u8>> {
        (self.mask.is_some() && self.hash.is_none()).then(|| self.mask_of(label))
    }

    /// What upstream's fields write in place of a text.
    fn upstream_mask(&self, text: &[u8]) -> Vec<u8> {
        let sum = |algorithm| hex(digest::digest(algorithm, text).as_ref());
        match self.hash {
            None => "****".to_owned(),
            Some("md5") => hex(&md5::compute(text).0),
            Some("sha1") => sum(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            Some("sha3") => sum(&digest::SHA3_256),
            Some(_) => hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()), text).as_ref()),
        }
        .into_bytes()
    }

    /// What becomes of a whole value because of its key. `blocked`: one of upstream's patterns knows the key.
    pub fn by_key(&self, place: Place, key: &[u8], blocked: bool, text: &[u8]) -> Verdict {
        let own = !text.is_empty() && self.is_own_text(text, 0..text.len());
        if blocked {
            if own || self.exempts(text) {
                return Verdict::Keep;
            }
            let mask = self.blocked_mask("BLOCKED_KEY").unwrap_or_else(|| self.upstream_mask(text));
            return Verdict::Replace(mask);
        }
        let known = |source: &&Source| match &source.finder {
            Finder::Keys(keys) => keys.iter().any(|pattern| pattern.is_match(key)),
            _ => false,
        };
        let Some((order, source)) = self.sources.iter().enumerate().find(|(_, source)| known(source)) else {
            return Verdict::Keep;
        };
        match self.action(source, place) {
            "tag_only" => Verdict::Keep,
            _ if own => Verdict::Keep,
            "drop_value" => Verdict::Empty,
            "drop_attribute" => Verdict::RemoveAttribute,
            "drop_record" => Verdict::DropItem,
            action => {
                let (end, label) = (text.len(), Some(source.label));
                let (own, score, priority) = ((0, end), source.score, source.priority);
                let whole = Finding { start: 0, end, own, score, priority, label, detector: None, order, action };
                Verdict::Replace(self.replacement(text, &whole))
            }
        }
    }
}
