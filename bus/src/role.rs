//! Who may do what at the broker: one NKey user per service, with the rows of the contract's table and no more.
//!
//! Reading a prefix of a stream goes through an ephemeral consumer whose filter is part of the subject that creates it, so
//! that the server itself limits what is read; see [`crate::Watch`].

use std::fmt::Write as _;

use crate::connect::inbox_prefix;
use crate::identity::ClusterId;
use crate::message::event::EventKind;
use crate::subject::{self, Bucket, Store, Stream};

/// A user of the broker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Creates streams and consumers; carries no messages. Used by `towline up` and the chart, not by a service.
    Provisioner,
    Watcher,
    Renderer,
    SecretsAgent(ClusterId),
    Applier(ClusterId),
    Monitor,
    /// A person or program that follows events.
    Operator,
}

/// What a user may publish and subscribe to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    pub publish: Vec<String>,
    pub subscribe: Vec<String>,
    /// Whether the user may answer a request that it got.
    pub responses: bool,
}

/// A user, by its public NKey.
#[derive(Clone, Debug)]
pub struct User {
    pub role: Role,
    pub public_key: String,
}

impl Role {
    /// Every role that a Towline of `clusters` needs.
    pub fn all(clusters: &[ClusterId]) -> Vec<Self> {
        let shared = [
            Self::Provisioner,
            Self::Watcher,
            Self::Renderer,
            Self::Monitor,
            Self::Operator,
        ];
        let per_cluster = clusters.iter().flat_map(|cluster| {
            [
                Self::SecretsAgent(cluster.clone()),
                Self::Applier(cluster.clone()),
            ]
        });
        shared.into_iter().chain(per_cluster).collect()
    }

    /// The name of the user's key file, and of the user in comments.
    pub fn name(&self) -> String {
        match self {
            Self::Provisioner => "provisioner".to_owned(),
            Self::Watcher => "watcher".to_owned(),
            Self::Renderer => "renderer".to_owned(),
            Self::SecretsAgent(cluster) => format!("secrets-agent-{cluster}"),
            Self::Applier(cluster) => format!("applier-{cluster}"),
            Self::Monitor => "monitor".to_owned(),
            Self::Operator => "operator".to_owned(),
        }
    }

    /// The role's rights in a Towline of `clusters`, for the user with this public key.
    pub fn permissions(&self, clusters: &[ClusterId], public_key: &str) -> Permissions {
        let mut rights = Permissions {
            subscribe: vec![format!("{}.>", inbox_prefix(Some(public_key), ""))],
            ..Permissions::default()
        };
        match self {
            Self::Provisioner => rights.provision(),
            Self::Watcher => rights.watcher(clusters),
            Self::Renderer => rights.renderer(clusters),
            Self::SecretsAgent(cluster) => rights.secrets_agent(cluster),
            Self::Applier(cluster) => rights.applier(cluster),
            Self::Monitor => rights.monitor(),
            Self::Operator => rights.watch(Stream::Events.name(), &subject::events(None)),
        }
        rights.publish.sort();
        rights.publish.dedup();
        rights
    }
}

/// The streams that must exist before `service` can work.
pub(crate) fn streams_of(service: &str) -> Vec<String> {
    let streams: &[Stream] = match service {
        "watcher" => &[Stream::Desired, Stream::Commands, Stream::Events],
        "renderer" => &[Stream::Desired, Stream::Manifests, Stream::Events],
        "secrets-agent" => &[Stream::Desired, Stream::Events],
        "applier" => &[
            Stream::Desired,
            Stream::Manifests,
            Stream::Commands,
            Stream::Events,
        ],
        "monitor" => &[Stream::Commands, Stream::Events, Stream::Dead],
        _ => &[],
    };
    let buckets: &[Bucket] = match service {
        "watcher" => &Bucket::ALL,
        "renderer" => &[Bucket::State, Bucket::Renders, Bucket::Clusters],
        "secrets-agent" => &[Bucket::State, Bucket::Projects],
        "applier" => &[
            Bucket::State,
            Bucket::Heads,
            Bucket::Clusters,
            Bucket::Projects,
            Bucket::Settings,
            Bucket::Predecessors,
        ],
        "monitor" => &[Bucket::State, Bucket::Verified],
        _ => &[],
    };
    let streams = streams.iter().map(|stream| stream.name().to_owned());
    streams
        .chain(buckets.iter().map(|bucket| bucket.stream()))
        .collect()
}

