//! Component and pipeline ids (collector-compat §1.5).

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde::de::{self, Deserialize, Deserializer};

use crate::quote;

/// Longest name of an id, in bytes.
pub const MAX_NAME: usize = 1024;

/// Why an id is refused. Texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// `/x`
    #[error("in {} id: the part before / should not be empty", quote(.0))]
    EmptyType(String),
    /// `x/`
    #[error("in {} id: the part after / should not be empty", quote(.0))]
    EmptyName(String),
    /// Nothing at all.
    #[error("id must not be empty")]
    Empty,
    /// The type is not `[a-zA-Z][0-9a-zA-Z_]{0,62}`.
    #[error("in {} id: invalid character(s) in type {}", quote(.id), quote(.kind))]
    BadType {
        /// The whole id.
        id: String,
        /// The part before the slash.
        kind: String,
    },
    /// The name holds white space, control characters or symbols.
    #[error("in {} id: invalid character(s) in name {}", quote(.0), quote(.0))]
    BadName(String),
    /// The name is too long.
    #[error("in {} id: name {} is longer than 1024 characters ({} characters)", quote(.0), quote(.0), .0.len())]
    LongName(String),
    /// A pipeline of something else than traces, metrics, logs or profiles.
    #[error("in {} id: unknown pipeline signal: {}", quote(.id), quote(.signal))]
    UnknownSignal {
        /// The whole id.
        id: String,
        /// The part before the slash.
        signal: String,
    },
}

/// `type[/name]`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId {
    kind: String,
    name: String,
}

impl ComponentId {
    /// Parses an id; both parts are trimmed.
    ///
    /// # Errors
    /// [`IdError`] with upstream's text.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (kind, name) = split(text)?;
        let mut bytes = kind.bytes();
        let valid = kind.len() <= 63
            && bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !valid {
            return Err(IdError::BadType { id: text.to_owned(), kind: kind.to_owned() });
        }
        Ok(Self { kind: kind.to_owned(), name: name.to_owned() })
    }

    /// The type as written, before any alias.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The part after the slash; empty if there is none.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What a pipeline carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Log records.
    Logs,
    /// Profiles; behind a gate.
    Profiles,
}

impl Signal {
    /// The name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
            Self::Profiles => "profiles",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Traces, Self::Metrics, Self::Logs, Self::Profiles].into_iter().find(|signal| signal.name() == text)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `traces|metrics|logs|profiles[/name]`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipelineId {
    signal: Signal,
    name: String,
}

impl PipelineId {
    /// Parses an id; both parts are trimmed.
    ///
    /// # Errors
    /// [`IdError`] with upstream's text.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (signal, name) = split(text)?;
        match Signal::parse(signal) {
            Some(signal) => Ok(Self { signal, name: name.to_owned() }),
            None => Err(IdError::UnknownSignal { id: text.to_owned(), signal: signal.to_owned() }),
        }
    }

    /// What the pipeline carries.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The part after the slash; empty if there is none.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The two trimmed parts of an id, the name checked.
fn split(text: &str) -> Result<(&str, &str), IdError> {
    let (kind, name) = match text.split_once('/') {
        Some((kind, name)) => (kind.trim(), Some(name.trim())),
        None => (text.trim(), None),
    };
    match (kind.is_empty(), name) {
        (true, Some(_)) => return Err(IdError::EmptyType(text.to_owned())),
        (true, None) => return Err(IdError::Empty),
        (false, Some("")) => return Err(IdError::EmptyName(text.to_owned())),
        (false, _) => {}
    }
    let name = name.unwrap_or_default();
    if name.len() > MAX_NAME {
        return Err(IdError::LongName(name.to_owned()));
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte)) && has_bad_character(name) {
        return Err(IdError::BadName(name.to_owned()));
    }
    Ok((kind, name))
}

/// White space, control characters and symbols.
fn has_bad_character(name: &str) -> bool {
    static BAD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\pZ\pC\pS]").ok());
    BAD.as_ref().is_none_or(|bad| bad.is_match(name))
}

macro_rules! text_id {
    ($id:ident, $head:ident) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.$head)?;
                if self.name.is_empty() { Ok(()) } else { write!(f, "/{}", self.name) }
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl serde::Serialize for $id {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }
    };
}

text_id!(ComponentId, kind);
text_id!(PipelineId, signal);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_parsed_or_refused_with_the_texts_of_upstream() {
        let long = "x".repeat(1025);
        let cases = [
            ("otlp", "otlp".to_owned()),
            (" otlp / a ", "otlp/a".to_owned()),
            ("otlp/a/b", "otlp/a/b".to_owned()),
            ("otlp/größe-2", "otlp/größe-2".to_owned()),
            ("/x", "in \"/x\" id: the part before / should not be empty".to_owned()),
            ("otlp/", "in \"otlp/\" id: the part after / should not be empty".to_owned()),
            ("", "id must not be empty".to_owned()),
            ("1x", "in \"1x\" id: invalid character(s) in type \"1x\"".to_owned()),
            ("a-b", "in \"a-b\" id: invalid character(s) in type \"a-b\"".to_owned()),
            ("nop/+", "in \"+\" id: invalid character(s) in name \"+\"".to_owned()),
            ("nop/a b", "in \"a b\" id: invalid character(s) in name \"a b\"".to_owned()),
        ];
        for (text, expected) in cases {
            let shown = ComponentId::parse(text).map_or_else(|error| error.to_string(), |id| id.to_string());
            assert_eq!(shown, expected, "{text:?}");
        }
        let error = ComponentId::parse(&format!("x/{long}")).unwrap_err().to_string();
        assert!(error.ends_with("is longer than 1024 characters (1025 characters)"), "{error}");
        assert!(ComponentId::parse(&"a".repeat(63)).is_ok());
        assert!(ComponentId::parse(&"a".repeat(64)).is_err());
    }

    #[test]
    fn pipelines_are_named_for_a_signal() {
        assert_eq!(PipelineId::parse("traces/in").unwrap().signal(), Signal::Traces);
        let error = PipelineId::parse("trace").unwrap_err().to_string();
        assert_eq!(error, "in \"trace\" id: unknown pipeline signal: \"trace\"");
    }
}
