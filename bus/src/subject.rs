//! Every subject, stream, bucket and consumer name of the contract; no other file spells one.
//!
//! A token holds no dot, a Kubernetes name may: `.` travels as `_`, which no Kubernetes name contains, so it can be undone.

use crate::identity::{AppId, ClusterId, Digest};
use crate::message::command::Verb;
use crate::message::event::EventKind;

/// The version of the contract, second token of each subject.
const ROOT: &str = "towline.v1";

/// A JetStream stream that holds messages (not a bucket).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    Desired,
    Manifests,
    Commands,
    Events,
    Dead,
}

impl Stream {
    pub const ALL: [Self; 5] = [
        Self::Desired,
        Self::Manifests,
        Self::Commands,
        Self::Events,
        Self::Dead,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Desired => "DESIRED",
            Self::Manifests => "MANIFESTS",
            Self::Commands => "COMMANDS",
            Self::Events => "EVENTS",
            Self::Dead => "DEAD",
        }
    }

    /// The subject pattern that the stream captures.
    pub fn pattern(self) -> String {
        match self {
            Self::Desired => format!("{ROOT}.desired.>"),
            Self::Manifests => format!("{ROOT}.manifests.>"),
            Self::Commands => format!("{ROOT}.command.>"),
            Self::Events => format!("{ROOT}.event.>"),
            Self::Dead => format!("{ROOT}.dead.>"),
        }
    }
}

/// A key-value bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// Each service's full current state per application.
    State,
    /// What each cluster's API offers.
    Clusters,
    /// The highest generation that a cluster holds per application.
    Heads,
    /// What each `AppProject` allows.
    Projects,
    /// What each application's last render read.
    Renders,
    /// Up to which commit a branch's applications were checked.
    Verified,
    /// What `argocd-cm` says about objects.
    Settings,
    /// What the releases of applications that depend on others wait for.
    Predecessors,
}

impl Bucket {
    pub const ALL: [Self; 8] = [
        Self::State,
        Self::Clusters,
        Self::Heads,
        Self::Projects,
        Self::Renders,
        Self::Verified,
        Self::Settings,
        Self::Predecessors,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Clusters => "clusters",
            Self::Heads => "heads",
            Self::Projects => "projects",
            Self::Renders => "renders",
            Self::Verified => "verified",
            Self::Settings => "settings",
            Self::Predecessors => "predecessors",
        }
    }

    /// The stream behind the bucket.
    pub fn stream(self) -> String {
        format!("KV_{}", self.name())
    }

    /// The subject that holds `key`.
    pub fn subject(self, key: &str) -> String {
        format!("$KV.{}.{key}", self.name())
    }

    /// The key that `subject` holds, if it belongs to this bucket.
    pub fn key(self, subject: &str) -> Option<&str> {
        subject
            .strip_prefix("$KV.")?
            .strip_prefix(self.name())?
            .strip_prefix('.')
    }
}

/// An object store; objects are named by their digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Store {
    Snapshots,
    Manifests(ClusterId),
}

impl Store {
    pub fn name(&self) -> String {
        match self {
            Self::Snapshots => "snapshots".to_owned(),
            Self::Manifests(cluster) => format!("manifests-{cluster}"),
        }
    }

    /// The stream behind the store.
    pub fn stream(&self) -> String {
        format!("OBJ_{}", self.name())
    }
}

/// The renderer's durable consumer of DESIRED, shared by its replicas.
pub const RENDERER: &str = "renderer";
/// The watcher's durable consumer of `refresh` commands.
pub const WATCHER_COMMANDS: &str = "watcher";

/// The durable consumer of one applier's commands.
pub fn applier_commands(cluster: &ClusterId) -> String {
    format!("applier-{cluster}")
}

pub fn desired(cluster: &ClusterId, app: &AppId) -> String {
    format!("{ROOT}.desired.{}", application(cluster, app))
}

/// All desired states of one cluster.
pub fn desired_of(cluster: &ClusterId) -> String {
    format!("{ROOT}.desired.{cluster}.>")
}

pub fn manifests(cluster: &ClusterId, app: &AppId) -> String {
    format!("{ROOT}.manifests.{}", application(cluster, app))
}

/// All manifests of one cluster.
pub fn manifests_of(cluster: &ClusterId) -> String {
    format!("{ROOT}.manifests.{cluster}.>")
}

pub fn command(cluster: &ClusterId, app: &AppId, verb: Verb) -> String {
    format!(
        "{ROOT}.command.{}.{}",
        application(cluster, app),
        verb.token()
    )
}

/// All commands of one verb, of one cluster or of every one.
pub fn commands_of(cluster: Option<&ClusterId>, verb: Verb) -> String {
    format!(
        "{ROOT}.command.{}.*.*.{}",
        cluster.map_or("*", ClusterId::as_str),
        verb.token()
    )
}

