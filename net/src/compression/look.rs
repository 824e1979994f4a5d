//! A look at what the beginning of a compressed body becomes: counted, and not kept.

use super::Encoding;
use super::codec::Codec;
use super::decompress::{DecompressError, DecompressLimits, STEP, YIELD_EVERY, over};
use crate::pool::BufferPool;

/// An output that is so many times its input, for so many bytes on end, is a suspect's: of a bomb nothing is kept.
const SUSPECT_RATIO: usize = 32;
pub(super) const SUSPECT_FROM: usize = 1 << 20;
/// What is looked at in no turn at all, and at once: it takes a millisecond, and tells almost every bomb.
const GLANCE: usize = SUSPECT_FROM + STEP;

/// Watches how much comes of how little.
#[derive(Default)]
pub(super) struct Suspicion {
    consumed: usize,
    output: usize,
}

impl Suspicion {
    /// Whether it looks like a bomb, at so much input and output in all. What came since the last time decides: a bomb may
    /// stand behind something honest.
    pub(super) fn is_raised(&mut self, consumed: usize, output: usize) -> bool {
        let more = output.saturating_sub(self.output);
        if more < SUSPECT_FROM {
            return false;
        }
        let of = consumed.saturating_sub(self.consumed);
        *self = Suspicion { consumed, output };
        more > of.saturating_mul(SUSPECT_RATIO)
    }
}

/// The beginning of a body that has not come to its end.
#[derive(Clone, Copy)]
pub(crate) struct Beginning<'a> {
    pub(crate) encoding: Encoding,
    /// What is there, one behind the other.
    pub(crate) pieces: &'a [&'a [u8]],
    /// The length of the whole, where it was announced.
    pub(crate) announced: Option<usize>,
    /// Bytes that the sender may have us hold while we wait.
    pub(crate) holds: usize,
}

/// Decompresses what is there of a body and keeps nothing of it.
///
/// # Errors
/// It is over the limits already, or corrupt; or it looks like a bomb, and too many of those are being looked at.
pub(crate) async fn look(
    beginning: Beginning<'_>,
    limits: &DecompressLimits,
    pool: &BufferPool,
) -> Result<(), DecompressError> {
    if beginning.encoding == Encoding::Snappy {
        return Ok(()); // becomes 21 times as much at most, and a block says how much
    }
    // Who waits for a turn keeps no decoder: each has a window, of 8 MiB at most.
    let glanced = Count::new(beginning, limits)?.advance(GLANCE)?;
    let mut is_suspect = matches!(glanced, Counted::Suspect);
    if matches!(glanced, Counted::All) {
        return Ok(());
    }
    'turn: loop {
        let _turn = match is_suspect {
            true => pool.turns().of_suspect(beginning.holds).await?,
            false => pool.turns().next().await,
        };
        let mut count = Count::new(beginning, limits)?;
        loop {
            match count.advance(YIELD_EVERY)? {
                Counted::All => return Ok(()),
                Counted::Suspect if !is_suspect => {
                    is_suspect = true;
                    continue 'turn;
                }
                Counted::Suspect | Counted::Paused => tokio::task::yield_now().await,
            }
        }
    }
}

enum Counted {
    /// All that is there was read.
    All,
    Paused,
    Suspect,
}

struct Count<'a> {
    encoding: Encoding,
    limits: &'a DecompressLimits,
    codec: Codec<'static>,
    rest: &'a [u8],
    pieces: std::slice::Iter<'a, &'a [u8]>,
    scratch: Vec<u8>,
    consumed: usize,
    output: usize,
    cap: usize,
    suspicion: Suspicion,
}

impl<'a> Count<'a> {
    fn new(beginning: Beginning<'a>, limits: &'a DecompressLimits) -> Result<Self, DecompressError> {
        let by_ratio = beginning.announced.map_or(usize::MAX, |length| limits.by_ratio(length));
        Ok(Count {
            encoding: beginning.encoding,
            limits,
            codec: Codec::new(beginning.encoding, &[])?,
            rest: &[],
            pieces: beginning.pieces.iter(),
            scratch: Vec::with_capacity(STEP),
            consumed: 0,
            output: 0,
            cap: limits.max_bytes.min(by_ratio),
            suspicion: Suspicion::default(),
        })
    }

    /// Decompresses until the end of what is there, or about so many bytes of output.
    fn advance(&mut self, allowance: usize) -> Result<Counted, DecompressError> {
        let stop = self.output.saturating_add(allowance);
        loop {
            let (read, ended) = self.codec.step(self.encoding, self.rest, &mut self.scratch)?;
            let made = self.scratch.len();
            self.scratch.clear();
            self.rest = self.rest.get(read..).unwrap_or_default();
            self.consumed += read;
            self.output += made;
            if self.output > self.cap {
                return Err(over(self.limits, self.cap));
            }
            if self.rest.is_empty() && (ended || (read == 0 && made == 0)) {
                match self.pieces.next() {
                    Some(next) => self.rest = next,
                    None => return Ok(Counted::All),
                }
            }
            if ended {
                self.codec.next_member(self.encoding)?;
            }
            if self.suspicion.is_raised(self.consumed, self.output) {
                return Ok(Counted::Suspect);
            }
            if self.output >= stop {
                return Ok(Counted::Paused);
            }
        }
    }
}
