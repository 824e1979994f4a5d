//! A remote-write endpoint that answers as it is told.

use std::ops::Deref;

use crate::http::{self, answer};
pub use crate::http::{Answer, Received};

/// An answer without headers; 0 hangs up without one, 1 never comes.
pub fn status(status: u16) -> Answer {
    match status {
        0 => Answer::HangUp,
        1 => Answer::Silence,
        _ => answer(status, &[], ""),
    }
}

/// What a version 2 receiver says it has written.
pub fn written(code: u16, samples: usize, histograms: usize, exemplars: usize) -> Answer {
    status(code)
        .with("X-Prometheus-Remote-Write-Samples-Written", samples)
        .with("X-Prometheus-Remote-Write-Histograms-Written", histograms)
        .with("X-Prometheus-Remote-Write-Exemplars-Written", exemplars)
}

/// Whether it is a version 2 message.
pub fn is_v2(request: &Received) -> bool {
    request.header("x-prometheus-remote-write-version") == Some("2.0.0")
}

/// The endpoint; answers 500 when its script has ended.
#[derive(Clone)]
pub struct Endpoint(http::Endpoint);

impl Endpoint {
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Endpoint(http::Endpoint::start_at("/api/v1/write", answers, status(500)).await)
    }
}

impl Deref for Endpoint {
    type Target = http::Endpoint;

    fn deref(&self) -> &http::Endpoint {
        &self.0
    }
}
