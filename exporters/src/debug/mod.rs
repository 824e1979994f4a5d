//! Exporter `debug`: shows what arrives, in upstream's layout. An observer: it owes nothing and is part of no ack.
//!
//! Terminal output is escaped: control characters of telemetry are printed as `\x1b`.

mod config;
pub mod text;

#[cfg(test)]
mod tests;

pub use config::{Config, Verbosity};

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_pipeline::clock::{Clock, Monotonic};
use sluice_pipeline::component::{Component, Environment, Stability};
use sluice_pipeline::exporter::{ExporterKind, Observer};
use sluice_pipeline::factory::{Exporters, Factory, Meta};
use sluice_pipeline::{Batch, ComponentId, Error, Redacted};

/// Makes `debug` exporters.
pub struct DebugFactory;

impl Factory<Exporters> for DebugFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("debug", Stability::Alpha)
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<ExporterKind, Error> {
        Ok(ExporterKind::Observer(Arc::new(Debug {
            id: environment.id,
            config: config.clone(),
            clock: environment.clock,
            sampling: Mutex::default(),
        })))
    }
}

struct Debug {
    id: ComponentId,
    config: Config,
    clock: Arc<dyn Clock>,
    sampling: Mutex<Sampling>,
}

/// Batches seen in the current second.
#[derive(Default)]
struct Sampling {
    second: Monotonic,
    seen: u64,
}

impl Sampling {
    /// Whether the next batch is shown: the first `initial` of each second, then every `thereafter`-th.
    fn shows(&mut self, now: Monotonic, initial: u64, thereafter: u64) -> bool {
        if now.since(self.second) >= Duration::from_secs(1) {
            *self = Sampling { second: now, seen: 0 };
        }
        self.seen += 1;
        self.seen <= initial || (thereafter > 0 && (self.seen - initial).is_multiple_of(thereafter))
    }
}

impl Component for Debug {}

impl Observer for Debug {
    fn observe(&self, batch: &Redacted<Batch>) {
        let (initial, thereafter) = (self.config.sampling_initial, self.config.sampling_thereafter);
        let mut sampling = self.sampling.lock().unwrap_or_else(PoisonError::into_inner);
        if !sampling.shows(self.clock.now(), initial, thereafter) {
            return;
        }
        drop(sampling);
        let shown = match text::render(batch.signal(), batch.bytes(), self.config.verbosity) {
            Ok(shown) => shown,
            Err(error) => {
                tracing::warn!(exporter = %self.id, %error, "telemetry cannot be shown");
                return;
            }
        };
        if self.config.use_internal_logger {
            tracing::info!(exporter = %self.id, "{}", shown.summary);
            if !shown.text.is_empty() {
                tracing::info!("{}", shown.text);
            }
            return;
        }
        let mut out = std::io::stdout().lock();
        // A terminal that is gone is no reason to stop the pipeline.
        let _ = writeln!(out, "{}\n{}", shown.summary, shown.text).and_then(|()| out.flush());
    }
}
