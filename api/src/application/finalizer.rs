//! What a deletion takes along.

use super::Application;
use crate::annotations::{
    BACKGROUND_FINALIZER, FOREGROUND_FINALIZER, POST_DELETE_FINALIZER, PRE_DELETE_FINALIZER,
    RESOURCES_FINALIZER,
};

/// How an application's objects go when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cascade {
    Foreground,
    Background,
}

impl Application {
    /// The resources finalizer, if the application has one: its objects go with it. Of several the
    /// first counts, and the plain one means foreground, as in Argo CD.
    pub fn cascade(&self) -> Option<Cascade> {
        self.metadata
            .finalizers
            .iter()
            .flatten()
            .find_map(|finalizer| match finalizer.as_str() {
                RESOURCES_FINALIZER | FOREGROUND_FINALIZER => Some(Cascade::Foreground),
                BACKGROUND_FINALIZER => Some(Cascade::Background),
                _ => None,
            })
    }

    /// Whether hooks are to run when it is deleted, whatever becomes of its objects.
    pub fn has_delete_hooks(&self) -> bool {
        self.metadata
            .finalizers
            .iter()
            .flatten()
            .any(|finalizer| is_for_hooks(finalizer))
    }

    /// When somebody asked for the deletion, Unix milliseconds.
    pub fn deletion_requested(&self) -> Option<u64> {
        let time = self.metadata.deletion_timestamp.as_ref()?;
        u64::try_from(time.0.as_millisecond()).ok()
    }

    /// Whether somebody asked for the deletion.
    pub fn is_being_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }
}

/// Argo CD's finalizers for `PreDelete` and `PostDelete` hooks, and for clearing them away.
pub fn is_for_hooks(finalizer: &str) -> bool {
    [PRE_DELETE_FINALIZER, POST_DELETE_FINALIZER]
        .into_iter()
        .filter_map(|own| finalizer.strip_prefix(own))
        .any(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ApplicationSpec;

    fn with(finalizers: &[&str]) -> Application {
        let mut app = Application::new("a", ApplicationSpec::default());
        app.metadata.finalizers = Some(finalizers.iter().map(ToString::to_string).collect());
        app
    }

    #[test]
    fn the_plain_finalizer_cascades_in_the_foreground() {
        assert_eq!(
            with(&["x", RESOURCES_FINALIZER]).cascade(),
            Some(Cascade::Foreground)
        );
    }

    #[test]
    fn the_background_finalizer_cascades_in_the_background() {
        assert_eq!(
            with(&[BACKGROUND_FINALIZER]).cascade(),
            Some(Cascade::Background)
        );
    }

    #[test]
    fn finalizers_of_hooks_take_nothing_along_but_have_hooks_run() {
        for finalizer in [
            POST_DELETE_FINALIZER,
            "pre-delete-finalizer.argocd.argoproj.io/cleanup",
        ] {
            assert_eq!(with(&[finalizer]).cascade(), None);
            assert!(with(&[finalizer]).has_delete_hooks());
        }
        assert!(!with(&[RESOURCES_FINALIZER, "pre-delete"]).has_delete_hooks());
    }
}
