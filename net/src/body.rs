//! Bodies: received whole into contiguous memory, under reservation and against the clock.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as HttpBody;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::compression::{DecompressError, DecompressLimits, Encoding, decompress_yielding};
use crate::listen::Traffic;
use crate::pool::BufferPool;
use crate::reserve::{Exhausted, Reservation, Reserve};
use crate::turns::Unseen;
use growing::Growing;

mod growing;

/// Messages up to this size are copied out of the connection's read buffer, so that a small message that is kept does
/// not pin a large buffer.
const COPY_BELOW: usize = 8 << 10;

/// A request's message, as it came.
pub struct Body {
    /// The message, still compressed if `encoding` says so; without gRPC's prefix.
    pub bytes: Bytes,
    /// How it is compressed.
    pub encoding: Option<Encoding>,
    /// The memory promised for it. Keep it as long as the bytes.
    pub reservation: Box<dyn Reservation>,
    unseen: Unseen,
    pool: BufferPool,
}

impl Body {
    pub(crate) fn new(received: Received, encoding: Option<Encoding>, pool: &BufferPool) -> Self {
        let Received { bytes, reservation, unseen } = received;
        Body { bytes, encoding, reservation, unseen, pool: pool.clone() }
    }

    /// The message in plain. Costs nothing when it came so. The reservation grows by what the result takes; the
    /// compressed bytes stay, for whoever can forward them.
    ///
    /// # Errors
    /// See [`DecompressError`]; an uncompressed message over `max_bytes` is [`DecompressError::TooLarge`] as well. Without
    /// memory for it nothing is kept of the message.
    pub async fn decompressed(&mut self, limits: &DecompressLimits) -> Result<Bytes, DecompressError> {
        match self.encoding {
            None if self.bytes.len() > limits.max_bytes => Err(DecompressError::TooLarge { limit: limits.max_bytes }),
            None => Ok(self.bytes.clone()),
            Some(encoding) => {
                let Body { bytes, reservation, unseen, pool, .. } = self;
                let plain = decompress_yielding(encoding, bytes, limits, reservation.as_mut(), unseen, pool).await;
                unseen.clear();
                if matches!(plain, Err(DecompressError::Exhausted(Exhausted::Busy))) {
                    *bytes = Bytes::new();
                    reservation.shrink_to(0);
                    pool.turns().tell_late().await;
                }
                plain
            }
        }
    }
}

/// A body as it was received.
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    pub(crate) reservation: Box<dyn Reservation>,
    /// Leave to keep it before anybody has looked at what it becomes.
    unseen: Unseen,
}

/// Why a body could not be received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// More bytes than allowed.
    TooLarge { limit: usize },
    /// More bytes than allowed when it is decompressed.
    Inflates { limit: usize },
    /// Not what its encoding promises.
    Corrupt(&'static str),
    /// No memory was promised.
    Exhausted(Exhausted),
    /// It came too slowly.
    Slow,
    /// The client's own deadline passed.
    Deadline,
    /// The stream or connection broke.
    Gone,
    /// The framing of HTTP/1 is none.
    Broken,
    /// The gRPC framing contradicts the protocol itself.
    Framing(&'static str),
    /// The gRPC framing is fine and its content is not one message.
    NotOneMessage(&'static str),
}

/// The clock a body races against (`security.md` section 5).
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyTimes {
    pub(crate) total: Duration,
    pub(crate) rate_after: Duration,
    /// Bytes a second.
    pub(crate) min_rate: u64,
    /// The client's deadline.
    pub(crate) deadline: Option<Instant>,
}

/// Where bodies get their memory.
pub(crate) struct Memory<'a> {
    pub(crate) reserve: &'a dyn Reserve,
    pub(crate) pool: &'a BufferPool,
    pub(crate) max_bytes: usize,
    /// What compressed bodies may become.
    pub(crate) decompress: DecompressLimits,
}

/// The frames of a body, each waited for within the limits.
pub(crate) struct Frames<'a, B> {
    body: B,
    times: BodyTimes,
    traffic: Option<&'a Traffic>,
    traffic_before: u64,
    started: Instant,
    /// Set when the body first has to be waited for, and then kept: a timer for each frame would cost more than the
    /// frame.
    check: Option<Pin<Box<Sleep>>>,
    received: u64,
}

