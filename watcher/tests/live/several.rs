//! Applications of several sources, and what renders ask for beside them.

use std::sync::atomic::Ordering;

use bus::message::desired::{Cause, Present};
use bus::message::need::Need;
use bus::message::render::{Input, Render, RenderOutcome};
use bus::{Digest, Generation};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::charts::Charts;
use super::*;

pub(super) const VALUES: &str = "web/values.yaml";

pub(super) fn need(charts: &Charts, name: &str) -> Need {
    Need::Chart {
        repository: charts.url(),
        name: name.to_owned(),
        version: "1.x".to_owned(),
    }
}

pub(super) fn present(desired: &Desired) -> &Present {
    match &desired.state {
        DesiredState::Present(present) => present,
        DesiredState::Deleted(_) => panic!("deleted"),
    }
}

pub(super) async fn create(world: &World, charts: &Charts) {
    let app = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "web"},
        "spec": {
            "project": "default",
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "web"},
            "sources": [
                {
                    "repoURL": charts.url(), "chart": "web", "targetRevision": "1.x",
                    "helm": {"valueFiles": ["$values/web/values.yaml"]},
                },
                {"repoURL": world.git.url(), "ref": "values", "targetRevision": "main"},
            ],
        },
    });
    world
        .apps()
        .create(
            &PostParams::default(),
            &serde_json::from_value(app).unwrap(),
        )
        .await
        .unwrap();
}

/// What the renderer would say of a generation that read the chart's file and the values.
pub(super) async fn record(
    world: &World,
    generation: Generation,
    values: &str,
    needs: &[Need],
    outcome: RenderOutcome,
) {
    let chart = "apiVersion: v2\nname: web\nversion: 1.0.0\n";
    let input = |source, path: &str, text: &str| Input {
        source,
        path: path.to_owned(),
        object: Some(blob(text).to_string()),
    };
    let render = Render {
        app: app_id("web"),
        cluster: here(),
        generation,
        parameters: Digest::of(b""),
        inputs: vec![input(0, "Chart.yaml", chart), input(1, VALUES, values)],
        values: Vec::new(),
        needs: needs.to_vec(),
        outcome,
        past: Vec::new(),
    };
    world.has_rendered(&render).await;
}

pub(super) fn rendered() -> RenderOutcome {
    RenderOutcome::Rendered {
        digest: Digest::of(b""),
        count: 1,
        size: 1,
        source_types: Vec::new(),
        conditions: Vec::new(),
    }
}

