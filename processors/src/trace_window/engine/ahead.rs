//! Looking ahead: the tables are larger than the caches. The memory of several slots is fetched at once here, and would else be
//! waited for again and again.

use smallvec::SmallVec;

use super::Engine;
use crate::trace_window::entry::SlotState;
use crate::trace_window::slab::NONE;
use crate::trace_window::wheel::Alarm;

/// Slots that are looked at together.
pub(super) const GROUP: usize = 32;

impl Engine {
    /// Reads what waking these slots is going to read.
    pub(super) fn look_ahead_of(&self, group: &[Alarm]) {
        let mut read = 0;
        let mut gone: SmallVec<[u64; GROUP]> = SmallVec::new();
        for alarm in group {
            let Alarm::Span(slot) = *alarm else { continue };
            let slot = self.spans.get(slot);
            if slot.held != NONE {
                read ^= self.held.get(slot.held).deadline;
            } else if slot.state != SlotState::Free {
                gone.push(self.span_hash(slot.trace, slot.id));
                read ^= self.traces.get(slot.trace).head;
            }
        }
        for hash in gone {
            read ^= self.span_index.touch(hash);
        }
        std::hint::black_box(read);
    }
}
