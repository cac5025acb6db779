//! What a render needs beside the sources of the specification: asked for by the renderer in [`super::render`], fetched by the
//! watcher, given with the next [`super::desired`] generation. So the renderer alone decides which files count, and needs no
//! network for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::desired::Snapshot;

/// Something outside the sources, as the files name it: unresolved, and not to be trusted.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Need {
    /// A Helm chart. Its tree is the unpacked chart's own folder.
    #[serde(rename_all = "camelCase")]
    Chart {
        /// `https://…`, `http://…`, `oci://…` (without the chart's name), or `alias:name` and `@name` for a repository that
        /// is configured under that name.
        repository: String,
        name: String,
        /// A version, or a range as Helm reads it; empty for the newest that isn't a pre-release.
        version: String,
    },
    /// A Git repository, whole: for a remote Kustomize base, whose path in it is the renderer's affair.
    #[serde(rename_all = "camelCase")]
    Git {
        url: String,
        /// Branch, tag or commit; empty for HEAD.
        reference: String,
    },
    /// One file by HTTP. Its tree has one entry, [`Need::FILE`].
    #[serde(rename_all = "camelCase")]
    File { url: String },
}

impl Need {
    /// The name of a fetched file in its tree.
    pub const FILE: &'static str = "file";
    /// The most that one render may ask for.
    pub const MAX: usize = 256;
    /// How often in a row a render may ask for more after it got what it had asked for: bases of bases.
    pub const MAX_ROUNDS: usize = 16;
}

/// A need, fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    pub need: Need,
    /// Chart version, commit, or digest.
    pub revision: String,
    /// The Git tree of its files: what the content is known by.
    pub tree: String,
    pub snapshot: Snapshot,
}
