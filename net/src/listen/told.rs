//! What the HTTP/2 library refuses by itself, read from the frames it sends: it tells nobody else, and every refusal is
//! counted (`security.md` section 1).

use h2::Reason;

use super::answers::Answers;
use super::counters::Counters;
use super::flood::StreamId;
use super::traffic::Traffic;

const FRAME_HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 0x1;
/// As much of a payload as is looked at: a GOAWAY's last stream and its reason, or a header block of one field.
const LOOKED_AT: usize = 16;

/// Follows the frames of a connection on their way out.
#[derive(Debug, Default)]
pub(crate) struct Told {
    header: [u8; FRAME_HEADER],
    have: usize,
    payload_left: usize,
    payload_length: usize,
    payload: [u8; LOOKED_AT],
    payload_have: usize,
    /// The stream that was answered last with headers and nothing else.
    answered: StreamId,
    pub(crate) answers: Answers,
}

/// A GOAWAY without further words.
pub(crate) fn goaway(last_stream: StreamId, reason: Reason) -> [u8; FRAME_HEADER + 8] {
    let [a, b, c, d] = last_stream;
    let [e, f, g, h] = u32::from(reason).to_be_bytes();
    [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, a & 0x7f, b, c, d, e, f, g, h]
}

impl Told {
    /// Whether all frames so far are whole.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.have == 0
    }

    /// Takes in what was written, in as many pieces as it likes. `is_bodyless` knows the streams of requests without a body.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        counters: &Counters,
        traffic: &Traffic,
        is_bodyless: impl Fn(StreamId) -> bool,
    ) {
        while !bytes.is_empty() {
            if self.have < FRAME_HEADER {
                let (taken, rest) = bytes.split_at(bytes.len().min(FRAME_HEADER - self.have));
                if let Some(slot) = self.header.get_mut(self.have..self.have + taken.len()) {
                    slot.copy_from_slice(taken);
                }
                self.have += taken.len();
                bytes = rest;
                let [a, b, c, ..] = self.header;
                self.payload_left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.payload_length = self.payload_left;
                self.payload_have = 0;
            } else {
                let (taken, rest) = bytes.split_at(bytes.len().min(self.payload_left));
                let kept = taken.len().min(LOOKED_AT - self.payload_have);
                if let (Some(slot), Some(kept)) =
                    (self.payload.get_mut(self.payload_have..self.payload_have + kept), taken.get(..kept))
                {
                    slot.copy_from_slice(kept);
                }
                self.payload_have += kept;
                self.payload_left -= taken.len();
                bytes = rest;
            }
            if self.have == FRAME_HEADER && self.payload_left == 0 {
                self.have = 0;
                self.ended(counters, &is_bodyless);
                self.follow(traffic);
            }
        }
    }

    /// The payload, where it is short enough to have been kept whole.
    fn block(&self) -> &[u8] {
        if self.payload_length > LOOKED_AT { &[] } else { self.payload.get(..self.payload_length).unwrap_or_default() }
    }

    /// Keeps up with the answers that are under way.
    fn follow(&mut self, traffic: &Traffic) {
        let [_, _, _, kind, flags, stream @ ..] = self.header;
        match kind {
            DATA | HEADERS if flags & END_STREAM != 0 => self.answers.ends(stream),
            RST_STREAM => self.answers.ends(stream),
            HEADERS => self.answers.begins(stream, traffic.now()),
            DATA => self.answers.sends(stream, self.payload_length, traffic.write_min_rate(), traffic.now()),
            _ => {}
        }
    }

    fn ended(&mut self, counters: &Counters, is_bodyless: impl Fn(StreamId) -> bool) {
        let [_, _, _, kind, flags, stream @ ..] = self.header;
        let [a, b, c, d, e, f, g, h, ..] = self.payload;
        match kind {
            // The same answer as below to a request that needs no reset, as it has no body. All of ours have more fields
            // than the status.
            HEADERS if flags & END_STREAM != 0 && is_bodyless(stream) && is_lone_field(self.block()) => {
                Counters::add(&counters.head_too_large);
            }
            HEADERS if flags & END_STREAM != 0 => self.answered = stream,
            RST_STREAM => match Reason::from(u32::from_be_bytes([a, b, c, d])) {
                Reason::REFUSED_STREAM => Counters::add(&counters.streams_refused),
                // Its answer to a header list over the limit is a status and this.
                Reason::PROTOCOL_ERROR if self.answered == stream => Counters::add(&counters.head_too_large),
                Reason::PROTOCOL_ERROR
                | Reason::STREAM_CLOSED
                | Reason::FRAME_SIZE_ERROR
                | Reason::FLOW_CONTROL_ERROR => Counters::add(&counters.protocol_errors),
                // Ours: whoever asked for it has counted it.
                _ => {}
            },
            GOAWAY => match Reason::from(u32::from_be_bytes([e, f, g, h])) {
                Reason::NO_ERROR => {}
                Reason::ENHANCE_YOUR_CALM => Counters::add(&counters.floods),
                _ => Counters::add(&counters.protocol_errors),
            },
            _ => {}
        }
    }
}

