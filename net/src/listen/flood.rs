//! Watches the HTTP/2 frames of a connection as they pass: header blocks that do not end, and floods of frames that
//! cost the peer nothing (`security.md` A3). The HTTP/2 library bounds memory; this bounds time.

use std::collections::VecDeque;

use tokio::time::Instant;

/// The number of a stream, as it is in a frame.
pub(crate) type StreamId = [u8; 4];

const FRAME_HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// Resets a connection may send at once, and a second. A client that gives up on timeouts stays far below.
const RESETS: Budget = Budget { burst: 400, per_second: 100 };
/// Frames other than HEADERS and DATA. Peers that estimate bandwidth ping once a response, hence `PER_STREAM`.
const CONTROL: Budget = Budget { burst: 4_000, per_second: 1_000 };
const CONTROL_PER_STREAM: u32 = 8;
/// Requests without a body that are remembered, the latest: the limit of streams and some.
const BODYLESS: usize = 128;

struct Budget {
    burst: u32,
    per_second: u32,
}

/// What the frames seen so far amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Between header blocks.
    Nothing,
    /// Inside a header block.
    HeaderBlock,
    /// Too many of the cheap frames.
    Flood,
}

/// Follows the frame boundaries of one direction, after the connection preface.
#[derive(Debug)]
pub(crate) struct FrameWatch {
    header: [u8; FRAME_HEADER],
    have: usize,
    payload_left: u32,
    /// HEADERS or CONTINUATION without END_HEADERS came last.
    open: bool,
    /// The current frame ends the header block.
    closes: bool,
    resets: u32,
    control: u32,
    refilled: Instant,
    /// The stream that was opened last.
    last_stream: StreamId,
    /// Requests that ended with their headers.
    bodyless: VecDeque<StreamId>,
    /// Streams that were reset since somebody asked.
    reset: Vec<StreamId>,
}

impl FrameWatch {
    pub(crate) fn new(now: Instant) -> Self {
        FrameWatch {
            header: [0; FRAME_HEADER],
            have: 0,
            payload_left: 0,
            open: false,
            closes: false,
            resets: RESETS.burst,
            control: CONTROL.burst,
            refilled: now,
            last_stream: [0; 4],
            bodyless: VecDeque::new(),
            reset: Vec::new(),
        }
    }

    /// The streams that the peer has reset since the last time.
    pub(crate) fn take_reset(&mut self) -> Vec<StreamId> {
        std::mem::take(&mut self.reset)
    }

    /// The stream that was opened last.
    pub(crate) fn last_stream(&self) -> StreamId {
        self.last_stream
    }

    /// Whether this is the stream of a request that ended with its headers, not long ago. Exports have a body.
    pub(crate) fn is_bodyless(&self, stream: StreamId) -> bool {
        self.bodyless.contains(&stream)
    }

