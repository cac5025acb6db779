use std::time::Duration;

use serde_json::json;

use crate::repository::{Repository, mk_default_engine, mk_engine, names};

const CHART: (&str, &str) = (
    "app/Chart.yaml",
    "apiVersion: v2\nname: dome\nversion: 1.0.0\n",
);
const GOOD: (&str, &str) = (
    "app/templates/a.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n",
);
const LOOP: &str = "{{ range until 10000 }}{{ range until 10000 }}{{ range until 10000 }}{{ end }}{{ end }}{{ end }}";
const MEMORY: &str =
    "{{ $x := \"0123456789abcdef\" }}{{ range until 40 }}{{ $x = printf \"%s%s\" $x $x }}{{ end }}";

fn source() -> serde_json::Value {
    json!({"repoURL": "r", "path": "app"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_never_ends_is_stopped_and_its_neighbour_is_not() {
    let (engine, repository) = (
        mk_engine(Duration::from_secs(1), 512 << 20).await,
        Repository::new(),
    );
    let endless = repository.job(source(), &[CHART, ("app/templates/a.yaml", LOOP)]);
    let good = repository.job(source(), &[CHART, GOOD]);
    let (endless, good) = tokio::join!(engine.render(endless), engine.render(good));
    let error = endless.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("longer than 1 s, the limit of one render (after reading app/Chart.yaml)"),
        "{error}"
    );
    assert!(!error.may_pass());
    assert_eq!(names(&good.unwrap()), ["ConfigMap/good"]);
    assert_eq!(engine.replaced.get(), 1);
    let after = engine
        .render(repository.job(source(), &[CHART, GOOD]))
        .await
        .unwrap();
    assert_eq!(names(&after), ["ConfigMap/good"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_eats_memory_is_stopped() {
    let (engine, repository) = (
        mk_engine(Duration::from_mins(1), 128 << 20).await,
        Repository::new(),
    );
    let error = engine
        .render(repository.job(source(), &[CHART, ("app/templates/a.yaml", MEMORY)]))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with(
            "more than 128 MiB of memory, the limit of one render (after reading app/Chart.yaml)"
        ),
        "{error}"
    );
    assert_eq!(engine.replaced.get(), 1);
    assert!(
        engine
            .render(repository.job(source(), &[CHART, GOOD]))
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_input_is_told_by_file_and_line() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    for (files, says) in [
        (
            vec![CHART, ("app/templates/a.yaml", "\na: {{ .Values.x.y.z }}")],
            "dome/templates/a.yaml:2",
        ),
        (
            vec![CHART, ("app/templates/a.yaml", "a: [\n")],
            "dome/templates/a.yaml (line 1 of its output) is not valid YAML",
        ),
        (
            vec![
                CHART,
                (
                    "app/templates/a.yaml",
                    "{{ define \"r\" }}{{ include \"r\" . }}{{ end }}{{ include \"r\" . }}",
                ),
            ],
            "\"r\" includes itself",
        ),
        (
            vec![
                ("app/kustomization.yaml", "resources: [out]\n"),
                ("app/out", "-> ../../etc/passwd"),
            ],
            "app/out points to ../../etc/passwd",
        ),
        (
            vec![("app/kustomization.yaml", "resources: ['../../../etc']\n")],
            "leaves the repository",
        ),
        (
            vec![(
                "app/a.yaml",
                "apiVersion: v1\nkind: A\nmetadata: {name: [}\n",
            )],
            "app/a.yaml:3 is not valid YAML",
        ),
        (
            vec![("app/a.yaml", "-> /etc/passwd")],
            "app/a.yaml points to /etc/passwd",
        ),
        (vec![("other/a.yaml", "")], "the path app does not exist"),
    ] {
        let error = engine
            .render(repository.job(source(), &files))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains(says),
            "{error}\nshould say {says}"
        );
        assert!(!error.may_pass(), "{error}");
    }
    assert_eq!(engine.replaced.get(), 0);
}
