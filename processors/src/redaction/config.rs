//! The `redaction` block: upstream's fields and ours, their defaults, and what is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sluice_config::Secret;

use super::error::RedactionError;

/// Shortest key for `hmac-sha256` and for `tokens`, in bytes.
pub const MIN_KEY_SHA256: usize = 32;
/// Shortest key for `hmac-sha512`, in bytes.
pub const MIN_KEY_SHA512: usize = 64;

/// Deepest nesting that may be configured: the walk over values is recursive.
pub const MAX_DEPTH: usize = 100;

/// The `redaction` block as written. Fields whose absence has a meaning of its own are options.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `true` switches the key allow-list off. Default: see [`Config::allows_all_keys`].
    pub allow_all_keys: Option<bool>,
    /// Exact keys that are kept when `allow_all_keys` is `false`.
    pub allowed_keys: Option<Vec<String>>,
    /// Exact keys that are never removed and never changed.
    pub ignored_keys: Option<Vec<String>>,
    /// The same by pattern.
    pub ignored_key_patterns: Option<Vec<String>>,
    /// Patterns of keys whose value is masked whole.
    pub blocked_key_patterns: Option<Vec<String>>,
    /// Patterns whose matches inside values are masked.
    pub blocked_values: Option<Vec<String>>,
    /// Patterns that exempt text; how much of it says `allowed_scope`.
    pub allowed_values: Option<Vec<String>>,
    /// Match non-string leaves by their string form.
    pub redact_all_types: Option<bool>,
    /// Hash that takes the place of `****`.
    pub hash_function: Option<HashFunction>,
    /// Key of the HMAC hash functions.
    pub hmac_key: Option<Secret>,
    /// How much the summary attributes tell.
    pub summary: Option<Summary>,
    /// Collapses variable path segments of URLs.
    pub url_sanitizer: Option<UrlSanitizer>,
    /// Replaces literals of database statements.
    pub db_sanitizer: Option<DbSanitizer>,
    /// OTTL conditions that exempt an item.
    pub skip_conditions: Option<Vec<String>>,

    /// Groups of built-in detectors.
    pub packs: Option<Vec<Pack>>,
    /// Settings of single detectors.
    pub detectors: Option<BTreeMap<String, DetectorConfig>>,
    /// The user's own rules.
    pub rules: Option<Vec<Rule>>,
    /// Act at a score of at least this.
    pub threshold: Option<f32>,
    /// Text for findings; `{type}` is replaced by the finding's type.
    pub mask: Option<String>,
    /// What is never a finding.
    pub allow: Option<Allow>,
    /// Where detectors and rules apply.
    pub scope: Option<Scope>,
    /// What happens to a key that contains a finding.
    pub keys: Option<KeyAction>,
    /// Keys of the join tokens.
    pub tokens: Option<Tokens>,
    /// Count and explain, change nothing.
    pub dry_run: bool,
    /// What happens to a value that is over a limit.
    pub on_limit: OnLimit,
    /// Largest value that is scanned, in bytes. Default 1 MiB.
    pub max_value_bytes: Option<usize>,
    /// Deepest nesting of values. Default 32.
    pub max_depth: Option<usize>,
    /// Largest decoded copy, in bytes. Default 64 KiB.
    pub max_decode_bytes: Option<usize>,
    /// What happens to protobuf fields that cannot be read.
    pub unknown_fields: UnknownFields,
    /// How much an `allowed_values` match exempts. Default: see [`Config::allowed_scope`].
    pub allowed_scope: Option<AllowedScope>,
    /// Write summary attributes on resources, scopes and data points too.
    pub summary_on_identity: bool,
}

/// Hash functions of upstream. All but the HMACs are reversible for short values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFunction {
    None,
    Md5,
    Sha1,
    Sha3,
    HmacSha256,
    HmacSha512,
}

impl Serialize for HashFunction {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            HashFunction::None => "",
            HashFunction::Md5 => "md5",
            HashFunction::Sha1 => "sha1",
            HashFunction::Sha3 => "sha3",
            HashFunction::HmacSha256 => "hmac-sha256",
            HashFunction::HmacSha512 => "hmac-sha512",
        })
    }
}

