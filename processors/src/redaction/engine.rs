//! The compiled `redaction` block: what it is made of and how it is built. How a value is judged is in [`super::leaf`].

use super::allow::AllowList;
use super::confidence::Words;
use super::config::{Action, AllowedScope, Config, KeyAction, OnLimit, Summary, UnknownFields};
use super::counts::Counts;
use super::decide::Finding;
use super::detect::{Anchor, Hit};
use super::error::RedactionError;
use super::hash::{Masker, STARS, TokenSigner};
use super::key_plan::{KeyCache, KeyRules, compile_all};
use super::leaf::LeafVerdict;
use super::pattern::{Gate, Pattern, any_of};
use super::place::{self, Place};
use super::scan::{Anchors, AnchorsBuilder, Candidates};
use super::source::{BLOCKED_VALUES, Source, SourcePattern, Sources};

/// Largest compiled set of rules, in bytes.
const SET_BYTES: usize = 64 << 20;

/// A compiled `redaction` block. Immutable and shared; what changes while it runs is in a [`Scratch`] for each worker.
#[derive(Debug)]
pub struct Engine {
    pub(crate) sources: Vec<Source>,
    pub(crate) patterns: Vec<SourcePattern>,
    /// Numbers of the patterns that must search each value whole.
    pub(crate) slow: Vec<u16>,
    /// Tells whether any of them matches.
    pub(crate) any_slow: Option<regex_automata::meta::Regex>,
    /// Numbers of the patterns that wait for digits.
    pub(crate) digit_patterns: Vec<u16>,
    /// Detectors that wait for `@` and for digits.
    pub(crate) at_sources: Vec<u16>,
    pub(crate) digit_sources: Vec<u16>,
    /// Detectors that wait for a literal: candidate ids behind those of the patterns.
    pub(crate) literal_sources: Vec<u16>,
    pub(crate) allowed_values: Vec<Pattern>,
    pub(crate) allowed_scope: AllowedScope,
    pub(crate) allow: Option<AllowList>,
    pub(crate) keys: KeyRules,
    pub(crate) masker: Masker,
    pub(crate) signer: Option<TokenSigner>,
    pub(crate) key_action: KeyAction,
    pub(crate) on_limit: OnLimit,
    pub(crate) max_value_bytes: usize,
    pub(crate) redact_all_types: bool,
    pub(crate) dry_run: bool,
    /// Places where the detectors and rules, and where anything at all, may find something: bits by [`Place`].
    pub(crate) scanned: u64,
    /// A value is looked at although it has no candidate.
    pub(crate) every_value: bool,
    pub(crate) url_span_name: bool,
    /// A key is of no account for the findings of detectors that wait for `@`, which are most.
    pub(crate) at_needs_no_key: bool,
    /// There are patterns other than `blocked_values`.
    pub(crate) rules: bool,
    /// Length of the longest text that a mask writes.
    pub(crate) longest_mask: usize,
    /// Some key's value is a URL to be sanitized.
    pub(crate) any_url: bool,
    decide_attributes: bool,
    rules_bytes: usize,
    anchors: Anchors,
    summary: Summary,
    summary_on_identity: bool,
    max_depth: usize,
    unknown_fields: UnknownFields,
}

/// What one worker needs to run an [`Engine`]: buffers that are reused, remembered keys, and counters.
#[derive(Debug)]
pub struct Scratch {
    pub(crate) keys: KeyCache,
    pub(crate) caches: Vec<Option<regex_automata::meta::Cache>>,
    pub(crate) any_slow: Option<regex_automata::meta::Cache>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) hits: Vec<Hit>,
    pub(crate) normalized: Vec<u8>,
    pub(crate) text: Vec<u8>,
    pub(crate) allowed: Vec<(usize, usize)>,
    pub(crate) wanted: Vec<u16>,
    pub(crate) own: Candidates,
    /// The batch holds metrics, where attributes identify a series.
    pub metrics: bool,
    /// The last value was exempted by `allowed_values` with the scope `value`.
    pub was_allowed: bool,
    pub counts: Counts,
}

