//! The sources of findings: built-in detectors, the user's rules, and upstream's patterns, in one numbering.

use super::confidence::{EXCLUDED, Words};
use super::config::{Action, Config, Pack, Rule};
use super::detect::{self, Anchor, Detector};
use super::error::RedactionError;
use super::key_plan::{CompiledScope, MAX_SOURCES, SourceKeys, compile_globs};
use super::pattern::{Pattern, keywords_to_re2};

/// Source number of `blocked_values`.
pub(crate) const BLOCKED_VALUES: usize = 0;
/// Source number of `blocked_key_patterns`.
pub(crate) const BLOCKED_KEYS: usize = 1;
/// Source number of user information that is removed from schema URLs.
pub(crate) const SCHEMA_USERINFO: usize = 2;

/// One source of findings.
#[derive(Debug)]
pub(crate) struct Source {
    /// The label `type`.
    pub(crate) id: String,
    /// Shown in masks and tokens.
    pub(crate) label: String,
    pub(crate) detector: Option<&'static dyn Detector>,
    /// As configured; the default depends on the place.
    pub(crate) action: Option<Action>,
    pub(crate) threshold: f32,
    pub(crate) context: Words,
    pub(crate) excluded: Words,
    pub(crate) priority: u8,
    /// Its findings act whatever stands near them or in their key.
    pub(crate) certain: bool,
    /// What replaces a finding; `None` for upstream's fields, whose mask may be a hash.
    pub(crate) mask: Option<Vec<u8>>,
    /// A rule that stands for a Luhn number only.
    pub(crate) luhn: bool,
    /// Scores of a rule's matches.
    pub(crate) scores: (f32, f32),
}

/// A pattern and the source that its matches belong to.
#[derive(Debug)]
pub(crate) struct SourcePattern {
    pub(crate) pattern: Pattern,
    pub(crate) source: usize,
    /// Where it is written, such as `blocked_values[2]`.
    pub(crate) name: String,
}

/// All sources of a config.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) list: Vec<Source>,
    pub(crate) keys: Vec<SourceKeys>,
    pub(crate) patterns: Vec<SourcePattern>,
}

impl Sources {
    pub(crate) fn new(config: &Config) -> Result<Self, RedactionError> {
        let mut sources = Sources::default();
        for id in ["blocked_values", "blocked_key", "schema_userinfo"] {
            sources.push(upstream(id, config), SourceKeys::default());
        }
        for (index, pattern) in config.blocked_values.iter().flatten().enumerate() {
            let pattern = Pattern::compile(pattern, "blocked_values", index)?;
            let name = format!("blocked_values[{index}]");
            sources.patterns.push(SourcePattern { pattern, source: BLOCKED_VALUES, name });
        }
        sources.add_detectors(config)?;
        for (index, rule) in config.rules.iter().flatten().enumerate() {
            sources.add_rule(index, rule, config)?;
        }
        if sources.list.len() > MAX_SOURCES {
            return Err(RedactionError::field("rules", format!("more than {MAX_SOURCES} detectors and rules")));
        }
        Ok(sources)
    }

    fn push(&mut self, source: Source, keys: SourceKeys) {
        self.list.push(source);
        self.keys.push(keys);
    }

    fn add_detectors(&mut self, config: &Config) -> Result<(), RedactionError> {
        let known = detect::all();
        let packs = config.effective_packs();
        for pack in &packs {
            let any = known.iter().any(|detector| is_in(*pack, *detector));
            if !any {
                let name = format!("{pack:?}").to_lowercase();
                return Err(RedactionError::field("packs", format!("`{name}` is not supported yet")));
            }
        }
        for id in config.detectors.iter().flatten().map(|(id, _)| id) {
            if !known.iter().any(|detector| detector.spec().id == id) {
                let known: Vec<&str> = known.iter().map(|detector| detector.spec().id).collect();
                let reason = format!("no such detector; available: {}", known.join(", "));
                return Err(RedactionError::field(format!("detectors.{id}"), reason));
            }
        }
        for detector in known {
            let spec = detector.spec();
            let own = config.detectors.as_ref().and_then(|detectors| detectors.get(spec.id));
            let in_pack = packs.iter().any(|pack| is_in(*pack, detector));
            let enabled = own.map_or(in_pack, |own| own.enabled.unwrap_or(true));
            if !enabled {
                continue;
            }
            if own.is_some_and(|own| !own.policy.is_empty()) {
                let field = format!("detectors.{}.policy", spec.id);
                return Err(RedactionError::field(field, "this detector has no policies"));
            }
            let context = Words::new(spec.context);
            let threshold = own.and_then(|own| own.threshold).or(config.threshold).unwrap_or(DEFAULT_THRESHOLD);
            let source = Source {
                id: spec.id.to_owned(),
                label: spec.label.to_owned(),
                detector: Some(detector),
                action: own.and_then(|own| own.action),
                threshold,
                certain: !spec.excludable && spec.base >= threshold,
                context: context.clone(),
                excluded: if spec.excludable { Words::new(&EXCLUDED) } else { Words::default() },
                priority: spec.priority,
                mask: Some(mask_text(config, spec.label)),
                luhn: false,
                scores: (0.0, 0.0),
            };
            self.push(source, SourceKeys { context, ..SourceKeys::default() });
        }
        Ok(())
    }

