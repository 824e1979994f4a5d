//! `pan`: a payment card number of 12 to 19 digits, plain or in groups.

use super::super::config::Pack;
use super::super::digits::{self, JOINED, Run};
use super::{Anchor, Detector, Hit, Spec};

const MIN_DIGITS: usize = 12;
const MAX_DIGITS: usize = 19;

#[derive(Debug)]
pub(crate) struct Pan;

static SPEC: Spec = Spec {
    id: "pan",
    label: "PAN",
    pack: Pack::Financial,
    in_default: true,
    anchor: Anchor::Digits,
    base: 0.80,
    context: &["card", "cc", "pan", "visa", "payment"],
    excludable: true,
    priority: 60,
};

/// Issuer identification ranges (ISO/IEC 7812): first and last prefix of six digits, and the allowed lengths as bits.
/// Ranges that overlap add up.
static ISSUERS: [(u32, u32, u32); 26] = [
    (400_000, 499_999, bits(&[13, 16, 19])),                     // Visa
    (510_000, 559_999, bits(&[16])),                             // Mastercard
    (222_100, 272_099, bits(&[16])),                             // Mastercard, second series
    (340_000, 349_999, bits(&[15])),                             // American Express
    (370_000, 379_999, bits(&[15])),                             // American Express
    (300_000, 305_999, bits(&[14, 16, 19])),                     // Diners Club
    (309_500, 309_599, bits(&[14, 16, 19])),                     // Diners Club
    (360_000, 369_999, bits(&[14, 16, 19])),                     // Diners Club
    (380_000, 399_999, bits(&[14, 16, 19])),                     // Diners Club
    (601_100, 601_199, bits(&[16, 17, 18, 19])),                 // Discover
    (644_000, 659_999, bits(&[16, 17, 18, 19])),                 // Discover, RuPay, Elo, Verve
    (622_126, 622_925, bits(&[16, 17, 18, 19])),                 // Discover and UnionPay
    (620_000, 629_999, bits(&[16, 17, 18, 19])),                 // UnionPay
    (810_000, 819_999, bits(&[16, 17, 18, 19])),                 // UnionPay, RuPay
    (352_800, 358_999, bits(&[16, 17, 18, 19])),                 // JCB
    (501_800, 501_899, bits(&[12, 13, 14, 15, 16, 17, 18, 19])), // Maestro
    (501_900, 501_999, bits(&[16])),                             // Dankort
    (502_000, 503_899, bits(&[12, 13, 14, 15, 16, 17, 18, 19])), // Maestro
    (589_300, 589_399, bits(&[12, 13, 14, 15, 16, 17, 18, 19])), // Maestro
    (630_400, 630_499, bits(&[12, 13, 14, 15, 16, 17, 18, 19])), // Maestro
    (675_900, 676_399, bits(&[12, 13, 14, 15, 16, 17, 18, 19])), // Maestro
    (220_000, 220_499, bits(&[16, 17, 18, 19])),                 // Mir
    (504_175, 509_999, bits(&[16, 18, 19])),                     // Elo, Verve, RuPay
    (606_282, 608_999, bits(&[16])),                             // Hipercard, RuPay
    (636_000, 639_999, bits(&[16, 17, 18, 19])),                 // InterPayment, InstaPayment, Elo
    (979_200, 979_299, bits(&[16])),                             // Troy
];

const fn bits(lengths: &[u32]) -> u32 {
    let mut set = 0;
    let mut i = 0;
    while i < lengths.len() {
        set |= 1 << lengths[i];
        i += 1;
    }
    set
}

/// Numbers that card networks and processors publish for tests.
static TEST_CARDS: [&[u8]; 14] = [
    b"4111111111111111",
    b"4242424242424242",
    b"4012888888881881",
    b"4222222222222",
    b"4000056655665556",
    b"5555555555554444",
    b"5105105105105100",
    b"2223003122003222",
    b"378282246310005",
    b"371449635398431",
    b"6011111111111117",
    b"6011000990139424",
    b"30569309025904",
    b"3530111333300000",
];

impl Detector for Pan {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn verify(&self, text: &[u8], at: usize, hits: &mut Vec<Hit>) -> usize {
        let cluster = digits::cluster(text, at);
        let past = cluster.end.max(at + 1);
        if cluster.digits < MIN_DIGITS {
            return past;
        }
        let Some(run) = Run::new(text, cluster) else { return past };
        let mut from = cluster.start;
        while let Some(group) = run.next_group(from) {
            from = group.end;
            if !may_start(text, group.start) {
                continue;
            }
            if let Some(found) = longest_from(&run, group.start) {
                hits.push(Hit { start: group.start, end: found, base: SPEC.base, with_context: 0.95 });
                from = found;
            }
        }
        past
    }

    fn verify_number(&self, decimal: &[u8]) -> Option<Hit> {
        let mut number = Number::default();
        decimal.iter().try_for_each(|byte| number.push(byte.checked_sub(b'0').filter(|digit| *digit < 10)?))?;
        number.is_card().then_some(Hit { start: 0, end: decimal.len(), base: SPEC.base, with_context: 0.95 })
    }

