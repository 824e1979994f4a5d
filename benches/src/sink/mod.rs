//! A backend that counts what it is sent and answers at once, or fails as it is told to.

mod grpc;
mod http;
mod mode;
mod stats;

pub use grpc::serve_grpc;
pub use http::serve_http;
pub use mode::{Mode, Verdict};
pub use stats::{Report, Stats};

use crate::Error;
use ::http::Method;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::watch;

/// A sink: what it counted, and how it answers at the moment.
#[derive(Debug)]
pub struct Sink {
    pub stats: Stats,
    mode: watch::Sender<Mode>,
}

impl Sink {
    /// A sink that begins in this mode; with `track` it remembers which items it has seen.
    pub fn new(mode: Mode, track: bool) -> Result<Self, Error> {
        Ok(Self { stats: Stats::new(track)?, mode: watch::Sender::new(mode) })
    }

    /// What to do with the request that was just read: waits while the sink hangs or delays.
    async fn verdict(&self) -> Verdict {
        let mut mode = self.mode.subscribe();
        loop {
            let current = *mode.borrow_and_update();
            match current {
                Mode::Ok => return Verdict::Accept,
                Mode::Fail => return Verdict::Unavailable,
                Mode::Refuse => return Verdict::Permanent,
                Mode::Delay(pause) => {
                    tokio::time::sleep(pause).await;
                    return Verdict::Accept;
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
                sink.mode.send_replace(mode);
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