impl<'a, B> Frames<'a, B>
where
    B: HttpBody<Data = Bytes, Error: std::error::Error + 'static> + Unpin,
{
    /// `traffic` counts the bytes of the connection: a large HTTP/2 frame arrives all at once, after a long time in
    /// which its body seems to stand still.
    pub(crate) fn new(body: B, times: BodyTimes, traffic: Option<&'a Traffic>) -> Self {
        let traffic_before = traffic.map_or(0, Traffic::bytes_read);
        Frames { body, times, traffic, traffic_before, started: Instant::now(), check: None, received: 0 }
    }

    /// The next piece of data; `None` at the end. Trailers are ignored.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ReadError>> {
        loop {
            // A body that is there is read whatever the clock says.
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(cause_of(&error))),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        self.received += data.len() as u64;
                        return Poll::Ready(Ok(Some(data)));
                    }
                }
                Poll::Pending => {
                    let first = self.until(self.started + self.times.rate_after);
                    let check = self.check.get_or_insert_with(|| Box::pin(sleep_until(first)));
                    if check.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    let now = Instant::now();
                    if let Err(error) = self.look(now) {
                        return Poll::Ready(Err(error));
                    }
                    let next = self.until(now + Duration::from_secs(1));
                    if let Some(check) = &mut self.check {
                        check.as_mut().reset(next);
                    }
                }
            }
        }
    }

    /// `moment`, or an earlier one at which the body is certainly too late.
    fn until(&self, moment: Instant) -> Instant {
        let moment = moment.min(self.started + self.times.total);
        self.times.deadline.map_or(moment, |deadline| deadline.min(moment))
    }

    /// Whether the body may be waited for any longer.
    fn look(&self, now: Instant) -> Result<(), ReadError> {
        if self.times.deadline.is_some_and(|deadline| deadline <= now) {
            return Err(ReadError::Deadline);
        }
        let elapsed = now - self.started;
        let seen = self.traffic.map_or(0, |traffic| traffic.bytes_read().saturating_sub(self.traffic_before));
        let needed = u128::from(self.times.min_rate) * elapsed.as_millis() / 1000;
        if elapsed >= self.times.total || u128::from(seen.max(self.received)) < needed {
            return Err(ReadError::Slow);
        }
        Ok(())
    }
}

/// Reads a body that is nothing but its bytes (OTLP/HTTP). `announced` is its Content-Length, `encoding` its
/// Content-Encoding.
pub(crate) async fn read_plain<B>(
    mut frames: Frames<'_, B>,
    announced: Option<u64>,
    encoding: Option<Encoding>,
    memory: &Memory<'_>,
) -> Result<Received, ReadError>
where
    B: HttpBody<Data = Bytes, Error: std::error::Error + 'static> + Unpin,
{
    let limit = memory.max_bytes;
    let too_large = ReadError::TooLarge { limit };
    let announced = match announced {
        None => None,
        Some(length) => match usize::try_from(length) {
            Ok(length) if length <= limit => Some(length),
            _ => return Err(too_large),
        },
    };
    let mut body = Growing::begin(memory, announced, encoding, 0).await?;
    let Some(first) = frames.next().await? else { return Ok(body.finish()) };
    if announced == Some(first.len()) {
        body.see(&first).await?;
        body.promise(first.len()).await?;
        expect_end(&mut frames, &too_large).await?;
        return Ok(body.finish_with(keep(first)));
    }
    let mut next = Some(first);
    while let Some(data) = next {
        if body.len().saturating_add(data.len()) > limit {
            return Err(too_large);
        }
        body.push(&data).await?;
        next = frames.next().await?;
    }
    if announced.is_some_and(|length| length != body.len()) {
        return Err(ReadError::Gone);
    }
    Ok(body.finish())
}