pub fn event(cluster: &ClusterId, app: &AppId, kind: EventKind) -> String {
    format!(
        "{ROOT}.event.{}.{}",
        application(cluster, app),
        kind.token()
    )
}

/// Events of one kind, over all clusters and applications.
pub fn events_of(kind: EventKind) -> String {
    events_in("*", kind)
}

/// Events of one kind, over all applications of a cluster; `*` is every cluster.
pub fn events_in(cluster: &str, kind: EventKind) -> String {
    format!("{ROOT}.event.{cluster}.*.*.{}", kind.token())
}

/// Every event of one cluster, or of all.
pub fn events(cluster: Option<&ClusterId>) -> String {
    cluster.map_or_else(
        || format!("{ROOT}.event.>"),
        |cluster| format!("{ROOT}.event.{cluster}.>"),
    )
}

/// Every event of one application.
pub fn events_of_application(cluster: &ClusterId, app: &AppId) -> String {
    format!("{ROOT}.event.{}.>", application(cluster, app))
}

/// Where a cluster's applier asks its secrets-agent.
pub fn resolve(cluster: &ClusterId) -> String {
    format!("{ROOT}.secret.{cluster}.resolve")
}

/// Where a cluster's applier is asked what a release would change.
pub fn diff(cluster: &ClusterId) -> String {
    format!("{ROOT}.diff.{cluster}")
}

/// Where the appliers of all clusters are asked.
pub fn diffs() -> String {
    format!("{ROOT}.diff.*")
}

/// Where a cluster's applier is asked which secrets an application reads.
pub fn check(cluster: &ClusterId) -> String {
    format!("{ROOT}.check.{cluster}")
}

/// Where the appliers of all clusters are asked for that.
pub fn checks() -> String {
    format!("{ROOT}.check.*")
}

/// Where a cluster's applier is asked what an application's objects own.
pub fn tree(cluster: &ClusterId) -> String {
    format!("{ROOT}.tree.{cluster}")
}

/// Where the appliers of all clusters are asked for that.
pub fn trees() -> String {
    format!("{ROOT}.tree.*")
}

pub fn dead(stream: Stream) -> String {
    format!("{ROOT}.dead.{}", stream.name())
}

/// `<cluster>.<namespace>.<name>`, the key of an application in the buckets `heads`, `renders` and `predecessors`.
pub fn application(cluster: &ClusterId, app: &AppId) -> String {
    format!(
        "{cluster}.{}.{}",
        escape(app.namespace()),
        escape(app.name())
    )
}

/// The key of one service's state of one application. An application without a known cluster has `None`.
pub fn state(service: &str, cluster: Option<&ClusterId>, app: &AppId) -> String {
    let cluster = cluster.map_or("_", ClusterId::as_str);
    format!(
        "{service}.{cluster}.{}.{}",
        escape(app.namespace()),
        escape(app.name())
    )
}

/// The keys of all states of one cluster's secrets-agent.
pub fn versions_of(cluster: &ClusterId) -> String {
    format!("secrets-agent.{cluster}.>")
}

/// The key of a branch in the bucket `verified`.
pub fn branch(repo_url: &str, target_revision: &str) -> String {
    Digest::of(format!("{repo_url}\n{target_revision}").as_bytes())
        .short()
        .to_owned()
}

/// A Kubernetes name as one token.
pub fn escape(name: &str) -> String {
    name.replace('.', "_")
}

/// The Kubernetes name that [`escape`] made into `token`.
pub fn unescape(token: &str) -> String {
    token.replace('_', ".")
}

/// The cluster and application at the end of `<prefix>.<cluster>.<namespace>.<name>`, if they are well formed.
pub fn parse_application(subject: &str) -> Option<(ClusterId, AppId)> {
    let mut tokens = subject.rsplit('.');
    let name = unescape(tokens.next()?);
    let namespace = unescape(tokens.next()?);
    let cluster = ClusterId::new(tokens.next()?).ok()?;
    Some((cluster, AppId::new(&namespace, &name).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_dots_is_one_token_and_comes_back() {
        let app = AppId::new("team.a", "shop.v1").unwrap();
        let cluster = ClusterId::new("edge").unwrap();
        let subject = desired(&cluster, &app);
        assert_eq!(subject, "towline.v1.desired.edge.team_a.shop_v1");
        assert_eq!(parse_application(&subject), Some((cluster, app)));
    }

    #[test]
    fn a_bucket_finds_its_own_keys_only() {
        assert_eq!(
            Bucket::State.key("$KV.state.applier.a.b.c"),
            Some("applier.a.b.c")
        );
        assert_eq!(Bucket::State.key("$KV.stateful.a"), None);
    }
}
