//! One application from its creation to its deletion, beside another that stays as it is: commits, refreshes, what the applier
//! and a cluster say, a destination that no cluster has, a broker that lost everything.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_becomes_desired_state_for_whom_it_affects_and_a_deletion_is_carried_out() {
    let mut world = World::start().await;
    world
        .git
        .commit(&[("web/a.yaml", "1"), ("shop/a.yaml", "1")]);
    unknown_fields_survive_in_the_api_server(&world).await;

    // Both are published, from one copy of the repository.
    world.create("web", true).await;
    world.create("shop", false).await;
    let web = world.present("web", |_, _| true).await;
    let shop = world.present("shop", |_, _| true).await;
    let DesiredState::Present(present) = &web.state else {
        unreachable!()
    };
    let source = &present.sources[0];
    let stored = world
        .bus
        .objects(&subject::Store::Snapshots)
        .get(&source.snapshot.packs[0], 1 << 20)
        .await
        .unwrap();
    assert!(stored.is_some());
    world.rendered("web", web.generation, blob("1")).await;
    world.rendered("shop", shop.generation, blob("1")).await;

    // A commit that one of them read, and a webhook.
    let commit = world.git.commit(&[("web/a.yaml", "2")]);
    let before = world.git.requests();
    let pushed = Instant::now();
    assert_eq!(world.push().await, 200);
    let newer = world
        .present("web", |_, present| present.sources[0].revision == commit)
        .await;
    assert!(newer.generation > web.generation);
    println!(
        "webhook → desired state: {:?}, {} requests",
        pushed.elapsed(),
        world.git.requests() - before
    );
    let DesiredState::Present(present) = &newer.state else {
        unreachable!()
    };
    assert_eq!(present.sources[0].revision, commit);
    assert_eq!(present.sources[0].snapshot.packs.len(), 2);
    world.verified(&commit).await;
    assert_eq!(
        world.desired("shop").await.unwrap().generation,
        shop.generation
    );
    world.rendered("web", newer.generation, blob("2")).await;

    // A commit that nobody read.
    let commit = world.git.commit(&[("README", "hello")]);
    assert_eq!(world.push().await, 200);
    world.verified(&commit).await;
    assert_eq!(
        world.desired("web").await.unwrap().generation,
        newer.generation
    );

    refreshes(&world, newer.generation).await;
    let newest = capabilities(&world, refused(&world).await).await;
    left_by_an_earlier_watcher(&world).await;
    moved_to_nowhere(&world).await;
    broker_wiped(&mut world, newest).await;
    deleted(&world).await;
}

async fn unknown_fields_survive_in_the_api_server(world: &World) {
    let mut value = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "odd"},
        "spec": {
            "project": "default", "destination": {"server": "https://kubernetes.default.svc", "turbo": 1},
            "source": {"repoURL": world.git.url(), "path": "nope", "helm": {"valuesObject": {"a": {"b": [1, "x"]}}, "new": {"x": "y"}}},
            "later": {"deep": [{"er": true}]},
        },
        "topLevel": {"kept": "too"},
    });
    let app: Application = serde_json::from_value(value.clone()).unwrap();
    let made = world
        .apps()
        .create(&PostParams::default(), &app)
        .await
        .unwrap();
    let made = serde_json::to_value(made).unwrap();
    value.as_object_mut().unwrap().remove("metadata");
    for (key, expected) in value.as_object().unwrap() {
        assert_eq!(&made[key], expected, "{key}");
    }
    let state = world
        .state("odd", |state| !state.conditions.is_empty())
        .await;
    assert_eq!(state.conditions[0].kind, ConditionType::UnknownFieldWarning);
    world
        .apps()
        .delete("odd", &DeleteParams::default())
        .await
        .unwrap();
}

async fn refreshes(world: &World, generation: Generation) {
    let annotate = |kind: &'static str| {
        Patch::Merge(json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": kind}}}))
    };
    let params = PatchParams::default();
    let asked = world
        .apps()
        .patch("web", &params, &annotate("normal"))
        .await
        .unwrap();
    let version = asked.metadata.resource_version.unwrap();
    let done = world.state("web", |state| state.refreshed.is_some()).await;
    assert!(done.refreshed.unwrap().resource_version >= version);
    assert_eq!(world.desired("web").await.unwrap().generation, generation);
    world
        .apps()
        .patch("web", &params, &annotate("hard"))
        .await
        .unwrap();
    world
        .present("web", |it, present| {
            it.generation > generation && present.trigger.hard
        })
        .await;
}

/// The applier refuses a generation: a newer one comes, above the head.
async fn refused(world: &World) -> Generation {
    let web = world.desired("web").await.unwrap();
    let head = Generation(web.generation.0 + 1_000_000_000);
    let about = bus::message::cluster::Head {
        app: app_id("web"),
        cluster: here(),
        generation: head,
    };
    let key = subject::application(&here(), &app_id("web"));
    world.bus.put(Bucket::Heads, &key, &about).await.unwrap();
    // The event may be read before the bucket: so it holds the head itself, as the applier's does.
    let event = Event::new(&app_id("web"), &here(), EventKind::DesiredRefused, "older")
        .generation(web.generation)
        .detail("head", head.to_string());
    world.bus.event(&event).await;
    let newer = world.present("web", |it, _| it.generation > head).await;
    newer.generation
}

