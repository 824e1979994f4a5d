//! The orchestrator.
fn main() {}
