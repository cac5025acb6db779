//! An application's end: everything of its inventory that is proven ours and that no other application wants, in reverse order.

use std::collections::BTreeMap;

use super::prune::Going;
use super::step::{Step, Why};
use super::{Defaults, Facts, Item, Presence, Presences, Word, prune};
use crate::contents::is_definition;
use crate::object::{Hook, Key, Manifest, Say};

/// What goes with the application, or what a person has to agree to first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deletion {
    Steps(Vec<Step>),
    /// Nothing goes before these may.
    NeedsWord(Vec<(Key, Word)>),
}

/// Whether a person agreed to what needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approval {
    Given,
    Missing,
    /// The application only left the cluster: what needs a word stays.
    Nobody,
}

/// `own` is the Application itself, which may be among its own objects; `manifests` are those that were released last.
pub(crate) fn deletion(
    inventory: &BTreeMap<Key, Item>,
    manifests: &[Manifest],
    live: &Presences,
    own: &Key,
    defaults: Defaults,
    approval: Approval,
) -> Deletion {
    let mut objects = Vec::new();
    let mut asks = Vec::new();
    for (key, item) in inventory {
        let Some(Presence::Present(Facts {
            proven: true,
            deleting,
            successor: None,
            holds,
            ..
        })) = live.get(key)
        else {
            continue;
        };
        let word = item.options.delete.or(defaults.delete);
        let needs = Word::of(word, holds.as_deref());
        let nobody = needs.is_some() && approval == Approval::Nobody;
        // Hooks of the deletion are cleared away when they have run.
        let runs = manifests.iter().any(|manifest| {
            manifest.key == *key && manifest.hook.as_ref().is_some_and(Hook::is_of_deletion)
        });
        // A definition takes every object of its kind along, other applications' too: it stays, as in Argo CD.
        if word == Say::No || nobody || runs || is_definition(key) || key == own {
            continue;
        }
        if let Some(needs) = needs.filter(|_| !deleting && approval == Approval::Missing) {
            asks.push((key.clone(), needs));
        }
        objects.push(Going {
            key: key.clone(),
            wave: item.wave,
            deleting: *deleting,
        });
    }
    if asks.is_empty() {
        Deletion::Steps(prune::steps(objects, Why::Deleted))
    } else {
        Deletion::NeedsWord(asks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Options;

    fn world(delete: Say, key: &Key) -> (BTreeMap<Key, Item>, Presences) {
        let item = Item {
            version: "v1".into(),
            wave: 0,
            hook: false,
            renamed: false,
            options: Options {
                delete,
                ..Options::default()
            },
        };
        let facts = Facts {
            proven: true,
            ..Facts::default()
        };
        (
            [(key.clone(), item)].into(),
            [(key.clone(), Presence::Present(facts))].into(),
        )
    }

    fn itself() -> Key {
        Key::new(api::GROUP, "Application", "argocd", "web")
    }

    fn left_alone(key: &Key) -> Deletion {
        let (inventory, live) = world(Say::Nothing, key);
        let none = Defaults::default();
        deletion(&inventory, &[], &live, &itself(), none, Approval::Missing)
    }

    #[test]
    fn an_object_goes_by_its_own_word_before_the_applications() {
        let key = Key::new("", "ConfigMap", "n", "a");
        let goes = |own: Say, of_application: Say, approval: Approval| {
            let (inventory, live) = world(own, &key);
            let defaults = Defaults {
                delete: of_application,
                ..Defaults::default()
            };
            deletion(&inventory, &[], &live, &itself(), defaults, approval)
        };
        let stays = Deletion::Steps(Vec::new());
        assert_eq!(goes(Say::No, Say::Nothing, Approval::Given), stays);
        assert_eq!(goes(Say::Nothing, Say::No, Approval::Given), stays);
        assert_ne!(goes(Say::Yes, Say::No, Approval::Missing), stays);
        assert_eq!(goes(Say::Confirm, Say::Nothing, Approval::Nobody), stays);
        let asks = Deletion::NeedsWord(vec![(key.clone(), Word::Asked)]);
        assert_eq!(goes(Say::Confirm, Say::Nothing, Approval::Missing), asks);
        assert_eq!(goes(Say::Nothing, Say::Confirm, Approval::Missing), asks);
        assert!(
            matches!(goes(Say::Confirm, Say::Nothing, Approval::Given), Deletion::Steps(steps) if !steps.is_empty())
        );
    }

    #[test]
    fn a_definition_stays_when_its_application_goes() {
        let key = Key::new(
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            "",
            "widgets.x.io",
        );
        assert_eq!(left_alone(&key), Deletion::Steps(Vec::new()));
    }

    #[test]
    fn an_application_among_its_own_objects_does_not_wait_for_itself() {
        assert_eq!(left_alone(&itself()), Deletion::Steps(Vec::new()));
    }
}
