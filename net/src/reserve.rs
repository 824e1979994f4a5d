//! Byte admission seen from the network: nothing is read before somebody has promised the memory for it
//! (`delivery.md` section 5). The budget itself lives with the caller.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// Why no memory was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// The budget is full now; the client should try again.
    #[error("memory budget exhausted")]
    Busy,
    /// So many bytes can never fit; trying again is useless.
    #[error("request can never fit the limit of {limit} bytes")]
    Never {
        /// The effective limit in bytes.
        limit: usize,
    },
}

/// A source of byte reservations.
pub trait Reserve: Send + Sync + 'static {
    /// Promises `bytes` bytes, waiting as long as the budget finds fit (50 ms by `delivery.md` section 5).
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<Box<dyn Reservation>, Exhausted>>;
}

/// Bytes promised to one request. Dropping it gives them back.
pub trait Reservation: Send + Sync {
    /// How many bytes are promised.
    fn bytes(&self) -> usize;

    /// Asks for `more` bytes without waiting.
    fn try_grow(&mut self, more: usize) -> Result<(), Exhausted>;

    /// Gives back everything above `bytes`. Does nothing when less is held.
    fn shrink_to(&mut self, bytes: usize);

    /// Asks for `more` bytes, waiting as long as the budget finds fit.
    fn grow(&mut self, more: usize) -> BoxFuture<'_, Result<(), Exhausted>> {
        let grown = self.try_grow(more);
        std::future::ready(grown).boxed()
    }
}

/// Promises everything. For tests and for tools without a budget.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl Reserve for Unlimited {
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<Box<dyn Reservation>, Exhausted>> {
        std::future::ready(Ok(Box::new(Counted(bytes)) as Box<dyn Reservation>)).boxed()
    }
}

/// Promises everything and counts it.
#[derive(Default)]
pub(crate) struct Counted(usize);

impl Reservation for Counted {
    fn bytes(&self) -> usize {
        self.0
    }

    fn try_grow(&mut self, more: usize) -> Result<(), Exhausted> {
        self.0 = self.0.saturating_add(more);
        Ok(())
    }

    fn shrink_to(&mut self, bytes: usize) {
        self.0 = self.0.min(bytes);
    }
}
