//! When a sender is told that its data is safe: the ack mode of a pipeline (delivery §1.1), resolved once at start.

use sluice_config::service::Ack;

use crate::error::Error;
use crate::id::PipelineId;
use crate::telemetry::Telemetry;

/// A resolved mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckMode {
    /// Answered when the request is on disk. Nothing acknowledged is lost.
    Durable,
    /// Answered when the request is in the bounded in-memory log. What is undelivered dies with the process.
    Memory,
    /// The pipeline has only observers: there is nothing to keep.
    Nothing,
}

impl AckMode {
    /// The `mode` label.
    pub const fn name(self) -> &'static str {
        match self {
            AckMode::Durable => "durable",
            AckMode::Memory => "memory",
            AckMode::Nothing => "none",
        }
    }

    /// Tells the operator, in the log and as metrics: once the pipeline runs. `no_journal` is why there is none.
    pub fn announce(self, ack: Ack, no_journal: Option<&str>, pipeline: &PipelineId, telemetry: &Telemetry) {
        match (self, ack) {
            (AckMode::Memory, _) => {
                let cause = match ack {
                    Ack::Memory => "`ack: memory` is configured",
                    _ => no_journal.unwrap_or("there is no journal"),
                };
                tracing::warn!(
                    pipeline = pipeline.as_str(),
                    cause,
                    "acknowledged data is kept in memory only: what is undelivered is lost when the process ends"
                );
            }
            (AckMode::Durable, Ack::Memory) => tracing::info!(
                pipeline = pipeline.as_str(),
                "`ack: memory` is configured; other pipelines use the journal, and this one does, too"
            ),
            _ => {}
        }
        let lossy = if self == AckMode::Memory { 1 } else { 0 };
        telemetry.gauge(MODE, &[("pipeline", pipeline.as_str()), ("mode", self.name())]).set(1);
        telemetry.gauge(LOSSY, &[("pipeline", pipeline.as_str())]).set(lossy);
    }

    /// Takes the metrics back: the pipeline is gone, or has another mode.
    pub fn withdraw(self, pipeline: &PipelineId, telemetry: &Telemetry) {
        telemetry.forget(MODE, &[("pipeline", pipeline.as_str()), ("mode", self.name())]);
        telemetry.forget(LOSSY, &[("pipeline", pipeline.as_str())]);
    }
}

const MODE: &str = "sluice_delivery_mode";
const LOSSY: &str = "sluice_lossy_mode";

/// Resolves the mode of one pipeline. `no_journal` is why there is no journal; `None` if there is one, which then keeps the
/// data of every pipeline: there is one log for all.
///
/// # Errors
/// A configuration error, at `service::delivery::ack` or `service::delivery::strict`: what asks for more than there is.
pub fn resolve(
    ack: Ack,
    strict: bool,
    only_observers: bool,
    no_journal: Option<&str>,
    pipeline: &PipelineId,
) -> Result<AckMode, Error> {
    let refuse = |path: &str, text: String| Err(Error::Config { path: path.to_owned(), text });
    let mode = match (ack, no_journal) {
        (Ack::Exported, _) => {
            let text =
                format!("pipeline {pipeline}: ack mode `exported` is not available yet: use `durable` or `memory`");
            return refuse("service::delivery::ack", text);
        }
        _ if only_observers => AckMode::Nothing,
        (_, None) => AckMode::Durable,
        (Ack::Durable, Some(cause)) => {
            return refuse("service::delivery::ack", format!("pipeline {pipeline}: `ack: durable`: {cause}"));
        }
        (Ack::Auto | Ack::Memory, Some(_)) => AckMode::Memory,
    };
    if strict && (mode == AckMode::Memory || (ack == Ack::Memory && mode != AckMode::Nothing)) {
        let cause = no_journal.filter(|_| ack == Ack::Auto).map(|cause| format!(": {cause}")).unwrap_or_default();
        let text =
            format!("pipeline {pipeline}: ack mode resolves to `memory`, and `strict` asks for `durable`{cause}");
        return refuse("service::delivery::strict", text);
    }
    Ok(mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signal;
    use crate::telemetry::Naming;

    #[test]
    fn auto_takes_the_journal_if_there_is_one() {
        let pipeline = PipelineId::new(Signal::Traces, "a");
        let cases = [
            (Ack::Auto, false, false, None, Some(AckMode::Durable)),
            (Ack::Auto, true, false, None, Some(AckMode::Durable)),
            (Ack::Durable, false, false, None, Some(AckMode::Durable)),
            // One log for all.
            (Ack::Memory, false, false, None, Some(AckMode::Durable)),
            (Ack::Memory, true, false, None, None),
            (Ack::Auto, false, false, Some("no disk"), Some(AckMode::Memory)),
            (Ack::Memory, false, false, Some("no disk"), Some(AckMode::Memory)),
            (Ack::Auto, true, false, Some("no disk"), None),
            (Ack::Durable, false, false, Some("no disk"), None),
            (Ack::Durable, false, true, Some("no disk"), Some(AckMode::Nothing)),
            (Ack::Auto, true, true, Some("no disk"), Some(AckMode::Nothing)),
            (Ack::Exported, false, false, None, None),
        ];
        for (ack, strict, observers, no_journal, expected) in cases {
            let mode = resolve(ack, strict, observers, no_journal, &pipeline);
            assert_eq!(mode.ok(), expected, "{ack:?}, strict {strict}, observers {observers}, {no_journal:?}");
        }
        let error = resolve(Ack::Durable, false, false, Some("no disk"), &pipeline).unwrap_err();
        assert!(error.to_string().contains("no disk"), "{error}");
    }

    #[test]
    fn metrics_tell_the_mode() {
        let telemetry = Telemetry::new();
        let pipeline = PipelineId::new(Signal::Traces, "a");
        AckMode::Memory.announce(Ack::Auto, Some("no disk"), &pipeline, &telemetry);
        let shown = telemetry.render(&Naming::default());
        assert!(shown.contains(r#"sluice_lossy_mode{pipeline="traces/a"} 1"#), "{shown}");
        AckMode::Memory.withdraw(&pipeline, &telemetry);
        let shown = telemetry.render(&Naming::default());
        assert!(!shown.contains("sluice_lossy_mode{") && !shown.contains("mode=\"memory\""), "{shown}");
        AckMode::Durable.announce(Ack::Auto, None, &pipeline, &telemetry);
        let shown = telemetry.render(&Naming::default());
        assert!(shown.contains(r#"sluice_lossy_mode{pipeline="traces/a"} 0"#), "{shown}");
        assert!(shown.contains(r#"sluice_delivery_mode{pipeline="traces/a",mode="durable"} 1"#), "{shown}");
    }
}
