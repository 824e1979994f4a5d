//! HTTP/2 answers that have begun and not ended, as the frames of a connection show. The HTTP library takes an answer over as
//! soon as its window is open by a byte; from there nobody but the peer decides when it ends (`security.md` A4).

use std::collections::VecDeque;

use super::flood::StreamId;

/// Streams that their peer has reset, the latest: answers to them may be on their way still.
const RESET: usize = 128;

/// The answers under way on one connection: no more than it may have streams.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    open: Vec<Answer>,
    reset: VecDeque<StreamId>,
}

#[derive(Debug)]
struct Answer {
    stream: StreamId,
    /// Since when too little of it was sent, in milliseconds.
    since: u64,
}

impl Answers {
    /// The head of an answer was sent, and something is to follow.
    pub(crate) fn begins(&mut self, stream: StreamId, now: u64) {
        if self.find(stream).is_none() && !self.reset.contains(&stream) {
            self.open.push(Answer { stream, since: now });
        }
    }

    /// So much of it was sent: that buys the time it takes at `rate` bytes a second.
    pub(crate) fn sends(&mut self, stream: StreamId, bytes: usize, rate: u64, now: u64) {
        if let Some(answer) = self.find(stream).and_then(|index| self.open.get_mut(index)) {
            answer.since = (answer.since + (bytes as u64).saturating_mul(1000) / rate.max(1)).min(now);
        }
    }

    /// The peer has reset a stream.
    pub(crate) fn is_reset(&mut self, stream: StreamId) {
        self.ends(stream);
        self.reset.truncate(RESET - 1);
        self.reset.push_front(stream);
    }

    /// It is over.
    pub(crate) fn ends(&mut self, stream: StreamId) {
        if let Some(index) = self.find(stream) {
            self.open.swap_remove(index);
        }
    }

    /// Since when an answer stands still, if it is not one of so many that may: those that come bit by bit.
    pub(crate) fn still_since(&self, streaming: usize) -> Option<u64> {
        if self.open.len() <= streaming {
            return None;
        }
        let mut since: Vec<u64> = self.open.iter().map(|answer| answer.since).collect();
        since.sort_unstable();
        since.get(streaming).copied()
    }

    /// The latest is the likeliest.
    fn find(&self, stream: StreamId) -> Option<usize> {
        self.open.iter().rposition(|answer| answer.stream == stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: StreamId = [0, 0, 0, 1];
    const TWO: StreamId = [0, 0, 0, 3];

    #[test]
    fn an_answer_stands_still_from_its_beginning_unless_enough_of_it_is_sent() {
        let mut answers = Answers::default();
        assert_eq!(answers.still_since(0), None);
        answers.begins(ONE, 1_000);
        answers.sends(ONE, 5, 1_000, 9_000);
        answers.sends(TWO, 5, 1_000, 9_000);
        assert_eq!(answers.still_since(0), Some(1_005));
        answers.begins(ONE, 9_000);
        assert_eq!(answers.still_since(0), Some(1_005), "it began only once");
        answers.sends(ONE, 100_000, 1_000, 9_000);
        assert_eq!(answers.still_since(0), Some(9_000));
        answers.ends(ONE);
        assert_eq!(answers.still_since(0), None);
    }

    #[test]
    fn an_answer_that_is_written_behind_a_reset_is_none() {
        let mut answers = Answers::default();
        answers.begins(ONE, 10);
        answers.is_reset(ONE);
        answers.is_reset(TWO);
        answers.begins(TWO, 20);
        assert_eq!(answers.still_since(0), None);
    }

    #[test]
    fn those_that_come_bit_by_bit_hide_none_that_do_not() {
        let mut answers = Answers::default();
        answers.begins(ONE, 10);
        assert_eq!(answers.still_since(1), None);
        answers.begins(TWO, 20);
        assert_eq!(answers.still_since(1), Some(20));
        answers.ends(ONE);
        assert_eq!(answers.still_since(1), None);
    }
}
