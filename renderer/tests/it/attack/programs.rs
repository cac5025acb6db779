//! Programs, the environment and the network.

use serde_json::json;

use super::{CHART, Scene, source};

#[tokio::test(flavor = "multi_thread")]
async fn a_template_has_neither_environment_nor_network() {
    let scene = Scene::new().await;
    for (template, says) in [
        (
            "{{ env \"HOME\" }}",
            vec!["app", "templates/a.yaml:1", "\"env\" not defined"],
        ),
        (
            "{{ expandenv \"$HOME\" }}",
            vec!["templates/a.yaml:1", "\"expandenv\" not defined"],
        ),
    ] {
        scene
            .refuses(
                template,
                &[CHART, ("app/templates/a.yaml", template)],
                &says,
            )
            .await;
    }
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  host: {{ getHostByName \"localhost\" | quote }}\n  \
         live: {{ lookup \"v1\" \"Secret\" \"\" \"\" | toJson | quote }}\n";
    let rendered = scene
        .engine
        .render(
            scene
                .repository
                .job(source(), &[CHART, ("app/templates/a.yaml", template)]),
        )
        .await
        .unwrap();
    assert_eq!(
        rendered.objects[0]["data"],
        json!({"host": "", "live": "{}"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlay_runs_no_program() {
    let scene = Scene::new().await;
    let exec = "apiVersion: v1\nkind: Run\nmetadata:\n  name: run\n  annotations:\n    config.kubernetes.io/function: |\n      exec: {path: /bin/sh}\n";
    let container = "apiVersion: v1\nkind: Run\nmetadata:\n  name: run\n  annotations:\n    config.kubernetes.io/function: |\n      container: {image: evil}\n";
    let legacy =
        "apiVersion: someteam.example.com/v1\nkind: Run\nmetadata: {name: run}\nargsOneLiner: id\n";
    let starlark = "apiVersion: v1\nkind: Run\nmetadata:\n  name: run\n  annotations:\n    config.kubernetes.io/function: |\n      starlark: {path: ../../x.star}\n";
    for (plugin, content) in [
        ("exec", exec),
        ("container", container),
        ("legacy", legacy),
        ("starlark", starlark),
    ] {
        for field in ["generators", "transformers", "validators"] {
            let kustomization = format!("resources: [a.yaml]\n{field}: [run.yaml]\n");
            let files = [
                ("app/kustomization.yaml", kustomization.as_str()),
                (
                    "app/a.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
                ),
                ("app/run.yaml", content),
            ];
            let says = ["runs a program, which a render never does", "'Run'"];
            scene.refuses(plugin, &files, &says).await;
        }
    }
    assert_eq!(scene.engine.replaced.get(), 0);
}
