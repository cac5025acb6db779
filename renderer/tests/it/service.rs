use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::message::condition::ConditionType;
use bus::message::desired::{
    Cause, Desired, DesiredState, Present, ResolvedSource, Snapshot, Tracking, Trigger,
};
use bus::message::event::{Event, EventKind};
use bus::message::manifests::{Manifests, Payload};
use bus::message::need::{Dependency, Need};
use bus::message::render::{Render, RenderOutcome};
use bus::message::state::RendererState;
use bus::subject::{self, Bucket, Store, Stream};
use bus::{AppId, Bus, ClusterId, ConnectArgs, Digest, Generation};
use clap::Parser;
use serde_json::json;

use crate::repository::Repository;

mod replicas;

const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    bus: Bus,
    repository: Repository,
    app: AppId,
    cluster: ClusterId,
    renderer: tokio::task::JoinHandle<anyhow::Result<()>>,
    engine: PathBuf,
    nats: deploy::Nats,
    folder: tempfile::TempDir,
    /// Whether what is published is a hard refresh.
    hard: bool,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.renderer.abort();
    }
}

fn mk_args(nats: &deploy::Nats, engine: &Path, scratch: &Path, more: &[&str]) -> renderer::Args {
    let nats_url = nats.url();
    let always: [&std::ffi::OsStr; 9] = [
        "towline-renderer".as_ref(),
        "--nats".as_ref(),
        nats_url.as_ref(),
        "--engine".as_ref(),
        engine.as_os_str(),
        "--scratch".as_ref(),
        scratch.as_os_str(),
        "--renders".as_ref(),
        "2".as_ref(),
    ];
    let more = more.iter().map(std::ffi::OsStr::new);
    renderer::Args::parse_from(always.into_iter().chain(more))
}

async fn mk_scene() -> Scene {
    mk_scene_with(&[]).await
}

/// With more arguments of the renderer.
async fn mk_scene_with(arguments: &[&str]) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let engine = deploy::locate(deploy::Component::Engine).await.unwrap();
    let nats = deploy::Nats::start(&deploy::NatsConfig::default(), folder.path())
        .await
        .unwrap();
    let connect = ConnectArgs {
        url: nats.url(),
        seed: None,
        ca: None,
    };
    let bus = Bus::connect(&connect, "test").await.unwrap();
    let cluster = ClusterId::in_cluster();
    bus::stream::provision(&bus, std::slice::from_ref(&cluster))
        .await
        .unwrap();
    Scene {
        bus,
        repository: Repository::new(),
        app: AppId::new("argocd", "dome").unwrap(),
        cluster,
        renderer: tokio::spawn(renderer::run(mk_args(
            &nats,
            &engine,
            folder.path(),
            arguments,
        ))),
        engine,
        nats,
        folder,
        hard: false,
    }
}

impl Scene {
    /// Puts the running renderer's place to another, which knows nothing.
    fn replace_renderer(&mut self) {
        self.renderer.abort();
        let args = mk_args(&self.nats, &self.engine, self.folder.path(), &[]);
        self.renderer = tokio::spawn(renderer::run(args));
    }

    /// A commit of the files, and the pack of it in the object store.
    async fn store(&self, files: &[(&str, &str)]) -> (String, String, Digest) {
        let (revision, tree) = self.repository.commit(files);
        let (digest, pack) = self.repository.pack(&tree);
        self.bus
            .objects(&Store::Snapshots)
            .put(&digest, pack.into())
            .await
            .unwrap();
        (revision, tree, digest)
    }

    /// Publishes the files as the application's desired state, with their pack.
    async fn desire(&self, generation: u64, files: &[(&str, &str)], source: serde_json::Value) {
        self.desire_with(generation, files, source, Vec::new())
            .await;
    }

    async fn desire_with(
        &self,
        generation: u64,
        files: &[(&str, &str)],
        source: serde_json::Value,
        dependencies: Vec<Dependency>,
    ) {
        let (revision, tree, pack) = self.store(files).await;
        self.publish(generation, &revision, &tree, pack, source, dependencies)
            .await;
    }

