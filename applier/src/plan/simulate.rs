//! A cluster in memory for property tests: carries out steps as the executor would, with controllers that finish everything.

use std::collections::{BTreeMap, BTreeSet};

use bus::message::state::HealthStatus;
use proptest::prelude::*;
use serde_json::json;

use super::{Facts, Input, Item, Plan, Policy, Presence, Presences, Pruning, Step, hooks, release};
use crate::health::Health;
use crate::object::{DeletePolicy, Hook, Key, Manifest, Options, Phase};

/// A live object: the manifest digest that it was made from, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) digest: Box<str>,
    pub(super) proven: bool,
    pub(super) attempt: Option<Box<str>>,
    pub(super) healthy: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct World {
    pub(super) objects: BTreeMap<Key, Object>,
    pub(super) inventory: BTreeMap<Key, Item>,
    /// What the applier remembers to have applied; lost in a crash before the outcome.
    pub(super) applied: BTreeMap<Key, Box<str>>,
    /// Keys in the order in which they were applied and deleted.
    pub(super) log: Vec<Done>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Applied {
        key: Key,
        healthy_before: BTreeSet<Key>,
    },
    Deleted(Key),
}

impl World {
    pub(super) fn presences(&self, manifests: &[Manifest]) -> Presences {
        let keys = manifests
            .iter()
            .map(|manifest| &manifest.key)
            .chain(self.inventory.keys());
        keys.map(|key| {
            let presence = self.objects.get(key).map_or(Presence::Absent, |object| {
                let status = if object.healthy {
                    HealthStatus::Healthy
                } else {
                    HealthStatus::Progressing
                };
                Presence::Present(Facts {
                    uid: "u".into(),
                    proven: object.proven,
                    health: Some(Health {
                        status,
                        message: String::new(),
                    }),
                    attempt: object.attempt.clone(),
                    ..Facts::default()
                })
            });
            (key.clone(), presence)
        })
        .collect()
    }

    pub(super) fn plan(&self, manifests: &[Manifest], attempt: &str) -> Plan {
        let live = self.presences(manifests);
        let unchanged: Vec<bool> = manifests
            .iter()
            .map(|manifest| self.applied.get(&manifest.key) == Some(&manifest.digest))
            .collect();
        let policy = Policy {
            only_changed: false,
            pruning: Pruning::Confirmed,
            create_namespace: None,
            force: false,
            only: None,
        };
        release(&Input {
            manifests,
            live: &live,
            unchanged: &unchanged,
            inventory: &self.inventory,
            policy: &policy,
            attempt,
        })
    }

    /// What is written down before the first step.
    pub(super) fn grow(&mut self, manifests: &[Manifest]) {
        for manifest in manifests {
            self.inventory.insert(manifest.key.clone(), item(manifest));
        }
    }

    pub(super) fn carry_out(&mut self, manifests: &[Manifest], step: &Step, attempt: &str) {
        match step {
            Step::Apply { batch, .. } => {
                let healthy_before: BTreeSet<Key> = self
                    .objects
                    .iter()
                    .filter(|(_, object)| object.healthy)
                    .map(|(key, _)| key.clone())
                    .collect();
                for &at in batch {
                    let manifest = &manifests[at];
                    let object = Object {
                        digest: manifest.digest.clone(),
                        proven: true,
                        attempt: manifest.hook.as_ref().map(|_| attempt.into()),
                        healthy: false,
                    };
                    self.objects.insert(manifest.key.clone(), object);
                    self.applied
                        .insert(manifest.key.clone(), manifest.digest.clone());
                    let healthy_before = healthy_before.clone();
                    self.log.push(Done::Applied {
                        key: manifest.key.clone(),
                        healthy_before,
                    });
                }
            }
            Step::Await { batch, .. } => {
                for &at in batch {
                    if let Some(object) = self.objects.get_mut(&manifests[at].key) {
                        object.healthy = true;
                    }
                }
            }
            Step::Delete { keys, .. } => {
                for key in keys {
                    self.objects.remove(key);
                    self.applied.remove(key);
                    self.log.push(Done::Deleted(key.clone()));
                }
            }
            Step::AwaitGone(_) | Step::Applied | Step::CreateNamespace(_) => {}
        }
    }

    /// The outcome, written down, and what follows it.
    pub(super) fn finish(&mut self, manifests: &[Manifest], attempt: &str) {
        let live = self.presences(manifests);
        let wanted: BTreeSet<&Key> = manifests.iter().map(|manifest| &manifest.key).collect();
        self.inventory
            .retain(|key, _| wanted.contains(key) || self.objects.contains_key(key));
        for key in hooks::cleanup(manifests, &live, attempt) {
            self.objects.remove(&key);
            self.inventory.remove(&key);
            self.applied.remove(&key);
        }
    }

    pub(super) fn release(&mut self, manifests: &[Manifest], attempt: &str) {
        let plan = self.plan(manifests, attempt);
        self.grow(manifests);
        for step in &plan.steps {
            self.carry_out(manifests, step, attempt);
        }
        self.finish(manifests, attempt);
    }
}

fn item(manifest: &Manifest) -> Item {
    Item {
        version: manifest.version.clone(),
        wave: manifest.wave,
        hook: manifest.hook.is_some(),
        options: manifest.options,
    }
}

const KINDS: [(&str, &str); 5] = [
    ("", "Namespace"),
    ("", "ConfigMap"),
    ("apps", "Deployment"),
    ("batch", "Job"),
    ("x.io", "Widget"),
];

fn manifest() -> impl Strategy<Value = Manifest> {
    let hook = prop_oneof![
        4 => Just(None),
        1 => (
            prop_oneof![Just(Phase::PreSync), Just(Phase::Sync), Just(Phase::PostSync)],
            prop_oneof![Just(DeletePolicy::BeforeHookCreation), Just(DeletePolicy::HookSucceeded)],
        )
            .prop_map(|(phase, policy)| Some(Hook { phases: vec![phase], delete: vec![policy] })),
    ];
    (
        0..KINDS.len(),
        0..6_u8,
        -1..3_i64,
        0..3_u8,
        any::<bool>(),
        hook,
    )
        .prop_map(|(kind, name, wave, digest, keep, hook)| {
            let (group, kind) = KINDS[kind];
            // A hook and a member never share a name here: that would be two manifests of one object.
            let name = if hook.is_some() {
                format!("hook-{name}")
            } else {
                format!("n{name}")
            };
            Manifest {
                key: Key::new(group, kind, "n", &name),
                version: "v1".into(),
                body: json!({}),
                digest: digest.to_string().into(),
                wave,
                hook,
                options: Options {
                    keep_on_prune: keep,
                    ..Options::default()
                },
                has_references: false,
            }
        })
}

pub(super) fn manifests() -> impl Strategy<Value = Vec<Manifest>> {
    proptest::collection::vec(manifest(), 0..14).prop_map(|manifests| {
        let mut seen = BTreeSet::new();
        manifests
            .into_iter()
            .filter(|manifest| seen.insert(manifest.key.clone()))
            .collect()
    })
}
