//! Where files come from: [`remote`] (what may be fetched, [`location`]) → [`access`] (as whom) → [`git`] (fetching, over a
//! `session`, within `bounds`) or [`fetch`] for what isn't a Git repository → [`Revision`], whose files are a tree in the bare
//! repository that belongs to the remote.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bus::message::desired::Commit;
use git2::Oid;

pub mod access;
pub mod authorities;
mod bounds;
pub mod busy;
pub mod error;
pub mod git;
mod git_config;
pub mod github;
mod graft;
pub mod home;
pub mod http;
pub mod known_hosts;
mod lfs;
pub mod location;
mod login;
mod proxy;
pub mod remote;
mod session;
mod smart;
mod submodule;
pub mod tls;
pub mod whole;

pub use bounds::Limits;
pub use remote::{Content, Remote};

use access::Access;
use error::FetchError;

/// What a target revision is, with its files in the local bare repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The commit's full id, the chart's version, or the digest of an artifact or a file.
    pub id: Arc<str>,
    pub tree: Oid,
    /// Who made it, where that is known.
    pub about: Option<Commit>,
}

impl Revision {
    /// The commit, of a Git repository.
    pub fn commit(&self) -> Option<Oid> {
        crate::revision::full_commit_id(&self.id)
    }
}

/// What became of each target revision.
pub type Revisions = BTreeMap<Arc<str>, Result<Revision, FetchError>>;

/// Brings the target revisions of a remote that isn't a Git repository into the bare repository at `folder`, as trees.
#[expect(
    clippy::unused_async,
    reason = "the kinds that are fetched by HTTP are added here"
)]
pub async fn fetch(
    remote: &Remote,
    _access: &Access,
    _targets: &[Arc<str>],
    _folder: &Path,
    _limits: Limits,
) -> Result<Revisions, FetchError> {
    Err(FetchError::Unreachable {
        url: remote.shown(),
        reason: "this version fetches Git repositories only".to_owned(),
    })
}
