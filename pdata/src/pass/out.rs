//! The output of a walk: copied runs of the source with edits between them, written front to back.
//!
//! Nothing is copied before the first edit. The run that is still to be copied starts at `run`; an output position for a source
//! position at or behind it is therefore known before the run is flushed, which is how lengths are found again to be patched.

/// Output under construction.
#[derive(Debug, Default)]
pub(super) struct Out {
    bytes: Vec<u8>,
    run: usize,
    touched: bool,
}

impl Out {
    /// The output position that source position `at` will have. `at` must not lie before the pending run.
    #[inline]
    pub(super) fn position(&self, at: usize) -> usize {
        self.bytes.len() + at - self.run
    }

    /// Copies the pending run up to `until` and continues the source at `resume`.
    #[inline]
    pub(super) fn cut(&mut self, source: &[u8], until: usize, resume: usize) {
        if !self.touched {
            self.touched = true;
            self.bytes.reserve(source.len() + source.len() / 8 + 64);
        }
        self.bytes.extend_from_slice(&source[self.run..until]);
        self.run = resume;
    }

    /// Takes back everything behind output position `mark`, which source position `start` had, and continues at `resume`.
    #[inline]
    pub(super) fn take_back(&mut self, source: &[u8], mark: usize, start: usize, resume: usize) {
        if self.bytes.len() > mark {
            self.bytes.truncate(mark);
            self.run = resume;
            self.touched = true;
        } else {
            self.cut(source, start.max(self.run), resume);
        }
    }

    /// The flushed output, for writing edits.
    #[inline]
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the output: `None` if nothing was changed.
    pub(super) fn finish(mut self, source: &[u8]) -> Option<Vec<u8>> {
        if !self.touched {
            return None;
        }
        let end = source.len();
        self.cut(source, end.max(self.run), end);
        Some(self.bytes)
    }
}
