//! All files of an exporter. A payload is written whole or not at all.

use std::collections::HashSet;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use sluice_pdata::Signal;
use sluice_pdata::pass::Reason;
use smallvec::SmallVec;

use super::config::Config;
use super::groups::{Group, Pattern, deal};
use super::output::{Output, Undo};
use super::record::{Format, record};
use super::{BAD_PATH_SEGMENT, NO_PATH_SEGMENT, backup};

/// Items that were dropped, by reason.
pub(super) type Dropped = SmallVec<[(Reason, usize); 1]>;

/// A file, and what of the request goes there; all of it if there is only one.
type Part = (PathBuf, Option<Vec<u8>>);

/// Why a payload was not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// It cannot be expressed.
    Payload(String),
    /// The disk does not take it. With the path.
    Io(PathBuf, io::Error),
}

/// The files of one exporter.
pub(super) struct Files {
    config: Config,
    format: Format,
    pattern: Option<Pattern>,
    /// Of the names of backups.
    zone: TimeZone,
    /// Open files, the one that was used last at the end.
    open: Vec<Output>,
    /// Files of groups since the start: what is made in this time begins empty once, and not each time that it is opened.
    known: HashSet<PathBuf>,
}

impl Files {
    pub(super) fn new(config: &Config) -> Self {
        Files {
            config: config.clone(),
            format: Format { json: config.format.as_str() == "json", zstd: !config.compression.is_empty() },
            pattern: config.grouping().map(|_| Pattern::new(&config.path)),
            zone: backup::zone(config.rotation.is_some_and(|rotation| rotation.localtime)),
            open: Vec::new(),
            known: HashSet::new(),
        }
    }

    /// Opens what is known at the start, or finds that it cannot be.
    pub(super) fn start(&mut self) -> Result<(), (PathBuf, io::Error)> {
        let path = PathBuf::from(&self.config.path);
        let directory = match &self.pattern {
            Some(pattern) => pattern.root(),
            None => parent(&path).to_owned(),
        };
        if self.config.create_directory || self.pattern.is_some() {
            self.make_directory(&directory).map_err(|error| (directory, error))?;
        }
        if self.pattern.is_none() {
            // What is rotated is never cut: it would be gone without a backup.
            let append = self.config.append || self.config.rotation.is_some();
            self.open.push(Output::open(&path, append).map_err(|error| (path, error))?);
        }
        Ok(())
    }

    /// Writes a request. `now_ms` is the wall time, for names of backups.
    pub(super) fn write(&mut self, signal: Signal, request: &[u8], now_ms: u64) -> Result<Dropped, WriteError> {
        let unreadable = |error: sluice_pdata::Error| WriteError::Payload(error.to_string());
        let (parts, dropped) = match (&self.pattern, self.config.grouping()) {
            (Some(pattern), Some(group_by)) => {
                let groups = deal(signal, request, &group_by.resource_attribute).map_err(unreadable)?;
                self.place(groups, &pattern.clone(), group_by.max_files)
            }
            _ => (vec![(PathBuf::from(&self.config.path), None)], Dropped::new()),
        };
        // All records before the first write: what cannot be expressed must leave nothing behind.
        let mut records = Vec::with_capacity(parts.len());
        for (path, own) in parts {
            let record = record(signal, own.as_deref().unwrap_or(request), self.format).map_err(WriteError::Payload)?;
            records.push((path, record));
        }
        let mut undos: Vec<Undo> = Vec::with_capacity(records.len());
        for (path, record) in &records {
            match self.append(path, record, now_ms) {
                Ok(undo) => undos.push(undo),
                Err(error) => {
                    for undo in undos {
                        undo.undo().map_err(|error| WriteError::Io(path.clone(), error))?;
                    }
                    return Err(WriteError::Io(path.clone(), error));
                }
            }
        }
        if self.config.flush_interval.is_zero() {
            self.sync().map_err(|error| WriteError::Io(PathBuf::from(&self.config.path), error))?;
        }
        Ok(dropped)
    }

