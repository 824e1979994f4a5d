//! File contents: blocks that are shared until they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

const BLOCK: u64 = 4096;

#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub len: u64,
    blocks: BTreeMap<u64, Arc<[u8; BLOCK as usize]>>,
}

impl Image {
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let len = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let within = (at % BLOCK) as usize;
            let chunk = (len - done).min(BLOCK as usize - within);
            match self.blocks.get(&(at / BLOCK)) {
                Some(block) => buf[done..done + chunk].copy_from_slice(&block[within..within + chunk]),
                None => buf[done..done + chunk].fill(0),
            }
            done += chunk;
        }
        len
    }

    pub(super) fn write(&mut self, data: &[u8], offset: u64) {
        self.len = self.len.max(offset + data.len() as u64);
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let within = (at % BLOCK) as usize;
            let chunk = (data.len() - done).min(BLOCK as usize - within);
            let block = self.blocks.entry(at / BLOCK).or_insert_with(|| Arc::new([0; BLOCK as usize]));
            Arc::make_mut(block)[within..within + chunk].copy_from_slice(&data[done..done + chunk]);
            done += chunk;
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.blocks.retain(|&index, _| index * BLOCK < len);
            // What lies behind the new end reads as zeros if the file grows again.
            if !len.is_multiple_of(BLOCK)
                && let Some(block) = self.blocks.get_mut(&(len / BLOCK))
            {
                Arc::make_mut(block)[(len % BLOCK) as usize..].fill(0);
            }
        }
        self.len = len;
    }

    pub(super) fn flip(&mut self, offset: u64, mask: u8) {
        let mut byte = [0];
        if self.read(&mut byte, offset) == 1 {
            self.write(&[byte[0] ^ mask], offset);
        }
    }
}
