//! Tests of the processor.

mod dropping;
mod failing;
mod laws;
