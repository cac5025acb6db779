//! What the bus and the control cluster say → the store.

mod bus;
mod cluster;

pub(crate) use bus::follow_bus;
pub(crate) use cluster::follow_applications;
