//! A driver at work, and what it is told from outside.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::intake::Branch;
use crate::stage::Stage;

/// Whether a stage goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Not yet.
    Running,
    /// Stop. What is held stays where it is if the log survives the process; else it is decided, and waits for room.
    Shutdown,
    /// The stage is gone from the configuration: decide everything.
    Removed,
    /// As [`Ending::Shutdown`], but wait for nothing.
    Now,
}

/// What lies behind a stage: where what it emits goes.
#[derive(Default)]
pub struct Behind {
    /// By port.
    pub branches: Vec<Arc<Branch>>,
    /// Held for as long as something may still go that way.
    pub lease: Option<Box<dyn Any + Send + Sync>>,
}

/// A stage in place of another one, until the driver takes it over.
type Successor = Arc<Mutex<Option<Box<dyn Stage>>>>;

/// What a driver is told.
#[derive(Clone)]
pub struct Orders {
    pub(super) ending: Ending,
    pub(super) behind: Arc<Behind>,
    successor: Successor,
}

impl Orders {
    pub(super) fn new(behind: Behind) -> Self {
        Orders { ending: Ending::Running, behind: Arc::new(behind), successor: Successor::default() }
    }

    /// The stage that is to take over, once.
    pub(super) fn successor(&self) -> Option<Box<dyn Stage>> {
        self.successor.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A driver at work.
pub struct Driving {
    pub(super) orders: watch::Sender<Orders>,
    pub(super) task: JoinHandle<()>,
}

impl Driving {
    /// What the stage emits goes another way from now on.
    pub fn redirect(&self, behind: Behind) {
        self.orders.send_modify(|orders| orders.behind = Arc::new(behind));
    }

    /// Another stage takes over state and cursors; what it emits goes this way.
    pub fn replace(&self, stage: Box<dyn Stage>, behind: Behind) {
        self.orders.send_modify(|orders| {
            *orders.successor.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage);
            orders.behind = Arc::new(behind);
        });
    }

    /// How it is to end; [`Driving::ended`] tells when it has.
    pub fn end(&self, ending: Ending) {
        self.orders.send_modify(|orders| orders.ending = ending);
    }

    /// Until the driver has ended.
    pub async fn ended(&mut self) {
        if let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            tracing::error!("a stage has panicked");
        }
    }

    /// Whether the driver has ended, though nobody told it to.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}
