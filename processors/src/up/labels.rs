//! Label sets: sorted, immutable, cheap to clone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A label set, sorted by name, without repeated names and without empty values.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Box<str>, Box<str>)]>);

impl Labels {
    /// The labels in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value of a label, or "" if there is none (Prometheus makes no difference).
    pub fn get(&self, name: &str) -> &str {
        self.0.binary_search_by(|(n, _)| (**n).cmp(name)).map_or("", |at| &self.0[at].1)
    }

    /// FNV-1a, 64 bits, over names and values, each closed by the byte 0xff.
    ///
    /// Has no seed: every collector computes the same, which is what puts their samples on one grid (`up`, Terms).
    pub fn fnv64a(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for (name, value) in self.iter() {
            for byte in name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        hash
    }

    /// A copy to change.
    pub fn to_builder(&self) -> LabelsBuilder {
        self.iter().collect()
    }
}

impl Default for Labels {
    fn default() -> Self {
        LabelsBuilder::default().build()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str("}")
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(labels: I) -> Self {
        labels.into_iter().collect::<LabelsBuilder>().build()
    }
}

/// A label set under construction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelsBuilder(BTreeMap<String, String>);

impl LabelsBuilder {
    /// The value of a label, or "" if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        if value.is_empty() {
            self.0.remove(&name);
        } else {
            self.0.insert(name, value);
        }
    }

    /// Sets a label that is not there yet.
    pub fn set_default(&mut self, name: &str, value: impl Into<String>) {
        if self.get(name).is_empty() {
            self.set(name, value);
        }
    }

    /// Removes the labels whose names do not satisfy the condition.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|name, _| keep(name));
    }

    /// Removes the labels that the other set does not have with the same value.
    pub fn retain_equal(&mut self, other: &Labels) {
        self.0.retain(|name, value| other.get(name) == value);
    }

    /// The labels in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The finished set.
    pub fn build(&self) -> Labels {
        Labels(self.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for LabelsBuilder {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(labels: I) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in labels {
            builder.set(name, value);
        }
        builder
    }
}
