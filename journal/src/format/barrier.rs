//! The record that ends a commit group: how many records it has, and what is needed to read them if `ROUTES` is lost.

use crate::codec::{Get, Put};
use crate::route::RouteSet;
use crate::tally::{Items, SIGNALS};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Barrier {
    /// Records of the group, this one not counted.
    pub records: u32,
    /// Checksum over their headers' checksums, in order.
    pub crc: u32,
    /// Items of all groups of this segment up to here.
    pub items: Items,
    /// Route sets that appear for the first time in this segment.
    pub routes: Vec<(u32, RouteSet)>,
}

impl Barrier {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut put = Put(Vec::with_capacity(Self::len(self.routes.len()) as usize));
        put.u32(self.records).u32(self.crc).u64s(&self.items).count(self.routes.len());
        for (id, set) in &self.routes {
            put.u32(*id).u64s(&set.0);
        }
        put.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut get = Get(bytes);
        let (records, crc, items) = (get.u32()?, get.u32()?, get.u64s::<SIGNALS>()?);
        let count = get.count(36)?;
        let routes = (0..count).map(|_| Some((get.u32()?, RouteSet(get.u64s()?)))).collect::<Option<_>>()?;
        Some(Barrier { records, crc, items, routes })
    }

    /// Length of one with this many route sets.
    pub(crate) fn len(routes: usize) -> u64 {
        (12 + SIGNALS * 8 + routes * 36) as u64
    }
}