    async fn publish(
        &self,
        generation: u64,
        revision: &str,
        tree: &str,
        pack: Digest,
        source: serde_json::Value,
        dependencies: Vec<Dependency>,
    ) {
        let desired = Desired {
            app: self.app.clone(),
            cluster: self.cluster.clone(),
            generation: Generation(generation),
            state: DesiredState::Present(Arc::new(Present {
                uid: "u".to_owned(),
                spec: serde_json::from_value(
                    json!({"destination": {"namespace": "telescopes"}, "source": source}),
                )
                .unwrap(),
                annotations: std::collections::BTreeMap::default(),
                server: None,
                cluster_name: None,
                sources: vec![ResolvedSource {
                    repo_url: "r".to_owned(),
                    target_revision: "main".to_owned(),
                    revision: revision.to_owned(),
                    tree: tree.to_owned(),
                    snapshot: Snapshot { packs: vec![pack] },
                    commit: None,
                }],
                dependencies,
                rendering: bus::message::desired::Rendering::default(),
                tracking: Tracking {
                    method: serde_json::from_value(json!("annotation")).unwrap(),
                    label_key: "app.kubernetes.io/instance".to_owned(),
                    instance: "dome".to_owned(),
                },
                assess_applications: false,
                had: Vec::new(),
                trigger: Trigger {
                    cause: Cause::Webhook,
                    hard: self.hard,
                    noticed: 0,
                    fetched: 0,
                    published: 0,
                },
            })),
        };
        let subject = subject::desired(&self.cluster, &self.app);
        self.bus
            .publish_generation(Stream::Desired, &subject, &desired)
            .await
            .unwrap();
    }

    /// As if something had been read that isn't recorded, and was another then: a record, and manifests of it, that are wrong.
    async fn overlook(&self, mut record: Render, right: &Manifests) {
        let wrong = Digest::of(b"[]");
        if let RenderOutcome::Rendered { digest, size, .. } = &mut record.outcome {
            (*digest, *size) = (wrong.clone(), 2);
        }
        let key = subject::application(&self.cluster, &self.app);
        let put = self.bus.put_generation(Bucket::Renders, &key, &record);
        put.await.unwrap();
        let manifests = Manifests {
            generation: record.generation,
            digest: wrong,
            payload: Payload::Inline("[]".to_owned()),
            ..right.clone()
        };
        let subject = subject::manifests(&self.cluster, &self.app);
        let put = self
            .bus
            .publish_generation(Stream::Manifests, &subject, &manifests);
        put.await.unwrap();
    }

    /// Events of renders that weren't known to be needed.
    fn missed(&self) -> bus::Watch<Event> {
        let subject = subject::event(&self.cluster, &self.app, EventKind::RenderMissed);
        self.bus.watch_stream::<Event>(Stream::Events, &subject)
    }

    async fn manifests(&self) -> Option<Manifests> {
        let subject = subject::manifests(&self.cluster, &self.app);
        self.bus
            .last(Stream::Manifests, &subject)
            .await
            .unwrap()
            .map(|stored| stored.value)
    }