impl Permissions {
    fn provision(&mut self) {
        for right in [
            "STREAM.CREATE.*",
            "STREAM.INFO.*",
            "CONSUMER.CREATE.>",
            "CONSUMER.INFO.*.*",
        ] {
            self.api(right);
        }
    }

    fn watcher(&mut self, clusters: &[ClusterId]) {
        self.state_stream(Stream::Desired, &Stream::Desired.pattern());
        self.publish.push(Stream::Desired.pattern());
        self.api(&format!("STREAM.PURGE.{}", Stream::Desired.name()));
        self.work(Stream::Commands, subject::WATCHER_COMMANDS);
        self.events("watcher", "*");
        for kind in [
            EventKind::DesiredRefused,
            EventKind::ManifestsMissing,
            EventKind::SnapshotMissing,
            EventKind::ApplicationDeleted,
        ] {
            self.watch(Stream::Events.name(), &subject::events_of(kind));
        }
        self.write(Bucket::State, "watcher.>");
        self.read(Bucket::State, "watcher.>");
        self.read(Bucket::State, "applier.>");
        self.write(Bucket::Verified, "*");
        self.read(Bucket::Verified, ">");
        self.write(Bucket::Projects, "*");
        self.write(Bucket::Settings, "*");
        self.write(Bucket::Predecessors, ">");
        for bucket in [
            Bucket::Projects,
            Bucket::Settings,
            Bucket::Predecessors,
            Bucket::Heads,
            Bucket::Renders,
            Bucket::Clusters,
        ] {
            self.read(bucket, ">");
        }
        self.objects(&Store::Snapshots);
        self.write_objects(&Store::Snapshots);
        // It alone takes out what nobody needs any more, and so reads which manifests are needed.
        self.watch(Stream::Manifests.name(), &Stream::Manifests.pattern());
        for cluster in clusters {
            let store = Store::Manifests(cluster.clone());
            self.objects(&store);
            self.api(&format!("STREAM.PURGE.{}", store.stream()));
        }
    }

    fn renderer(&mut self, clusters: &[ClusterId]) {
        self.work(Stream::Desired, subject::RENDERER);
        self.last(Stream::Desired.name(), &Stream::Desired.pattern());
        self.publish.push(Stream::Manifests.pattern());
        self.last(Stream::Manifests.name(), &Stream::Manifests.pattern());
        self.info(Stream::Manifests.name());
        self.events("renderer", "*");
        self.write(Bucket::Renders, ">");
        self.read(Bucket::Renders, ">");
        self.read(Bucket::Clusters, ">");
        self.write(Bucket::State, "renderer.>");
        self.read(Bucket::State, "renderer.>");
        self.objects(&Store::Snapshots);
        for cluster in clusters {
            let store = Store::Manifests(cluster.clone());
            self.objects(&store);
            self.write_objects(&store);
        }
    }

