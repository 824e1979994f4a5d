//! How much memory there is: the limit of the control group, version 1 or 2, and the machine's RAM.

use std::path::{Path, PathBuf};

/// Reads small files; a trait so that tests bring their own machine.
pub trait Files {
    /// The contents as text, if the file can be read.
    fn read(&self, path: &Path) -> Option<String>;
}

/// The files of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn read(&self, path: &Path) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }
}

/// Version 1 says "no limit" with a number near the largest page-aligned 64-bit one.
const UNLIMITED: u64 = 1 << 60;

/// The memory that this process may use, in bytes: the tightest limit of its control group, else the machine's total; 1 GiB
/// where the kernel says neither.
pub fn available_memory() -> u64 {
    [memory_limit(&SystemFiles), total_memory(&SystemFiles)].into_iter().flatten().min().unwrap_or(1 << 30)
}

/// The limit under which this process runs: the smallest of its control group and all those above. `None` without one.
pub fn memory_limit(files: &dyn Files) -> Option<u64> {
    let groups = files.read(Path::new("/proc/self/cgroup"))?;
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
        if controllers.is_empty() {
            smallest(files, Path::new("/sys/fs/cgroup"), group, "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            smallest(files, Path::new("/sys/fs/cgroup/memory"), group, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    limits.min()
}

/// The smallest limit from a group up to the root of the hierarchy. In a container the group's path is that of the host while
/// only the root is mounted, so what cannot be read is passed over.
fn smallest(files: &dyn Files, mount: &Path, group: &str, name: &str) -> Option<u64> {
    let mut path: PathBuf = mount.join(group.trim_start_matches('/'));
    let mut least = None;
    loop {
        let limit = files.read(&path.join(name)).and_then(|text| text.trim().parse::<u64>().ok());
        least = [least, limit.filter(|&limit| limit < UNLIMITED)].into_iter().flatten().min();
        if path == mount || !path.starts_with(mount) || !path.pop() {
            return least;
        }
    }
}

/// The machine's RAM in bytes.
pub fn total_memory(files: &dyn Files) -> Option<u64> {
    let meminfo = files.read(Path::new("/proc/meminfo"))?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Paths and contents.
    type Tree = &'static [(&'static str, &'static str)];

    pub(in super::super) struct Fixed(pub(in super::super) Tree);

    impl Files for Fixed {
        fn read(&self, path: &Path) -> Option<String> {
            self.0.iter().find(|(known, _)| Path::new(known) == path).map(|(_, text)| (*text).to_owned())
        }
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let cases: [(Tree, Option<u64>); 6] = [
            (&[], None),
            // Version 2, in a container.
            (&[("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "268435456\n")], Some(256 << 20)),
            (&[("/proc/self/cgroup", "0::/a\n"), ("/sys/fs/cgroup/a/memory.max", "max\n")], None),
            // Version 2, limited above.
            (
                &[
                    ("/proc/self/cgroup", "0::/a/b\n"),
                    ("/sys/fs/cgroup/a/b/memory.max", "max"),
                    ("/sys/fs/cgroup/a/memory.max", "1000"),
                    ("/sys/fs/cgroup/memory.max", "2000"),
                ],
                Some(1000),
            ),
            // Version 1 with the host's path, of which only the root is mounted.
            (
                &[
                    ("/proc/self/cgroup", "5:cpu:/x\n4:memory,hugetlb:/docker/1\n"),
                    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "300\n"),
                ],
                Some(300),
            ),
            (
                &[
                    ("/proc/self/cgroup", "4:memory:/\n"),
                    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712"),
                ],
                None,
            ),
        ];
        for (files, expected) in cases {
            assert_eq!(memory_limit(&Fixed(files)), expected, "{files:?}");
        }
        assert_eq!(total_memory(&Fixed(&[("/proc/meminfo", "MemTotal:    2048 kB\nMemFree: 1 kB")])), Some(2 << 20));
    }
}
