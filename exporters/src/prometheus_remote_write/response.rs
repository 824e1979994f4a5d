//! What an endpoint's answer means (prometheus §2.2).

use std::time::Duration;

use sluice_net::http::{Answer, HeaderMap, SendError};
use sluice_pipeline::send::RetryCause;

/// Bytes of an error's body that are told.
const MAX_TEXT: usize = 1024;

/// What an endpoint says it has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub samples: u64,
    pub histograms: u64,
    pub exemplars: u64,
}

/// An answer, classified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// 2xx. `written` is what the endpoint says, if it says anything.
    Delivered { written: Option<Written> },
    /// The same bytes are to be sent again.
    Retry { after: Option<Duration>, cause: RetryCause, message: String },
    /// Never to be sent again.
    Refused { status: u16, written: Option<Written>, message: String },
}

impl Reply {
    /// What is told of an answer that gives away which version an endpoint reads.
    pub fn sign(&self) -> String {
        match self {
            Reply::Refused { status, .. } => format!("status {status}"),
            Reply::Delivered { .. } => "it does not say what it wrote".to_owned(),
            Reply::Retry { .. } => String::new(),
        }
    }
}

/// How answers are read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// 429 is no refusal.
    pub retry_429: bool,
    /// Longest hint that is obeyed.
    pub max_retry_after: Duration,
}

impl Reading {
    /// Classifies an answer. Redirects that are followed never get here.
    pub fn answer(&self, answer: &Answer) -> Reply {
        let status = answer.status.as_u16();
        let written = written(&answer.headers);
        let message = || message(status, &answer.body);
        let after = answer.retry_after.map(|after| after.min(self.max_retry_after));
        match status {
            200..=299 => Reply::Delivered { written },
            429 if self.retry_429 => Reply::Retry { after, cause: RetryCause::Throttled, message: message() },
            503 => Reply::Retry { after, cause: RetryCause::Throttled, message: message() },
            500..=599 => Reply::Retry { after, cause: RetryCause::Unavailable, message: message() },
            _ => Reply::Refused { status, written, message: message() },
        }
    }

    /// Classifies what happened instead of an answer: whatever it is, it may work later.
    pub fn failure(&self, error: &SendError) -> Reply {
        let cause = match error {
            SendError::Connect { .. } => RetryCause::Connection,
            SendError::Timeout(_) | SendError::Reset(_) => RetryCause::Ambiguous,
            SendError::TooLarge { .. } | SendError::Request(_) => RetryCause::Unavailable,
        };
        Reply::Retry { after: None, cause, message: error.to_string() }
    }
}

/// Reads the three headers; `None` if none is there. One that is missing or no number counts as 0.
fn written(headers: &HeaderMap) -> Option<Written> {
    let mut any = false;
    let mut read = |name: &str| {
        let value = headers.get(name)?;
        any = true;
        value.to_str().ok()?.trim().parse::<u64>().ok()
    };
    let samples = read("x-prometheus-remote-write-samples-written").unwrap_or(0);
    let histograms = read("x-prometheus-remote-write-histograms-written").unwrap_or(0);
    let exemplars = read("x-prometheus-remote-write-exemplars-written").unwrap_or(0);
    any.then_some(Written { samples, histograms, exemplars })
}

fn message(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_TEXT)]);
    format!("server returned HTTP status {status}: {}", text.trim_end())
}

/// The reason under which data is dropped that was refused with this status.
pub fn refusal_reason(status: u16) -> &'static str {
    match status {
        300..=399 => "http_3xx",
        400 => "http_400",
        402 => "http_402",
        405 => "http_405",
        406 => "http_406",
        408 => "http_408",
        409 => "http_409",
        410 => "http_410",
        411 => "http_411",
        412 => "http_412",
        413 => "http_413",
        415 => "http_415",
        422 => "http_422",
        429 => "http_429",
        _ => "http_4xx",
    }
}

/// All that [`refusal_reason`] returns.
pub const REFUSAL_REASONS: [&str; 15] = [
    "http_3xx", "http_400", "http_402", "http_405", "http_406", "http_408", "http_409", "http_410", "http_411",
    "http_412", "http_413", "http_415", "http_422", "http_429", "http_4xx",
];
