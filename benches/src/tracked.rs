//! Which tracked items were acknowledged to the generator and which arrived at a sink. An item's key is (run, client,
//! sequence number); it travels where no collector rewrites it: in the trace id of spans and log records, and as the
//! value of gauge points (packed into 53 bits, so that a `double` holds it exactly).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Identity of a tracked item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub run: u32,
    pub client: u32,
    pub sequence: u64,
}

/// In a `double`: 10 bits run, 10 bits client, 33 bits sequence.
const VALUE_RUN_BITS: u32 = 10;
const VALUE_SEQUENCE_BITS: u32 = 33;

impl Key {
    pub fn to_trace_id(self) -> [u8; 16] {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&self.run.to_be_bytes());
        id[4..8].copy_from_slice(&self.client.to_be_bytes());
        id[8..].copy_from_slice(&self.sequence.to_be_bytes());
        id
    }

    pub fn of_trace_id(id: [u8; 16]) -> Self {
        let id = u128::from_be_bytes(id);
        Self { run: (id >> 96) as u32, client: (id >> 64) as u32, sequence: id as u64 }
    }

    pub fn to_value(self) -> f64 {
        let mask = (1 << VALUE_RUN_BITS) - 1;
        let high = u64::from(self.run & mask) << VALUE_RUN_BITS | u64::from(self.client & mask);
        (high << VALUE_SEQUENCE_BITS | self.sequence & ((1 << VALUE_SEQUENCE_BITS) - 1)) as f64
    }

    /// `None` for a value that no key has, such as a staleness marker.
    pub fn of_value(value: f64) -> Option<Self> {
        if !(0.0..9_007_199_254_740_992.0).contains(&value) || value.fract() != 0.0 {
            return None;
        }
        let packed = value as u64;
        let mask = (1 << VALUE_RUN_BITS) - 1;
        Some(Self {
            run: (packed >> (VALUE_SEQUENCE_BITS + VALUE_RUN_BITS)) as u32 & mask,
            client: (packed >> VALUE_SEQUENCE_BITS) as u32 & mask,
            sequence: packed & ((1 << VALUE_SEQUENCE_BITS) - 1),
        })
    }
}

/// A set of sequence numbers as ascending half-open ranges that do not touch.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds `start..end`.
    pub fn insert(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let from = self.0.partition_point(|(_, e)| *e < start);
        let to = self.0.partition_point(|(s, _)| *s <= end);
        let merged = self
            .0
            .get(from..to)
            .unwrap_or_default()
            .iter()
            .fold((start, end), |(s, e), (s2, e2)| (s.min(*s2), e.max(*e2)));
        self.0.splice(from..to, [merged]);
    }

    /// How many numbers are in the set.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }

    /// How many numbers of this set are not in `other`.
    pub fn missing_from(&self, other: &Self) -> u64 {
        let mut common = 0;
        let mut theirs = other.0.iter().peekable();
        for (start, end) in &self.0 {
            while let Some((s, e)) = theirs.peek() {
                common += end.min(e).saturating_sub(*start.max(s));
                if e > end {
                    break;
                }
                theirs.next();
            }
        }
        self.count() - common
    }
}

/// Sequence numbers beyond this are not the generator's: foreign data must not make the set grow.
const LARGEST_SEQUENCE: u64 = 1 << 32;

/// What arrived, with how often it arrived again.
#[derive(Debug, Default)]
pub struct Seen {
    bits: BTreeMap<(u32, u32), Vec<u64>>,
    duplicates: u64,
    foreign: u64,
}

impl Seen {
    pub fn insert(&mut self, key: Key) {
        if key.sequence >= LARGEST_SEQUENCE {
            self.foreign += 1;
            return;
        }
        let words = self.bits.entry((key.run, key.client)).or_default();
        let (word, bit) = ((key.sequence / 64) as usize, 1 << (key.sequence % 64));
        if words.len() <= word {
            words.resize((word + 1).next_power_of_two(), 0);
        }
        if let Some(word) = words.get_mut(word) {
            self.duplicates += u64::from(*word & bit != 0);
            *word |= bit;
        }
    }

    pub fn report(&self) -> SeenReport {
        let clients = self.bits.iter().map(|((run, client), words)| {
            let mut ranges = Ranges::default();
            let mut open = None;
            for sequence in 0..words.len() as u64 * 64 {
                let set = words.get((sequence / 64) as usize).is_some_and(|word| word & 1 << (sequence % 64) != 0);
                match (set, open) {
                    (true, None) => open = Some(sequence),
                    (false, Some(start)) => {
                        ranges.0.push((start, sequence));
                        open = None;
                    }
                    _ => {}
                }
            }
            if let Some(start) = open {
                ranges.0.push((start, words.len() as u64 * 64));
            }
            ClientRanges { run: *run, client: *client, ranges }
        });
        SeenReport { clients: clients.collect(), duplicates: self.duplicates, foreign: self.foreign }
    }
}

/// The sequence numbers of one client of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRanges {
    pub run: u32,
    pub client: u32,
    pub ranges: Ranges,
}

/// What a sink has seen; the answer of its `GET /track`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenReport {
    pub clients: Vec<ClientRanges>,
    /// Items that arrived again.
    pub duplicates: u64,
    /// Items without a key of the generator.
    pub foreign: u64,
}

impl SeenReport {
    /// How many acknowledged items did not arrive.
    pub fn lost(&self, acknowledged: &ClientRanges) -> u64 {
        self.of_client(acknowledged)
            .map_or(acknowledged.ranges.count(), |seen| acknowledged.ranges.missing_from(&seen.ranges))
    }

    /// How many items arrived that were not acknowledged: kept although they were refused, or their answer got lost.
    pub fn unacknowledged(&self, acknowledged: &ClientRanges) -> u64 {
        self.of_client(acknowledged).map_or(0, |seen| seen.ranges.missing_from(&acknowledged.ranges))
    }

    fn of_client(&self, client: &ClientRanges) -> Option<&ClientRanges> {
        self.clients.iter().find(|seen| (seen.run, seen.client) == (client.run, client.client))
    }
}

#[cfg(test)]
mod tests;