/// One gRPC message.
pub(crate) struct Message {
    pub(crate) received: Received,
    /// The prefix's flag: the message is compressed.
    pub(crate) compressed: bool,
}

/// Length of the prefix before a gRPC message: a flag and a 32-bit length.
pub(crate) const PREFIX: usize = 5;

/// Reads a body that must be exactly one gRPC message. `encoding` is how it is compressed if its prefix says that it is.
pub(crate) async fn read_message<B>(
    mut frames: Frames<'_, B>,
    encoding: Option<Encoding>,
    memory: &Memory<'_>,
) -> Result<Message, ReadError>
where
    B: HttpBody<Data = Bytes, Error: std::error::Error + 'static> + Unpin,
{
    let mut prefix = [0_u8; PREFIX];
    let mut have = 0;
    let mut rest = loop {
        let Some(mut data) = frames.next().await? else {
            return Err(ReadError::NotOneMessage(if have == 0 { "no message" } else { "truncated message prefix" }));
        };
        let taken = data.split_to(data.len().min(PREFIX - have));
        if let Some(slot) = prefix.get_mut(have..have + taken.len()) {
            slot.copy_from_slice(&taken);
        }
        have += taken.len();
        if have == PREFIX {
            break data;
        }
    };
    let [flag, length @ ..] = prefix;
    if flag > 1 {
        return Err(ReadError::Framing("invalid compression flag"));
    }
    let limit = memory.max_bytes;
    let length = match usize::try_from(u32::from_be_bytes(length)) {
        Ok(length) if length <= limit => length,
        _ => return Err(ReadError::TooLarge { limit }),
    };
    let surplus = ReadError::NotOneMessage("more than one message");
    let encoding = encoding.filter(|_| flag == 1);
    let mut body = Growing::begin(memory, Some(length), encoding, rest.len()).await?;
    if rest.is_empty() && length > 0 {
        rest = frames.next().await?.ok_or(ReadError::NotOneMessage("truncated message"))?;
    }
    let received = if rest.len() >= length {
        if rest.len() > length {
            return Err(surplus);
        }
        body.see(&rest).await?;
        body.promise(length).await?;
        body.finish_with(keep(rest))
    } else {
        loop {
            if rest.len() > length - body.len() {
                return Err(surplus);
            }
            body.push(&rest).await?;
            if body.len() == length {
                break;
            }
            rest = frames.next().await?.ok_or(ReadError::NotOneMessage("truncated message"))?;
        }
        body.finish()
    };
    expect_end(&mut frames, &surplus).await?;
    Ok(Message { received, compressed: flag == 1 })
}

async fn expect_end<B>(frames: &mut Frames<'_, B>, surplus: &ReadError) -> Result<(), ReadError>
where
    B: HttpBody<Data = Bytes, Error: std::error::Error + 'static> + Unpin,
{
    match frames.next().await? {
        None => Ok(()),
        Some(_) => Err(match surplus {
            ReadError::TooLarge { limit } => ReadError::TooLarge { limit: *limit },
            _ => ReadError::NotOneMessage("more than one message"),
        }),
    }
}

/// The HTTP library tells chunks that are none from a connection that is gone only by the kind of the error behind its own.
fn cause_of(error: &(dyn std::error::Error + 'static)) -> ReadError {
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    let mut sources = std::iter::successors(Some(error), |error| error.source());
    let is_broken = sources.any(|error| {
        error.downcast_ref::<std::io::Error>().is_some_and(|error| matches!(error.kind(), InvalidData | InvalidInput))
    });
    if is_broken { ReadError::Broken } else { ReadError::Gone }
}

fn keep(data: Bytes) -> Bytes {
    if data.len() <= COPY_BELOW { Bytes::copy_from_slice(&data) } else { data }
}

#[cfg(test)]
mod tests;
