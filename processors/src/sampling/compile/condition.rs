//! Conditions over what is known of a trace, and the leaves they look at.

use sluice_config::suggest::did_you_mean;
use sluice_ottl::pattern::Pattern;
use sluice_ottl::{Compiler as Ottl, Condition, Conditions, Context, ErrorMode};

use super::Compiler;
use crate::sampling::config::{OttlConditionConfig, PolicyConfig, PolicyType};
use crate::sampling::leaf::{LeafSource, ValueMatch};
use crate::sampling::node::Cond;
use crate::sampling::observe::Matcher;

impl Compiler<'_, '_> {
    pub(super) fn condition(&mut self, policy: &PolicyConfig, at: &str) -> Cond {
        match policy.kind.as_str() {
            "always_sample" => Cond::Always,
            "latency" => {
                let config = &policy.latency;
                Cond::Latency(
                    config.threshold_ms,
                    (config.upper_threshold_ms != 0).then_some(config.upper_threshold_ms),
                )
            }
            "span_count" => {
                let (min, max) = (i64::from(policy.span_count.min_spans), i64::from(policy.span_count.max_spans));
                Cond::SpanCount(min, (max != 0).then_some(max))
            }
            "numeric_attribute" => {
                let config = &policy.numeric_attribute;
                if config.min_value == 0 && config.max_value == 0 {
                    self.error(at, "numeric_attribute", "at least one of `min_value` and `max_value` must be set");
                }
                let min = if config.min_value == 0 { i64::MIN } else { config.min_value };
                let max = if config.max_value == 0 { i64::MAX } else { config.max_value };
                let source = LeafSource::Number { key: config.key.clone(), min, max };
                let leaf = self.leaf(at, source, Matcher::Value(ValueMatch::Range(min, max)));
                inverted(leaf, config.invert_match)
            }
            "boolean_attribute" => {
                let config = &policy.boolean_attribute;
                let source = LeafSource::Flag { key: config.key.clone(), value: config.value };
                let leaf = self.leaf(at, source, Matcher::Value(ValueMatch::Flag(config.value)));
                inverted(leaf, config.invert_match)
            }
            "string_attribute" => self.text(policy, at),
            "status_code" => self.status(policy, at),
            "trace_state" => {
                let config = &policy.trace_state;
                // A member of more than 256 characters cannot be.
                let fits = |value: &&String| !value.is_empty() && config.key.len() + value.len() < 256;
                let values: Vec<String> = config.values.iter().filter(fits).cloned().collect();
                let matcher = Matcher::TraceState {
                    key: config.key.as_bytes().into(),
                    values: values.iter().map(|value| value.as_bytes().into()).collect(),
                };
                self.leaf(at, LeafSource::TraceState { key: config.key.clone(), values }, matcher)
            }
            "trace_flags" => self.leaf(at, LeafSource::Sampled, Matcher::Sampled),
            "ottl_condition" => self.ottl(&policy.ottl_condition, &format!("{at}::ottl_condition")),
            "" => {
                self.error(at, "type", "a policy needs a `type`");
                Cond::Always
            }
            unknown => {
                let mut text = format!("unknown sampling policy type {unknown:?}");
                if let Some(hint) = did_you_mean(unknown, PolicyType::WORDS.iter().copied()) {
                    text = format!("{text}: {hint}");
                }
                self.error(at, "type", text);
                Cond::Always
            }
        }
    }

