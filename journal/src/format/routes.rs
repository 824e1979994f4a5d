//! The contents of `ROUTES`: which destination has which index, and which set each route set id stands for.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use crate::codec::{Get, Put};
use crate::route::{Dest, RouteSet};

/// Size of a slot of `ROUTES`.
pub(crate) const ROUTES_SLOT: u64 = 256 << 10;
/// Most route sets at a time.
pub(crate) const MAX_SETS: usize = 4096;
/// Longest name of a destination, in bytes.
pub const NAME_BYTES: usize = 255;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Routes {
    pub names: BTreeMap<u8, String>,
    sets: BTreeMap<u32, RouteSet>,
    ids: HashMap<RouteSet, u32>,
}

impl Routes {
    pub(crate) fn find(&self, name: &str) -> Option<Dest> {
        self.names.iter().find(|(_, known)| *known == name).map(|(&index, _)| Dest(index))
    }

    pub(crate) fn set(&self, id: u32) -> Option<RouteSet> {
        self.sets.get(&id).copied()
    }

    pub(crate) fn id(&self, set: RouteSet) -> Option<u32> {
        self.ids.get(&set).copied()
    }

    /// An id for a new set; ids that `in_use` does not know may be given away if the table is full.
    pub(crate) fn insert(&mut self, set: RouteSet, in_use: impl Fn(u32) -> bool) -> Option<u32> {
        if self.sets.len() >= MAX_SETS {
            self.sets.retain(|&id, _| in_use(id));
            self.ids.retain(|_, id| in_use(*id));
        }
        if self.sets.len() >= MAX_SETS {
            return None;
        }
        let id = (1..).find(|id| !self.sets.contains_key(id))?;
        self.define(id, set);
        Some(id)
    }

    /// Learns what an id stands for from where it is written again. What is known wins.
    pub(crate) fn define(&mut self, id: u32, set: RouteSet) {
        if let Entry::Vacant(entry) = self.sets.entry(id) {
            entry.insert(set);
            self.ids.entry(set).or_insert(id);
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut put = Put::default();
        put.count(self.names.len());
        for (index, name) in &self.names {
            put.u8(*index).count(name.len()).bytes(name.as_bytes());
        }
        put.count(self.sets.len());
        for (id, set) in &self.sets {
            put.u32(*id).u64s(&set.0);
        }
        put.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut get = Get(bytes);
        let mut routes = Routes::default();
        for _ in 0..get.count(5)? {
            let (index, len) = (get.u8()?, get.count(1)?);
            routes.names.insert(index, String::from_utf8(get.bytes(len)?.to_vec()).ok()?);
        }
        for _ in 0..get.count(36)? {
            routes.define(get.u32()?, RouteSet(get.u64s()?));
        }
        Some(routes)
    }
}
