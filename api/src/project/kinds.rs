//! Kinds as Towline's own annotations name them: `ConfigMap` of the core group, `apps/Deployment`, `*` for every kind.

use crate::glob;

/// Whether a list names a kind. Both halves of an entry may be globs; one that can't be read names nothing.
pub fn kinds_include(list: &[String], group: &str, kind: &str) -> bool {
    let is = |pattern: &str, text: &str| glob::matches(pattern, text, None) == Some(true);
    list.iter().any(|entry| match entry.split_once('/') {
        Some((of_group, of_kind)) => is(of_group, group) && is(of_kind, kind),
        None => entry == "*" || (group.is_empty() && is(entry, kind)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_named_with_its_group() {
        let named = |entry: &str, group, kind| kinds_include(&[entry.to_owned()], group, kind);
        assert!(named("ConfigMap", "", "ConfigMap"));
        assert!(!named("ConfigMap", "example.org", "ConfigMap"));
        assert!(named("apps/Deployment", "apps", "Deployment"));
        assert!(!named("Deployment", "apps", "Deployment"));
        assert!(named("apps/*", "apps", "StatefulSet"));
        assert!(named("*", "apps", "StatefulSet"));
        assert!(named("*/*", "", "ConfigMap"));
        assert!(!named("[", "", "ConfigMap"));
        assert!(!kinds_include(&[], "", "ConfigMap"));
    }
}
