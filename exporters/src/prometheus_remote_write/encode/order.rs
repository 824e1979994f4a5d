//! Series in the order of their timestamps.

/// Notes which bytes of a buffer have which timestamp, and puts them in order.
#[derive(Debug, Default)]
pub struct TimeOrder {
    /// Timestamp, and where the bytes begin that have it.
    runs: Vec<(i64, usize)>,
    unordered: bool,
}

impl TimeOrder {
    /// From here (`at`) on the buffer has this timestamp.
    #[inline]
    pub fn note(&mut self, timestamp: i64, at: usize) {
        if let Some(&(last, _)) = self.runs.last() {
            if last == timestamp {
                return;
            }
            self.unordered |= timestamp < last;
        }
        self.runs.push((timestamp, at));
    }

    /// Appends `buffer` to `out` in the order of time. What has the same time keeps its order. Forgets everything noted.
    pub fn write(&mut self, buffer: &[u8], out: &mut Vec<u8>) {
        if self.unordered {
            let ends = self.runs.iter().skip(1).map(|&(_, at)| at).chain([buffer.len()]);
            let mut runs: Vec<_> =
                self.runs.iter().zip(ends).map(|(&(timestamp, start), end)| (timestamp, start..end)).collect();
            runs.sort_by_key(|&(timestamp, _)| timestamp);
            for (_, run) in runs {
                out.extend_from_slice(&buffer[run]);
            }
        } else {
            out.extend_from_slice(buffer);
        }
        self.clear();
    }

    /// Whether the bytes are in order as they stand.
    pub fn is_ordered(&self) -> bool {
        !self.unordered
    }

    /// Forgets everything noted.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.unordered = false;
    }
}
