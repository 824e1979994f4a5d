//! `file_sd_configs`: targets in JSON or YAML files that something else writes.
//!
//! The directory is polled: a file whose size or modification time changed is read at once, every file is read again
//! after `refresh_interval` (a change within the clock's granularity is then found by content). A file that cannot be
//! read or parsed keeps its last good groups; a file that is gone takes its groups along.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{AddressGroup, TargetGroup};
use crate::up::duration;
use crate::up::error::Error;

/// Larger files are refused.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// One entry of `file_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileSdConfig {
    /// Paths ending in `.json`, `.yml` or `.yaml`; the last segment may hold one `*`.
    pub files: Vec<String>,
    /// How often every file is read again even if it looks unchanged.
    #[serde(with = "duration::text")]
    pub refresh_interval: Duration,
}

impl Default for FileSdConfig {
    fn default() -> Self {
        FileSdConfig { files: Vec::new(), refresh_interval: Duration::from_secs(300) }
    }
}

impl FileSdConfig {
    /// Checks the patterns; the error says in one sentence what is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.files.is_empty() {
            return Err("`file_sd_configs` needs at least one path in `files`".to_owned());
        }
        if self.refresh_interval.is_zero() {
            return Err("`refresh_interval` of `file_sd_configs` must not be 0".to_owned());
        }
        for path in &self.files {
            let (directory, name) = split(path);
            let format = Format::of(name).is_some();
            if !format || directory.contains('*') || name.matches('*').count() > 1 {
                return Err(format!(
                    "`{path}` is no path of a discovery file: it must end in .json, .yml or .yaml and may hold one `*` in its last segment"
                ));
            }
        }
        Ok(())
    }
}

/// What a poll found.
#[derive(Debug)]
pub struct Poll {
    /// Whether the groups in force may differ from those after the last poll.
    pub changed: bool,
    /// Files whose last good content (if any) stays in force.
    pub errors: Vec<Error>,
    /// False if nothing could be read so far: then the set of targets is not known yet.
    pub synced: bool,
}

/// The files of one `file_sd_configs` entry and what was last read from them.
#[derive(Debug)]
pub struct FileDiscovery {
    config: FileSdConfig,
    files: BTreeMap<PathBuf, File>,
    last_full: Option<Duration>,
}

#[derive(Debug, Default)]
struct File {
    /// Size and modification time when it was last read, whether or not that went well.
    stamp: Option<(u64, SystemTime)>,
    groups: Option<Vec<TargetGroup>>,
    /// Told again at each poll until the file is good.
    failed: bool,
}

impl FileDiscovery {
    /// Nothing is read before the first poll.
    pub fn new(config: FileSdConfig) -> Self {
        FileDiscovery { config, files: BTreeMap::new(), last_full: None }
    }

    /// Looks at the files and reads what changed. Blocking I/O; `now` is the monotonic time since start.
    pub fn poll(&mut self, now: Duration) -> Poll {
        let full = self.last_full.is_none_or(|last| now.saturating_sub(last) >= self.config.refresh_interval);
        if full {
            self.last_full = Some(now);
        }
        let mut errors = Vec::new();
        let mut paths = Vec::new();
        let mut listed = true;
        for pattern in &self.config.files {
            if let Err(error) = expand(pattern, &mut paths) {
                // A directory that cannot be listed says nothing about the files in it.
                listed = false;
                errors.push(error);
            }
        }
        let known = self.files.len();
        if listed {
            self.files.retain(|path, _| paths.contains(path));
        }
        let mut changed = self.files.len() != known;
        for path in paths {
            let file = self.files.entry(path.clone()).or_default();
            match file.refresh(&path, full) {
                Ok(read) => changed |= read,
                Err(error) => errors.push(error),
            }
        }
        let synced = (listed && self.files.values().all(|file| file.groups.is_some()))
            || self.files.values().any(|file| file.groups.is_some());
        Poll { changed, errors, synced }
    }

