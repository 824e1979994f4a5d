//! How a sink answers.

use crate::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How a sink answers, switchable while it runs. Written `ok`, `fail`, `refuse`, `hang`, `delay=MILLISECONDS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Ok,
    /// UNAVAILABLE on gRPC, 503 on HTTP: the sender is to try again.
    Fail,
    /// INVALID_ARGUMENT on gRPC, 400 on HTTP: the sender is to drop it.
    Refuse,
    /// Reads requests and does not answer until the mode changes.
    Hang,
    /// Answers after a while.
    Delay(Duration),
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
        let unknown = || Error::Invalid(format!("{text:?} is none of ok, fail, refuse, hang, delay=MILLISECONDS"));
        match text.trim() {
            "ok" => Ok(Self::Ok),
            "fail" => Ok(Self::Fail),
            "refuse" => Ok(Self::Refuse),
            "hang" => Ok(Self::Hang),
            other => {
                let milliseconds = other.strip_prefix("delay=").and_then(|number| number.parse().ok());
                milliseconds.map(|number| Self::Delay(Duration::from_millis(number))).ok_or_else(unknown)
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
            Self::Delay(pause) => write!(f, "delay={}", pause.as_millis()),
        }
    }
}
