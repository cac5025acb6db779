//! An application of several sources: one of them breaks, or the broker is wiped.

use serde_json::{Value, json};
use tests::app::AppBuilder;
use tests::git::Repo;
use tests::manifest::config_map;
use tests::scene::own;
use tests::wait::until;
use tests::{App, ChartRepository, Deletions, Scene};

const KINDS: &[&str] = &["ConfigMap"];

fn from_git(repo: &Repo, path: &str, target: &str) -> Value {
    json!({"repoURL": repo.url(), "path": path, "targetRevision": target})
}

fn other(scene: &Scene<'_>) -> anyhow::Result<Repo> {
    let name = format!("{}-other", scene.name);
    scene.towline.stack().git.create(&name)
}

/// An application of the scene's repository, which stays whole, and another one at a target revision.
fn both<'a>(scene: &'a Scene<'_>, other: &Repo, target: &str) -> AppBuilder<'a> {
    let whole = from_git(&scene.repo, "whole", "main");
    let broken = from_git(other, "broken", target);
    scene.app("web").strict().sources(&json!([whole, broken]))
}

fn map(value: &str) -> [(&'static str, String); 1] {
    [("broken/config.yaml", config_map("broken", "value", value))]
}

fn commit(repo: &Repo, value: &str) -> anyhow::Result<String> {
    let [(path, content)] = map(value);
    repo.commit(value, &[(path, &content)])
}

async fn refresh(app: &App<'_>) -> anyhow::Result<()> {
    app.annotate("argocd.argoproj.io/refresh", "normal").await
}

/// Waits until the second source's trouble is said by its number.
async fn said(app: &App<'_>, words: &str) -> anyhow::Result<()> {
    app.condition("ComparisonError", &["spec.sources[1]", words])
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_source_that_breaks_is_named_deletes_nothing_and_recovers_by_itself() -> anyhow::Result<()>
{
    let scene = Scene::new("one-breaks").await?;
    let other = other(&scene)?;
    let whole = scene.repo.commit(
        "whole",
        &[("whole/config.yaml", &config_map("whole", "value", "1"))],
    )?;

    // The other repository is empty: nothing is delivered, and it is said why.
    let app = both(&scene, &other, "main").create().await?;
    said(&app, "empty").await?;
    let first = commit(&other, "1")?;
    refresh(&app).await?;
    app.settled_at(&[&whole, &first]).await?;
    app.no_condition("ComparisonError").await?;
    let deletions = Deletions::watch(&scene.cluster, scene.namespace(), KINDS).await?;

    // Its branch is deleted, and comes back.
    let repository = git2::Repository::open_bare(other.path())?;
    repository.find_reference("refs/heads/main")?.delete()?;
    refresh(&app).await?;
    said(&app, other.url()).await?;
    scene.config("broken", "value", "1").await?;
    let tip = git2::Oid::from_str(&first)?;
    repository.reference("refs/heads/main", tip, true, "back")?;
    refresh(&app).await?;
    app.no_condition("ComparisonError").await?;
    app.settled_at(&[&whole, &first]).await?;

    // A force-push that drops its history is just another commit.
    repository.find_reference("refs/heads/main")?.delete()?;
    let forced = commit(&other, "2")?;
    refresh(&app).await?;
    app.settled_at(&[&whole, &forced]).await?;
    scene.config("broken", "value", "2").await?;
    deletions.none()
}

#[tokio::test]
async fn a_rewritten_tag_of_one_source_is_followed() -> anyhow::Result<()> {
    let scene = Scene::new("tag-moves").await?;
    let other = other(&scene)?;
    let whole = scene.repo.commit(
        "whole",
        &[("whole/config.yaml", &config_map("whole", "value", "1"))],
    )?;
    let first = commit(&other, "1")?;
    let repository = git2::Repository::open_bare(other.path())?;
    let tag = |commit: &str| {
        let commit = git2::Oid::from_str(commit)?;
        repository.reference("refs/tags/v1.0.0", commit, true, "tag")
    };
    tag(&first)?;
    let app = both(&scene, &other, "v1.0.0").create().await?;
    app.settled_at(&[&whole, &first]).await?;
    let second = commit(&other, "2")?;
    tag(&second)?;
    refresh(&app).await?;
    app.settled_at(&[&whole, &second]).await?;
    scene.config("broken", "value", "2").await?;
    Ok(())
}

#[tokio::test]
async fn applications_that_differ_only_in_their_prefix_of_tags_are_at_different_tags()
-> anyhow::Result<()> {
    let scene = Scene::new("tag-prefix").await?;
    let repository = git2::Repository::open_bare(scene.repo.path())?;
    let mut commits = Vec::new();
    for (tag, value) in [("a/1.0.1", "a"), ("b/1.0.2", "b"), ("1.0.3", "none")] {
        let content = config_map("settings", "value", value);
        let commit = scene.repo.commit(tag, &[("web/config.yaml", &content)])?;
        let target = git2::Oid::from_str(&commit)?;
        repository.reference(&format!("refs/tags/{tag}"), target, false, "tag")?;
        commits.push(commit);
    }
    for (prefix, at) in [(Some("a/"), 0), (Some("b/"), 1), (None, 2)] {
        let namespace = format!("{}-{at}", scene.name);
        scene.cluster.namespace(&namespace).await?;
        let mut app = scene
            .app(&format!("web{at}"))
            .path("web")
            .automated()
            .set("/spec/destination/namespace", namespace)
            .set("/spec/source/targetRevision", "1.0.*");
        if let Some(prefix) = prefix {
            app = app.set("/spec/source/tagPrefix", prefix);
        }
        app.create().await?.settled(&commits[at]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_wiped_broker_gets_the_same_sources_and_dependencies_again() -> anyhow::Result<()> {
    let mut towline = own("several-wiped").await?;
    let (name, charts, deletions, sources);
    {
        let scene = Scene::on(&towline, "several-wiped").await?;
        charts = ChartRepository::start(towline.stack(), &scene.name)?;
        let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: db\ndata:\n  value: {{ .Values.value | quote }}\n";
        charts
            .publish(&[
                ("Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.2.0\n"),
                ("values.yaml", "value: \"1\"\n"),
                ("templates/config.yaml", template),
            ])
            .await?;
        let chart = format!(
            "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies:\n  - {{name: db, version: 1.x, repository: {}}}\n",
            charts.url()
        );
        let first = scene.repo.commit(
            "first",
            &[
                ("web/Chart.yaml", &chart),
                ("plain/config.yaml", &config_map("plain", "value", "1")),
            ],
        )?;
        sources = json!([
            from_git(&scene.repo, "web", "main"),
            from_git(&scene.repo, "plain", "main"),
        ]);
        let app = scene.app("web").strict().sources(&sources).create().await?;
        app.settled_at(&[&first, &first]).await?;
        scene.config("db", "value", "1").await?;
        deletions = Deletions::watch(&scene.cluster, scene.namespace(), KINDS).await?;
        name = scene.name.clone();
    }
    towline.nats.kill().await;
    towline.nats.wipe()?;
    let commit = Scene::again(&towline, &name).await?.repo.commit(
        "second",
        &[("plain/config.yaml", &config_map("plain", "value", "2"))],
    )?;
    towline.nats.start_again().await?;

    let scene = Scene::again(&towline, &name).await?;
    until("the webhook is heard", || async {
        scene.tell(&commit).await
    })
    .await?;
    let app = App::existing(&scene, &format!("{name}-web"));
    app.settled_at(&[&commit, &commit]).await?;
    scene.config("plain", "value", "2").await?;
    scene.config("db", "value", "1").await?;
    deletions.none()
}
