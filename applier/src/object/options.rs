//! The sync options of one object (`argocd.argoproj.io/sync-options`), with the application's behind them.

use std::collections::BTreeMap;

use api::annotations;
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
    /// `SkipDryRunOnMissingResource=true`: its kind may come to be during the release.
    #[serde(skip)]
    pub(crate) awaits_kind: bool,
    /// `IgnoreExtraneous` of the compare options: its staying behind makes nothing out of sync.
    #[serde(rename = "x", default, skip_serializing_if = "is_no")]
    pub(crate) ignore_extraneous: bool,
}

impl Options {
    /// From the object's annotations over the application's options.
    pub(crate) fn read(notes: &BTreeMap<&str, &str>, application: &[String]) -> Self {
        let words = |note| notes.get(note).copied().unwrap_or_default().split(',');
        let own: Vec<&str> = words(annotations::SYNC_OPTIONS).collect();
        let mut compare = words(annotations::COMPARE_OPTIONS);
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
            awaits_kind: either("SkipDryRunOnMissingResource", "true"),
            ignore_extraneous: compare.any(|word| word.trim() == "IgnoreExtraneous"),
        }
    }
}

/// A warning about options that mean nothing; none when all do.
pub(crate) fn warning<S: AsRef<str>>(of: &str, options: &[S]) -> Option<String> {
    /// So many are named.
    const MOST: usize = 10;
    let unknown = api::application::sync_option::unknown(options);
    let named: Vec<String> = unknown
        .iter()
        .take(MOST)
        .map(|option| option.chars().take(100).collect())
        .collect();
    (!named.is_empty()).then(|| {
        format!(
            "{of} has sync options without a meaning, which are ignored: {}",
            named.join(", ")
        )
    })
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

    fn read(annotation: &'static str, application: &[String]) -> Options {
        Options::read(
            &[(annotations::SYNC_OPTIONS, annotation)].into(),
            application,
        )
    }

    #[test]
    fn an_object_says_for_itself_whether_it_stays() {
        let options = read("Prune=false, Delete=false", &[]);
        assert!(options.keep_on_prune && options.keep_on_delete);
        assert_eq!(
            Options::read(&BTreeMap::new(), &["Prune=false".to_owned()]),
            Options::default()
        );
    }

    #[test]
    fn the_objects_own_word_wins_over_the_applications() {
        let application = ["Replace=true".to_owned(), "Validate=false".to_owned()];
        let options = read("Replace=false", &application);
        assert!(!options.replace && options.lenient);
        let application = ["ServerSideApply=false".to_owned()];
        assert!(read("", &application).client_side);
        assert!(!read("ServerSideApply=true", &application).client_side);
    }

    #[test]
    fn only_the_whole_word_ignores_what_is_extraneous() {
        let read = |text| Options::read(&[(annotations::COMPARE_OPTIONS, text)].into(), &[]);
        assert!(read("ServerSideDiff=true, IgnoreExtraneous").ignore_extraneous);
        assert!(!read("IgnoreExtraneous=false").ignore_extraneous);
    }

    #[test]
    fn options_without_a_meaning_are_named() {
        assert_eq!(warning("it", &["Force=true"]), None);
        assert!(warning("it", &["Force=yes"]).unwrap().contains("Force=yes"));
    }
}
