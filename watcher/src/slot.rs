//! What an application is made from, one by one: a remote, whose login, which target revision. First its sources in the order of
//! the specification, then what its render asked for beside them. Pure.

use std::fmt;
use std::sync::Arc;

use bus::Digest;
use bus::message::need::Need;
use sha2::{Digest as _, Sha256};

use crate::source::Remote;
use crate::source::access::Access;

/// One remote with one login: what has a worker and a bare repository of its own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoKey {
    identity: Arc<str>,
    login: [u8; 16],
}

impl RepoKey {
    pub fn of(remote: &Remote, access: &Access) -> Self {
        // Credentials may also be a part of the URL.
        let userinfo = remote.location().userinfo().unwrap_or_default();
        let mut login = access.fingerprint();
        if !userinfo.is_empty() {
            let mut digest = Sha256::new();
            digest.update(login);
            digest.update(userinfo);
            login.copy_from_slice(&digest.finalize()[..16]);
        }
        Self {
            identity: remote.identity().into(),
            login,
        }
    }

    /// The name of its folder.
    pub fn folder(&self) -> String {
        let mut bytes = self.identity.as_bytes().to_vec();
        bytes.extend(self.login);
        Digest::of(&bytes).as_str()[..32].to_owned()
    }
}

impl fmt::Debug for RepoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity)
    }
}

/// A target revision of a remote.
#[derive(Clone, Debug)]
pub struct Slot {
    pub key: RepoKey,
    pub remote: Remote,
    pub access: Arc<Access>,
    pub target: Arc<str>,
}

impl Slot {
    pub fn new(remote: Remote, access: Access, target: &str) -> Self {
        Self {
            key: RepoKey::of(&remote, &access),
            remote,
            access: Arc::new(access),
            target: target.into(),
        }
    }
}

/// A source of the specification.
#[derive(Clone, Debug)]
pub struct Source {
    /// As the specification writes it.
    pub repo_url: Arc<str>,
    /// What is rendered of it; none if others only refer to it.
    pub folder: Option<Arc<str>>,
    pub slot: Slot,
}

/// What a render asked for.
#[derive(Clone, Debug)]
pub struct Needed {
    pub need: Need,
    /// Where it is had from, or why that can't be said.
    pub slot: Result<Slot, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_the_url_tell_two_logins_apart() {
        let key = |url: &str| {
            let remote = Remote::chart(url, "web", false).unwrap();
            RepoKey::of(&remote, &Access::default())
        };
        assert_ne!(key("https://u:p@h/a"), key("https://h/a"));
        assert_eq!(key("https://h/a"), key("https://h/a/"));
    }
}