impl Engine {
    /// Compiles a config.
    ///
    /// # Errors
    /// The first field that is not acceptable, or the pattern that cannot be compiled.
    pub fn new(config: &Config) -> Result<Self, RedactionError> {
        config.validate()?;
        let sources = Sources::new(config)?;
        let bytes: usize = sources.patterns.iter().map(|pattern| pattern.pattern.memory_usage()).sum();
        if bytes > SET_BYTES {
            return Err(RedactionError::field("rules", format!("all patterns compile to more than {SET_BYTES} bytes")));
        }
        let at_sources = sources.with_anchor(Anchor::At);
        let digit_sources = sources.with_anchor(Anchor::Digits);
        let digit_patterns: Vec<u16> = (0u16..)
            .zip(&sources.patterns)
            .filter(|(_, pattern)| *pattern.pattern.gate() == Gate::Digits)
            .map(|(number, _)| number)
            .collect();
        let mut anchors = AnchorsBuilder {
            at: !at_sources.is_empty(),
            digits: !digit_sources.is_empty() || !digit_patterns.is_empty(),
            ..AnchorsBuilder::default()
        };
        let mut slow = Vec::new();
        for (number, pattern) in (0u16..).zip(&sources.patterns) {
            match pattern.pattern.gate() {
                Gate::Literals(literals) => literals.iter().for_each(|literal| anchors.literal(literal, number)),
                Gate::Digits => {}
                Gate::Open => slow.push(number),
            }
        }
        let slow_patterns: Vec<&Pattern> =
            slow.iter().map(|&number| &sources.patterns[usize::from(number)].pattern).collect();
        let any_slow = if slow.len() > 1 { any_of(&slow_patterns) } else { None };
        let mut literal_sources = Vec::new();
        for (source, entry) in (0u16..).zip(&sources.list) {
            if let Some(Anchor::Literals(literals)) = entry.detector.map(|detector| detector.spec().anchor) {
                let id = (sources.patterns.len() + literal_sources.len()) as u16;
                literal_sources.push(source);
                literals.iter().for_each(|literal| anchors.literal(literal, id));
            }
        }
        let allowed_values = compile_all(config.allowed_values.as_deref().unwrap_or_default(), "allowed_values")?;
        let allowed_scope = config.allowed_scope();
        let summary = config.summary.unwrap_or_default();
        let signer = config.tokens.as_ref().map(TokenSigner::new);
        for source in &sources.list {
            if source.action == Some(Action::Hmac) && signer.is_none() {
                return Err(RedactionError::field("tokens", format!("needed by the action hmac of `{}`", source.id)));
            }
        }
        let url = config.url_sanitizer.as_ref().filter(|url| url.enabled);
        let keys = KeyRules::new(config, sources.keys)?;
        let counts_allowed =
            !allowed_values.is_empty() && allowed_scope == AllowedScope::Value && summary != Summary::Silent;
        let engine = Engine {
            scanned: scanned_places(&keys),
            every_value: !slow.is_empty() || counts_allowed,
            at_needs_no_key: !keys.decide_findings()
                && at_sources.iter().all(|&number| sources.list[usize::from(number)].certain),
            rules: sources.patterns.iter().any(|pattern| pattern.source != BLOCKED_VALUES),
            longest_mask: sources
                .list
                .iter()
                .flat_map(|source| &source.mask)
                .map(Vec::len)
                .max()
                .unwrap_or(0)
                .max(STARS.len()),
            any_url: keys.any_url(),
            decide_attributes: keys.decide_attributes(),
            rules_bytes: bytes,
            sources: sources.list,
            patterns: sources.patterns,
            digit_patterns,
            any_slow,
            slow,
            at_sources,
            digit_sources,
            literal_sources,
            allowed_values,
            allowed_scope,
            allow: config.allow.as_ref().map(AllowList::new).transpose()?,
            keys,
            masker: Masker::new(config),
            signer,
            key_action: config.keys.unwrap_or_default(),
            on_limit: config.on_limit,
            max_value_bytes: config.max_value_bytes.unwrap_or(1 << 20),
            redact_all_types: config.redact_all_types.unwrap_or(false),
            dry_run: config.dry_run,
            url_span_name: url.is_some_and(|url| url.sanitize_span_name.unwrap_or(true)),
            anchors: anchors.build()?,
            summary,
            summary_on_identity: config.summary_on_identity,
            max_depth: config.max_depth.unwrap_or(32),
            unknown_fields: config.unknown_fields,
        };
        engine.check_masks()?;
        Ok(engine)
    }

    /// No mask may be a finding itself, or a second run would change the text again.
    fn check_masks(&self) -> Result<(), RedactionError> {
        let mut scratch = self.scratch();
        for source in self.sources.iter() {
            let Some(mask) = source.mask.clone() else { continue };
            let mut out = Vec::new();
            let verdict = self.leaf_alone(&mut scratch, Place::ScopeName, None, &mask, &mut out);
            if verdict != LeafVerdict::Keep {
                return Err(RedactionError::field("mask", format!("the text for `{}` is itself a finding", source.id)));
            }
        }
        Ok(())
    }

