//! An application of several sources and a dependency, when the watcher or the broker begins anew.

use bus::message::render::RenderOutcome;

use super::charts::Charts;
use super::several::{VALUES, create, need, present, record, refresh, rendered};
use super::*;

impl World {
    /// A broker that has lost everything.
    pub(super) async fn wipe(&mut self) {
        let nats = self.stack.nats.as_mut().unwrap();
        nats.kill().await;
        nats.wipe().unwrap();
        nats.start_again().await.unwrap();
        eventually("the streams", || async {
            bus::stream::provision(&self.bus, &[here()]).await.ok()
        })
        .await;
    }

    /// Every pack of it can be read.
    async fn is_stored(&self, desired: &Desired) {
        let present = present(desired);
        let sources = present.sources.iter().map(|it| &it.snapshot);
        let dependencies = present.dependencies.iter().map(|it| &it.snapshot);
        let objects = self.bus.objects(&subject::Store::Snapshots);
        for pack in sources.chain(dependencies).flat_map(|it| &it.packs) {
            assert!(objects.get(pack, 1 << 20).await.unwrap().is_some());
        }
    }
}

/// What is the same of two generations of the same things: where everything is, but not in which packs.
fn places(desired: &Desired) -> Vec<(String, String)> {
    let present = present(desired);
    let sources = present.sources.iter();
    let sources = sources.map(|it| (it.revision.clone(), it.tree.clone()));
    let dependencies = present.dependencies.iter();
    let dependencies = dependencies.map(|it| (it.revision.clone(), it.tree.clone()));
    sources.chain(dependencies).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_and_dependencies_survive_a_restart_and_the_loss_of_the_broker() {
    let mut world = World::start().await;
    let mut charts = Charts::serve().await;
    charts.publish("web", "1.0.0");
    charts.publish("db", "1.2.0");
    world.git.commit(&[(VALUES, "1")]);
    create(&world, &charts).await;
    let first = world.present("web", |_, _| true).await;
    let needs = [need(&charts, "db")];
    let waits = || RenderOutcome::Incomplete;
    record(&world, first.generation, "1", &needs, waits()).await;
    let given = world
        .present("web", |_, it| !it.dependencies.is_empty())
        .await;
    record(&world, given.generation, "1", &needs, rendered()).await;
    world.is_stored(&given).await;

    // A new watcher, and what it finds on the bus: nothing is published, though everything was looked at.
    let unread = world.git.commit(&[("README", "1")]);
    world.restart().await;
    world.verified(&unread).await;
    refresh(&world).await;
    world.state("web", |it| it.refreshed.is_some()).await;
    let current = world.desired("web").await.unwrap();
    assert_eq!(current.generation, given.generation);

    // A new broker: the same again, and all that it is made from.
    world.wipe().await;
    let rebuilt = world
        .present("web", |it, _| it.generation > given.generation)
        .await;
    let chart_and_dependency = |desired: &Desired| {
        let mut places = places(desired);
        places.remove(1);
        places
    };
    assert_eq!(chart_and_dependency(&rebuilt), chart_and_dependency(&given));
    assert_eq!(present(&rebuilt).sources[1].revision, unread);
    world.is_stored(&rebuilt).await;
    record(&world, rebuilt.generation, "1", &needs, rendered()).await;

    // Both are new: what its render needs is found out anew.
    world.watcher.process.kill().await.unwrap();
    world.wipe().await;
    world.restart().await;
    let begun = world
        .present("web", |it, _| it.generation > rebuilt.generation)
        .await;
    assert_eq!(places(&begun), places(&rebuilt)[..2]);
    record(&world, begun.generation, "1", &needs, waits()).await;
    let again = world
        .present("web", |_, it| !it.dependencies.is_empty())
        .await;
    assert!(again.generation > begun.generation);
    assert_eq!(places(&again), places(&rebuilt));
    world.is_stored(&again).await;
}
