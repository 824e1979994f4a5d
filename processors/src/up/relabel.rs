//! Prometheus' relabelling: rules that edit, keep or drop a label set.
//!
//! Rules: the Prometheus configuration reference, `relabel_config`. Patterns are RE2, anchored, and `.` matches a
//! newline.

use regex::{Captures, Match, Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use sluice_ottl::pattern::re2;

use super::labels::LabelsBuilder;

/// One entry of `relabel_configs`, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelabelConfig {
    /// Labels whose values are joined to the value that the rule looks at.
    pub source_labels: Vec<String>,
    /// Between the joined values; `;` if absent.
    pub separator: Option<String>,
    /// Anchored RE2 pattern; `(.*)` if absent.
    pub regex: Option<String>,
    /// For `hashmod`.
    pub modulus: u64,
    /// The label that is written; may be a template for `replace`.
    pub target_label: String,
    /// Template of the new value; `$1` if absent.
    pub replacement: Option<String>,
    /// `replace` if absent; letter case does not matter.
    pub action: Option<String>,
}

/// A rule ready to be applied.
#[derive(Clone, Debug)]
pub struct RelabelRule {
    sources: Vec<String>,
    separator: String,
    regex: Regex,
    /// The names of its groups, from the first.
    groups: Vec<Option<String>>,
    modulus: u64,
    target: String,
    replacement: String,
    action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

impl RelabelRule {
    /// Checks and compiles a rule; the error says in one sentence what is wrong.
    pub fn compile(config: &RelabelConfig) -> Result<Self, String> {
        let name = config.action.as_deref().unwrap_or("replace");
        let action = match name.to_ascii_lowercase().as_str() {
            "replace" => Action::Replace,
            "keep" => Action::Keep,
            "drop" => Action::Drop,
            "keepequal" => Action::KeepEqual,
            "dropequal" => Action::DropEqual,
            "hashmod" => Action::HashMod,
            "labelmap" => Action::LabelMap,
            "labeldrop" => Action::LabelDrop,
            "labelkeep" => Action::LabelKeep,
            "lowercase" => Action::Lowercase,
            "uppercase" => Action::Uppercase,
            _ => return Err(format!("unknown action `{name}`")),
        };
        validate(config, action, name)?;
        let pattern = config.regex.as_deref().unwrap_or("(.*)");
        let invalid = |problem: String| format!("the regex `{pattern}` does not compile: {problem}");
        let translated = re2::translate(pattern).map_err(|error| invalid(error.to_string()))?;
        let regex = RegexBuilder::new(&format!("^(?s:{})$", translated.regex));
        let regex = regex.build().map_err(|error| invalid(error.to_string()))?;
        Ok(RelabelRule {
            sources: config.source_labels.clone(),
            separator: config.separator.clone().unwrap_or_else(|| ";".to_owned()),
            regex,
            groups: translated.names,
            modulus: config.modulus,
            target: config.target_label.clone(),
            replacement: config.replacement.clone().unwrap_or_else(|| "$1".to_owned()),
            action,
        })
    }

    /// Applies the rule. False: the label set is dropped.
    pub fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        let joined = self.join(labels);
        match self.action {
            Action::Keep => return self.regex.is_match(&joined),
            Action::Drop => return !self.regex.is_match(&joined),
            Action::KeepEqual => return labels.get(&self.target) == joined,
            Action::DropEqual => return labels.get(&self.target) != joined,
            Action::Replace => self.replace(&joined, labels),
            Action::HashMod => {
                let digest = md5::compute(joined.as_bytes());
                let low = digest[8..].iter().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
                labels.set(&*self.target, (low % self.modulus).to_string());
            }
            Action::LabelMap => {
                let mapped: Vec<(String, String)> = labels
                    .iter()
                    .filter_map(|(name, value)| {
                        let captures = self.regex.captures(name)?;
                        Some((self.expand(&self.replacement, &captures), value.to_owned()))
                    })
                    .collect();
                for (name, value) in mapped {
                    labels.set(name, value);
                }
            }
            Action::LabelDrop => labels.retain(|name| !self.regex.is_match(name)),
            Action::LabelKeep => labels.retain(|name| self.regex.is_match(name)),
            Action::Lowercase => labels.set(&*self.target, joined.chars().map(simple_lowercase).collect::<String>()),
            Action::Uppercase => labels.set(&*self.target, joined.chars().map(simple_uppercase).collect::<String>()),
        }
        true
    }

