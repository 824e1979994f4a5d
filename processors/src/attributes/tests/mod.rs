//! Tests of both processors.

mod laws;
