//! What each policy needs and keeps, without a recording.

use serde::Serialize;

use super::part::{Part, kind, parts};
use crate::sampling::decision::RuleIndex;
use crate::sampling::sampler::Sampler;
use crate::sampling::threshold::{ONE, Threshold};

/// A line of the table of policies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicySummary {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// What it looks at.
    pub needs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<String>,
    /// The share of the traces that match it which it keeps; absent where it depends on the load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keeps: Option<f64>,
    /// Spans or bytes per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

impl Sampler {
    /// The table of its policies or rules, in the order of the configuration.
    pub fn summaries(&self) -> Vec<PolicySummary> {
        (0..self.rule_count()).map(|rule| self.summary(RuleIndex(rule as u16))).collect()
    }

    fn summary(&self, rule: RuleIndex) -> PolicySummary {
        let parts = parts(self, rule);
        let (mut needs, mut limits) = (Vec::new(), Vec::new());
        let mut t = Some(0_u64);
        for part in &parts {
            part.needs(self, &mut needs);
            match part {
                Part::Probability(own) => t = t.map(|t| t.max(*own)),
                Part::Limit(limiter) => {
                    if let (Some(limiter), Some(cost)) = (self.limiters.get(*limiter), self.costs.get(*limiter)) {
                        limits.push(format!("{} {}/s, burst {}", limiter.rate(), cost.unit(), limiter.burst()));
                    }
                    t = None;
                }
                Part::Inverse | Part::Hash | Part::Shares(_) => t = None,
                Part::Condition(_) => {}
            }
        }
        for part in &parts {
            if let Part::Shares(composite) = part
                && let Some(composite) = self.composites.get(*composite)
            {
                for sub in &composite.subs {
                    limits.push(format!("{}: {} spans/s", self.rule_name(RuleIndex(sub.index)), sub.allocated));
                }
            }
        }
        let drops = self.drops(rule);
        let keeps = t.map(|t| {
            let share = (ONE - t.min(ONE)) as f64 / ONE as f64;
            if drops { 1.0 - share } else { share }
        });
        PolicySummary {
            name: self.rule_name(rule).to_owned(),
            kind: kind(self, rule),
            needs,
            threshold: t.filter(|_| !drops).and_then(Threshold::new).map(|t| t.encode().as_str().to_owned()),
            keeps,
            limit: (!limits.is_empty()).then(|| limits.join(", ")),
        }
    }
}
