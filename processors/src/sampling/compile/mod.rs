//! From configuration to what decides; what is wrong goes to [`Problems`], with its place.

mod condition;
mod rules;

use sluice_config::Problems;
use sluice_ottl::Registry;

use crate::sampling::composite::{Composite, SubPolicy};
use crate::sampling::config::{CompositeConfig, PolicyConfig, PolicyType};
use crate::sampling::hash::SaltedHash;
use crate::sampling::leaf::LeafSource;
use crate::sampling::leaves::MAX_LEAVES;
use crate::sampling::limiter::Limiter;
use crate::sampling::node::{Cond, Cost, Node};
use crate::sampling::observe::{Matcher, Observer};
use crate::sampling::plan::{Kind, Policy};
use crate::sampling::threshold::{ONE, Threshold};

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
pub(in crate::sampling) struct Compiler<'p, 'n> {
    pub(in crate::sampling) observer: Observer,
    pub(in crate::sampling) limiters: Vec<Limiter>,
    pub(in crate::sampling) costs: Vec<Cost>,
    pub(in crate::sampling) composites: Vec<Composite>,
    /// Of policies or rules, then of sub-policies of `composite`.
    pub(in crate::sampling) names: Vec<String>,
    problems: &'p mut Problems<'n>,
    registry: Registry,
    owner: u16,
    too_many: bool,
}

impl<'p, 'n> Compiler<'p, 'n> {
    pub(in crate::sampling) fn new(names: Vec<String>, problems: &'p mut Problems<'n>) -> Self {
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

    pub(in crate::sampling) fn policies(
        &mut self,
        policies: &[PolicyConfig],
        plain_inversion: bool,
        at: &str,
    ) -> Vec<Policy> {
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
                        let path = format!("{at}::{}::invert_match", policy.kind.as_str());
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
        if PolicyType::WORDS.contains(&kind) && !inside.allows(kind) {
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
}

/// The type as a name that lives as long as the program.
fn type_name(kind: &str) -> &'static str {
    PolicyType::WORDS.iter().copied().find(|known| *known == kind).unwrap_or("")
}
