//! A memory control group for one process, in whichever version of control groups there is.

use std::path::{Path, PathBuf};

/// A control group with a memory limit; removed when dropped, which needs its processes to have ended.
#[derive(Debug)]
pub(super) struct MemoryGroup {
    path: PathBuf,
}

impl MemoryGroup {
    /// A new group below the rig's own.
    ///
    /// # Errors
    /// Why there can be none, for a person to read: no memory controller, or no permission.
    pub(super) fn create(limit: u64) -> Result<Self, String> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let mut problem = "no memory controller in /proc/self/cgroup".to_owned();
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(own)) = (parts.next(), parts.next()) else { continue };
            let (mount, file) = match controllers {
                "" => ("/sys/fs/cgroup", "memory.max"),
                named if named.split(',').any(|one| one == "memory") => {
                    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
                }
                _ => continue,
            };
            // In a container the own path may be the host's, while only the own group is mounted.
            for parent in [Path::new(mount).join(own.trim_start_matches('/')), PathBuf::from(mount)] {
                match Self::below(&parent, file, limit) {
                    Ok(group) => return Ok(group),
                    Err(error) => problem = error,
                }
            }
        }
        Err(problem)
    }

    fn below(parent: &Path, file: &str, limit: u64) -> Result<Self, String> {
        let path = parent.join(format!("sluice-rig-{}", std::process::id()));
        let named = |error: std::io::Error| format!("{}: {error}", path.display());
        // A file system that makes the folder but no control files in it is none of control groups.
        if !parent.join("cgroup.procs").exists() {
            return Err(format!("{} is no control group", parent.display()));
        }
        std::fs::create_dir(&path).map_err(named)?;
        let group = Self { path: path.clone() };
        let limited = group.path.join(file);
        if !limited.exists() {
            return Err(format!("{} does not exist: no memory controller there", limited.display()));
        }
        std::fs::write(&limited, limit.to_string()).map_err(named)?;
        // Where swap is counted, there is none beyond.
        let _ = std::fs::write(group.path.join("memory.swap.max"), "0");
        Ok(group)
    }

    /// Where a process writes its id to be in the group.
    pub(super) fn processes(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.path);
    }
}
