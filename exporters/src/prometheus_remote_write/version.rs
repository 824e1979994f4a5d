//! Which of the two messages an endpoint gets.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_pipeline::clock::Monotonic;

use super::response::{Reply, Written};

/// `protobuf_message`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Protocol {
    /// Version 2, and version 1 for endpoints that do not read it.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    #[serde(rename = "prometheus.WriteRequest")]
    V1,
    #[serde(rename = "io.prometheus.write.v2.Request")]
    V2,
}

/// One of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// What an answer to a version 2 message says of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing: it is about the batch.
    Nothing,
    /// It reads version 2. `news`: it had been taken to read version 1 only.
    ReadsV2 { news: bool },
    /// It does not read version 2, so that the same batch must be sent as version 1. `news`: nobody knew.
    ReadsV1 { news: bool },
}

/// What is known of an endpoint.
#[derive(Debug, Default)]
struct Known {
    /// It reads version 1 only, as far as known before this time.
    v1_until: Option<Monotonic>,
    /// It has taken version 2.
    takes_v2: bool,
}

/// Finds out which version an endpoint reads, and remembers.
#[derive(Debug)]
pub struct Negotiation {
    protocol: Protocol,
    reprobe: Duration,
    known: Mutex<Known>,
}

impl Negotiation {
    /// `reprobe`: how long an endpoint is taken to read version 1 only.
    pub fn new(protocol: Protocol, reprobe: Duration) -> Self {
        Negotiation { protocol, reprobe, known: Mutex::default() }
    }

    /// The version to send now.
    pub fn version(&self, now: Monotonic) -> Version {
        match self.protocol {
            Protocol::V1 => Version::V1,
            Protocol::V2 => Version::V2,
            Protocol::Auto => match self.known().v1_until {
                Some(until) if now < until => Version::V1,
                _ => Version::V2,
            },
        }
    }

    /// Notes an answer to a version 2 message. Several may be under way when the first one tells.
    pub fn hear(&self, reply: &Reply, now: Monotonic) -> Heard {
        let mut known = self.known();
        let refused = match reply {
            Reply::Delivered { written: Some(_) } => {
                let news = known.v1_until.is_some();
                *known = Known { v1_until: None, takes_v2: true };
                return Heard::ReadsV2 { news };
            }
            Reply::Delivered { written: None } => true,
            Reply::Refused { status: 415, written, .. } => nothing_written(*written),
            Reply::Refused { status: 400, written: None, .. } => !known.takes_v2,
            _ => false,
        };
        if !refused || self.protocol != Protocol::Auto {
            return Heard::Nothing;
        }
        let news = known.v1_until.is_none_or(|until| until <= now);
        *known = Known { v1_until: Some(now + self.reprobe), takes_v2: false };
        Heard::ReadsV1 { news }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch of which something was written is never sent again.
pub(super) fn nothing_written(written: Option<Written>) -> bool {
    written.is_none_or(|written| written == Written::default())
}