    fn applier(&mut self, cluster: &ClusterId) {
        self.state_stream(Stream::Desired, &subject::desired_of(cluster));
        self.state_stream(Stream::Manifests, &subject::manifests_of(cluster));
        self.work(Stream::Commands, &subject::applier_commands(cluster));
        self.events("applier", cluster.as_str());
        self.write(Bucket::Heads, &format!("{cluster}.>"));
        self.read(Bucket::Heads, &format!("{cluster}.>"));
        self.write(Bucket::Clusters, cluster.as_str());
        self.read(Bucket::Clusters, cluster.as_str());
        self.write(Bucket::State, &format!("applier.{cluster}.>"));
        self.read(Bucket::State, &format!("applier.{cluster}.>"));
        // Which versions its secrets have.
        self.read(Bucket::State, &subject::versions_of(cluster));
        self.read(Bucket::Projects, ">");
        self.read(Bucket::Settings, ">");
        // How the applications of other clusters are is not an applier's business; what its own wait for is.
        self.read(Bucket::Predecessors, &format!("{cluster}.>"));
        self.objects(&Store::Manifests(cluster.clone()));
        self.publish.push(subject::resolve(cluster));
        self.subscribe.push(subject::diff(cluster));
        self.subscribe.push(subject::check(cluster));
        self.subscribe.push(subject::tree(cluster));
        self.responses = true;
    }

    fn secrets_agent(&mut self, cluster: &ClusterId) {
        self.subscribe.push(subject::resolve(cluster));
        self.responses = true;
        self.state_stream(Stream::Desired, &subject::desired_of(cluster));
        self.events("secrets-agent", cluster.as_str());
        self.write(Bucket::State, &format!("secrets-agent.{cluster}.>"));
        self.read(Bucket::State, &format!("secrets-agent.{cluster}.>"));
        self.read(Bucket::Projects, ">");
    }

    fn monitor(&mut self) {
        self.publish.push(Stream::Commands.pattern());
        self.publish.push(subject::diffs());
        self.publish.push(subject::checks());
        self.publish.push(subject::trees());
        self.info(Stream::Commands.name());
        self.watch(Stream::Events.name(), &subject::events(None));
        self.watch(Stream::Dead.name(), &Stream::Dead.pattern());
        self.events("monitor", "*");
        self.read(Bucket::State, ">");
        // It removes the keys of an application that is gone.
        self.write(Bucket::State, ">");
        self.read(Bucket::Verified, ">");
    }

    /// Read a prefix of a last-per-subject stream.
    fn state_stream(&mut self, stream: Stream, filter: &str) {
        self.watch(stream.name(), filter);
        self.last(stream.name(), filter);
    }

    fn watch(&mut self, stream: &str, filter: &str) {
        self.info(stream);
        self.api(&format!("CONSUMER.CREATE.{stream}.*.{filter}"));
        self.confirm(stream);
    }

    /// Confirm what came so far, by which the server knows how much more to send.
    fn confirm(&mut self, stream: &str) {
        self.publish.push(format!("$JS.FC.{stream}.>"));
    }

    fn last(&mut self, stream: &str, filter: &str) {
        self.api(&format!("DIRECT.GET.{stream}.{filter}"));
    }

    fn info(&mut self, stream: &str) {
        self.api(&format!("STREAM.INFO.{stream}"));
    }

    fn work(&mut self, stream: Stream, durable: &str) {
        let stream_name = stream.name();
        self.info(stream_name);
        self.api(&format!("CONSUMER.INFO.{stream_name}.{durable}"));
        self.api(&format!("CONSUMER.MSG.NEXT.{stream_name}.{durable}"));
        self.publish
            .push(format!("$JS.ACK.{stream_name}.{durable}.>"));
        self.publish.push(subject::dead(stream));
    }

    fn events(&mut self, publisher: &str, cluster: &str) {
        let own = EventKind::ALL
            .iter()
            .filter(|kind| kind.publisher() == publisher);
        self.publish
            .extend(own.map(|kind| subject::events_in(cluster, *kind)));
        self.info(Stream::Events.name());
    }

    fn read(&mut self, bucket: Bucket, keys: &str) {
        self.watch(&bucket.stream(), &bucket.subject(keys));
        self.last(&bucket.stream(), &bucket.subject(keys));
    }

    fn write(&mut self, bucket: Bucket, keys: &str) {
        self.info(&bucket.stream());
        self.publish.push(bucket.subject(keys));
    }

