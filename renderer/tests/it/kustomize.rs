use std::sync::Arc;

use bus::message::cluster::Capabilities;
use bus::message::need::Need;
use bus::message::render::PseudoInput;
use renderer::{Job, RenderError};
use serde_json::json;

use crate::repository::{Engine, Repository, mk_default_engine, names};

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: guider}\n";
const CHART: &str = "apiVersion: v2\nname: dome\nversion: 1.0.0\n";
const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n";

fn git(url: &str, reference: &str) -> Need {
    Need::Git {
        url: url.to_owned(),
        reference: reference.to_owned(),
    }
}

fn file(url: &str) -> Need {
    Need::File {
        url: url.to_owned(),
    }
}

fn chart(version: &str) -> Need {
    Need::Chart {
        repository: "https://charts.example".to_owned(),
        name: "dome".to_owned(),
        version: version.to_owned(),
    }
}

fn mk_overlay(repository: &Repository, overlay: &str, options: &str) -> Job {
    let files = [("over/kustomization.yaml", overlay)];
    let mut job = repository.job(json!({"repoURL": "r", "path": "over"}), &files);
    options.clone_into(&mut job.rendering.kustomize_build_options);
    job
}

async fn needs(engine: &Engine, job: Job) -> Vec<Need> {
    match engine.render(job).await {
        Err(RenderError::Waits { needs }) => needs,
        other => panic!("it waits for nothing: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_elsewhere_is_asked_for_at_once_and_then_built_from_what_was_fetched() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    let overlay = "\
resources:
- https://github.com/org/repo//north?ref=v1
- https://example.org/all.yaml
components: [git@git.example:org/parts.git/labels]
helmCharts: [{name: dome, repo: https://charts.example, version: 1.x.x, releaseName: south}]
";
    let wanted = [
        chart("1.x.x"),
        git("git@git.example:org/parts.git", ""),
        git("https://github.com/org/repo", "v1"),
        file("https://example.org/all.yaml"),
    ];
    let job = mk_overlay(&repository, overlay, "--enable-helm");
    assert_eq!(needs(&engine, job).await, wanted);

    let mut job = mk_overlay(&repository, overlay, "--enable-helm");
    job.dependencies = repository.dependencies(&[
        (
            wanted[0].clone(),
            &[
                ("Chart.yaml", CHART),
                ("values.yaml", ""),
                ("templates/a.yaml", TEMPLATE),
            ],
        ),
        (
            wanted[1].clone(),
            &[(
                "labels/kustomization.yaml",
                "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\nnamePrefix: x-\n",
            )],
        ),
        (
            wanted[2].clone(),
            &[
                (
                    "north/kustomization.yaml",
                    "resources: [../shared, \"github.com/org/deeper?ref=v2\"]\n",
                ),
                ("shared/kustomization.yaml", "resources: [a.yaml]\n"),
                ("shared/a.yaml", CONFIG),
            ],
        ),
        (
            wanted[3].clone(),
            &[(
                "file",
                "apiVersion: v1\nkind: Service\nmetadata: {name: all}\n",
            )],
        ),
        // Known only once the repository is there that names it.
        (
            git("https://github.com/org/deeper", "v2"),
            &[
                ("kustomization.yaml", "resources: [b.yaml]\n"),
                (
                    "b.yaml",
                    "apiVersion: v1\nkind: Secret\nmetadata: {name: deep}\n",
                ),
            ],
        ),
    ]);
    let job = Arc::new(job);
    let rendered = engine.render_shared(&job).await.unwrap();
    let mut found = names(&rendered);
    found.sort();
    assert_eq!(
        found,
        [
            "ConfigMap/x-guider",
            "ConfigMap/x-south",
            "Secret/x-deep",
            "Service/x-all"
        ]
    );
    assert_eq!(job.dependencies.needs().len(), 5);
    // What is fetched is known by its need: only the overlay's own files are inputs.
    let elsewhere = |path: &str| path.starts_with(".towline") || path.contains("shared");
    assert!(job.inputs().iter().all(|input| !elsewhere(&input.path)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_of_the_overlay_asks_the_cluster_only_if_its_templates_do() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    let render = async |template: &str, kustomize: serde_json::Value, known: bool| {
        let files = [
            ("over/kustomization.yaml", "helmCharts: [{name: dome}]\n"),
            ("over/charts/dome/Chart.yaml", CHART),
            ("over/charts/dome/values.yaml", "a: 1\n"),
            ("over/charts/dome/values-south.yaml", "a: 2\n"),
            ("over/charts/dome/templates/a.yaml", template),
        ];
        let source = json!({"repoURL": "r", "path": "over", "kustomize": kustomize});
        let mut job = repository.job(source, &files);
        job.rendering.kustomize_build_options = "--enable-helm".to_owned();
        job.capabilities = known.then(|| Capabilities {
            kube_version: "v1.37.2".to_owned(),
            api_versions: vec!["sky/v1".to_owned()],
        });
        let job = Arc::new(job);
        let rendered = engine.render_shared(&job).await;
        let south = |path: &str| path.ends_with("values-south.yaml");
        assert!(job.inputs().iter().all(|input| !south(&input.path)));
        rendered
    };
    let asks = |values: &[PseudoInput]| {
        let is = |value: &PseudoInput| matches!(value, PseudoInput::Capabilities(_));
        values.iter().any(is)
    };
    let curious = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {kube: '{{ .Capabilities.KubeVersion.Version }} {{ .Capabilities.APIVersions.Has \"sky/v1\" }}'}\n";

    let rendered = render(TEMPLATE, json!({}), false).await.unwrap();
    assert!(!asks(&rendered.values));
    let rendered = render(curious, json!({}), true).await.unwrap();
    assert!(asks(&rendered.values));
    assert_eq!(rendered.objects[0]["data"]["kube"], "v1.37.2 true");
    let error = render(curious, json!({}), false).await.unwrap_err();
    assert!(matches!(error, RenderError::NoCapabilities { .. }));
    let own = json!({"kubeVersion": "1.30.0", "apiVersions": ["own/v1"]});
    let rendered = render(curious, own, false).await.unwrap();
    assert_eq!(rendered.objects[0]["data"]["kube"], "v1.30.0 false");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_argocd_cm_does_not_allow_is_told_in_kustomizes_words() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    for (overlay, options, says) in [
        (
            "helmCharts: [{name: dome}]\n",
            "",
            "must specify --enable-helm",
        ),
        (
            "namespace: a\n",
            "--enable-magic",
            "unknown flag: --enable-magic",
        ),
        (
            "resources: [../../elsewhere.yaml]\n",
            "--load-restrictor LoadRestrictionsNone",
            "leaves the repository",
        ),
        ("resources: [file:///srv/base]\n", "", "file:///srv/base"),
    ] {
        let job = mk_overlay(&repository, overlay, options);
        let error = engine.render(job).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
