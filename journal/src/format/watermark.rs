//! The record that moves a stage's cursor, in the same commit group as the output it stands for (delivery §2).

use crate::codec::{Get, Put};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    /// Index of the stage.
    pub stage: u8,
    /// Everything up to here is done.
    pub committed: u64,
    /// And these beyond.
    pub done: Vec<u64>,
}

impl Watermark {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut put = Put::default();
        put.u8(self.stage).u64(self.committed).count(self.done.len()).u64s(&self.done);
        put.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut get = Get(bytes);
        let (stage, committed) = (get.u8()?, get.u64()?);
        let count = get.count(8)?;
        let done = (0..count).map(|_| get.u64()).collect::<Option<_>>()?;
        Some(Watermark { stage, committed, done })
    }
}
