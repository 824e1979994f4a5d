//! How much memory this process may use.

use std::fs;
use std::path::Path;

/// The memory that this process may use, in bytes: the tightest limit of its cgroup (v2 or v1), else the machine's total. 1 GiB
/// where the kernel says neither.
pub fn available_memory() -> u64 {
    limit_below(Path::new("/"))
}

/// The same, with the kernel's files below `root`.
fn limit_below(root: &Path) -> u64 {
    let total = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| mem_total(&text));
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        match controllers {
            "" => tightest(&root.join("sys/fs/cgroup"), path, "memory.max"),
            list if list.split(',').any(|name| name == "memory") => {
                tightest(&root.join("sys/fs/cgroup/memory"), path, "memory.limit_in_bytes")
            }
            _ => None,
        }
    });
    limits.chain(total).min().unwrap_or(1 << 30)
}

/// The lowest limit from a group up to the root: each level binds. In a container the group's own path may not be visible; its
/// files are then at the mount's root.
fn tightest(mount: &Path, group: &str, file: &str) -> Option<u64> {
    let mut path = mount.join(group.trim_start_matches('/'));
    let mut lowest = None;
    loop {
        let limit = fs::read_to_string(path.join(file)).ok().and_then(|text| text.trim().parse::<u64>().ok());
        // v1 writes "no limit" as a number near the top.
        let limit = limit.filter(|&bytes| bytes < 1 << 60);
        lowest = match (lowest, limit) {
            (Some(a), Some(b)) => Some(std::cmp::min(a, b)),
            (a, b) => a.or(b),
        };
        if path == mount || !path.pop() || !path.starts_with(mount) {
            return lowest;
        }
    }
}

fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("sluice-available-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const TOTAL: (&str, &str) = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n");

    #[test]
    fn the_tightest_limit_binds() {
        let v2 = [
            TOTAL,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.max", "1048576\n"),
        ];
        let v1 = [
            TOTAL,
            ("proc/self/cgroup", "5:cpu:/x\n4:memory,other:/docker/1\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2097152\n"),
        ];
        let unlimited = [TOTAL, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")];
        let cases = [("v2", &v2[..], 1 << 20), ("v1", &v1[..], 2 << 20), ("none", &unlimited[..], 8 << 30)];
        for (name, files, expected) in cases {
            let root = machine(name, files);
            assert_eq!(limit_below(&root), expected, "{name}");
            fs::remove_dir_all(root).unwrap();
        }
        assert_eq!(limit_below(Path::new("/nowhere")), 1 << 30);
    }
}
