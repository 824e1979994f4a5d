//! Fields of `attributes` and `resource`, under upstream's names (collector-compat §4.6).

use serde::{Deserialize, Serialize};
use sluice_config::decode::word;
use sluice_config::one_of;
use sluice_config::tree::Node;

/// `processors: attributes:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttributesConfig {
    /// Items to act on; all if absent.
    pub include: Option<MatchProperties>,
    /// Items to leave alone.
    pub exclude: Option<MatchProperties>,
    /// At least one.
    pub actions: Vec<Action>,
}

/// `processors: resource:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceConfig {
    /// At least one.
    pub attributes: Vec<Action>,
}

/// One change of attributes.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Action {
    /// The attribute.
    pub key: String,
    /// What is done.
    pub action: ActionKind,
    /// A scalar, list or map; the attribute gets that type.
    pub value: Option<Node>,
    /// What insert, update and upsert write where the source gives nothing.
    pub default_value: Option<Node>,
    /// Copies another attribute's value.
    pub from_attribute: String,
    /// `metadata.<key>`, `auth.<attribute>` or `client.address`.
    pub from_context: String,
    /// For `extract`: a regex with named groups over the value. For `delete` and `hash`: a regex over keys.
    pub pattern: String,
    /// Target of `convert`.
    pub converted_type: Option<ConvertedType>,
}

/// What an action does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActionKind {
    /// Not written in the config; an error.
    #[default]
    Missing,
    /// Adds where the key is absent.
    Insert,
    /// Sets where the key is present.
    Update,
    /// Adds or sets.
    Upsert,
    /// Removes by key, and by pattern on keys.
    Delete,
    /// Replaces the value by its SHA-256, by key and by pattern on keys.
    Hash,
    /// Upserts the named groups of a pattern that matches the value.
    Extract,
    /// Changes the type of the value.
    Convert,
}

impl ActionKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            ActionKind::Missing => "",
            ActionKind::Insert => "insert",
            ActionKind::Update => "update",
            ActionKind::Upsert => "upsert",
            ActionKind::Delete => "delete",
            ActionKind::Hash => "hash",
            ActionKind::Extract => "extract",
            ActionKind::Convert => "convert",
        }
    }
}

impl Serialize for ActionKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for ActionKind {
    /// Case does not count, as upstream.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use ActionKind::{Convert, Delete, Extract, Hash, Insert, Missing, Update, Upsert};
        let words = one_of!("insert", "update", "upsert", "delete", "hash", "extract", "convert");
        let written = word(deserializer, words)?.to_lowercase();
        let all = [Missing, Insert, Update, Upsert, Delete, Hash, Extract, Convert];
        all.into_iter().find(|kind| kind.name() == written).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "error creating AttrProc due to unsupported action {written:?}; write insert, update, upsert, delete, hash, extract or convert"
            ))
        })
    }
}

/// Target of `convert`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvertedType {
    Int,
    Double,
    String,
    Bool,
}

impl Serialize for ConvertedType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            ConvertedType::Int => "int",
            ConvertedType::Double => "double",
            ConvertedType::String => "string",
            ConvertedType::Bool => "bool",
        })
    }
}

impl<'de> Deserialize<'de> for ConvertedType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match word(deserializer, one_of!("int", "double", "string", "bool"))?.as_str() {
            "int" => ConvertedType::Int,
            "double" => ConvertedType::Double,
            "string" => ConvertedType::String,
            "bool" => ConvertedType::Bool,
            other => {
                return Err(serde::de::Error::custom(format!(
                    "error creating AttrProc due to invalid value {other:?} in field \"converted_type\" for action \"convert\""
                )));
            }
        })
    }
}

/// Which items `include` and `exclude` mean. Every kind of property that is given must match.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatchProperties {
    /// How texts are compared. Must be set.
    pub match_type: MatchType,
    /// Accepted; compiled patterns need no cache.
    pub regexp: Option<RegexpCache>,
    /// Of `service.name`.
    pub services: Vec<String>,
    /// Names of spans.
    pub span_names: Vec<String>,
    /// Kinds of spans.
    pub span_kinds: Vec<String>,
    /// Attributes that an item must all have.
    pub attributes: Vec<MatchAttribute>,
    /// Resource attributes that must all be there.
    pub resources: Vec<MatchAttribute>,
    /// Instrumentation scopes, of which one must match.
    pub libraries: Vec<Library>,
    /// Bodies that are text.
    pub log_bodies: Vec<String>,
    /// Severity texts.
    pub log_severity_texts: Vec<String>,
    /// By severity.
    pub log_severity_number: Option<SeverityNumberMatch>,
    /// Names of metrics.
    pub metric_names: Vec<String>,
}

/// How texts are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchType {
    /// Not written; an error.
    #[default]
    Missing,
    Strict,
    Regexp,
}

impl Serialize for MatchType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            MatchType::Missing => "",
            MatchType::Strict => "strict",
            MatchType::Regexp => "regexp",
        })
    }
}

impl<'de> Deserialize<'de> for MatchType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match word(deserializer, one_of!("strict", "regexp"))?.as_str() {
            "strict" => Ok(MatchType::Strict),
            "regexp" => Ok(MatchType::Regexp),
            other => Err(serde::de::Error::custom(unrecognized(other))),
        }
    }
}

/// Upstream's words for a `match_type` that it does not know.
pub(super) fn unrecognized(match_type: &str) -> String {
    format!("unrecognized match_type: '{match_type}', valid types are: [regexp strict]")
}

/// Upstream's regexp cache: no effect here.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegexpCache {
    /// Without effect.
    pub cacheenabled: bool,
    /// Without effect.
    pub cachemaxnumentries: i64,
}

/// An attribute that must be there, with this value if one is given.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatchAttribute {
    /// Its key.
    pub key: String,
    /// Its value; any if not written.
    pub value: Option<Node>,
}

/// An instrumentation scope.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Any version if absent.
    pub version: Option<String>,
}

/// Severities from `min` on; with `match_undefined` also records without one.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeverityNumberMatch {
    /// Least severity that matches.
    pub min: i32,
    /// Records without a severity match, too.
    pub match_undefined: bool,
}
