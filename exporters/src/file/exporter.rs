//! The way between the runtime and the disk.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::Counter;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::component::{Component, Environment};
use sluice_pipeline::exporter::{Attempt, Capabilities, Exporter, Payload};
use sluice_pipeline::send::{RetryCause, SendOutcome};
use sluice_pipeline::{BoxFuture, ComponentId, Error};
use tokio::task::{AbortHandle, spawn_blocking};

use super::backup::millis;
use super::config::Config;
use super::files::{Files, WriteError};

/// Records are built up to 64 MiB.
const MAX_BYTES: usize = 64 << 20;
const SYNC_FAILURES: &str = "sluice_file_sync_failures_total";

/// Writes payloads to files.
pub struct FileExporter {
    id: ComponentId,
    files: Arc<Mutex<Files>>,
    flush_interval: Duration,
    flushing: Mutex<Option<AbortHandle>>,
    clock: Arc<dyn Clock>,
    sync_failures: Counter,
}

impl FileExporter {
    /// Nothing is opened before the start.
    pub fn new(config: &Config, environment: &Environment) -> Self {
        let telemetry = &environment.telemetry;
        telemetry.describe(SYNC_FAILURES, None, "Times that written data could not be brought to the disk.");
        FileExporter {
            id: environment.id.clone(),
            files: Arc::new(Mutex::new(Files::new(config))),
            flush_interval: *config.flush_interval,
            flushing: Mutex::default(),
            clock: Arc::clone(&environment.clock),
            sync_failures: telemetry.counter(SYNC_FAILURES, &[("exporter", environment.id.as_str())]),
        }
    }

    async fn export(&self, payload: Payload) -> SendOutcome {
        let now_ms = millis(self.clock.wall());
        let files = Arc::clone(&self.files);
        let written = spawn_blocking(move || {
            let request = payload.contiguous();
            lock(&files).write(payload.signal, &request, now_ms)
        });
        match written.await {
            Ok(Ok(dropped)) => SendOutcome::Delivered { dropped },
            Ok(Err(WriteError::Payload(message))) => SendOutcome::Permanent { message },
            Ok(Err(WriteError::Io(path, error))) => failed(format!("{}: {error}", path.display()), &error),
            Err(panic) => SendOutcome::Internal { message: panic.to_string() },
        }
    }
}

/// What the disk says. A place that is wrong will be put right, and a disk that is full will have room: nothing is lost by waiting.
fn failed(message: String, error: &io::Error) -> SendOutcome {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    match error.kind() {
        PermissionDenied | NotFound | NotADirectory | IsADirectory | ReadOnlyFilesystem => {
            SendOutcome::ConfigError { message }
        }
        _ => SendOutcome::Retry { after: None, cause: RetryCause::Unavailable, message },
    }
}

fn lock(files: &Mutex<Files>) -> std::sync::MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Syncs on a thread that may block, and tells of a failure.
async fn sync(id: &ComponentId, files: &Arc<Mutex<Files>>, failures: &Counter) {
    let files = Arc::clone(files);
    let synced = spawn_blocking(move || lock(&files).sync()).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    if let Err(error) = synced {
        failures.increment(1);
        tracing::error!(exporter = %id, %error, "written data cannot be brought to the disk");
    }
}

impl Component for FileExporter {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            let files = Arc::clone(&self.files);
            let started = spawn_blocking(move || lock(&files).start());
            let started = started.await.map_err(|error| Error::Start(error.to_string()))?;
            started.map_err(|(path, source)| Error::File { path: path.display().to_string(), source })?;
            if self.flush_interval.is_zero() {
                return Ok(());
            }
            let (id, files, clock) = (self.id.clone(), Arc::clone(&self.files), Arc::clone(&self.clock));
            let (interval, failures) = (self.flush_interval, self.sync_failures.clone());
            let flushing = tokio::spawn(async move {
                loop {
                    clock.sleep(interval).await;
                    sync(&id, &files, &failures).await;
                }
            });
            *self.flushing.lock().unwrap_or_else(PoisonError::into_inner) = Some(flushing.abort_handle());
            Ok(())
        })
    }

    fn stop(&self, _grace: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(flushing) = self.flushing.lock().unwrap_or_else(PoisonError::into_inner).take() {
                flushing.abort();
            }
            sync(&self.id, &self.files, &self.sync_failures).await;
        })
    }
}

impl Drop for FileExporter {
    fn drop(&mut self) {
        if let Some(flushing) = self.flushing.lock().unwrap_or_else(PoisonError::into_inner).take() {
            flushing.abort();
        }
    }
}

impl Exporter for FileExporter {
    fn send<'a>(&'a self, payload: Payload, _attempt: &'a Attempt) -> BoxFuture<'a, SendOutcome> {
        Box::pin(self.export(payload))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { converts: true, ordered: true, max_bytes: Some(MAX_BYTES), ..Capabilities::default() }
    }
}
