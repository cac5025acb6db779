//! What can't be had as it is specified: the application stays as it is, and a condition says why.

use super::*;

impl World {
    /// The first condition of an application.
    async fn condition(&self, name: &str, kind: ConditionType) -> String {
        let found = |state: &WatcherState| {
            let mut conditions = state.conditions.iter();
            conditions
                .find(|condition| condition.kind == kind)
                .map(|condition| condition.message.clone())
        };
        let state = self.state(name, |state| found(state).is_some()).await;
        found(&state).unwrap()
    }

    async fn retarget(&self, name: &str, target: &str) {
        let patch = Patch::Merge(json!({"spec": {"source": {"targetRevision": target}}}));
        let params = PatchParams::default();
        self.apps().patch(name, &params, &patch).await.unwrap();
    }
}

fn link(world: &World, target: &str) {
    let entry = ("web/host", target, git2::FileMode::Link);
    world.git.commit_entries(&[entry]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_with_a_link_out_of_the_repository_holds_its_application_up_and_no_other() {
    let world = World::start().await;
    world
        .git
        .commit(&[("web/a.yaml", "1"), ("shop/a.yaml", "1")]);
    world.create("web", false).await;
    world.create("shop", false).await;
    let web = world.present("web", |_, _| true).await;
    let shop = world.present("shop", |_, _| true).await;
    world.rendered("web", web.generation, blob("1")).await;
    world.rendered("shop", shop.generation, blob("1")).await;

    // Nothing reads the link.
    link(&world, "../../etc/passwd");
    let bad = world.git.commit(&[("web/a.yaml", "2")]);
    assert_eq!(world.push().await, 200);
    let message = world.condition("web", ConditionType::ComparisonError).await;
    assert!(
        message.contains("web/host is a link to \"../../etc/passwd\", out of the repository"),
        "{message}"
    );
    assert_eq!(
        world.desired("web").await.unwrap().generation,
        web.generation
    );
    world.verified(&bad).await;
    let next = world.git.commit(&[("shop/a.yaml", "2")]);
    assert_eq!(world.push().await, 200);
    world
        .present("shop", |_, present| present.sources[0].revision == next)
        .await;

    link(&world, "../web/a.yaml");
    let good = world.git.commit(&[("README", "better")]);
    assert_eq!(world.push().await, 200);
    world
        .present("web", |_, present| present.sources[0].revision == good)
        .await;
    world
        .state("web", |state| state.conditions.is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_revision_of_an_odd_form_is_named_and_nothing_else_is_taken_for_it() {
    let world = World::start().await;
    world.git.commit(&[("web/a.yaml", "1")]);
    world.create("web", false).await;
    let web = world.present("web", |_, _| true).await;
    for odd in [
        "a:main", "main:", "main~1", "main^{}", "-main", "main web", "../main",
    ] {
        world.retarget("web", odd).await;
        let told = format!("there is no branch, tag or commit {odd:?}");
        eventually(odd, || async {
            let state = world.state("web", |_| true).await;
            let mut conditions = state.conditions.iter();
            conditions.find(|it| it.message.contains(&told)).map(drop)
        })
        .await;
        assert_eq!(
            world.desired("web").await.unwrap().generation,
            web.generation,
            "{odd}"
        );
    }
    world.retarget("web", "refs/heads/main").await;
    world
        .state("web", |state| state.conditions.is_empty())
        .await;
}
