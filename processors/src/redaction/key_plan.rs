//! What a key decides: computed once for each distinct key, remembered by each worker.

use std::collections::HashMap;

use super::confidence::{EXCLUDED, KeyContext, Words};
use super::config::{Config, Scope};
use super::error::RedactionError;
use super::pattern::{Pattern, glob_to_re2};
use super::place::{self, Place};

/// Keys that upstream's processor writes itself and therefore always allows.
pub(crate) const SUMMARY_KEYS: [&str; 7] = [
    "redaction.redacted.keys",
    "redaction.redacted.count",
    "redaction.masked.keys",
    "redaction.masked.count",
    "redaction.allowed.keys",
    "redaction.allowed.count",
    "redaction.ignored.count",
];

/// What the config says about keys.
#[derive(Debug, Default)]
pub(crate) struct KeyRules {
    allowed: Option<HashMap<Box<[u8]>, ()>>,
    ignored: HashMap<Box<[u8]>, ()>,
    ignored_patterns: Vec<Pattern>,
    blocked_patterns: Vec<Pattern>,
    url: HashMap<Box<[u8]>, ()>,
    allow_globs: Vec<Pattern>,
    scope: CompiledScope,
    excluded: Words,
    /// For each source of findings that reads the key: its context words, its scope, its key globs.
    sources: Vec<SourceKeys>,
}

/// What one detector or rule asks about a key.
#[derive(Debug, Default)]
pub(crate) struct SourceKeys {
    pub(crate) context: Words,
    pub(crate) excluded: Option<Words>,
    pub(crate) scope: CompiledScope,
    /// Globs of keys whose value is masked whole.
    pub(crate) whole: Vec<Pattern>,
}

/// At most this many detectors and rules, for the bit sets of a plan.
pub(crate) const MAX_SOURCES: usize = 256;

/// A set of sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceSet([u64; MAX_SOURCES / 64]);

impl SourceSet {
    pub(crate) fn insert(&mut self, source: usize) {
        self.0[source / 64] |= 1 << (source % 64);
    }

    pub(crate) fn contains(&self, source: usize) -> bool {
        self.0[source / 64] >> (source % 64) & 1 == 1
    }
}

/// Everything that a key decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyPlan {
    /// Never removed, never changed.
    pub(crate) ignored: bool,
    /// On the allow-list, or there is none.
    pub(crate) allowed: bool,
    /// The value is masked whole by `blocked_key_patterns`.
    pub(crate) blocked: bool,
    /// The value is a URL to be sanitized.
    pub(crate) url: bool,
    /// The value is masked whole by this source (a rule with `keys`).
    pub(crate) whole: Option<u16>,
    /// Findings in the value are allowed.
    pub(crate) findings_allowed: bool,
    excluded: bool,
    own_excluded: SourceSet,
    context: SourceSet,
    out_of_scope: SourceSet,
}

impl KeyPlan {
    pub(crate) fn context(&self, source: usize) -> KeyContext {
        KeyContext {
            context: self.context.contains(source),
            excluded: self.excluded || self.own_excluded.contains(source),
        }
    }

    pub(crate) fn in_scope(&self, source: usize) -> bool {
        !self.out_of_scope.contains(source)
    }
}