/// Whether a header block (RFC 7541) is a single field whose name has an index, behind any changes of the table's size.
fn is_lone_field(mut block: &[u8]) -> bool {
    while let [first, rest @ ..] = block
        && first & 0xe0 == 0x20
    {
        let more = rest.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        block = if first & 0x1f == 0x1f { rest.get(more..).unwrap_or_default() } else { rest };
    }
    match block {
        [index] => index & 0x80 != 0,
        [0xff, index] => index & 0x80 == 0,
        [0x41..0x7f | 0x01..0x0f, length, value @ ..] => value.len() == usize::from(length & 0x7f),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::Snapshot;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, stream]);
        frame.extend(payload);
        frame
    }

    #[test]
    fn refusals_are_counted_however_the_frames_are_cut() {
        let code = |reason: Reason| u32::from(reason).to_be_bytes();
        let goaway = |reason| frame(GOAWAY, 0, 0, &[&[0; 4], &code(reason)[..], b"why"].concat());
        let bytes = [
            frame(4, 0, 0, &[0; 12]),
            frame(RST_STREAM, 0, 3, &code(Reason::REFUSED_STREAM)),
            frame(RST_STREAM, 0, 5, &code(Reason::CANCEL)),
            frame(HEADERS, END_STREAM, 7, b"431"),
            frame(RST_STREAM, 0, 7, &code(Reason::PROTOCOL_ERROR)),
            frame(HEADERS, 4, 9, b"200"),
            frame(0, 0, 9, &[3; 100]),
            frame(RST_STREAM, 0, 9, &code(Reason::PROTOCOL_ERROR)),
            goaway(Reason::NO_ERROR),
            goaway(Reason::ENHANCE_YOUR_CALM),
            goaway(Reason::FRAME_SIZE_ERROR),
        ]
        .concat();
        for step in 1..bytes.len() {
            let (counters, mut told) = (Counters::default(), Told::default());
            bytes.chunks(step).for_each(|piece| told.feed(piece, &counters, &Traffic::new(1), |_| false));
            let expected = Snapshot {
                streams_refused: 1,
                head_too_large: 1,
                protocol_errors: 2,
                floods: 1,
                ..Snapshot::default()
            };
            assert_eq!(counters.snapshot(), expected, "step {step}");
        }
    }
    #[test]
    fn a_bare_status_is_the_librarys_where_there_was_no_body() {
        // 431 in full, Huffman-coded, from the table, behind two changes of its size; then what has another field.
        let lone: [&[u8]; 6] = [
            b"\x48\x03431",
            b"\x48\x83\x68\x1f\xff",
            &[0xbe],
            &[0xff, 0x03],
            b"\x20\x3f\xe1\x1f\x48\x03431",
            b"\x08\x03431",
        ];
        let more: [&[u8]; 5] = [b"\x8d\xbe", b"\x48\x03431\xbe", b"", b"\x20", b"\x40\x01x\x0d0123456789abc"];
        for (blocks, counted) in [(&lone[..], 1), (&more[..], 0)] {
            for block in blocks {
                let count = |flags, bodyless| {
                    let (counters, mut told) = (Counters::default(), Told::default());
                    told.feed(&frame(HEADERS, flags, 1, block), &counters, &Traffic::new(1), |stream| {
                        bodyless && stream == [0, 0, 0, 1]
                    });
                    counters.snapshot().head_too_large
                };
                assert_eq!(count(END_STREAM | 4, true), counted, "{block:?}");
                assert_eq!(count(END_STREAM | 4, false) + count(4, true), 0, "{block:?}");
            }
        }
    }

    #[test]
    fn a_goaway_reads_as_one() {
        let (counters, mut told) = (Counters::default(), Told::default());
        let frame = goaway([0x80, 0, 0, 7], Reason::ENHANCE_YOUR_CALM);
        assert_eq!(frame[..9], [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0]);
        assert_eq!(frame[9..13], [0, 0, 0, 7]);
        told.feed(&frame[..5], &counters, &Traffic::new(1), |_| false);
        assert!(!told.is_between_frames());
        told.feed(&frame[5..], &counters, &Traffic::new(1), |_| false);
        assert!(told.is_between_frames());
        assert_eq!(counters.snapshot().floods, 1);
    }
}
