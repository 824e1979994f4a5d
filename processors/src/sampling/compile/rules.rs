//! Rules of `correlate`.

use sluice_ottl::{Conditions, Context, ErrorMode};

use super::Compiler;
use crate::sampling::aggregate::TraceCondition;
use crate::sampling::config::{ActionConfig, RuleConfig, WhenConfig};
use crate::sampling::leaf::LeafSource;
use crate::sampling::node::{Cond, Cost};
use crate::sampling::observe::Matcher;
use crate::sampling::plan::{Action, Rule};
use crate::sampling::threshold::{ONE, Threshold};

impl Compiler<'_, '_> {
    pub(in crate::sampling) fn rules(&mut self, rules: &[RuleConfig], at: &str) -> Vec<Rule> {
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