    fn text(&mut self, policy: &PolicyConfig, at: &str) -> Cond {
        let config = &policy.string_attribute;
        let matched = if config.enabled_regex_matching {
            let mut patterns = Vec::with_capacity(config.values.len());
            for (index, value) in config.values.iter().enumerate() {
                match Pattern::new(value) {
                    Ok(pattern) => patterns.push(pattern),
                    Err(error) => {
                        self.error(
                            at,
                            &format!("string_attribute::values::{index}"),
                            format!("invalid regex `{value}`: {error}"),
                        );
                    }
                }
            }
            ValueMatch::Patterns(patterns)
        } else {
            let values = config.values.iter().filter(|value| !value.is_empty());
            let mut values: Vec<Box<[u8]>> = values.map(|value| value.as_bytes().into()).collect();
            values.sort();
            values.dedup();
            ValueMatch::OneOf(values)
        };
        let source = LeafSource::Text {
            key: config.key.clone(),
            values: config.values.clone(),
            patterns: config.enabled_regex_matching,
        };
        let leaf = self.leaf(at, source, Matcher::Value(matched));
        inverted(leaf, config.invert_match)
    }

    fn status(&mut self, policy: &PolicyConfig, at: &str) -> Cond {
        let config = &policy.status_code;
        if config.status_codes.is_empty() {
            self.error(at, "status_code::status_codes", "expected at least one status code to filter on");
        }
        let mut codes = 0;
        for (index, code) in config.status_codes.iter().enumerate() {
            match code.as_str() {
                "UNSET" => codes |= 1,
                "OK" => codes |= 2,
                "ERROR" => codes |= 4,
                other => {
                    let text = format!("unknown status code {other:?}, supported: OK, ERROR, UNSET");
                    self.error(at, &format!("status_code::status_codes::{index}"), text);
                }
            }
        }
        self.leaf(at, LeafSource::Status(codes), Matcher::Status(codes))
    }

    fn ottl(&mut self, config: &OttlConditionConfig, at: &str) -> Cond {
        if config.span.is_empty() && config.spanevent.is_empty() {
            self.problems.error(at, "expected at least one OTTL condition to filter on");
        }
        let mode = match config.error_mode.as_str() {
            "" => ErrorMode::Ignore,
            mode => mode.parse().unwrap_or_else(|text: String| {
                self.error(at, "error_mode", text);
                ErrorMode::Ignore
            }),
        };
        self.spans(&config.span, &config.spanevent, mode, at)
    }

    /// A leaf over spans and their events.
    pub(super) fn spans(&mut self, span: &[String], event: &[String], mode: ErrorMode, at: &str) -> Cond {
        let of_span = self.conditions(Context::Span, span, &format!("{at}::span"));
        let of_event = self.conditions(Context::SpanEvent, event, &format!("{at}::spanevent"));
        let any = |conditions: Vec<Condition>| (!conditions.is_empty()).then(|| Conditions::any(conditions, mode));
        let matcher = Matcher::Spans { span: any(of_span), event: any(of_event) };
        let source = LeafSource::Spans { span: span.to_vec(), event: event.to_vec(), mode: format!("{mode:?}") };
        self.leaf(at, source, matcher)
    }

    pub(super) fn conditions(&mut self, context: Context, texts: &[String], at: &str) -> Vec<Condition> {
        let mut ottl = Ottl::new(context, &self.registry).allow_unprefixed();
        let results: Vec<_> = texts.iter().map(|text| ottl.condition(text)).collect();
        let mut conditions = Vec::with_capacity(results.len());
        for (index, result) in results.into_iter().enumerate() {
            match result {
                Ok(condition) => conditions.push(condition),
                Err(error) => {
                    let place = error.span().map(|span| (span.start, span.end.saturating_sub(span.start).max(1)));
                    self.within(&format!("{at}::{index}"), place, &error.to_string());
                }
            }
        }
        conditions
    }

    pub(super) fn within(&mut self, path: &str, place: Option<(usize, usize)>, text: &str) {
        match place {
            Some((start, len)) => self.problems.error_within("E0301", path, start, len, text),
            None => self.problems.add("E0301", path, text),
        };
    }
}

fn inverted(leaf: Cond, inverted: bool) -> Cond {
    match leaf {
        Cond::Leaf(leaf) if inverted => Cond::Inverted(leaf),
        leaf => leaf,
    }
}
