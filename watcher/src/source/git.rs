//! Fetching a Git repository into a bare one, by libgit2. Blocking: run it where blocking is allowed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use bus::message::desired::Commit;
use git2::{
    AutotagOption, ErrorClass, ErrorCode, FetchOptions, ObjectType, Oid, Remote, Repository,
    RepositoryInitOptions,
};

use super::access::{Access, Login};
use super::bounds::Bounds;
use super::error::FetchError;
use super::location::{Location, Transport};
use super::session::{Session, Several, has};
use super::smart::Exchange;
use super::{Limits, Revision, Revisions};
use crate::revision::{References, Resolved, RevisionError};

/// A refspec that matches nothing: it connects and lists, and downloads nothing.
const NOTHING: &str = "refs/towline/nothing:refs/towline/nothing";
/// Longest first line of a commit's message that travels on.
const MAX_SUBJECT: usize = 200;

/// Sets libgit2's process-wide bounds: nothing of the host's configuration counts, caches stay small, a connection that
/// says nothing ends.
pub fn limit_libgit2(timeout: Duration) {
    static LIMITED: Once = Once::new();
    LIMITED.call_once(|| {
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: these change libgit2's globals, which is sound only while no other thread uses it: this runs once, before
        // the first repository is opened.
        let outcome = unsafe {
            git2::opts::set_server_connect_timeout_in_milliseconds(milliseconds.min(10_000))
                .and_then(|()| git2::opts::set_server_timeout_in_milliseconds(milliseconds))
                .and_then(|()| git2::opts::set_cache_max_size(16 << 20))
                .and_then(|()| git2::opts::set_mwindow_mapped_limit(128 << 20))
                .and_then(|()| git2::opts::set_verify_owner_validation(false))
                .and_then(|()| git2::opts::set_search_path(git2::ConfigLevel::System, ""))
                .and_then(|()| git2::opts::set_search_path(git2::ConfigLevel::Global, ""))
                .and_then(|()| git2::opts::set_search_path(git2::ConfigLevel::XDG, ""))
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "libgit2's bounds can't be set");
        }
    });
}

/// Opens the bare repository at `path`, or makes it.
pub fn open(path: &Path) -> Result<Repository, FetchError> {
    let local = |source| FetchError::Local {
        path: path.display().to_string(),
        source: Arc::new(source),
    };
    match Repository::open_bare(path) {
        Ok(repository) => Ok(repository),
        Err(error) if error.code() == ErrorCode::NotFound => Repository::init_opts(
            path,
            RepositoryInitOptions::new()
                .bare(true)
                .external_template(false)
                .mkpath(true),
        )
        .map_err(local),
        Err(error) => Err(local(error)),
    }
}

/// Brings the target revisions into the local repository: one connection, one list of references, and one download if
/// anything is missing.
pub fn fetch<'a>(
    repository: &Repository,
    location: &Location,
    access: &Access,
    wanted: impl IntoIterator<Item = &'a Arc<str>>,
    limits: Limits,
) -> Result<Revisions, FetchError> {
    let bounds = Bounds::new(limits);
    let login = Login::default();
    let exchange = match location.transport {
        Transport::Http => Some(Exchange::new(location, access, limits)?),
        Transport::Ssh if access.proxy.is_some() => {
            return Err(FetchError::Settings {
                url: location.shown(),
                reason: "a proxy for ssh isn't supported: fetch it over https, or remove proxy"
                    .into(),
            });
        }
        Transport::Ssh | Transport::File => None,
    };
    let _within = exchange.as_ref().map(Exchange::enter);
    let broken = |source: git2::Error| {
        let failed = || exchange.as_ref()?.failed();
        let refused = login.refused().map(|refusal| FetchError::HostKey {
            url: location.shown(),
            refusal,
        });
        let known = bounds.over.take().or(refused).or_else(failed);
        known.unwrap_or_else(|| FetchError::of(location, &source))
    };
    let mut remote = repository
        .remote_anonymous(location.url())
        .map_err(broken)?;
    let mut options = options(location, access, &login, &bounds);
    remote
        .download(&[NOTHING], Some(&mut options))
        .map_err(broken)?;
    let references = references(&remote).map_err(broken)?;
    let mut session = Session {
        repository,
        location,
        remote: &mut remote,
        options: &mut options,
        bounds: &bounds,
        login: &login,
        spent: false,
    };
    let mut resolved = BTreeMap::new();
    for target in wanted {
        resolved.insert(Arc::clone(target), references.resolve(target));
    }
    lengthen(&mut resolved, &mut session, &references).map_err(broken)?;
    let missing: Vec<&Resolved> = resolved
        .values()
        .flatten()
        .filter(|found| !found.target().is_none_or(|target| has(repository, target)))
        .collect();
    session.download(&missing, &references).map_err(broken)?;
    let revisions = resolved
        .into_iter()
        .map(|(target, found)| {
            let revision = found
                .map_err(|error| FetchError::revision(location, &error))
                .and_then(|found| {
                    let target_commit = found.target().ok_or_else(|| FetchError::Lost {
                        url: location.shown(),
                    })?;
                    read(repository, location, &target, target_commit)
                });
            (target, revision)
        })
        .collect();
    // What it says when a connection ends can change nothing any more.
    let _ = remote.disconnect();
    Ok(revisions)
}

