//! Runs HTTP/2 streams, and ends those whose response is never taken: a peer that keeps its window shut, or opens it by a
//! byte now and then, would hold them for as long as its connection lives (`security.md` A4). A response that comes bit by
//! bit has that time for each bit.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use hyper::rt::Executor;
use tokio::time::{Sleep, sleep};

use super::connection::Shared;
use super::counters::Counters;

/// What a response did last within the current poll of its stream.
#[derive(Clone, Copy)]
enum Response {
    /// It has something to send.
    Gives,
    /// It waits for more to come of its own source.
    Waits,
}

thread_local! {
    /// The library's stream future gives no other sign of having gone from handling to sending.
    static LAST: Cell<Option<Response>> = const { Cell::new(None) };
}

/// Says that the response of the stream being polled has begun, or goes on: from here its peer has to take it.
pub(crate) fn gives() {
    LAST.set(Some(Response::Gives));
}

/// Says that the response of the stream being polled waits for something that is not its peer.
pub(crate) fn waits() {
    LAST.set(Some(Response::Waits));
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
                LAST.set(None);
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                match LAST.take() {
                    Some(Response::Gives) => sending = Some(Box::pin(sleep(shared.limits.write_timeout))),
                    Some(Response::Waits) => sending = None,
                    None => {}
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
