//! A look at what the beginning of a compressed body becomes: counted, and not kept.

use super::Encoding;
use super::codec::Codec;
use super::decompress::{DecompressError, DecompressLimits, STEP, YIELD_EVERY, over};
use crate::pool::BufferPool;

/// An output that is so many times its input, for so many bytes on end, is a suspect's: of a bomb nothing is kept.
const SUSPECT_RATIO: usize = 32;
pub(super) const SUSPECT_FROM: usize = 1 << 20;
/// So many times, which is more than anything honest is on the whole, and fewer bytes are enough.
const BLATANT_RATIO: usize = 128;
const BLATANT_FROM: usize = STEP;
/// What is looked at in no turn at all, and at once: it takes a millisecond at most.
const GLANCE: usize = SUSPECT_FROM + STEP;

/// Watches how much comes of how little.
#[derive(Default)]
pub(super) struct Suspicion {
    long: Since,
    short: Since,
}

/// Input and output when they were looked at last.
#[derive(Default)]
struct Since {
    consumed: usize,
    output: usize,
}

impl Suspicion {
    /// Whether it looks like a bomb, at so much input and output in all. What came since the last time decides: a bomb may
    /// stand behind something honest.
    pub(super) fn is_raised(&mut self, consumed: usize, output: usize) -> bool {
        self.short.is_over(consumed, output, BLATANT_FROM, BLATANT_RATIO)
            || self.long.is_over(consumed, output, SUSPECT_FROM, SUSPECT_RATIO)
    }
}

impl Since {
    fn is_over(&mut self, consumed: usize, output: usize, from: usize, ratio: usize) -> bool {
        let more = output.saturating_sub(self.output);
        if more < from {
            return false;
        }
        let of = consumed.saturating_sub(self.consumed);
        *self = Since { consumed, output };
        more > of.saturating_mul(ratio)
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
    match beginning.encoding {
        Encoding::Gzip | Encoding::Zstd | Encoding::Deflate => {}
        // Becomes 21 times as much at most, and a block says how much.
        Encoding::Snappy => return Ok(()),
        // Cannot be read in parts. It becomes 255 times as much at most, and while it waits, it is what was sent and reserved.
        Encoding::Lz4 => return Ok(()),
    }
    // Who waits for a turn keeps no decoder: each has a window, of 8 MiB at most.
    let glanced = Count::new(beginning, limits, false)?.advance(GLANCE)?;
    let mut is_suspect = matches!(glanced, Counted::Suspect);
    if matches!(glanced, Counted::All) {
        return Ok(());
    }
    'turn: loop {
        let _turn = match is_suspect {
            true => pool.turns().of_suspect(beginning.holds).await?,
            false => pool.turns().next().await,
        };
        let mut count = Count::new(beginning, limits, is_suspect)?;
        let mut stretch = 0;
        loop {
            match count.advance(YIELD_EVERY)? {
                Counted::All => return Ok(()),
                Counted::Suspect => {
                    is_suspect = true;
                    continue 'turn;
                }
                Counted::Paused if is_suspect => pool.turns().pause_suspect(&mut stretch, YIELD_EVERY).await,
                Counted::Paused => tokio::task::yield_now().await,
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
    /// `None`: it is a suspect already.
    suspicion: Option<Suspicion>,
}

impl<'a> Count<'a> {
    fn new(beginning: Beginning<'a>, limits: &'a DecompressLimits, is_suspect: bool) -> Result<Self, DecompressError> {
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
            suspicion: (!is_suspect).then(Suspicion::default),
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
            if self.suspicion.as_mut().is_some_and(|suspicion| suspicion.is_raised(self.consumed, self.output)) {
                return Ok(Counted::Suspect);
            }
            if self.output >= stop {
                return Ok(Counted::Paused);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_by_too_much_is_suspect_wherever_that_begins() {
        const KIB: usize = 1 << 10;
        // Each of a hundred steps: input and output. After which of them the suspicion is raised.
        let raised = |steps: &dyn Fn(usize) -> (usize, usize)| {
            let (mut suspicion, mut consumed, mut output) = (Suspicion::default(), 0, 0);
            (0..100).find(|step| {
                let (more_in, more_out) = steps(*step);
                consumed += more_in;
                output += more_out;
                suspicion.is_raised(consumed, output)
            })
        };
        assert_eq!(raised(&|_| (2 * KIB, 64 * KIB)), None, "32 times is in order");
        assert_eq!(raised(&|_| (KIB, 64 * KIB)), Some(15), "64 times is, for less than 1 MiB");
        assert_eq!(raised(&|_| (100, 64 * KIB)), Some(0));
        assert_eq!(raised(&|_| (100, 32 * KIB)), Some(1));
        assert_eq!(
            raised(&|step| (if step < 7 { 32 * KIB } else { 64 }, 64 * KIB)),
            Some(7),
            "behind something honest"
        );
        assert_eq!(raised(&|_| (100, 600)), None);
    }
}
