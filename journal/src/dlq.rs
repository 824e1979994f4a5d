//! Dead letters: records that a destination will never take, kept in the record format for people to look at, send again or
//! drop (delivery §4.2).
//!
//! Each destination has a directory of files; a letter that goes is marked in place, and a file without letters is deleted.

mod file;
mod stores;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Stamp;
use crate::error::Error;
use crate::format::Uuid;
pub use crate::format::dead::{Cause, STATUS_BYTES};
use crate::names;
use crate::tally::{Items, add_items};
use crate::vfs::Vfs;
use file::LetterFile;

/// Bounds of one destination's dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetterLimits {
    pub max_bytes: u64,
    /// Older ones are dropped.
    pub max_age: Option<Duration>,
}

impl Default for DeadLetterLimits {
    fn default() -> Self {
        DeadLetterLimits { max_bytes: 256 << 20, max_age: Some(Duration::from_secs(168 * 3600)) }
    }
}

/// Whether a letter may be evicted for newer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// Poison: the oldest goes when there is no room.
    Evictable,
    /// The destination failed, not the data: never evicted. Without room, sending has to stop.
    Always,
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Names it within its destination.
    pub id: u64,
    pub cause: Cause,
    pub keep: Keep,
    pub signal: u8,
    pub items: u32,
    pub tenant: u32,
    pub ingest_ms: u64,
    pub context: Bytes,
    /// Empty in lists.
    pub payload: Bytes,
}

/// What had to go: items by signal and tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    pub id: u64,
    pub signal: u8,
    pub items: u32,
    pub tenant: u32,
}

/// The dead letters of one destination.
pub struct DeadLetters {
    name: String,
    dir: String,
    vfs: Arc<dyn Vfs>,
    uuid: Uuid,
    letters: Mutex<Letters>,
}

struct Letters {
    limits: DeadLetterLimits,
    files: Vec<LetterFile>,
    /// Number of the next file.
    next_file: u32,
    next_id: u64,
}

/// A file is closed beyond this.
const FILE_BYTES: u64 = 1 << 20;
/// Letters that one turn of upkeep marks as expired.
const MARKED: usize = 64;

impl DeadLetters {
    /// Reads the letters of a destination. Damage costs what it covers.
    ///
    /// # Errors
    /// I/O.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, uuid: Uuid, name: &str, limits: DeadLetterLimits) -> Result<Self, Error> {
        let dir = format!("{}/{}", names::DEAD_LETTERS, names::encode(name));
        vfs.create_dir(&dir).map_err(Error::io(format!("create {dir}")))?;
        vfs.sync_dir(names::DEAD_LETTERS).map_err(Error::io(format!("create {dir}")))?;
        let mut listed = vfs.list(&dir).map_err(Error::io(format!("list {dir}")))?;
        listed.sort();
        let mut letters = Letters { limits, files: Vec::new(), next_file: 1, next_id: 1 };
        for entry in listed {
            let path = format!("{dir}/{entry}");
            let Some((number, keep)) = file::parse(&entry) else { continue };
            letters.next_file = letters.next_file.max(number + 1);
            let read = LetterFile::read(&*vfs, &uuid, name, path.clone(), number, keep).map_err(Error::io(path))?;
            letters.next_id = letters.next_id.max(read.newest + 1);
            letters.files.push(read);
        }
        Ok(DeadLetters { name: name.to_owned(), dir, vfs, uuid, letters: Mutex::new(letters) })
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_limits(&self, limits: DeadLetterLimits) {
        self.lock().limits = limits;
    }

    /// Puts letters aside. They are durable when this returns; ids and payloads given are taken as they are. Gives what had
    /// to be evicted for them.
    ///
    /// # Errors
    /// [`Error::DeadLettersFull`] if there is no room and nothing may be evicted, and I/O. Nothing was put aside then.
    pub fn park(&self, parked: &[DeadLetter]) -> Result<Vec<Gone>, Error> {
        let mut letters = self.lock();
        let needed: u64 = parked.iter().map(file::size).sum();
        let evicted = self.evict(&mut letters, needed)?;
        for keep in [Keep::Evictable, Keep::Always] {
            let mut batch: Vec<DeadLetter> = parked.iter().filter(|letter| letter.keep == keep).cloned().collect();
            if batch.is_empty() {
                continue;
            }
            for letter in &mut batch {
                letter.id = letters.next_id;
                letters.next_id += 1;
            }
            self.write(&mut letters, keep, &batch)?;
        }
        Ok(evicted)
    }

    /// Writes to the open file of this kind, or to a new one. After a failure the file is closed and a new one is tried.
    fn write(&self, letters: &mut Letters, keep: Keep, batch: &[DeadLetter]) -> Result<(), Error> {
        let mut failed = None;
        for _ in 0..2 {
            let open = letters.files.iter().position(|file| file.keep == keep && file.is_open(FILE_BYTES));
            let index = match open {
                Some(index) => index,
                None => {
                    let number = letters.next_file;
                    letters.next_file += 1;
                    match LetterFile::create(&*self.vfs, &self.uuid, &self.name, &self.dir, number, keep) {
                        Ok(file) => letters.files.push(file),
                        Err(error) => {
                            failed = Some(error);
                            continue;
                        }
                    }
                    letters.files.len() - 1
                }
            };
            match letters.files[index].append(batch) {
                Ok(()) => return Ok(()),
                Err(error) => failed = Some(error),
            }
        }
        let error = failed.unwrap_or_else(|| std::io::ErrorKind::Other.into());
        Err(Error::io(format!("write dead letters of {}", self.name))(error))
    }

