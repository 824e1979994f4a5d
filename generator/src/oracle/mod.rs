//! What is the best that a collector can make of these exports, computed plainly and with all the time in the world.
//!
//! The oracle reads the requests themselves and not the generator's notes: it sees what a collector sees. All times are
//! arrivals, in virtual nanoseconds; event timestamps play no part, as they must not in a collector either.

mod decide;
mod exemplars;
mod join;
mod output;
mod read;
mod summary;

pub use decide::{Policy, Window};
pub use exemplars::ExemplarFates;
pub use join::{Hold, Recall};
pub use output::Output;
pub use read::{Arrivals, ExemplarSeen, LogSeen, SpanKey, SpanSeen, TraceId};
pub use summary::Summary;
