//! Where files come from: [`remote`] (what may be fetched, [`location`]) → [`access`] (as whom) → [`git`] (fetching, over a
//! `session`, within `bounds`) or [`fetch`] for what isn't a Git repository → [`Revision`], whose files are a tree in the bare
//! repository that belongs to the remote.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bus::message::desired::Commit;
use git2::Oid;

pub mod access;
pub mod archive;
pub mod authorities;
mod bounds;
pub mod busy;
pub mod error;
mod file;
pub mod git;
mod git_config;
pub mod github;
mod graft;
mod helm;
pub mod helm_index;
pub mod home;
pub mod http;
mod kept;
pub mod known_hosts;
mod lfs;
pub mod location;
mod login;
mod oci;
mod oci_login;
mod proxy;
pub mod remote;
mod session;
mod smart;
mod submodule;
pub mod tls;
pub mod version;
mod web;
pub mod whole;

pub use bounds::Limits;
pub use remote::{Content, Remote};

use access::Access;
use error::FetchError;
use kept::Kept;
use location::Location;

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

/// Brings the target revisions of a remote that isn't a Git repository into the bare repository at `folder`, as trees. What is
/// there already isn't downloaded again, and counts while the host can't be asked. Needs nothing but the folder.
pub async fn fetch(
    remote: &Remote,
    access: &Access,
    targets: &[Arc<str>],
    folder: &Path,
    limits: Limits,
) -> Result<Revisions, FetchError> {
    let mut kept = Kept::open(folder)?;
    let deadline = tokio::time::Instant::from_std(limits.deadline);
    let mut revisions = Revisions::new();
    // A host that doesn't answer is asked once for all targets.
    let mut asked: Option<Asked<'_>> = None;
    for target in targets {
        let fetched = tokio::time::timeout_at(deadline, async {
            if asked.is_none() {
                asked = Some(Asked::ask(remote, access, limits, &kept).await?);
            }
            match &asked {
                Some(asked) => asked.target(target, &kept).await,
                None => Err(FetchError::Lost {
                    url: remote.shown(),
                }),
            }
        });
        let fetched = fetched.await.unwrap_or_else(|_| {
            Err(FetchError::Timeout {
                url: remote.shown(),
            })
        });
        revisions.insert(Arc::clone(target), kept.settle(target, fetched));
    }
    kept.save();
    Ok(revisions)
}

/// What a target revision was when it was last fetched, or [`keep`] noted it: asks nobody.
pub fn kept(folder: &Path, target: &str) -> Result<Option<Revision>, FetchError> {
    if !folder.exists() {
        return Ok(None);
    }
    Ok(Kept::open(folder)?.target(target))
}

/// Notes for [`kept`] what target revisions of a Git repository are: its fetch doesn't by itself.
pub fn keep(folder: &Path, revisions: &Revisions) -> Result<(), FetchError> {
    let mut kept = Kept::open(folder)?;
    for (target, revision) in revisions {
        if let Ok(revision) = revision {
            kept.remember(target, revision, None);
        }
    }
    kept.save();
    Ok(())
}

/// A remote that was looked at.
enum Asked<'a> {
    Chart(Box<helm::Repository<'a>>, Arc<helm_index::Index>),
    Oci(Box<oci::Registry<'a>>),
    File(&'a Location, &'a Access, Limits),
}

impl<'a> Asked<'a> {
    async fn ask(
        remote: &'a Remote,
        access: &'a Access,
        limits: Limits,
        kept: &Kept,
    ) -> Result<Self, FetchError> {
        match remote {
            Remote::Chart { repository, name } => {
                let shown = remote.shown();
                let repository =
                    helm::Repository::new(repository, name, access, limits, shown).await?;
                let index = repository.index(kept).await?;
                Ok(Self::Chart(Box::new(repository), index))
            }
            Remote::Oci { location, content } => {
                let registry =
                    oci::Registry::new(location, *content, access, limits, remote.shown())?;
                Ok(Self::Oci(Box::new(registry)))
            }
            Remote::File(location) => Ok(Self::File(location, access, limits)),
            Remote::Git(location) => Err(FetchError::Settings {
                url: location.shown(),
                reason: "a Git repository is fetched by Git".to_owned(),
            }),
        }
    }

    async fn target(
        &self,
        target: &str,
        kept: &Kept,
    ) -> Result<(Revision, Option<String>), FetchError> {
        match self {
            Self::Chart(repository, index) => repository.version(index, target, kept).await,
            Self::Oci(registry) => registry.target(target, kept).await,
            Self::File(location, access, limits) => {
                file::fetch(location, access, *limits, kept).await
            }
        }
    }
}