impl<'de> Deserialize<'de> for HashFunction {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = sluice_config::one_of!("md5", "sha1", "sha3", "hmac-sha256", "hmac-sha512");
        let name = sluice_config::decode::word(deserializer, words)?;
        Ok(match name.to_ascii_lowercase().as_str() {
            "" => HashFunction::None,
            "md5" => HashFunction::Md5,
            "sha1" => HashFunction::Sha1,
            "sha3" => HashFunction::Sha3,
            "hmac-sha256" => HashFunction::HmacSha256,
            "hmac-sha512" => HashFunction::HmacSha512,
            _ => {
                return Err(serde::de::Error::custom(format!(
                    "unknown hash function {name}, allowed are md5, sha1, sha3, hmac-sha256 and hmac-sha512"
                )));
            }
        })
    }
}

/// How much the summary attributes tell: keys and counts, counts, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Summary {
    Debug,
    Info,
    #[default]
    Silent,
}

impl Serialize for Summary {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Summary::Debug => "debug",
            Summary::Info => "info",
            Summary::Silent => "silent",
        })
    }
}

impl<'de> Deserialize<'de> for Summary {
    /// Upstream takes any text and treats what it does not know as silent; here an unknown word is refused.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = sluice_config::one_of!("debug", "info", "silent");
        match sluice_config::decode::word(deserializer, words)?.as_str() {
            "debug" => Ok(Summary::Debug),
            "info" => Ok(Summary::Info),
            "silent" | "" => Ok(Summary::Silent),
            other => Err(serde::de::Error::unknown_variant(other, &["debug", "info", "silent"])),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct UrlSanitizer {
    /// Switches it on.
    pub enabled: bool,
    /// Attribute keys whose value is a URL; `body` names the log body.
    pub attributes: Vec<String>,
    /// Default `true`.
    pub sanitize_span_name: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DbSanitizer {
    /// Of spans that call a database. Default `true`.
    pub sanitize_span_name: Option<bool>,
    /// Where the database is not named.
    pub allow_fallback_without_system: bool,
    /// SQL.
    pub sql: DbSystem,
    /// Redis.
    pub redis: DbSystem,
    /// Valkey.
    pub valkey: DbSystem,
    /// Memcached.
    pub memcached: DbSystem,
    /// MongoDB.
    pub mongo: DbSystem,
    /// OpenSearch.
    pub opensearch: DbSystem,
    /// Elasticsearch.
    pub es: DbSystem,
}

impl DbSanitizer {
    fn is_on(&self) -> bool {
        [&self.sql, &self.redis, &self.valkey, &self.memcached, &self.mongo, &self.opensearch, &self.es]
            .iter()
            .any(|system| system.enabled)
    }
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DbSystem {
    /// Switches it on. Not supported yet: refused.
    pub enabled: bool,
    /// Attributes that hold its statements.
    pub attributes: Vec<String>,
}

/// A named group of built-in detectors.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Pack {
    Default,
    Secrets,
    Financial,
    Contact,
    Url,
    Network,
    Identity,
    Db,
}

/// Settings of one built-in detector.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectorConfig {
    /// Default `true`: naming a detector turns it on.
    pub enabled: Option<bool>,
    /// Instead of `mask`.
    pub action: Option<Action>,
    /// Instead of the common one.
    pub threshold: Option<f32>,
    /// Settings of this detector, by name.
    pub policy: BTreeMap<String, String>,
}

/// What is done with a finding.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    #[default]
    Mask,
    MaskLen,
    Partial,
    Hmac,
    DropValue,
    DropAttribute,
    DropRecord,
    TagOnly,
}

impl Action {
    pub(crate) const ALL: [Action; 8] = [
        Action::Mask,
        Action::MaskLen,
        Action::Partial,
        Action::Hmac,
        Action::DropValue,
        Action::DropAttribute,
        Action::DropRecord,
        Action::TagOnly,
    ];

    /// The name in config and in the label `action`.
    pub fn name(self) -> &'static str {
        match self {
            Action::Mask => "mask",
            Action::MaskLen => "mask_len",
            Action::Partial => "partial",
            Action::Hmac => "hmac",
            Action::DropValue => "drop_value",
            Action::DropAttribute => "drop_attribute",
            Action::DropRecord => "drop_record",
            Action::TagOnly => "tag_only",
        }
    }
}

