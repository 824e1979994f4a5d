//! The calls that a journal makes to the simulated disk.

use std::any::Any;
use std::io;
use std::sync::Arc;

use super::disk::{Call, Inode, NameOp, Pending, SimDisk, error, tear};
use crate::vfs::{LockError, Open, Space, Vfs, VfsFile};

impl Vfs for SimDisk {
    fn open(&self, path: &str, how: Open) -> io::Result<Arc<dyn VfsFile>> {
        let mut disk = self.enter(if how == Open::Create { Call::Name } else { Call::Read })?;
        let inode = match (disk.names.get(path).copied(), how) {
            (Some(_), Open::Create) => return Err(error(io::ErrorKind::AlreadyExists)),
            (Some(inode), _) => inode,
            (None, Open::Create) => {
                let inode = disk.next_inode;
                disk.next_inode += 1;
                disk.inodes.insert(inode, Inode::default());
                disk.names.insert(path.to_owned(), inode);
                disk.pending_names.push(NameOp::Link(path.to_owned(), inode));
                inode
            }
            (None, _) => return Err(error(io::ErrorKind::NotFound)),
        };
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let disk = self.enter(Call::Read)?;
        let prefix = format!("{dir}/");
        let inside = disk.names.keys().filter_map(|path| path.strip_prefix(&prefix)).filter(|name| !name.contains('/'));
        Ok(inside.map(str::to_owned).collect())
    }

    fn create_dir(&self, _dir: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.enter(Call::Name)?;
        let inode = disk.names.remove(from).ok_or_else(|| error(io::ErrorKind::NotFound))?;
        disk.names.insert(to.to_owned(), inode);
        disk.pending_names.push(NameOp::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        let mut disk = self.enter(Call::Name)?;
        disk.names.remove(path).ok_or_else(|| error(io::ErrorKind::NotFound))?;
        disk.pending_names.push(NameOp::Unlink(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut disk = self.enter(Call::Name)?;
        let disk = &mut *disk;
        let (synced, left): (Vec<NameOp>, Vec<NameOp>) =
            std::mem::take(&mut disk.pending_names).into_iter().partition(|op| op.concerns(dir));
        synced.iter().for_each(|op| op.apply(&mut disk.durable_names));
        disk.pending_names = left;
        disk.forget();
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        let disk = self.enter(Call::Read)?;
        Ok(Space { free: disk.capacity.saturating_sub(disk.used()), total: disk.capacity })
    }

    fn lock(&self, _path: &str) -> Result<Box<dyn Any + Send + Sync>, LockError> {
        let mut disk = self.lock();
        if std::mem::replace(&mut disk.locked, true) {
            return Err(LockError::Held(None));
        }
        Ok(Box::new(Held(self.clone())))
    }
}

struct Held(SimDisk);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock().locked = false;
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
}

impl VfsFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        let disk = self.disk.enter(Call::Read)?;
        Ok(disk.inodes.get(&self.inode).map_or(0, |inode| inode.seen.len))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.disk.enter(Call::Read)?;
        let Some(inode) = disk.inodes.get(&self.inode) else { return Ok(0) };
        let blocks = offset / 4096..(offset + buf.len() as u64).div_ceil(4096);
        if inode.broken.iter().any(|block| blocks.contains(block)) {
            return Err(error(io::ErrorKind::Other));
        }
        Ok(inode.seen.read(buf, offset))
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.disk.enter(Call::Write)?;
        let disk = &mut *disk;
        let short = disk.faults.short_write;
        let data = if data.len() > 1 && short > 0 && disk.random.chance(short) {
            &data[..1 + disk.random.below(data.len() as u64 - 1) as usize]
        } else {
            data
        };
        disk.grow(self.inode, offset + data.len() as u64)?;
        let misdirected = disk.faults.misdirected > 0 && disk.random.chance(disk.faults.misdirected);
        let len = disk.inodes.get(&self.inode).map_or(0, |inode| inode.seen.len);
        let at = match misdirected {
            // Somewhere else within the file.
            true => disk.random.below(len.saturating_sub(data.len() as u64) / 512 + 1) * 512,
            false => offset,
        };
        if let Some(inode) = disk.inodes.get_mut(&self.inode) {
            inode.seen.write(data, at);
            inode.pending.push(Pending::Write(at, data.into()));
        }
        Ok(data.len())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut disk = self.disk.enter(Call::Write)?;
        disk.grow(self.inode, len)?;
        if let Some(inode) = disk.inodes.get_mut(&self.inode)
            && inode.seen.len < len
        {
            inode.seen.set_len(len);
            inode.pending.push(Pending::Len(len));
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut disk = self.disk.enter(Call::Write)?;
        disk.grow(self.inode, len)?;
        if let Some(inode) = disk.inodes.get_mut(&self.inode) {
            inode.seen.set_len(len);
            inode.pending.push(Pending::Len(len));
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.enter(Call::Sync)?;
        let disk = &mut *disk;
        let per_mille = disk.faults.sync_error;
        let fails = per_mille > 0 && disk.random.chance(per_mille);
        let Some(inode) = disk.inodes.get_mut(&self.inode) else { return Ok(()) };
        for op in std::mem::take(&mut inode.pending) {
            match op {
                Pending::Len(len) => inode.durable.set_len(len),
                Pending::Write(offset, data) => {
                    // After a failure the pages count as clean: what did not make it is never written again.
                    tear(&mut inode.durable, offset, &data, 512, |_| !fails || disk.random.chance(500));
                }
            }
        }
        if fails { Err(error(io::ErrorKind::Other)) } else { Ok(()) }
    }
}
