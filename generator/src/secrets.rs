//! Secrets to be found: they look real, pass the checks that detectors make, and belong to nobody.

use sluice_pdata::Signal;

use crate::random::Random;

/// What kind of secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretKind {
    Email,
    Card,
    Token,
}

impl SecretKind {
    /// In lists.
    pub const fn name(self) -> &'static str {
        match self {
            SecretKind::Email => "email",
            SecretKind::Card => "card",
            SecretKind::Token => "token",
        }
    }
}

/// Where a secret stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    SpanAttribute,
    LogBody,
    LogAttribute,
}

impl Place {
    /// In lists.
    pub const fn name(self) -> &'static str {
        match self {
            Place::SpanAttribute => "span attribute",
            Place::LogBody => "log body",
            Place::LogAttribute => "log attribute",
        }
    }

    /// The signal that carries it.
    pub const fn signal(self) -> Signal {
        match self {
            Place::SpanAttribute => Signal::Traces,
            Place::LogBody | Place::LogAttribute => Signal::Logs,
        }
    }
}

/// A secret that was planted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planted {
    pub kind: SecretKind,
    pub value: String,
    pub place: Place,
    pub trace_id: Vec<u8>,
}

/// Makes one.
pub(crate) fn secret(random: &mut Random) -> (SecretKind, String) {
    match random.below(3) {
        0 => (SecretKind::Email, email(random)),
        1 => (SecretKind::Card, card(random)),
        _ => (SecretKind::Token, token(random)),
    }
}

fn email(random: &mut Random) -> String {
    let name = random.pick(&["jane", "omar", "li.wei", "svetlana", "tom+shop", "amara"]);
    let domain = random.pick(&["example.com", "mail.example.org", "example.co.uk"]);
    format!("{name}{}@{domain}", random.below(100_000))
}

/// Sixteen digits with a valid check digit.
fn card(random: &mut Random) -> String {
    let mut digits = vec![4u8];
    digits.extend((0..14).map(|_| random.below(10) as u8));
    // Of fifteen digits with the check digit to come, every other one from the first on is doubled.
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 =
        digits.iter().enumerate().map(|(at, &digit)| u32::from(if at % 2 == 0 { doubled(digit) } else { digit })).sum();
    digits.push(((10 - sum % 10) % 10) as u8);
    digits.into_iter().map(|digit| char::from(b'0' + digit)).collect()
}

/// The form of a GitHub personal access token.
fn token(random: &mut Random) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let body: String = (0..36).map(|_| char::from(*random.pick(LETTERS))).collect();
    format!("ghp_{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_pass_the_check_that_detectors_make() {
        let mut random = Random::new(3);
        for _ in 0..200 {
            let card = card(&mut random);
            let sum: u32 = card
                .bytes()
                .rev()
                .map(|digit| u32::from(digit - b'0'))
                .enumerate()
                .map(|(at, digit)| if at % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { digit })
                .sum();
            assert_eq!((card.len(), sum % 10), (16, 0), "{card}");
        }
    }
}
