//! Memory by reservation: nothing is read, inflated or built before its bytes are reserved (delivery §5).

mod budget;

pub use budget::{Class, MemBudget, Reservation};
