//! Runs of digits with single separators: which windows of a text may belong to one, and how one is taken apart.
//!
//! A run may hold full-width digits and zero-width characters, which are ways to hide a number from a scanner.

/// The bit of bytes that may stand in a run.
const IN_RUN: u8 = 0x80;
/// In a run, and evidence of a digit.
const DIGIT: u8 = IN_RUN | 1;
/// In a run.
const OTHER: u8 = IN_RUN;

/// Bytes that may stand in a run: digits, separators, and the bytes of full-width digits (`EF BC 90` to `99`), of zero-width
/// characters (`E2 80 8B` to `8D`, `E2 81 A0`, `EF BB BF`) and of the soft hyphen (`C2 AD`).
static CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' | 0x90..=0x99 | 0xE2 => DIGIT,
            b' ' | b'-' | 0xEF | 0xBC | 0xBB | 0xBF | 0x80 | 0x81 | 0x8B..=0x8D | 0xA0 | 0xC2 | 0xAD => OTHER,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// Width of the window that is looked at, and the distance between windows: every run of at least 12 bytes contains a whole
/// window.
const WINDOW: usize = 4;
const STRIDE: usize = MIN_RUN - WINDOW + 1;

/// Length of the shortest run that is always found, in bytes.
pub(crate) const MIN_RUN: usize = 12;

/// Appends the offsets of the windows that lie inside a run. Each run of at least 12 bytes, wherever it starts and whatever
/// surrounds it, contributes at least one offset that lies inside it. Offsets over `u32::MAX` are not representable: the
/// caller's buffer is smaller.
pub(crate) fn scan(bytes: &[u8], out: &mut Vec<u32>) {
    let mut base = 0;
    let strides = bytes.chunks_exact(STRIDE);
    let rest = strides.remainder();
    for stride in strides {
        // One test for all four: which of them fails is anybody's guess, and a wrong guess costs more than three look-ups.
        let all = CLASS[stride[0] as usize]
            & CLASS[stride[1] as usize]
            & CLASS[stride[2] as usize]
            & CLASS[stride[3] as usize];
        if all & IN_RUN != 0 {
            push_if_digits(&stride[..WINDOW], base, out);
        }
        base += STRIDE;
    }
    if let Some(window) = rest.get(..WINDOW)
        && window.iter().all(|&byte| CLASS[byte as usize] != 0)
    {
        push_if_digits(window, base, out);
    }
}

#[cold]
fn push_if_digits(window: &[u8], at: usize, out: &mut Vec<u32>) {
    if window.iter().any(|&byte| CLASS[byte as usize] == DIGIT) {
        out.push(at as u32);
    }
}

/// A stretch of run bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// At least as many as there are digits.
    pub(crate) digits: usize,
    /// Nothing but ASCII.
    ascii: bool,
}

/// The largest stretch of run bytes around `at`.
pub(crate) fn cluster(text: &[u8], at: usize) -> Cluster {
    let (mut start, mut end, mut digits, mut seen) = (at, at, 0, 0u8);
    while start > 0 && CLASS[text[start - 1] as usize] != 0 {
        start -= 1;
        digits += usize::from(CLASS[text[start] as usize] == DIGIT);
        seen |= text[start];
    }
    while end < text.len() && CLASS[text[end] as usize] != 0 {
        digits += usize::from(CLASS[text[end] as usize] == DIGIT);
        seen |= text[end];
        end += 1;
    }
    Cluster { start, end, digits, ascii: seen < 0x80 }
}

/// What stands at the front of `text`.
enum Piece {
    Digit(u8, usize),
    ZeroWidth(usize),
    Other,
}

fn piece(text: &[u8]) -> Piece {
    match text {
        [digit @ b'0'..=b'9', ..] => Piece::Digit(digit - b'0', 1),
        [0xEF, 0xBC, digit @ 0x90..=0x99, ..] => Piece::Digit(digit - 0x90, 3),
        [0xE2, 0x80, 0x8B..=0x8D, ..] | [0xE2, 0x81, 0xA0, ..] | [0xEF, 0xBB, 0xBF, ..] => Piece::ZeroWidth(3),
        [0xC2, 0xAD, ..] => Piece::ZeroWidth(2),
        _ => Piece::Other,
    }
}

/// Calls `digit` with each digit of `text`, its start and its end.
pub(crate) fn each(text: &[u8], mut digit: impl FnMut(u8, usize, usize)) {
    let mut at = 0;
    while at < text.len() {
        at += match piece(&text[at..]) {
            Piece::Digit(value, len) => {
                digit(value, at, at + len);
                len
            }
            Piece::ZeroWidth(len) => len,
            Piece::Other => 1,
        };
    }
}

/// Digits with nothing between them. `start` is the first digit's, `end` the last one's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) digits: usize,
}

/// A cluster of `text`, read group by group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) text: &'a [u8],
    end: usize,
    /// Start of the first digit and end of the last one.
    first: usize,
    last: usize,
}

impl<'a> Run<'a> {
    /// The digits of a cluster. `None` if it holds none.
    pub(crate) fn new(text: &'a [u8], cluster: Cluster) -> Option<Self> {
        let Cluster { start, end, ascii, .. } = cluster;
        let mut bounds: Option<(usize, usize)> = None;
        if ascii {
            let digit = |byte: &u8| byte.is_ascii_digit();
            let first = text[start..end].iter().position(digit);
            bounds = first.zip(text[start..end].iter().rposition(digit).map(|last| last + 1));
        } else {
            each(&text[start..end], |_, from, to| bounds = Some((bounds.map_or(from, |(first, _)| first), to)));
        }
        let (first, last) = bounds?;
        Some(Run { text, end, first: start + first, last: start + last })
    }

    /// Whether `start..end` holds all digits of the cluster.
    pub(crate) fn is_whole(&self, start: usize, end: usize) -> bool {
        start == self.first && end == self.last
    }

    /// The first group at or after `from`.
    pub(crate) fn next_group(&self, from: usize) -> Option<Group> {
        let mut at = from.max(self.first);
        while at < self.end {
            match piece(&self.text[at..self.end]) {
                Piece::Digit(..) => return self.group_at(at, usize::MAX),
                Piece::ZeroWidth(len) => at += len,
                Piece::Other => at += 1,
            }
        }
        None
    }

    /// The group whose first digit is at `at`; of a longer one the first `limit` digits and one more.
    pub(crate) fn group_at(&self, at: usize, limit: usize) -> Option<Group> {
        let mut group = Group { start: at, end: at, digits: 0 };
        while group.digits <= limit && group.end < self.end {
            let Piece::Digit(_, len) = piece(&self.text[group.end..self.end]) else { break };
            group.end += len;
            group.digits += 1;
        }
        (group.digits > 0).then_some(group)
    }

    /// The digit that follows `end` behind one space or dash or behind zero-width characters alone: its start, and the
    /// separator ([`JOINED`] if there is none).
    pub(crate) fn after(&self, end: usize) -> Option<(usize, u8)> {
        let mut at = end;
        let mut separator = JOINED;
        while at < self.end {
            match piece(&self.text[at..self.end]) {
                Piece::Digit(..) => return Some((at, separator)),
                Piece::ZeroWidth(len) => at += len,
                Piece::Other if separator == JOINED && matches!(self.text[at], b' ' | b'-') => {
                    separator = self.text[at];
                    at += 1;
                }
                Piece::Other => return None,
            }
        }
        None
    }
}

/// What separates two groups that only zero-width characters stand between.
pub(crate) const JOINED: u8 = 0;