    fn add_rule(&mut self, index: usize, rule: &Rule, config: &Config) -> Result<(), RedactionError> {
        let id = rule.id.clone().unwrap_or_else(|| format!("rule{index}"));
        let taken = self.list.iter().any(|source| source.id == id);
        if id.is_empty() || id.len() > 64 || taken {
            return Err(RedactionError::field(
                format!("rules[{index}].id"),
                "1 to 64 bytes, different from all others",
            ));
        }
        let label = rule.kind.clone().unwrap_or_else(|| id.to_ascii_uppercase());
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
            let reason = "letters, digits, - and _ (the type is part of masks)";
            return Err(RedactionError::field(format!("rules[{index}].type"), reason));
        }
        let source_number = self.list.len();
        let pattern = match &rule.pattern {
            Some(pattern) => Some(Pattern::compile(pattern, "rules", index)?),
            None if !rule.keywords.is_empty() => {
                Some(Pattern::compile(&keywords_to_re2(&rule.keywords), "rules", index)?)
            }
            None => None,
        };
        let name = format!("rules[{index}]");
        self.patterns.extend(pattern.map(|pattern| SourcePattern { pattern, source: source_number, name }));
        let base = rule.base.unwrap_or(1.0);
        let context = Words::new(&rule.context);
        let excluded = Words::new(&rule.exclude_context);
        let source = Source {
            id,
            mask: Some(mask_text(config, &label)),
            label,
            detector: None,
            action: rule.action,
            threshold: config.threshold.unwrap_or(DEFAULT_THRESHOLD),
            context: context.clone(),
            excluded: excluded.clone(),
            certain: false,
            priority: 50,
            luhn: rule.validator.as_deref() == Some("luhn"),
            scores: (base, rule.with_context.unwrap_or(base)),
        };
        let keys = SourceKeys {
            context,
            excluded: (!excluded.is_empty()).then_some(excluded),
            scope: CompiledScope::new(rule.scope.as_ref(), "rules")?,
            whole: compile_globs(&rule.keys, "rules")?,
        };
        self.push(source, keys);
        Ok(())
    }

    /// The numbers of the detectors that wait for an anchor.
    pub(crate) fn with_anchor(&self, anchor: Anchor) -> Vec<u16> {
        let waits = |source: &Source| source.detector.is_some_and(|detector| detector.spec().anchor == anchor);
        (0u16..).zip(&self.list).filter(|(_, source)| waits(source)).map(|(number, _)| number).collect()
    }
}

/// Findings act at this score unless the config says otherwise.
const DEFAULT_THRESHOLD: f32 = 0.7;

fn is_in(pack: Pack, detector: &dyn Detector) -> bool {
    let spec = detector.spec();
    if pack == Pack::Default { spec.in_default } else { spec.pack == pack }
}

fn mask_text(config: &Config, label: &str) -> Vec<u8> {
    config.mask.as_deref().unwrap_or("[{type}]").replace("{type}", label).into_bytes()
}

fn upstream(id: &str, config: &Config) -> Source {
    let stars = config.hash() == super::config::HashFunction::None;
    Source {
        id: id.to_owned(),
        label: id.to_ascii_uppercase(),
        detector: None,
        action: Some(Action::Mask),
        threshold: 0.0,
        context: Words::default(),
        excluded: Words::default(),
        certain: true,
        priority: 90,
        // `mask` set by the user also replaces upstream's stars, but never a hash.
        mask: config.mask.as_ref().filter(|_| stars).map(|_| mask_text(config, &id.to_ascii_uppercase())),
        luhn: false,
        scores: (1.0, 1.0),
    }
}