    fn join(&self, labels: &LabelsBuilder) -> String {
        let mut joined = String::new();
        for (i, name) in self.sources.iter().enumerate() {
            if i > 0 {
                joined.push_str(&self.separator);
            }
            joined.push_str(labels.get(name));
        }
        joined
    }

    fn replace(&self, joined: &str, labels: &mut LabelsBuilder) {
        if let Some(captures) = self.regex.captures(joined) {
            let target = self.expand(&self.target, &captures);
            // A template may expand to no name at all: then the rule does nothing.
            if !target.is_empty() {
                labels.set(target, self.expand(&self.replacement, &captures));
            }
        }
    }

    /// Expands `$1`, `${1}`, `$name`, `${name}` and `$$` as Go does: a name is the longest run of letters, digits and
    /// underscores, so `$1x` is the group named `1x`; an unknown group is empty; a `$` that starts no name is a `$`.
    fn expand(&self, template: &str, captures: &Captures<'_>) -> String {
        let mut out = String::new();
        let mut rest = template;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(tail) = rest.strip_prefix('$') {
                out.push('$');
                rest = tail;
                continue;
            }
            let (inner, braced) = rest.strip_prefix('{').map_or((rest, false), |inner| (inner, true));
            let end = inner.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(inner.len());
            let (name, tail) = inner.split_at(end);
            let tail = if braced { tail.strip_prefix('}') } else { Some(tail) };
            match tail {
                Some(tail) if !name.is_empty() => {
                    let group = match name.parse::<usize>() {
                        Ok(number) => captures.get(number),
                        Err(_) => self.named(name, captures),
                    };
                    out.push_str(group.map_or("", |group| group.as_str()));
                    rest = tail;
                }
                _ => out.push('$'),
            }
        }
        out.push_str(rest);
        out
    }

    /// The first group of this name that took part, as Go has it.
    fn named<'t>(&self, name: &str, captures: &Captures<'t>) -> Option<Match<'t>> {
        let named = self.groups.iter().enumerate().filter(|(_, group)| group.as_deref() == Some(name));
        named.filter_map(|(index, _)| captures.get(index + 1)).next()
    }
}

/// Applies rules in order. None if all kept the label set, else the index of the rule that dropped it.
pub fn dropped_by(rules: &[RelabelRule], labels: &mut LabelsBuilder) -> Option<usize> {
    rules.iter().position(|rule| !rule.apply(labels))
}

fn validate(config: &RelabelConfig, action: Action, name: &str) -> Result<(), String> {
    use Action::*;
    let RelabelConfig { source_labels, separator, regex, modulus, target_label, replacement, .. } = config;
    if action == HashMod && *modulus == 0 {
        return Err("`hashmod` needs a `modulus` that is not 0".to_owned());
    }
    if matches!(action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual) && target_label.is_empty() {
        return Err(format!("`{name}` needs a `target_label`"));
    }
    if matches!(action, Lowercase | Uppercase) && replacement.is_some() {
        return Err(format!("`{name}` takes no `replacement`"));
    }
    if matches!(action, KeepEqual | DropEqual)
        && (separator.is_some() || regex.is_some() || *modulus != 0 || replacement.is_some())
    {
        return Err(format!("`{name}` takes only `source_labels` and `target_label`"));
    }
    let only_regex = source_labels.is_empty()
        && separator.is_none()
        && *modulus == 0
        && target_label.is_empty()
        && replacement.is_none();
    if matches!(action, LabelDrop | LabelKeep) && !only_regex {
        return Err(format!("`{name}` takes only `regex`"));
    }
    Ok(())
}

/// Unicode's simple mapping, one character for one, as Go's `ToLower` has it.
fn simple_lowercase(c: char) -> char {
    let mut mapped = c.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(lower), None) => lower,
        // U+0130 is the one character with a simple mapping that differs from the full one.
        _ if c == '\u{130}' => 'i',
        _ => c,
    }
}

/// Unicode's simple mapping, one character for one, as Go's `ToUpper` has it.
fn simple_uppercase(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(upper), None) => upper,
        _ => match c {
            // Greek with iota subscript: the full mapping writes the iota out, the simple one is the titlecase letter.
            '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
                char::from_u32(u32::from(c) + 8).unwrap_or(c)
            }
            '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => char::from_u32(u32::from(c) + 9).unwrap_or(c),
            _ => c,
        },
    }
}
