//! The sync options of one object (`argocd.argoproj.io/sync-options`), with the application's behind them.

use std::collections::BTreeMap;

use api::annotations;
use serde::{Deserialize, Serialize};

/// What is said of an object's deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Say {
    #[default]
    Nothing,
    /// `false`: it stays.
    No,
    /// `confirm`: only with a person's word.
    Confirm,
    /// `true`, whatever the application says.
    Yes,
}

impl Say {
    pub(crate) fn read(value: &str) -> Self {
        match value {
            "false" => Self::No,
            "confirm" => Self::Confirm,
            "true" => Self::Yes,
            _ => Self::Nothing,
        }
    }

    /// The object's own word, else the application's.
    pub(crate) fn or(self, application: Self) -> Self {
        match self {
            Self::Nothing => application,
            own => own,
        }
    }

    /// As it is stored: whether it stays as long as nobody says otherwise, and what is more to say.
    fn stored(self) -> (bool, Option<Word>) {
        match self {
            Self::Nothing => (false, None),
            Self::No => (true, None),
            Self::Confirm => (true, Some(Word::Confirm)),
            Self::Yes => (false, Some(Word::Yes)),
        }
    }

    fn of_stored(kept: bool, word: Option<Word>) -> Self {
        match (kept, word) {
            (_, Some(Word::Confirm)) => Self::Confirm,
            (_, Some(Word::Yes)) => Self::Yes,
            (true, None) => Self::No,
            (false, None) => Self::Nothing,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(from = "Stored", into = "Stored")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "sync options are independent switches"
)]
pub(crate) struct Options {
    /// `Prune`, of the object itself.
    pub(crate) prune: Say,
    /// `Delete`, of the object itself, or Helm's `resource-policy: keep`.
    pub(crate) delete: Say,
    /// `PruneLast=true`, of the object itself.
    pub(crate) prune_last: bool,
    /// `Replace=true`: written as a whole instead of applied.
    pub(crate) replace: bool,
    /// `Force=true`: deleted and made again when the server refuses the change.
    pub(crate) force: bool,
    /// `ServerSideApply=false`.
    pub(crate) client_side: bool,
    /// `Validate=false`: unknown fields are the server's to drop.
    pub(crate) lenient: bool,
    /// `RespectIgnoreDifferences=true`, of the application: fields that don't count aren't written.
    #[serde(skip)]
    pub(crate) respects_ignored: bool,
    /// `SkipDryRunOnMissingResource=true`: its kind may come to be during the release.
    pub(crate) awaits_kind: bool,
    /// `IgnoreExtraneous` of the compare options: its staying behind makes nothing out of sync.
    pub(crate) ignore_extraneous: bool,
}

/// What an inventory keeps of them: all that counts when the object has left the manifests.
#[derive(Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "sync options are independent switches"
)]
struct Stored {
    #[serde(rename = "p", default, skip_serializing_if = "is_no")]
    keep_on_prune: bool,
    #[serde(rename = "d", default, skip_serializing_if = "is_no")]
    keep_on_delete: bool,
    #[serde(rename = "x", default, skip_serializing_if = "is_no")]
    ignore_extraneous: bool,
    #[serde(rename = "l", default, skip_serializing_if = "is_no")]
    prune_last: bool,
    #[serde(rename = "pw", default, skip_serializing_if = "Option::is_none")]
    prune: Option<Word>,
    #[serde(rename = "dw", default, skip_serializing_if = "Option::is_none")]
    delete: Option<Word>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Word {
    #[serde(rename = "c")]
    Confirm,
    #[serde(rename = "y")]
    Yes,
}

impl From<Options> for Stored {
    fn from(options: Options) -> Self {
        let (keep_on_prune, prune) = options.prune.stored();
        let (keep_on_delete, delete) = options.delete.stored();
        Self {
            keep_on_prune,
            keep_on_delete,
            ignore_extraneous: options.ignore_extraneous,
            prune_last: options.prune_last,
            prune,
            delete,
        }
    }
}

impl From<Stored> for Options {
    fn from(stored: Stored) -> Self {
        Self {
            prune: Say::of_stored(stored.keep_on_prune, stored.prune),
            delete: Say::of_stored(stored.keep_on_delete, stored.delete),
            ignore_extraneous: stored.ignore_extraneous,
            prune_last: stored.prune_last,
            ..Self::default()
        }
    }
}

impl Options {
    /// From the object's annotations over the application's options.
    pub(crate) fn read(notes: &BTreeMap<&str, &str>, application: &[String]) -> Self {
        let words = |note| notes.get(note).copied().unwrap_or_default().split(',');
        let own: Vec<&str> = words(annotations::SYNC_OPTIONS).collect();
        let mut compare = words(annotations::COMPARE_OPTIONS);
        let say = |name: &str| option(&own, name).map_or(Say::Nothing, Say::read);
        let either = |name: &str, value: &str| {
            option(&own, name).or_else(|| option(application, name)) == Some(value)
        };
        let kept = words(annotations::HELM_RESOURCE_POLICY).any(|word| word.trim() == "keep");
        Self {
            prune: say("Prune"),
            delete: if kept { Say::No } else { say("Delete") },
            prune_last: option(&own, "PruneLast") == Some("true"),
            replace: either("Replace", "true"),
            force: either("Force", "true"),
            client_side: either("ServerSideApply", "false"),
            lenient: either("Validate", "false"),
            respects_ignored: option(application, "RespectIgnoreDifferences") == Some("true"),
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

    fn read(annotation: &str, application: &[String]) -> Options {
        Options::read(
            &[(annotations::SYNC_OPTIONS, annotation)].into(),
            application,
        )
    }

    #[test]
    fn an_object_says_for_itself_whether_it_stays() {
        let options = read("Prune=false, Delete=confirm", &["Prune=true".to_owned()]);
        assert_eq!((options.prune, options.delete), (Say::No, Say::Confirm));
        assert_eq!(Say::Nothing.or(Say::No), Say::No);
        assert_eq!(Say::Yes.or(Say::No), Say::Yes);
    }

    #[test]
    fn what_helm_keeps_stays_when_the_application_is_deleted() {
        let notes = [(annotations::HELM_RESOURCE_POLICY, "keep")].into();
        let options = Options::read(&notes, &[]);
        assert_eq!((options.prune, options.delete), (Say::Nothing, Say::No));
    }

    #[test]
    fn what_counts_after_an_object_left_is_stored_and_older_records_are_read() {
        for word in ["false", "confirm", "true", ""] {
            let options = read(&format!("Prune={word},Delete={word},PruneLast=true"), &[]);
            let text = serde_json::to_string(&options).unwrap();
            assert_eq!(serde_json::from_str::<Options>(&text).unwrap(), options);
        }
        let older: Options = serde_json::from_str(r#"{"p":true,"d":true}"#).unwrap();
        assert_eq!((older.prune, older.delete), (Say::No, Say::No));
        // An older reader keeps what waits for a word.
        let text = serde_json::to_string(&read("Prune=confirm", &[])).unwrap();
        assert_eq!(text, r#"{"p":true,"pw":"c"}"#);
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
