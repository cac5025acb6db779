//! One connection to a host: which references to download, and how much behind them.

use git2::{
    AutotagOption, ErrorCode, FetchOptions, ObjectType, Oid, Remote, RemoteUpdateFlags, Repository,
};

use super::access::Login;
use super::bounds::Bounds;
use super::error::FetchError;
use super::location::{Location, Transport};
use crate::revision::{References, Resolved};

/// Where fetched commits are kept reachable, so that the next fetch can say what is there.
const KEPT: &str = "refs/towline/";
/// What a branch that gained a few commits sends at most, in bytes.
const FEW: usize = 4 << 20;

/// An abbreviation that begins the ids of several commits.
pub(super) struct Several;

/// One connection to a host.
pub(super) struct Session<'s, 'r, 'o> {
    pub(super) repository: &'r Repository,
    pub(super) location: &'s Location,
    pub(super) remote: &'s mut Remote<'r>,
    pub(super) options: &'s mut FetchOptions<'o>,
    pub(super) bounds: &'o Bounds,
    pub(super) login: &'o Login,
    /// Whether the connection has carried a pack.
    pub(super) spent: bool,
}

impl Session<'_, '_, '_> {
    pub(super) fn download(
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
                // Found before it comes here.
                Resolved::Abbreviated(_) => {}
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
            self.history(references)?;
        }
        Ok(())
    }

    /// All branches and tags with all that is behind them.
    pub(super) fn history(&mut self, references: &References) -> Result<(), git2::Error> {
        let all: Vec<String> = references
            .iter()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("refs/heads/") || name.starts_with("refs/tags/"))
            .filter(|name| !name.ends_with("^{}"))
            .map(str::to_owned)
            .collect();
        self.by_name(&all, self.whole())
    }

    /// The commit that is there and whose id begins so.
    pub(super) fn beginning(
        &self,
        digits: &str,
    ) -> Result<Option<Result<Oid, Several>>, git2::Error> {
        let found = self
            .repository
            .find_object_by_prefix(digits, Some(ObjectType::Commit));
        match found {
            Ok(commit) => Ok(Some(Ok(commit.id()))),
            Err(error) if error.code() == ErrorCode::Ambiguous => Ok(Some(Err(Several))),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
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

pub(super) fn has(repository: &Repository, oid: Oid) -> bool {
    repository.odb().is_ok_and(|odb| odb.exists(oid))
}
