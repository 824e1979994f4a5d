//! When the state is kept: every so often, and at the end. Files are written on a thread where that may block.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::snapshot::Snapshot;
use super::state::Mono;
use super::store::Store;

/// Keeps the state in a [`Store`].
pub struct Saver {
    store: Arc<Mutex<Store>>,
    interval: Duration,
    next: Mono,
    /// The last one, until it is done.
    saving: Option<JoinHandle<()>>,
}

impl Saver {
    /// Saves every `interval` from now on.
    pub fn new(store: Store, interval: Duration) -> Self {
        let interval = interval.max(Duration::from_secs(1));
        Saver { store: Arc::new(Mutex::new(store)), interval, next: Mono::ZERO, saving: None }
    }

    /// Saves if it is time. When to come again.
    pub fn save_if_due(&mut self, now: Mono, snapshot: impl FnOnce() -> Snapshot) -> Mono {
        // A disk that is slower than the interval is not given more to do.
        if now >= self.next && self.saving.as_ref().is_none_or(JoinHandle::is_finished) {
            self.next = now + self.interval;
            self.saving = Some(self.save(snapshot()));
        }
        self.next.max(now + Duration::from_secs(1))
    }

    /// Saves for the last time.
    pub async fn finish(mut self, snapshot: Snapshot) {
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
        let _ = self.save(snapshot).await;
    }

    fn save(&self, snapshot: Snapshot) -> JoinHandle<()> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || {
            let result = store.lock().unwrap_or_else(PoisonError::into_inner).append(snapshot);
            if let Err(error) = result {
                tracing::warn!(%error, "the state of `up` was not kept");
            }
        })
    }
}