    /// Read objects. A store is not divided: its reader reads all of it.
    fn objects(&mut self, store: &Store) {
        let (stream, name) = (store.stream(), store.name());
        self.info(&stream);
        self.last(&stream, &format!("$O.{name}.M.*"));
        self.api(&format!("CONSUMER.CREATE.{stream}"));
        self.api(&format!("CONSUMER.CREATE.{stream}.>"));
        self.api(&format!("CONSUMER.DELETE.{stream}.*"));
        self.confirm(&stream);
    }

    fn write_objects(&mut self, store: &Store) {
        let name = store.name();
        self.publish.push(format!("$O.{name}.C.*"));
        self.publish.push(format!("$O.{name}.M.*"));
        self.api(&format!("STREAM.PURGE.{}", store.stream()));
    }

    fn api(&mut self, right: &str) {
        self.publish.push(format!("$JS.API.{right}"));
    }
}

/// The part of a nats-server configuration that gives each user its rights: one account, with `JetStream`.
pub fn server_config(users: &[User], clusters: &[ClusterId]) -> String {
    let mut text = String::from("accounts {\n  TOWLINE {\n    jetstream: enabled\n    users: [\n");
    for user in users {
        let rights = user.role.permissions(clusters, &user.public_key);
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "      # {}\n      {{\n        nkey: {}\n        permissions: {{\n          publish: {{ allow: {} }}\n          \
             subscribe: {{ allow: {} }}{}\n        }}\n      }}",
            user.role.name(),
            user.public_key,
            list(&rights.publish),
            list(&rights.subscribe),
            if rights.responses {
                "\n          allow_responses: true"
            } else {
                ""
            },
        );
    }
    text.push_str("    ]\n  }\n}\n");
    text
}

fn list(subjects: &[String]) -> String {
    let quoted: Vec<String> = subjects
        .iter()
        .map(|subject| format!("\"{subject}\""))
        .collect();
    format!(
        "[\n            {}\n          ]",
        quoted.join("\n            ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters() -> Vec<ClusterId> {
        vec![ClusterId::in_cluster(), ClusterId::new("edge").unwrap()]
    }

    #[test]
    fn nobody_but_the_provisioner_may_create_any_consumer_or_stream() {
        for role in Role::all(&clusters())
            .into_iter()
            .filter(|role| *role != Role::Provisioner)
        {
            for right in role.permissions(&clusters(), "UKEY").publish {
                assert!(
                    !right.starts_with("$JS.API.STREAM.CREATE"),
                    "{role:?} {right}"
                );
                assert!(
                    right != "$JS.API.>" && right != "$JS.>" && right != ">",
                    "{role:?} {right}"
                );
                assert!(right != "$JS.API.CONSUMER.CREATE.>", "{role:?} {right}");
            }
        }
    }

    #[test]
    fn an_applier_names_its_own_cluster_wherever_a_cluster_is_named() {
        let rights =
            Role::Applier(ClusterId::new("edge").unwrap()).permissions(&clusters(), "UKEY");
        for right in &rights.publish {
            assert!(!right.contains("in-cluster"), "{right}");
        }
        assert!(
            rights
                .publish
                .iter()
                .any(|right| right.contains("towline.v1.desired.edge.>"))
        );
    }

    #[test]
    fn only_appliers_ask_for_secrets_and_only_agents_hear_them() {
        for role in Role::all(&clusters()) {
            let rights = role.permissions(&clusters(), "UKEY");
            let asks = rights
                .publish
                .iter()
                .any(|right| right.contains(".secret.") && right.ends_with("resolve"));
            let hears = rights
                .subscribe
                .iter()
                .any(|right| right.contains(".secret."));
            assert_eq!(asks, matches!(role, Role::Applier(_)), "{role:?}");
            assert_eq!(hears, matches!(role, Role::SecretsAgent(_)), "{role:?}");
        }
    }
}
