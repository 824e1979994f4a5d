//! What is never a finding. Lists are asked about the finding alone, never about the value around it.

use std::collections::HashSet;

use regex_automata::{Anchored, Input};

use super::config;
use super::detect::Detector;
use super::error::RedactionError;
use super::hash;
use super::pattern::Pattern;

/// The compiled `allow` block, less its key globs (they belong to the key plan).
#[derive(Debug, Default)]
pub(crate) struct AllowList {
    hashed: HashSet<[u8; 32]>,
    prefixes: Vec<Box<[u8]>>,
    suffixes: Vec<Box<[u8]>>,
    patterns: Vec<Pattern>,
    example_domains: bool,
    test_cards: bool,
}

impl AllowList {
    pub(crate) fn new(allow: &config::Allow) -> Result<Self, RedactionError> {
        let hashed = allow
            .values_hashed
            .iter()
            .map(|text| hash::parse_sha256(text))
            .collect::<Option<_>>()
            .ok_or_else(|| RedactionError::field("allow.values_hashed", "SHA-256 sums of 64 hexadecimal digits"))?;
        let bytes = |list: &[String]| list.iter().map(|text| text.as_bytes().into()).collect();
        Ok(AllowList {
            hashed,
            prefixes: bytes(&allow.prefixes),
            suffixes: bytes(&allow.suffixes),
            patterns: allow
                .span_patterns
                .iter()
                .enumerate()
                .map(|(index, pattern)| Pattern::compile(&format!("^(?:{pattern})$"), "allow.span_patterns", index))
                .collect::<Result<_, _>>()?,
            example_domains: allow.example_domains,
            test_cards: allow.test_cards,
        })
    }

    fn needs_normalized(&self) -> bool {
        !self.hashed.is_empty() || self.example_domains || self.test_cards
    }

    /// Whether `found` is allowed. `detector` is `None` for findings of rules; `normalized` is scratch.
    pub(crate) fn allows(&self, found: &[u8], detector: Option<&dyn Detector>, normalized: &mut Vec<u8>) -> bool {
        if self.prefixes.iter().any(|prefix| found.starts_with(prefix))
            || self.suffixes.iter().any(|suffix| found.ends_with(suffix))
            || self
                .patterns
                .iter()
                .any(|pattern| pattern.regex().search_half(&Input::new(found).anchored(Anchored::Yes)).is_some())
        {
            return true;
        }
        if !self.needs_normalized() {
            return false;
        }
        normalized.clear();
        match detector {
            Some(detector) => detector.normalize(found, normalized),
            None => normalized.extend_from_slice(found),
        }
        let hashed = |text: &[u8]| !self.hashed.is_empty() && self.hashed.contains(&hash::sha256(text));
        hashed(found)
            || hashed(normalized)
            || detector.is_some_and(|detector| {
                self.example_domains && detector.is_example(normalized)
                    || self.test_cards && detector.is_test_value(normalized)
            })
    }
}
