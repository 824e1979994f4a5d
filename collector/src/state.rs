//! The state directory: where an instance keeps its admin socket and token, and where commands look for it (experience §2).

use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

/// What systemd sets to the directory of a service.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";
/// Where packages keep state.
const PACKAGED: &str = "/var/lib/sluice";

/// A place for state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    /// Whether it may be made. What a service manager or a package makes is not ours to make.
    may_make: bool,
}

/// Where state may be, best first. What the command line or the service manager names is the only place.
pub fn places(data_dir: Option<&Path>) -> Vec<Place> {
    places_in(data_dir, |name| std::env::var_os(name))
}

fn places_in(data_dir: Option<&Path>, env: impl Fn(&str) -> Option<OsString>) -> Vec<Place> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    if let Some(path) = data_dir {
        return vec![Place { path: path.to_owned(), may_make: true }];
    }
    if let Some(several) = env(STATE_DIRECTORY) {
        let several = several.to_string_lossy().into_owned();
        // systemd separates them by colons.
        let path = PathBuf::from(several.split(':').next().unwrap_or_default());
        return vec![Place { path, may_make: false }];
    }
    let mut places = vec![Place { path: PathBuf::from(PACKAGED), may_make: false }];
    let homes =
        [env("XDG_STATE_HOME").map(PathBuf::from), env("HOME").map(|home| Path::new(&home).join(".local/state"))];
    for home in homes.into_iter().flatten().filter(|home| home.is_absolute()) {
        places.push(Place { path: home.join("sluice"), may_make: true });
    }
    places
}

/// The state directory of a new instance: the first place that can be used, made if need be.
///
/// # Errors
/// None can be used: why not the last one.
pub fn open(data_dir: Option<&Path>) -> anyhow::Result<PathBuf> {
    let mut failed = anyhow!("no place for a state directory");
    for place in places(data_dir) {
        match usable(&place) {
            Ok(()) => return Ok(place.path),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn usable(place: &Place) -> anyhow::Result<()> {
    let path = &place.path;
    if place.may_make && !path.exists() {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("{}", path.display()))?;
    }
    let metadata = std::fs::metadata(path).with_context(|| format!("{}", path.display()))?;
    if !metadata.is_dir() {
        return Err(anyhow!("{} is not a directory", path.display()));
    }
    // Others could put a socket of theirs in the place of ours (security §2, A17).
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(anyhow!("{} belongs to uid {}, not to this process", path.display(), metadata.uid()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(anyhow!("{} may be written by others: use mode 0700", path.display()));
    }
    Ok(())
}

/// The admin socket of an instance.
pub fn socket(directory: &Path) -> PathBuf {
    directory.join("admin.sock")
}

/// The admin token of an instance.
pub fn token(directory: &Path) -> PathBuf {
    directory.join("admin.token")
}

/// Where the journal is if no other place is configured for it.
pub fn journal(directory: &Path) -> PathBuf {
    directory.join("journal")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn paths(data_dir: Option<&str>, env: &[(&str, &str)]) -> Vec<String> {
        let find = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let places = places_in(data_dir.map(Path::new), find);
        places.into_iter().map(|place| place.path.display().to_string()).collect()
    }

    #[test]
    fn who_names_a_place_gets_that_or_none() {
        let env = [("STATE_DIRECTORY", "/s/a:/s/b"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(paths(Some("/d"), &env), ["/d"]);
        assert_eq!(paths(None, &env), ["/s/a"]);
        assert_eq!(paths(None, &env[1..]), [PACKAGED, "/x/sluice", "/h/.local/state/sluice"]);
        assert_eq!(paths(None, &[("STATE_DIRECTORY", ""), ("HOME", "relative")]), [PACKAGED]);
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        assert_eq!(open(Some(&path)).unwrap(), path);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o770)).unwrap();
        assert!(open(Some(&path)).unwrap_err().to_string().contains("others"));
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        assert!(open(Some(&file)).is_err());
    }
}
