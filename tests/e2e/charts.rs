//! Charts of a Helm repository: as a source, and as what another chart depends on.

use serde_json::{Value, json};
use tests::app::text;
use tests::{ChartRepository, Scene};

/// A chart of one ConfigMap, `<release>-<name>`, that shows the chart's version and a value.
async fn publish(charts: &ChartRepository, name: &str, version: &str) -> anyhow::Result<()> {
    let template = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{{{ .Release.Name }}}}-{name}\ndata:\n  version: {{{{ \
         .Chart.Version | quote }}}}\n  greeting: {{{{ .Values.greeting | quote }}}}\n"
    );
    charts
        .publish(&[
            (
                "Chart.yaml",
                &format!("apiVersion: v2\nname: {name}\nversion: {version}\n"),
            ),
            ("values.yaml", "greeting: hello\n"),
            ("templates/settings.yaml", &template),
        ])
        .await
}

#[tokio::test]
async fn a_chart_with_values_from_git_is_delivered_and_follows_both() -> anyhow::Result<()> {
    let scene = Scene::new("chart-source").await?;
    let charts = ChartRepository::start(scene.towline.stack(), &scene.name)?;
    publish(&charts, "web", "1.0.0").await?;
    let values = "environments/prod/web.yaml";
    let first = scene
        .repo
        .commit("first", &[(values, "greeting: good day\n")])?;
    let app = scene
        .app("web")
        .automated()
        .sources(&json!([
            {
                "repoURL": charts.url(), "chart": "web", "targetRevision": "1.x",
                "helm": {"releaseName": "rel", "valueFiles": [format!("$values/{values}")]},
            },
            {"repoURL": scene.repo.url(), "ref": "values", "targetRevision": "main"},
        ]))
        .create()
        .await?;
    let settled = app.settled_at(&["1.0.0", &first]).await?;
    scene.config("rel-web", "greeting", "good day").await?;

    // As Argo CD shows an application of several sources.
    let status = &settled["status"];
    assert_eq!(status["sourceTypes"], json!(["Helm", ""]), "{status}");
    assert_eq!(status["sourceType"], Value::Null, "{status}");
    assert_eq!(status["sync"]["revision"], Value::Null, "{status}");
    let entry = &status["history"][0];
    assert_eq!(entry["revisions"], json!(["1.0.0", first]), "{entry}");
    assert_eq!(entry["sources"], settled["spec"]["sources"], "{entry}");
    let compared = &status["sync"]["comparedTo"]["sources"];
    assert_eq!(compared, &settled["spec"]["sources"]);
    let said = app.command("get", &[]).await?;
    let chart = format!("{} web 1.x (1.0.0)", charts.url());
    let lent = format!("{} $values main ({}", scene.repo.url(), &first[..7]);
    for expected in [chart, lent] {
        assert!(said.contains(&expected), "{expected:?} is not in\n{said}");
    }

    // A commit to the values, then a new version in the range.
    let second = scene.push("greet", &[(values, "greeting: hi\n")]).await?;
    app.settled_at(&["1.0.0", &second]).await?;
    scene.config("rel-web", "greeting", "hi").await?;
    let downloads = charts.downloads();
    assert_eq!(downloads, 1, "an unchanged chart is fetched once");
    publish(&charts, "web", "1.1.0").await?;
    publish(&charts, "web", "2.0.0").await?;
    app.annotate("argocd.argoproj.io/refresh", "normal").await?;
    let upgraded = app.settled_at(&["1.1.0", &second]).await?;
    scene.config("rel-web", "version", "1.1.0").await?;
    let newest = upgraded["status"]["history"]
        .as_array()
        .and_then(|it| it.last());
    let newest = newest.cloned().unwrap_or_default();
    assert_eq!(newest["revisions"], json!(["1.1.0", second]), "{newest}");
    Ok(())
}

#[tokio::test]
async fn a_chart_in_git_gets_its_dependency_and_goes_on_while_its_host_is_down()
-> anyhow::Result<()> {
    let scene = Scene::new("chart-needs").await?;
    let charts = ChartRepository::start(scene.towline.stack(), &scene.name)?;
    publish(&charts, "db", "1.2.0").await?;
    let chart = |name: &str| {
        format!(
            "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies:\n  - name: {name}\n    version: ^1.0.0\n    repository: {}\n",
            charts.url()
        )
    };
    let first = scene.repo.commit(
        "first",
        &[
            ("web/Chart.yaml", &chart("db")),
            ("web/values.yaml", "db:\n  greeting: from the parent\n"),
        ],
    )?;
    let app = scene
        .app("web")
        .strict()
        .set("/spec/source/helm", json!({"releaseName": "rel"}))
        .create()
        .await?;
    app.settled(&first).await?;
    let config = scene
        .config("rel-db", "greeting", "from the parent")
        .await?;
    assert_eq!(text(&config, "/data/version"), "1.2.0");

    // The host is down: a commit still goes out, with the dependency that is had.
    charts.set_down(true);
    let second = scene
        .push("greet", &[("web/values.yaml", "db:\n  greeting: hi\n")])
        .await?;
    app.settled(&second).await?;
    scene.config("rel-db", "greeting", "hi").await?;
    charts.set_down(false);

    // Nobody has that chart: it is named, and what is live stays.
    let third = scene
        .push("gone", &[("web/Chart.yaml", &chart("gone"))])
        .await?;
    let said = app
        .condition("ComparisonError", &["gone", &charts.url()])
        .await?;
    assert!(said.contains("^1.0.0"), "{said}");
    scene.config("rel-db", "greeting", "hi").await?;

    // It comes back by itself once somebody publishes it.
    publish(&charts, "gone", "1.0.0").await?;
    app.annotate("argocd.argoproj.io/refresh", "normal").await?;
    app.settled(&third).await?;
    scene.config("rel-gone", "version", "1.0.0").await?;
    scene.gone("ConfigMap", "rel-db").await?;
    app.no_condition("ComparisonError").await?;
    Ok(())
}
