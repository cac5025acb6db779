//! A live object that a predecessor applied, as an item of the inventory: its annotations say what a manifest would have said.

use serde_json::Value;

use super::Options;
use super::hook::{Role, role, wave};
use super::prepare::strings;
use crate::plan::Item;

/// None for what doesn't stay, such as a hook.
pub(crate) fn inherited(object: &Value, version: &str) -> Option<Item> {
    let notes = strings(&object["metadata"]["annotations"]);
    if role(&notes) != Role::Member {
        return None;
    }
    Some(Item {
        version: version.into(),
        wave: wave(&notes),
        hook: false,
        renamed: false,
        options: Options::read(&notes, &[]),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Say;

    fn noted(annotations: &Value) -> Option<Item> {
        inherited(&json!({"metadata": {"annotations": annotations}}), "v1")
    }

    #[test]
    fn what_stays_when_it_leaves_git_stays_also_when_it_was_another_tools() {
        let item = noted(&json!({
            "argocd.argoproj.io/sync-options": "Prune=false", "argocd.argoproj.io/sync-wave": "3",
        }))
        .unwrap();
        assert_eq!(item.options.prune, Say::No);
        assert_eq!((&*item.version, item.wave), ("v1", 3));
        assert_eq!(noted(&json!(null)).unwrap().options.prune, Say::Nothing);
    }

    #[test]
    fn a_hooks_remains_are_not_taken_over() {
        assert_eq!(noted(&json!({"argocd.argoproj.io/hook": "PreSync"})), None);
    }
}