    /// Brings everything that was written to the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.open.iter_mut().try_for_each(Output::sync)
    }

    /// The files of groups, and what has none.
    fn place(&self, groups: Vec<Group>, pattern: &Pattern, max_files: usize) -> (Vec<Part>, Dropped) {
        let mut parts: Vec<Part> = Vec::new();
        let (mut nowhere, mut bad, mut new) = (0, 0, 0);
        for group in groups {
            let Some(segment) = &group.segment else {
                nowhere += group.items;
                continue;
            };
            let Some(path) = pattern.file(segment) else {
                bad += group.items;
                continue;
            };
            // Different segments may come to the same file.
            if let Some((_, Some(request))) = parts.iter_mut().find(|(other, _)| *other == path) {
                request.extend_from_slice(&group.request);
                continue;
            }
            let is_new = !self.known.contains(&path);
            if (is_new && self.known.len() + new >= max_files) || !is_usable(&pattern.root(), &path) {
                bad += group.items;
                continue;
            }
            new += usize::from(is_new);
            parts.push((path, Some(group.request)));
        }
        let counts = [(NO_PATH_SEGMENT, nowhere), (BAD_PATH_SEGMENT, bad)];
        (parts, counts.into_iter().filter(|(_, items)| *items > 0).collect())
    }

    fn append(&mut self, path: &Path, record: &[u8], now_ms: u64) -> io::Result<Undo> {
        // A resource could choose a name that looks like a backup of another file.
        let rotation = self.config.rotation.filter(|_| self.pattern.is_none());
        let zone = self.zone.clone();
        let output = self.output(path)?;
        if let Some(rotation) = rotation
            && output.is_full_for(record, &rotation)?
        {
            output.rotate(now_ms, &zone)?;
            let expired = backup::expired(path, now_ms, &rotation, &zone);
            let deleted = expired.and_then(|expired| expired.iter().try_for_each(std::fs::remove_file));
            if let Err(error) = deleted {
                // The data is more important than its order on the disk.
                tracing::warn!(path = %path.display(), %error, "old files cannot be deleted");
            }
        }
        output.append(record)
    }

    /// The open file of this path.
    fn output(&mut self, path: &Path) -> io::Result<&mut Output> {
        let output = match self.open.iter().position(|output| output.path == path) {
            Some(place) => self.open.remove(place),
            None => {
                let most = self.config.grouping().map_or(1, |group_by| group_by.max_open_files);
                if self.open.len() >= most {
                    // The one that was not used for longest. It stays open if it cannot be synced.
                    if let Some(oldest) = self.open.first_mut() {
                        oldest.sync()?;
                    }
                    self.open.remove(0);
                }
                if self.pattern.is_some() {
                    self.make_directory(parent(path))?;
                }
                let append = self.config.append || self.known.contains(path) || self.pattern.is_none();
                let output = Output::open(path, append)?;
                if self.pattern.is_some() {
                    self.known.insert(path.to_owned());
                }
                output
            }
        };
        self.open.push(output);
        self.open.last_mut().ok_or_else(|| io::Error::other("no open file"))
    }

    fn make_directory(&self, directory: &Path) -> io::Result<()> {
        let mode = self.config.directory_mode().unwrap_or(0o755);
        DirBuilder::new().recursive(true).mode(mode).create(directory)
    }
}

/// Whether a file can be at this path: all above it are directories, and none below `root` is a link that leads elsewhere.
fn is_usable(root: &Path, path: &Path) -> bool {
    let mut above = path.to_owned();
    let mut is_file = true;
    while above != root && above.as_os_str() != root.as_os_str() {
        match std::fs::symlink_metadata(&above) {
            Ok(found) if is_file && !found.is_file() => return false,
            Ok(found) if !is_file && !found.is_dir() => return false,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return false,
            // Trouble of the disk or with rights, not of the segment.
            Err(_) => return true,
        }
        is_file = false;
        if !above.pop() || above.as_os_str().is_empty() {
            break;
        }
    }
    true
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use sluice_pdata::wire::{put_len, put_message};

    use super::*;

    /// A record of a resource that says this.
    fn resource(segment: &str, out: &mut Vec<u8>) {
        put_message(out, 1, |resource_logs| {
            put_message(resource_logs, 1, |resource| {
                put_message(resource, 1, |attribute| {
                    put_len(attribute, 1, b"file");
                    put_message(attribute, 2, |value| put_len(value, 1, segment.as_bytes()));
                });
            });
            put_message(resource_logs, 2, |scope| put_len(scope, 2, b""));
        });
    }

    fn request(segments: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        segments.iter().for_each(|segment| resource(segment, &mut out));
        out
    }

    #[test]
    fn what_fails_for_one_file_is_taken_back_from_all() {
        let directory = tempfile::tempdir().unwrap();
        let group_by = super::super::config::GroupBy {
            enabled: true,
            resource_attribute: "file".to_owned(),
            ..super::super::config::GroupBy::default()
        };
        let path = format!("{}/*.bin", directory.path().display());
        let config = Config { path, format: "proto".into(), group_by: Some(group_by), ..Config::default() };
        let mut files = Files::new(&config);
        files.start().unwrap();
        let all = request(&["a", "b", "c"]);
        assert!(files.write(Signal::Logs, &all, 0).unwrap().is_empty());
        let content = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
        let before = [content("a.bin"), content("b.bin"), content("c.bin")];
        let broken = directory.path().join("b.bin");
        let works = files.open.iter().position(|output| output.path == broken).unwrap();
        let works = std::mem::replace(&mut files.open[works], Output::read_only(&broken));
        for _ in 0..2 {
            match files.write(Signal::Logs, &all, 0) {
                Err(WriteError::Io(path, _)) => assert_eq!(path, broken),
                other => panic!("{other:?}"),
            }
            assert_eq!([content("a.bin"), content("b.bin"), content("c.bin")], before);
        }
        let again = files.open.iter().position(|output| output.path == broken).unwrap();
        files.open[again] = works;
        assert!(files.write(Signal::Logs, &all, 0).unwrap().is_empty());
        assert_eq!([content("a.bin"), content("b.bin"), content("c.bin")], before.map(|once| once.repeat(2)));
    }
}
