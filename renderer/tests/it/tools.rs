use bus::message::manifests::SourceType;
use bus::message::render::PseudoInput;
use serde_json::json;

use crate::repository::{Repository, mk_default_engine, names};

const CHART: [(&str, &str); 6] = [
    (
        "apps/dome/Chart.yaml",
        "apiVersion: v2\nname: dome\nversion: 1.0.0\n",
    ),
    ("apps/dome/values.yaml", "shutter: closed\n"),
    ("apps/dome/values-north.yaml", "shutter: open\n"),
    (
        "apps/dome/templates/config.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  shutter: {{ .Values.shutter }}\n  mode: \"0755\"\n",
    ),
    (
        "apps/dome/templates/hook.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: before\n  annotations: {helm.sh/hook: pre-install}\n",
    ),
    (
        "apps/dome/crds/crd.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: domes.sky}\n",
    ),
];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    CHART.iter().chain(more).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_becomes_crds_manifests_and_hooks_in_this_order() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    let source =
        json!({"repoURL": "r", "path": "apps/dome", "helm": {"valueFiles": ["values-north.yaml"]}});
    let rendered = engine.render(repository.job(source, &CHART)).await.unwrap();
    assert_eq!(
        names(&rendered),
        [
            "CustomResourceDefinition/domes.sky",
            "ConfigMap/dome",
            "Job/before"
        ]
    );
    assert_eq!(
        rendered.objects[1]["data"],
        json!({"shutter": "open", "mode": "0755"})
    );
    assert_eq!(rendered.source_types, [SourceType::Helm]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlay_is_read_file_by_file_and_each_is_an_input() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    let files = [
        (
            "apps/base/kustomization.yaml",
            "resources: [service.yaml]\n",
        ),
        (
            "apps/base/service.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {name: guider}\n",
        ),
        ("apps/base/README.md", "not read"),
        ("apps/north/kustomization.yaml", "resources: [../base]\n"),
    ];
    let source = json!({"repoURL": "r", "path": "apps/north", "kustomize": {"namePrefix": "n-"}});
    let job = std::sync::Arc::new(repository.job(source, &files));
    let rendered = engine.render_shared(&job).await.unwrap();
    assert_eq!(names(&rendered), ["Service/n-guider"]);
    let inputs: Vec<_> = job
        .inputs()
        .into_iter()
        .filter(|input| input.object.is_some())
        .map(|input| input.path)
        .collect();
    assert_eq!(
        inputs,
        [
            "apps/base/kustomization.yaml",
            "apps/base/service.yaml",
            "apps/north/kustomization.yaml"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_mile_lays_an_overlay_over_the_chart() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    let files = with(&[
        (
            "miles/north/kustomization.yaml",
            "resources: [extra.yaml]\nnamespace: north\n",
        ),
        (
            "miles/north/extra.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: extra}\n",
        ),
        // Both the chart and the overlay ask for files.
        (
            "apps/dome/templates/note.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Files.Get \"note.txt\" }}}\n",
        ),
        ("apps/dome/note.txt", "note"),
    ]);
    let mut job = repository.job(
        json!({"repoURL": "r", "path": "apps/dome", "helm": {"skipCrds": true}}),
        &files,
    );
    job.last_mile = Some("miles/north".to_owned());
    let rendered = engine.render(job).await.unwrap();
    assert_eq!(rendered.source_types, [SourceType::HelmLastMile]);
    let mut found = names(&rendered);
    found.sort();
    assert_eq!(
        found,
        [
            "ConfigMap/dome",
            "ConfigMap/note",
            "Job/before",
            "Secret/extra"
        ]
    );
    assert!(
        rendered
            .objects
            .iter()
            .all(|object| object["metadata"]["namespace"] == "north")
    );

    let plain = [(
        "apps/plain/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    )];
    let mut job = repository.job(json!({"repoURL": "r", "path": "apps/plain"}), &plain);
    job.last_mile = Some("miles/north".to_owned());
    let error = engine.render(job).await.unwrap_err().to_string();
    assert!(
        error.contains("needs a source that is a Helm chart"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_must_be_known_to_a_chart_that_asks() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    let files = with(&[(
        "apps/dome/templates/version.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: version}\ndata:\n  kube: {{ .Capabilities.KubeVersion.Version }}\n  has: \"{{ .Capabilities.APIVersions.Has \"sky/v1/Dome\" }}\"\n",
    )]);
    let source = || json!({"repoURL": "r", "path": "apps/dome"});
    let error = engine
        .render(repository.job(source(), &files))
        .await
        .unwrap_err();
    assert!(error.may_pass(), "{error}");
    let mut job = repository.job(source(), &files);
    job.capabilities = Some(bus::message::cluster::Capabilities {
        kube_version: "v1.37.2".to_owned(),
        api_versions: vec!["sky/v1/Dome".to_owned()],
    });
    let rendered = engine.render(job).await.unwrap();
    let version = rendered
        .objects
        .iter()
        .find(|object| object["metadata"]["name"] == "version")
        .unwrap();
    assert_eq!(version["data"], json!({"kube": "v1.37.2", "has": "true"}));
    assert!(
        rendered
            .values
            .iter()
            .any(|value| matches!(value, PseudoInput::Capabilities(_)))
    );
}
