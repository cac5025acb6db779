//! Wrong input: the application says what, where and what to do; the last good state stays live, others go on, and the fix
//! is enough.

use serde_json::json;
use tests::git::Change;
use tests::manifest::{config_map, service};
use tests::{App, Scene};

/// Two applications of one repository, both good: `web`, which is about to get wrong input, and `other`.
struct Place {
    scene: Scene<'static>,
}

impl Place {
    async fn new(name: &str) -> anyhow::Result<(Self, String)> {
        let scene = Scene::new(name).await?;
        let commit = scene.repo.commit(
            "good",
            &[
                ("web/config.yaml", &config_map("settings", "value", "good")),
                ("other/config.yaml", &config_map("other", "value", "good")),
            ],
        )?;
        Ok((Self { scene }, commit))
    }

    async fn apps(&self, commit: &str) -> anyhow::Result<(App<'_>, App<'_>)> {
        let web = self.scene.app("web").strict().create().await?;
        let other = self.scene.app("other").strict().create().await?;
        web.settled(commit).await?;
        other.settled(commit).await?;
        Ok((web, other))
    }

    /// The wrong input is told of; meanwhile what is live stays, and the other application goes on.
    async fn told(
        &self,
        web: &App<'_>,
        other: &App<'_>,
        kind: &str,
        words: &[&str],
    ) -> anyhow::Result<()> {
        let message = web.condition(kind, words).await?;
        anyhow::ensure!(message.len() < 2000, "too long for a person: {message}");
        let next = self
            .scene
            .push(
                "the other goes on",
                &[("other/config.yaml", &config_map("other", "value", "next"))],
            )
            .await?;
        other.settled(&next).await?;
        let live = self.scene.live("ConfigMap", "settings").await?;
        anyhow::ensure!(
            live["data"]["value"] == "good",
            "the last good state is not live: {}",
            live["data"]
        );
        Ok(())
    }