/// A cluster that offers something else than the last render used, though nobody saw it change.
async fn capabilities(world: &World, newest: Generation) -> Generation {
    let used = PseudoInput::Capabilities(Digest::of(b"what it offered then"));
    world
        .rendered_with("web", newest, blob("2"), vec![used])
        .await;
    let info = ClusterInfo {
        cluster: here(),
        kube_version: "v1.37.2".to_owned(),
        kinds: Vec::new(),
    };
    world
        .bus
        .put(Bucket::Clusters, here().as_str(), &info)
        .await
        .unwrap();
    let again = world.present("web", |it, _| it.generation > newest).await;
    let used = PseudoInput::Capabilities(info.digest());
    world
        .rendered_with("web", again.generation, blob("2"), vec![used])
        .await;
    again.generation
}

/// Of an application whose cluster was not known then, and of one that is deleted and was never published.
const LEFT: [&str; 2] = ["shop", "ghost"];

pub(super) async fn leave_states(bus: &Bus) {
    for name in LEFT {
        let state = WatcherState {
            app: app_id(name),
            uid: "then".to_owned(),
            cluster: None,
            project: "default".to_owned(),
            generation: None,
            sources: Vec::new(),
            conditions: Vec::new(),
            refreshed: None,
            deleting: false,
        };
        let key = subject::state("watcher", None, &state.app);
        bus.put(Bucket::State, &key, &state).await.unwrap();
    }
}

async fn left_by_an_earlier_watcher(world: &World) {
    for name in LEFT {
        let key = subject::state("watcher", None, &app_id(name));
        eventually("a state that no longer counts to go", || async {
            let left = world.bus.get::<WatcherState>(Bucket::State, &key).await;
            left.unwrap().is_none().then_some(())
        })
        .await;
    }
}

/// A destination that no cluster has: a condition, and nothing is deleted.
async fn moved_to_nowhere(world: &World) {
    let server = |server: &str| Patch::Merge(json!({"spec": {"destination": {"server": server}}}));
    let params = PatchParams::default();
    world
        .apps()
        .patch("shop", &params, &server("https://nowhere"))
        .await
        .unwrap();
    let state = world
        .state("shop", |state| !state.conditions.is_empty())
        .await;
    assert_eq!(state.conditions[0].kind, ConditionType::InvalidSpecError);
    assert!(matches!(
        world.desired("shop").await.unwrap().state,
        DesiredState::Present(_)
    ));
    world
        .apps()
        .patch("shop", &params, &server("https://kubernetes.default.svc"))
        .await
        .unwrap();
    world
        .state("shop", |state| state.conditions.is_empty())
        .await;
}

/// Everything comes back, with generations above those that were there.
async fn broker_wiped(world: &mut World, newest: Generation) {
    world.wipe().await;
    let web = world.present("web", |it, _| it.generation > newest).await;
    let DesiredState::Present(present) = &web.state else {
        unreachable!()
    };
    let packs = &present.sources[0].snapshot.packs;
    assert_eq!(packs.len(), 1, "a full pack, since the store is empty");
    let objects = world.bus.objects(&subject::Store::Snapshots);
    assert!(objects.get(&packs[0], 1 << 20).await.unwrap().is_some());
    world.present("shop", |_, _| true).await;
    world.state("web", |_| true).await;
    eventually("the project", || async {
        let project = world
            .bus
            .get::<bus::message::project::Project>(Bucket::Projects, "default")
            .await;
        project.unwrap()
    })
    .await;
}

async fn deleted(world: &World) {
    // With the finalizer: its objects go along, and the subject is purged once the applier reports.
    let web = world.apps().get("web").await.unwrap().metadata.uid.unwrap();
    world
        .apps()
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    let gone = |name: &'static str, cascade: Cascade| async move {
        eventually("a deletion", || async {
            match world.desired(name).await?.state {
                DesiredState::Deleted(deleted) if deleted.cascade == cascade => Some(deleted.uid),
                _ => None,
            }
        })
        .await
    };
    assert_eq!(gone("web", Cascade::Foreground).await, web);
    world.state("web", |state| state.deleting).await;
    let generation = world.desired("web").await.unwrap().generation;
    let kind = EventKind::ApplicationDeleted;
    let report = Event::new(&app_id("web"), &here(), kind, "gone").generation(generation);
    world.bus.event(&report.detail("uid", web)).await;
    eventually("the purge", || async {
        world.desired("web").await.is_none().then_some(())
    })
    .await;

    // Without it: they are left alone.
    world
        .apps()
        .delete("shop", &DeleteParams::default())
        .await
        .unwrap();
    gone("shop", Cascade::None).await;
}