fn options<'a>(
    location: &'a Location,
    access: &'a Access,
    login: &'a Login,
    bounds: &'a Bounds,
) -> FetchOptions<'a> {
    let mut callbacks = access.callbacks(location, login);
    callbacks.transfer_progress(move |progress| bounds.takes(location, progress.received_bytes()));
    callbacks.sideband_progress(move |_| bounds.within(location));
    let mut options = FetchOptions::new();
    options
        .remote_callbacks(callbacks)
        .download_tags(AutotagOption::None)
        .update_fetchhead(false)
        .follow_redirects(git2::RemoteRedirect::None);
    options
}

fn references(remote: &Remote<'_>) -> Result<References, git2::Error> {
    let heads = remote.list()?;
    Ok(References::new(
        heads
            .iter()
            .map(|head| (head.name().to_owned(), head.oid())),
    ))
}

/// Finds the commits whose ids were abbreviated: among those that references name, among what is there, and else in all history,
/// since a host can't be asked for them.
fn lengthen(
    resolved: &mut BTreeMap<Arc<str>, Result<Resolved, RevisionError>>,
    session: &mut Session<'_, '_, '_>,
    references: &References,
) -> Result<(), git2::Error> {
    let mut whole = false;
    for (target, found) in resolved {
        let Ok(Resolved::Abbreviated(digits)) = found else {
            continue;
        };
        let shown = || target.chars().take(200).collect();
        let mut commit = references.beginning(digits).map(Ok);
        if commit.is_none() {
            commit = session.beginning(digits)?;
        }
        if commit.is_none() && !whole {
            whole = true;
            session.history(references)?;
            commit = session.beginning(digits)?;
        }
        *found = match commit {
            Some(Ok(commit)) => Ok(Resolved::Commit(commit)),
            Some(Err(Several)) => Err(RevisionError::Ambiguous(shown())),
            None => Err(RevisionError::Unknown(shown())),
        };
    }
    Ok(())
}

impl Resolved {
    /// The commit or tag, once it is known.
    fn target(&self) -> Option<Oid> {
        match self {
            Self::Reference { target, .. } | Self::Commit(target) => Some(*target),
            Self::Abbreviated(_) => None,
        }
    }
}

fn read(
    repository: &Repository,
    location: &Location,
    target: &str,
    oid: Oid,
) -> Result<Revision, FetchError> {
    let commit = repository
        .find_object(oid, None)
        .and_then(|object| object.peel(ObjectType::Commit))
        .and_then(|object| object.peel_to_commit())
        .map_err(|error| match error.code() {
            ErrorCode::NotFound | ErrorCode::InvalidSpec | ErrorCode::Peel => {
                FetchError::NoCommit {
                    url: location.shown(),
                    target: target.chars().take(200).collect(),
                }
            }
            _ if error.class() == ErrorClass::Odb => FetchError::Local {
                path: repository.path().display().to_string(),
                source: Arc::new(error),
            },
            _ => FetchError::of(location, &error),
        })?;
    let author = commit.author();
    let subject = commit.summary_bytes().unwrap_or_default();
    Ok(Revision {
        id: commit.id().to_string().into(),
        tree: commit.tree_id(),
        about: Some(Commit {
            author: String::from_utf8_lossy(author.name_bytes())
                .chars()
                .take(MAX_SUBJECT)
                .collect(),
            subject: String::from_utf8_lossy(subject)
                .chars()
                .take(MAX_SUBJECT)
                .collect(),
            time: u64::try_from(author.when().seconds())
                .unwrap_or(0)
                .saturating_mul(1000),
        }),
    })
}
