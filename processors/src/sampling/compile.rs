//! From configuration to what decides; what is wrong goes to [`Problems`], with its place.

use sluice_config::Problems;
use sluice_config::suggest::did_you_mean;
use sluice_ottl::pattern::Pattern;
use sluice_ottl::{Compiler as Ottl, Condition, Conditions, Context, ErrorMode, Registry};

use super::aggregate::TraceCondition;
use super::composite::{Composite, SubPolicy};
use super::config::{ActionConfig, CompositeConfig, OttlConditionConfig, PolicyConfig, RuleConfig, WhenConfig};
use super::hash::SaltedHash;
use super::leaf::{LeafSource, ValueMatch};
use super::leaves::MAX_LEAVES;
use super::limiter::Limiter;
use super::node::{Cond, Cost, Node};
use super::observe::{Matcher, Observer};
use super::plan::{Action, Kind, Policy, Rule};
use super::threshold::{ONE, Threshold};

/// Upstream's policy types.
const TYPES: [&str; 17] = [
    "always_sample",
    "latency",
    "numeric_attribute",
    "string_attribute",
    "boolean_attribute",
    "status_code",
    "trace_state",
    "trace_flags",
    "span_count",
    "probabilistic",
    "rate_limiting",
    "bytes_limiting",
    "ottl_condition",
    "and",
    "drop",
    "not",
    "composite",
];

/// What a policy is part of; not every type may be everywhere, as upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Nothing,
    And,
    Drop,
    Not,
    Composite,
}

impl Inside {
    fn allows(self, kind: &str) -> bool {
        match kind {
            "drop" | "composite" => self == Inside::Nothing,
            "and" => matches!(self, Inside::Nothing | Inside::Composite),
            "not" => matches!(self, Inside::Nothing | Inside::And | Inside::Drop),
            _ => true,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Inside::Nothing => "",
            Inside::And => "and",
            Inside::Drop => "drop",
            Inside::Not => "not",
            Inside::Composite => "composite",
        }
    }
}

/// Compiles policies or rules into one observer and their trees.
pub(super) struct Compiler<'p, 'n> {
    pub(super) observer: Observer,
    pub(super) limiters: Vec<Limiter>,
    pub(super) costs: Vec<Cost>,
    pub(super) composites: Vec<Composite>,
    /// Of policies or rules, then of sub-policies of `composite`.
    pub(super) names: Vec<String>,
    problems: &'p mut Problems<'n>,
    registry: Registry,
    owner: u16,
    too_many: bool,
}

impl<'p, 'n> Compiler<'p, 'n> {
    pub(super) fn new(names: Vec<String>, problems: &'p mut Problems<'n>) -> Self {
        Compiler {
            observer: Observer::default(),
            limiters: Vec::new(),
            costs: Vec::new(),
            composites: Vec::new(),
            names,
            problems,
            registry: Registry::filter(),
            owner: 0,
            too_many: false,
        }
    }

    fn error(&mut self, at: &str, name: &str, text: impl AsRef<str>) {
        self.problems.error(&format!("{at}::{name}"), text);
    }

    /// A number that must not be negative.
    fn count(&mut self, at: &str, name: &str, value: i64) -> u64 {
        u64::try_from(value).unwrap_or_else(|_| {
            let field = name.rsplit("::").next().unwrap_or_default();
            self.error(at, name, format!("`{field}` must not be negative"));
            0
        })
    }

    fn leaf(&mut self, at: &str, source: LeafSource, matcher: Matcher) -> Cond {
        let known = self.observer.find(&source);
        let leaf = known.or_else(|| self.observer.add(source, matcher, self.owner));
        if leaf.is_none() && !self.too_many {
            self.too_many = true;
            let text = format!("there are more than {MAX_LEAVES} different conditions over spans and log records");
            self.problems.error(at, text);
        }
        leaf.map_or(Cond::Always, Cond::Leaf)
    }

