//! What a render read: renderer → watcher, in bucket `renders`. The watcher concludes "unchanged" from nothing else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::desired::Setting;
use super::manifests::SourceType;
use super::need::Need;
use super::{Generational, Message};
use crate::identity::{AppId, ClusterId, Digest, Generation};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Render {
    pub app: AppId,
    pub cluster: ClusterId,
    pub generation: Generation,
    /// Digest of everything but the files: the specification's parameters, the names, the settings used, the engine.
    pub parameters: Digest,
    /// Every answer that the render got, sorted by source and path.
    pub inputs: Vec<Input>,
    /// Values other than files that the render used.
    #[serde(default)]
    pub values: Vec<PseudoInput>,
    /// Everything beside the sources that the render asked for, sorted: had ([`super::desired::Present::dependencies`]) or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    pub outcome: RenderOutcome,
    /// Earlier renders that came to manifests, newest first. Their manifests are in the cluster's object store, or still in
    /// MANIFESTS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<Past>,
}

/// An earlier render, told by what it read otherwise than the one before it in the list (the first one: than the record).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Past {
    pub parameters: Digest,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<Otherwise>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<PseudoInput>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    pub digest: Digest,
    pub count: usize,
    pub size: usize,
    pub source_types: Vec<SourceType>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl Past {
    /// The most that a record keeps.
    pub const MAX: usize = 16;
    /// The most bytes of paths and object ids that they may take together: what is kept costs each reader of the record.
    pub const MAX_BYTES: usize = 128 * 1024;
}

/// How the inputs of one render differ from another's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Otherwise {
    /// This is what it read there.
    Read(Input),
    /// It didn't ask for what is there.
    NotRead {
        #[serde(rename = "s", default, skip_serializing_if = "is_zero")]
        source: u32,
        #[serde(rename = "p")]
        path: String,
    },
}

impl Otherwise {
    /// Source and path.
    pub fn place(&self) -> (u32, &str) {
        match self {
            Self::Read(input) => (input.source, &input.path),
            Self::NotRead { source, path } => (*source, path),
        }
    }
}

/// One path of one source, and what was there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Input {
    /// Index of the source in the specification.
    #[serde(rename = "s", default, skip_serializing_if = "is_zero")]
    pub source: u32,
    /// Path from the repository's root, `/`-separated, without a leading slash; empty for the root. Or a [`Listing`].
    #[serde(rename = "p")]
    pub path: String,
    /// Object id of the blob, or of the tree where a whole folder counts, or [`Listing::object`]; none when nothing was there.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
}

/// Which names a folder holds, of those that end so: what counts for whoever looks there for files, each of which is an
/// input itself. It travels as a path that Git has none of: `<folder>//<endings, by commas>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub folder: String,
    pub endings: Vec<String>,
}

impl Listing {
    pub fn parse(path: &str) -> Option<Self> {
        let (folder, endings) = path.split_once("//")?;
        Some(Self {
            folder: folder.to_owned(),
            endings: endings.split(',').map(str::to_owned).collect(),
        })
    }

    /// Whether a name counts. A folder's has a slash at its end.
    pub fn takes(&self, name: &str) -> bool {
        self.endings
            .iter()
            .any(|ending| name.ends_with(ending.as_str()))
    }

    /// What stands for the names that count, whatever their order: as long as an object's id.
    pub fn object<'n>(&self, names: impl Iterator<Item = &'n str>) -> String {
        const LENGTH: usize = 40;
        let mut names: Vec<&str> = names.filter(|name| self.takes(name)).collect();
        names.sort_unstable();
        let mut digest = Digest::of(names.join("\0").as_bytes()).to_string();
        digest.truncate(LENGTH);
        digest
    }
}

impl std::fmt::Display for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}//{}", self.folder, self.endings.join(","))
    }
}

/// A value that isn't a file but changes the result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PseudoInput {
    /// The commit's id was substituted.
    Revision { source: u32 },
    /// The destination's Kubernetes version and API versions, by digest.
    Capabilities(Digest),
    /// A setting of `argocd-cm`, by digest of its value.
    #[serde(rename_all = "camelCase")]
    Setting { name: Setting, value: Digest },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RenderOutcome {
    #[serde(rename_all = "camelCase")]
    Rendered {
        digest: Digest,
        count: usize,
        size: usize,
        source_types: Vec<SourceType>,
        conditions: Vec<Condition>,
    },
    Failed(Condition),
    /// Some of the needs weren't there: the watcher fetches them and publishes again.
    Incomplete,
}

impl Message for Render {
    const KIND: &'static str = "render.recorded";

    fn about(&self) -> Option<&AppId> {
        Some(&self.app)
    }

    fn cluster(&self) -> Option<&ClusterId> {
        Some(&self.cluster)
    }
}

impl Generational for Render {
    fn generation(&self) -> Generation {
        self.generation
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_zero(source: &u32) -> bool {
    *source == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_changes_with_the_names_that_count_and_no_others() {
        let listing = Listing::parse("apps/dome//.yaml,/").unwrap();
        assert_eq!(listing.to_string(), "apps/dome//.yaml,/");
        assert_eq!(listing.folder, "apps/dome");
        let of = |names: &[&str]| listing.object(names.iter().copied());
        let before = of(&["a.yaml", "deep/", "README.md"]);
        assert_eq!(before, of(&["b.md", "deep/", "a.yaml"]));
        assert_ne!(before, of(&["a.yaml", "deep", "README.md"]));
        assert_ne!(before, of(&["a.yaml", "b.yaml", "deep/"]));
        assert_eq!(before.len(), 40);
        assert!(Listing::parse("apps/dome/a.yaml").is_none());
        assert!(Listing::parse("//").unwrap().takes("anything"));
    }
}
