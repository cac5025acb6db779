use std::sync::Arc;

use bus::message::desired::{Setting, Tool};
use bus::message::render::PseudoInput;
use serde_json::{Value, json};

use crate::repository::{Repository, mk_default_engine, names};

const LIBRARY: (&str, &str) = (
    "vendor/k.libsonnet",
    "{ config(name, data={}): { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: name }, data: data } }",
);

fn source(jsonnet: &Value) -> Value {
    json!({"repoURL": "r", "path": "app", "directory": {"jsonnet": jsonnet}})
}

#[tokio::test(flavor = "multi_thread")]
async fn files_become_objects_in_their_places_among_yaml() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    let files = [
        LIBRARY,
        (
            "app/a.jsonnet",
            "local k = import 'k.libsonnet'; [k.config('a1'), null, k.config('a2')]",
        ),
        (
            "app/b.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n",
        ),
        (
            "app/c.jsonnet",
            "{ apiVersion: 'v1', kind: 'List', items: [(import 'k.libsonnet').config('c')] }",
        ),
        ("app/ignored.libsonnet", "error 'not a manifest'"),
    ];
    let rendered = engine
        .render(repository.job(source(&json!({"libs": ["vendor"]})), &files))
        .await
        .unwrap();
    let expected = ["ConfigMap/a1", "ConfigMap/a2", "ConfigMap/b", "ConfigMap/c"];
    assert_eq!(names(&rendered), expected);
    assert_eq!(
        engine.replaced.get(),
        0,
        "an evaluation is no reason to replace a worker"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_and_external_variables_are_texts_or_code_with_the_build_environment() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    let files = [(
        "app/a.jsonnet",
        "function(app, count) { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: app }, \
         data: { count: std.toString(count + 1), site: std.extVar('site'), open: std.toString(std.extVar('open')) } }",
    )];
    let options = json!({
        "tlas": [{"name": "app", "value": "x-$ARGOCD_APP_NAME"}, {"name": "count", "value": "2", "code": true}],
        "extVars": [{"name": "site", "value": "${ARGOCD_APP_REVISION_SHORT}"}, {"name": "open", "value": "1 < 2", "code": true}],
    });
    let job = repository.job(source(&options), &files);
    let short = job.sources[0].revision[..7].to_owned();
    let rendered = engine.render(job).await.unwrap();
    assert_eq!(rendered.objects[0]["metadata"]["name"], "x-dome");
    assert_eq!(
        rendered.objects[0]["data"],
        json!({"count": "3", "site": short, "open": "true"})
    );
    assert!(
        rendered
            .values
            .contains(&PseudoInput::Revision { source: 0 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_are_looked_for_beside_the_file_then_in_the_libraries_and_all_are_inputs() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    let files = [
        (
            "app/deep/a.jsonnet",
            "(import '../base.libsonnet') + { data: { text: importstr 'note.txt', lib: import 'x.libsonnet' } }",
        ),
        (
            "app/base.libsonnet",
            "{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }",
        ),
        ("app/deep/note.txt", "-> ../../shared/note.txt"),
        ("shared/note.txt", "noted"),
        ("one/x.libsonnet", "'first'"),
        ("two/x.libsonnet", "'last'"),
    ];
    let source = json!({"repoURL": "r", "path": "app",
        "directory": {"recurse": true, "jsonnet": {"libs": ["one", "two"]}}});
    let job = Arc::new(repository.job(source, &files));
    let rendered = engine.render_shared(&job).await.unwrap();
    assert_eq!(
        rendered.objects[0]["data"],
        json!({"text": "noted", "lib": "last"})
    );
    let inputs = job.inputs();
    for (path, there) in [
        ("app/base.libsonnet", true),
        ("app/deep/note.txt", true),
        ("shared/note.txt", true),
        ("app/deep/x.libsonnet", false),
        ("two/x.libsonnet", true),
    ] {
        assert!(
            inputs
                .iter()
                .any(|input| input.path == path && input.object.is_some() == there),
            "{path}"
        );
    }
    assert!(!inputs.iter().any(|input| input.path == "one/x.libsonnet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn jsonnet_that_is_switched_off_is_passed_over_and_the_setting_is_an_input() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    let files = [
        ("app/a.jsonnet", "error 'evaluated'"),
        (
            "app/b.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n",
        ),
    ];
    let mut job = repository.job(source(&json!({})), &files);
    job.rendering.disabled.insert(Tool::Jsonnet);
    let rendered = engine.render(job).await.unwrap();
    assert_eq!(names(&rendered), ["ConfigMap/b"]);
    assert!(rendered.values.iter().any(|value| matches!(
        value,
        PseudoInput::Setting {
            name: Setting::Disabled(Tool::Jsonnet),
            ..
        }
    )));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_by_file_and_line_without_a_stack() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    for (content, says) in [
        (
            "{\n  a: 1,\n  b: ,\n}",
            "app/a.jsonnet:3: Unexpected: \",\" while parsing terminal",
        ),
        (
            "local x = 1;\nx.y",
            "app/a.jsonnet:2: Value non indexable: *jsonnet.valueNumber",
        ),
        ("{ a: z }", "app/a.jsonnet:1: Unknown variable: z"),
        (
            "local b = import 'b.libsonnet';\nb.fail(1)",
            "app/b.libsonnet:2: no such telescope",
        ),
        (
            "function(app) { kind: app }",
            "app/a.jsonnet: Missing argument: app",
        ),
        ("std.extVar('site')", "Undefined external variable: site"),
        (
            "local f(x) = f(x + 1) + 1; f(0)",
            "app/a.jsonnet:1: max stack frames exceeded.",
        ),
        (
            "import '../../outside.libsonnet'",
            "the import \"../../outside.libsonnet\" leaves the repository",
        ),
        (
            "importstr '/etc/passwd'",
            "the import \"/etc/passwd\" is absolute",
        ),
        (
            "importstr 'deep/out'",
            "the symbolic link app/deep/out points to ../../../etc/passwd, out of the repository",
        ),
        (
            "import 'nowhere'",
            "the import \"nowhere\" is neither beside the file nor in the libraries",
        ),
        ("std.native('exec')('id')", "app/a.jsonnet:1: "),
        (
            "'text'",
            "app/a.jsonnet (line 1 of its output) is a text, not a mapping",
        ),
        ("[{}]", "app/a.jsonnet (line 1 of its output) has no kind"),
        ("{a: std.native('x')}", "app/a.jsonnet"),
    ] {
        let files = [
            ("app/a.jsonnet", content),
            (
                "app/b.libsonnet",
                "{\n  fail(x): error 'no such telescope',\n}",
            ),
            ("app/deep/out", "-> ../../../etc/passwd"),
        ];
        let error = engine
            .render(repository.job(source(&json!({})), &files))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains(says), "{text}\nshould say {says}");
        assert!(
            !text.contains("RUNTIME ERROR") && !text.contains('\n'),
            "{text}"
        );
        assert!(!error.may_pass(), "{text}");
    }
    assert_eq!(engine.replaced.get(), 0);
}