    pub(super) fn policies(&mut self, policies: &[PolicyConfig], plain_inversion: bool, at: &str) -> Vec<Policy> {
        if policies.is_empty() {
            self.problems.error(at, "at least one policy is needed");
        }
        let mut compiled = Vec::with_capacity(policies.len());
        for (index, policy) in policies.iter().enumerate() {
            let at = format!("{at}::{index}");
            self.owner = u16::try_from(index).unwrap_or(u16::MAX);
            if policy.name.is_empty() {
                self.error(&at, "name", "policy name cannot be empty");
            } else if policies[..index].iter().any(|other| other.name == policy.name) {
                self.error(&at, "name", format!("duplicate policy name {:?}", policy.name));
            }
            let kind = self.kind(policy, plain_inversion, &at);
            compiled.push(Policy { index: self.owner, type_name: type_name(&policy.kind), kind });
        }
        compiled
    }

    fn kind(&mut self, policy: &PolicyConfig, plain_inversion: bool, at: &str) -> Kind {
        match policy.kind.as_str() {
            "drop" => Kind::Drop(self.all(
                &policy.drop.drop_sub_policy,
                Inside::Drop,
                &format!("{at}::drop::drop_sub_policy"),
            )),
            "composite" => {
                let composite = self.composite(&policy.composite, &format!("{at}::composite"));
                self.composites.push(composite);
                Kind::Composite(self.composites.len() - 1)
            }
            _ => {
                let inverted = match policy.kind.as_str() {
                    "numeric_attribute" => policy.numeric_attribute.invert_match,
                    "string_attribute" => policy.string_attribute.invert_match,
                    "boolean_attribute" => policy.boolean_attribute.invert_match,
                    _ => false,
                };
                let node = self.node(policy, Inside::Nothing, at);
                match node {
                    Node::If(condition) if inverted => {
                        let path = format!("{at}::{}::invert_match", policy.kind);
                        let text = "`invert_match` of a policy at the top is deprecated: use `drop` or `not`";
                        self.problems.add("W0516", &path, text);
                        if plain_inversion { Kind::Keep(Node::If(condition)) } else { Kind::Invert(condition) }
                    }
                    node => Kind::Keep(node),
                }
            }
        }
    }

    fn all(&mut self, policies: &[PolicyConfig], inside: Inside, at: &str) -> Node {
        if policies.is_empty() {
            self.problems.error(at, "at least one sub-policy is needed");
        }
        let parts =
            policies.iter().enumerate().map(|(index, policy)| self.node(policy, inside, &format!("{at}::{index}")));
        let mut parts: Vec<Node> = parts.collect();
        if parts.len() == 1 { parts.remove(0) } else { Node::All(parts) }
    }

    fn node(&mut self, policy: &PolicyConfig, inside: Inside, at: &str) -> Node {
        let kind = policy.kind.as_str();
        if TYPES.contains(&kind) && !inside.allows(kind) {
            self.error(at, "type", format!("a policy of type `{kind}` cannot be inside `{}`", inside.name()));
            return Node::If(Cond::Always);
        }
        match kind {
            "and" => self.all(&policy.and.and_sub_policy, Inside::And, &format!("{at}::and::and_sub_policy")),
            "not" => match &policy.not.not_sub_policy {
                Some(sub) => match self.node(sub, Inside::Not, &format!("{at}::not::not_sub_policy")) {
                    Node::If(condition) => Node::If(Cond::Not(Box::new(condition))),
                    node => Node::Not(Box::new(node)),
                },
                None => {
                    self.error(at, "not::not_sub_policy", "`not_sub_policy` is needed");
                    Node::If(Cond::Always)
                }
            },
            "probabilistic" => self.probabilistic(policy, at),
            "rate_limiting" => {
                let config = &policy.rate_limiting;
                let rate = self.count(at, "rate_limiting::spans_per_second", config.spans_per_second);
                let burst = self.count(at, "rate_limiting::burst_capacity", config.burst_capacity);
                self.limiter(rate, burst, Cost::Spans)
            }
            "bytes_limiting" => {
                let config = &policy.bytes_limiting;
                let rate = self.count(at, "bytes_limiting::bytes_per_second", config.bytes_per_second);
                let burst = self.count(at, "bytes_limiting::burst_capacity", config.burst_capacity);
                self.limiter(rate, burst, Cost::Bytes)
            }
            _ => Node::If(self.condition(policy, at)),
        }
    }

    fn limiter(&mut self, rate: u64, burst: u64, cost: Cost) -> Node {
        self.limiters.push(Limiter::new(rate, burst));
        self.costs.push(cost);
        Node::Limit(self.limiters.len() - 1)
    }

