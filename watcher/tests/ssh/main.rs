//! Fetching private repositories over ssh, from a host that this test plays, as the Secrets and settings say.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod host;

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use api::settings::Labelled;
use git2::{Oid, Repository, Signature};
use host::{ECDSA, ED25519, Host, key};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use serde_json::json;
use tempfile::TempDir;
use watcher::settings::Environment;
use watcher::source::access::Vouched;
use watcher::source::error::FetchError;
use watcher::source::home::Home;
use watcher::source::known_hosts::KnownHosts;
use watcher::source::location::{FilePolicy, Location};
use watcher::source::{Limits, Revision, Revisions, git};

/// libgit2's, for all tests of this process.
static HOME: LazyLock<Home> = LazyLock::new(|| {
    let home = Home::at(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("ssh-home")).unwrap();
    home.prefer(&KnownHosts::default()).unwrap();
    home
});

/// A private repository, its host, and the watcher's copy of it.
struct World {
    origin: Repository,
    host: Host,
    /// What the host shows.
    host_key: PrivateKey,
    /// Whom the host lets in.
    login: PrivateKey,
    copy: Repository,
    _folders: [TempDir; 2],
}

impl World {
    fn new() -> Self {
        Self::with(key(ED25519), key(ED25519))
    }

    fn with(host_key: PrivateKey, login: PrivateKey) -> Self {
        let host = Host::start(&[&host_key], &login);
        Self::of(host, host_key, login)
    }

    fn of(host: Host, host_key: PrivateKey, login: PrivateKey) -> Self {
        // Nothing that whoever runs the tests has in ~/.ssh counts.
        LazyLock::force(&HOME);
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).initial_head("main");
        Self {
            origin: Repository::init_opts(folders[0].path(), &options).unwrap(),
            host,
            host_key,
            login,
            copy: git::open(&folders[1].path().join("copy")).unwrap(),
            _folders: folders,
        }
    }

    /// Commits one file on top of a branch.
    fn commit(&self, branch: &str, content: &str) -> Oid {
        let reference = format!("refs/heads/{branch}");
        let parent = self
            .origin
            .find_reference(&reference)
            .ok()
            .map(|it| it.peel_to_commit().unwrap());
        let mut tree = self.origin.treebuilder(None).unwrap();
        let blob = self.origin.blob(content.as_bytes()).unwrap();
        tree.insert("a.yaml", blob, 0o100_644).unwrap();
        let tree = self.origin.find_tree(tree.write().unwrap()).unwrap();
        let who = Signature::now("Ada", "ada@example.org").unwrap();
        let parents: Vec<_> = parent.iter().collect();
        self.origin
            .commit(Some(&reference), &who, &who, content, &tree, &parents)
            .unwrap()
    }

    /// Its name in `known_hosts`.
    fn host_name(&self) -> String {
        format!("[127.0.0.1]:{}", self.host.port())
    }

    fn url(&self) -> String {
        format!(
            "ssh://git@127.0.0.1:{}{}",
            self.host.port(),
            self.origin.path().display()
        )
    }

    /// What `argocd-ssh-known-hosts-cm` says when all is right.
    fn vouched(&self) -> String {
        vouch(&self.host_name(), &self.host_key)
    }

    /// What a `repository` Secret says when all is right.
    fn secret(&self) -> Vec<(&'static str, String)> {
        vec![("sshPrivateKey", openssh(&self.login))]
    }

    fn fetch(&self, targets: &[&str]) -> Revisions {
        self.try_fetch(&self.url(), &self.secret(), &self.vouched(), targets)
            .unwrap()
    }

    fn error(&self, secret: &[(&str, String)], known_hosts: &str) -> FetchError {
        let error = self
            .try_fetch(&self.url(), secret, known_hosts, &["main"])
            .unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("PRIVATE KEY"),
            "{error:?}"
        );
        error
    }

    fn try_fetch(
        &self,
        url: &str,
        secret: &[(&str, String)],
        known_hosts: &str,
        targets: &[&str],
    ) -> Result<Revisions, FetchError> {
        let environment = Environment {
            secrets: [("s".to_owned(), repository(url, secret))].into(),
            vouched: Vouched {
                known_hosts: Arc::new(KnownHosts::parse(known_hosts)),
                ..Vouched::default()
            },
            ..Environment::default()
        };
        let location = location(url);
        let targets: Vec<Arc<str>> = targets.iter().map(|target| (*target).into()).collect();
        let limits = Limits {
            deadline: Instant::now() + Duration::from_mins(1),
            bytes: 1 << 30,
        };
        let access = environment.access(url, "default");
        git::fetch(&self.copy, &location, &access, &targets, limits)
    }

    fn content(&self, revision: &Revision) -> String {
        let tree = self.copy.find_tree(revision.tree).unwrap();
        let blob = tree.get_name("a.yaml").unwrap().id();
        String::from_utf8(self.copy.find_blob(blob).unwrap().content().to_vec()).unwrap()
    }
}

