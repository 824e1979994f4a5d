//! Tests of both processors.

mod actions;
mod config;
mod laws;
mod matching;