    /// A wrong commit, told of, and a right one that mends it.
    async fn wrong_commit(
        name: &str,
        wrong: &[Change],
        kind: &str,
        words: &[&str],
    ) -> anyhow::Result<()> {
        let (place, commit) = Self::new(name).await?;
        let (web, other) = place.apps(&commit).await?;
        place.scene.push_changes("wrong", wrong).await?;
        place.told(&web, &other, kind, words).await?;
        let mut right: Vec<Change> = wrong
            .iter()
            .filter_map(|change| match change {
                Change::Write { path, .. } | Change::Link { path, .. } => {
                    Some(Change::remove(path.as_str()))
                }
                Change::Module { .. } | Change::Remove { .. } => None,
            })
            .collect();
        right.push(Change::write(
            "web/config.yaml",
            config_map("settings", "value", "mended"),
        ));
        let mended = place.scene.push_changes("right", &right).await?;
        web.settled(&mended).await?;
        web.no_condition(kind).await?;
        place.scene.config("settings", "value", "mended").await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_repository_that_cannot_be_reached() -> anyhow::Result<()> {
    let (place, commit) = Place::new("unreachable").await?;
    let (web, _) = place.apps(&commit).await?;
    // Another repository, so that the other application's stays reachable.
    let lost = place
        .scene
        .towline
        .stack()
        .git
        .create(&format!("{}-lost", place.scene.name))?;
    let mended = lost.commit(
        "good",
        &[(
            "web/config.yaml",
            &config_map("settings", "value", "mended"),
        )],
    )?;
    place.scene.towline.stack().git.set_down(&lost, true);
    web.patch(&json!({"spec": {"source": {"repoURL": lost.url()}}}))
        .await?;
    let other = App::existing(&place.scene, &format!("{}-other", place.scene.name));
    place
        .told(&web, &other, "ComparisonError", &[lost.url()])
        .await?;
    place.scene.towline.stack().git.set_down(&lost, false);
    place.scene.towline.webhook()?.push(&lost, &mended).await?;
    web.settled(&mended).await?;
    web.no_condition("ComparisonError").await?;
    Ok(())
}

#[tokio::test]
async fn a_path_that_does_not_exist() -> anyhow::Result<()> {
    let (place, commit) = Place::new("no-path").await?;
    let (web, other) = place.apps(&commit).await?;
    web.patch(&json!({"spec": {"source": {"path": "no/such/folder"}}}))
        .await?;
    place
        .told(&web, &other, "ComparisonError", &["no/such/folder"])
        .await?;
    web.patch(&json!({"spec": {"source": {"path": "web"}}}))
        .await?;
    web.no_condition("ComparisonError").await?;
    web.is("Synced", "Healthy").await?;
    Ok(())
}

#[tokio::test]
async fn a_branch_that_does_not_exist() -> anyhow::Result<()> {
    let (place, commit) = Place::new("no-branch").await?;
    let (web, other) = place.apps(&commit).await?;
    web.patch(&json!({"spec": {"source": {"targetRevision": "no-such-branch"}}}))
        .await?;
    place
        .told(
            &web,
            &other,
            "ComparisonError",
            &["no-such-branch", place.scene.repo.url()],
        )
        .await?;
    web.patch(&json!({"spec": {"source": {"targetRevision": "main"}}}))
        .await?;
    web.no_condition("ComparisonError").await?;
    web.is("Synced", "Healthy").await?;
    Ok(())
}

#[tokio::test]
async fn broken_yaml() -> anyhow::Result<()> {
    let wrong = Change::write(
        "web/broken.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [oops\n",
    );
    Place::wrong_commit(
        "broken-yaml",
        &[wrong],
        "ComparisonError",
        &["web/broken.yaml"],
    )
    .await
}

#[tokio::test]
async fn a_template_error() -> anyhow::Result<()> {
    let wrong = [
        Change::write(
            "web/Chart.yaml",
            "apiVersion: v2\nname: web\nversion: 1.0.0\n",
        ),
        Change::write(
            "web/templates/broken.yaml",
            "kind: {{ .Values.missing.deeper }}\n",
        ),
    ];
    Place::wrong_commit(
        "template",
        &wrong,
        "ComparisonError",
        &["broken.yaml", "missing"],
    )
    .await
}

#[tokio::test]
async fn a_render_over_its_time_limit() -> anyhow::Result<()> {
    let endless = "{{ range until 100000 }}{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}{{ end }}\n";
    let wrong = [
        Change::write(
            "web/Chart.yaml",
            "apiVersion: v2\nname: web\nversion: 1.0.0\n",
        ),
        Change::write("web/templates/endless.yaml", endless),
    ];
    Place::wrong_commit("endless", &wrong, "ComparisonError", &["s"]).await
}

#[tokio::test]
async fn a_symlink_out_of_the_tree() -> anyhow::Result<()> {
    let wrong = Change::link("web/evil.yaml", "../../../../etc/passwd");
    Place::wrong_commit("symlink", &[wrong], "ComparisonError", &["web/evil.yaml"]).await
}

#[tokio::test]
async fn an_unknown_kind() -> anyhow::Result<()> {
    let wrong = Change::write(
        "web/widget.yaml",
        "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: w}\n",
    );
    Place::wrong_commit(
        "unknown-kind",
        &[wrong],
        "SyncError",
        &["Widget", "example.org"],
    )
    .await
}

#[tokio::test]
async fn an_object_that_the_api_server_refuses() -> anyhow::Result<()> {
    let refused = service("front").replace("port: 80", "port: 99999");
    let wrong = Change::write("web/service.yaml", refused);
    Place::wrong_commit("refused", &[wrong], "SyncError", &["front", "99999"]).await
}

#[tokio::test]
async fn a_destination_that_the_project_forbids() -> anyhow::Result<()> {
    let (place, commit) = Place::new("destination").await?;
    let (web, other) = place.apps(&commit).await?;
    let project = place.scene.name.clone();
    place
        .scene
        .cluster
        .apply(&json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": project, "namespace": place.scene.towline.namespace()},
            "spec": {"sourceRepos": ["*"], "destinations": [{"namespace": place.scene.name, "server": "*"}]},
        }))
        .await?;
    web.patch(&json!({"spec": {"project": project, "destination": {"namespace": "kube-system"}}}))
        .await?;
    place
        .told(&web, &other, "InvalidSpecError", &["kube-system", &project])
        .await?;
    assert_eq!(
        place
            .scene
            .cluster
            .find("ConfigMap", "kube-system", "settings")
            .await?,
        None
    );
    web.patch(&json!({"spec": {"destination": {"namespace": place.scene.name}}}))
        .await?;
    web.is("Synced", "Healthy").await?;
    web.no_condition("InvalidSpecError").await?;
    Ok(())
}

#[tokio::test]
async fn an_object_outside_of_what_the_project_allows() -> anyhow::Result<()> {
    let scene = Scene::new("elsewhere").await?;
    scene
        .cluster
        .apply(&json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": scene.name, "namespace": scene.towline.namespace()},
            "spec": {"sourceRepos": ["*"], "destinations": [{"namespace": scene.name, "server": "*"}]},
        }))
        .await?;
    let stray = config_map("stray", "value", "1").replace(
        "  name: stray\n",
        "  name: stray\n  namespace: kube-system\n",
    );
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: towline-stray}\nrules: []\n";
    for (path, content, word) in [
        ("stray", stray.as_str(), "kube-system"),
        ("role", role, "ClusterRole"),
    ] {
        scene
            .push(path, &[(&format!("{path}/object.yaml"), content)])
            .await?;
        let app = scene
            .app(path)
            .automated()
            .set("/spec/project", scene.name.as_str())
            .create()
            .await?;
        app.until(
            &format!("a condition that names {word} and the project"),
            |app| {
                app["status"]["conditions"].as_array().is_some_and(|all| {
                    all.iter().any(|one| {
                        let message = one["message"].as_str().unwrap_or_default();
                        message.contains(word) && message.contains(&scene.name)
                    })
                })
            },
        )
        .await?;
    }
    assert_eq!(
        scene
            .cluster
            .find("ConfigMap", "kube-system", "stray")
            .await?,
        None
    );
    assert_eq!(
        scene
            .cluster
            .find("ClusterRole", "", "towline-stray")
            .await?,
        None
    );
    Ok(())
}
