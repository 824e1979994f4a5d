//! Exporter `prometheusremotewrite`: OTLP metrics to Prometheus remote write 1.0 and 2.0.
//!
//! | module | what it holds |
//! |---|---|
//! | [`translate`] | names, units and values as Prometheus has them |
//! | [`series`] | the walk from views to encoded series |
//! | [`encode`] | the two messages |
//! | [`exporter`] | one payload, sent and accounted for |
//! | [`pending`] | what is left of a payload between attempts |
//! | [`sender`], [`response`] | one request, and what the answer means |
//! | [`version`] | which message an endpoint gets |
//! | [`config`] | the fields; `validate` what is wrong with them |

pub mod config;
mod counters;
pub mod encode;
pub mod exporter;
pub mod pending;
pub mod response;
pub mod sender;
pub mod series;
pub mod translate;
mod validate;
pub mod version;

use std::sync::Arc;

use sluice_pdata::pass::Reason;
use sluice_pipeline::Error;
use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::exporter::{Delivery, ExporterKind};
use sluice_pipeline::factory::{Exporters, Factory, Meta};

pub use config::Config;
pub use exporter::RemoteWriteExporter;

/// Why data points are dropped, beyond the core list.
const REASONS: [Reason; 27] = {
    let own = [
        series::DELTA_TEMPORALITY,
        series::UNSPECIFIED_TEMPORALITY,
        series::EMPTY_DATA_POINTS,
        series::INVALID_METRIC_NAME,
        series::INVALID_LABEL_NAME,
        series::EXPONENTIAL_SCALE,
        series::MISSING_SUM,
        series::NATIVE_HISTOGRAM_DISABLED,
        series::NHCB_V1,
        series::FUTURE,
        series::SAMPLE_AGE,
        series::PARTIAL_WRITE,
    ];
    let mut all = [""; 27];
    let mut at = 0;
    while at < own.len() {
        all[at] = own[at];
        at += 1;
    }
    while at < all.len() {
        all[at] = response::REFUSAL_REASONS[at - own.len()];
        at += 1;
    }
    all
};

/// Makes `prometheus_remote_write` exporters.
pub struct RemoteWriteFactory;

impl Factory<Exporters> for RemoteWriteFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta {
            stability: [None, Some(Stability::Beta), None],
            reasons: &REASONS,
            ..Meta::new("prometheus_remote_write", Stability::Beta)
        }
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<ExporterKind, Error> {
        let exporter = RemoteWriteExporter::new(config, &environment)?;
        let delivery = Delivery { partition: exporter.partition(), ..config.delivery() };
        Ok(ExporterKind::Destination(Arc::new(exporter), Box::new(delivery)))
    }
}
