//! Runs HTTP/2 streams, and ends those whose response is never taken: a peer that keeps its window shut, or opens it by a
//! byte now and then, would hold them for as long as its connection lives (`security.md` A4). A response that comes bit by
//! bit has that time for each bit.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
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
        tokio::spawn(Watched { stream, sending: None, shared: Arc::clone(&self.0) });
    }
}

pin_project! {
    /// A stream and the clock of its response. A type of its own, as an async block has room for what it captures and pins twice.
    struct Watched<F> {
        #[pin]
        stream: F,
        sending: Option<Pin<Box<Sleep>>>,
        shared: Arc<Shared>,
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        LAST.set(None);
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match LAST.take() {
            Some(Response::Gives) => *this.sending = Some(Box::pin(sleep(this.shared.limits.write_timeout))),
            Some(Response::Waits) => *this.sending = None,
            None => {}
        }
        let Some(limit) = this.sending else { return Poll::Pending };
        if limit.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        Counters::add(&this.shared.counters.write_timeouts);
        Poll::Ready(())
    }
}
