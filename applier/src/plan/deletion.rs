//! An application's end: everything of its inventory that is proven ours, in reverse order.

use std::collections::BTreeMap;

use super::prune::Going;
use super::step::{Step, Why};
use super::{Defaults, Facts, Item, Presence, Presences, prune};
use crate::object::{Key, Say};

/// `own` is the Application itself, which may be among its own objects.
pub(crate) fn deletion(
    inventory: &BTreeMap<Key, Item>,
    live: &Presences,
    own: &Key,
    defaults: Defaults,
) -> Vec<Step> {
    let mut objects = Vec::new();
    for (key, item) in inventory {
        let Some(Presence::Present(Facts {
            proven: true,
            deleting,
            ..
        })) = live.get(key)
        else {
            continue;
        };
        let word = item.options.delete.or(defaults.delete);
        let stays = matches!(word, Say::No | Say::Confirm);
        if stays || is_definition(key) || key == own {
            continue;
        }
        objects.push(Going {
            key: key.clone(),
            wave: item.wave,
            deleting: *deleting,
        });
    }
    prune::steps(objects, Why::Deleted)
}

/// A definition takes every object of its kind along, other applications' too: it stays, as in Argo CD.
fn is_definition(key: &Key) -> bool {
    &*key.kind == "CustomResourceDefinition" && &*key.group == "apiextensions.k8s.io"
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

    fn goes(key: &Key, own: Say, of_application: Say) -> bool {
        let (inventory, live) = world(own, key);
        let defaults = Defaults {
            delete: of_application,
            ..Defaults::default()
        };
        !deletion(&inventory, &live, &itself(), defaults).is_empty()
    }

    #[test]
    fn an_object_goes_by_its_own_word_before_the_applications() {
        let key = Key::new("", "ConfigMap", "n", "a");
        assert!(goes(&key, Say::Nothing, Say::Nothing));
        assert!(!goes(&key, Say::No, Say::Nothing) && !goes(&key, Say::Nothing, Say::No));
        assert!(goes(&key, Say::Yes, Say::No));
    }

    #[test]
    fn a_definition_stays_when_its_application_goes() {
        let group = "apiextensions.k8s.io";
        let key = Key::new(group, "CustomResourceDefinition", "", "widgets.x.io");
        assert!(!goes(&key, Say::Nothing, Say::Nothing));
    }

    #[test]
    fn an_application_among_its_own_objects_does_not_wait_for_itself() {
        assert!(!goes(&itself(), Say::Nothing, Say::Nothing));
    }
}
