//! Differences as an answer: sorted, and no larger than a message may be. Pure.

use bus::Generation;
use bus::message::diff::{Difference, Differences};

use crate::object::Key;

/// The largest object that is shown, and all of them together, in bytes of JSON.
const MAX_OBJECT: usize = 256 * 1024;
const MAX_ALL: usize = 700 * 1024;
/// So many of the others are named.
const MAX_OMITTED: usize = 1_000;

/// What is known of one object that isn't as it should be.
pub(super) fn difference(key: &Key, version: &str) -> Difference {
    Difference {
        group: key.group.to_string(),
        version: version.to_owned(),
        kind: key.kind.to_string(),
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        live: None,
        target: None,
        error: None,
    }
}

pub(super) fn bounded(generation: Generation, mut found: Vec<(Key, Difference)>) -> Differences {
    found.sort_by(|(one, _), (two, _)| one.cmp(two));
    let mut differences = Differences {
        generation,
        ..Differences::default()
    };
    let mut left = MAX_ALL;
    for (key, difference) in found {
        // What can't be written as JSON couldn't be read either.
        let size = serde_json::to_vec(&difference).map_or(usize::MAX, |text| text.len());
        if size <= MAX_OBJECT && size <= left {
            left -= size;
            differences.objects.push(difference);
        } else if differences.omitted.len() < MAX_OMITTED {
            differences.omitted.push(key.to_string());
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_fit_is_named_and_what_does_is_shown_in_order() {
        let of = |name: &str, size: usize| {
            let key = Key::new("", "ConfigMap", "shop", name);
            let mut difference = difference(&key, "v1");
            difference.live = Some(json!("x".repeat(size)));
            (key, difference)
        };
        let mut found = vec![of("z", 10), of("huge", MAX_OBJECT + 1), of("a", 10)];
        found.extend((0..4).map(|at| of(&format!("large-{at}"), MAX_OBJECT - 1_000)));
        let differences = bounded(Generation(1), found);
        let shown: Vec<&str> = differences
            .objects
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(shown, ["a", "large-0", "large-1", "z"]);
        assert_eq!(
            differences.omitted,
            [
                "ConfigMap shop/huge",
                "ConfigMap shop/large-2",
                "ConfigMap shop/large-3"
            ]
        );
        assert!(serde_json::to_vec(&differences).unwrap().len() < bus::MAX_BODY);
    }
}
