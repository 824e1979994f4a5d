//! The segments being written: opening one, sealing it, giving it up (delivery §3.2, §3.5).

use std::sync::Arc;

use crate::error::Error;
use crate::format::footer::Contents;
use crate::format::segment::SegmentHeader;
use crate::format::{Chain, PAGE, SegNo};
use crate::journal::Inner;
use crate::names;
use crate::observer::Event;
use crate::segment::{self, seal};
use crate::state::Segment;
use crate::tally::SIGNALS;
use crate::vfs::Open;
use crate::writer::{Active, Writer};

impl Inner {
    /// Never again through this handle: what is durable stays readable, and the next segment supersedes the rest.
    pub(crate) fn abandon(&self, writer: &mut Writer, chain: Chain, error: &Error) {
        let Some(active) = writer.active[chain as usize].take() else { return };
        let path = active.file.path.clone();
        self.observer.event(&Event::WriteFailed { segment: path, error: error.to_string() });
        let no = active.file.header.no;
        let mut state = self.lock();
        let Some(segment) = state.segment_mut(no) else { return };
        segment.active = false;
        if segment.contents.last_seq == 0 {
            // Nothing in it counts. Its number is never used again.
            let size = segment.size;
            state.chains[chain as usize].retain(|segment| segment.no() != no);
            state.garbage.push((active.file.path.clone(), size));
        }
    }

    /// Seals the segment being written, if there is one.
    pub(crate) fn roll(&self, chain: Chain) -> Result<(), Error> {
        let rolled = self.roll_locked(&mut self.lock_writer(), chain);
        // Its records may all be done.
        self.upkeep.ask();
        rolled
    }

    /// The same for who has the writer, and asks for upkeep when nothing else is to be done first.
    pub(crate) fn roll_locked(&self, writer: &mut Writer, chain: Chain) -> Result<(), Error> {
        let Some(active) = writer.active[chain as usize].take() else { return Ok(()) };
        let no = active.file.header.no;
        let Some(contents) = self.lock().segment(no).map(|segment| segment.contents.clone()) else { return Ok(()) };
        let sealed = seal(&*active.handle, &active.file.header, &contents);
        let mut state = self.lock();
        if let Some(segment) = state.segment_mut(no) {
            segment.active = false;
            if let Ok(size) = sealed {
                segment.size = size;
            }
        }
        drop(state);
        if let Err(error) = sealed {
            // It is walked at the next start.
            let event = Event::Trouble { what: format!("seal {}", active.file.path), error: error.to_string() };
            self.observer.event(&event);
        }
        Ok(())
    }

    /// Seals what recovery could not. Nothing is appended before: the records there would count as durable then.
    fn settle_tails(&self) -> Result<(), Error> {
        let unsettled = self.lock().unsettled.clone();
        for (no, from) in unsettled {
            let known = self.lock().segment(no).map(|segment| (Arc::clone(&segment.file), segment.contents.clone()));
            if let Some((file, contents)) = known {
                let failed = || Error::io(format!("seal {}", file.path));
                let handle = self.vfs.open(&file.path, Open::Write).map_err(failed())?;
                let size = segment::settle(&*handle, from, &file.header, &contents).map_err(failed())?;
                if let Some(segment) = self.lock().segment_mut(no) {
                    segment.size = size;
                }
            }
            let mut state = self.lock();
            state.unsettled.retain(|(other, _)| *other != no);
            if state.unsettled.is_empty() {
                state.proven = state.published;
            }
        }
        Ok(())
    }

    /// Prepares a segment and makes it durable, before any record is written to it.
    pub(crate) fn open_segment(&self, writer: &mut Writer, chain: Chain) -> Result<(), Error> {
        self.settle_tails()?;
        let (base_seq, generation, ordinal, spare) = {
            let state = self.lock();
            if !state.has_room(&self.config, chain, 0) {
                return Err(Error::Full);
            }
            let newest = state.chains[chain as usize].last().map(|segment| segment.no().ordinal());
            let ordinal = newest.unwrap_or(0).max(writer.ordinal[chain as usize]) + 1;
            // What a failed segment of this chain may still hold beyond what was published is superseded.
            let base_seq = state.published[chain as usize] + 1;
            // Another name than that of any file which is still to be unlinked.
            let taken = |generation: &u32| {
                let path = names::segment(SegNo::new(chain, ordinal), base_seq, *generation);
                state.garbage.iter().any(|(garbage, _)| *garbage == path)
                    || state.segments().any(|segment| segment.file.path == path)
            };
            let generation = (0..u32::MAX).find(|generation| !taken(generation)).unwrap_or(0);
            (base_seq, generation, ordinal, state.spare)
        };
        let header = SegmentHeader {
            uuid: self.uuid,
            no: SegNo::new(chain, ordinal),
            base_seq,
            flags: 0,
            generation,
            created: self.clock.now(),
            before: writer.items[chain as usize],
            own: [0; SIGNALS],
        };
        // Never again, even if this fails: a file with this number may be there all the same.
        writer.ordinal[chain as usize] = ordinal;
        // Nobody else makes a spare segment while this one gets its name.
        let spare = {
            let mut state = self.lock();
            state.spare_taken = spare && state.spare;
            state.spare &= !spare;
            state.spare_taken
        };
        let created = segment::create(&*self.vfs, header, self.config.segment_size, spare, self.config.bugs);
        self.lock().spare_taken = false;
        let (handle, file) = created.map_err(|error| Error::io("create a segment")(error))?;
        let file = Arc::new(file);
        let contents = Contents::empty(PAGE);
        let segment = Segment { file: Arc::clone(&file), contents, active: true, size: self.config.segment_size };
        let durable = {
            let mut state = self.lock();
            state.chains[chain as usize].push(segment);
            state.durable
        };
        writer.active[chain as usize] = Some(Active { handle, file, prev_crc: 0, unsynced: false });
        // Redundancy against a segment that goes missing; the segment is safe without it.
        self.update_meta(|meta| {
            meta.last[chain as usize] = ordinal;
            meta.high_water = meta.high_water.max(durable);
            true
        });
        Ok(())
    }
}
