//! Where the journal is to be: found and tried before anything is built on it (delivery §1.1).

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sluice_config::service::{Ack, Delivery};
use sluice_journal::Config;
use sluice_journal::vfs::Vfs;
use sluice_journal::vfs::disk::{DiskVfs, FsKind};
use sluice_journal::vfs::probe;
use sluice_pipeline::extension::{Extensions, JournalSettings};

use crate::failed_start::FailedStart;
use crate::plan::Plan;

const GIB: u64 = 1 << 30;
/// The least size of a journal (delivery §3.1).
const LEAST: u64 = 256 << 20;

/// Where acknowledged data is to be kept.
pub enum Place {
    Disk(Box<Disk>),
    /// In memory, and why not on disk.
    Nowhere(String),
}

/// A directory that passed.
pub struct Disk {
    pub vfs: DiskVfs,
    pub config: Config,
    pub settings: JournalSettings,
    /// What people call it.
    pub name: String,
}

/// Whether a pipeline has anything to keep.
pub fn keeps(plan: &Plan) -> bool {
    plan.pipelines.iter().any(|pipeline| !pipeline.only_observes)
}

/// Whether a pipeline asks for a journal.
pub fn asks(plan: &Plan) -> bool {
    let mut keeps = plan.pipelines.iter().filter(|pipeline| !pipeline.only_observes);
    keeps.any(|pipeline| matches!(pipeline.ack, Ack::Auto | Ack::Durable))
}

/// The settings of the journal for which a plan asks.
///
/// # Errors
/// The chosen extension is none that keeps data.
pub fn settings(plan: &Plan, extensions: &Extensions) -> anyhow::Result<JournalSettings> {
    let Some(id) = &plan.journal else { return Ok(JournalSettings::default()) };
    let settings = extensions.get(id).and_then(|extension| extension.journal());
    settings.cloned().with_context(|| format!("extensions::{}: keeps no data", id.as_str()))
}

/// Finds the place for a plan. A configured directory must be usable; the default one is used if it is.
///
/// # Errors
/// The configured directory cannot be used.
pub fn find(plan: &Plan, extensions: &Extensions, data_dir: Option<&Path>) -> anyhow::Result<Place> {
    if !asks(plan) {
        return Ok(Place::Nowhere("no pipeline asks for a journal".to_owned()));
    }
    let delivery = &plan.service.delivery;
    let Some(id) = &plan.journal else { return Ok(default_place(delivery, data_dir)) };
    let settings = settings(plan, extensions)?;
    let directory = match &settings.directory {
        Some(directory) => directory.clone(),
        None => default_directory(data_dir).0,
    };
    let failed = || format!("extensions::{}: {}", id.as_str(), directory.display());
    let unusable = |text| FailedStart::coded("E0703", directory.display().to_string(), text);
    if let Some(parent) = settings.must_exist.as_deref().filter(|parent| !parent.is_dir()) {
        let text = format!("directory must exist: {}; `create_directory: true` makes it", parent.display());
        return Err(unusable(format!("extensions::{}: {text}", id.as_str())));
    }
    let vfs = try_out(&directory).map_err(|error| unusable(format!("{}: {error}", failed())))?;
    match vfs.kind().with_context(failed)? {
        FsKind::Volatile if !delivery.allow_volatile => {
            let text = "is on a file system that does not outlive the machine or the container";
            let way_out = "mount a volume, or set `service::delivery::allow_volatile`";
            return Err(unusable(format!("{} {text}: {way_out}", failed())));
        }
        FsKind::Network if !delivery.allow_network_fs => {
            let text = "is on a network file system";
            let way_out = "use a local disk, or set `service::delivery::allow_network_fs`";
            return Err(unusable(format!("{} {text}: {way_out}", failed())));
        }
        _ => {}
    }
    let config = config(&settings, &vfs).with_context(failed)?;
    Ok(Place::Disk(Box::new(Disk { vfs, config, settings, name: id.as_str().to_owned() })))
}

/// The default directory, if it can be used: the directory around it must be there, made by whoever installed the service.
fn default_place(delivery: &Delivery, data_dir: Option<&Path>) -> Place {
    let (directory, around) = default_directory(data_dir);
    let nowhere = |cause: String| Place::Nowhere(format!("no journal is configured, and {cause}"));
    if !around.is_dir() {
        return nowhere(format!("{} does not exist", around.display()));
    }
    let vfs = match try_out(&directory) {
        Ok(vfs) => vfs,
        Err(error) => return nowhere(format!("{} cannot be used: {error}", directory.display())),
    };
    let kind = match vfs.kind() {
        Ok(FsKind::Volatile) => Err("does not outlive the machine or the container"),
        Ok(FsKind::Network) if !delivery.allow_network_fs => Err("is on a network file system"),
        Ok(_) => Ok(()),
        Err(_) => Err("is on an unknown file system"),
    };
    if let Err(cause) = kind {
        return nowhere(format!("{} {cause}", directory.display()));
    }
    let settings = JournalSettings::default();
    match config(&settings, &vfs) {
        Ok(config) => Place::Disk(Box::new(Disk { vfs, config, settings, name: "journal".to_owned() })),
        Err(error) => nowhere(format!("{}: {error}", directory.display())),
    }
}

/// The default directory, and the one around it.
fn default_directory(data_dir: Option<&Path>) -> (PathBuf, PathBuf) {
    // Best first, and that of the service before any home.
    let around = crate::state::places(data_dir).swap_remove(0).path;
    (crate::state::journal(&around), around)
}

fn try_out(directory: &Path) -> std::io::Result<DiskVfs> {
    let vfs = DiskVfs::open(directory, true)?;
    probe(&vfs, &std::process::id().to_string())?;
    Ok(vfs)
}

fn config(settings: &JournalSettings, vfs: &DiskVfs) -> anyhow::Result<Config> {
    let max_size = match settings.max_size {
        Some(size) => size,
        None => {
            // What the journal holds is its own to use again.
            let room = vfs.space()?.free + occupied(vfs.path());
            (room / 2).clamp(LEAST, 10 * GIB)
        }
    };
    let mut config = Config::sized(max_size);
    if let Some(segment_size) = settings.segment_size {
        config.segment_size = segment_size;
    }
    if let Some(grace) = settings.detach_grace {
        config.detach_grace = grace;
    }
    config.compress = settings.compress;
    config.validate()?;
    Ok(config)
}

/// Bytes of the files in a directory and below. What cannot be read counts nothing.
fn occupied(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let sizes = entries.filter_map(Result::ok).map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => occupied(&entry.path()),
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => 0,
    });
    sizes.sum()
}
