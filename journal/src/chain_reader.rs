//! Reads the segments of one chain, one record ahead.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;
use crate::format::record::{Header, Kind};
use crate::format::{Chain, PAGE, SegNo};
use crate::group::unpack;
use crate::journal::Inner;
use crate::reader::{What, entry};
use crate::record::Entry;
use crate::scan::{Scan, Step};
use crate::state::{SegFile, State};
use crate::vfs::Open;

/// A segment to be read, as it was when the lock was held.
pub(crate) struct View {
    file: Arc<SegFile>,
    from: u64,
    end: u64,
    holes: Vec<(u64, u64)>,
}

/// Segments of a chain that may have records in the range.
pub(crate) fn views(state: &State, chain: Chain, from: u64, upto: u64) -> VecDeque<View> {
    let segments = state.chains[chain as usize].iter();
    let wanted =
        segments.filter(|s| s.contents.last_seq >= from && s.contents.first_seq <= upto && s.contents.end > PAGE);
    wanted
        .map(|segment| View {
            file: Arc::clone(&segment.file),
            from: segment.contents.seek(from, PAGE),
            end: segment.contents.end,
            holes: segment.contents.holes.clone(),
        })
        .collect()
}

/// Why reading does not go on.
pub(crate) enum Stop {
    Damaged(SegNo),
    Failed(Error),
}

/// Reads the segments of one chain, one record ahead.
pub(crate) struct ChainReader {
    pub views: VecDeque<View>,
    pub open: Option<OpenView>,
    pub head: Option<(u64, Header)>,
}

pub(crate) struct OpenView {
    pub file: Arc<SegFile>,
    scan: Scan,
    holes: Vec<(u64, u64)>,
}

impl ChainReader {
    /// Makes sure that `head` is the next record from `from` on, if there is one.
    pub(crate) fn advance(&mut self, inner: &Inner, from: u64, upto: u64) -> Result<(), Stop> {
        while self.head.is_none() {
            let Some(open) = &mut self.open else {
                let Some(view) = self.views.pop_front() else { return Ok(()) };
                let failed = |error| Stop::Failed(Error::io(view.file.path.clone())(error));
                let handle = inner.vfs.open(&view.file.path, Open::Read).map_err(failed)?;
                let scan = Scan::new(handle, view.file.key(), inner.config.bugs, view.from, view.end);
                self.open = Some(OpenView { file: view.file, scan, holes: view.holes });
                continue;
            };
            if let Some(&(_, len)) = open.holes.iter().find(|hole| hole.0 == open.scan.offset) {
                open.scan.offset += len;
                continue;
            }
            match open.scan.next() {
                Ok(Step::Record { header, .. }) if header.seq < from || header.kind == Kind::Barrier => {}
                Ok(Step::Record { header, .. }) if header.seq > upto => {
                    (self.open, self.head) = (None, None);
                    self.views.clear();
                }
                Ok(Step::Record { offset, header }) => self.head = Some((offset, header)),
                Ok(Step::Damage { .. }) => return Err(Stop::Damaged(open.file.header.no)),
                Ok(Step::End) => self.open = None,
                Err(error) => return Err(Stop::Failed(Error::io(open.file.path.clone())(error))),
            }
        }
        Ok(())
    }

    /// The record as an entry. `None` if its contents are damaged.
    pub(crate) fn load(&mut self, offset: u64, header: &Header, what: What) -> std::io::Result<Option<Entry>> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let (context, payload) = match what {
            What::Headers => (Bytes::new(), Bytes::new()),
            What::Payloads => {
                let Some(contents) = open.scan.contents(offset, header)? else { return Ok(None) };
                let (context, payload) = contents.split_at(usize::from(header.ctx_len).min(contents.len()));
                let Some(payload) = unpack(header.flags, payload) else { return Ok(None) };
                (Bytes::copy_from_slice(context), payload)
            }
        };
        Ok(Some(entry(header, context, payload)))
    }
}
