//! First contact: what another tool, or a record that was lost, had of the application becomes the inventory. `Application.status`
//! lists names; an object counts if it is there and its tracking id proves it the application's.

use futures::future::join_all;
use serde_json::Value;

use super::App;
use super::presence::LookError;
use super::target::Target;
use crate::execute::resolve_kind;
use crate::live::{Claim, Entry, Owner};
use crate::object::{Key, inherited};
use crate::plan::Item;
use crate::store::Record;

impl App {
    /// Once per generation that lists something; what is in the inventory already isn't asked for.
    pub(super) async fn inherit(&mut self, target: &Target) -> Result<(), LookError> {
        let present = &target.present;
        if present.had.is_empty() || self.inherited == Some(target.generation) {
            return Ok(());
        }
        let known = |key: &Key| {
            let record = self.record.as_ref();
            record.is_some_and(|record| record.inventory.contains_key(key))
        };
        let listed = present.had.iter().filter_map(|path| Key::parse(path));
        let unknown: Vec<Key> = listed.filter(|key| !known(key)).collect();
        let owner = Owner {
            hash: &self.hash,
            tracking: &present.tracking,
        };
        // Bounded by the client's requests in flight.
        let this = &*self;
        let asked = join_all(unknown.into_iter().map(|key| this.proven(key, owner))).await;
        let mut items = Vec::new();
        for answer in asked {
            items.extend(answer?);
        }
        let generation = target.generation;
        if !items.is_empty() {
            tracing::info!(app = %self.id, count = items.len(), "objects that the application had are taken over");
            let record = self
                .record
                .get_or_insert_with(|| Record::new(self.id.clone(), present.uid.clone()));
            // Should it be deleted before anything is released, its objects must be told from others'.
            record.desired.get_or_insert_with(|| present.clone());
            record.inventory.extend(items);
            self.unsaved = !self.ctx.observe;
        }
        self.inherited = Some(generation);
        Ok(())
    }

    /// The object as an item, if it is there and says of itself that it is the application's.
    async fn proven(&self, key: Key, owner: Owner<'_>) -> Result<Option<(Key, Item)>, LookError> {
        let Some(kind) = resolve_kind(&self.ctx, &key, None) else {
            return Ok(None);
        };
        if kind.namespaced == key.namespace.is_empty() {
            return Ok(None);
        }
        let object: Value = match self.ctx.cluster.get(&kind, &key).await {
            Ok(Some(object)) => object,
            Ok(None) => return Ok(None),
            Err(source) => return Err(LookError { key, source }),
        };
        let label_key = &owner.tracking.label_key;
        let ours = Entry::of(&object, label_key)
            .is_some_and(|entry| owner.claim(&key, &entry) == Claim::Ours);
        let item = inherited(&object, &kind.version).filter(|_| ours);
        if item.is_some() {
            self.ctx.live.found(&key, object);
        }
        Ok(item.map(|item| (key, item)))
    }
}
