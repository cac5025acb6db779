//! A cluster in memory for property tests: carries out steps as the executor would, with controllers that finish everything.

use std::collections::{BTreeMap, BTreeSet};

use bus::message::state::HealthStatus;
use proptest::prelude::*;
use serde_json::json;

use super::hooks::AttemptEnd;
use super::{
    Defaults, Facts, Input, Item, Limit, Plan, Policy, Presence, Presences, Pruning, Step, Turn,
    hooks, release,
};
use crate::health::Health;
use crate::object::{Body, DeletePolicy, Hook, Key, Manifest, Options, Phase, Say};

/// A live object: the manifest digest that it was made from, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) digest: Box<str>,
    pub(super) proven: bool,
    /// Attempt and phase, for hooks.
    pub(super) mark: Option<Box<str>>,
    pub(super) healthy: bool,
    /// Deleted, and still there until somebody waits for that.
    pub(super) deleting: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct World {
    pub(super) objects: BTreeMap<Key, Object>,
    pub(super) inventory: BTreeMap<Key, Item>,
    /// What the applier remembers to have applied; lost in a crash before the outcome.
    pub(super) applied: BTreeMap<Key, Box<str>>,
    /// Written down as hooks are over.
    pub(super) passed: Option<Turn>,
    /// Whether it is written down that the release failed.
    pub(super) wrong: bool,
    /// Keys in the order in which they were applied and deleted.
    pub(super) log: Vec<Done>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Applied {
        key: Key,
        phase: Phase,
        healthy_before: BTreeSet<Key>,
    },
    Deleted {
        key: Key,
        there: BTreeSet<Key>,
    },
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
                    attempt: object.mark.clone(),
                    deleting: object.deleting,
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
            pruning: Pruning::Asked,
            limit: Limit::default(),
            defaults: Defaults::default(),
            create_namespace: None,
            force: false,
            only: None,
        };
        release(&Input {
            manifests,
            live: &live,
            unchanged: &unchanged,
            inventory: &self.inventory,
            restarts: &[],
            policy: &policy,
            attempt,
            passed: self.passed,
        })
    }

    /// What is written down before the first step.
    pub(super) fn grow(&mut self, manifests: &[Manifest]) {
        for manifest in manifests {
            self.inventory
                .insert(manifest.key.clone(), Item::of(manifest));
        }
    }

    pub(super) fn carry_out(&mut self, manifests: &[Manifest], step: &Step, attempt: &str) {
        match step {
            Step::Apply { phase, batch } => {
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
                        mark: manifest.hook.as_ref().map(|_| phase.mark(attempt).into()),
                        healthy: false,
                        deleting: false,
                    };
                    self.objects.insert(manifest.key.clone(), object);
                    self.applied
                        .insert(manifest.key.clone(), manifest.digest.clone());
                    let healthy_before = healthy_before.clone();
                    self.log.push(Done::Applied {
                        key: manifest.key.clone(),
                        phase: *phase,
                        healthy_before,
                    });
                }
            }
            Step::Await { batch, .. } | Step::AwaitEnd(batch) => {
                for &at in batch {
                    if let Some(object) = self.objects.get_mut(&manifests[at].key) {
                        object.healthy = true;
                    }
                }
            }
            Step::Delete { keys, .. } => {
                for key in keys {
                    // Only what is there and proven is asked for, as the applier does.
                    if self.objects.get(key).is_some_and(|object| object.proven) {
                        let there = self.objects.keys().cloned().collect();
                        let key = key.clone();
                        self.log.push(Done::Deleted { key, there });
                    }
                }
                for key in keys {
                    if let Some(object) = self.objects.get_mut(key).filter(|object| object.proven) {
                        object.deleting = true;
                    }
                }
            }
            Step::AwaitGone(_) => self.collect(),
            Step::Passed(turn) => self.passed = Some(*turn),
            Step::Applied | Step::CreateNamespace(_) | Step::Restart { .. } => {}
        }
    }

    /// What was deleted is gone.
    fn collect(&mut self) {
        let gone: Vec<Key> = self
            .objects
            .iter()
            .filter(|(_, object)| object.deleting)
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.objects.remove(&key);
            self.applied.remove(&key);
        }
    }

    /// The outcome, written down, and what follows it.
    pub(super) fn finish(&mut self, manifests: &[Manifest], attempt: &str, ended: AttemptEnd) {
        self.collect();
        (self.passed, self.wrong) = (None, false);
        let live = self.presences(manifests);
        let wanted: BTreeSet<&Key> = manifests.iter().map(|manifest| &manifest.key).collect();
        self.inventory
            .retain(|key, _| wanted.contains(key) || self.objects.contains_key(key));
        for key in hooks::cleanup(manifests, &live, attempt, ended) {
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
        self.finish(manifests, attempt, AttemptEnd::Succeeded);
    }

    /// The first steps of a release, and no more: a crash, or something newer.
    pub(super) fn begin(&mut self, manifests: &[Manifest], attempt: &str, cut: usize) {
        let plan = self.plan(manifests, attempt);
        self.grow(manifests);
        for step in plan.steps.iter().take(cut) {
            self.carry_out(manifests, step, attempt);
        }
    }

    /// So many steps of a release, then what follows when the next one fails, as far as `cut`.
    pub(super) fn fail(&mut self, manifests: &[Manifest], attempt: &str, at: usize, cut: usize) {
        if !self.wrong {
            self.begin(manifests, attempt, at);
            self.wrong = true;
        }
        let live = self.presences(manifests);
        let steps = hooks::failure(manifests, &live, attempt, self.passed);
        for step in steps.iter().take(cut) {
            self.carry_out(manifests, step, attempt);
        }
    }
}

const KINDS: [(&str, &str); 5] = [
    ("", "Namespace"),
    ("", "ConfigMap"),
    ("apps", "Deployment"),
    ("batch", "Job"),
    ("x.io", "Widget"),
];

fn say() -> impl Strategy<Value = Say> {
    prop_oneof![4 => Just(Say::Nothing), 1 => Just(Say::No), 1 => Just(Say::Confirm), 1 => Just(Say::Yes)]
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let phase = prop_oneof![
        Just(Phase::PreSync),
        Just(Phase::Sync),
        Just(Phase::PostSync),
        Just(Phase::SyncFail),
    ];
    let policy = prop_oneof![
        Just(DeletePolicy::BeforeHookCreation),
        Just(DeletePolicy::HookSucceeded),
        Just(DeletePolicy::HookFailed),
    ];
    let hook = prop_oneof![
        4 => Just(None),
        2 => (proptest::collection::btree_set(phase, 1..3), policy).prop_map(|(phases, policy)| {
            Some(Hook { phases: phases.into_iter().collect(), delete: vec![policy], renamed: false })
        }),
    ];
    (
        0..KINDS.len(),
        0..6_u8,
        -1..3_i64,
        0..3_u8,
        (say(), any::<bool>()),
        hook,
    )
        .prop_map(|(kind, name, wave, digest, (prune, prune_last), hook)| {
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
                body: Body::from(&json!({})),
                digest: digest.to_string().into(),
                wave,
                hook,
                options: Options {
                    prune,
                    prune_last,
                    ..Options::default()
                },
                filled: None,
                placeholders: crate::secrets::Placement::Nowhere,
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