impl KeyRules {
    pub(crate) fn new(config: &Config, sources: Vec<SourceKeys>) -> Result<Self, RedactionError> {
        fn set<'a>(keys: impl Iterator<Item = &'a str>) -> HashMap<Box<[u8]>, ()> {
            keys.map(|key| (key.as_bytes().into(), ())).collect()
        }
        let list = |keys: &Option<Vec<String>>| keys.clone().unwrap_or_default();
        let allowed = (!config.allows_all_keys())
            .then(|| set(list(&config.allowed_keys).iter().map(String::as_str).chain(SUMMARY_KEYS)));
        let url = config.url_sanitizer.as_ref().filter(|sanitizer| sanitizer.enabled);
        Ok(KeyRules {
            allowed,
            ignored: set(list(&config.ignored_keys).iter().map(String::as_str)),
            ignored_patterns: compile_all(&list(&config.ignored_key_patterns), "ignored_key_patterns")?,
            blocked_patterns: compile_all(&list(&config.blocked_key_patterns), "blocked_key_patterns")?,
            url: url.map_or_else(HashMap::new, |url| set(url.attributes.iter().map(String::as_str))),
            allow_globs: match &config.allow {
                Some(allow) => compile_globs(&allow.keys, "allow.keys")?,
                None => Vec::new(),
            },
            scope: CompiledScope::new(config.scope.as_ref(), "scope")?,
            excluded: Words::new(&EXCLUDED),
            sources,
        })
    }

    /// Whether each attribute's key must be asked before its value is looked at.
    pub(crate) fn decide_attributes(&self) -> bool {
        self.allowed.is_some()
            || !self.ignored.is_empty()
            || !self.ignored_patterns.is_empty()
            || !self.blocked_patterns.is_empty()
            || !self.url.is_empty()
            || self.sources.iter().any(|source| !source.whole.is_empty())
    }

    /// Whether a key decides which of its value's findings count, beyond raising or lowering scores.
    pub(crate) fn decide_findings(&self) -> bool {
        !self.allow_globs.is_empty()
            || self.scope.reads_key()
            || self.sources.iter().any(|source| source.scope.reads_key())
    }

    /// Whether some key's value is a URL to be sanitized.
    pub(crate) fn any_url(&self) -> bool {
        !self.url.is_empty()
    }

    /// Whether findings are possible at `place`, before any key is known.
    pub(crate) fn place_in_scope(&self, place: Place) -> bool {
        self.scope.has_place(place)
    }

    pub(crate) fn source_place_in_scope(&self, source: usize, place: Place) -> bool {
        self.sources[source].scope.has_place(place)
    }

    /// The plan of a value without a key.
    pub(crate) fn keyless(&self) -> KeyPlan {
        let mut plan = KeyPlan { allowed: true, ..KeyPlan::default() };
        if self.scope.needs_key() {
            (0..self.sources.len()).for_each(|source| plan.out_of_scope.insert(source));
        }
        for (index, source) in self.sources.iter().enumerate() {
            if source.scope.needs_key() {
                plan.out_of_scope.insert(index);
            }
        }
        plan
    }

    pub(crate) fn plan(&self, key: &[u8]) -> KeyPlan {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.is_match(key));
        let in_scope = self.scope.has_key(key);
        let mut plan = KeyPlan {
            ignored: self.ignored.contains_key(key) || any(&self.ignored_patterns),
            allowed: self.allowed.as_ref().is_none_or(|allowed| allowed.contains_key(key)),
            blocked: any(&self.blocked_patterns),
            url: self.url.contains_key(key),
            findings_allowed: any(&self.allow_globs),
            excluded: self.excluded.in_key(key),
            ..KeyPlan::default()
        };
        for (index, source) in self.sources.iter().enumerate() {
            if source.context.in_key(key) {
                plan.context.insert(index);
            }
            if source.excluded.as_ref().is_some_and(|words| words.in_key(key)) {
                plan.own_excluded.insert(index);
            }
            let applies = in_scope && source.scope.has_key(key);
            if !applies {
                plan.out_of_scope.insert(index);
            } else if plan.whole.is_none() && any(&source.whole) {
                plan.whole = Some(index as u16);
            }
        }
        plan
    }
}

pub(crate) fn compile_all(patterns: &[String], field: &'static str) -> Result<Vec<Pattern>, RedactionError> {
    patterns.iter().enumerate().map(|(index, pattern)| Pattern::compile(pattern, field, index)).collect()
}

pub(crate) fn compile_globs(globs: &[String], field: &'static str) -> Result<Vec<Pattern>, RedactionError> {
    globs.iter().enumerate().map(|(index, glob)| Pattern::compile(&glob_to_re2(glob), field, index)).collect()
}

/// Place names and key globs, compiled. A name of a place means the place, any other text is a glob.
#[derive(Debug, Default)]
pub(crate) struct CompiledScope {
    include_places: Option<u32>,
    exclude_places: u32,
    include_keys: Vec<Pattern>,
    exclude_keys: Vec<Pattern>,
}

