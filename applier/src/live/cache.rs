//! The entries of all managed objects of the cluster, and who wants to know of their changes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;

use super::Entry;
use super::entry::version_of;
use crate::drift::{Mask, Reference};
use crate::health::{Assessment, Customizations};
use crate::object::Key;
use crate::wanted::Stirred;

/// What the cache knows of one object.
#[derive(Clone, Debug, Default)]
pub(crate) enum Look {
    /// Nothing: ask the server.
    #[default]
    Unknown,
    /// The server said that it isn't there.
    Absent,
    Present(Arc<Entry>),
}

#[derive(Default)]
struct Slot {
    look: Look,
    reference: Option<Arc<Reference>>,
    /// Which of its fields don't count.
    mask: Arc<Mask>,
    /// An apply is under way: what the watch says meanwhile waits for the apply's answer.
    applying: bool,
    stashed: Option<Value>,
    /// Applications that want to know of this object although it isn't theirs.
    interested: HashSet<Box<str>>,
}

impl Slot {
    fn is_strange(&self) -> bool {
        matches!(&self.look, Look::Present(entry) if entry.hash.is_none())
    }
}

#[derive(Default)]
struct Inner {
    slots: HashMap<Key, Slot>,
    wakers: HashMap<Box<str>, Arc<Notify>>,
    /// The label that names an application where tracking goes by label.
    label_key: String,
    customizations: Arc<Customizations>,
}

/// Shared by watches and applications.
pub(crate) struct Live {
    inner: Mutex<Inner>,
}

impl Live {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            label_key: api::annotations::APP_INSTANCE.to_owned(),
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    pub(crate) fn set_label_key(&self, label_key: &str) {
        let mut inner = self.lock();
        if inner.label_key != label_key {
            label_key.clone_into(&mut inner.label_key);
        }
    }

    /// Objects of kinds that are to be assessed in another way are looked at anew, and whoever wants to know of them is woken.
    pub(crate) fn set_customizations(&self, customizations: &Arc<Customizations>) {
        let mut inner = self.lock();
        let before = std::mem::replace(&mut inner.customizations, customizations.clone());
        let mut kinds: HashMap<(Box<str>, Box<str>), bool> = HashMap::new();
        let mut hashes: HashSet<Box<str>> = HashSet::new();
        for (key, slot) in &mut inner.slots {
            let agree = kinds
                .entry((key.group.clone(), key.kind.clone()))
                .or_insert_with(|| customizations.agrees_with(&before, &key.group, &key.kind));
            if !*agree && let Look::Present(entry) = &slot.look {
                hashes.extend(entry.hash.clone());
                hashes.extend(slot.interested.iter().cloned());
                slot.look = Look::Unknown;
            }
        }
        let hashes: Vec<_> = hashes.into_iter().collect();
        inner.wake(&hashes);
    }

    /// From now on changes of the application's objects wake it.
    pub(crate) fn subscribe(&self, hash: &str, waker: Arc<Notify>) {
        self.lock().wakers.insert(hash.into(), waker);
    }

    pub(crate) fn unsubscribe(&self, hash: &str) {
        let mut inner = self.lock();
        inner.wakers.remove(hash);
        for slot in inner.slots.values_mut() {
            slot.interested.remove(hash);
        }
    }

    /// Whether there is such an application.
    pub(crate) fn knows(&self, hash: &str) -> bool {
        self.lock().wakers.contains_key(hash)
    }

    /// Whoever has these objects or wants to know of them looks again, but for the application that said so; and who waited.
    pub(crate) fn stir(&self, stirred: &Stirred, by: &str) {
        let inner = self.lock();
        let mut hashes: HashSet<&Box<str>> = stirred.waiting.iter().collect();
        for key in &stirred.keys {
            let Some(slot) = inner.slots.get(key) else {
                continue;
            };
            if let Look::Present(entry) = &slot.look {
                hashes.extend(entry.hash.as_ref());
            }
            hashes.extend(&slot.interested);
        }
        let hashes: Vec<Box<str>> = hashes
            .into_iter()
            .filter(|hash| ***hash != *by)
            .cloned()
            .collect();
        inner.wake(&hashes);
    }

    pub(crate) fn wake_all(&self) {
        for waker in self.lock().wakers.values() {
            waker.notify_one();
        }
    }

    pub(crate) fn look(&self, key: &Key) -> Look {
        self.lock()
            .slots
            .get(key)
            .map_or(Look::Unknown, |slot| slot.look.clone())
    }

    pub(crate) fn interest(&self, key: &Key, hash: &str) {
        self.lock()
            .slots
            .entry(key.clone())
            .or_default()
            .interested
            .insert(hash.into());
    }

    pub(crate) fn set_reference(&self, key: &Key, reference: Arc<Reference>) {
        self.lock().slots.entry(key.clone()).or_default().reference = Some(reference);
    }

