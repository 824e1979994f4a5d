//! Memory by reservation: nothing is read, inflated or built before its bytes are reserved (delivery §5).

mod backstop;
mod budget;
mod limits;
mod machine;

pub use backstop::Backstop;
pub use budget::{Class, MemBudget, Reservation};
pub use limits::{DEFAULT_BYTES, Limits};
pub use machine::{Files, SystemFiles, available_memory, memory_limit, total_memory};
