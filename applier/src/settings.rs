//! What `argocd-cm` says about objects, as the watcher publishes it. Until it came, Argo CD's defaults hold.

use std::sync::{Arc, PoisonError, RwLock};

use bus::message::settings::Settings as Published;

use crate::drift::Global;

/// As last published.
#[derive(Default)]
pub(crate) struct SettingsHandle(RwLock<Arc<Settings>>);

/// What is understood of it, by use.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// As it came.
    published: Published,
    pub(crate) ignores: Global,
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
        if self.get().published.data == published.data {
            return false;
        }
        let settings = Arc::new(Settings::read(published));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = settings;
        true
    }
}

impl Settings {
    fn read(published: Published) -> Self {
        let (ignores, problems) = Global::read(&published.data);
        for problem in problems {
            tracing::warn!(problem, "argocd-cm");
        }
        Self { published, ignores }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
