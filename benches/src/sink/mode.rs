//! How a sink answers.

use crate::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const KNOWN: &str = "ok, fail, refuse, hang, closed, delay=MILLISECONDS, rate=ITEMS";

/// How a sink answers, switchable while it runs. Written `ok`, `fail`, `refuse`, `hang`, `closed`,
/// `delay=MILLISECONDS`, `rate=ITEMS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Ok,
    /// UNAVAILABLE on gRPC, 503 on HTTP: the sender is to try again.
    Fail,
    /// INVALID_ARGUMENT on gRPC, 400 on HTTP: the sender is to drop it.
    Refuse,
    /// Reads requests and does not answer until the mode changes.
    Hang,
    /// Is not there: connections are cut, and new ones refused by the kernel.
    Closed,
    /// Answers after a while.
    Delay(Duration),
    /// Takes so many items a second, one request after the other: a backend at its limit.
    Rate(u32),
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Unavailable,
    Permanent,
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::Invalid(format!("{text:?} is none of {KNOWN}"));
        match text.trim() {
            "ok" => Ok(Self::Ok),
            "fail" => Ok(Self::Fail),
            "refuse" => Ok(Self::Refuse),
            "hang" => Ok(Self::Hang),
            "closed" => Ok(Self::Closed),
            other => {
                let (name, number) = other.split_once('=').ok_or_else(unknown)?;
                match (name, number.parse::<u32>()) {
                    ("delay", Ok(number)) => Ok(Self::Delay(Duration::from_millis(number.into()))),
                    ("rate", Ok(number @ 1..)) => Ok(Self::Rate(number)),
                    _ => Err(unknown()),
                }
            }
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Fail => f.write_str("fail"),
            Self::Refuse => f.write_str("refuse"),
            Self::Hang => f.write_str("hang"),
            Self::Closed => f.write_str("closed"),
            Self::Delay(pause) => write!(f, "delay={}", pause.as_millis()),
            Self::Rate(items) => write!(f, "rate={items}"),
        }
    }
}