/// A rule of the user: exactly one of `pattern`, `keywords` and `keys`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Name in counters; default `rule<index>`.
    pub id: Option<String>,
    /// Type of the findings, shown in masks; default: the id in upper case.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// RE2 pattern.
    pub pattern: Option<String>,
    /// Whole words, any case.
    pub keywords: Vec<String>,
    /// Globs of keys whose value is masked whole.
    pub keys: Vec<String>,
    /// Built-in check of a match: `luhn`.
    pub validator: Option<String>,
    /// Words nearby that make a finding likelier.
    pub context: Vec<String>,
    /// Words nearby that rule it out.
    pub exclude_context: Vec<String>,
    /// Score without context; default 1.
    pub base: Option<f32>,
    /// Score with context; default: `base`.
    pub with_context: Option<f32>,
    /// What is done with a finding. Default `mask`.
    pub action: Option<Action>,
    /// Where the rule applies.
    pub scope: Option<Scope>,
}

/// What is never a finding.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Allow {
    /// SHA-256 of exact values, in hex.
    pub values_hashed: Vec<String>,
    /// Beginnings of matches that are no findings.
    pub prefixes: Vec<String>,
    /// Ends of matches that are no findings.
    pub suffixes: Vec<String>,
    /// Patterns of text in which nothing is a finding.
    pub span_patterns: Vec<String>,
    /// Globs of keys.
    pub keys: Vec<String>,
    /// Addresses under the reserved example domains.
    pub example_domains: bool,
    /// Published test card numbers.
    pub test_cards: bool,
}

/// Place names and key globs. An empty `include` means everything.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// Where; empty means everywhere.
    pub include: Vec<String>,
    /// Where not.
    pub exclude: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum KeyAction {
    #[default]
    Mask,
    DropAttribute,
}

/// Keys of the join tokens: `active` signs, `previous` documents older ones.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// The key that signs.
    pub active: TokenKey,
    /// Older keys.
    pub previous: Vec<TokenKey>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenKey {
    /// Short public name of the key, part of each token.
    pub kid: String,
    /// The key, 32 bytes at least.
    pub key: Secret,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    #[default]
    MaskValue,
    DropItem,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum UnknownFields {
    #[default]
    Drop,
    Keep,
}

/// How much a match of `allowed_values` exempts.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AllowedScope {
    /// The whole value, from blocked keys too (upstream).
    Value,
    /// Findings wholly inside the match.
    Match,
}

impl Config {
    /// Whether one of our own detection fields is written.
    fn has_detection(&self) -> bool {
        self.packs.is_some() || self.detectors.is_some() || self.rules.is_some()
    }

    /// Whether one of upstream's fields is written.
    fn has_upstream(&self) -> bool {
        self.allow_all_keys.is_some()
            || self.allowed_keys.is_some()
            || self.ignored_keys.is_some()
            || self.ignored_key_patterns.is_some()
            || self.blocked_key_patterns.is_some()
            || self.blocked_values.is_some()
            || self.allowed_values.is_some()
            || self.redact_all_types.is_some()
            || self.hash_function.is_some()
            || self.hmac_key.is_some()
            || self.summary.is_some()
            || self.url_sanitizer.is_some()
            || self.db_sanitizer.is_some()
            || self.skip_conditions.is_some()
    }

    /// Only upstream's fields are written, so that upstream's meaning holds.
    pub fn is_upstream_only(&self) -> bool {
        self.has_upstream() && !self.has_detection()
    }

    /// The packs that run: as written; `default` for a block without detection and without upstream's fields.
    pub fn effective_packs(&self) -> Vec<Pack> {
        match &self.packs {
            Some(packs) => packs.clone(),
            None if self.has_detection() || self.has_upstream() => Vec::new(),
            None => vec![Pack::Default],
        }
    }

    /// Whether the key allow-list is off: as written, else `false` only where upstream's meaning holds.
    pub fn allows_all_keys(&self) -> bool {
        self.allow_all_keys.unwrap_or(!self.is_upstream_only())
    }

    /// As written, else `value` only where upstream's meaning holds.
    pub fn allowed_scope(&self) -> AllowedScope {
        let default = if self.is_upstream_only() { AllowedScope::Value } else { AllowedScope::Match };
        self.allowed_scope.unwrap_or(default)
    }

    pub(crate) fn hash(&self) -> HashFunction {
        self.hash_function.unwrap_or(HashFunction::None)
    }