    /// Which fields of the object don't count. What was found to have drifted, or not to, with other rules is looked at anew.
    pub(crate) fn set_mask(&self, key: &Key, mask: &Arc<Mask>) {
        let mut inner = self.lock();
        let slot = inner.slots.entry(key.clone()).or_default();
        if slot.mask == *mask {
            return;
        }
        let drifted = matches!(&slot.look, Look::Present(entry) if entry.drift.is_some());
        if drifted || !mask.covers(&slot.mask) {
            slot.look = Look::Unknown;
        }
        slot.mask = mask.clone();
    }

    pub(crate) fn mask(&self, key: &Key) -> Arc<Mask> {
        let inner = self.lock();
        let slot = inner.slots.get(key);
        slot.map_or_else(Arc::default, |slot| slot.mask.clone())
    }

    /// Drops what is known of objects that nobody manages any more.
    pub(crate) fn forget(&self, key: &Key) {
        self.lock().slots.remove(key);
    }

    /// A GET by name found nothing.
    pub(crate) fn found_absent(&self, key: &Key) {
        self.lock().slots.entry(key.clone()).or_default().look = Look::Absent;
    }

    /// Its deletion was accepted; the watch says when it is gone.
    pub(crate) fn going(&self, key: &Key, uid: &str) {
        let mut inner = self.lock();
        if let Some(slot) = inner.slots.get_mut(key)
            && let Look::Present(entry) = &mut slot.look
            && &*entry.uid == uid
            && !entry.deleting
        {
            let mut going = Entry::clone(entry);
            going.deleting = true;
            *entry = Arc::new(going);
        }
    }

    /// A GET by name, or a watch, found this.
    pub(crate) fn found(&self, key: &Key, object: Value) {
        let (reference, mask, label_key, mut customizations) = {
            let mut inner = self.lock();
            let slot = inner.slots.entry(key.clone()).or_default();
            if slot.applying {
                let newer = version_of(&object) >= slot.stashed.as_ref().and_then(version_of);
                if newer {
                    slot.stashed = Some(object);
                }
                return;
            }
            let (reference, mask) = (slot.reference.clone(), slot.mask.clone());
            let (label_key, customizations) =
                (inner.label_key.clone(), inner.customizations.clone());
            (reference, mask, label_key, customizations)
        };
        // Outside the lock: comparing and asking scripts take longer than looking up.
        let Some(mut entry) = Entry::of(&object, &label_key) else {
            return;
        };
        entry.assessed(assess(&object, &customizations));
        entry.drift = reference.and_then(|reference| reference.drift(&object, &mask));
        loop {
            let mut inner = self.lock();
            if Arc::ptr_eq(&inner.customizations, &customizations) {
                inner.put(key, entry);
                return;
            }
            customizations = inner.customizations.clone();
            drop(inner);
            entry.assessed(assess(&object, &customizations));
        }
    }

    /// The watch says that it is gone. Not believed until a GET says so, too.
    pub(crate) fn lost(&self, key: &Key) {
        let mut inner = self.lock();
        let mut hashes: Vec<Box<str>> = Vec::new();
        if let Some(slot) = inner.slots.get_mut(key) {
            if let Look::Present(entry) = std::mem::take(&mut slot.look) {
                hashes.extend(entry.hash.clone());
            }
            hashes.extend(slot.interested.iter().cloned());
        }
        inner.wake(&hashes);
    }