    pub(crate) fn feed(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> Seen {
        let mut flood = false;
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skipped = bytes.len().min(self.payload_left as usize);
                bytes = bytes.get(skipped..).unwrap_or_default();
                self.payload_left -= u32::try_from(skipped).unwrap_or(self.payload_left);
            } else {
                let (taken, rest) = bytes.split_at(bytes.len().min(FRAME_HEADER - self.have));
                if let Some(slot) = self.header.get_mut(self.have..self.have + taken.len()) {
                    slot.copy_from_slice(taken);
                }
                self.have += taken.len();
                bytes = rest;
                if self.have == FRAME_HEADER {
                    self.have = 0;
                    flood |= !self.frame_begins(&now);
                }
            }
            if self.payload_left == 0 && self.have == 0 && self.closes {
                self.open = false;
                self.closes = false;
            }
        }
        match (flood, self.open) {
            (true, _) => Seen::Flood,
            (false, true) => Seen::HeaderBlock,
            (false, false) => Seen::Nothing,
        }
    }

    /// Returns whether the frame is within budget.
    fn frame_begins(&mut self, now: impl Fn() -> Instant) -> bool {
        let [a, b, c, kind, flags, stream @ ..] = self.header;
        self.payload_left = u32::from_be_bytes([0, a, b, c]);
        match kind {
            HEADERS | CONTINUATION => {
                self.open = true;
                self.closes = flags & END_HEADERS != 0;
                if kind == HEADERS {
                    self.last_stream = stream;
                    if flags & END_STREAM != 0 {
                        self.bodyless.truncate(BODYLESS - 1);
                        self.bodyless.push_front(stream);
                    }
                    self.control = (self.control + CONTROL_PER_STREAM).min(CONTROL.burst);
                    true
                } else {
                    self.spend_control(now)
                }
            }
            // Empty DATA that ends nothing serves nobody.
            DATA if self.payload_left > 0 || flags & END_STREAM != 0 => true,
            RST_STREAM => {
                if self.resets > 0 {
                    self.reset.push(stream);
                }
                self.refill_when_spent(now);
                let within = self.resets > 0;
                self.resets = self.resets.saturating_sub(1);
                within
            }
            _ => self.spend_control(now),
        }
    }

    fn spend_control(&mut self, now: impl Fn() -> Instant) -> bool {
        self.refill_when_spent(now);
        let within = self.control > 0;
        self.control = self.control.saturating_sub(1);
        within
    }

    /// Asks for the time only when a budget is half spent: most connections never get there.
    fn refill_when_spent(&mut self, now: impl Fn() -> Instant) {
        if self.control < CONTROL.burst / 2 || self.resets < RESETS.burst / 2 {
            let now = now();
            let seconds = (now - self.refilled).as_secs_f64();
            if seconds >= 0.1 {
                let refill = |left: u32, budget: &Budget| {
                    let more = (f64::from(budget.per_second) * seconds).min(f64::from(budget.burst));
                    left.saturating_add(more as u32).min(budget.burst)
                };
                self.control = refill(self.control, &CONTROL);
                self.resets = refill(self.resets, &RESETS);
                self.refilled = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut frame = (payload as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 1]);
        frame.extend(std::iter::repeat_n(0, payload));
        frame
    }

    #[test]
    fn a_header_block_is_open_until_its_last_byte_however_it_is_cut() {
        let bytes = [frame(DATA, 0, 20), frame(HEADERS, 0, 30), frame(CONTINUATION, END_HEADERS, 10)].concat();
        for step in 1..bytes.len() {
            let mut watch = FrameWatch::new(Instant::now());
            let mut at = 0;
            for piece in bytes.chunks(step) {
                at += piece.len();
                let seen = watch.feed(piece, Instant::now);
                let expected = at >= 29 + 9 && at < bytes.len();
                assert_eq!(seen == Seen::HeaderBlock, expected, "step {step} at {at}");
            }
        }
    }

    #[test]
    fn floods_are_seen_and_ordinary_traffic_is_not() {
        let start = Instant::now();
        let feed = |frame: &[u8], count: usize| {
            let mut watch = FrameWatch::new(start);
            (0..count).any(|_| watch.feed(frame, || start) == Seen::Flood)
        };
        for (kind, within) in [(RST_STREAM, 400), (6, 4_000), (4, 4_000), (DATA, 4_000), (CONTINUATION, 4_000)] {
            assert!(!feed(&frame(kind, 0, 0), within), "{kind}");
            assert!(feed(&frame(kind, 0, 0), within + 1), "{kind}");
        }
        assert!(!feed(&frame(DATA, 0, 1), 100_000));
        assert!(!feed(&[frame(HEADERS, END_HEADERS, 3), frame(DATA, 0, 5), frame(6, 0, 8)].concat(), 100_000));
    }

    #[test]
    fn budgets_come_back_with_time() {
        let mut now = Instant::now();
        let mut watch = FrameWatch::new(now);
        for _ in 0..10_000 {
            now += Duration::from_millis(20);
            assert_ne!(watch.feed(&frame(RST_STREAM, 0, 4), || now), Seen::Flood);
        }
    }
}
