//! The file system as an argument: everything the journal does to a disk goes through these two traits.
//!
//! [`disk`] is the real one. The simulation has one that keeps what is durable apart from what is merely written.

mod direct;
pub mod disk;
mod pages;
mod probe;

pub use pages::DiskPage;
pub use probe::probe;

use std::any::Any;
use std::io;
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Must exist; read only.
    Read,
    /// Must exist.
    Write,
    /// Must not exist.
    Create,
}

/// Room on the file system, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    pub free: u64,
    pub total: u64,
}

/// Why the directory could not be locked.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds it, with this pid where it is known.
    Held(Option<u32>),
    Io(io::Error),
}

/// A directory tree. Paths are relative to the journal's directory, `/`-separated, and never contain `..`.
pub trait Vfs: Send + Sync {
    fn open(&self, path: &str, how: Open) -> io::Result<Arc<dyn VfsFile>>;

    /// Opens a file of zeros that is to be written once, from its beginning on. Where the system can, what is written goes past
    /// the page cache: nobody reads it soon, and the pages would cost more than the writing.
    fn open_log(&self, path: &str) -> io::Result<Arc<dyn VfsFile>> {
        self.open(path, Open::Write)
    }

    /// Names in a directory, without order.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Makes a directory; one that exists is fine.
    fn create_dir(&self, dir: &str) -> io::Result<()>;

    /// Replaces what `to` names.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn unlink(&self, path: &str) -> io::Result<()>;

    /// Makes the entries of a directory durable. `""` is the journal's own.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    fn space(&self) -> io::Result<Space>;

    /// An exclusive lock that ends with the returned value, or with the process.
    fn lock(&self, path: &str) -> Result<Box<dyn Any + Send + Sync>, LockError>;
}

/// An open file. Reads and writes name their offset, and may be short.
pub trait VfsFile: Send + Sync {
    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Zero only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<usize>;

    /// Writes parts one behind the other, as if they were one.
    fn write_parts_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<usize> {
        self.write_at(&parts.concat(), offset)
    }

    /// Sets the length, with blocks behind every byte and zeros in the new ones.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Cuts the file.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// `fdatasync`: contents and length are durable when it returns `Ok`.
    fn sync(&self) -> io::Result<()>;
}

/// Fills `buf`, or as much of it as the file has.
pub(crate) fn read_full(file: &dyn VfsFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match file.read_at(&mut buf[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read.min(buf.len() - filled),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes all parts; a short write is continued, an error is not.
pub(crate) fn write_parts_full(file: &dyn VfsFile, parts: &[&[u8]], offset: u64) -> io::Result<()> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    match file.write_parts_at(parts, offset) {
        Ok(wrote) if wrote >= len => Ok(()),
        Ok(0) if len > 0 => Err(io::ErrorKind::WriteZero.into()),
        Ok(wrote) => write_full(file, &parts.concat()[wrote..], offset + wrote as u64),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => write_full(file, &parts.concat(), offset),
        Err(error) => Err(error),
    }
}

/// Writes all of `data`; a short write is continued, an error is not.
pub(crate) fn write_full(file: &dyn VfsFile, data: &[u8], offset: u64) -> io::Result<()> {
    let mut written = 0;
    while written < data.len() {
        match file.write_at(&data[written..], offset + written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(wrote) => written += wrote,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
