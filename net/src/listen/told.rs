//! What the HTTP/2 library refuses by itself, read from the frames it sends: it tells nobody else, and every refusal is
//! counted (`security.md` section 1).

use h2::Reason;

use super::counters::Counters;

const FRAME_HEADER: usize = 9;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 0x1;
/// As much of a payload as is looked at: a GOAWAY's last stream and its reason.
const LOOKED_AT: usize = 8;

/// Follows the frames of a connection on their way out.
#[derive(Debug, Default)]
pub(crate) struct Told {
    header: [u8; FRAME_HEADER],
    have: usize,
    payload_left: usize,
    payload: [u8; LOOKED_AT],
    payload_have: usize,
    /// The stream that was answered last with headers and nothing else.
    answered: [u8; 4],
}

impl Told {
    /// Takes in what was written, in as many pieces as it likes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], counters: &Counters) {
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
                self.ended(counters);
            }
        }
    }

    fn ended(&mut self, counters: &Counters) {
        let [_, _, _, kind, flags, stream @ ..] = self.header;
        let [a, b, c, d, e, f, g, h] = self.payload;
        match kind {
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
            bytes.chunks(step).for_each(|piece| told.feed(piece, &counters));
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
}