fn location(url: &str) -> Location {
    let files = FilePolicy {
        allowed: false,
        cache: Path::new("/never/there"),
    };
    Location::parse(url, files).unwrap()
}

fn repository(url: &str, fields: &[(&str, String)]) -> Labelled {
    let mut secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "s", "labels": {"argocd.argoproj.io/secret-type": "repository"}},
    }))
    .unwrap();
    let url = ("url", url.to_owned());
    secret.data = Some(
        fields
            .iter()
            .chain([&url])
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.clone().into_bytes())))
            .collect(),
    );
    api::settings::read_secret(&secret).unwrap().unwrap()
}

fn openssh(key: &PrivateKey) -> String {
    key.to_openssh(LineEnding::LF).unwrap().to_string()
}

/// A line of `known_hosts`.
fn vouch(host: &str, key: &PrivateKey) -> String {
    format!("{host} {}\n", key.public_key().to_openssh().unwrap())
}

#[test]
fn a_private_repository_is_fetched_with_the_key_of_its_secret() {
    for (host_key, login) in [(ED25519, ED25519), (ECDSA, ECDSA), (ED25519, ECDSA)] {
        let world = World::with(key(host_key), key(login));
        let commit = world.commit("main", "1");
        let found = world.fetch(&["", "main"]);
        let revision = found["main"].as_ref().unwrap();
        assert_eq!(revision.commit().unwrap(), commit);
        assert_eq!(world.content(revision), "1");
    }
}

#[test]
fn only_the_newest_commit_is_fetched() {
    let world = World::new();
    let first = world.commit("main", "1");
    let second = world.commit("main", "2");
    let found = world.fetch(&["main"]);
    assert_eq!(found["main"].as_ref().unwrap().commit().unwrap(), second);
    assert!(world.copy.find_commit(first).is_err());
}

#[test]
fn later_commits_are_fetched_into_the_same_copy() {
    let world = World::new();
    for content in ["1", "2", "3"] {
        let commit = world.commit("main", content);
        let found = world.fetch(&["main"]);
        let revision = found["main"].as_ref().unwrap();
        assert_eq!(
            (revision.commit().unwrap(), world.content(revision)),
            (commit, content.to_owned())
        );
        // Nothing new is no error.
        assert_eq!(
            world.fetch(&["main"])["main"]
                .as_ref()
                .unwrap()
                .commit()
                .unwrap(),
            commit
        );
    }
}

#[test]
fn branches_and_commits_of_the_history_are_fetched_together() {
    let world = World::new();
    let first = world.commit("main", "1");
    let second = world.commit("main", "2");
    world.commit("main", "3");
    let dev = world.commit("dev", "4");
    let (first_id, second_id) = (first.to_string(), second.to_string());
    let found = world.fetch(&["main", "dev", &first_id, &second_id]);
    let commit = |target: &str| found[target].as_ref().unwrap().commit().unwrap();
    assert_eq!(
        [commit(&first_id), commit(&second_id), commit("dev")],
        [first, second, dev]
    );
}

#[test]
fn the_users_name_is_the_urls_or_git_and_not_the_secrets() {
    let world = World::new();
    let commit = world.commit("main", "1");
    let mut secret = world.secret();
    secret.push(("username", "somebody".to_owned()));
    for url in [world.url(), world.url().replace("git@", "")] {
        let found = world
            .try_fetch(&url, &secret, &world.vouched(), &["main"])
            .unwrap();
        assert_eq!(
            found["main"].as_ref().unwrap().commit().unwrap(),
            commit,
            "{url}"
        );
    }
}

