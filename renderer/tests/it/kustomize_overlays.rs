//! Kustomizations of every kind.

use serde_json::json;

use crate::kustomize_cli::{COMPONENT, DEPLOYMENT, OVERLAY, base, same, with};
use crate::repository::mk_default_engine;

#[expect(clippy::too_many_lines, reason = "a table of cases")]
#[tokio::test(flavor = "multi_thread")]
async fn overlays_of_every_kind_give_what_kustomize_gives() {
    let engine = mk_default_engine().await;
    let secret = ("shared/a.txt", "shared");
    for (name, options, files) in [
        ("an empty overlay", "", vec![(OVERLAY, "")]),
        ("only comments", "", vec![(OVERLAY, "# nothing\n")]),
        ("no resources", "", vec![(OVERLAY, "resources: []\n")]),
        (
            "an overlay in JSON",
            "",
            vec![
                (
                    "over/kustomization.yml",
                    r#"{"resources": ["deployment.yaml"], "namePrefix": "j-"}"#,
                ),
                ("over/deployment.yaml", DEPLOYMENT),
            ],
        ),
        (
            "two overlays in one folder",
            "",
            with(
                "namePrefix: a-\n",
                &[("over/Kustomization", "namePrefix: b-\n")],
            ),
        ),
        (
            "an unknown field",
            "",
            with("resources: [deployment.yaml]\nmagic: true\n", &[]),
        ),
        (
            "a field in other letters",
            "",
            with("Resources: [deployment.yaml]\nNamePrefix: a-\n", &[]),
        ),
        (
            "bases, imageTags and env of old",
            "",
            with(
                "bases: [../base]\nimageTags: [{name: guider, newTag: '3'}]\nconfigMapGenerator: [{name: e, env: e.env}]\n",
                &[
                    ("base/kustomization.yaml", "resources: [d.yaml]\n"),
                    ("base/d.yaml", DEPLOYMENT),
                    ("over/e.env", "A=1\n# c\nB=\n"),
                ],
            ),
        ),
        (
            "vars",
            "",
            with(
                "resources: [deployment.yaml]\nvars: [{name: V, objref: {kind: Deployment, name: guider, apiVersion: apps/v1}, fieldref: {fieldpath: metadata.name}}]\ncommonAnnotations: {v: $(V)}\nconfigurations: [c.yaml]\n",
                &[(
                    "over/c.yaml",
                    "varReference: [{path: metadata/annotations}]\n",
                )],
            ),
        ),
        (
            "old patches",
            "",
            with(
                "resources: [deployment.yaml]\npatchesStrategicMerge: [p.yaml, '{kind: Deployment, apiVersion: apps/v1, metadata: {name: guider, annotations: {i: l}}}']\npatchesJson6902: [{target: {group: apps, version: v1, kind: Deployment, name: guider}, path: j.json}]\n",
                &[
                    (
                        "over/p.yaml",
                        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: guider}\nspec: {template: {spec: {containers: [{name: side, $patch: delete}]}}}\n",
                    ),
                    (
                        "over/j.json",
                        r#"[{"op": "add", "path": "/spec/paused", "value": true}]"#,
                    ),
                ],
            ),
        ),
        (
            "generators with options",
            "",
            with(
                "generatorOptions: {disableNameSuffixHash: true, labels: {g: h}, immutable: true}\nconfigMapGenerator: [{name: a, files: [b=deployment.yaml], literals: ['x=\"y\"', 'n=1']}]\nsecretGenerator: [{name: s, type: kubernetes.io/tls, literals: [tls.crt=a, tls.key=b], options: {annotations: {k: v}}}]\n",
                &[],
            ),
        ),
        (
            "a generator that merges into a base",
            "",
            with(
                "resources: [../base]\nconfigMapGenerator: [{name: a, behavior: merge, literals: [y=2]}]\n",
                &[(
                    "base/kustomization.yaml",
                    "configMapGenerator: [{name: a, literals: [x=1]}]\n",
                )],
            ),
        ),
        (
            "replacements",
            "",
            with(
                "resources: [deployment.yaml, stateful.yaml]\nreplacements: [{source: {kind: Deployment, fieldPath: metadata.name}, targets: [{select: {kind: StatefulSet}, fieldPaths: ['spec.template.spec.containers.[name=main].image'], options: {delimiter: ':', index: 0}}]}, {path: r.yaml}]\n",
                &[(
                    "over/r.yaml",
                    "source: {kind: StatefulSet, fieldPath: metadata.name}\ntargets: [{select: {kind: Deployment}, fieldPaths: [metadata.annotations.from], options: {create: true}}]\n",
                )],
            ),
        ),
        (
            "labels of claim templates",
            "",
            with(
                "resources: [stateful.yaml]\nlabels: [{pairs: {x: why}, includeTemplates: true}, {pairs: {z: w}, includeSelectors: true}]\n",
                &[],
            ),
        ),
        (
            "metadata of the build",
            "",
            with(
                "resources: [deployment.yaml, ../base]\nbuildMetadata: [originAnnotations, transformerAnnotations, managedByLabel]\nnamePrefix: a-\n",
                &[
                    ("base/kustomization.yaml", "resources: [d.yaml]\n"),
                    (
                        "base/d.yaml",
                        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n",
                    ),
                ],
            ),
        ),
        ("the label of old", "--enable-managedby-label", base()),
        (
            "an order of its own",
            "",
            with(
                "resources: [stateful.yaml, deployment.yaml]\nsortOptions: {order: fifo}\n",
                &[],
            ),
        ),
        (
            "an order by hand",
            "",
            with(
                "resources: [stateful.yaml, deployment.yaml]\nsortOptions: {order: legacy, legacySortOptions: {orderFirst: [StatefulSet], orderLast: [Deployment]}}\n",
                &[],
            ),
        ),
        (
            "no order",
            "--reorder none",
            with("resources: [stateful.yaml, deployment.yaml]\n", &[]),
        ),
        ("an order nobody knows", "--reorder magic", base()),
        (
            "inline transformers, generators and validators",
            "",
            with(
                "resources: [deployment.yaml]\ntransformers: ['{apiVersion: builtin, kind: PrefixTransformer, metadata: {name: t}, prefix: t-, fieldSpecs: [{path: metadata/name}]}', t.yaml]\ngenerators: ['{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: g}, literals: [a=b]}']\nvalidators: ['{apiVersion: builtin, kind: LabelTransformer, metadata: {name: v}, labels: {}, fieldSpecs: []}']\n",
                &[(
                    "over/t.yaml",
                    "apiVersion: builtin\nkind: NamespaceTransformer\nmetadata: {name: n, namespace: here}\nfieldSpecs: [{path: metadata/namespace, create: true}]\n",
                )],
            ),
        ),
        (
            "a function",
            "",
            with(
                "resources: [deployment.yaml]\ntransformers: ['{apiVersion: x/v1, kind: X, metadata: {name: f, annotations: {config.kubernetes.io/function: \"container: {image: f}\"}}}']\n",
                &[],
            ),
        ),
        (
            "a schema of its own",
            "",
            with(
                "resources: [a.yaml]\nopenapi: {path: s.json}\npatches: [{patch: '{apiVersion: sky/v1, kind: Dome, metadata: {name: d}, spec: {parts: [{id: a, v: 2}]}}'}]\n",
                &[
                    (
                        "over/a.yaml",
                        "apiVersion: sky/v1\nkind: Dome\nmetadata: {name: d}\nspec: {parts: [{id: a, v: 1}, {id: b, v: 1}]}\n",
                    ),
                    (
                        "over/s.json",
                        r#"{"definitions": {"sky.Dome": {"properties": {"spec": {"properties": {"parts": {"type": "array", "items": {"type": "object"}, "x-kubernetes-patch-merge-key": "id", "x-kubernetes-patch-strategy": "merge"}}}}, "x-kubernetes-group-version-kind": [{"group": "sky", "kind": "Dome", "version": "v1"}]}}}"#,
                    ),
                ],
            ),
        ),
        (
            "definitions with references",
            "",
            with(
                "resources: [a.yaml]\ncrds: [crd.json]\nnamePrefix: p-\nconfigMapGenerator: [{name: env, literals: [a=b]}]\n",
                &[
                    (
                        "over/a.yaml",
                        "apiVersion: sky/v1\nkind: Dome\nmetadata: {name: d}\nspec: {config: {name: env}}\n",
                    ),
                    (
                        "over/crd.json",
                        r#"{"sky/v1.Dome": {"Schema": {"properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}, "spec": {"$ref": "sky/v1.DomeSpec"}}}}, "sky/v1.DomeSpec": {"Schema": {"properties": {"config": {"x-kubernetes-object-ref-api-version": "v1", "x-kubernetes-object-ref-kind": "ConfigMap", "$ref": "sky/v1.Ref"}}}}, "sky/v1.Ref": {"Schema": {"properties": {"name": {"type": "string"}}}}}"#,
                    ),
                ],
            ),
        ),
        (
            "a file from beside",
            "",
            with(
                "configMapGenerator: [{name: a, files: [../shared/a.txt]}]\n",
                &[secret],
            ),
        ),
        (
            "a file from beside, allowed",
            "--load-restrictor LoadRestrictionsNone",
            with(
                "configMapGenerator: [{name: a, files: [../shared/a.txt]}]\n",
                &[secret],
            ),
        ),
        (
            "a file from beside, by an equals sign",
            "--load-restrictor=LoadRestrictionsNone",
            with(
                "configMapGenerator: [{name: a, files: [../shared/a.txt]}]\n",
                &[secret],
            ),
        ),
        ("a base that is itself", "", with("resources: [.]\n", &[])),
        (
            "a base of a base that is above",
            "",
            vec![
                (OVERLAY, "resources: [deeper]\n"),
                ("over/deeper/kustomization.yaml", "resources: [..]\n"),
            ],
        ),
        (
            "a component as a base",
            "",
            with(
                "resources: [../part]\n",
                &[("part/kustomization.yaml", COMPONENT)],
            ),
        ),
        (
            "one object twice",
            "",
            with(
                "resources: [deployment.yaml, ../base]\n",
                &[
                    ("base/kustomization.yaml", "resources: [d.yaml]\n"),
                    ("base/d.yaml", DEPLOYMENT),
                ],
            ),
        ),
        (
            "local configuration",
            "",
            with(
                "resources: [a.yaml, deployment.yaml]\n",
                &[(
                    "over/a.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: l, annotations: {config.kubernetes.io/local-config: 'true'}}\n",
                )],
            ),
        ),
        (
            "lists and several documents",
            "",
            with(
                "resources: [a.yaml]\nnamespace: here\n",
                &[(
                    "over/a.yaml",
                    "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}, {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}]\n---\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: c}\n",
                )],
            ),
        ),
        (
            "scalars of YAML 1.1",
            "",
            with(
                "resources: [a.yaml]\ncommonAnnotations: {a: 'yes', b: '0755', c: '1e3'}\n",
                &[(
                    "over/a.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {on: 'on', n: \"012\", m: '1_000'}\nx: [yes, 0755, 12345678901234567890, 1.0, ~, 2001-01-01]\n",
                )],
            ),
        ),
    ] {
        same(&engine, name, json!({}), options, &files).await;
    }
}
