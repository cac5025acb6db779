//! An application's end: everything of its inventory that is proven ours, in reverse order.

use std::collections::BTreeMap;

use super::step::{Step, Why};
use super::{Item, Presences, prune};
use crate::object::Key;

pub(crate) fn deletion(inventory: &BTreeMap<Key, Item>, live: &Presences) -> Vec<Step> {
    let leaving: Vec<(Key, Item)> = inventory
        .iter()
        .filter(|(_, item)| !item.options.keep_on_delete && !item.options.keep_on_prune)
        .map(|(key, item)| (key.clone(), item.clone()))
        .collect();
    prune::steps(prune::provable(&leaving, live), Why::Deleted, true)
}
