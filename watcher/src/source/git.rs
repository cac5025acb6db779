//! Fetching a Git repository into a bare one, by libgit2. Blocking: run it where blocking is allowed.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use bus::message::desired::Commit;
use git2::{
    AutotagOption, ErrorClass, ErrorCode, FetchOptions, ObjectType, Oid, ProxyOptions, Remote,
    RemoteUpdateFlags, Repository, RepositoryInitOptions,
};

use super::access::{Access, Login};
use super::error::FetchError;
use super::location::{Location, Transport};
use crate::revision::{References, Resolved};

/// Where fetched commits are kept reachable, so that the next fetch can say what is there.
const KEPT: &str = "refs/towline/";
/// A refspec that matches nothing: it connects and lists, and downloads nothing.
const NOTHING: &str = "refs/towline/nothing:refs/towline/nothing";
/// What a branch that gained a few commits sends at most, in bytes.
const FEW: usize = 4 << 20;
/// Longest first line of a commit's message that travels on.
const MAX_SUBJECT: usize = 200;

/// A revision that is in the local repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    pub commit: Oid,
    pub tree: Oid,
    pub about: Commit,
}

/// What became of each target revision.
pub type Revisions = BTreeMap<Arc<str>, Result<Revision, FetchError>>;

/// Bounds of one fetch.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub deadline: Instant,
    /// Bytes received from the host.
    pub bytes: usize,
}

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
    let bounds = Bounds {
        limits,
        ceiling: Cell::new(limits.bytes),
        over: Cell::new(None),
    };
    let login = Login::default();
    let broken = |source: git2::Error| {
        let refused = login.refused().map(|refusal| FetchError::HostKey {
            url: location.shown(),
            refusal,
        });
        let known = bounds.over.take().or(refused);
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
    let missing: Vec<&Resolved> = resolved
        .values()
        .flatten()
        .filter(|found| !has(repository, found.target()))
        .collect();
    session.download(&missing, &references).map_err(broken)?;
    let revisions = resolved
        .into_iter()
        .map(|(target, found)| {
            let revision = found
                .map_err(|error| FetchError::revision(location, &error))
                .and_then(|found| read(repository, location, &target, found.target()));
            (target, revision)
        })
        .collect();
    // What it says when a connection ends can change nothing any more.
    let _ = remote.disconnect();
    Ok(revisions)
}

/// A fetch's bounds, and which of them it went over.
struct Bounds {
    limits: Limits,
    /// Bytes that one download may have.
    ceiling: Cell<usize>,
    over: Cell<Option<FetchError>>,
}

impl Bounds {
    fn within(&self, location: &Location) -> bool {
        let in_time = Instant::now() < self.limits.deadline;
        if !in_time {
            self.over.set(Some(FetchError::Timeout {
                url: location.shown(),
            }));
        }
        in_time
    }

    fn takes(&self, location: &Location, bytes: usize) -> bool {
        if bytes > self.ceiling.get() {
            self.over.set(Some(FetchError::TooLarge {
                url: location.shown(),
                limit: self.limits.bytes,
            }));
            return false;
        }
        self.within(location)
    }
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
        .follow_redirects(git2::RemoteRedirect::Initial);
    if let Some(header) = access.bearer_header() {
        options.custom_headers(&[&header]);
    }
    if let Some(proxy) = &access.proxy {
        let mut proxies = ProxyOptions::new();
        proxies.url(proxy);
        options.proxy_options(proxies);
    }
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

/// One connection to a host.
struct Session<'s, 'r, 'o> {
    repository: &'r Repository,
    location: &'s Location,
    remote: &'s mut Remote<'r>,
    options: &'s mut FetchOptions<'o>,
    bounds: &'o Bounds,
    login: &'o Login,
    /// Whether the connection has carried a pack.
    spent: bool,
}

