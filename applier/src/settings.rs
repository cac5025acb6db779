//! What `argocd-cm` says about objects, as the watcher publishes it. Until it came, Argo CD's defaults hold.

use std::sync::{Arc, PoisonError, RwLock};

use bus::message::settings::Settings as Published;

use crate::drift::Global;
use crate::health::Customizations;

/// As last published.
#[derive(Default)]
pub(crate) struct SettingsHandle(RwLock<Arc<Settings>>);

/// What is understood of it, by use.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// As it came.
    published: Published,
    pub(crate) ignores: Global,
    pub(crate) customizations: Arc<Customizations>,
    /// What can't be used of it, for all applications to say.
    pub(crate) problems: Vec<String>,
}

impl SettingsHandle {
    pub(crate) fn get(&self) -> Arc<Settings> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether it says something new.
    pub(crate) fn put(&self, published: Published) -> bool {
        if self.get().published == published {
            return false;
        }
        let settings = Arc::new(Settings::read(published));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = settings;
        true
    }
}

impl Settings {
    /// Annotations of Secrets that are as secret as their data (`resource.sensitive.mask.annotations`).
    pub(crate) fn masked_annotations(&self) -> Vec<&str> {
        let said = self
            .published
            .data
            .get("resource.sensitive.mask.annotations");
        let names = said.map_or("", String::as_str).split(',').map(str::trim);
        names.filter(|name| !name.is_empty()).collect()
    }

    fn read(published: Published) -> Self {
        let (ignores, mut problems) = Global::read(&published.data);
        let customizations = Customizations::read(&published.data);
        problems.extend_from_slice(customizations.problems());
        problems.extend(published.outdated.clone());
        for problem in &problems {
            tracing::warn!(problem, "argocd-cm");
        }
        Self {
            published,
            ignores,
            customizations: Arc::new(customizations),
            problems,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_cannot_be_used_is_told() {
        let handle = SettingsHandle::default();
        let said = |outdated: Option<&str>| Published {
            data: [(
                "resource.customizations.helth.Pod".to_owned(),
                String::new(),
            )]
            .into(),
            outdated: outdated.map(str::to_owned),
        };
        assert!(handle.put(said(None)));
        assert_eq!(handle.get().problems.len(), 1);
        assert!(handle.put(said(Some("it is too large"))));
        assert_eq!(handle.get().problems[1], "it is too large");
    }

    #[test]
    fn what_was_said_before_is_nothing_new() {
        let handle = SettingsHandle::default();
        let said = |text: &str| Published {
            data: [("resource.compareoptions".to_owned(), text.to_owned())].into(),
            outdated: None,
        };
        assert!(!handle.put(Published::default()));
        let before = handle.get();
        assert!(handle.put(said("ignoreAggregatedRoles: true")));
        assert_ne!(handle.get().ignores, before.ignores);
        assert!(!handle.put(said("ignoreAggregatedRoles: true")));
        assert!(handle.put(Published::default()));
        assert_eq!(handle.get().ignores, before.ignores);
    }
}
