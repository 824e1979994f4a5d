//! Fields of the exporter, under upstream's names (collector-compat §6.2).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_config::{GoDuration, Problems, Toggle, text_of_words};
use sluice_pipeline::blocks::{Protection, Retry, SendingQueue};
use sluice_pipeline::exporter::Delivery;
use sluice_pipeline::factory::{Validate, field};

text_of_words!(
    /// How items are written.
    FileFormat, "json", "proto"
);

text_of_words!(
    /// Of what is written.
    FileCompression, "zstd"
);

/// `exporters: file:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// With `group_by`, one `*` stands for what the resource says.
    pub path: String,
    /// Begin behind what is there, instead of with an empty file.
    pub append: bool,
    /// When a new file is begun, and which old ones are kept.
    pub rotation: Option<Rotation>,
    /// `json` or `proto`.
    pub format: FileFormat,
    /// Id of an encoding extension.
    pub encoding: Option<String>,
    /// `zstd`, or empty for none.
    pub compression: FileCompression,
    /// How long written data may wait for the disk; zero for not at all.
    pub flush_interval: GoDuration,
    /// Make the directory if it is missing.
    pub create_directory: bool,
    /// Octal; 0755 unless written.
    pub directory_permissions: Option<String>,
    /// A file for each value of a resource attribute.
    pub group_by: Option<GroupBy>,
    /// What waits for the destination.
    pub sending_queue: Toggle<SendingQueue>,
    /// How attempts are repeated.
    pub retry_on_failure: Toggle<Retry>,
    #[serde(rename = "..protection")]
    pub protection: Protection,
}

/// When a new file is begun, and which old ones are kept. Zero for no limit but `max_megabytes`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// Of 1,048,576 bytes; 100 if zero.
    pub max_megabytes: u32,
    /// Older files are removed; 0 for no limit.
    pub max_days: u32,
    /// Most old files; 0 for no limit.
    pub max_backups: u32,
    /// Names in local time instead of UTC.
    pub localtime: bool,
}

impl Default for Rotation {
    fn default() -> Self {
        Rotation { max_megabytes: 100, max_days: 0, max_backups: 100, localtime: false }
    }
}

/// A file for each value of a resource attribute.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupBy {
    /// Switches it on.
    pub enabled: bool,
    /// Whose value stands for the `*` in `path`.
    pub resource_attribute: String,
    /// Most files that are open at a time.
    pub max_open_files: usize,
    /// Most different files from one start to the next; the items of further ones are dropped and counted.
    pub max_files: usize,
}

impl Default for GroupBy {
    fn default() -> Self {
        GroupBy {
            enabled: false,
            resource_attribute: "fileexporter.path_segment".to_owned(),
            max_open_files: 100,
            max_files: 10_000,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            path: String::new(),
            append: false,
            rotation: None,
            format: "json".into(),
            encoding: None,
            compression: FileCompression::default(),
            flush_interval: GoDuration::from_secs(1),
            create_directory: false,
            directory_permissions: None,
            group_by: None,
            sending_queue: Toggle::on(),
            retry_on_failure: Toggle::on(),
            protection: Protection::default(),
        }
    }
}

impl Config {
    /// The blocks that the delivery helper reads. A disk has no timeout: a write that was begun cannot be called back.
    pub fn delivery(&self) -> Delivery {
        Delivery {
            queue: self.sending_queue.as_ref().cloned(),
            retry: self.retry_on_failure.as_ref().copied(),
            timeout: Duration::ZERO,
            protection: self.protection,
            partition: Vec::new(),
        }
    }

    /// `group_by`, if it is enabled.
    pub fn grouping(&self) -> Option<&GroupBy> {
        self.group_by.as_ref().filter(|group_by| group_by.enabled)
    }

    /// The mode of new directories; what is no octal number was refused.
    pub fn directory_mode(&self) -> Option<u32> {
        match self.directory_permissions.as_deref() {
            None | Some("") => Some(0o755),
            Some(written) => u32::from_str_radix(written, 8).ok().filter(|mode| *mode <= 0o777),
        }
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        let mut error = |name: &str, text: &str| {
            problems.error(&field(at, name), text);
        };
        if self.path.is_empty() {
            error("path", "path must be non-empty");
        }
        if self.append && self.rotation.is_some() {
            error("append", "append and rotation enabled at the same time is not supported");
        }
        if !matches!(self.format.as_str(), "json" | "proto") {
            error("format", "format type is not supported");
        }
        if !matches!(self.compression.as_str(), "" | "zstd") {
            error("compression", "compression is not supported");
        }
        if self.encoding.is_some() {
            error("encoding", "`encoding` is not available in this version: use `format`");
        }
        if self.directory_mode().is_none() {
            error("directory_permissions", "directory_permissions value must be a valid octal representation");
        } else if self.directory_permissions.is_some() && !self.create_directory {
            error("directory_permissions", "directory_permissions requires create_directory to be true");
        }
        if let Some(group_by) = self.grouping() {
            let mut parts = self.path.split('*');
            match (parts.next(), parts.next(), parts.next()) {
                (Some(""), Some(_), None) => error("path", "path must not start with * when group_by is enabled"),
                (Some(_), Some(_), None) => {}
                _ => error("path", "path must contain exactly one * when group_by is enabled"),
            }
            if group_by.resource_attribute.is_empty() {
                error("group_by::resource_attribute", "resource_attribute must not be empty when group_by is enabled");
            }
            if group_by.max_open_files == 0 || group_by.max_files == 0 {
                error("group_by", "`max_open_files` and `max_files` must be positive");
            }
            if self.rotation.is_some() {
                problems.add("W0509", &field(at, "rotation"), "rotation has no effect where group_by is enabled");
            }
        }
        if let Some(queue) = self.sending_queue.as_ref() {
            queue.validate(&field(at, "sending_queue"), problems);
        }
        if let Some(retry) = self.retry_on_failure.as_ref() {
            retry.validate(&field(at, "retry_on_failure"), problems);
        }
        self.protection.validate(at, problems);
    }
}