impl Session<'_, '_, '_> {
    fn download(
        &mut self,
        missing: &[&Resolved],
        references: &References,
    ) -> Result<(), git2::Error> {
        let (mut names, mut commits) = (Vec::new(), Vec::new());
        for found in missing {
            match found {
                Resolved::Reference { name, .. } => names.push(name.clone()),
                Resolved::Commit(commit) => {
                    match references.iter().find(|(_, oid)| oid == commit) {
                        Some((name, _)) => names.push(name.trim_end_matches("^{}").to_owned()),
                        None => commits.push(*commit),
                    }
                }
            }
        }
        names.sort();
        names.dedup();
        let (known, new): (Vec<String>, Vec<String>) = names
            .into_iter()
            .partition(|name| self.repository.find_reference(&kept(name)).is_ok());
        self.by_name(&new, self.shallow())?;
        self.follow(&known)?;
        if commits.is_empty() {
            return Ok(());
        }
        let by_id: Vec<String> = commits
            .iter()
            .map(|commit| format!("+{commit}:{KEPT}commit/{commit}"))
            .collect();
        self.options.depth(self.shallow());
        // Not every host lets one ask for a commit. Then all branches and tags with their history are what is left.
        if self.carry(&by_id).is_err()
            || commits.iter().any(|commit| !has(self.repository, *commit))
        {
            let all: Vec<String> = references
                .iter()
                .map(|(name, _)| name)
                .filter(|name| name.starts_with("refs/heads/") || name.starts_with("refs/tags/"))
                .filter(|name| !name.ends_with("^{}"))
                .map(str::to_owned)
                .collect();
            self.by_name(&all, self.whole())?;
        }
        Ok(())
    }

    /// References that were had before. Mostly they gained a commit or two, which come with one request less when the host may
    /// send all that is new; if that turns out to be a lot (a rewritten branch), only the tip is asked for.
    fn follow(&mut self, names: &[String]) -> Result<(), git2::Error> {
        if self.location.transport == Transport::File {
            return self.by_name(names, self.whole());
        }
        self.bounds.ceiling.set(FEW.min(self.bounds.limits.bytes));
        let followed = self.by_name(names, 0);
        self.bounds.ceiling.set(self.bounds.limits.bytes);
        match followed {
            Err(_) if matches!(self.bounds.over.take(), Some(FetchError::TooLarge { .. })) => {
                // What the host was still sending is in the old connection.
                self.reconnect()?;
                self.by_name(names, self.shallow())
            }
            followed => followed,
        }
    }

    fn by_name(&mut self, names: &[String], depth: i32) -> Result<(), git2::Error> {
        if names.is_empty() {
            return Ok(());
        }
        let specs: Vec<String> = names
            .iter()
            .map(|name| format!("+{name}:{}", kept(name)))
            .collect();
        self.options.depth(depth);
        self.carry(&specs)?;
        self.remote
            .update_tips(None, RemoteUpdateFlags::empty(), AutotagOption::None, None)?;
        if self.location.transport != Transport::File {
            tips_only(self.repository);
        }
        Ok(())
    }

    fn carry(&mut self, specs: &[String]) -> Result<(), git2::Error> {
        // The other side's program ends with its pack, which libgit2 doesn't see coming.
        if self.location.transport == Transport::Ssh && self.spent {
            self.reconnect()?;
        }
        self.spent = true;
        self.remote.download(specs, Some(self.options))
    }

    fn reconnect(&mut self) -> Result<(), git2::Error> {
        *self.remote = self.repository.remote_anonymous(self.location.url())?;
        self.login.again();
        self.spent = false;
        Ok(())
    }

    /// The depth for a tip alone, where the transport allows that.
    fn shallow(&self) -> i32 {
        i32::from(self.location.transport != Transport::File)
    }

    /// The depth for all history: git's own word for undoing a shallow fetch.
    fn whole(&self) -> i32 {
        match self.location.transport {
            Transport::File => 0,
            Transport::Http | Transport::Ssh => i32::MAX,
        }
    }
}

/// Says that nothing is known behind what is kept: the next fetch then tells the host only of the tips, in one request.
fn tips_only(repository: &Repository) {
    let tips = || -> Result<String, git2::Error> {
        let mut lines = String::new();
        for reference in repository.references_glob(&format!("{KEPT}*"))? {
            let commit = reference?.peel_to_commit()?.id();
            if !lines.contains(&commit.to_string()) {
                lines = format!("{lines}{commit}\n");
            }
        }
        Ok(lines)
    };
    let (file, partial) = (
        repository.path().join("shallow"),
        repository.path().join("shallow.partial"),
    );
    let written = tips().map_err(std::io::Error::other).and_then(|lines| {
        std::fs::write(&partial, lines).and_then(|()| std::fs::rename(&partial, &file))
    });
    if let Err(error) = written {
        // The next fetch only says more than it needs to.
        tracing::debug!(%error, "can't note the tips");
    }
}

/// Where a reference of the host is kept.
fn kept(name: &str) -> String {
    format!("{KEPT}{}", name.trim_start_matches("refs/"))
}

impl Resolved {
    fn target(&self) -> Oid {
        match self {
            Self::Reference { target, .. } | Self::Commit(target) => *target,
        }
    }
}

fn has(repository: &Repository, oid: Oid) -> bool {
    repository.odb().is_ok_and(|odb| odb.exists(oid))
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
        commit: commit.id(),
        tree: commit.tree_id(),
        about: Commit {
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
        },
    })
}
