//! Tests of the processor.

mod laws;
