//! The value types of component configs.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroize as _;

use super::scalar;
use crate::tree::Node;

pub(crate) const RAW_NODE: &str = "$sluice::Node";
pub(crate) const DURATION: &str = "$sluice::Duration";
pub(crate) const BYTE_SIZE: &str = "$sluice::ByteSize";
pub(crate) const TOGGLE: &str = "$sluice::Toggle";
pub(crate) const SECRET: &str = "$sluice::Secret";
pub(crate) const HEADERS: &str = "$sluice::Headers";

/// A duration in Go syntax: `300ms`, `1m30s`, `1h`. A bare number other than 0 is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(pub Duration);

impl GoDuration {
    /// Whole seconds, for defaults.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Milliseconds, for defaults.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

impl Deref for GoDuration {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nanos = deserializer.deserialize_newtype_struct(DURATION, Measured(scalar::go_duration))?;
        Ok(Self(Duration::from_nanos(nanos)))
    }
}

/// A number of bytes: `512`, `64MiB`, `10GB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl Deref for ByteSize {
    type Target = u64;

    fn deref(&self) -> &u64 {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: &str| scalar::byte_size(text).ok_or("invalid size");
        deserializer.deserialize_newtype_struct(BYTE_SIZE, Measured(parse)).map(Self)
    }
}

/// Takes the number our decoder has parsed, or the text another format gives.
struct Measured<F>(F);

impl<'de, F: Fn(&str) -> Result<u64, &'static str>> Visitor<'de> for Measured<F> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number with a unit")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        (self.0)(&text).map_err(de::Error::custom)
    }
}

/// A secret: prints as `[REDACTED]`, and its memory is overwritten when it is dropped (security §7).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself. Do not print, log or serialize what this returns.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Secret, D::Error> {
                String::deserialize(deserializer).map(Secret)
            }
        }

        deserializer.deserialize_newtype_struct(SECRET, Text)
    }
}

/// Header-like pairs, written as a map or as a list of `{name, value}`. Values are secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, Secret)>);

impl Deref for Headers {
    type Target = [(String, Secret)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Pair {
            name: String,
            #[serde(default)]
            value: Secret,
        }

        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map, or a list of {name, value}")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Headers, D::Error> {
                deserializer.deserialize_any(self)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Headers(pairs))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Headers, A::Error> {
                let mut pairs: Vec<(String, Secret)> = Vec::new();
                let mut twice: Vec<String> = Vec::new();
                while let Some(Pair { name, value }) = seq.next_element()? {
                    if pairs.iter().any(|(known, _)| *known == name) && !twice.contains(&name) {
                        twice.push(name.clone());
                    }
                    pairs.push((name, value));
                }
                if !twice.is_empty() {
                    let names = twice.join(" ");
                    return Err(de::Error::custom(format_args!("duplicate keys in map-style list: [{names}]")));
                }
                Ok(Headers(pairs))
            }
        }

        deserializer.deserialize_newtype_struct(HEADERS, Pairs)
    }
}

/// An optional block (collector-compat §1.4): `key:` and `key: {}` are on with defaults, `enabled: false` is off
/// whatever else is set, `enabled: true` is allowed. Absent is the factory's choice: the field's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Toggle<T> {
    /// The block does nothing.
    #[default]
    Off,
    /// The block is on with this config.
    On(T),
}

impl<T> Toggle<T> {
    /// The config, if on.
    pub fn as_ref(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(config) => Some(config),
        }
    }

    /// The config, if on.
    pub fn into_option(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::On(config) => Some(config),
        }
    }

    /// Whether the block is on.
    pub fn is_on(&self) -> bool {
        matches!(self, Self::On(_))
    }
}

impl<T: Default> Toggle<T> {
    /// On with defaults, for factories whose block is on when absent.
    pub fn on() -> Self {
        Self::On(T::default())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Toggle<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Switch<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Switch<T> {
            type Value = Toggle<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a block that can be switched off")
            }

            fn visit_none<E: de::Error>(self) -> Result<Toggle<T>, E> {
                Ok(Toggle::Off)
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Toggle<T>, D::Error> {
                T::deserialize(deserializer).map(Toggle::On)
            }
        }

        deserializer.deserialize_newtype_struct(TOGGLE, Switch(std::marker::PhantomData))
    }
}

thread_local! {
    /// Hands a node through serde, which has no word for it, to the `Deserialize` below.
    static RAW: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// Called by our deserializer just before it visits a raw node.
pub(crate) fn offer_raw(node: &Node) {
    RAW.with(|raw| *raw.borrow_mut() = Some(node.clone()));
}

/// A field of type `Node` gets the raw subtree. Only the decoder of this crate can supply it.
impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Raw;

        impl Visitor<'_> for Raw {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a node of a configuration tree")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
                RAW.with(|raw| raw.borrow_mut().take()).ok_or_else(|| E::custom("not a configuration tree"))
            }
        }

        deserializer.deserialize_newtype_struct(RAW_NODE, Raw)
    }
}