impl CompiledScope {
    pub(crate) fn new(scope: Option<&Scope>, field: &'static str) -> Result<Self, RedactionError> {
        let Some(scope) = scope else { return Ok(CompiledScope::default()) };
        let split = |names: &[String]| {
            let mut places = 0u32;
            let mut globs = Vec::new();
            for name in names {
                match place::NAMES.iter().position(|place| place == name) {
                    Some(place) => places |= 1 << place,
                    None => globs.push(name.clone()),
                }
            }
            (places, globs)
        };
        let (include_places, include_keys) = split(&scope.include);
        let (exclude_places, exclude_keys) = split(&scope.exclude);
        Ok(CompiledScope {
            include_places: (include_places != 0).then_some(include_places),
            exclude_places,
            include_keys: compile_globs(&include_keys, field)?,
            exclude_keys: compile_globs(&exclude_keys, field)?,
        })
    }

    fn has_place(&self, place: Place) -> bool {
        let bit = 1 << place.group();
        self.include_places.is_none_or(|places| places & bit != 0) && self.exclude_places & bit == 0
    }

    fn needs_key(&self) -> bool {
        !self.include_keys.is_empty()
    }

    fn reads_key(&self) -> bool {
        !self.include_keys.is_empty() || !self.exclude_keys.is_empty()
    }

    fn has_key(&self, key: &[u8]) -> bool {
        (self.include_keys.is_empty() || self.include_keys.iter().any(|glob| glob.is_match(key)))
            && !self.exclude_keys.iter().any(|glob| glob.is_match(key))
    }
}

/// Most keys that a worker remembers, and the longest of them.
const MAX_KEYS: usize = 4_096;
const MAX_KEY_BYTES: usize = 256;

/// Plans of the keys that a worker has seen. Attributes come in the same order item after item, so each entry remembers
/// which one followed it last time.
#[derive(Debug)]
pub(crate) struct KeyCache {
    entries: Vec<Entry>,
    index: HashMap<Box<[u8]>, u32, ahash::RandomState>,
    previous: usize,
    /// For a key that is too long to remember.
    unkept: KeyPlan,
    keyless: KeyPlan,
}

#[derive(Debug)]
struct Entry {
    key: Box<[u8]>,
    plan: KeyPlan,
    next: usize,
}

impl KeyCache {
    pub(crate) fn new(rules: &KeyRules) -> Self {
        KeyCache {
            entries: Vec::new(),
            index: HashMap::default(),
            previous: 0,
            unkept: KeyPlan::default(),
            keyless: rules.keyless(),
        }
    }

    /// The plan of `key`; `None` for a value without one.
    #[inline]
    pub(crate) fn plan(&mut self, rules: &KeyRules, key: Option<&[u8]>) -> &KeyPlan {
        let Some(key) = key else { return &self.keyless };
        let is = |at: usize| self.entries.get(at).is_some_and(|entry| *entry.key == *key);
        if is(self.previous) {
            return &self.entries[self.previous].plan;
        }
        let guess = self.entries.get(self.previous).map_or(usize::MAX, |entry| entry.next);
        if is(guess) {
            self.previous = guess;
            return &self.entries[guess].plan;
        }
        self.look_up(rules, key)
    }

    /// The plan of values without a key, which is also that of any key where keys make no difference.
    #[inline]
    pub(crate) fn keyless(&self) -> &KeyPlan {
        &self.keyless
    }

    fn look_up(&mut self, rules: &KeyRules, key: &[u8]) -> &KeyPlan {
        if key.len() > MAX_KEY_BYTES {
            self.unkept = rules.plan(key);
            return &self.unkept;
        }
        let found = match self.index.get(key) {
            Some(&found) => found as usize,
            None => {
                if self.entries.len() >= MAX_KEYS {
                    self.entries.clear();
                    self.index.clear();
                    self.previous = 0;
                }
                let found = self.entries.len();
                self.index.insert(key.into(), found as u32);
                self.entries.push(Entry { key: key.into(), plan: rules.plan(key), next: 0 });
                found
            }
        };
        if let Some(previous) = self.entries.get_mut(self.previous) {
            previous.next = found;
        }
        self.previous = found;
        &self.entries[found].plan
    }
}
