//! The output of a walk: copied runs of the source with edits between them, written front to back.
//!
//! Nothing is copied before the first edit. The run that is still to be copied starts at `run`; an output position for a source
//! position at or behind it is therefore known before the run is flushed, which is how lengths are found again to be patched.

/// Output under construction.
#[derive(Debug, Default)]
pub(crate) struct Out {
    bytes: Vec<u8>,
    run: usize,
    touched: bool,
}

impl Out {
    /// Writes into `bytes`, which must be empty.
    pub(crate) fn over(bytes: Vec<u8>) -> Self {
        Out { bytes, run: 0, touched: false }
    }

    /// Ends the output and gives the buffer back, with whether anything was changed. It holds the whole only if so.
    pub(crate) fn end(mut self, source: &[u8]) -> (Vec<u8>, bool) {
        if self.touched {
            let end = source.len();
            self.cut(source, end.max(self.run), end);
        }
        (self.bytes, self.touched)
    }

    /// The output position that source position `at` will have. `at` must not lie before the pending run.
    #[inline]
    pub(crate) fn position(&self, at: usize) -> usize {
        self.bytes.len() + at - self.run
    }

    /// Copies the pending run up to `until` and continues the source at `resume`.
    #[inline]
    pub(crate) fn cut(&mut self, source: &[u8], until: usize, resume: usize) {
        if !self.touched {
            self.touched = true;
            self.bytes.reserve(source.len() + source.len() / 8 + 64);
        }
        self.bytes.extend_from_slice(&source[self.run..until]);
        self.run = resume;
    }

    /// Takes back everything behind output position `mark`, which source position `start` had, and continues at `resume`.
    #[inline]
    pub(crate) fn take_back(&mut self, source: &[u8], mark: usize, start: usize, resume: usize) {
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
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the output: `None` if nothing was changed.
    pub(crate) fn finish(self, source: &[u8]) -> Option<Vec<u8>> {
        let (bytes, touched) = self.end(source);
        touched.then_some(bytes)
    }
}
