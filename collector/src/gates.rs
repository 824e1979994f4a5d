//! Upstream's feature gates (collector-compat §1.9): `--feature-gates a,-b,+c`, and `sluice featuregate`.
//!
//! Gates that upstream has and that change nothing here are accepted with a warning, as unknown ones are: charts and manifests carry
//! them, for all kinds of versions.

use sluice_pipeline::gates::{self, FeatureGates};

/// How far a gate is upstream: alpha is off by default; stable cannot be disabled any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Alpha,
    Stable,
}

/// What a gate does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// What it does upstream.
    Same,
    /// Always on: it cannot be disabled.
    Always,
    /// Nothing.
    None,
}

#[derive(Debug)]
struct Gate {
    id: &'static str,
    stage: Stage,
    effect: Effect,
    about: &'static str,
}

const fn gate(id: &'static str, stage: Stage, effect: Effect, about: &'static str) -> Gate {
    Gate { id, stage, effect, about }
}

/// Every gate that is known, by its id.
const GATES: [Gate; 9] = [
    gate("pdata.useProtoPooling", Stage::Alpha, Effect::None, "Reuse decoded messages; nothing is decoded here."),
    gate("pkg.exporterhelper.queueBatchEnabled", Stage::Stable, Effect::Always, "Batches are made behind the queue."),
    gate(
        gates::PLAIN_INVERSION,
        Stage::Alpha,
        Effect::Same,
        "`invert_match` of a sampling policy makes plain decisions: sampled or not sampled.",
    ),
    gate(
        "processor.tailsamplingprocessor.metricstatcountspanssampled",
        Stage::Alpha,
        Effect::Always,
        "Count spans by what each sampling policy said of their trace.",
    ),
    gate(
        gates::RECORD_POLICY,
        Stage::Alpha,
        Effect::Same,
        "Write the sampling policy that kept a trace into the attributes of its scopes.",
    ),
    gate(
        "processor.tailsamplingprocessor.tailstorageextension",
        Stage::Alpha,
        Effect::None,
        "Hold traces in an extension; the journal does that here.",
    ),
    gate(
        "processor.tailsamplingprocessor.usetracestate",
        Stage::Alpha,
        Effect::Always,
        "Sample by the randomness in the trace state, and write the threshold there.",
    ),
    gate("service.partialReload", Stage::Alpha, Effect::Always, "Reload only what has changed."),
    gate("service.partialReloadReceivers", Stage::Alpha, Effect::Always, "Reload only receivers that have changed."),
];

/// What the arguments switch on, and what is to be warned of.
#[derive(Debug, Default)]
pub struct Parsed {
    pub gates: FeatureGates,
    pub warnings: Vec<String>,
}

/// Reads the values of `--feature-gates`, each a list of gates behind `+`, `-` or nothing; of one that comes twice the last counts.
///
/// # Errors
/// As upstream: an empty identifier, and a stable gate that is to be disabled.
pub fn parse(values: &[String]) -> Result<Parsed, String> {
    let (mut enabled, mut warnings) = (Vec::new(), Vec::new());
    for value in values.iter().filter(|value| !value.is_empty()) {
        for (index, written) in value.split(',').enumerate() {
            let written = written.trim();
            let (id, on) = match written.strip_prefix('-') {
                Some(id) => (id, false),
                None => (written.strip_prefix('+').unwrap_or(written), true),
            };
            if id.is_empty() {
                return Err(format!("empty feature gate identifier at index {index}"));
            }
            let Some(gate) = GATES.iter().find(|gate| gate.id == id) else {
                warnings.push(format!("feature gate {id:?} is not known and has no effect"));
                continue;
            };
            enabled.retain(|known| *known != gate.id);
            match (gate.effect, on) {
                (Effect::Same, true) => enabled.push(gate.id),
                (Effect::Same, false) | (Effect::Always, true) => {}
                (Effect::Always, false) if gate.stage == Stage::Stable => {
                    return Err(format!("feature gate {id:?} is stable, can not be disabled"));
                }
                (Effect::Always, false) => warnings.push(format!("feature gate {id:?} is always on here")),
                (Effect::None, _) => warnings.push(format!("feature gate {id:?} has no effect here")),
            }
        }
    }
    Ok(Parsed { gates: FeatureGates::new(enabled), warnings })
}

/// `sluice featuregate`: all gates as a table, or one by its id. `None` if there is none of that id.
pub fn describe(id: Option<&str>) -> Option<String> {
    let shown: Vec<&Gate> = GATES.iter().filter(|gate| id.is_none_or(|id| id == gate.id)).collect();
    if shown.is_empty() {
        return None;
    }
    let width = shown.iter().map(|gate| gate.id.len()).max().unwrap_or(0);
    let mut table = format!("{:width$}  Enabled  Stage   Description\n", "ID");
    for Gate { id, stage, effect, about } in shown {
        let stage = match stage {
            Stage::Alpha => "Alpha",
            Stage::Stable => "Stable",
        };
        let on = *effect == Effect::Always;
        let remark = match effect {
            Effect::Same => "",
            Effect::Always => " (always on here)",
            Effect::None => " (no effect here)",
        };
        table.push_str(&format!("{id:width$}  {on:<7}  {stage:<6}  {about}{remark}\n"));
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Result<Parsed, String> {
        parse(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn gates_are_switched_and_the_last_word_counts() {
        let record = gates::RECORD_POLICY;
        let parsed = of(&[&format!("{record},+{}", gates::PLAIN_INVERSION)]).unwrap();
        assert!(parsed.gates.is_enabled(record) && parsed.gates.is_enabled(gates::PLAIN_INVERSION));
        assert!(parsed.warnings.is_empty());
        let parsed = of(&[record, &format!("-{record}")]).unwrap();
        assert!(!parsed.gates.is_enabled(record));
        assert!(!of(&[""]).unwrap().gates.is_enabled(record));
    }

    #[test]
    fn what_changes_nothing_is_accepted_with_a_warning_and_nonsense_is_refused() {
        let parsed =
            of(&["some.new.gate,-pdata.useProtoPooling", "-processor.tailsamplingprocessor.usetracestate"]).unwrap();
        assert_eq!(parsed.warnings.len(), 3, "{:?}", parsed.warnings);
        assert_eq!(of(&["a,,b"]).unwrap_err(), "empty feature gate identifier at index 1");
        assert_eq!(of(&["-"]).unwrap_err(), "empty feature gate identifier at index 0");
        let stable = "pkg.exporterhelper.queueBatchEnabled";
        assert_eq!(
            of(&[&format!("-{stable}")]).unwrap_err(),
            format!("feature gate {stable:?} is stable, can not be disabled")
        );
    }

    #[test]
    fn gates_are_listed_in_order_and_alone() {
        assert!(GATES.is_sorted_by_key(|gate| gate.id));
        let all = describe(None).unwrap();
        assert_eq!(all.lines().count(), GATES.len() + 1);
        let one = describe(Some(gates::RECORD_POLICY)).unwrap();
        assert!(one.lines().count() == 2 && one.contains("false    Alpha "), "{one}");
        assert_eq!(describe(Some("nobody.knows")), None);
    }
}
