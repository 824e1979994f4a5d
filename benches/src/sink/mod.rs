//! A backend that counts what it is sent and answers at once, or fails as it is told to.

mod grpc;
mod http;
mod listen;
mod mode;
mod stats;

pub use grpc::serve_grpc;
pub use http::serve_http;
pub use mode::{Mode, Verdict};
pub use stats::{Report, Stats};

use crate::Error;
use ::http::Method;
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A sink: what it counted, and how it answers at the moment.
#[derive(Debug)]
pub struct Sink {
    pub stats: Stats,
    mode: watch::Sender<Mode>,
    /// When a backend at its limit is done with what it has taken.
    busy_until: Mutex<Instant>,
}

impl Sink {
    /// A sink that begins in this mode; with `track` it remembers which items it has seen.
    pub fn new(mode: Mode, track: bool) -> Result<Self, Error> {
        let busy_until = Mutex::new(Instant::now());
        Ok(Self { stats: Stats::new(track)?, mode: watch::Sender::new(mode), busy_until })
    }

    fn set_mode(&self, mode: Mode) {
        *self.busy_until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.mode.send_replace(mode);
    }

    /// Takes a place in the line and returns when it is this request's turn to be done.
    fn line_up(&self, items: u64, per_second: u32) -> Instant {
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        let work = Duration::from_secs_f64(items as f64 / f64::from(per_second));
        *busy_until = (*busy_until).max(Instant::now()) + work;
        *busy_until
    }

    /// What to do with the request that was just read: waits while the sink hangs, delays or is busy.
    async fn verdict(&self, items: u64) -> Verdict {
        let mut mode = self.mode.subscribe();
        loop {
            let current = *mode.borrow_and_update();
            match current {
                Mode::Ok => return Verdict::Accept,
                // A connection that is cut takes no answer.
                Mode::Fail | Mode::Closed => return Verdict::Unavailable,
                Mode::Refuse => return Verdict::Permanent,
                Mode::Delay(pause) => {
                    tokio::time::sleep(pause).await;
                    return Verdict::Accept;
                }
                Mode::Rate(per_second) => {
                    let turn = self.line_up(items, per_second);
                    tokio::select! {
                        () = tokio::time::sleep_until(turn) => return Verdict::Accept,
                        _ = mode.changed() => {}
                    }
                }
                Mode::Hang => {
                    if mode.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }
}

/// Steers a sink: `GET /stats`, `GET /track`, `POST /mode` with a mode as its body, `POST /window` (forgets
/// latencies), `POST /reset`.
pub fn steering(sink: Arc<Sink>) -> Arc<crate::control::Handler> {
    Arc::new(move |method, path, body| {
        let invalid = |error: serde_json::Error| Error::Invalid(error.to_string());
        Some(match (method, path) {
            (&Method::GET, "/stats") => serde_json::to_value(sink.stats.report()).map_err(invalid),
            (&Method::GET, "/track") => serde_json::to_value(sink.stats.seen()).map_err(invalid),
            (&Method::POST, "/mode") => body.parse().map(|mode: Mode| {
                sink.set_mode(mode);
                json!({ "mode": mode.to_string() })
            }),
            (&Method::POST, "/window") => {
                sink.stats.open_window();
                Ok(json!({}))
            }
            (&Method::POST, "/reset") => {
                sink.stats.reset();
                Ok(json!({}))
            }
            _ => return None,
        })
    })
}
