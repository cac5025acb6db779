//! Projects that change under their applications.

use k8s_openapi::api::core::v1::ConfigMap;

use super::*;

impl World {
    async fn project(&self, name: &str, spec: serde_json::Value) {
        let projects: Api<AppProject> = Api::namespaced(self.client.clone(), NAMESPACE);
        let patch = Patch::Apply(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": name}, "spec": spec,
        }));
        let params = PatchParams::apply("test").force();
        projects.patch(name, &params, &patch).await.unwrap();
    }

    async fn says(&self, name: &str, kind: ConditionType, message: &str) {
        let state = self
            .state(name, |state| {
                let mut said = state.conditions.iter();
                said.any(|it| it.kind == kind && it.message.contains(message))
            })
            .await;
        assert_eq!(state.conditions.len(), 1, "{:?}", state.conditions);
    }

    async fn is_fine(&self, name: &str) {
        self.state(name, |state| state.conditions.is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_changes_is_a_condition_of_its_own_applications_and_deletes_nothing() {
    let world = World::start().await;
    world
        .git
        .commit(&[("web/a.yaml", "1"), ("shop/a.yaml", "1")]);
    let team = |repos: &[&str]| {
        json!({
            "sourceRepos": repos, "destinations": [{"server": "*", "namespace": "web"}, {"server": "*", "namespace": "!kube-*"}],
        })
    };
    world.create("web", false).await;
    world.create("shop", false).await;
    let web = world.present("web", |_, _| true).await;
    let shop = world.present("shop", |_, _| true).await;
    world.rendered("web", web.generation, blob("1")).await;
    world.rendered("shop", shop.generation, blob("1")).await;
    let of = json!({"spec": {"project": "team"}});
    let params = PatchParams::default();
    let apps = world.apps();
    apps.patch("web", &params, &Patch::Merge(&of))
        .await
        .unwrap();

    // Missing, there, violated, right again: nothing is deleted, and no other application is concerned.
    let missing = "Application referencing project team which does not exist";
    world
        .says("web", ConditionType::InvalidSpecError, missing)
        .await;
    world.project("team", team(&["http://127.0.0.1**"])).await;
    world.is_fine("web").await;
    let moved = world
        .present("web", |_, present| present.spec.project() == "team")
        .await;
    world.rendered("web", moved.generation, blob("1")).await;
    let asked = world.git.requests();
    world
        .project("team", team(&["http://127.0.0.1**", "!**/repo"]))
        .await;
    let refused = "is not permitted in project 'team'";
    world
        .says("web", ConditionType::InvalidSpecError, refused)
        .await;
    world.project("team", team(&["*"])).await;
    world.is_fine("web").await;
    let projects: Api<AppProject> = Api::namespaced(world.client.clone(), NAMESPACE);
    projects
        .delete("team", &DeleteParams::default())
        .await
        .unwrap();
    world
        .says("web", ConditionType::InvalidSpecError, missing)
        .await;
    world.is_fine("shop").await;
    assert_eq!(
        world.desired("web").await.unwrap().generation,
        moved.generation
    );
    assert_eq!(
        world.desired("shop").await.unwrap().generation,
        shop.generation
    );
    // That of the other application alone keeps the repository in use.
    println!("{} requests to the host", world.git.requests() - asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_of_another_namespace_needs_the_flag_and_its_projects_permission() {
    let world = World::start_with(&["--application-namespaces", "team-a"]).await;
    world.git.commit(&[("web/a.yaml", "1")]);
    for name in ["team-a", "team-b"] {
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(world.client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        let app: Application = serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web"},
            "spec": {
                "project": "default", "destination": {"name": "in-cluster", "namespace": "web"},
                "source": {"repoURL": world.git.url(), "path": "web", "targetRevision": "main"},
            },
        }))
        .unwrap();
        let apps: Api<Application> = Api::namespaced(world.client.clone(), name);
        apps.create(&PostParams::default(), &app).await.unwrap();
    }
    let said = async |namespace: &str| {
        let id = AppId::new(namespace, "web").unwrap();
        let mut found = None;
        for cluster in [Some(here()), None] {
            let key = subject::state("watcher", cluster.as_ref(), &id);
            let state = world.bus.get::<WatcherState>(Bucket::State, &key).await;
            found = found.or(state.unwrap().map(|it| it.value));
        }
        found
    };
    eventually("the project's refusal", || async {
        let state = said("team-a").await?;
        let words =
            "application 'web' in namespace 'team-a' is not permitted to use project 'default'";
        let first = state.conditions.first()?;
        first.message.starts_with(words).then_some(())
    })
    .await;
    let mut spec = serde_json::to_value(AppProject::allow_all("default").spec).unwrap();
    spec["sourceNamespaces"] = json!(["team-*"]);
    world.project("default", spec).await;
    eventually("the application to be published", || async {
        let state = said("team-a").await?;
        state.generation
    })
    .await;
    // The project lets it in, but this watcher wasn't told to look there.
    assert!(said("team-b").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_inherits_the_rules_of_a_global_one_and_says_so_to_the_appliers() {
    let world = World::start().await;
    world.git.commit(&[("web/a.yaml", "1")]);
    world
        .project(
            "default",
            json!({"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}]}),
        )
        .await;
    world
        .project(
            "base",
            json!({"destinations": [{"server": "*", "namespace": "!web"}],
                "namespaceResourceBlacklist": [{"group": "", "kind": "ResourceQuota"}]}),
        )
        .await;
    world.create("web", false).await;
    world.present("web", |_, _| true).await;

    let settings: Api<ConfigMap> = Api::namespaced(world.client.clone(), NAMESPACE);
    let say = async |global: &str| {
        let data = json!({
            "globalProjects": global, "application.sync.impersonation.enabled": "true",
        });
        let patch = Patch::Apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": data,
        }));
        let params = PatchParams::apply("test").force();
        settings.patch("argocd-cm", &params, &patch).await.unwrap();
    };
    say("- projectName: base\n  labelSelector: {}\n").await;
    let refused = "do not match any of the allowed destinations in project 'default'";
    world
        .says("web", ConditionType::InvalidSpecError, refused)
        .await;
    eventually("the applier is told", || async {
        let project = world
            .bus
            .get::<bus::message::project::Project>(Bucket::Projects, "default")
            .await
            .unwrap()?
            .value;
        let told = project.impersonation == api::settings::Impersonation::Enforced
            && !project.spec.permits_namespace_resource("", "ResourceQuota");
        told.then_some(())
    })
    .await;

    // The global project's own change concerns who inherits from it.
    world.project("base", json!({"destinations": []})).await;
    world.is_fine("web").await;
    world
        .project(
            "base",
            json!({"destinations": [{"server": "*", "namespace": "!web"}]}),
        )
        .await;
    world
        .says("web", ConditionType::InvalidSpecError, refused)
        .await;
    say("").await;
    world.is_fine("web").await;
}
