//! A file of two slots, written in turn. After a failed write the same slot is written again, through a new file handle:
//! the other one is the last that is known to be durable. So is a slot that was written without a sync.
//!
//! What a new process reads may be nothing but memory of the kernel, if a sync failed before the old process ended: the slot
//! that is read is written once more, as it is, before anything relies on it.

use std::io;
use std::sync::Arc;

use crate::bugs::{Bug, Bugs};
use crate::format::slot::{SLOT_HEADER, Slot};
use crate::format::{Uuid, VERSION};
use crate::vfs::{Open, Vfs, VfsFile, read_full, write_full};

/// Two slots and which of them is current.
pub(crate) struct SlotFile {
    path: String,
    slot_len: u64,
    generation: u64,
    current: u64,
    /// The current slot, if it is not known to be durable.
    unsettled: Option<Vec<u8>>,
    /// `None` after a failure: never again through that handle.
    file: Option<Arc<dyn VfsFile>>,
}

impl SlotFile {
    /// Makes the file with both slots empty. Its directory is for the caller to sync.
    pub(crate) fn create(vfs: &dyn Vfs, path: &str, slot_len: u64) -> io::Result<Self> {
        let file = vfs.open(path, Open::Create)?;
        file.allocate(2 * slot_len)?;
        file.sync()?;
        Ok(SlotFile { path: path.to_owned(), slot_len, generation: 0, current: 1, unsettled: None, file: Some(file) })
    }

    /// Opens the file and reads the newest valid slot. `None` for the slot if neither is valid: the file can still be
    /// written. Slots that `fits` refuses count as invalid.
    pub(crate) fn open(
        vfs: &dyn Vfs,
        path: &str,
        slot_len: u64,
        fits: impl Fn(&Slot) -> bool,
    ) -> io::Result<(Self, Option<Slot>)> {
        let file = vfs.open(path, Open::Write)?;
        let mut best: Option<(u64, Slot)> = None;
        let mut seen = 0;
        for at in 0..2 {
            let Some(slot) = read_slot(&*file, at * slot_len, slot_len) else { continue };
            seen = seen.max(slot.generation);
            if fits(&slot) && best.as_ref().is_none_or(|(_, other)| slot.generation > other.generation) {
                best = Some((at, slot));
            }
        }
        let (current, slot) = best.map_or((1, None), |(at, slot)| (at, Some(slot)));
        // The file may have been cut: it must have room for both slots before it is written in place.
        if file.size()? < 2 * slot_len && slot.as_ref().is_none_or(|slot| slot.version <= VERSION) {
            let _ = file.allocate(2 * slot_len);
        }
        let unsettled = slot.as_ref().map(|slot| Slot::encode(slot.generation, &slot.uuid, &slot.payload));
        let path = path.to_owned();
        Ok((SlotFile { path, slot_len, generation: seen, current, unsettled, file: Some(file) }, slot))
    }

    /// Makes sure that the current slot is durable.
    pub(crate) fn settle(&mut self, vfs: &dyn Vfs) -> io::Result<()> {
        let Some(bytes) = self.unsettled.take() else { return Ok(()) };
        let settled = self.put(vfs, &bytes, self.current, true);
        if settled.is_err() {
            self.unsettled = Some(bytes);
        }
        settled
    }

    fn put(&mut self, vfs: &dyn Vfs, bytes: &[u8], slot: u64, sync: bool) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => vfs.open(&self.path, Open::Write)?,
        };
        write_full(&*file, bytes, slot * self.slot_len)?;
        if sync {
            file.sync()?;
        }
        self.file = Some(file);
        Ok(())
    }

    /// Writes the older slot and syncs. On an error the current slot stays as it was.
    pub(crate) fn write(&mut self, vfs: &dyn Vfs, uuid: &Uuid, payload: &[u8]) -> io::Result<()> {
        let target = self.renew(vfs, uuid, payload, true)?;
        self.current = target;
        Ok(())
    }

    /// Writes the older slot, which a process that is killed leaves to the next one, and a machine without power does not. The
    /// current slot stays as it was, and the older one is written again the next time.
    pub(crate) fn write_unsynced(&mut self, vfs: &dyn Vfs, uuid: &Uuid, payload: &[u8], bugs: Bugs) -> io::Result<()> {
        let target = self.renew(vfs, uuid, payload, false)?;
        if bugs.has(Bug::UnsyncedOverSynced) {
            self.current = target;
        }
        Ok(())
    }

    /// Gives the slot that was written.
    fn renew(&mut self, vfs: &dyn Vfs, uuid: &Uuid, payload: &[u8], sync: bool) -> io::Result<u64> {
        if (payload.len() + SLOT_HEADER) as u64 > self.slot_len {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is full", self.path)));
        }
        self.settle(vfs)?;
        let target = 1 - self.current;
        // Never the generation of a slot whose fate is unknown.
        self.generation += 1;
        self.put(vfs, &Slot::encode(self.generation, uuid, payload), target, sync)?;
        Ok(target)
    }
}

fn read_slot(file: &dyn VfsFile, offset: u64, slot_len: u64) -> Option<Slot> {
    let mut bytes = vec![0; SLOT_HEADER];
    read_patiently(file, &mut bytes, offset)?;
    let len = Slot::payload_len(&bytes).filter(|len| (len + SLOT_HEADER) as u64 <= slot_len)?;
    bytes.resize(SLOT_HEADER + len, 0);
    read_patiently(file, &mut bytes, offset)?;
    Slot::decode(&bytes)
}

/// At start, a read error is tried again: giving up means damage.
fn read_patiently(file: &dyn VfsFile, buf: &mut [u8], offset: u64) -> Option<()> {
    (0..crate::scan::PATIENCE).find_map(|_| read_full(file, buf, offset).ok().filter(|&read| read == buf.len()))?;
    Some(())
}
