use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;

use super::Encoding;
use super::codec::Codec;
use super::look::Suspicion;
use crate::pool::BufferPool;
use crate::reserve::{Exhausted, Reservation};
use crate::turns::Unseen;

/// Output is grown and reserved in steps of at least this.
pub(super) const STEP: usize = 64 << 10;
/// After so much output an asynchronous caller lets other tasks run.
pub(super) const YIELD_EVERY: usize = 256 << 10;
/// The first output buffer is no larger, whatever the input: what becomes of it is known only then.
const FIRST: usize = 1 << 20;
/// An inflater reads so much at a time, so that it stops in time for others.
const READ: usize = 128 << 10;

/// Bounds of one decompression (`security.md` section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecompressLimits {
    /// Output bytes.
    pub max_bytes: usize,
    /// Output per input byte, judged once the output exceeds `ratio_floor`.
    pub max_ratio: usize,
    /// Output that is allowed whatever the ratio.
    pub ratio_floor: usize,
}

impl Default for DecompressLimits {
    fn default() -> Self {
        DecompressLimits { max_bytes: 64 << 20, max_ratio: 200, ratio_floor: 1 << 20 }
    }
}

impl DecompressLimits {
    /// The ratio limit as a number of bytes for an input of `input` bytes.
    pub(super) fn by_ratio(&self, input: usize) -> usize {
        self.max_ratio.saturating_mul(input).max(self.ratio_floor)
    }
}

/// Why a compressed body was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// More output than allowed.
    #[error("decompressed size exceeds the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// More output per input byte than allowed.
    #[error("compression ratio exceeds the limit of {limit}")]
    Ratio {
        /// The limit.
        limit: usize,
    },
    /// Not what the encoding's name promises.
    #[error("malformed {encoding} data: {reason}", encoding = .encoding.name())]
    Malformed {
        /// The encoding that was announced.
        encoding: Encoding,
        /// What is wrong.
        reason: &'static str,
    },
    /// No memory was promised for the output.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
}

/// Decompresses `input` whole, within `limits`. `reservation` grows by what the output takes, before it is taken.
///
/// # Errors
/// See [`DecompressError`]. Nothing is kept of the output.
pub fn decompress(
    encoding: Encoding,
    input: &[u8],
    limits: &DecompressLimits,
    reservation: &mut dyn Reservation,
    pool: &BufferPool,
) -> Result<Bytes, DecompressError> {
    let mut run = Run::new(encoding, input, limits, pool)?;
    loop {
        match run.advance(usize::MAX)? {
            Progress::Done => return Ok(run.finish()),
            Progress::Full => {
                let (buffer, more) = run.next_buffer();
                reservation.try_grow(more)?;
                run.adopt(buffer, more);
            }
            Progress::Suspect(freed) => reservation.shrink_to(reservation.bytes().saturating_sub(freed)),
            Progress::Paused => {}
        }
    }
}

/// As [`decompress`], waiting for memory as long as the budget finds fit, and letting other tasks run in between. Beyond the
/// first step it goes on only in its turn: a hundred bombs at once hold no more memory, and no more of the processors, than a few.
/// `unseen` is the leave to keep `input` until it is known what becomes of it.
pub(crate) async fn decompress_yielding(
    encoding: Encoding,
    input: &[u8],
    limits: &DecompressLimits,
    reservation: &mut dyn Reservation,
    unseen: &mut Unseen,
    pool: &BufferPool,
) -> Result<Bytes, DecompressError> {
    let mut run = Run::new(encoding, input, limits, pool)?;
    let mut turn = None;
    // What a suspect has made since it rested.
    let mut stretch = None;
    loop {
        match run.advance(YIELD_EVERY)? {
            Progress::Done => return Ok(run.finish()),
            Progress::Full => {
                let (buffer, more) = run.next_buffer();
                let mut growing = reservation.grow(more);
                let grown = poll_fn(|cx| Poll::Ready(growing.as_mut().poll(cx))).await;
                match grown {
                    Poll::Ready(grown) => grown?,
                    Poll::Pending => {
                        // Who waits for memory keeps no turn.
                        turn = None;
                        growing.await?;
                    }
                }
                if turn.is_none() && run.granted + more > STEP {
                    turn = pool.turns().next().await;
                }
                run.adopt(buffer, more);
            }
            Progress::Suspect(freed) => {
                reservation.shrink_to(reservation.bytes().saturating_sub(freed));
                drop(turn.take());
                unseen.clear();
                turn = pool.turns().of_suspect(input.len()).await?;
                stretch = Some(0);
            }
            Progress::Paused => match &mut stretch {
                Some(stretch) => pool.turns().pause_suspect(stretch, YIELD_EVERY).await,
                None => tokio::task::yield_now().await,
            },
        }
    }
}

pub(super) fn over(limits: &DecompressLimits, cap: usize) -> DecompressError {
    if cap == limits.max_bytes {
        DecompressError::TooLarge { limit: limits.max_bytes }
    } else {
        DecompressError::Ratio { limit: limits.max_ratio }
    }
}

enum Progress {
    Done,
    /// The output buffer is full and there may be more.
    Full,
    /// The caller's allowance for one turn is used up.
    Paused,
    /// From now on the output is only measured; so many bytes of it were let go.
    Suspect(usize),
}

struct Run<'a> {
    encoding: Encoding,
    limits: &'a DecompressLimits,
    pool: &'a BufferPool,
    input: &'a [u8],
    consumed: usize,
    output: Vec<u8>,
    /// The output may not exceed this.
    cap: usize,
    /// Bytes that are reserved: the capacity of `output`, or just over the cap if that is less.
    granted: usize,
    codec: Codec<'a>,
    /// The size of the whole output, as soon as it is known.
    size: Size,
    suspicion: Suspicion,
}

