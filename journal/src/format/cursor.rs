//! How far a destination got (delivery §3.6): the contents of a cursor slot, and of a CURSOR record, which is what a slot is
//! in a commit group that is written anyway. The one with the highest version counts.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Stamp;
use crate::codec::{Get, Put};

/// Size of a slot of a cursor file.
pub(crate) const CURSOR_SLOT: u64 = 4096;
/// Completions beyond the cursor that a slot can tell, in sequence numbers.
pub(crate) const WINDOW: u64 = 4096;
/// Most suspects at a time.
pub(crate) const MAX_SUSPECTS: usize = 64;
/// More bytes than any encoded state has.
pub(crate) const CURSOR_BYTES: u64 = 128 + WINDOW / 8 + 9 * MAX_SUSPECTS as u64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CursorState {
    /// Index of the destination.
    pub index: u8,
    /// Everything up to here is done, or not for this destination.
    pub committed: u64,
    /// What is done beyond, within the window.
    pub done: BTreeSet<u64>,
    /// The newest record that was handed out.
    pub inflight_high: u64,
    /// The newest record of each chain that was durable when this was written.
    pub durable: [u64; 2],
    /// Since when no component of this name is configured.
    pub detached: Option<Stamp>,
    /// Records handed out one by one after a crash, and how often.
    pub suspects: Vec<(u64, u8)>,
    /// A file of the destination that is planned: first and last record.
    pub plan: Option<(u64, u64)>,
    /// Rises with every state that is written, of whichever destination.
    pub version: u64,
}

impl CursorState {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bitmap = [0u8; (WINDOW / 8) as usize];
        for &seq in self.done.range(self.committed + 1..=self.committed.saturating_add(WINDOW)) {
            let bit = seq - self.committed - 1;
            bitmap[(bit / 8) as usize] |= 1 << (bit % 8);
        }
        let mut put = Put::default();
        put.u8(self.index).u64(self.committed).u64(self.inflight_high).u64s(&self.durable);
        put.u8(u8::from(self.detached.is_some()));
        let detached = self.detached.unwrap_or_default();
        put.u64(detached.boot).u64(detached.boottime.as_millis() as u64).u64(detached.wall.as_millis() as u64);
        put.u8(u8::from(self.plan.is_some()));
        let (first, last) = self.plan.unwrap_or_default();
        put.u64(first).u64(last).bytes(&bitmap);
        let suspects = &self.suspects[..self.suspects.len().min(MAX_SUSPECTS)];
        put.count(suspects.len());
        for (seq, deaths) in suspects {
            put.u64(*seq).u8(*deaths);
        }
        put.u64(self.version);
        put.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut get = Get(bytes);
        let (index, committed, inflight_high, durable) = (get.u8()?, get.u64()?, get.u64()?, get.u64s()?);
        let is_detached = get.u8()? != 0;
        let (boot, boottime, wall) = (get.u64()?, get.u64()?, get.u64()?);
        let stamp = Stamp { boot, boottime: Duration::from_millis(boottime), wall: Duration::from_millis(wall) };
        let is_planned = get.u8()? != 0;
        let plan = (get.u64()?, get.u64()?);
        let bitmap = get.bytes((WINDOW / 8) as usize)?;
        let set = |bit: &u64| bitmap[(bit / 8) as usize] & 1 << (bit % 8) != 0;
        let done = (0..WINDOW).filter(set).filter_map(|bit| committed.checked_add(bit + 1)).collect();
        let count = get.count(9)?;
        let suspects = (0..count).map(|_| Some((get.u64()?, get.u8()?))).collect::<Option<_>>()?;
        let version = get.u64()?;
        Some(CursorState {
            index,
            committed,
            done,
            inflight_high,
            durable,
            detached: is_detached.then_some(stamp),
            suspects,
            plan: is_planned.then_some(plan),
            version,
        })
    }
}
