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
    /// Answered when every lossless destination has the request. Nothing acknowledged is lost.
    Exported,
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
            AckMode::Exported => "exported",
            AckMode::Memory => "memory",
            AckMode::Nothing => "none",
        }
    }

    /// Tells the operator, in the log and as metrics: once the pipeline runs. `no_journal` is why there is none.
    pub fn announce(self, ack: Ack, no_journal: Option<&str>, pipeline: &PipelineId, telemetry: &Telemetry) {
        let pipeline = pipeline.as_str();
        let no_journal_because = no_journal.unwrap_or("there is no journal");
        match (self, ack) {
            (AckMode::Memory, _) => {
                let cause = match ack {
                    Ack::Memory => "`ack: memory` is configured",
                    _ => no_journal_because,
                };
                tracing::warn!(
                    pipeline,
                    cause,
                    "acknowledged data is kept in memory only: what is undelivered is lost when the process ends"
                );
            }
            (AckMode::Exported, Ack::Exported) => tracing::info!(
                pipeline,
                "`ack: exported` is configured: senders wait until every destination has their data"
            ),
            (AckMode::Exported, _) => tracing::warn!(
                pipeline,
                cause = no_journal_because,
                "data is not kept on disk: senders wait until every destination has it, and are refused while one is down"
            ),
            (AckMode::Durable, Ack::Memory) => tracing::info!(
                pipeline,
                "`ack: memory` is configured; other pipelines use the journal, and this one does, too"
            ),
            _ => {}
        }
        let lossy = if self == AckMode::Memory { 1 } else { 0 };
        telemetry.gauge(MODE, &[("pipeline", pipeline), ("mode", self.name())]).set(1);
        telemetry.gauge(LOSSY, &[("pipeline", pipeline)]).set(lossy);
    }

    /// Takes the metrics back: the pipeline is gone, or has another mode.
    pub fn withdraw(self, pipeline: &PipelineId, telemetry: &Telemetry) {
        telemetry.forget(MODE, &[("pipeline", pipeline.as_str()), ("mode", self.name())]);
        telemetry.forget(LOSSY, &[("pipeline", pipeline.as_str())]);
    }
}

const MODE: &str = "sluice_delivery_mode";
const LOSSY: &str = "sluice_lossy_mode";

/// What there is to resolve the mode of a pipeline from.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// As written for it, or for all.
    pub ack: Ack,
    /// What comes to less than `durable` is an error.
    pub strict: bool,
    /// It has nothing to keep for anybody.
    pub only_observers: bool,
    /// One of its processors holds data back, so that no sender could wait for the end of it.
    pub holds_back: bool,
    /// Why there is no journal; `None` if there is one. It then keeps the data of every pipeline: there is one log for all.
    pub no_journal: Option<&'a str>,
}