#[derive(Clone, Copy)]
enum Size {
    Unknown,
    /// So much has passed through `output` and was not kept.
    Measuring(usize),
    Known(usize),
}

impl<'a> Run<'a> {
    fn new(
        encoding: Encoding,
        input: &'a [u8],
        limits: &'a DecompressLimits,
        pool: &'a BufferPool,
    ) -> Result<Self, DecompressError> {
        let codec = Codec::new(encoding, input)?;
        let cap = limits.max_bytes.min(limits.by_ratio(input.len()));
        let size = codec.declared().map_or(Size::Unknown, Size::Known);
        if let Size::Known(declared) = size
            && declared > cap
        {
            return Err(over(limits, cap));
        }
        Ok(Run {
            encoding,
            limits,
            pool,
            input,
            consumed: 0,
            output: Vec::new(),
            cap,
            granted: 0,
            codec,
            size,
            suspicion: Suspicion::default(),
        })
    }

    fn malformed(&self, reason: &'static str) -> DecompressError {
        DecompressError::Malformed { encoding: self.encoding, reason }
    }

    /// A larger buffer and the bytes to reserve before it is used: doubling, in proportion to what there was to read,
    /// up to the cap and one byte that tells "exactly the cap" from "over it".
    fn next_buffer(&self) -> (Vec<u8>, usize) {
        let most = self.cap.saturating_add(1);
        let wanted = match self.size {
            Size::Known(size) => size.saturating_add(1),
            _ if self.granted == 0 => self.input.len().saturating_mul(4).min(FIRST),
            _ => self.granted.saturating_mul(2),
        };
        let buffer = self.pool.take(wanted.max(STEP).min(most));
        let more = buffer.capacity().min(most).saturating_sub(self.granted);
        (buffer, more)
    }

    fn adopt(&mut self, mut buffer: Vec<u8>, more: usize) {
        self.granted = self.granted.saturating_add(more);
        buffer.extend_from_slice(&self.output);
        let smaller = std::mem::replace(&mut self.output, buffer);
        drop(self.pool.seal(smaller));
    }

    /// Decompresses until the end, a full output buffer, or `allowance` bytes of new output.
    fn advance(&mut self, allowance: usize) -> Result<Progress, DecompressError> {
        if self.input.is_empty() {
            // A zero-length message is valid whatever encoding its stream announces.
            return Ok(Progress::Done);
        }
        let stop = self.total().saturating_add(allowance);
        loop {
            if self.total() > self.cap {
                return Err(over(self.limits, self.cap));
            }
            if self.output.len() == self.output.capacity() {
                match self.size {
                    Size::Measuring(_) => self.pass_by(),
                    Size::Unknown if self.suspicion.is_raised(self.consumed, self.output.len()) => {
                        return self.measure().map(Progress::Suspect);
                    }
                    Size::Unknown | Size::Known(_) => return Ok(Progress::Full),
                }
            }
            if self.total() >= stop {
                return Ok(Progress::Paused);
            }
            let (before_in, before_out) = (self.consumed, self.output.len());
            let ended = self.step()?;
            if ended && self.consumed == self.input.len() {
                if self.total() <= self.cap {
                    let Size::Measuring(_) = self.size else { return Ok(Progress::Done) };
                    self.begin_again()?;
                    return Ok(Progress::Paused);
                }
            } else if ended {
                self.codec.next_member(self.encoding)?;
            } else if self.consumed == before_in && self.output.len() == before_out {
                return Err(self.malformed("truncated"));
            }
        }
    }

    /// Output so far, kept or not.
    fn total(&self) -> usize {
        match self.size {
            Size::Measuring(passed) => passed.saturating_add(self.output.len()),
            Size::Unknown | Size::Known(_) => self.output.len(),
        }
    }

    /// Lets the output go that was kept so far, and the decoder with its window, and begins to measure. Returns how many bytes
    /// fewer are in use.
    fn measure(&mut self) -> Result<usize, DecompressError> {
        let freed = self.granted.saturating_sub(STEP);
        self.granted = self.granted.min(STEP);
        self.size = Size::Measuring(0);
        drop(self.pool.seal(std::mem::replace(&mut self.output, Vec::with_capacity(STEP))));
        self.consumed = 0;
        self.codec = Codec::new(self.encoding, self.input)?;
        Ok(freed)
    }

    /// Makes room in a full buffer whose content was measured.
    fn pass_by(&mut self) {
        self.size = Size::Measuring(self.total());
        self.output.clear();
    }

    /// The size is known: from the beginning, to keep what comes.
    fn begin_again(&mut self) -> Result<(), DecompressError> {
        self.size = Size::Known(self.total());
        self.output.clear();
        self.consumed = 0;
        self.codec = Codec::new(self.encoding, self.input)?;
        Ok(())
    }

    /// One call of the library. Returns whether a member or frame has ended.
    fn step(&mut self) -> Result<bool, DecompressError> {
        let rest = self.input.get(self.consumed..).unwrap_or_default();
        let rest = match self.codec {
            Codec::Inflate { .. } => rest.get(..READ).unwrap_or(rest),
            // These are quicker when they see all of it, or need to.
            Codec::Zstd(_) | Codec::Snappy(_) | Codec::Lz4(_) => rest,
        };
        let (consumed, ended) = self.codec.step(self.encoding, rest, &mut self.output)?;
        self.consumed += consumed;
        Ok(ended)
    }

    fn finish(mut self) -> Bytes {
        self.pool.seal(std::mem::take(&mut self.output))
    }
}
