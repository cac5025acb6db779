//! What a deletion takes along.

use super::Application;
use crate::annotations::{BACKGROUND_FINALIZER, FOREGROUND_FINALIZER, RESOURCES_FINALIZER};

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

    /// Whether somebody asked for the deletion.
    pub fn is_being_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }
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
    fn other_finalizers_take_nothing_along() {
        assert_eq!(
            with(&["post-delete-finalizer.argocd.argoproj.io"]).cascade(),
            None
        );
    }
}
