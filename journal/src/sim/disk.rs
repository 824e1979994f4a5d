//! The simulated disk. What was written is visible at once, and durable once it was synced; a crash keeps any part of the
//! rest.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::image::Image;
use super::random::Random;

/// What can go wrong, per thousand calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub read_error: u64,
    pub write_error: u64,
    pub short_write: u64,
    /// The sync fails, and the pages count as clean afterwards.
    pub sync_error: u64,
    /// Names: open, rename, unlink, directory sync.
    pub name_error: u64,
    /// The data lands elsewhere in the same file.
    pub misdirected: u64,
    /// Nothing can be changed.
    pub read_only: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Pending {
    Write(u64, Arc<[u8]>),
    Len(u64),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) seen: Image,
    pub(super) durable: Image,
    pub(super) pending: Vec<Pending>,
    /// Blocks of 4 KiB that cannot be read.
    pub(super) broken: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(super) enum NameOp {
    Link(String, u64),
    Unlink(String),
    Rename(String, String, u64),
}

impl NameOp {
    pub(super) fn concerns(&self, dir: &str) -> bool {
        let inside = |path: &str| path.rsplit_once('/').map_or("", |(dir, _)| dir) == dir;
        match self {
            NameOp::Link(path, _) | NameOp::Unlink(path) => inside(path),
            NameOp::Rename(from, to, _) => inside(from) || inside(to),
        }
    }

    pub(super) fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            NameOp::Link(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            NameOp::Unlink(path) => {
                names.remove(path);
            }
            NameOp::Rename(from, to, inode) => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) names: BTreeMap<String, u64>,
    pub(super) durable_names: BTreeMap<String, u64>,
    pub(super) pending_names: Vec<NameOp>,
    pub(super) next_inode: u64,
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) capacity: u64,
    /// Used by others.
    pub(super) neighbour: u64,
    pub(super) calls: u64,
    /// From this call on nothing works any more.
    pub(super) crash_at: u64,
    pub(super) locked: bool,
}

type Hook = Arc<dyn Fn(SimDisk) + Send + Sync>;

/// A handle to the disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    disk: Arc<Mutex<Disk>>,
    /// Shown a copy of the disk before every call.
    hook: Option<Hook>,
}

pub(super) fn error(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, "simulated")
}

/// What kind of call fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Read,
    Write,
    Sync,
    Name,
}

impl SimDisk {
    pub fn new(random: Random, capacity: u64) -> Self {
        let disk = Disk {
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            next_inode: 1,
            random,
            faults: Faults::default(),
            capacity,
            neighbour: 0,
            calls: 0,
            crash_at: u64::MAX,
            locked: false,
        };
        SimDisk { disk: Arc::new(Mutex::new(disk)), hook: None }
    }

