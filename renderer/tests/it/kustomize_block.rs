//! Every field of the `kustomize` block of an Application.

use serde_json::json;

use crate::kustomize_cli::{COMPONENT, base, same, with};
use crate::repository::mk_default_engine;

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_the_kustomize_block_give_what_kustomize_edit_gives() {
    let engine = mk_default_engine().await;
    for (name, block) in [
        ("nothing set", json!({})),
        (
            "prefix and suffix",
            json!({"namePrefix": "-p-", "nameSuffix": "-s"}),
        ),
        ("a namespace", json!({"namespace": "telescopes"})),
        ("a tag", json!({"images": ["guider:2.0"]})),
        (
            "a new name and tag",
            json!({"images": ["guider=other.example/g:2.0", "store=store2"]}),
        ),
        (
            "a digest",
            json!({"images": ["guider@sha256:24a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3"]}),
        ),
        (
            "a tag in place of a digest",
            json!({"images": ["registry.example/side:2.0"]}),
        ),
        (
            "tag and digest",
            json!({"images": ["guider=g:1@sha256:24a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3"]}),
        ),
        ("an image that says nothing", json!({"images": ["guider"]})),
        (
            "one image twice",
            json!({"images": ["guider:2.0", "guider:3.0"]}),
        ),
        (
            "a port in an image",
            json!({"images": ["guider=localhost:5000/g:2.0"]}),
        ),
        (
            "replicas",
            json!({"replicas": [{"name": "guider", "count": 3}, {"name": "store", "count": "2"}]}),
        ),
        (
            "replicas of nobody",
            json!({"replicas": [{"name": "nobody", "count": 3}]}),
        ),
        (
            "labels",
            json!({"commonLabels": {"site": "north", "b": "\"quoted\""}}),
        ),
        (
            "a label without value",
            json!({"commonLabels": {"site": ""}}),
        ),
        (
            "labels outside of selectors",
            json!({"commonLabels": {"site": "north", "x": "y"}, "labelWithoutSelector": true}),
        ),
        (
            "labels in templates",
            json!({"commonLabels": {"site": "north"}, "labelWithoutSelector": true, "labelIncludeTemplates": true}),
        ),
        (
            "templates without the rest",
            json!({"commonLabels": {"site": "north"}, "labelIncludeTemplates": true}),
        ),
        (
            "annotations",
            json!({"commonAnnotations": {"site": "north:1", "q": "\"x\""}}),
        ),
        ("a component", json!({"components": ["../part"]})),
        (
            "components by pattern",
            json!({"components": ["../parts/*"]}),
        ),
        (
            "a component that is not there",
            json!({"components": ["../nowhere"]}),
        ),
        (
            "components of which one is not there",
            json!({"components": ["../nowhere", "../part"], "ignoreMissingComponents": true}),
        ),
        (
            "no component left",
            json!({"components": ["../nowhere"], "ignoreMissingComponents": true}),
        ),
        (
            "a patch",
            json!({"patches": [{"target": {"kind": "Deployment"}, "patch": "- {op: replace, path: /spec/replicas, value: 5}"}]}),
        ),
        (
            "a patch in a file",
            json!({"patches": [{"path": "patch.yaml"}]}),
        ),
        (
            "a patch that renames",
            json!({"patches": [{"target": {"name": "gui.*", "group": "apps", "version": "v1"}, "patch": "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: renamed}", "options": {"allowNameChange": true}}]}),
        ),
        (
            "a patch by label",
            json!({"patches": [{"target": {"labelSelector": "a=b"}, "patch": "- {op: add, path: /metadata/annotations, value: {x: y}}"}]}),
        ),
        (
            "a patch that fits nothing",
            json!({"patches": [{"patch": "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: nobody}"}]}),
        ),
        (
            "much at once",
            json!({"namePrefix": "p-", "namespace": "n", "images": ["guider:9"], "commonLabels": {"l": "m"}, "commonAnnotations": {"x": "1"}, "components": ["../part"], "patches": [{"path": "patch.yaml"}], "replicas": [{"name": "store", "count": 7}]}),
        ),
    ] {
        let mut files = base();
        files.extend([
            ("over/patch.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: guider}\nspec: {paused: true}\n"),
            ("part/kustomization.yaml", COMPONENT),
            ("parts/one/kustomization.yaml", COMPONENT),
            ("parts/two/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -two\n"),
        ]);
        same(&engine, name, block, "", &files).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kustomize_block_is_joined_with_what_the_file_says() {
    let engine = mk_default_engine().await;
    let overlay = "# comments stay\nresources: [deployment.yaml, stateful.yaml]\nnamePrefix: old-\nimages: [{name: guider, newName: kept, newTag: kept}, {name: store, newTag: '5'}]\nreplicas: [{name: store, count: 4}]\ncommonLabels: {site: south}\nlabels: [{pairs: {x: old}}]\ncommonAnnotations: {x: old}\ncomponents: [../part]\n";
    for (name, block) in [
        ("nothing", json!({})),
        ("another prefix", json!({"namePrefix": "new-"})),
        (
            "a tag, the name as it was",
            json!({"images": ["guider=*:2.0"]}),
        ),
        (
            "a name, the tag as it was",
            json!({"images": ["guider=other:*"]}),
        ),
        ("nothing as it was", json!({"images": ["guider:2.0"]})),
        ("a digest as it was", json!({"images": ["guider=other@*"]})),
        (
            "replicas",
            json!({"replicas": [{"name": "guider", "count": 2}]}),
        ),
        (
            "a label that is there",
            json!({"commonLabels": {"site": "north"}}),
        ),
        (
            "a label that is there, by force",
            json!({"commonLabels": {"site": "north"}, "forceCommonLabels": true}),
        ),
        (
            "a label without selector that is there",
            json!({"commonLabels": {"x": "new", "y": "z"}, "labelWithoutSelector": true}),
        ),
        (
            "a label without selector, by force",
            json!({"commonLabels": {"x": "new", "y": "z"}, "labelWithoutSelector": true, "forceCommonLabels": true}),
        ),
        (
            "an annotation that is there",
            json!({"commonAnnotations": {"x": "new"}}),
        ),
        (
            "an annotation that is there, by force",
            json!({"commonAnnotations": {"x": "new", "y": "z"}, "forceCommonAnnotations": true}),
        ),
        (
            "a component that is there",
            json!({"components": ["../part"]}),
        ),
    ] {
        let files = with(overlay, &[("part/kustomization.yaml", COMPONENT)]);
        same(&engine, name, block, "", &files).await;
    }
}
