//! Runs HTTP/2 streams, and ends those whose response is never taken: a peer that keeps its window shut would hold
//! them for as long as its connection lives (`security.md` A4).

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use hyper::rt::Executor;
use tokio::time::{Sleep, sleep};

use super::connection::Shared;
use super::counters::Counters;

thread_local! {
    /// Set when the service has answered within the current poll of a stream. The library's stream future gives no
    /// other sign of having gone from handling to sending.
    static ANSWERED: Cell<bool> = const { Cell::new(false) };
}

/// Says that the response of the stream being polled is complete and only has to be sent.
pub(crate) fn answered() {
    ANSWERED.set(true);
}

/// Spawns a task for each stream.
#[derive(Clone)]
pub(crate) struct Streams(pub(crate) Arc<Shared>);

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut stream = pin!(stream);
            let mut sending: Option<Pin<Box<Sleep>>> = None;
            poll_fn(|cx| {
                ANSWERED.set(false);
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                if ANSWERED.take() {
                    sending = Some(Box::pin(sleep(shared.limits.write_timeout)));
                }
                let Some(limit) = &mut sending else { return Poll::Pending };
                if limit.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                Counters::add(&shared.counters.write_timeouts);
                Poll::Ready(())
            })
            .await;
        });
    }
}
