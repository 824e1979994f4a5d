//! An attempt that may panic: a bug in an exporter costs the item that wakes it, and nothing else (delivery §4.2).

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use sluice_pipeline::BoxFuture;

/// Runs what `begin` gives to its end; the message if it panics on the way. Nothing of a future that panicked is used again,
/// and what exporters share is behind locks that outlive a panic.
pub(super) async fn caught<'a, T>(begin: impl FnOnce() -> BoxFuture<'a, T>) -> Result<T, String> {
    let mut future = catch_unwind(AssertUnwindSafe(begin)).map_err(message)?;
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(panic) => Poll::Ready(Err(message(panic))),
    })
    .await
}

fn message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}