    fn normalize(&self, found: &[u8], out: &mut Vec<u8>) {
        digits::each(found, |digit, _, _| out.push(b'0' + digit));
    }

    /// First six and last four digits, the most that may be shown (PCI DSS 3.4.1). Separators stay.
    fn partial(&self, found: &[u8], out: &mut Vec<u8>) {
        let mut count = 0;
        digits::each(found, |_, _, _| count += 1);
        let (mut seen, mut copied) = (0, 0);
        digits::each(found, |digit, start, end| {
            out.extend_from_slice(&found[copied..start]);
            out.push(if (6..count.max(10) - 4).contains(&seen) { b'*' } else { b'0' + digit });
            seen += 1;
            copied = end;
        });
    }

    fn is_test_value(&self, normalized: &[u8]) -> bool {
        TEST_CARDS.contains(&normalized)
    }
}

/// The digits of a possible number, judged as they come.
#[derive(Clone, Copy, Default)]
struct Number {
    digits: [u8; MAX_DIGITS],
    len: usize,
}

impl Number {
    /// `None` once there are too many digits.
    fn push(&mut self, digit: u8) -> Option<()> {
        *self.digits.get_mut(self.len)? = digit;
        self.len += 1;
        Some(())
    }

    fn is_card(&self) -> bool {
        let digits = &self.digits[..self.len];
        if digits.len() < MIN_DIGITS {
            return false;
        }
        let prefix = digits[..6].iter().fold(0u32, |prefix, &digit| prefix * 10 + u32::from(digit));
        let lengths = ISSUERS.iter().filter(|range| (range.0..=range.1).contains(&prefix)).fold(0, |set, r| set | r.2);
        let distinct = digits.iter().fold(0u16, |set, &digit| set | 1 << digit).count_ones();
        lengths >> digits.len() & 1 == 1 && luhn(digits) && (distinct >= 3 || is_test_card(digits.iter().copied()))
    }
}

/// The best known test numbers have two distinct digits; they are numbers all the same.
fn is_test_card(digits: impl Iterator<Item = u8> + Clone) -> bool {
    TEST_CARDS.iter().any(|card| card.iter().map(|byte| byte - b'0').eq(digits.clone()))
}

/// The check digit of ISO/IEC 7812-1 annex B.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    const DOUBLED: [u8; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, &digit)| u32::from(if at % 2 == 1 { DOUBLED[digit as usize % 10] } else { digit }))
        .sum();
    sum.is_multiple_of(10)
}

/// Whether a number may start here: what stands before is neither a word character nor `.` nor `-`.
fn may_start(text: &[u8], start: usize) -> bool {
    start == 0 || !is_joiner(text[start - 1])
}

/// Whether a number may end here. A dot or a dash is the end of a sentence unless a word character follows.
fn may_end(text: &[u8], end: usize) -> bool {
    match text.get(end) {
        None => true,
        Some(b'.' | b'-') => text.get(end + 1).is_none_or(|&byte| !is_word(byte)),
        Some(&byte) => !is_word(byte),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_joiner(byte: u8) -> bool {
    is_word(byte) || byte == b'.' || byte == b'-'
}

/// End of the longest card number whose first group starts at `start`.
fn longest_from(run: &Run<'_>, start: usize) -> Option<usize> {
    let mut number = Number::default();
    let mut shape = Shape::default();
    let mut longest = None;
    let mut next = Some((start, JOINED));
    while let Some((from, separator)) = next {
        let group = run.group_at(from, MAX_DIGITS)?;
        let mut fits = group.digits <= MAX_DIGITS;
        if fits {
            digits::each(&run.text[group.start..group.end], |digit, _, _| fits &= number.push(digit).is_some());
        }
        if !fits {
            break;
        }
        shape.add(group.digits, separator);
        let grouped = shape.is_regular() || run.is_whole(start, group.end);
        if grouped && may_end(run.text, group.end) && number.is_card() {
            longest = Some(group.end);
        }
        next = run.after(group.end);
    }
    longest
}

/// How the digits are grouped. A regular grouping is proof enough inside a longer list of numbers.
#[derive(Clone, Copy, Default)]
struct Shape {
    sizes: [u8; MAX_DIGITS],
    groups: usize,
    separator: u8,
    mixed: bool,
}

impl Shape {
    fn add(&mut self, digits: usize, separator: u8) {
        if self.groups > 0 && separator == JOINED {
            if let Some(size) = self.sizes.get_mut(self.groups - 1) {
                *size += digits as u8;
            }
            return;
        }
        if let Some(size) = self.sizes.get_mut(self.groups) {
            *size = digits as u8;
        }
        if self.groups == 1 {
            self.separator = separator;
        }
        self.mixed |= self.groups > 1 && separator != self.separator;
        self.groups += 1;
    }

    fn is_regular(&self) -> bool {
        let sizes = &self.sizes[..self.groups.min(MAX_DIGITS)];
        match sizes {
            [_] => true,
            _ if self.mixed => false,
            [4, 6, 4 | 5] => true,
            [first, middle @ .., last] => *first >= 3 && middle.iter().all(|size| size == first) && last <= first,
            [] => false,
        }
    }
}