    /// Working memory for one worker.
    pub fn scratch(&self) -> Scratch {
        Scratch {
            keys: KeyCache::new(&self.keys),
            caches: self.patterns.iter().map(|_| None).collect(),
            any_slow: self.any_slow.as_ref().map(|regex| regex.create_cache()),
            findings: Vec::new(),
            hits: Vec::new(),
            normalized: Vec::new(),
            text: Vec::new(),
            allowed: Vec::new(),
            wanted: Vec::new(),
            own: Candidates::default(),
            metrics: false,
            was_allowed: false,
            counts: Counts::new(self.sources.len()),
        }
    }

    /// Finds the candidates of a whole request, once, before it is walked.
    pub fn scan_batch(&self, bytes: &[u8], out: &mut Candidates) {
        self.anchors.scan(bytes, out);
    }

    /// Whether [`Engine::key`] must be asked about each attribute. If not, every attribute is to be scanned.
    pub fn decides_by_key(&self) -> bool {
        self.decide_attributes
    }

    /// Whether values without a candidate are to be looked at, too.
    pub fn needs_every_value(&self) -> bool {
        self.every_value || self.any_url
    }

    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// Whether summary attributes may be written where attributes are an identity: resources, scopes, data points.
    pub fn summary_on_identity(&self) -> bool {
        self.summary_on_identity
    }

    pub(crate) fn redacts_all_types(&self) -> bool {
        self.redact_all_types
    }

    pub(crate) fn max_value_bytes(&self) -> usize {
        self.max_value_bytes
    }

    pub(crate) fn sanitizes_span_names(&self) -> bool {
        self.url_span_name && !self.dry_run
    }

    /// Deepest nesting of values that is scanned.
    pub fn max_depth(&self) -> usize {
        self.max_depth
    }

    pub fn keeps_unknown_fields(&self) -> bool {
        self.unknown_fields == UnknownFields::Keep
    }

    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Detectors, rules and patterns that run.
    pub fn rules(&self) -> usize {
        self.sources.iter().filter(|source| source.detector.is_some()).count() + self.patterns.len()
    }

    /// Memory of the compiled patterns, in bytes.
    pub fn rules_bytes(&self) -> usize {
        self.rules_bytes
    }

    /// Appends a key as it may be shown: with its findings masked. Counts nothing.
    pub(crate) fn clean_key(&self, scratch: &mut Scratch, key: &[u8], out: &mut Vec<u8>) {
        let before = out.len();
        scratch.counts.pause(true);
        let verdict = self.leaf_alone(scratch, Place::Key, None, key, out);
        scratch.counts.pause(false);
        match verdict {
            LeafVerdict::Keep => out.extend_from_slice(key),
            LeafVerdict::Replace => {}
            _ => out.truncate(before),
        }
    }

    /// The label `type` of a source.
    pub fn source_id(&self, source: usize) -> &str {
        &self.sources[source].id
    }

    /// Names of the detectors that run, for the start-up log.
    pub fn detector_ids(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.sources.iter().filter_map(|source| source.detector.map(|detector| detector.spec().id))
    }

    /// Patterns without a literal, which search every value, by where they are written.
    pub fn slow_patterns(&self) -> impl Iterator<Item = &str> + '_ {
        self.slow.iter().map(|&number| self.patterns[usize::from(number)].name.as_str())
    }

    /// The action on a finding of `source` at `place`.
    pub(crate) fn action(&self, source: &Source, place: Place, metrics: bool) -> Action {
        let identity = place == Place::DatapointAttribute || metrics && place == Place::ResourceAttribute;
        let action = match source.action {
            Some(action) => action,
            None if identity && self.signer.is_some() => Action::Hmac,
            None => Action::Mask,
        };
        match action {
            // A place that is no attribute cannot be removed, and a key cannot be empty.
            Action::DropAttribute if !place.is_attribute() => Action::Mask,
            Action::DropValue if place == Place::Key => Action::Mask,
            action => action,
        }
    }
}

/// The places where detectors and rules look, as bits.
fn scanned_places(keys: &KeyRules) -> u64 {
    Place::ALL.iter().filter(|place| keys.place_in_scope(**place)).fold(0, |bits, place| bits | 1 << *place as u8)
}

const _: () = assert!(place::COUNT <= 64, "places are bits of a u64");

/// Context and excluded words of a source.
pub(crate) fn words(source: &Source) -> (&Words, &Words) {
    (&source.context, &source.excluded)
}
