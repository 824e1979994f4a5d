//! The two threads of a journal in the product: one writes commit groups and cursors, one does upkeep.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::error::Error;
use crate::journal::Journal;
use crate::pace::{HOLD, Pace};

/// Waited for more when several were waiting before (delivery §3.4).
const LINGER: Duration = Duration::from_micros(500);

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
    stopped: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Starts the threads.
///
/// # Errors
/// No thread can be started.
pub fn run(journal: Journal) -> io::Result<Running> {
    let committing = journal.clone();
    let commit = Builder::new().name("journal-commit".to_owned()).spawn(move || {
        let _guard = AbortOnPanic;
        let mut pace = Pace::default();
        let mut due = committing.step_cursors();
        while committing.0.queue.wait(due) {
            let begun = committing.0.clock.now().boottime;
            if !pace.holds() && committing.0.lock_writer().busy && committing.waiting() == 1 {
                // Those who were just answered are about to come back.
                std::thread::sleep(LINGER);
            }
            let requests = committing.0.queue.taken();
            committing.step_writer();
            let now = committing.0.clock.now().boottime;
            pace.committed(committing.0.queue.taken() - requests, now);
            due = committing.step_cursors();
            if pace.holds() {
                std::thread::sleep(HOLD.saturating_sub(now.saturating_sub(begun)));
            }
        }
    })?;
    let keeping = journal.clone();
    let keep = Builder::new().name("journal-upkeep".to_owned()).spawn(move || {
        let _guard = AbortOnPanic;
        loop {
            let next = keeping.step_keeper();
            if !keeping.0.upkeep.wait(next) {
                return;
            }
        }
    })?;
    Ok(Running { journal, stopped: AtomicBool::new(false), threads: Mutex::new(vec![commit, keep]) })
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
        self.journal.0.upkeep.end();
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
