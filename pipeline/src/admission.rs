//! Memory by reservation: nothing is read, inflated or built before its bytes are reserved (delivery §5).

mod available;
mod budget;

pub use available::available_memory;
pub use budget::{Class, MemBudget, Reservation};
