//! What an Application's status lists, for a cluster that says nothing of having it.

use bus::message::cluster::Head;
use bus::message::desired::Cause;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_told_what_the_application_had_until_it_has_it_and_again_when_it_lost_it() {
    let world = World::start().await;
    world.git.commit(&[("web/a.yaml", "1")]);
    let app = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web"},
        "spec": {
            "project": "default",
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "web"},
            "source": {"repoURL": world.git.url(), "path": "web", "targetRevision": "main"},
        },
        "status": {"resources": [
            {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "web", "name": "web"},
            {"group": "batch", "version": "v1", "kind": "Job", "namespace": "web", "name": "once", "hook": true},
        ]},
    }));
    let params = PostParams::default();
    world.apps().create(&params, &app.unwrap()).await.unwrap();
    let listed = ["apps/Deployment/web/web"];
    let first = world.present("web", |_, it| it.had == listed).await;

    let key = subject::application(&here(), &app_id("web"));
    let head = Head {
        app: app_id("web"),
        cluster: here(),
        generation: first.generation,
    };
    world.bus.put(Bucket::Heads, &key, &head).await.unwrap();
    // From the first generation on that is numbered when it is known.
    let mut newest = first;
    for number in 2..50 {
        let Present { had, .. } = present(&newest);
        if had.is_empty() {
            break;
        }
        world.git.commit(&[("web/a.yaml", &number.to_string())]);
        assert!(world.push().await.is_success());
        let before = newest.generation;
        newest = world.present("web", |it, _| it.generation > before).await;
    }
    assert!(present(&newest).had.is_empty());

    // A record that is lost.
    world.bus.delete(Bucket::Heads, &key).await.unwrap();
    let before = newest.generation;
    let again = world
        .present("web", |it, present| {
            it.generation > before && present.had == listed
        })
        .await;
    assert_eq!(present(&again).trigger.cause, Cause::Again);
}

fn present(desired: &Desired) -> &Present {
    several::present(desired)
}
