//! The buckets of native histograms: runs of counts, each as the difference to the one before.

use sluice_pdata::pass::Reason;
use sluice_pdata::wire::{put_len, put_message, put_varint, put_varint_field, to_zigzag};

use super::drops;

/// A gap of more empty buckets opens a new span.
const MAX_GAP: i64 = 2;

/// The buckets of one sign.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// Offset and length.
    spans: Vec<(i32, u32)>,
    deltas: Vec<u8>,
    last: i64,
}

impl Buckets {
    /// Reads counts by index, lowest first. Those of the same index make one bucket, and empty ones none: however far apart
    /// two buckets are, it costs one span.
    pub(super) fn read(&mut self, counts: impl Iterator<Item = Result<(i64, u64), Reason>>) -> Result<(), Reason> {
        self.spans.clear();
        self.deltas.clear();
        self.last = 0;
        // The bucket that is being merged, and where the last written one ended.
        let (mut merged, mut end) = (None::<(i64, i64)>, 0i64);
        for counted in counts {
            let (target, count) = counted?;
            let count = i64::try_from(count).map_err(|_| drops::INVALID)?;
            if count == 0 {
                continue;
            }
            match &mut merged {
                Some((at, sum)) if *at == target => *sum = sum.checked_add(count).ok_or(drops::INVALID)?,
                _ => {
                    if let Some(bucket) = merged.replace((target, count)) {
                        end = self.push(bucket, end)?;
                    }
                }
            }
        }
        if let Some(bucket) = merged {
            self.push(bucket, end)?;
        }
        Ok(())
    }

    /// Adds the bucket at an index, behind buckets that end before `end`. Returns where it ends.
    fn push(&mut self, (index, count): (i64, i64), end: i64) -> Result<i64, Reason> {
        if index > i64::from(i32::MAX) {
            return Err(drops::INVALID);
        }
        let gap = index - end;
        match self.spans.last_mut() {
            Some((_, len)) if gap <= MAX_GAP => {
                // A gap is not negative, as indexes rise.
                *len = len.saturating_add(gap as u32 + 1);
                for _ in 0..gap {
                    self.delta(0);
                }
            }
            _ => self.spans.push((i32::try_from(gap).map_err(|_| drops::INVALID)?, 1)),
        }
        self.delta(count);
        Ok(index + 1)
    }

    fn delta(&mut self, count: i64) {
        // Neither is negative, so the difference fits.
        put_varint(&mut self.deltas, to_zigzag(count - self.last));
        self.last = count;
    }

    /// Appends spans and deltas as the fields of these numbers.
    pub(super) fn write(&self, spans: u32, deltas: u32, out: &mut Vec<u8>) {
        for &(offset, len) in &self.spans {
            put_message(out, spans, |span| {
                put_varint_field(span, 1, to_zigzag(i64::from(offset)));
                put_varint_field(span, 2, u64::from(len));
            });
        }
        if !self.deltas.is_empty() {
            put_len(out, deltas, &self.deltas);
        }
    }
}