    /// Checks what needs no compiling. [`super::Engine::new`] checks patterns, detector names and scopes.
    ///
    /// # Errors
    /// The first field that is not acceptable.
    pub fn validate(&self) -> Result<(), RedactionError> {
        self.validate_keys()?;
        if self.db_sanitizer.as_ref().is_some_and(DbSanitizer::is_on) {
            return Err(RedactionError::field(
                "db_sanitizer",
                "sanitizing database statements is not supported yet; remove the block, or mask with `blocked_values`",
            ));
        }
        if self.skip_conditions.as_ref().is_some_and(|conditions| !conditions.is_empty()) {
            return Err(RedactionError::field(
                "skip_conditions",
                "skip conditions are not supported yet; remove the list, or use `filter` and `ignored_keys`",
            ));
        }
        unit_interval("threshold", self.threshold)?;
        for (id, detector) in self.detectors.iter().flatten() {
            unit_interval(&format!("detectors.{id}.threshold"), detector.threshold)?;
        }
        for (index, rule) in self.rules.iter().flatten().enumerate() {
            rule.validate(index)?;
        }
        for (field, value) in [
            ("max_value_bytes", self.max_value_bytes),
            ("max_depth", self.max_depth),
            ("max_decode_bytes", self.max_decode_bytes),
        ] {
            if value == Some(0) {
                return Err(RedactionError::field(field, "must be at least 1"));
            }
        }
        if self.max_depth > Some(MAX_DEPTH) {
            return Err(RedactionError::field("max_depth", format!("at most {MAX_DEPTH}")));
        }
        if let Some(allow) = &self.allow {
            for (field, list) in [("allow.prefixes", &allow.prefixes), ("allow.suffixes", &allow.suffixes)] {
                if list.len() > 100 || list.iter().any(|text| text.is_empty() || text.len() > 1_000) {
                    return Err(RedactionError::field(field, "at most 100 entries of 1 to 1,000 bytes"));
                }
            }
        }
        Ok(())
    }

    fn validate_keys(&self) -> Result<(), RedactionError> {
        let needed = match self.hash() {
            HashFunction::HmacSha256 => MIN_KEY_SHA256,
            HashFunction::HmacSha512 => MIN_KEY_SHA512,
            _ => 0,
        };
        let length = self.hmac_key.as_ref().map_or(0, |key| key.expose().len());
        if length < needed {
            let reason = format!("must be at least {needed} bytes long for this hash_function, got {length} bytes");
            return Err(RedactionError::field("hmac_key", reason));
        }
        if let Some(tokens) = &self.tokens {
            for (field, key) in std::iter::once(("tokens.active", &tokens.active))
                .chain(tokens.previous.iter().map(|key| ("tokens.previous", key)))
            {
                let kid_ok = !key.kid.is_empty()
                    && key.kid.len() <= 16
                    && key.kid.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
                if !kid_ok {
                    return Err(RedactionError::field(format!("{field}.kid"), "1 to 16 characters of a-z and 0-9"));
                }
                if key.key.expose().len() < MIN_KEY_SHA256 {
                    let reason = format!("must be at least {MIN_KEY_SHA256} bytes long");
                    return Err(RedactionError::field(format!("{field}.key"), reason));
                }
            }
        }
        Ok(())
    }
}

impl Rule {
    fn validate(&self, index: usize) -> Result<(), RedactionError> {
        let field = |name: &str| format!("rules[{index}]{name}");
        let sources = [self.pattern.is_some(), !self.keywords.is_empty(), !self.keys.is_empty()];
        if sources.into_iter().filter(|given| *given).count() != 1 {
            return Err(RedactionError::field(field(""), "exactly one of pattern, keywords and keys"));
        }
        if !matches!(self.validator.as_deref(), None | Some("luhn")) {
            return Err(RedactionError::field(field(".validator"), "unknown; available: luhn"));
        }
        if self.context.len() > 50 || self.exclude_context.len() > 50 {
            return Err(RedactionError::field(field(".context"), "at most 50 words"));
        }
        unit_interval(&field(".base"), self.base)?;
        unit_interval(&field(".with_context"), self.with_context)
    }
}

fn unit_interval(field: &str, value: Option<f32>) -> Result<(), RedactionError> {
    match value {
        Some(value) if !(0.0..=1.0).contains(&value) => Err(RedactionError::field(field, "must be between 0 and 1")),
        _ => Ok(()),
    }
}
