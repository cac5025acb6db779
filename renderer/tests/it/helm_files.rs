//! Templates that use the files beside a chart's own parts, by every way that there is: they get what they get from Helm, and
//! what they read is what counts.

use std::sync::Arc;

use renderer::Dependencies;
use serde_json::json;

use crate::helm::{CHART, Case, capabilities, mk_case, same};
use crate::repository::{Engine, Repository, mk_default_engine};

const FILES: [(&str, &str); 8] = [
    ("dome/Chart.yaml", CHART),
    ("dome/values.yaml", "environment: north\n"),
    ("dome/values-north.yaml", "shutter: open\n"),
    ("dome/values-south.yaml", "shutter: closed\n"),
    ("dome/conf/a.conf", "one\ntwo\n"),
    ("dome/conf/deep/b.conf", "{{ .Release.Name }}"),
    (
        "dome/conf/kube.tpl",
        "{{ .Capabilities.APIVersions.Has \"sky/v1/Dome\" }}",
    ),
    ("shared/c.conf", "shared"),
];

/// A template, and what is read of the files beside the chart's own parts: all of the folder, if none are named.
type Way = (&'static str, Option<&'static [&'static str]>);

const WAYS: [Way; 17] = [
    (
        "a: {{ .Files.Get (printf \"values-%s.yaml\" .Values.environment) | quote }}",
        Some(&["dome/values-north.yaml"]),
    ),
    (
        "a: {{ $.Files.Get \"values-east.yaml\" | default \"none\" | quote }}",
        Some(&["dome/values-east.yaml (absent)"]),
    ),
    (
        "a: {{ .Files.GetBytes \"conf/a.conf\" | toString | quote }}",
        Some(&["dome/conf/a.conf"]),
    ),
    (
        "a: {{ .Files.Lines \"conf/a.conf\" | toJson | quote }}",
        Some(&["dome/conf/a.conf"]),
    ),
    (
        "{{ (.Files.Glob \"conf/*.conf\").AsConfig | nindent 2 | trim }}",
        Some(&["dome/conf//.conf", "dome/conf/a.conf"]),
    ),
    (
        "{{ (.Files.Glob \"conf/**.conf\").AsSecrets | nindent 2 | trim }}",
        Some(&[
            "dome/conf//.conf,/",
            "dome/conf/a.conf",
            "dome/conf/deep//.conf,/",
            "dome/conf/deep/b.conf",
        ]),
    ),
    (
        "{{ range $name, $data := .Files.Glob \"values-*\" }}{{ $name }}: {{ $data | toString | quote }}\n  {{ end }}",
        Some(&["dome//", "dome/values-north.yaml", "dome/values-south.yaml"]),
    ),
    (
        "a: {{ len (.Files.Glob \"none/*\") | quote }}",
        Some(&["dome/none (absent)"]),
    ),
    (
        "a: {{ tpl (.Files.Get \"conf/deep/b.conf\") . | quote }}",
        Some(&["dome/conf/deep/b.conf"]),
    ),
    (
        "a: {{ tpl \"{{ .Files.Get \\\"conf/a.conf\\\" }}\" . | quote }}",
        Some(&["dome/conf/a.conf"]),
    ),
    (
        "a: {{ tpl (.Files.Get \"conf/kube.tpl\") . | quote }}",
        None,
    ),
    ("a: {{ .Files.AsConfig | sha256sum }}", None),
    (
        "a: {{ index .Files \"conf/a.conf\" | toString | quote }}",
        None,
    ),
    (
        "a: {{ $files := .Files }}{{ $files.Get \"conf/a.conf\" | quote }}",
        None,
    ),
    (
        "{{ range $name, $_ := .Files }}{{ $name | replace \"/\" \"-\" }}: a\n  {{ end }}",
        None,
    ),
    (
        "a: {{ range $name, $value := . }}{{ if eq $name (printf \"Fil%s\" \"es\") }}{{ toJson $value | quote }}{{ end }}{{ end }}",
        None,
    ),
    ("a: {{ .Release.Name }}", Some(&[])),
];

fn case((template, _): &Way) -> Case {
    let template =
        format!("kind: ConfigMap\napiVersion: v1\nmetadata: {{name: a}}\ndata:\n  {template}\n");
    let mut files = FILES.to_vec();
    files.push(("dome/templates/a.yaml", &template));
    mk_case(
        "files",
        json!({}),
        &files,
        &["--api-versions", "sky/v1/Dome"],
    )
}

/// What a render read besides what always counts.
async fn read(engine: &Engine, case: &Case) -> Vec<String> {
    let repository = Repository::new();
    let source = json!({"repoURL": "r", "path": "dome"});
    let mut job = repository.job(source, &case.plain());
    job.capabilities = Some(capabilities());
    let job = Arc::new(job);
    engine.render_shared(&job).await.unwrap();
    let always = [
        "Chart",
        "charts",
        "crds",
        "templates",
        "values.",
        "requirements",
        ".helmignore",
        ".argocd-source",
        "kustomization",
        "Kustomization",
    ];
    let inputs = job.inputs().into_iter().filter(|input| {
        let name = input.path.strip_prefix("dome/").unwrap_or_default();
        !always.iter().any(|part| name.starts_with(part))
    });
    inputs
        .map(|input| match input.object {
            Some(_) => input.path,
            None => format!("{} (absent)", input.path),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_template_does_with_files_it_gets_what_helm_gives() {
    let engine = mk_default_engine().await;
    for way in &WAYS {
        let mut case = case(way);
        case.name = way.0;
        same(&engine, &case, Dependencies::default()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_template_names_is_what_counts_and_else_the_whole_folder() {
    let engine = mk_default_engine().await;
    for way in &WAYS {
        let read = read(&engine, &case(way)).await;
        match way.1 {
            Some(expected) => assert_eq!(read, expected, "{}", way.0),
            None => assert!(read.contains(&"dome".to_owned()), "{}: {read:?}", way.0),
        }
    }
}
