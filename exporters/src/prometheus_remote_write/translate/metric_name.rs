//! Metric names.

use super::unit::UnitWords;
use super::{Compat, Strategy};

/// What a metric is, as far as its name depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Gauge,
    /// A monotonic sum.
    Counter,
    /// Sums that may fall, histograms, summaries.
    Other,
}

/// Builds metric names.
#[derive(Clone, Debug)]
pub struct MetricNamer {
    pub strategy: Strategy,
    pub compat: Compat,
    pub namespace: String,
}

impl MetricNamer {
    /// The Prometheus name of a metric; `None` if nothing is left of it.
    pub fn build(&self, name: &str, unit: &str, kind: MetricKind) -> Option<String> {
        let built = match (self.strategy.escapes(), self.strategy.suffixes()) {
            (true, true) => self.escaped_with_suffixes(name, unit, kind),
            (true, false) => self.escaped(name),
            (false, true) => self.utf8_with_suffixes(name, unit, kind),
            (false, false) => self.prefixed(name),
        };
        let only_underscores = self.strategy.escapes() && built != name && built.bytes().all(|byte| byte == b'_');
        (!built.is_empty() && !only_underscores).then_some(built)
    }

    /// The name of `target_info`.
    pub fn target_info(&self) -> String {
        self.prefixed("target_info")
    }

    fn prefixed(&self, name: &str) -> String {
        if self.namespace.is_empty() { name.to_owned() } else { format!("{}_{name}", self.namespace) }
    }

    fn escaped_with_suffixes(&self, name: &str, unit: &str, kind: MetricKind) -> String {
        let mut tokens: Vec<&str> = name.split(|c: char| !is_token(c)).filter(|token| !token.is_empty()).collect();
        let words = UnitWords::escaped(unit, self.compat);
        let has_main = match self.compat {
            Compat::Prometheus => tokens.contains(&words.main.as_str()),
            Compat::OtelSpec => tokens.join("_").ends_with(&words.main),
        };
        let has_per = tokens.contains(&words.per.as_str());
        if !has_main && !words.main.is_empty() {
            tokens.push(&words.main);
        }
        if !has_per && !words.per.is_empty() {
            tokens.push(&words.per);
        }
        let mut put_last = |word| {
            tokens.retain(|token| *token != word);
            tokens.push(word);
        };
        if kind == MetricKind::Counter {
            put_last("total");
        }
        if kind == MetricKind::Gauge && unit == "1" {
            put_last("ratio");
        }
        if !self.namespace.is_empty() {
            tokens.insert(0, &self.namespace);
        }
        without_leading_digit(tokens.join("_"))
    }

    fn escaped(&self, name: &str) -> String {
        let joined = |text: &str| {
            let runs = text.split(|c: char| !is_token(c) && c != '_').filter(|run| !run.is_empty());
            runs.collect::<Vec<_>>().join("_")
        };
        if self.namespace.is_empty() {
            without_leading_digit(joined(name))
        } else {
            format!("{}_{}", joined(&self.namespace), joined(name))
        }
    }

    fn utf8_with_suffixes(&self, name: &str, unit: &str, kind: MetricKind) -> String {
        let mut built = self.prefixed(name);
        let words = UnitWords::of(unit, self.compat);
        // In the order in which they will stand: what is there already is cut off from the end inwards.
        let per = (!words.per.is_empty()).then_some(words.per.as_str());
        let total = (kind == MetricKind::Counter).then_some("total");
        let ratio = (kind == MetricKind::Gauge && unit == "1").then_some("ratio");
        for suffix in [ratio, total, per].into_iter().flatten() {
            cut_suffix_and_delimiter(&mut built, suffix);
        }
        let main = (!words.main.is_empty() && !built.ends_with(&words.main)).then_some(words.main.as_str());
        for suffix in [main, per, total, ratio].into_iter().flatten() {
            built.push('_');
            built.push_str(suffix);
        }
        built
    }
}

/// Whether a character may stand in a token of a legacy name.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn without_leading_digit(mut name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// Cuts `suffix` off the end of `name`, and one character in front of it; keeps a name that would be used up.
fn cut_suffix_and_delimiter(name: &mut String, suffix: &str) {
    if let Some(rest) = name.strip_suffix(suffix) {
        let mut chars = rest.chars();
        if chars.next_back().is_some() && !chars.as_str().is_empty() {
            let len = chars.as_str().len();
            name.truncate(len);
        }
    }
}