#[test]
fn an_unknown_host_is_refused_and_the_error_says_how_to_vouch_for_it() {
    let world = World::new();
    world.commit("main", "1");
    let error = world.error(&world.secret(), &vouch("[127.0.0.1]:1", &world.host_key));
    assert!(matches!(error, FetchError::HostKey { .. }), "{error:?}");
    let fingerprint = world.host_key.fingerprint(russh::keys::HashAlg::Sha256);
    for part in [
        &world.host_name(),
        "no host key is known",
        "ssh-ed25519",
        &fingerprint.to_string(),
        "argocd-ssh-known-hosts-cm",
    ] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[test]
fn a_changed_host_key_is_refused_and_the_error_warns() {
    let world = World::new();
    world.commit("main", "1");
    let error = world.error(&world.secret(), &vouch(&world.host_name(), &key(ED25519)));
    assert!(matches!(error, FetchError::HostKey { .. }), "{error:?}");
    for part in [
        &world.host_name(),
        "another host key",
        "argocd-ssh-known-hosts-cm",
    ] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[test]
fn a_key_of_the_same_name_at_another_port_does_not_replace_the_ports_own() {
    let world = World::new();
    let commit = world.commit("main", "1");
    let general = vouch("127.0.0.1", &world.host_key);
    let found = world
        .try_fetch(&world.url(), &world.secret(), &general, &["main"])
        .unwrap();
    assert_eq!(found["main"].as_ref().unwrap().commit().unwrap(), commit);
    let both = general + &vouch(&world.host_name(), &key(ED25519));
    let error = world.error(&world.secret(), &both);
    assert!(matches!(error, FetchError::HostKey { .. }), "{error:?}");
}

#[test]
fn a_host_with_several_keys_is_asked_for_one_that_is_known() {
    let (liked, known) = (key(ED25519), key(ECDSA));
    let login = key(ED25519);
    let host = Host::start(&[&liked, &known], &login);
    let world = World::of(host, known, login);
    let commit = world.commit("main", "1");
    let error = world.error(&world.secret(), &world.vouched());
    assert!(
        error.to_string().contains("only keys of other kinds"),
        "{error}"
    );
    HOME.prefer(&KnownHosts::parse(&world.vouched())).unwrap();
    let found = world.fetch(&["main"]);
    assert_eq!(found["main"].as_ref().unwrap().commit().unwrap(), commit);
}

#[test]
fn an_insecure_repository_is_fetched_from_any_host() {
    let world = World::new();
    let commit = world.commit("main", "1");
    let mut secret = world.secret();
    secret.push(("insecure", "true".to_owned()));
    for known_hosts in [String::new(), vouch(&world.host_name(), &key(ED25519))] {
        let found = world
            .try_fetch(&world.url(), &secret, &known_hosts, &["main"])
            .unwrap();
        assert_eq!(found["main"].as_ref().unwrap().commit().unwrap(), commit);
    }
}

#[test]
fn a_key_that_the_host_does_not_know_is_refused() {
    let world = World::new();
    world.commit("main", "1");
    let error = world.error(
        &[("sshPrivateKey", openssh(&key(ED25519)))],
        &world.vouched(),
    );
    assert!(matches!(error, FetchError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("refuses the ssh key"), "{error}");
}

#[test]
fn a_repository_without_a_key_says_so() {
    let world = World::new();
    world.commit("main", "1");
    let error = world.error(&[("password", "canary".to_owned())], &world.vouched());
    assert!(matches!(error, FetchError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("sshPrivateKey"), "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
}

#[test]
fn a_key_that_cannot_be_read_says_so() {
    let world = World::new();
    world.commit("main", "1");
    let locked = world.login.encrypt(&mut rand::rng(), "passphrase").unwrap();
    for text in ["not a key".to_owned(), openssh(&locked), String::new()] {
        let error = world.error(&[("sshPrivateKey", text)], &world.vouched());
        assert!(matches!(error, FetchError::Denied { .. }), "{error:?}");
        assert!(error.to_string().contains("sshPrivateKey"), "{error}");
    }
}

#[test]
fn a_key_is_taken_as_people_paste_it() {
    let world = World::new();
    let commit = world.commit("main", "1");
    let key = openssh(&world.login);
    for pasted in [
        key.trim_end().to_owned(),
        format!("\n{key}\n\n"),
        key.replace('\n', "\r\n"),
    ] {
        let secret = [("sshPrivateKey", pasted)];
        let found = world
            .try_fetch(&world.url(), &secret, &world.vouched(), &["main"])
            .unwrap();
        assert_eq!(found["main"].as_ref().unwrap().commit().unwrap(), commit);
    }
}

#[test]
fn a_repository_that_is_not_there_is_not_found() {
    let world = World::new();
    let url = format!("ssh://git@127.0.0.1:{}/not/there.git", world.host.port());
    let error = world
        .try_fetch(&url, &world.secret(), &world.vouched(), &["main"])
        .unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error:?}");
}
