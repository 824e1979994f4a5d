//! The value types of component configs.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
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

impl fmt::Display for GoDuration {
    /// As Go reads it: `1h30m`, `250ms`; zero is `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u128); 6] = [
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1),
        ];
        let mut nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in UNITS {
            if nanos >= size {
                write!(f, "{}{unit}", nanos / size)?;
                nanos %= size;
            }
        }
        Ok(())
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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

impl Serialize for ByteSize {
    /// In the largest unit that gives a whole number.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
            .into_iter()
            .find(|(_, size)| self.0.is_multiple_of(*size));
        match whole {
            Some((unit, size)) if self.0 > 0 => serializer.collect_str(&format_args!("{}{unit}", self.0 / size)),
            _ => serializer.serialize_u64(self.0),
        }
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

impl Serialize for Secret {
    /// Never the secret itself.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { crate::redact::REDACTED })
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

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
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

impl<T: Serialize> Serialize for Toggle<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("enabled", &false)?;
                map.end()
            }
            Self::On(config) => serializer.serialize_newtype_struct(TOGGLE, config),
        }
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

/// What was offered last.
pub(crate) fn take_raw() -> Option<Node> {
    RAW.with(|raw| raw.borrow_mut().take())
}

/// Only the encoder of this crate knows what to do with it.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        offer_raw(self);
        serializer.serialize_newtype_struct(RAW_NODE, &())
    }
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
                take_raw().ok_or_else(|| E::custom("not a configuration tree"))
            }
        }

        deserializer.deserialize_newtype_struct(RAW_NODE, Raw)
    }
}