    /// The same disk, watched.
    pub fn watched(&self, hook: impl Fn(SimDisk) + Send + Sync + 'static) -> Self {
        SimDisk { disk: Arc::clone(&self.disk), hook: Some(Arc::new(hook)) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A disk of its own with the same contents, durable and not.
    pub fn copy(&self) -> SimDisk {
        SimDisk { disk: Arc::new(Mutex::new(self.lock().clone())), hook: None }
    }

    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Others take this much of the disk.
    pub fn set_neighbour(&self, bytes: u64) {
        self.lock().neighbour = bytes;
    }

    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Nothing works from this many calls on.
    pub fn crash_after(&self, calls: u64) {
        let mut disk = self.lock();
        disk.crash_at = disk.calls + calls;
    }

    /// The power fails: of what was not durable, any part may survive.
    pub fn crash(&self, mut random: Random) {
        let mut disk = self.lock();
        let disk = &mut *disk;
        let (survive, sector) = ([0, 500, 900, 1000][random.below(4) as usize], [512, 4096][random.below(2) as usize]);
        for inode in disk.inodes.values_mut() {
            let mut pending = std::mem::take(&mut inode.pending);
            if random.chance(300) {
                // Reordered.
                for index in (1..pending.len()).rev() {
                    pending.swap(index, random.below(index as u64 + 1) as usize);
                }
            }
            for op in pending {
                match op {
                    Pending::Len(len) if random.chance(survive) => inode.durable.set_len(len),
                    Pending::Len(_) => {}
                    Pending::Write(offset, data) => {
                        tear(&mut inode.durable, offset, &data, sector, |_| random.chance(survive));
                    }
                }
            }
        }
        for op in std::mem::take(&mut disk.pending_names) {
            if random.chance(survive) {
                op.apply(&mut disk.durable_names);
            }
        }
        disk.restart();
    }

    /// The process dies and the machine goes on: everything written stays.
    pub fn kill(&self) {
        let mut disk = self.lock();
        disk.crash_at = u64::MAX;
        disk.locked = false;
    }

    /// Turns some bits of one byte, on the disk and in memory.
    pub fn flip(&self, path: &str, offset: u64, mask: u8) {
        let mut disk = self.lock();
        let Some(&inode) = disk.names.get(path) else { return };
        if let Some(inode) = disk.inodes.get_mut(&inode) {
            inode.seen.flip(offset, mask);
            inode.durable.flip(offset, mask);
        }
    }

    /// Makes a block of 4 KiB unreadable.
    pub fn break_block(&self, path: &str, block: u64) {
        let mut disk = self.lock();
        let Some(&inode) = disk.names.get(path) else { return };
        if let Some(inode) = disk.inodes.get_mut(&inode) {
            inode.broken.push(block);
        }
    }

    /// Cuts a file, whoever has it open.
    pub fn cut(&self, path: &str, len: u64) {
        let mut disk = self.lock();
        let Some(&inode) = disk.names.get(path) else { return };
        if let Some(inode) = disk.inodes.get_mut(&inode) {
            inode.seen.set_len(len);
            inode.durable.set_len(len);
        }
    }

    /// Takes a file away.
    pub fn remove(&self, path: &str) {
        let mut disk = self.lock();
        disk.names.remove(path);
        disk.durable_names.remove(path);
    }

    /// Makes two files change names.
    pub fn swap(&self, one: &str, other: &str) {
        let mut disk = self.lock();
        if let (Some(&a), Some(&b)) = (disk.names.get(one), disk.names.get(other)) {
            for (path, inode) in [(one, b), (other, a)] {
                disk.names.insert(path.to_owned(), inode);
                disk.durable_names.insert(path.to_owned(), inode);
            }
        }
    }

    /// All files and their lengths.
    pub fn files(&self) -> Vec<(String, u64)> {
        let disk = self.lock();
        disk.names
            .iter()
            .map(|(path, inode)| (path.clone(), disk.inodes.get(inode).map_or(0, |i| i.seen.len)))
            .collect()
    }

    /// Counts a call; shows the disk to whoever watches; fails as the faults have it.
    pub(super) fn enter(&self, call: Call) -> io::Result<MutexGuard<'_, Disk>> {
        if let Some(hook) = &self.hook
            && call != Call::Read
        {
            hook(self.copy());
        }
        let mut disk = self.lock();
        disk.calls += 1;
        if disk.calls > disk.crash_at {
            return Err(error(io::ErrorKind::BrokenPipe));
        }
        let faults = disk.faults;
        if faults.read_only && call != Call::Read {
            return Err(error(io::ErrorKind::ReadOnlyFilesystem));
        }
        let per_mille = match call {
            Call::Read => faults.read_error,
            Call::Write => faults.write_error,
            Call::Name => faults.name_error,
            Call::Sync => 0,
        };
        if per_mille > 0 && disk.random.chance(per_mille) {
            return Err(error(io::ErrorKind::Other));
        }
        Ok(disk)
    }
}

impl Disk {
    /// What is durable is all there is.
    fn restart(&mut self) {
        self.names = self.durable_names.clone();
        let named: std::collections::BTreeSet<u64> = self.names.values().copied().collect();
        self.inodes.retain(|inode, _| named.contains(inode));
        for inode in self.inodes.values_mut() {
            inode.seen = inode.durable.clone();
        }
        (self.crash_at, self.locked) = (u64::MAX, false);
    }

    pub(super) fn used(&self) -> u64 {
        self.neighbour + self.inodes.values().map(|inode| inode.seen.len).sum::<u64>()
    }

    pub(super) fn grow(&mut self, inode: u64, len: u64) -> io::Result<()> {
        let now = self.inodes.get(&inode).map_or(0, |inode| inode.seen.len);
        let fits = len <= now || self.used() + (len - now) <= self.capacity;
        if fits { Ok(()) } else { Err(error(io::ErrorKind::StorageFull)) }
    }

    /// Forgets files that have no name left, durable or not.
    pub(super) fn forget(&mut self) {
        let Disk { names, durable_names, pending_names, inodes, .. } = self;
        let pending = |inode: &u64| {
            pending_names.iter().any(|op| matches!(op, NameOp::Link(_, i) | NameOp::Rename(_, _, i) if i == inode))
        };
        let named = |inode: &u64| names.values().any(|i| i == inode) || durable_names.values().any(|i| i == inode);
        inodes.retain(|inode, _| named(inode) || pending(inode));
    }
}

/// Writes the sectors that survive.
pub(super) fn tear(image: &mut Image, offset: u64, data: &[u8], sector: u64, mut survives: impl FnMut(u64) -> bool) {
    let mut done = 0;
    while done < data.len() {
        let at = offset + done as u64;
        let chunk = ((sector - at % sector) as usize).min(data.len() - done);
        if survives(at) {
            image.write(&data[done..done + chunk], at);
        }
        done += chunk;
    }
}
