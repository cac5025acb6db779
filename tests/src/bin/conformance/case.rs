//! What is rendered by both sides, and what came of it.

use api::application::source::ApplicationSource;
use serde::Serialize;
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    Chart,
    Overlay,
    Jsonnet,
    Application,
}

/// One render: sources as an Application has them, all in the repository at hand.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    /// For people: the path, and what else tells it apart.
    pub(crate) name: String,
    /// The Application's name, thus Helm's release.
    pub(crate) app: String,
    pub(crate) namespace: String,
    pub(crate) project: String,
    pub(crate) sources: Vec<ApplicationSource>,
    /// As `kustomize.buildOptions` of `argocd-cm`.
    pub(crate) build_options: String,
}

/// What a side made of a case: its objects, or its error.
pub(crate) type Outcome = Result<Vec<Value>, String>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "camelCase")]
pub(crate) enum Verdict {
    Same {
        objects: usize,
    },
    /// The same but for what the tool draws at random or reads from the clock.
    #[serde(rename_all = "camelCase")]
    SameButRandom {
        objects: usize,
        random: usize,
    },
    #[serde(rename_all = "camelCase")]
    Different {
        first: String,
        differences: usize,
    },
    BothFail {
        ours: String,
        theirs: String,
    },
    OnlyTowlineFails {
        ours: String,
    },
    OnlyToolFails {
        theirs: String,
    },
    /// Outside of what can be compared here.
    NotCompared {
        reason: String,
    },
}