pub(super) async fn refresh(world: &World) {
    let annotation = json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}});
    world
        .apps()
        .patch("web", &PatchParams::default(), &Patch::Merge(annotation))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn a_chart_with_values_from_git_is_one_desired_state_and_gets_what_its_render_asks_for() {
    let mut world = World::start().await;
    let mut charts = Charts::serve().await;
    charts.publish("web", "1.0.0");
    charts.publish("db", "1.2.0");
    let values_at = world.git.commit(&[(VALUES, "1")]);
    create(&world, &charts).await;

    // Both sources, at their revisions, in one generation.
    let first = world.present("web", |_, _| true).await;
    let [chart, values] = present(&first).sources.as_slice() else {
        panic!("not two sources")
    };
    assert_eq!(
        (&*chart.revision, &*values.revision),
        ("1.0.0", &*values_at)
    );
    for source in [chart, values] {
        let packs = &source.snapshot.packs;
        let objects = world.bus.objects(&subject::Store::Snapshots);
        assert!(objects.get(&packs[0], 1 << 20).await.unwrap().is_some());
    }

    // The render asks for a chart: it comes with the next generation.
    let db = need(&charts, "db");
    let waits = RenderOutcome::Incomplete;
    record(
        &world,
        first.generation,
        "1",
        std::slice::from_ref(&db),
        waits,
    )
    .await;
    let given = world
        .present("web", |_, it| !it.dependencies.is_empty())
        .await;
    let of = present(&given);
    assert_eq!(of.trigger.cause, Cause::Dependency);
    assert_eq!(of.trigger.noticed, present(&first).trigger.noticed);
    assert_eq!(
        (&of.dependencies[0].need, &*of.dependencies[0].revision),
        (&db, "1.2.0")
    );
    assert_eq!(of.sources, present(&first).sources);
    record(
        &world,
        given.generation,
        "1",
        std::slice::from_ref(&db),
        rendered(),
    )
    .await;

    // A commit that isn't read changes nothing, one that is does; the chart and the dependency aren't fetched again.
    let downloads = charts.downloads.load(Ordering::SeqCst);
    let unread = world.git.commit(&[("README", "1")]);
    assert_eq!(world.push().await, 200);
    world.verified(&unread).await;
    let current = world.desired("web").await.unwrap();
    assert_eq!(current.generation, given.generation);
    let read = world.git.commit(&[(VALUES, "2")]);
    assert_eq!(world.push().await, 200);
    let newer = world
        .present("web", |it, _| it.generation > given.generation)
        .await;
    let of = present(&newer);
    assert_eq!(of.trigger.cause, Cause::Webhook);
    assert_eq!(of.sources[1].revision, read);
    assert_eq!(of.dependencies, present(&given).dependencies);
    assert_eq!(charts.downloads.load(Ordering::SeqCst), downloads);
    let state = world
        .state("web", |state| state.generation == Some(newer.generation))
        .await;
    let revisions = state.sources.iter().map(|it| it.revision.as_deref());
    assert_eq!(revisions.collect::<Vec<_>>(), [Some("1.0.0"), Some(&*read)]);
    assert_eq!(state.conditions, []);

    // A need that nobody has is said by name; what else changes is published with what is had.
    let gone = need(&charts, "gone");
    let needs = [db.clone(), gone];
    let waits = RenderOutcome::Incomplete;
    record(&world, newer.generation, "2", &needs, waits).await;
    let state = world
        .state("web", |state| !state.conditions.is_empty())
        .await;
    let message = &state.conditions[0].message;
    assert!(message.contains("dependency gone 1.x of"), "{message}");
    let current = world.desired("web").await.unwrap();
    assert_eq!(current.generation, newer.generation);
    world.git.commit(&[(VALUES, "3")]);
    assert_eq!(world.push().await, 200);
    let repaired = world
        .present("web", |it, _| it.generation > newer.generation)
        .await;
    let of = present(&repaired);
    assert_eq!(of.dependencies, present(&given).dependencies);
    let needs = [db.clone()];
    record(&world, repaired.generation, "3", &needs, rendered()).await;
    world
        .state("web", |state| state.conditions.is_empty())
        .await;

    // A new version in the range is a new revision of the first source.
    charts.publish("web", "1.1.0");
    refresh(&world).await;
    let upgraded = world
        .present("web", |it, _| it.generation > repaired.generation)
        .await;
    assert_eq!(present(&upgraded).sources[0].revision, "1.1.0");
    record(&world, upgraded.generation, "3", &[db], rendered()).await;

    // The chart's host is gone: commits go on with what is known of it.
    charts.stop().await;
    let last = world.git.commit(&[(VALUES, "4")]);
    assert_eq!(world.push().await, 200);
    let on = world
        .present("web", |it, _| it.generation > upgraded.generation)
        .await;
    assert_eq!(present(&on).sources[1].revision, last);
    assert_eq!(present(&on).sources[0], present(&upgraded).sources[0]);
    assert_eq!(present(&on).dependencies, present(&upgraded).dependencies);
    let db = present(&on).dependencies[0].need.clone();
    record(&world, on.generation, "4", &[db], rendered()).await;

    // So do they for another watcher, which never heard of that host but from the bus.
    world.restart().await;
    world
        .state("web", |state| {
            let mut said = state.conditions.iter();
            said.any(|it| it.message.contains("spec.sources[0]"))
        })
        .await;
    let current = world.desired("web").await.unwrap();
    assert_eq!(current.generation, on.generation);
    let last = world.git.commit(&[(VALUES, "5")]);
    eventually("the webhooks' secret to be read", || async {
        (world.push().await == 200).then_some(())
    })
    .await;
    let restarted = world
        .present("web", |it, _| it.generation > on.generation)
        .await;
    let of = present(&restarted);
    assert_eq!(of.sources[1].revision, last);
    assert_eq!(of.sources[0], present(&on).sources[0]);
    assert_eq!(of.dependencies, present(&on).dependencies);
}
