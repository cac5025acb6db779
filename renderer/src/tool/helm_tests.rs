use std::sync::Arc;

use bus::message::need::Need;
use serde_json::{Value, json};

use super::*;
use crate::job::tests::mk_job;
use crate::need::Dependencies;
use crate::tool::build_env::tests::mk_env;
use crate::tree::tests::mk_tree;

const CHART: [(&str, &str); 4] = [
    ("apps/dome/Chart.yaml", "name: dome"),
    ("apps/dome/values.yaml", "a: 1"),
    ("apps/dome/templates/a.yaml", "kind: {{ .Values.kind }}"),
    ("apps/dome/values-north.yaml", "a: 2"),
];

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    CHART.iter().chain(more).copied().collect()
}

fn prepare_with(helm: &Value, files: &[(&str, &str)]) -> (Job, Result<Prepared, ToolError>) {
    let job = mk_job(
        json!([{"repoURL": "r", "path": "apps/dome", "helm": helm}]),
        files,
    );
    let source = job.sources[0].spec.clone();
    let prepared = prepare(&job, 0, &source, "apps/dome", &mk_env());
    (job, prepared)
}

fn read(job: &Job) -> Vec<String> {
    job.inputs().into_iter().map(|input| input.path).collect()
}

fn error(helm: &Value, files: &[(&str, &str)]) -> String {
    prepare_with(helm, files).1.err().unwrap().to_string()
}

#[test]
fn a_value_file_that_nobody_names_is_no_input() {
    let (job, prepared) = prepare_with(&json!({}), &CHART);
    let prepared = prepared.unwrap();
    assert!(!read(&job).contains(&"apps/dome/values-north.yaml".to_owned()));
    assert!(!read(&job).contains(&"apps/dome".to_owned()));
    assert!(
        !prepared
            .request
            .files
            .iter()
            .any(|file| file.name == "values-north.yaml")
    );
    for always in [
        "apps/dome/Chart.lock",
        "apps/dome/crds",
        "apps/dome/templates",
        "apps/dome/values.yaml",
    ] {
        assert!(read(&job).contains(&always.to_owned()), "{always}");
    }
}

#[test]
fn a_chart_that_names_its_files_is_given_them_when_it_asks() {
    let (job, prepared) = prepare_with(
        &json!({}),
        &with(&[("apps/dome/templates/b.yaml", "{{ .Files.Get \"x\" }}")]),
    );
    assert!(!read(&job).contains(&"apps/dome".to_owned()));
    let request = prepared.unwrap().request;
    assert!(request.files_on_demand);
    assert!(
        !request
            .files
            .iter()
            .any(|file| file.name == "values-north.yaml")
    );
}

#[test]
fn a_chart_that_says_files_in_another_way_depends_on_its_whole_folder() {
    let (job, prepared) = prepare_with(
        &json!({}),
        &with(&[("apps/dome/templates/b.yaml", "{{ .Files.AsConfig }}")]),
    );
    assert!(read(&job).contains(&"apps/dome".to_owned()));
    assert!(
        prepared
            .unwrap()
            .request
            .files
            .iter()
            .any(|file| file.name == "values-north.yaml")
    );
    let (job, _) = prepare_with(&json!({"values": "x: '{{ .Files }}'"}), &CHART);
    assert!(read(&job).contains(&"apps/dome".to_owned()));
}

#[test]
fn the_cluster_counts_only_where_the_chart_asks() {
    assert!(!prepare_with(&json!({}), &CHART).1.unwrap().capabilities);
    let asks = with(&[(
        "apps/dome/templates/b.yaml",
        "{{ .Capabilities.KubeVersion }}",
    )]);
    assert!(prepare_with(&json!({}), &asks).1.unwrap().capabilities);
    let fixed = json!({"kubeVersion": "1.30.0", "apiVersions": ["a/v1"]});
    assert!(!prepare_with(&fixed, &asks).1.unwrap().capabilities);
}

#[test]
fn value_files_come_in_order_and_the_sources_own_values_last() {
    let helm = json!({
        "valueFiles": ["values-north.yaml", "/env/$ARGOCD_APP_NAMESPACE.yaml", "../dome/values-north.yaml"],
        "values": "b: 1", "valuesObject": {"c": 1},
    });
    let (_, prepared) = prepare_with(&helm, &with(&[("env/telescopes.yaml", "d: 1")]));
    let names: Vec<_> = prepared
        .unwrap()
        .request
        .values
        .into_iter()
        .map(|file| file.name)
        .collect();
    assert_eq!(
        names,
        [
            "apps/dome/values-north.yaml",
            "env/telescopes.yaml",
            "source.helm.valuesObject"
        ]
    );
}

#[test]
fn a_missing_value_file_is_an_input_and_an_error_unless_it_may_be_missing() {
    let (job, prepared) = prepare_with(&json!({"valueFiles": ["nope.yaml"]}), &CHART);
    let message = prepared.err().unwrap().to_string();
    assert_eq!(
        message,
        "source.helm.valueFiles names apps/dome/nope.yaml, which does not exist at this revision"
    );
    assert!(read(&job).contains(&"apps/dome/nope.yaml".to_owned()));
    let lenient = json!({"valueFiles": ["nope.yaml"], "ignoreMissingValueFiles": true});
    assert!(
        prepare_with(&lenient, &CHART)
            .1
            .unwrap()
            .request
            .values
            .is_empty()
    );
}

