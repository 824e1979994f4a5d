//! The scenario `shop`: customers of a web shop, and what its services do for them.

mod calls;
mod context;
mod exports;
mod giant;
mod topology;
mod walk;
mod world;

pub use exports::{Export, Shop};
pub use topology::{SERVICES, Service};

pub(crate) use walk::{What, customer_request};
pub(crate) use world::{Instance, Population, World};