    /// All objects of one kind were listed anew: what isn't among them is doubtful.
    pub(crate) fn listed(&self, group: &str, kind: &str, seen: &HashSet<Key>) {
        let gone: Vec<Key> = self
            .lock()
            .slots
            .iter()
            .filter(|(key, slot)| {
                &*key.group == group
                    && &*key.kind == kind
                    && matches!(&slot.look, Look::Present(entry) if entry.hash.is_some())
                    && !seen.contains(key)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.lost(&key);
        }
    }

    /// Those of the objects that are there without our label, which the watch by label doesn't see.
    pub(crate) fn strangers<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) -> Vec<&'a Key> {
        let inner = self.lock();
        keys.into_iter()
            .filter(|key| inner.slots.get(*key).is_some_and(Slot::is_strange))
            .collect()
    }

    /// Whether somebody wants to know of a stranger.
    pub(crate) fn is_of_interest(&self, key: &Key) -> bool {
        self.lock()
            .slots
            .get(key)
            .is_some_and(|slot| !slot.interested.is_empty())
    }

    /// Strangers of one kind in one namespace that somebody wants to know of.
    pub(crate) fn strangers_in(&self, group: &str, kind: &str, namespace: &str) -> Vec<Key> {
        let of_place =
            |key: &Key| &*key.group == group && &*key.kind == kind && &*key.namespace == namespace;
        let inner = self.lock();
        inner
            .slots
            .iter()
            .filter(|(key, slot)| of_place(key) && slot.is_strange() && !slot.interested.is_empty())
            .map(|(key, _)| key.clone())
            .collect()
    }

    pub(crate) fn begin_apply(&self, key: &Key) {
        self.lock().slots.entry(key.clone()).or_default().applying = true;
    }

    /// The apply's answer, with the reference made of it; none when it failed.
    pub(crate) fn end_apply(&self, key: &Key, answer: Option<(Value, Arc<Reference>)>) {
        let stashed = {
            let mut inner = self.lock();
            let slot = inner.slots.entry(key.clone()).or_default();
            slot.applying = false;
            if let Some((_, reference)) = &answer {
                slot.reference = Some(reference.clone());
            }
            slot.stashed.take()
        };
        let newest = match (answer.map(|(object, _)| object), stashed) {
            (Some(answer), Some(stashed)) if version_of(&stashed) > version_of(&answer) => {
                Some(stashed)
            }
            (Some(answer), _) => Some(answer),
            (None, stashed) => stashed,
        };
        if let Some(object) = newest {
            self.found(key, object);
        }
    }

    /// The reason of the worst pod, found on demand for the object at this version.
    pub(crate) fn explain(&self, key: &Key, resource_version: u64, reason: Option<String>) {
        let mut inner = self.lock();
        let Some(slot) = inner.slots.get_mut(key) else {
            return;
        };
        if let Look::Present(entry) = &mut slot.look
            && entry.resource_version == resource_version
        {
            let mut explained = Entry::clone(entry);
            explained.pod_reason = reason.map(Into::into);
            *entry = Arc::new(explained);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere ends the process; what is behind the lock is whole either way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn put(&mut self, key: &Key, mut entry: Entry) {
        let slot = self.slots.entry(key.clone()).or_default();
        let mut hashes: Vec<Box<str>> = Vec::new();
        let matters = match &slot.look {
            Look::Present(known) => {
                let older =
                    known.uid == entry.uid && known.resource_version > entry.resource_version;
                if older {
                    return;
                }
                if known.health == entry.health {
                    entry.pod_reason.clone_from(&known.pod_reason);
                }
                if known.hash != entry.hash {
                    hashes.extend(known.hash.clone());
                }
                entry.matters_beside(known)
            }
            Look::Unknown | Look::Absent => true,
        };
        hashes.extend(entry.hash.clone());
        hashes.extend(slot.interested.iter().cloned());
        slot.look = Look::Present(Arc::new(entry));
        if matters {
            self.wake(&hashes);
        }
    }

    fn wake(&self, hashes: &[Box<str>]) {
        for hash in hashes {
            if let Some(waker) = self.wakers.get(hash) {
                waker.notify_one();
            }
        }
    }
}

/// A script may take long: the other tasks of this thread go on without it.
fn assess(object: &Value, customizations: &Customizations) -> Assessment {
    let now = i64::try_from(bus::clock::now_ms() / 1000).unwrap_or(i64::MAX);
    let assess = || customizations.assess(object, now);
    let among_others = Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if among_others && customizations.has_script_for(object) {
        tokio::task::block_in_place(assess)
    } else {
        assess()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::health::HealthStatus;

    fn saying(status: &str) -> Arc<Customizations> {
        let key = "resource.customizations.health.example.org_Thing".to_owned();
        let script = format!("return {{status = '{status}'}}");
        Arc::new(Customizations::read(&[(key, script)].into()))
    }

    fn thing(kind: &str) -> (Key, Value) {
        let object = json!({
            "apiVersion": "example.org/v1", "kind": kind,
            "metadata": {"name": "a", "namespace": "shop", "uid": "u", "resourceVersion": "1"},
        });
        (Key::new("example.org", kind, "shop", "a"), object)
    }

    fn status(live: &Live, key: &Key) -> Option<HealthStatus> {
        match live.look(key) {
            Look::Present(entry) => entry.health.as_ref().map(|health| health.status),
            Look::Unknown | Look::Absent => panic!("{key} is not known"),
        }
    }

    #[test]
    fn only_objects_of_a_kind_with_another_script_are_looked_at_anew() {
        let live = Live::new();
        live.set_customizations(&saying("Healthy"));
        let ((key, object), (other_key, other)) = (thing("Thing"), thing("Other"));
        live.found(&key, object.clone());
        live.found(&other_key, other);
        assert_eq!(status(&live, &key), Some(HealthStatus::Healthy));
        live.set_customizations(&saying("Healthy"));
        assert_eq!(status(&live, &key), Some(HealthStatus::Healthy));
        live.set_customizations(&saying("Degraded"));
        assert!(matches!(live.look(&key), Look::Unknown));
        assert_eq!(status(&live, &other_key), None);
        live.found(&key, object);
        assert_eq!(status(&live, &key), Some(HealthStatus::Degraded));
    }
}