    /// Frees room for this many bytes.
    fn evict(&self, letters: &mut Letters, needed: u64) -> Result<Vec<Gone>, Error> {
        let full = || Error::DeadLettersFull(self.name.clone());
        let most = letters.limits.max_bytes;
        let kept: u64 = letters.files.iter().filter(|f| f.keep == Keep::Always).map(|f| f.bytes).sum();
        if kept + needed > most {
            return Err(full());
        }
        let mut evicted = Vec::new();
        while letters.files.iter().map(|file| file.bytes).sum::<u64>() + needed > most {
            let oldest = letters.files.iter().position(|file| file.keep == Keep::Evictable).ok_or_else(full)?;
            evicted.extend(letters.files[oldest].gone());
            self.delete(letters, oldest)?;
        }
        Ok(evicted)
    }

    fn delete(&self, letters: &mut Letters, index: usize) -> Result<(), Error> {
        let path = letters.files[index].path.clone();
        match self.vfs.unlink(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(path)(error)),
            _ => {}
        }
        letters.files.remove(index);
        // A file that comes back after a crash brings letters back, and loses none.
        let _ = self.vfs.sync_dir(&self.dir);
        Ok(())
    }

    /// Letters from an id on, oldest first, without payloads.
    pub fn list(&self, from: u64, most: usize) -> Vec<DeadLetter> {
        let letters = self.lock();
        let mut all: Vec<DeadLetter> = letters.files.iter().flat_map(|file| file.list(from).take(most)).collect();
        all.sort_by_key(|letter| letter.id);
        all.truncate(most);
        all
    }

    /// One letter, whole. `None` if there is none of this id, or if it is damaged.
    ///
    /// # Errors
    /// I/O.
    pub fn read(&self, id: u64) -> Result<Option<DeadLetter>, Error> {
        let letters = self.lock();
        let Some(file) = letters.files.iter().find(|file| file.has(id)) else { return Ok(None) };
        file.load(&*self.vfs, id).map_err(Error::io(file.path.clone()))
    }

    /// Drops a letter; gives what it was.
    ///
    /// # Errors
    /// I/O; the letter is then still there.
    pub fn remove(&self, id: u64) -> Result<Option<Gone>, Error> {
        let mut letters = self.lock();
        let Some(index) = letters.files.iter().position(|file| file.has(id)) else { return Ok(None) };
        let path = letters.files[index].path.clone();
        let gone = letters.files[index].remove(&*self.vfs, id).map_err(Error::io(path))?;
        if letters.files[index].is_empty() {
            self.delete(&mut letters, index)?;
        }
        Ok(gone)
    }

    /// Drops letters; gives what they were. Those that are not there are passed over. One sync for each file.
    ///
    /// # Errors
    /// I/O before anything went. Where it fails later, what went is told.
    pub fn remove_all(&self, ids: &[u64]) -> Result<Vec<Gone>, Error> {
        let mut letters = self.lock();
        let (mut gone, mut index) = (Vec::new(), 0);
        while index < letters.files.len() {
            let file = &mut letters.files[index];
            let own: Vec<u64> = ids.iter().copied().filter(|id| file.has(*id)).collect();
            let all = file.gone();
            let removed = if own.is_empty() {
                index += 1;
                continue;
            } else if own.len() == all.len() {
                self.delete(&mut letters, index).map(|()| all)
            } else {
                index += 1;
                let path = file.path.clone();
                file.remove_all(&*self.vfs, &own).map_err(Error::io(path))
            };
            match removed {
                Ok(removed) => gone.extend(removed),
                Err(error) if gone.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(gone)
    }

    /// Drops what is too old; gives what it was.
    ///
    /// # Errors
    /// I/O.
    pub fn expire(&self, now: &Stamp) -> Result<Vec<Gone>, Error> {
        let mut gone = Vec::new();
        let due: Vec<u64> = {
            let mut letters = self.lock();
            let Some(max_age) = letters.limits.max_age else { return Ok(Vec::new()) };
            let oldest = now.wall_ms().saturating_sub(u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX));
            // A file goes at once if all of it is due; to mark letters one by one takes a sync each.
            while let Some(index) = letters.files.iter().position(|file| file.is_older_than(oldest)) {
                let all = letters.files[index].gone();
                match self.delete(&mut letters, index) {
                    Ok(()) => gone.extend(all),
                    Err(error) if gone.is_empty() => return Err(error),
                    // What went has to be told; the next turn meets the error again.
                    Err(_) => return Ok(gone),
                }
            }
            letters.files.iter().flat_map(|file| file.older_than(oldest)).take(MARKED).collect()
        };
        for id in due {
            match self.remove(id) {
                Ok(removed) => gone.extend(removed),
                Err(error) if gone.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(gone)
    }

    /// The ids of all letters, oldest first.
    pub fn ids(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.lock().files.iter().flat_map(LetterFile::ids).collect();
        ids.sort_unstable();
        ids
    }

    /// Items of all letters, by signal.
    pub fn items(&self) -> Items {
        let mut items = Items::default();
        self.lock().files.iter().for_each(|file| add_items(&mut items, &file.items()));
        items
    }

    /// Bytes of a letter on disk. `None` if there is none of this id.
    pub fn bytes_of(&self, id: u64) -> Option<u64> {
        self.lock().files.iter().find_map(|file| file.bytes_of(id))
    }

    /// Letters, items and bytes on disk.
    pub fn usage(&self) -> (u64, u64, u64) {
        let letters = self.lock();
        let (mut count, mut items) = (0, 0);
        for file in &letters.files {
            let (letters, of_file) = file.totals();
            (count, items) = (count + letters, items + of_file);
        }
        (count, items, letters.files.iter().map(|file| file.bytes).sum())
    }
}

#[cfg(test)]
mod tests;
