//! Tests of the connector, on virtual time.

mod collector;
mod configs;
mod dimensions;
mod durability;
mod exemplars;
mod exponential;
mod laws;
mod limits;
mod model;
mod reload;
