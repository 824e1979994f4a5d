//! The machine's file system, by system calls relative to the journal's directory. Links are never followed.

use std::any::Any;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::{self, AtFlags, Dir, FallocateFlags, FlockOperation, Mode, OFlags};

use super::direct::DirectFile;
use super::pages::Pages;
use super::{LockError, Open, Space, Vfs, VfsFile, read_full, write_full};

/// A directory on disk.
#[derive(Debug)]
pub struct DiskVfs {
    root: OwnedFd,
    path: PathBuf,
    pages: Arc<Mutex<Pages>>,
}

/// What kind of file system a directory is on, as far as that matters for durability (delivery §1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsKind {
    Durable,
    /// tmpfs, ramfs, overlayfs: gone with the machine or the container.
    Volatile,
    /// NFS, SMB, Ceph, 9p, FUSE: flushes are another machine's promise.
    Network,
}

const DIR_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

impl DiskVfs {
    /// Opens the directory; `create` makes it (0700) and its parents.
    ///
    /// # Errors
    /// Besides I/O: a directory that is a link, that is not ours, or that others may write to (security §2, A17).
    pub fn open(path: &Path, create: bool) -> io::Result<Self> {
        if create && !path.exists() {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            match fs::mkdir(path, DIR_MODE) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = fs::open(path, flags, Mode::empty())?;
        let stat = fs::fstat(&root)?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            let text = format!("{} belongs to uid {}, not to this process", path.display(), stat.st_uid);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        if Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH) {
            let text = format!("{} may be written by others: use mode 0700", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(DiskVfs { root, path: path.to_owned(), pages: Arc::default() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kind of file system, by its magic number.
    ///
    /// # Errors
    /// I/O.
    pub fn kind(&self) -> io::Result<FsKind> {
        // The numbers of statfs(2).
        Ok(match fs::fstatfs(&self.root)?.f_type as u32 {
            0x0102_1994 | 0x8584_58f6 | 0x794c_7630 => FsKind::Volatile,
            0x6969 | 0x517b | 0xff53_4d42 | 0xfe53_4d42 | 0x00c3_6400 | 0x0102_1997 | 0x6573_5546 | 0x5346_414f => {
                FsKind::Network
            }
            _ => FsKind::Durable,
        })
    }

    fn at(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(fs::openat(&self.root, path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, FILE_MODE)?)
    }

    fn dir(&self, dir: &str) -> io::Result<OwnedFd> {
        self.at(if dir.is_empty() { "." } else { dir }, OFlags::RDONLY | OFlags::DIRECTORY)
    }
}

impl Vfs for DiskVfs {
    fn open(&self, path: &str, how: Open) -> io::Result<Arc<dyn VfsFile>> {
        let flags = match how {
            Open::Read => OFlags::RDONLY,
            Open::Write => OFlags::RDWR,
            Open::Create => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        let fd = self.at(path, flags)?;
        if !fs::FileType::from_raw_mode(fs::fstat(&fd)?.st_mode).is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path} is not a regular file")));
        }
        Ok(Arc::new(DiskFile(fd)))
    }

    fn open_log(&self, path: &str) -> io::Result<Arc<dyn VfsFile>> {
        let fd = self.at(path, OFlags::RDWR)?;
        // Not every file system knows the flag.
        Ok(match self.at(path, OFlags::WRONLY | OFlags::DIRECT) {
            Ok(direct) => Arc::new(DirectFile::new(DiskFile(fd), direct, Arc::clone(&self.pages))),
            Err(_) => Arc::new(DiskFile(fd)),
        })
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(self.dir(dir)?)? {
            let entry = entry?;
            // Names that are not UTF-8 are none of ours.
            if let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        match fs::mkdirat(&self.root, dir, DIR_MODE) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.root, from, &self.root, to)?)
    }

    /// A large file goes in slices. A file system may tell the disk of all blocks that became free (`discard`), and the disk
    /// does nothing else meanwhile: for 64 MiB that can take as long as many syncs.
    fn unlink(&self, path: &str) -> io::Result<()> {
        // What cannot be opened goes at once.
        let opened = self.at(path, OFlags::RDWR).ok();
        let large = opened.and_then(|fd| Some((fs::fstat(&fd).ok().filter(|stat| stat.st_nlink == 1)?.st_size, fd)));
        fs::unlinkat(&self.root, path, AtFlags::empty())?;
        if let Some((size, fd)) = large {
            let mut left = u64::try_from(size).unwrap_or(0);
            while left > SLICE {
                left -= SLICE;
                if fs::ftruncate(&fd, left).is_err() {
                    // Without its name it goes anyway.
                    break;
                }
            }
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        Ok(fs::fsync(self.dir(dir)?)?)
    }

    fn space(&self) -> io::Result<Space> {
        let stat = fs::fstatvfs(&self.root)?;
        Ok(Space {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    fn lock(&self, path: &str) -> Result<Box<dyn Any + Send + Sync>, LockError> {
        let fd = self.at(path, OFlags::RDWR | OFlags::CREATE).map_err(LockError::Io)?;
        let file = DiskFile(fd);
        match fs::flock(&file.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = [0; 16];
                let read = read_full(&file, &mut text, 0).unwrap_or(0);
                let pid = std::str::from_utf8(&text[..read]).ok().and_then(|text| text.trim().parse().ok());
                return Err(LockError::Held(pid));
            }
            Err(error) => return Err(LockError::Io(error.into())),
        }
        // Only to be read by people: the lock is the flock. A disk without room for it is no reason to stop.
        let pid = format!("{:<15}\n", std::process::id());
        let _ = write_full(&file, pid.as_bytes(), 0);
        Ok(Box::new(file))
    }
}

#[derive(Debug)]
pub(super) struct DiskFile(OwnedFd);

/// Most that becomes free at once of a file that is deleted.
const SLICE: u64 = 2 << 20;

/// Written where a file system cannot preallocate.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl VfsFile for DiskFile {
    fn size(&self) -> io::Result<u64> {
        Ok(u64::try_from(fs::fstat(&self.0)?.st_size).unwrap_or(0))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pread(&self.0, buf, offset)?)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwrite(&self.0, data, offset)?)
    }

    fn write_parts_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<usize> {
        super::direct::write_parts(&self.0, parts, offset)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let from = self.size()?;
        if from >= len {
            return Ok(());
        }
        match fs::fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP) => {
                let mut at = from;
                while at < len {
                    let chunk = (len - at).min(ZEROS.len() as u64) as usize;
                    write_full(self, &ZEROS[..chunk], at)?;
                    at += chunk as u64;
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        Ok(fs::ftruncate(&self.0, len)?)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fs::fdatasync(&self.0)?)
    }
}
