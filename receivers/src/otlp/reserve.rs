//! The pipeline's memory budget, as the network asks for it.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_net::{Exhausted, Reservation, Reserve};
use sluice_pipeline::Refusal;
use sluice_pipeline::admission::{Class, MemBudget};

/// Reserves in the class of request bodies.
pub(super) struct Bodies(pub(super) MemBudget);

impl Reserve for Bodies {
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<Box<dyn Reservation>, Exhausted>> {
        if let Some(reserved) = self.0.try_reserve(Class::Bodies, bytes as u64) {
            return std::future::ready(Ok(Box::new(Reserved(reserved)) as Box<dyn Reservation>)).boxed();
        }
        async move {
            let reserved = self.0.reserve(Class::Bodies, bytes as u64).await.map_err(exhausted)?;
            Ok(Box::new(Reserved(reserved)) as Box<dyn Reservation>)
        }
        .boxed()
    }
}

fn exhausted(refusal: Refusal) -> Exhausted {
    match refusal {
        Refusal::TooLarge { limit, .. } => Exhausted::Never { limit: usize::try_from(limit).unwrap_or(usize::MAX) },
        _ => Exhausted::Busy,
    }
}

struct Reserved(sluice_pipeline::admission::Reservation);

impl Reservation for Reserved {
    fn bytes(&self) -> usize {
        self.0.bytes() as usize
    }

    fn try_grow(&mut self, more: usize) -> Result<(), Exhausted> {
        if self.0.try_grow(more as u64) { Ok(()) } else { Err(Exhausted::Busy) }
    }

    fn shrink_to(&mut self, bytes: usize) {
        self.0.shrink_to(bytes as u64);
    }

    fn grow(&mut self, more: usize) -> BoxFuture<'_, Result<(), Exhausted>> {
        async move { self.0.grow(more as u64).await.map_err(exhausted) }.boxed()
    }
}
