//! Targets: who is expected to push.
//!
//! They are built exactly as for scraping (Prometheus: discovered labels, defaults, `relabel_configs`, then no label
//! that begins with `__`), so that the series written for them carry the labels that a scrape would have given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::config::JobConfig;
use super::discovery::TargetGroup;
use super::duration::{format_duration, parse_duration};
use super::error::Error;
use super::labels::{Labels, LabelsBuilder};
use super::relabel::{RelabelRule, dropped_by};

/// One expected sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The labels of its series.
    pub labels: Labels,
    /// All labels after relabelling, `__*` included: what the match ladder reads.
    pub relabelled: Labels,
    /// The labels as discovered, before relabelling.
    pub discovered: Labels,
    /// G, from `__scrape_interval__`.
    pub grid: Duration,
    /// I, from the label `__push_interval__`, if it has one.
    pub push_interval: Option<Duration>,
}

/// A discovered target that relabelling dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedTarget {
    /// The labels as discovered.
    pub discovered: Labels,
    /// Index of the rule that dropped it.
    pub rule: usize,
}

/// What a job makes of the groups that its mechanisms found.
#[derive(Clone, Debug, Default)]
pub struct TargetSet {
    /// Targets with different label sets.
    pub targets: Vec<Arc<Target>>,
    /// Dropped by relabelling.
    pub dropped: Vec<DroppedTarget>,
    /// Targets that cannot be: labels as discovered, and why.
    pub invalid: Vec<(Labels, String)>,
    /// How many were left out because an earlier one has the same label set.
    pub duplicates: usize,
}

/// Turns the groups of a job into its targets.
#[derive(Clone, Debug)]
pub struct TargetBuilder {
    job_name: String,
    scrape_interval: Duration,
    rules: Vec<RelabelRule>,
}

impl TargetBuilder {
    /// Compiles the relabelling of a job.
    pub fn new(job: &JobConfig) -> Result<Self, Error> {
        Ok(TargetBuilder {
            job_name: job.job_name.clone(),
            scrape_interval: job.scrape_interval,
            rules: job.relabel_rules()?,
        })
    }

    /// The targets of these groups.
    pub fn build<'a>(&self, groups: impl IntoIterator<Item = &'a TargetGroup>) -> TargetSet {
        let mut set = TargetSet::default();
        let mut by_labels = BTreeMap::new();
        for group in groups {
            for own in &group.targets {
                let discovered = self.discovered(group, own);
                let mut labels = discovered.clone();
                if let Some(rule) = dropped_by(&self.rules, &mut labels) {
                    set.dropped.push(DroppedTarget { discovered: discovered.build(), rule });
                    continue;
                }
                match self.target(&discovered, labels) {
                    // Two targets with one label set would write one series twice: the first wins.
                    Ok(target) => match by_labels.entry(target.labels.clone()) {
                        std::collections::btree_map::Entry::Occupied(_) => set.duplicates += 1,
                        std::collections::btree_map::Entry::Vacant(vacant) => {
                            vacant.insert(());
                            set.targets.push(Arc::new(target));
                        }
                    },
                    Err(problem) => set.invalid.push((discovered.build(), problem)),
                }
            }
        }
        set
    }

    /// Group labels under target labels, and the labels that a scrape would default.
    fn discovered(&self, group: &TargetGroup, own: &BTreeMap<String, String>) -> LabelsBuilder {
        let mut labels = LabelsBuilder::default();
        for (name, value) in group.labels.iter().chain(own) {
            labels.set(name.as_str(), value.as_str());
        }
        let timeout = self.scrape_interval.min(Duration::from_secs(10));
        labels.set_default("job", self.job_name.as_str());
        labels.set_default("__scrape_interval__", format_duration(self.scrape_interval));
        labels.set_default("__scrape_timeout__", format_duration(timeout));
        labels.set_default("__metrics_path__", "/metrics");
        labels.set_default("__scheme__", "http");
        labels
    }

    fn target(&self, discovered: &LabelsBuilder, mut labels: LabelsBuilder) -> Result<Target, String> {
        let address = labels.get("__address__").to_owned();
        if address.is_empty() {
            return Err("it has no address".to_owned());
        }
        if address.contains('/') {
            return Err(format!("`{address}` is no valid address: it holds a `/`"));
        }
        let interval = labels.get("__scrape_interval__");
        let grid = parse_duration(interval)
            .filter(|grid| grid.as_millis() > 0 && *grid < Duration::from_secs(300))
            .ok_or_else(|| {
                format!("`__scrape_interval__` is `{interval}`; it must be a duration above 0 and below 5m")
            })?;
        let push_interval = match labels.get("__push_interval__") {
            "" => None,
            text => Some(
                parse_duration(text)
                    .filter(|interval| !interval.is_zero())
                    .ok_or_else(|| format!("`__push_interval__` is `{text}`; it must be a duration above 0"))?,
            ),
        };
        labels.set_default("instance", address);
        let relabelled = labels.build();
        labels.retain(|name| !name.starts_with("__"));
        Ok(Target { labels: labels.build(), relabelled, discovered: discovered.build(), grid, push_interval })
    }
}
