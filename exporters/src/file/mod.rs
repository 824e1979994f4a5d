//! Exporter `file`: OTLP requests in files, as JSON lines or as protobuf with lengths.
//!
//! A payload counts as delivered when the operating system has all of it; a payload that fails half-way is taken back out of the
//! files, so that a retry leaves nothing torn and nothing twice. Files are written on threads that may block.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | the fields |
//! | `record` | a payload as the bytes that a file gets |
//! | `groups` | which resource goes into which file, and why none can leave its directory |
//! | `backup` | the names of rotated files, and which are deleted |
//! | `output` | one open file |
//! | `files` | all files of an exporter: one payload, all or nothing |
//! | `exporter` | the way between the runtime and the disk |

mod backup;
pub mod config;
mod exporter;
mod files;
mod groups;
mod output;
mod record;

pub use config::Config;
pub use exporter::FileExporter;

use std::sync::Arc;

use sluice_pdata::pass::Reason;
use sluice_pipeline::Error;
use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::exporter::ExporterKind;
use sluice_pipeline::factory::{Exporters, Factory, Meta};

/// A resource does not say into which file it goes.
pub(crate) const NO_PATH_SEGMENT: Reason = "no_path_segment";
/// What a resource says cannot be a part of a path, or there are too many different ones.
pub(crate) const BAD_PATH_SEGMENT: Reason = "bad_path_segment";

const REASONS: [Reason; 2] = [NO_PATH_SEGMENT, BAD_PATH_SEGMENT];

/// Makes `file` exporters.
pub struct FileFactory;

impl Factory<Exporters> for FileFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta { reasons: &REASONS, ..Meta::new("file", Stability::Beta) }
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<ExporterKind, Error> {
        let exporter = FileExporter::new(config, &environment);
        Ok(ExporterKind::Destination(Arc::new(exporter), Box::new(config.delivery())))
    }
}
