//! `filter`: random conditions in the styles of its config, and what they drop, written plainly.

use opentelemetry_proto::tonic::metrics::v1::Metric;
use serde_json::{Value as Json, json};
use sluice_pdata::Signal;
use sluice_pdata::testing::{Meaning, Rng};

use super::condition::Condition;
use super::operand::{Level, Record};
use super::tree::{Refused, nodes, retain};
use super::walk::{Around, Item, Plain};

/// Conditions of which one must hold.
#[derive(Debug)]
struct Group {
    level: Level,
    conditions: Vec<Condition>,
    propagates: bool,
}

/// `filter`.
#[derive(Debug)]
pub struct Filter {
    config: Json,
    /// In the order in which they run.
    groups: Vec<Group>,
}

const STYLES: [(Signal, &str, &[Level]); 3] = [
    (Signal::Traces, "trace", &[Level::Resource, Level::Scope, Level::Span, Level::Span, Level::Event]),
    (Signal::Metrics, "metric", &[Level::Resource, Level::Scope, Level::Metric, Level::Point, Level::Point]),
    (Signal::Logs, "log", &[Level::Resource, Level::Scope, Level::Log, Level::Log]),
];

fn conditions(rng: &mut Rng, level: Level) -> Vec<Condition> {
    (0..=rng.below(2)).map(|_| Condition::random(rng, level)).collect()
}

impl Filter {
    /// Conditions for one signal. `refuses`: errors may refuse the request.
    pub fn random(rng: &mut Rng, signal: Signal, refuses: bool) -> Self {
        let mut config = json!({});
        let default = mode(rng, refuses, &mut config).unwrap_or(false);
        let mut groups = Vec::new();
        let (_, name, levels) = STYLES.into_iter().find(|(known, ..)| *known == signal).unwrap();
        let key = format!("{name}_conditions");
        match rng.below(3) {
            0 => {}
            // A list of conditions; each finds its context by its paths.
            1 => {
                let mut texts = Vec::new();
                for _ in 0..=rng.below(2) {
                    let condition = loop {
                        let level = rng.pick(levels);
                        let condition = Condition::random(rng, level);
                        if !condition.is_particular() {
                            break condition;
                        }
                    };
                    texts.push(condition.text(None));
                    // The innermost of the levels that belong to the signal.
                    let level = condition.levels().into_iter().max().unwrap();
                    groups.push(Group { level, conditions: vec![condition], propagates: default });
                }
                config[&key] = json!(texts);
            }
            // A list of groups that name their context.
            _ => {
                let mut written = Vec::new();
                for _ in 0..=rng.below(2) {
                    let level = rng.pick(levels);
                    let conditions = conditions(rng, level);
                    let bare = rng.chance(50).then_some(level);
                    let texts: Vec<_> = conditions.iter().map(|condition| condition.text(bare)).collect();
                    let mut group = json!({"context": level.name(), "conditions": texts});
                    let propagates = mode(rng, refuses, &mut group).unwrap_or(default);
                    groups.push(Group { level, conditions, propagates });
                    written.push(group);
                }
                config[&key] = json!(written);
            }
        }
        if groups.is_empty() || rng.chance(40) {
            older(rng, signal, default, &mut config, &mut groups);
        }
        Filter { config, groups }
    }

    pub fn config(&self) -> Json {
        self.config.clone()
    }

    fn has(&self, level: Level) -> bool {
        self.groups.iter().any(|group| group.level == level)
    }

    fn holds(&self, level: Level, record: &Record<'_, '_>) -> Result<bool, Refused> {
        for group in self.groups.iter().filter(|group| group.level == level) {
            for condition in &group.conditions {
                match condition.holds(record) {
                    Ok(true) => return Ok(true),
                    Ok(false) => {}
                    Err(_) if group.propagates => return Err(Refused),
                    Err(_) => {}
                }
            }
        }
        Ok(false)
    }
}

/// Chooses an error mode and writes it, or none. Returns whether errors propagate.
fn mode(rng: &mut Rng, refuses: bool, into: &mut Json) -> Option<bool> {
    let name = match rng.below(if refuses { 5 } else { 4 }) {
        0 => "ignore",
        1 => "Silent",
        4 => "propagate",
        _ => return None,
    };
    into["error_mode"] = json!(name);
    Some(name == "propagate")
}

/// The older style: conditions by context.
fn older(rng: &mut Rng, signal: Signal, propagates: bool, config: &mut Json, groups: &mut Vec<Group>) {
    let (section, levels): (_, &[(Level, &str)]) = match signal {
        Signal::Traces => {
            ("traces", &[(Level::Resource, "resource"), (Level::Span, "span"), (Level::Event, "spanevent")])
        }
        Signal::Metrics => {
            ("metrics", &[(Level::Resource, "resource"), (Level::Metric, "metric"), (Level::Point, "datapoint")])
        }
        Signal::Logs => ("logs", &[(Level::Resource, "resource"), (Level::Log, "log_record")]),
    };
    let chosen = rng.below(levels.len());
    for (at, &(level, name)) in levels.iter().enumerate() {
        if at != chosen && !rng.chance(30) {
            continue;
        }
        let conditions = conditions(rng, level);
        let bare = rng.chance(70).then_some(level);
        let texts: Vec<_> = conditions.iter().map(|condition| condition.text(bare)).collect();
        config[section][name] = json!(texts);
        groups.push(Group { level, conditions, propagates });
    }
}

impl Plain for Filter {
    fn resource(&self, around: &Around<'_>, _: &mut super::pairs::Pairs<'_>) -> Result<bool, Refused> {
        Ok(!self.holds(Level::Resource, &Record { around, metric: None, item: None, event: None })?)
    }

    fn scope(&self, around: &Around<'_>) -> Result<bool, Refused> {
        Ok(!self.holds(Level::Scope, &Record { around, metric: None, item: None, event: None })?)
    }

    fn metric(&self, around: &Around<'_>, metric: &Metric) -> Result<bool, Refused> {
        Ok(!self.holds(Level::Metric, &Record { around, metric: Some(metric), item: None, event: None })?)
    }

    fn item(&self, around: &Around<'_>, item: &mut Item<'_>, tree: &mut Meaning) -> Result<bool, Refused> {
        let level = match item {
            Item::Span(_) => Level::Span,
            Item::Log(_) => Level::Log,
            _ => Level::Point,
        };
        if self.holds(level, &Record { around, metric: around.metric, item: Some(item), event: None })? {
            return Ok(false);
        }
        let mut span = match item {
            Item::Span(span) if self.has(Level::Event) => (**span).clone(),
            _ => return Ok(true),
        };
        // The span as it was is what conditions on events see.
        let mut whole = span.clone();
        let whole = Item::Span(&mut whole);
        let mut index = 0;
        retain(&mut span.events, nodes(tree, 11), |event, _| {
            let record = Record { around, metric: None, item: Some(&whole), event: Some((index, event)) };
            index += 1;
            Ok(!self.holds(Level::Event, &record)?)
        })?;
        if let Item::Span(found) = item {
            **found = span;
        }
        Ok(true)
    }
}