#[test]
fn no_file_field_leaves_the_repository() {
    assert!(
        error(&json!({"valueFiles": ["../../../etc/passwd"]}), &CHART)
            .contains("leaves the repository")
    );
    let parameter = json!({"fileParameters": [{"name": "a", "path": "../../../etc/passwd"}]});
    assert!(error(&parameter, &CHART).contains("leaves the repository"));
    let linked = with(&[("apps/dome/templates/out", "-> ../../../../etc/passwd")]);
    assert!(error(&json!({}), &linked).contains("apps/dome/templates/out"));
    assert!(error(&json!({"valueFiles": ["$values/a.yaml"]}), &CHART).contains("$values"));
}

#[test]
fn another_source_gives_value_files_by_reference() {
    let sources = json!([
        {"repoURL": "r", "path": "apps/dome", "helm": {"valueFiles": ["$env/values-north.yaml"]}},
        {"repoURL": "q", "ref": "env"},
    ]);
    let files = with(&[("values-north.yaml", "from: env")]);
    let job = mk_job(sources, &files);
    let source = job.sources[0].spec.clone();
    let prepared = prepare(&job, 0, &source, "apps/dome", &mk_env()).unwrap();
    assert_eq!(prepared.request.values[0].data.0, b"from: env");
    assert!(
        job.inputs()
            .iter()
            .any(|input| input.source == 1 && input.path == "values-north.yaml")
    );
}

#[test]
fn parameters_take_the_build_environment() {
    let helm = json!({
        "parameters": [{"name": "tag", "value": "v-$ARGOCD_APP_REVISION_SHORT", "forceString": true}],
        "fileParameters": [{"name": "a", "path": "values.yaml"}],
    });
    let request = prepare_with(&helm, &CHART).1.unwrap().request;
    assert_eq!(request.parameters[0].value, "v-0123456");
    assert_eq!(request.file_parameters[0].data.0, b"a: 1");
    assert_eq!(
        (request.release_name.as_str(), request.namespace.as_str()),
        ("dome", "telescopes")
    );
}

#[test]
fn value_files_by_url_are_needs_as_far_as_their_scheme_is_allowed() {
    let helm = json!({
        "valueFiles": ["https://example.org/$ARGOCD_APP_NAME.yaml", "values-north.yaml"],
        "fileParameters": [{"name": "a", "path": "http://example.org/a"}],
        "ignoreMissingValueFiles": true,
    });
    let need = |url: &str| Need::File {
        url: url.to_owned(),
    };
    let both = [
        need("http://example.org/a"),
        need("https://example.org/guider-north.yaml"),
    ];
    let (mut job, prepared) = prepare_with(&helm, &CHART);
    assert!(matches!(prepared, Err(ToolError::Waits)));
    assert_eq!(job.dependencies.missing(), both);

    let had = both.map(|need| (need, Arc::new(mk_tree(&[("file", "u: 1")]))));
    job.dependencies = Dependencies::new(had);
    let source = job.sources[0].spec.clone();
    let prepared = prepare(&job, 0, &source, "apps/dome", &mk_env()).unwrap();
    assert_eq!(prepared.request.values[0].data.0, b"u: 1");
    assert_eq!(
        prepared.request.values[1].name,
        "apps/dome/values-north.yaml"
    );
    assert_eq!(prepared.request.file_parameters[0].data.0, b"u: 1");
    assert_eq!(prepared.settings, [Setting::ValuesFileSchemes]);

    job.rendering.values_file_schemes = vec!["HTTPS".to_owned()];
    let error = prepare(&job, 0, &source, "apps/dome", &mk_env())
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("helm.valuesFileSchemes"),
        "{error}"
    );
    let other = prepare_with(&json!({"valueFiles": ["s3://bucket/v.yaml"]}), &CHART).1;
    assert!(matches!(other, Err(ToolError::Scheme { .. })));
}

#[test]
fn a_pattern_leaves_a_file_that_is_named_too_at_its_own_place() {
    let files = with(&[
        ("env/a.yaml", "a: 1"),
        ("env/b.yaml", "a: 2"),
        ("env/c.yaml", "a: 3"),
    ]);
    let names = |value_files: &[&str]| -> Vec<String> {
        let helm = json!({"valueFiles": value_files});
        let request = prepare_with(&helm, &files).1.unwrap().request;
        request.values.into_iter().map(|file| file.name).collect()
    };
    assert_eq!(
        names(&["/env/*.yaml", "/env/a.yaml", "/env/?.yaml"]),
        ["env/b.yaml", "env/c.yaml", "env/a.yaml"]
    );
    let none = json!({"valueFiles": ["/env/*.json"]});
    assert!(error(&none, &files).contains("/env/*.json of source.helm.valueFiles matches no file"));
    let lenient = json!({"valueFiles": ["/env/*.json"], "ignoreMissingValueFiles": true});
    assert!(
        prepare_with(&lenient, &files)
            .1
            .unwrap()
            .request
            .values
            .is_empty()
    );
}
