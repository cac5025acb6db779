//! Jsonnet, and Kustomize with what it takes from elsewhere.

use serde_json::json;
use tests::events::{verified, work_of};
use tests::manifest::config_map;
use tests::scene::own;
use tests::{ChartRepository, Scene};

#[tokio::test]
async fn jsonnet_gets_its_arguments_and_libraries_and_a_changed_library_renders_just_its_users()
-> anyhow::Result<()> {
    let scene = Scene::new("jsonnet").await?;
    let program = |library: &str| {
        format!(
            "local lib = import '{library}.libsonnet';\nfunction(name) lib.config(name, std.extVar('colour'))\n"
        )
    };
    let library = |version: &str| {
        format!(
            "{{ config(name, colour):: {{ apiVersion: 'v1', kind: 'ConfigMap', metadata: {{ name: name }}, data: {{ colour: colour, \
             version: '{version}' }} }} }}\n"
        )
    };
    let first = scene.repo.commit(
        "first",
        &[
            ("one/main.jsonnet", &program("first")),
            ("two/main.jsonnet", &program("second")),
            ("lib/first.libsonnet", &library("1")),
            ("lib/second.libsonnet", &library("1")),
        ],
    )?;
    let mut apps = Vec::new();
    for name in ["one", "two"] {
        let app = scene.app(name).automated().set(
            "/spec/source/directory",
            json!({"jsonnet": {
                "tlas": [{"name": "name", "value": name}],
                "extVars": [{"name": "colour", "value": "'blue'", "code": true}],
                "libs": ["lib"],
            }}),
        );
        apps.push(app.create().await?);
    }
    for app in &apps {
        let settled = app.settled(&first).await?;
        assert_eq!(settled["status"]["sourceType"], "Directory");
    }
    scene.config("one", "colour", "blue").await?;
    let before = work_of(scene.towline, &apps[1]).await?;
    let second = scene
        .push("library", &[("lib/first.libsonnet", &library("2"))])
        .await?;
    apps[0].settled(&second).await?;
    scene.config("one", "version", "2").await?;
    let bus = scene.towline.bus().await?;
    verified(&bus, &scene.repo, &second).await?;
    assert_eq!(before, work_of(scene.towline, &apps[1]).await?);
    scene.config("two", "version", "1").await?;
    Ok(())
}

#[tokio::test]
async fn a_remote_base_is_fetched_and_followed() -> anyhow::Result<()> {
    let scene = Scene::new("remote-base").await?;
    let base = scene
        .towline
        .stack()
        .git
        .create(&format!("{}-base", scene.name))?;
    let files = |value: &str| {
        [
            (
                "base/kustomization.yaml",
                "resources: [config.yaml]\n".to_owned(),
            ),
            ("base/config.yaml", config_map("settings", "colour", value)),
        ]
    };
    let commit = |value: &str| {
        let files = files(value);
        let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (*a, b.as_str())).collect();
        base.commit("base", &files)
    };
    commit("blue")?;
    let first = scene.repo.commit(
        "first",
        &[(
            "web/kustomization.yaml",
            &format!(
                "resources:\n  - {}//base?ref=main\nnamePrefix: prod-\n",
                base.url()
            ),
        )],
    )?;
    let app = scene.app("web").automated().create().await?;
    let settled = app.settled(&first).await?;
    assert_eq!(settled["status"]["sourceType"], "Kustomize");
    scene.config("prod-settings", "colour", "blue").await?;

    let second = commit("green")?;
    scene.towline.webhook()?.push(&base, &second).await?;
    scene.config("prod-settings", "colour", "green").await?;
    app.settled(&first).await?;
    Ok(())
}

#[tokio::test]
async fn charts_of_an_overlay_need_the_setting_and_come_when_it_is_made() -> anyhow::Result<()> {
    let towline = own("overlay-chart").await?;
    let scene = Scene::on(&towline, "overlay-chart").await?;
    let charts = ChartRepository::start(towline.stack(), &scene.name)?;
    charts
        .publish(&[
            ("Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.2.0\n"),
            // Kustomize insists on it.
            ("values.yaml", "{}\n"),
            (
                "templates/settings.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-db\ndata:\n  version: {{ .Chart.Version | quote }}\n",
            ),
        ])
        .await?;
    let overlay = format!(
        "helmCharts:\n  - name: db\n    repo: {}\n    version: 1.2.0\n    releaseName: rel\nnamePrefix: prod-\n",
        charts.url()
    );
    let first = scene.repo.commit(
        "first",
        &[
            ("web/kustomization.yaml", &overlay),
            ("plain/config.yaml", &config_map("plain", "value", "1")),
        ],
    )?;
    let web = scene.app("web").automated().create().await?;
    let plain = scene.app("plain").automated().create().await?;
    plain.settled(&first).await?;
    web.condition("ComparisonError", &["enable-helm"]).await?;
    let before = work_of(&towline, &plain).await?;

    scene
        .cluster
        .apply(&json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "argocd-cm", "namespace": towline.namespace(),
                "labels": {"app.kubernetes.io/part-of": "argocd"},
            },
            "data": {"kustomize.buildOptions": "--enable-helm"},
        }))
        .await?;
    web.settled(&first).await?;
    scene.config("prod-rel-db", "version", "1.2.0").await?;
    assert_eq!(before, work_of(&towline, &plain).await?);
    Ok(())
}
