//! What nothing names any more leaves the object stores, on a real NATS.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use bus::message::cluster::ClusterInfo;
use bus::message::desired::{
    Cause, Deleted, Desired, DesiredState, Present, Rendering, ResolvedSource, Snapshot, Tracking,
    Trigger,
};
use bus::message::manifests::{Manifests, Payload};
use bus::message::need::{Dependency, Need};
use bus::message::render::Render;
use bus::subject::{self, Bucket, Store, Stream};
use bus::{AppId, Bus, ClusterId, ConnectArgs, Digest, Generation};
use deploy::{NatsConfig, Stack, StackOptions};
use serde_json::json;
use watcher::collect::{self, CollectError, Collected};

const LIMIT: usize = 1024;

struct World {
    _stack: Stack,
    bus: Bus,
}

impl World {
    async fn start() -> Self {
        let stack = Stack::start(&StackOptions {
            nats: Some(NatsConfig::default()),
            ..StackOptions::default()
        })
        .await
        .unwrap();
        let connect = ConnectArgs {
            url: stack.nats.as_ref().unwrap().url(),
            seed: None,
            ca: None,
        };
        let bus = Bus::connect(&connect, "test").await.unwrap();
        bus::stream::provision(&bus, &[here()]).await.unwrap();
        let info: ClusterInfo = serde_json::from_value(json!({
            "cluster": here(), "kubeVersion": "v1.37.2", "kinds": [],
        }))
        .unwrap();
        bus.put(Bucket::Clusters, here().as_str(), &info)
            .await
            .unwrap();
        Self { _stack: stack, bus }
    }

    async fn stored(&self, store: &Store, bytes: &'static [u8]) -> Digest {
        let digest = Digest::of(bytes);
        let objects = self.bus.objects(store);
        objects.put(&digest, bytes.into()).await.unwrap();
        digest
    }

    async fn is_there(&self, store: &Store, digest: &Digest) -> bool {
        let objects = self.bus.objects(store);
        objects.get(digest, LIMIT).await.unwrap().is_some()
    }

    async fn desired(&self, generation: u64, state: DesiredState) {
        let subject = subject::desired(&here(), &app());
        let desired = Desired {
            app: app(),
            cluster: here(),
            generation: Generation(generation),
            state,
        };
        self.bus
            .publish_generation(Stream::Desired, &subject, &desired)
            .await
            .unwrap();
    }

    async fn manifests(&self, generation: u64, digest: &Digest) {
        let subject = subject::manifests(&here(), &app());
        let manifests = Manifests {
            app: app(),
            cluster: here(),
            generation: Generation(generation),
            digest: digest.clone(),
            payload: Payload::Object { size: 1 },
            count: 1,
            source_types: Vec::new(),
            conditions: Vec::new(),
            started: 0,
            rendered: 0,
        };
        self.bus
            .publish_generation(Stream::Manifests, &subject, &manifests)
            .await
            .unwrap();
    }
}

fn here() -> ClusterId {
    ClusterId::in_cluster()
}

fn app() -> AppId {
    AppId::new("argocd", "dome").unwrap()
}

fn present(source: &Digest, dependency: &Digest) -> DesiredState {
    let snapshot = |digest: &Digest| Snapshot {
        packs: vec![digest.clone()],
    };
    DesiredState::Present(Arc::new(Present {
        uid: "u".to_owned(),
        spec: serde_json::from_value(json!({"destination": {}, "project": "default"})).unwrap(),
        annotations: [].into(),
        server: None,
        cluster_name: None,
        sources: vec![ResolvedSource {
            repo_url: "https://git.example/deploy".to_owned(),
            target_revision: "main".to_owned(),
            revision: "1".repeat(40),
            tree: "2".repeat(40),
            snapshot: snapshot(source),
            commit: None,
        }],
        dependencies: vec![Dependency {
            need: Need::File {
                url: "https://example.org/values.yaml".to_owned(),
            },
            revision: "1".to_owned(),
            tree: "3".repeat(40),
            snapshot: snapshot(dependency),
        }],
        rendering: Rendering::default(),
        tracking: Tracking {
            method: api::TrackingMethod::Annotation,
            label_key: "app.kubernetes.io/instance".to_owned(),
            instance: "dome".to_owned(),
        },
        assess_applications: false,
        had: Vec::new(),
        trigger: Trigger {
            cause: Cause::Poll,
            hard: false,
            noticed: 0,
            fetched: 0,
            published: 0,
        },
    }))
}