    fn probabilistic(&mut self, policy: &PolicyConfig, at: &str) -> Node {
        let config = &policy.probabilistic;
        let percentage = config.sampling_percentage;
        if percentage.is_nan() || percentage < 0.0 {
            self.error(at, "probabilistic::sampling_percentage", "`sampling_percentage` must not be negative");
        }
        if !config.hash_salt.is_empty() {
            return Node::Hash(SaltedHash::new(&config.hash_salt, percentage));
        }
        Node::Probability(Threshold::from_probability(percentage / 100.0).map_or(ONE, Threshold::get))
    }

    fn condition(&mut self, policy: &PolicyConfig, at: &str) -> Cond {
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
                if let Some(hint) = did_you_mean(unknown, TYPES) {
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
    fn spans(&mut self, span: &[String], event: &[String], mode: ErrorMode, at: &str) -> Cond {
        let of_span = self.conditions(Context::Span, span, &format!("{at}::span"));
        let of_event = self.conditions(Context::SpanEvent, event, &format!("{at}::spanevent"));
        let any = |conditions: Vec<Condition>| (!conditions.is_empty()).then(|| Conditions::any(conditions, mode));
        let matcher = Matcher::Spans { span: any(of_span), event: any(of_event) };
        let source = LeafSource::Spans { span: span.to_vec(), event: event.to_vec(), mode: format!("{mode:?}") };
        self.leaf(at, source, matcher)
    }

    fn conditions(&mut self, context: Context, texts: &[String], at: &str) -> Vec<Condition> {
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

    fn within(&mut self, path: &str, place: Option<(usize, usize)>, text: &str) {
        match place {
            Some((start, len)) => self.problems.error_within("E0301", path, start, len, text),
            None => self.problems.add("E0301", path, text),
        };
    }

    fn composite(&mut self, config: &CompositeConfig, at: &str) -> Composite {
        let max = self.count(at, "max_total_spans_per_second", config.max_total_spans_per_second);
        let list = format!("{at}::composite_sub_policy");
        if config.composite_sub_policy.is_empty() {
            self.problems.error(&list, "at least one sub-policy is needed");
        }
        let known = |name: &str| config.composite_sub_policy.iter().any(|sub| sub.name == name);
        for (index, name) in config.policy_order.iter().enumerate().filter(|(_, name)| !known(name)) {
            let path = format!("{at}::policy_order::{index}");
            self.problems.add("W0517", &path, &format!("there is no sub-policy {name:?}"));
        }
        for (index, share) in config.rate_allocation.iter().enumerate().filter(|(_, share)| !known(&share.policy)) {
            let path = format!("{at}::rate_allocation::{index}::policy");
            self.problems.add("W0517", &path, &format!("there is no sub-policy {:?}", share.policy));
        }
        let equal = max as f64 / config.composite_sub_policy.len().max(1) as f64;
        let mut subs = Vec::with_capacity(config.composite_sub_policy.len());
        for (index, sub) in config.composite_sub_policy.iter().enumerate() {
            let node = self.node(sub, Inside::Composite, &format!("{list}::{index}"));
            let shares = config.rate_allocation.iter().rev();
            let share = shares.filter(|share| share.policy == sub.name).map(|share| share.percent).next();
            let allocated = match share.filter(|percent| *percent > 0) {
                Some(percent) => percent as f64 / 100.0 * max as f64,
                None => equal,
            };
            let name = u16::try_from(self.names.len()).unwrap_or(u16::MAX);
            self.names.push(sub.name.clone());
            let place = config.policy_order.iter().position(|name| *name == sub.name).unwrap_or(usize::MAX);
            subs.push((place, SubPolicy { node, index: name, allocated: allocated as u64, sampled: 0 }));
        }
        subs.sort_by_key(|(place, _)| *place);
        Composite { max, subs: subs.into_iter().map(|(_, sub)| sub).collect(), second: None }
    }

    pub(super) fn rules(&mut self, rules: &[RuleConfig], at: &str) -> Vec<Rule> {
        if rules.is_empty() {
            self.problems.error(at, "at least one rule is needed");
        }
        let mut compiled: Vec<Rule> = Vec::with_capacity(rules.len());
        let mut catch_all = None;
        for (index, rule) in rules.iter().enumerate() {
            let at = format!("{at}::{index}");
            self.owner = u16::try_from(index).unwrap_or(u16::MAX);
            if rule.name.is_empty() {
                self.error(&at, "name", "a rule needs a name");
            } else if rules[..index].iter().any(|other| other.name == rule.name) {
                self.error(&at, "name", format!("duplicate rule name {:?}", rule.name));
            }
            if let Some(before) = catch_all {
                let text = format!("this rule is never reached: {before:?} matches every trace");
                self.problems.add("W0517", &at, &text);
            }
            let when = self.when(&rule.when, &format!("{at}::when"));
            if when == Cond::Always {
                catch_all = catch_all.or(Some(&rule.name));
            }
            let action = self.action(rule, &at);
            compiled.push(Rule { when, action });
        }
        if catch_all.is_none() && !rules.is_empty() {
            let text = "no rule matches every trace: those that no rule matches are dropped";
            self.problems.add("W0517", at, text).help = Some("end with a rule without `when`".to_owned());
        }
        compiled
    }

    fn action(&mut self, rule: &RuleConfig, at: &str) -> Action {
        let Some(node) = &rule.action else {
            self.error(at, "action", "a rule needs an `action`");
            return Action::Drop;
        };
        match ActionConfig::read(node) {
            Ok(ActionConfig::Keep) => Action::Keep,
            Ok(ActionConfig::Drop) => Action::Drop,
            Ok(ActionConfig::Probability(p)) => {
                if !(0.0..=1.0).contains(&p) {
                    self.error(at, "action::probability", "`probability` must be between 0 and 1");
                }
                Action::Probability(Threshold::from_probability(p).map_or(ONE, Threshold::get))
            }
            Ok(ActionConfig::Rate(rate)) => {
                let per_second = self.count(at, "action::rate::spans_per_second", rate.spans_per_second);
                let burst = self.count(at, "action::rate::burst_capacity", rate.burst_capacity);
                if rate.spans_per_second == 0 {
                    self.error(at, "action::rate::spans_per_second", "`spans_per_second` must be positive");
                }
                self.limiter(per_second, burst, Cost::Spans);
                Action::Rate(self.limiters.len() - 1)
            }
            Err((path, text)) => {
                let path = if path.is_empty() { "action".to_owned() } else { format!("action::{path}") };
                self.error(at, &path, text);
                Action::Drop
            }
        }
    }

    fn when(&mut self, when: &WhenConfig, at: &str) -> Cond {
        let mut parts = Vec::new();
        if !when.span.is_empty() {
            parts.push(self.spans(&when.span, &[], ErrorMode::Ignore, at));
        }
        if !when.spanevent.is_empty() {
            parts.push(self.spans(&[], &when.spanevent, ErrorMode::Ignore, at));
        }
        if !when.log.is_empty() {
            let conditions = self.conditions(Context::Log, &when.log, &format!("{at}::log"));
            let matcher = Matcher::Logs(Conditions::any(conditions, ErrorMode::Ignore));
            parts.push(self.leaf(at, LeafSource::Logs(when.log.clone()), matcher));
        }
        if !when.trace.is_empty() {
            let mut any = Vec::with_capacity(when.trace.len());
            for (index, text) in when.trace.iter().enumerate() {
                match TraceCondition::parse(text) {
                    Ok(condition) => any.push(Cond::Trace(condition)),
                    Err(invalid) => self.within(&format!("{at}::trace::{index}"), invalid.at, &invalid.text),
                }
            }
            parts.push(if any.len() == 1 { any.remove(0) } else { Cond::Any(any) });
        }
        match parts.len() {
            0 => Cond::Always,
            1 => parts.remove(0),
            _ => Cond::All(parts),
        }
    }
}

/// The type as a name that lives as long as the program.
fn type_name(kind: &str) -> &'static str {
    TYPES.into_iter().find(|known| *known == kind).unwrap_or("")
}

fn inverted(leaf: Cond, inverted: bool) -> Cond {
    match leaf {
        Cond::Leaf(leaf) if inverted => Cond::Inverted(leaf),
        leaf => leaf,
    }
}
