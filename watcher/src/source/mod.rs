//! Where files come from: [`remote`] (what may be fetched, [`location`]) → [`access`] (as whom) → [`git`] (fetching, over a
//! `session`, within `bounds`) or [`fetch`] for what isn't a Git repository → [`Revision`], whose files are a tree in the bare
//! repository that belongs to the remote.
//!
//! [`fetch`] in turn: `kept` (what is there) → `web` (over `http`, by `tls` and `proxy`; [`busy`] hosts) → `helm` ([`helm_index`]
//! in the store of `indexes`), `oci` (`oci_login`, `oci_manifest`) or `file` → [`version`] (which one is meant) → [`archive`] →
//! `archive_tree`. What isn't named here is Git's: `git_config`, [`github`], `graft`, [`home`], [`known_hosts`], `lfs`, `login`,
//! `smart`, `submodule`, [`whole`]; [`authorities`] and [`error`] are everybody's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bus::message::desired::Commit;
use git2::Oid;

pub mod access;
pub mod archive;
mod archive_tree;
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
mod indexes;
mod kept;
pub mod known_hosts;
mod lfs;
pub mod location;
mod login;
mod oci;
mod oci_login;
mod oci_manifest;
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
pub use kept::Look;
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

/// What a look at a host brought.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    pub revisions: Revisions,
    /// Why the host couldn't be asked, if it couldn't: then what it said before counts, where that is known.
    pub outage: Option<FetchError>,
}

/// Brings the target revisions of a remote that isn't a Git repository into the bare repository at `folder`, as trees. What is
/// there already isn't downloaded again, and counts while the host can't be asked. Needs nothing but the folder.
pub async fn fetch(
    remote: &Remote,
    access: &Access,
    targets: &[Arc<str>],
    (folder, look): (&Path, Look),
    limits: Limits,
) -> Result<Looked, FetchError> {
    let lost = |_| FetchError::Lost {
        url: remote.shown(),
    };
    let opened = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || Kept::open(&opened, look));
    let mut kept = opened.await.map_err(lost)??;
    let deadline = tokio::time::Instant::from_std(limits.deadline);
    let mut looked = Looked::default();
    // A host that doesn't answer is asked once for all targets.
    let mut asked: Option<Asked<'_>> = None;
    for target in targets {
        let fetched = tokio::time::timeout_at(deadline, async {
            if asked.is_none() {
                if let Some(outage) = &looked.outage {
                    return Err(outage.clone());
                }
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
        let (revision, outage) = kept.settle(target, fetched);
        looked.revisions.insert(Arc::clone(target), revision);
        looked.outage = looked.outage.or(outage);
    }
    let noted = tokio::task::spawn_blocking(move || {
        kept.hold();
        kept.save();
    });
    noted.await.map_err(lost)?;
    Ok(looked)
}

/// What a target revision was when it was last fetched, or [`keep`] noted it: asks nobody.
pub fn kept(folder: &Path, target: &str) -> Result<Option<Revision>, FetchError> {
    if !folder.exists() {
        return Ok(None);
    }
    Ok(Kept::open(folder, Look::Usual)?.target(target))
}

/// Notes for [`kept`] what target revisions of a Git repository are: its fetch doesn't by itself.
pub fn keep(folder: &Path, revisions: &Revisions) -> Result<(), FetchError> {
    let mut kept = Kept::open(folder, Look::Usual)?;
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