#[tokio::test]
async fn manifests_that_an_application_may_go_back_to_are_kept() {
    let world = World::start().await;
    let store = Store::Manifests(here());
    let earlier = world.stored(&store, b"earlier").await;
    let record: Render = serde_json::from_value(json!({
        "app": app(), "cluster": here(), "generation": 2, "parameters": earlier, "inputs": [],
        "outcome": "incomplete",
        "past": [{"parameters": earlier, "digest": earlier, "count": 1, "size": 7, "sourceTypes": []}],
    }))
    .unwrap();
    let key = subject::application(&here(), &app());
    world
        .bus
        .put_generation(Bucket::Renders, &key, &record)
        .await
        .unwrap();
    let collected = collect::round(&world.bus, Duration::ZERO).await.unwrap();
    assert_eq!(collected, Collected::default());
    assert!(world.is_there(&store, &earlier).await);
}

#[tokio::test]
async fn only_what_nothing_names_and_nobody_touched_lately_is_taken_out() {
    let world = World::start().await;
    let (snapshots, manifests) = (Store::Snapshots, Store::Manifests(here()));
    let source = world.stored(&snapshots, b"source").await;
    let dependency = world.stored(&snapshots, b"dependency").await;
    let yesterday = world.stored(&snapshots, b"yesterday").await;
    let live = world.stored(&manifests, b"live").await;
    let old = world.stored(&manifests, b"old").await;
    world.desired(1, present(&source, &dependency)).await;
    world.manifests(1, &live).await;

    let lately = collect::round(&world.bus, Duration::from_hours(24)).await;
    assert_eq!(lately.unwrap(), Collected::default());
    assert!(world.is_there(&snapshots, &yesterday).await);

    let collected = collect::round(&world.bus, Duration::ZERO).await.unwrap();
    let bytes = b"yesterday".len() + b"old".len();
    let expected = Collected {
        objects: 2,
        bytes,
        orphans: 0,
    };
    assert_eq!(collected, expected);
    for (store, digest, stays) in [
        (&snapshots, &source, true),
        (&snapshots, &dependency, true),
        (&snapshots, &yesterday, false),
        (&manifests, &live, true),
        (&manifests, &old, false),
    ] {
        assert_eq!(world.is_there(store, digest).await, stays);
    }

    let gone = DesiredState::Deleted(Deleted::new(
        "u",
        bus::message::desired::Cascade::Background,
    ));
    world.desired(2, gone).await;
    let collected = collect::round(&world.bus, Duration::ZERO).await.unwrap();
    assert_eq!(collected.objects, 2);
    assert!(world.is_there(&manifests, &live).await);
}

#[tokio::test]
async fn while_a_message_cannot_be_read_nothing_is_taken_out() {
    let world = World::start().await;
    let unused = world.stored(&Store::Snapshots, b"unused").await;
    // A body of another kind, where a desired state belongs.
    let info: ClusterInfo = serde_json::from_value(json!({
        "cluster": here(), "kubeVersion": "v1.37.2", "kinds": [],
    }))
    .unwrap();
    let subject = subject::desired(&here(), &app());
    let published = world.bus.publish(Stream::Desired, &subject, &info, None);
    published.await.unwrap();

    let error = collect::round(&world.bus, Duration::ZERO)
        .await
        .unwrap_err();
    assert!(matches!(error, CollectError::Unreadable { .. }), "{error}");
    assert!(world.is_there(&Store::Snapshots, &unused).await);
}
