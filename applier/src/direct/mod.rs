//! Going back with nothing but the cluster at hand: an order is an object beside the records, which the cluster's applier finds by a
//! watch, carries out, and takes away. Neither the broker nor Git has a part in it. Who may write there may write the records, too,
//! so no more is asked of them.

mod give;
mod order;
mod take;

pub use give::{DirectError, Direction, Told, give};
pub(crate) use order::DirectOrder;
pub(crate) use take::run;
