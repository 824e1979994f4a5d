//! The two threads of a journal in the product: one writes commit groups, one does upkeep.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::error::Error;
use crate::journal::Journal;

/// Longest the commit thread sleeps, so that its heart beats.
const IDLE: Duration = Duration::from_millis(500);
/// Waited for more when several were waiting before (delivery §3.4).
const LINGER: Duration = Duration::from_micros(500);
/// Between two turns of upkeep.
const UPKEEP: Duration = Duration::from_millis(20);

/// Ends the process when its thread panics: what was acknowledged is on disk, what was not is sent again (delivery §8).
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// A journal at work.
pub struct Running {
    journal: Journal,
    stop: Arc<(Mutex<bool>, Condvar)>,
    stopped: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Starts the threads.
///
/// # Errors
/// No thread can be started.
pub fn run(journal: Journal) -> io::Result<Running> {
    let stop = Arc::new((Mutex::new(false), Condvar::new()));
    let committing = journal.clone();
    let commit = Builder::new().name("journal-commit".to_owned()).spawn(move || {
        let _guard = AbortOnPanic;
        while committing.0.queue.wait(IDLE) {
            if committing.0.lock_writer().busy && committing.waiting() == 1 {
                // Those who were just answered are about to come back.
                std::thread::sleep(LINGER);
            }
            committing.step_writer();
        }
    })?;
    let (keeping, told) = (journal.clone(), Arc::clone(&stop));
    let keep = Builder::new().name("journal-upkeep".to_owned()).spawn(move || {
        let _guard = AbortOnPanic;
        loop {
            keeping.step_keeper();
            let (stop, wake) = &*told;
            let stop = stop.lock().unwrap_or_else(PoisonError::into_inner);
            let (stop, _) =
                wake.wait_timeout_while(stop, UPKEEP, |stop| !*stop).unwrap_or_else(PoisonError::into_inner);
            if *stop {
                return;
            }
        }
    })?;
    Ok(Running { journal, stop, stopped: AtomicBool::new(false), threads: Mutex::new(vec![commit, keep]) })
}

impl Running {
    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Takes nothing more, writes what waits, saves cursors, seals segments and ends the threads.
    ///
    /// # Errors
    /// I/O; the journal is then as after a crash.
    pub fn stop(&self) -> Result<(), Error> {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.journal.0.queue.close();
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let own = std::thread::current().id();
        if threads.iter().any(|thread| thread.thread().id() == own) {
            // Dropped by an answer: the thread ends behind it, and leaves what a crash would leave.
            return Ok(());
        }
        for thread in threads {
            // It cannot have panicked: that ends the process.
            let _ = thread.join();
        }
        self.journal.close()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error here is what a crash would be, and that loses nothing.
        let _ = self.stop();
    }
}
