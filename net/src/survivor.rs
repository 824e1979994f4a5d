//! A request whose client goes away is dropped, unless its handler has begun something that must not stop half-way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// Lets a handler say that from now on it runs to its end, even if the client resets the stream or disconnects
/// (`transport.md`: "spawn what must survive it").
#[derive(Debug, Clone, Default)]
pub struct MustFinish(Arc<AtomicBool>);

impl MustFinish {
    /// From here on, losing the client no longer stops the handler.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Runs a handler; when dropped before its end and the handler must finish, moves it to a task of its own. Spawning
/// only then costs the common case nothing.
pub(crate) struct Survivor<T: 'static> {
    handler: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    must_finish: MustFinish,
}

impl<T: 'static> Survivor<T> {
    pub(crate) fn new(handler: impl Future<Output = T> + Send + 'static, must_finish: MustFinish) -> Self {
        Survivor { handler: Some(Box::pin(handler)), must_finish }
    }
}

impl<T: 'static> Future for Survivor<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(handler) = self.handler.as_mut() else { return Poll::Pending };
        let polled = handler.as_mut().poll(cx);
        if polled.is_ready() {
            self.handler = None;
        }
        polled
    }
}

impl<T: 'static> Drop for Survivor<T> {
    fn drop(&mut self) {
        if let Some(handler) = self.handler.take()
            && self.must_finish.is_set()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // Type erasure: what the handler answers no longer interests anybody.
            runtime.spawn(Discard(handler));
        }
    }
}

struct Discard<T>(Pin<Box<dyn Future<Output = T> + Send>>);

impl<T> Future for Discard<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    async fn dropped_after_first_poll(must_finish: bool) -> bool {
        let (go, gone) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel::<()>();
        let flag = MustFinish::default();
        let own = flag.clone();
        let mut survivor = Survivor::new(
            async move {
                if must_finish {
                    own.set();
                }
                let _ = gone.await;
                let _ = done.send(());
            },
            flag,
        );
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut survivor).poll(&mut cx).is_pending());
        drop(survivor);
        let _ = go.send(());
        finished.await.is_ok()
    }

    #[tokio::test]
    async fn a_handler_that_must_finish_outlives_its_client_and_others_do_not() {
        assert!(dropped_after_first_poll(true).await);
        assert!(!dropped_after_first_poll(false).await);
    }
}