    /// The record of a generation, once it is there.
    async fn record(&self, generation: u64) -> Render {
        let key = subject::application(&self.cluster, &self.app);
        let begun = Instant::now();
        loop {
            assert!(!self.renderer.is_finished(), "the renderer ended");
            if let Some(stored) = self.bus.get::<Render>(Bucket::Renders, &key).await.unwrap()
                && stored.value.generation == Generation(generation)
            {
                return stored.value;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "no record of generation {generation}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The renderer's state of a generation: it comes after the record.
    async fn state(&self, generation: u64) -> RendererState {
        let key = subject::state("renderer", Some(&self.cluster), &self.app);
        let mut watch = self.bus.watch_bucket::<RendererState>(Bucket::State, &key);
        loop {
            let update = tokio::time::timeout(PATIENCE, watch.next())
                .await
                .expect("no state");
            if let bus::Update::Put(stored) = update
                && stored.value.generation == Generation(generation)
            {
                return stored.value;
            }
        }
    }
}

const BROKEN: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [}\n";

fn mk_config(data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: {data}}}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desired_state_becomes_manifests_and_a_record_of_what_was_read() {
    let scene = mk_scene().await;
    let source = || json!({"repoURL": "r", "path": "app"});
    let (one, two) = (mk_config("one"), mk_config("two"));

    scene.desire(1, &[("app/a.yaml", &one)], source()).await;
    let record = scene.record(1).await;
    assert_eq!(
        record
            .inputs
            .iter()
            .filter(|input| input.path == "app/a.yaml" && input.object.is_some())
            .count(),
        1
    );
    let first = scene.manifests().await.unwrap();
    let Payload::Inline(objects) = &first.payload else {
        panic!("not inline")
    };
    assert!(objects.contains("\"one\""));
    assert!(!scene.state(1).await.reused);

    // A commit elsewhere: the same manifests under the new generation, without a render.
    scene
        .desire(2, &[("app/a.yaml", &one), ("elsewhere", "x")], source())
        .await;
    assert_eq!(scene.record(2).await.inputs, record.inputs);
    let second = scene.manifests().await.unwrap();
    assert_eq!(
        (second.generation, &second.digest),
        (Generation(2), &first.digest)
    );
    assert!(scene.state(2).await.reused);

    // A broken one: the last good manifests stay.
    scene.desire(3, &[("app/a.yaml", BROKEN)], source()).await;
    let RenderOutcome::Failed(condition) = scene.record(3).await.outcome else {
        panic!("it rendered")
    };
    assert!(
        condition.message.contains("app/a.yaml:3"),
        "{}",
        condition.message
    );
    assert_eq!(scene.manifests().await.unwrap().generation, Generation(2));
    assert_eq!(scene.state(3).await.conditions.len(), 1);

    scene.desire(4, &[("app/a.yaml", &two)], source()).await;
    scene.record(4).await;
    assert_ne!(scene.manifests().await.unwrap().digest, first.digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_pack_is_asked_for_again() {
    let scene = mk_scene().await;
    let subject = subject::event(&scene.cluster, &scene.app, EventKind::SnapshotMissing);
    let mut events = scene.bus.watch_stream::<Event>(Stream::Events, &subject);
    let config = mk_config("one");
    let (revision, tree) = scene.repository.commit(&[("a.yaml", &config)]);
    let (digest, pack) = scene.repository.pack(&tree);
    let source = json!({"repoURL": "r", "path": "."});
    scene
        .publish(1, &revision, &tree, digest.clone(), source, Vec::new())
        .await;
    let told = said(&mut events).await;
    assert!(told.message.contains(digest.as_str()));
    scene
        .bus
        .objects(&Store::Snapshots)
        .put(&digest, pack.into())
        .await
        .unwrap();
    assert!(matches!(
        scene.record(1).await.outcome,
        RenderOutcome::Rendered { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_asked_for_and_then_rendered_with() {
    let scene = mk_scene().await;
    let chart = "apiVersion: v2\nname: dome\nversion: 1.0.0\ndependencies: [{name: lib, version: 1.x, repository: 'https://charts.example'}]\n";
    let files = [("dome/Chart.yaml", chart)];
    let source = || json!({"repoURL": "r", "path": "dome"});
    let need = Need::Chart {
        repository: "https://charts.example".to_owned(),
        name: "lib".to_owned(),
        version: "1.x".to_owned(),
    };
    let wanted = std::slice::from_ref(&need);

    scene.desire(1, &files, source()).await;
    let record = scene.record(1).await;
    assert_eq!(record.outcome, RenderOutcome::Incomplete);
    assert_eq!(record.needs, *wanted);
    let state = scene.state(1).await;
    assert_eq!(state.waits_for, *wanted);
    assert!(state.conditions.is_empty());
    assert!(scene.manifests().await.is_none());

    let mk_dependency = async |template: &str| {
        let own = [
            ("Chart.yaml", "apiVersion: v2\nname: lib\nversion: 1.2.0\n"),
            ("templates/a.yaml", template),
        ];
        let (_, tree, pack) = scene.store(&own).await;
        Dependency {
            need: need.clone(),
            revision: "1.2.0".to_owned(),
            tree,
            snapshot: Snapshot { packs: vec![pack] },
        }
    };
    let one = mk_dependency(&mk_config("one")).await;
    scene
        .desire_with(2, &files, source(), vec![one.clone()])
        .await;
    let record = scene.record(2).await;
    assert!(matches!(
        record.outcome,
        RenderOutcome::Rendered { count: 1, .. }
    ));
    assert_eq!(record.needs, *wanted);
    let first = scene.manifests().await.unwrap().digest;

    // The same again is proven; another tree under the same need isn't.
    let elsewhere = [("dome/Chart.yaml", chart), ("elsewhere", "x")];
    scene.desire_with(3, &elsewhere, source(), vec![one]).await;
    assert_eq!(scene.record(3).await.needs, *wanted);
    assert!(scene.state(3).await.reused);
    let two = mk_dependency(&mk_config("two")).await;
    scene.desire_with(4, &files, source(), vec![two]).await;
    scene.record(4).await;
    assert!(!scene.state(4).await.reused);
    assert_ne!(scene.manifests().await.unwrap().digest, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_takes_over_what_one_rendered_if_it_is_intact() {
    let mut scene = mk_scene().await;
    let source = || json!({"repoURL": "r", "path": "app"});
    let config = mk_config(&"x".repeat(Payload::INLINE));
    scene.desire(1, &[("app/a.yaml", &config)], source()).await;
    scene.record(1).await;
    let first = scene.manifests().await.unwrap();
    assert!(matches!(first.payload, Payload::Object { .. }));

    scene.replace_renderer();
    let elsewhere = [("app/a.yaml", config.as_str()), ("elsewhere", "x")];
    scene.desire(2, &elsewhere, source()).await;
    scene.record(2).await;
    assert!(scene.state(2).await.reused);

    let store = scene.bus.objects(&Store::Manifests(scene.cluster.clone()));
    let nats = async_nats::connect(scene.nats.url()).await.unwrap();
    let raw = async_nats::jetstream::new(nats);
    let name = Store::Manifests(scene.cluster.clone()).name();
    let raw = raw.get_object_store(name).await.unwrap();
    raw.delete(first.digest.as_str()).await.unwrap();
    let more = [("app/a.yaml", config.as_str()), ("elsewhere", "y")];
    scene.desire(3, &more, source()).await;
    scene.record(3).await;
    assert!(!scene.state(3).await.reused);
    assert_eq!(scene.manifests().await.unwrap().digest, first.digest);
    let size = config.len() * 2;
    assert!(store.get(&first.digest, size).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_is_not_rendered_by_any_replica_unless_asked_or_lost() {
    let mut scene = mk_scene().await;
    let source = || json!({"repoURL": "r", "path": "app"});
    let (one, two) = (mk_config("one"), mk_config("two"));
    let desire = async |scene: &Scene, generation, files: &[(&str, &str)]| {
        scene.desire(generation, files, source()).await;
        scene.record(generation).await;
        (
            scene.state(generation).await.reused,
            scene.manifests().await.unwrap(),
        )
    };
    let (_, first) = desire(&scene, 1, &[("app/a.yaml", &one)]).await;
    let (reused, second) = desire(&scene, 2, &[("app/a.yaml", &two), ("app/b.yaml", "")]).await;
    assert!(!reused);

    // A commit reverted, after another one elsewhere.
    scene.replace_renderer();
    let (reused, third) = desire(&scene, 3, &[("app/a.yaml", &one), ("elsewhere", "x")]).await;
    assert!(reused);
    assert_eq!(
        (third.generation, &third.digest, &third.payload),
        (Generation(3), &first.digest, &first.payload)
    );

    // And the revert reverted, after a failure.
    desire(&scene, 4, &[("app/a.yaml", BROKEN)]).await;
    assert_eq!(scene.manifests().await.unwrap().generation, Generation(3));
    let files = [("app/a.yaml", two.as_str()), ("app/b.yaml", "")];
    let (reused, fifth) = desire(&scene, 5, &files).await;
    assert!(reused);
    assert_eq!(fifth.digest, second.digest);

    // What the last render left is still there after a failure too.
    desire(&scene, 6, &[("app/a.yaml", BROKEN)]).await;
    assert!(desire(&scene, 7, &files).await.0);

    // The manifests to go back to are lost: they are rendered.
    let nats = async_nats::connect(scene.nats.url()).await.unwrap();
    let raw = async_nats::jetstream::new(nats);
    let name = Store::Manifests(scene.cluster.clone()).name();
    let raw = raw.get_object_store(name).await.unwrap();
    raw.delete(first.digest.as_str()).await.unwrap();
    let (reused, eighth) = desire(&scene, 8, &[("app/a.yaml", &one)]).await;
    assert!(!reused);
    assert_eq!(eighth.digest, first.digest);
}

/// The next event of a kind.
async fn said(events: &mut bus::Watch<Event>) -> Event {
    loop {
        let update = tokio::time::timeout(PATIENCE, events.next())
            .await
            .expect("no event");
        if let bus::Update::Put(stored) = update {
            return stored.value;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_refresh_renders_again_and_what_was_overlooked_is_told_and_repaired() {
    let mut scene = mk_scene().await;
    let source = || json!({"repoURL": "r", "path": "app"});
    let config = mk_config("one");
    let files = [("app/a.yaml", config.as_str())];
    scene.desire(1, &files, source()).await;
    let mut record = scene.record(1).await;
    let right = scene.manifests().await.unwrap();

    scene.hard = true;
    scene.desire(2, &files, source()).await;
    scene.record(2).await;
    assert!(!scene.state(2).await.reused);
    assert_eq!(scene.manifests().await.unwrap().digest, right.digest);

    record.generation = Generation(3);
    scene.overlook(record, &right).await;
    let mut missed = scene.missed();
    scene.desire(4, &files, source()).await;
    scene.record(4).await;
    assert_eq!(said(&mut missed).await.generation, Some(Generation(4)));
    assert_eq!(scene.manifests().await.unwrap().digest, right.digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_rendered_anew_in_the_background_and_what_was_overlooked_is_told() {
    let scene = mk_scene_with(&["--anew", "1"]).await;
    let source = || json!({"repoURL": "r", "path": "app"});
    let config = mk_config("one");
    let files = [("app/a.yaml", config.as_str())];
    scene.desire(1, &files, source()).await;
    let mut record = scene.record(1).await;
    let right = scene.manifests().await.unwrap();

    record.generation = Generation(2);
    scene.overlook(record, &right).await;
    let mut missed = scene.missed();
    // Taken over from the record: no render of it would notice.
    scene.desire(3, &files, source()).await;
    let event = said(&mut missed).await;
    assert_eq!(event.generation, Some(Generation(3)));
    assert!(event.message.contains("hard refresh"), "{}", event.message);
    assert_ne!(scene.manifests().await.unwrap().digest, right.digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_of_several_random_results_stays() {
    let mut scene = mk_scene().await;
    let source = || json!({"repoURL": "r", "path": "app"});
    let template = mk_config("{{ randAlphaNum 20 | quote }}");
    let chart = "apiVersion: v2\nname: dome\nversion: 1.0.0\n";
    let files = [
        ("app/Chart.yaml", chart),
        ("app/templates/a.yaml", template.as_str()),
    ];
    scene.desire(1, &files, source()).await;
    scene.record(1).await;
    let first = scene.manifests().await.unwrap();
    scene.hard = true;
    scene.desire(2, &files, source()).await;
    scene.record(2).await;
    let second = scene.manifests().await.unwrap();
    assert_eq!(second.digest, first.digest);
    assert_eq!(
        second.conditions[0].kind,
        ConditionType::NonDeterministicRender
    );
}