    /// All groups in force, in order of their sources.
    pub fn groups(&self) -> impl Iterator<Item = &TargetGroup> {
        self.files.values().filter_map(|file| file.groups.as_ref()).flatten()
    }
}

impl File {
    /// Whether other groups than before were read.
    fn refresh(&mut self, path: &Path, full: bool) -> Result<bool, Error> {
        let unreadable = |source| Error::FileUnreadable { path: path.to_owned(), source };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        let stamp = (metadata.len(), metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        if !full && !self.failed && self.stamp == Some(stamp) {
            return Ok(false);
        }
        self.stamp = Some(stamp);
        self.failed = true;
        if metadata.len() > MAX_FILE_BYTES {
            let problem = format!("it has {} bytes, more than {MAX_FILE_BYTES}", metadata.len());
            return Err(Error::FileInvalid { path: path.to_owned(), problem });
        }
        let content = std::fs::read_to_string(path).map_err(unreadable)?;
        let groups = parse(path, &content).map_err(|problem| Error::FileInvalid { path: path.to_owned(), problem })?;
        let changed = self.groups.as_ref() != Some(&groups);
        self.groups = Some(groups);
        self.failed = false;
        Ok(changed)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Yaml,
}

impl Format {
    fn of(name: &str) -> Option<Format> {
        match name.rsplit_once('.')?.1 {
            "json" | "JSON" => Some(Format::Json),
            "yml" | "yaml" | "YML" | "YAML" => Some(Format::Yaml),
            _ => None,
        }
    }
}

/// Reads the content of a discovery file; the path tells the format and becomes the label `__meta_filepath`.
pub fn parse(path: &Path, content: &str) -> Result<Vec<TargetGroup>, String> {
    let name = path.to_string_lossy();
    let groups: Option<Vec<Option<AddressGroup>>> = match Format::of(&name) {
        Some(Format::Json) => serde_json::from_str(content).map_err(|e| e.to_string())?,
        Some(Format::Yaml) if content.trim().is_empty() => None,
        Some(Format::Yaml) => serde_saphyr::from_str(content).map_err(|e| e.to_string())?,
        None => return Err("its name ends in none of .json, .yml and .yaml".to_owned()),
    };
    let mut result = Vec::new();
    for (i, group) in groups.unwrap_or_default().into_iter().enumerate() {
        let mut group = group.ok_or_else(|| format!("group {i} is null"))?.into_group(format!("{name}:{i}"));
        if group.labels.keys().any(String::is_empty) {
            return Err(format!("group {i} has a label without a name"));
        }
        group.labels.insert("__meta_filepath".to_owned(), name.to_string());
        result.push(group);
    }
    Ok(result)
}

fn split(pattern: &str) -> (&str, &str) {
    pattern
        .rsplit_once('/')
        .map_or((".", pattern), |(directory, name)| (if directory.is_empty() { "/" } else { directory }, name))
}

fn expand(pattern: &str, paths: &mut Vec<PathBuf>) -> Result<(), Error> {
    let (directory, name) = split(pattern);
    let Some((prefix, suffix)) = name.split_once('*') else {
        // A file that does not exist is an empty set, as for Prometheus.
        let path = PathBuf::from(pattern);
        if path.try_exists().map_err(|source| Error::FileUnreadable { path: path.clone(), source })? {
            paths.push(path);
        }
        return Ok(());
    };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::FileUnreadable { path: directory.into(), source }),
    };
    for entry in entries {
        let entry = entry.map_err(|source| Error::FileUnreadable { path: directory.into(), source })?;
        let file_name = entry.file_name();
        let Some(file_name) = file_name.to_str() else { continue };
        if file_name.len() >= prefix.len() + suffix.len()
            && file_name.starts_with(prefix)
            && file_name.ends_with(suffix)
        {
            paths.push(if pattern.contains('/') { entry.path() } else { file_name.into() });
        }
    }
    Ok(())
}
