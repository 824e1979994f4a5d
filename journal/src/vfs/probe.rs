//! Whether a directory can hold a journal: tried, not guessed (delivery §1.1).

use std::io;

use super::{Open, Vfs, write_full};

/// Writes, syncs, renames, syncs the directory and deletes, in the directory itself. `tag` keeps processes apart that try the
/// same one.
///
/// # Errors
/// What the first of them that fails says. Nothing is left behind then, if that can be helped.
pub fn probe(vfs: &dyn Vfs, tag: &str) -> io::Result<()> {
    let (from, to) = (format!("probe-{tag}.tmp"), format!("probe-{tag}"));
    // Left over from a process of the same tag that was killed just here.
    for name in [&from, &to] {
        let _ = vfs.unlink(name);
    }
    let tried = try_out(vfs, &from, &to);
    for name in [&from, &to] {
        let _ = vfs.unlink(name);
    }
    tried
}

fn try_out(vfs: &dyn Vfs, from: &str, to: &str) -> io::Result<()> {
    let file = vfs.open(from, Open::Create)?;
    write_full(&*file, b"probe", 0)?;
    file.sync()?;
    vfs.rename(from, to)?;
    vfs.sync_dir("")?;
    vfs.unlink(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::disk::DiskVfs;

    #[test]
    fn a_usable_directory_passes_and_nothing_is_left_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let vfs = DiskVfs::open(&folder.path().join("journal"), true).unwrap();
        probe(&vfs, "1").unwrap();
        assert!(vfs.list("").unwrap().is_empty());
    }

    #[test]
    fn one_that_is_gone_does_not_pass() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let vfs = DiskVfs::open(&path, true).unwrap();
        std::fs::remove_dir(&path).unwrap();
        assert!(probe(&vfs, "1").is_err());
    }
}
