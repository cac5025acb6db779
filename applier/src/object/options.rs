//! The sync options of one object (`argocd.argoproj.io/sync-options`), with the application's behind them.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "sync options are independent switches"
)]
pub(crate) struct Options {
    /// `Prune=false`: stays when it leaves the manifests.
    #[serde(rename = "p", default, skip_serializing_if = "is_no")]
    pub(crate) keep_on_prune: bool,
    /// `Delete=false`: stays when the application is deleted.
    #[serde(rename = "d", default, skip_serializing_if = "is_no")]
    pub(crate) keep_on_delete: bool,
    /// `Replace=true`: written as a whole instead of applied.
    #[serde(skip)]
    pub(crate) replace: bool,
    /// `Force=true`: deleted and made again when the server refuses the change.
    #[serde(skip)]
    pub(crate) force: bool,
    /// `ServerSideApply=false`.
    #[serde(skip)]
    pub(crate) client_side: bool,
    /// `Validate=false`: unknown fields are the server's to drop.
    #[serde(skip)]
    pub(crate) lenient: bool,
}

impl Options {
    /// From the object's annotation over the application's options.
    pub(crate) fn read(annotation: Option<&str>, application: &[String]) -> Self {
        let own: Vec<&str> = annotation.unwrap_or_default().split(',').collect();
        let is = |name: &str, value: &str| option(&own, name) == Some(value);
        let either = |name: &str, value: &str| {
            option(&own, name).or_else(|| option(application, name)) == Some(value)
        };
        Self {
            keep_on_prune: is("Prune", "false") || is("Prune", "confirm"),
            keep_on_delete: is("Delete", "false") || is("Delete", "confirm"),
            replace: either("Replace", "true"),
            force: either("Force", "true"),
            client_side: either("ServerSideApply", "false"),
            lenient: either("Validate", "false"),
        }
    }
}

fn option<'a, S: AsRef<str>>(options: &'a [S], name: &str) -> Option<&'a str> {
    api::application::sync_policy::option(options, name)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_no(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_says_for_itself_whether_it_stays() {
        let options = Options::read(Some("Prune=false, Delete=false"), &[]);
        assert!(options.keep_on_prune && options.keep_on_delete);
        assert_eq!(
            Options::read(None, &["Prune=false".to_owned()]),
            Options::default()
        );
    }

    #[test]
    fn the_objects_own_word_wins_over_the_applications() {
        let application = ["Replace=true".to_owned(), "Validate=false".to_owned()];
        let options = Options::read(Some("Replace=false"), &application);
        assert!(!options.replace && options.lenient);
    }
}
