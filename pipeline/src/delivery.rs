//! When a sender is told that its data is safe: the ack mode of a pipeline (delivery §1.1), resolved once at start.

use sluice_config::service::Ack;

use crate::error::Error;
use crate::id::PipelineId;
use crate::telemetry::Telemetry;

/// A resolved mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckMode {
    /// Answered when the request is in the bounded in-memory log. What is undelivered dies with the process.
    Memory,
    /// The pipeline has only observers: there is nothing to keep.
    Nothing,
}

impl AckMode {
    /// The `mode` label.
    pub const fn name(self) -> &'static str {
        match self {
            AckMode::Memory => "memory",
            AckMode::Nothing => "none",
        }
    }
}

impl AckMode {
    /// Tells the operator, in the log and as metrics: once the pipeline runs.
    pub fn announce(self, ack: Ack, pipeline: &PipelineId, telemetry: &Telemetry) {
        if self == AckMode::Memory {
            let cause = if ack == Ack::Auto { "there is no journal" } else { "`ack: memory` is configured" };
            tracing::warn!(
                pipeline = pipeline.as_str(),
                cause,
                "acknowledged data is kept in memory only: what is undelivered is lost when the process ends"
            );
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

/// Resolves the mode of one pipeline. There is no journal in this version: `auto` becomes `memory`, and what promises more is
/// an error, as is anything below `durable` under `strict`.
///
/// # Errors
/// A configuration error, at `service::delivery::ack` or `service::delivery::strict`.
pub fn resolve(ack: Ack, strict: bool, only_observers: bool, pipeline: &PipelineId) -> Result<AckMode, Error> {
    let refuse = |path: &str, text: String| Err(Error::Config { path: path.to_owned(), text });
    let mode = match ack {
        Ack::Durable | Ack::Exported => {
            let text = format!("pipeline {pipeline}: ack mode `{}` is not available yet: use `memory`", ack.name());
            return refuse("service::delivery::ack", text);
        }
        Ack::Auto | Ack::Memory if only_observers => AckMode::Nothing,
        Ack::Auto | Ack::Memory => AckMode::Memory,
    };
    if strict && mode == AckMode::Memory {
        let text = format!("pipeline {pipeline}: ack mode resolves to `memory`, and `strict` asks for `durable`");
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
    fn auto_is_memory_and_durable_is_an_error_until_there_is_a_journal() {
        let telemetry = Telemetry::new();
        let pipeline = PipelineId::new(Signal::Traces, "a");
        let resolve = |ack, strict, observers| resolve(ack, strict, observers, &pipeline);
        assert_eq!(resolve(Ack::Auto, false, false).ok(), Some(AckMode::Memory));
        assert_eq!(resolve(Ack::Memory, false, false).ok(), Some(AckMode::Memory));
        assert_eq!(resolve(Ack::Auto, true, true).ok(), Some(AckMode::Nothing));
        let shown = || telemetry.render(&Naming::default()).contains(r#"sluice_lossy_mode{pipeline="traces/a"} 1"#);
        AckMode::Memory.announce(Ack::Auto, &pipeline, &telemetry);
        assert!(shown());
        AckMode::Memory.withdraw(&pipeline, &telemetry);
        assert!(!shown());
        for (ack, strict) in [(Ack::Durable, false), (Ack::Exported, false), (Ack::Auto, true)] {
            assert!(matches!(resolve(ack, strict, false), Err(Error::Config { .. })), "{ack:?}");
        }
    }
}