/// Resolves the mode of one pipeline: `durable` where there is a journal, else `exported`, else `memory` (delivery §1.1).
///
/// # Errors
/// A configuration error, at `service::delivery::ack` or `service::delivery::strict`: what asks for more than there is.
pub fn resolve(asked: Asked<'_>, pipeline: &PipelineId) -> Result<AckMode, Error> {
    let Asked { ack, strict, only_observers, holds_back, no_journal } = asked;
    let refuse = |path: &str, text: &str| {
        Err(Error::Config { path: path.to_owned(), text: format!("pipeline {pipeline}: {text}") })
    };
    let mode = match (ack, no_journal) {
        _ if only_observers => AckMode::Nothing,
        (Ack::Exported, _) if holds_back => {
            let text = "`ack: exported`: a processor holds data back for longer than a sender waits: \
                        use `durable` or `memory`";
            return refuse("service::delivery::ack", text);
        }
        (Ack::Exported, _) => AckMode::Exported,
        (_, None) => AckMode::Durable,
        (Ack::Durable, Some(cause)) => return refuse("service::delivery::ack", &format!("`ack: durable`: {cause}")),
        (Ack::Auto, Some(_)) if !holds_back => AckMode::Exported,
        (Ack::Auto | Ack::Memory, Some(_)) => AckMode::Memory,
    };
    let lossy = mode == AckMode::Memory || (ack == Ack::Memory && mode != AckMode::Nothing);
    if strict && (lossy || mode == AckMode::Exported) {
        let name = if lossy { AckMode::Memory.name() } else { mode.name() };
        let cause = no_journal.filter(|_| ack == Ack::Auto).map(|cause| format!(": {cause}")).unwrap_or_default();
        let text = format!("ack mode resolves to `{name}`, and `strict` asks for `durable`{cause}");
        return refuse("service::delivery::strict", &text);
    }
    Ok(mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signal;
    use crate::telemetry::Naming;

    const NONE: Option<&str> = None;
    const NO_DISK: Option<&str> = Some("no disk");

    fn ask(ack: Ack, no_journal: Option<&str>) -> Asked<'_> {
        Asked { ack, strict: false, only_observers: false, holds_back: false, no_journal }
    }

    #[test]
    fn auto_takes_the_journal_if_there_is_one_and_else_makes_senders_wait() {
        let pipeline = PipelineId::new(Signal::Traces, "a");
        let strict = |asked: Asked<'static>| Asked { strict: true, ..asked };
        let observing = |asked: Asked<'static>| Asked { only_observers: true, ..asked };
        let holding = |asked: Asked<'static>| Asked { holds_back: true, ..asked };
        let cases = [
            (ask(Ack::Auto, NONE), Some(AckMode::Durable)),
            (strict(ask(Ack::Auto, NONE)), Some(AckMode::Durable)),
            (holding(ask(Ack::Auto, NONE)), Some(AckMode::Durable)),
            (ask(Ack::Durable, NONE), Some(AckMode::Durable)),
            // One log for all.
            (ask(Ack::Memory, NONE), Some(AckMode::Durable)),
            (strict(ask(Ack::Memory, NONE)), None),
            (ask(Ack::Auto, NO_DISK), Some(AckMode::Exported)),
            (holding(ask(Ack::Auto, NO_DISK)), Some(AckMode::Memory)),
            (ask(Ack::Memory, NO_DISK), Some(AckMode::Memory)),
            (strict(ask(Ack::Auto, NO_DISK)), None),
            (ask(Ack::Durable, NO_DISK), None),
            (observing(ask(Ack::Durable, NO_DISK)), Some(AckMode::Nothing)),
            (observing(strict(ask(Ack::Auto, NO_DISK))), Some(AckMode::Nothing)),
            (observing(ask(Ack::Exported, NO_DISK)), Some(AckMode::Nothing)),
            (ask(Ack::Exported, NO_DISK), Some(AckMode::Exported)),
            (ask(Ack::Exported, NONE), Some(AckMode::Exported)),
            (strict(ask(Ack::Exported, NONE)), None),
            (holding(ask(Ack::Exported, NONE)), None),
        ];
        for (asked, expected) in cases {
            assert_eq!(resolve(asked, &pipeline).ok(), expected, "{asked:?}");
        }
        let error = resolve(ask(Ack::Durable, NO_DISK), &pipeline).unwrap_err();
        assert!(error.to_string().contains("no disk"), "{error}");
        let error = resolve(strict(ask(Ack::Auto, NO_DISK)), &pipeline).unwrap_err();
        assert!(error.to_string().contains("`exported`") && error.to_string().contains("no disk"), "{error}");
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
        AckMode::Exported.announce(Ack::Auto, Some("no disk"), &pipeline, &telemetry);
        let shown = telemetry.render(&Naming::default());
        assert!(shown.contains(r#"sluice_lossy_mode{pipeline="traces/a"} 0"#), "{shown}");
        assert!(shown.contains(r#"sluice_delivery_mode{pipeline="traces/a",mode="exported"} 1"#), "{shown}");
        AckMode::Exported.withdraw(&pipeline, &telemetry);
        AckMode::Durable.announce(Ack::Auto, None, &pipeline, &telemetry);
        let shown = telemetry.render(&Naming::default());
        assert!(shown.contains(r#"sluice_lossy_mode{pipeline="traces/a"} 0"#), "{shown}");
        assert!(shown.contains(r#"sluice_delivery_mode{pipeline="traces/a",mode="durable"} 1"#), "{shown}");
    }
}
