//! Charts that depend on others.

use std::sync::Arc;

use bus::message::need::Need;
use renderer::{Database, Dependencies, ReadLimits, Tree};
use serde_json::json;

use crate::helm::{CHART, SHOW, capabilities, helm, mk_case, objects, real, same, sorted};
use crate::repository::{Repository, mk_default_engine};

const LIBRARY: [(&str, &str); 4] = [
    (
        "lib/Chart.yaml",
        "apiVersion: v2\nname: lib\nversion: 0.3.1\n",
    ),
    (
        "lib/values.yaml",
        "enabled: true\ndeep: {a: 1}\nexports: {data: {exported: 1}}\nglobal: {g: lib}\n",
    ),
    (
        "lib/templates/l.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Chart.Name }}-{{ .Release.Name }}'}\ndata: {v: {{ .Values | toJson | quote }}}\n",
    ),
    ("lib/README.md", "x"),
];

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test(flavor = "multi_thread")]
async fn charts_of_the_same_repository_are_built_in_as_helm_does() {
    let engine = mk_default_engine().await;
    let case = |name, dependencies: &str, more: &[(&'static str, &str)], values: &str| {
        let chart = format!("{CHART}dependencies:\n{dependencies}");
        let mut files: Vec<(&'static str, &str)> = vec![
            ("dome/Chart.yaml", &chart),
            ("dome/templates/show.yaml", SHOW),
            ("dome/values.yaml", "global: {g: dome}\n"),
            ("values", values),
        ];
        files.extend(LIBRARY);
        files.extend(more);
        mk_case(
            name,
            json!({"values": values}),
            &files,
            &["--values", "../values"],
        )
    };
    let lib = "- {name: lib, version: 0.x, repository: 'file://../lib'}\n";
    let sub = "apiVersion: v2\nname: mid\nversion: 1.0.0\ndependencies: [{name: lib, version: '*', repository: 'file://../lib'}]\n";
    let cases = [
        case("a folder beside", lib, &[], "a: 1"),
        case(
            "an alias and the chart itself",
            "- {name: lib, version: 0.x, repository: 'file://../lib', alias: one}\n- {name: lib, version: '>=0.3.0', repository: 'file://../lib', alias: two}\n",
            &[],
            "one: {deep: {a: 5}}",
        ),
        case(
            "off by condition",
            "- {name: lib, version: 0.x, repository: 'file://../lib', condition: lib.enabled}\n",
            &[],
            "lib: {enabled: false}",
        ),
        case(
            "off by tag",
            "- {name: lib, version: 0.x, repository: 'file://../lib', tags: [extra]}\n",
            &[],
            "tags: {extra: false}",
        ),
        case(
            "a condition over a tag",
            "- {name: lib, version: 0.x, repository: 'file://../lib', tags: [extra], condition: lib.enabled}\n",
            &[],
            "tags: {extra: false}",
        ),
        case(
            "imported values",
            "- {name: lib, version: 0.x, repository: 'file://../lib', import-values: [data, {child: deep, parent: taken}]}\n",
            &[],
            "a: 1",
        ),
        case(
            "a version that is not there",
            "- {name: lib, version: ^1.0.0, repository: 'file://../lib'}\n",
            &[],
            "a: 1",
        ),
        case(
            "a folder that is not there",
            "- {name: lib, version: '*', repository: 'file://../nowhere'}\n",
            &[],
            "a: 1",
        ),
        case(
            "a name that the folder's chart does not have",
            "- {name: other, version: '*', repository: 'file://../lib'}\n",
            &[],
            "a: 1",
        ),
        case(
            "a dependency's own dependency is not built",
            "- {name: mid, version: '*', repository: 'file://../mid'}\n",
            &[
                ("mid/Chart.yaml", sub),
                (
                    "mid/templates/m.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mid}\n",
                ),
            ],
            "a: 1",
        ),
        case(
            "a dependency's vendored dependency is",
            "- {name: mid, version: '*', repository: 'file://../mid'}\n",
            &[
                ("mid/Chart.yaml", sub),
                ("mid/charts/lib/Chart.yaml", LIBRARY[0].1),
                ("mid/charts/lib/templates/l.yaml", LIBRARY[2].1),
            ],
            "a: 1",
        ),
        case(
            "no repository, in charts/",
            "- {name: here, version: 1.x}\n- {name: lib, version: '*', repository: 'file://../lib'}\n",
            &[
                (
                    "dome/charts/here/Chart.yaml",
                    "apiVersion: v2\nname: here\nversion: 1.2.0\n",
                ),
                (
                    "dome/charts/here/templates/h.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: here}\n",
                ),
            ],
            "a: 1",
        ),
        case(
            "no repository, not in charts/",
            "- {name: here, version: 1.x}\n",
            &[],
            "a: 1",
        ),
        case(
            "vendored in another version",
            lib,
            &[
                (
                    "dome/charts/lib/Chart.yaml",
                    "apiVersion: v2\nname: lib\nversion: 9.0.0\n",
                ),
                (
                    "dome/charts/lib/templates/h.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vendored}\n",
                ),
            ],
            "a: 1",
        ),
        case(
            "a chart in charts/ that nobody declares",
            lib,
            &[
                (
                    "dome/charts/stray/Chart.yaml",
                    "apiVersion: v2\nname: stray\nversion: 9.0.0\n",
                ),
                (
                    "dome/charts/stray/templates/h.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stray}\n",
                ),
            ],
            "a: 1",
        ),
        case(
            "the dependency ignores files of its own",
            "- {name: lib, version: 0.x, repository: 'file://../lib'}\n",
            &[
                ("lib/.helmignore", "ignored.yaml\n"),
                (
                    "lib/templates/ignored.yaml",
                    "kind: {{ fail \"not ignored\" }}",
                ),
            ],
            "a: 1",
        ),
        case(
            "what the chart ignores is not ignored in a dependency",
            lib,
            &[("dome/.helmignore", "l.yaml\n")],
            "a: 1",
        ),
        case(
            "a library chart",
            "- {name: lib, version: '*', repository: 'file://../library'}\n",
            &[
                (
                    "library/Chart.yaml",
                    "apiVersion: v2\nname: lib\nversion: 1.0.0\ntype: library\n",
                ),
                ("library/templates/_h.tpl", "{{ define \"h\" }}h{{ end }}"),
                ("library/templates/no.yaml", "kind: No"),
                (
                    "dome/templates/use.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ include \"h\" . }}'}\n",
                ),
            ],
            "a: 1",
        ),
        case(
            "a lock that does not fit",
            lib,
            &[(
                "dome/Chart.lock",
                "dependencies:\n- {name: lib, version: 0.3.1, repository: 'file://../lib'}\ndigest: sha256:0\n",
            )],
            "a: 1",
        ),
        case(
            "a lock whose version has gone",
            lib,
            &[(
                "dome/Chart.lock",
                "dependencies:\n- name: lib\n  repository: file://../lib\n  version: 0.1.0\ndigest: sha256:0\n",
            )],
            "a: 1",
        ),
    ];
    for case in &cases {
        same(&engine, case, Dependencies::default()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_helm_wrote_fits() {
    let engine = mk_default_engine().await;
    let chart = format!(
        "{CHART}dependencies:\n- name: lib\n  version: '>=0.1.0 <1.0.0'\n  repository: file://../lib\n  alias: a\n  condition: a.b,c.d\n  tags: [x, y]\n  import-values: [data, {{child: deep, parent: taken}}]\n"
    );
    let mut files = vec![
        ("dome/Chart.yaml", chart.as_str()),
        ("dome/templates/show.yaml", SHOW),
    ];
    files.extend(LIBRARY);
    let mut case = mk_case("a lock", json!({}), &files, &[]);
    let folder = case.on_disk();
    let update = ["dependency".to_owned(), "update".to_owned()];
    helm(&folder.path().join("dome"), &update).await.unwrap();
    let lock = std::fs::read_to_string(folder.path().join("dome/Chart.lock")).unwrap();
    case.files.push(("dome/Chart.lock", lock));
    same(&engine, &case, Dependencies::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetched_chart_is_built_in_like_a_package() {
    let engine = mk_default_engine().await;
    let chart = format!(
        "{CHART}dependencies:\n- {{name: lib, version: ^0.3.0, repository: 'https://charts.example', alias: far}}\n"
    );
    // A vendored one stands for the package that Helm would have downloaded.
    let mut files: Vec<(&'static str, &str)> = vec![
        ("dome/Chart.yaml", &chart),
        ("dome/templates/show.yaml", SHOW),
    ];
    let vendored = [
        ("dome/charts/lib/Chart.yaml", LIBRARY[0].1),
        ("dome/charts/lib/values.yaml", LIBRARY[1].1),
        ("dome/charts/lib/templates/l.yaml", LIBRARY[2].1),
    ];
    files.extend(vendored);
    let packaged = mk_case("vendored", json!({}), &files, &[]);
    let folder = packaged.on_disk();
    let expected = real(&packaged, folder.path()).await.unwrap();

    let repository = Repository::new();
    let bare: Vec<_> = packaged
        .plain()
        .into_iter()
        .filter(|(path, _)| !path.contains("charts/"))
        .collect();
    let mut job = repository.job(json!({"repoURL": "r", "path": "dome"}), &bare);
    job.capabilities = Some(capabilities());
    let need = Need::Chart {
        repository: "https://charts.example".to_owned(),
        name: "lib".to_owned(),
        version: "^0.3.0".to_owned(),
    };
    let far = Repository::new();
    let own: Vec<_> = LIBRARY
        .iter()
        .map(|(path, text)| (path.trim_start_matches("lib/"), *text))
        .collect();
    let (_, tree) = far.commit(&own);
    let database = Arc::new(Database::open(far.path()).unwrap());
    let tree = Tree::new(database, &tree, ReadLimits::DEFAULT).unwrap();
    job.dependencies = Dependencies::new([(need, Arc::new(tree))]);
    let rendered = engine.render(job).await.unwrap();
    assert_eq!(sorted(rendered.objects), objects(&engine, &expected).await);
}
