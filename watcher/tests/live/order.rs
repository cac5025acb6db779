//! `towline.dev/depends-on`: what releases wait for, as appliers are told it. The appliers are played by the test.

use bus::message::predecessors::Predecessors;
use bus::message::state::{ApplierState, Health, HealthStatus, SyncStatus};

use super::*;

fn applied(name: &str, generation: Generation, health: HealthStatus) -> ApplierState {
    ApplierState {
        app: app_id(name),
        cluster: here(),
        uid: String::new(),
        generation,
        sync: SyncStatus::Synced,
        revisions: Vec::new(),
        health: Health {
            status: health,
            message: String::new(),
            since: 0,
        },
        resources: Vec::new(),
        conditions: Vec::new(),
        operation: None,
        history: Vec::new(),
        pin: None,
        images: Vec::new(),
        observe: false,
        deleted: None,
    }
}

impl World {
    async fn depends(&self, name: &str, on: Option<&str>) {
        let patch = json!({"metadata": {"annotations": {"towline.dev/depends-on": on}}});
        self.apps()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    async fn waits(&self, name: &str, is: impl Fn(&Predecessors) -> bool) -> Predecessors {
        let key = subject::application(&here(), &app_id(name));
        eventually(&format!("what {name} waits for"), || async {
            let row = self
                .bus
                .get::<Predecessors>(Bucket::Predecessors, &key)
                .await
                .unwrap()?;
            is(&row.value).then_some(row.value)
        })
        .await
    }

    async fn shows(&self, state: &ApplierState) {
        let key = subject::state("applier", Some(&here()), &state.app);
        self.bus.put(Bucket::State, &key, state).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applier_is_told_how_what_its_applications_wait_for_is() {
    let mut world = World::start().await;
    world.git.commit(&[("web/a.yaml", "1"), ("db/a.yaml", "1")]);
    world.create("web", false).await;
    world.depends("web", Some("argocd/db")).await;
    // One that isn't there is said, by the applier too, and nobody is stuck without a word.
    let missing = world
        .state("web", |state| !state.conditions.is_empty())
        .await;
    assert_eq!(missing.conditions[0].kind, ConditionType::DependencyError);
    assert!(
        missing.conditions[0]
            .message
            .contains("argocd/db, and there is no such Application")
    );
    let row = world.waits("web", |_| true).await;
    assert_eq!(row.on[0].says, "does not exist");
    world.create("db", false).await;
    let db = world.present("db", |_, _| true).await;
    world
        .state("web", |state| state.conditions.is_empty())
        .await;
    world
        .shows(&applied("db", db.generation, HealthStatus::Progressing))
        .await;
    let row = world
        .waits("web", |row| row.on[0].says == "is Progressing")
        .await;
    assert_eq!(
        (row.on[0].desired, row.on[0].healthy),
        (Some(db.generation), None)
    );
    world
        .shows(&applied("db", db.generation, HealthStatus::Healthy))
        .await;
    let web = world
        .present("web", |_, it| {
            it.annotations.contains_key("towline.dev/depends-on")
        })
        .await;
    let row = world
        .waits("web", |row| row.on[0].healthy == Some(db.generation))
        .await;
    assert_eq!(row.generation, web.generation);

    // One commit changes both: what is said of the new generation knows of the other's new one.
    world.rendered("web", web.generation, blob("1")).await;
    world.rendered("db", db.generation, blob("1")).await;
    world.git.commit(&[("web/a.yaml", "2"), ("db/a.yaml", "2")]);
    assert_eq!(world.push().await, 200);
    let row = world
        .waits("web", |row| row.generation > web.generation)
        .await;
    assert!(row.on[0].desired > Some(db.generation), "{row:?}");

    // A watcher that begins anew, on a broker that lost it, says it again.
    let key = subject::application(&here(), &app_id("web"));
    world.bus.delete(Bucket::Predecessors, &key).await.unwrap();
    world.restart().await;
    world
        .waits("web", |row| row.on[0].healthy == Some(db.generation))
        .await;
    world.depends("web", None).await;
    eventually("nothing to be waited for", || async {
        let row = world.bus.get::<Predecessors>(Bucket::Predecessors, &key);
        row.await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_is_a_condition_of_each_application_in_it_until_it_is_broken() {
    let world = World::start().await;
    world.git.commit(&[("a/a.yaml", "1"), ("b/a.yaml", "1")]);
    for (name, on) in [("a", "argocd/b"), ("b", "argocd/a")] {
        world.create(name, false).await;
        world.depends(name, Some(on)).await;
    }
    let circle = |state: &WatcherState| {
        state.conditions.iter().any(|it| {
            it.kind == ConditionType::DependencyError && it.message.contains("waits for itself")
        })
    };
    for name in ["a", "b"] {
        world.state(name, circle).await;
        world.waits(name, |row| row.problem.is_some()).await;
    }
    world.depends("b", Some("b")).await;
    world
        .state("b", |state| {
            let mut said = state.conditions.iter();
            said.any(|it| it.message.contains("`b`, which is not <namespace>/<name>"))
        })
        .await;
    world.depends("b", None).await;
    for name in ["a", "b"] {
        world.state(name, |state| state.conditions.is_empty()).await;
    }
    world.waits("a", |row| row.problem.is_none()).await;
}
