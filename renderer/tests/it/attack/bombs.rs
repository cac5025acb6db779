//! Too long, too large, too deep, too many.

use std::fmt::Write;
use std::time::Duration;

use serde_json::json;

use super::{CHART, Scene, source};

const DEEP: usize = 10_000;

fn template(text: &str) -> [(&str, &str); 2] {
    [CHART, ("app/templates/a.yaml", text)]
}

fn jsonnet(text: &str) -> [(&str, &str); 1] {
    [("app/a.jsonnet", text)]
}

/// Aliases of aliases: 10 to the power of `levels` values.
fn billion_laughs(levels: usize) -> String {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..levels {
        let before = format!("*a{},", level - 1).repeat(10);
        writeln!(
            text,
            "a{level}: &a{level} [{}]",
            before.trim_end_matches(',')
        )
        .unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_ends_is_stopped_by_time_or_by_depth() {
    let scene = Scene::with(Duration::from_secs(2), 256 << 20).await;
    let time = "longer than 2 s, the limit of one render";
    let tree = "{{ define \"t\" }}{{ if lt (len .) 40 }}{{ include \"t\" (append . 1) }}{{ include \"t\" (append . 1) }}{{ end }}{{ end }}{{ include \"t\" (list) }}";
    let range = "{{ range until 10000 }}{{ range until 10000 }}{{ range until 10000 }}{{ end }}{{ end }}{{ end }}";
    for (what, text) in [("a range", range), ("a tree of includes", tree)] {
        scene
            .refuses(what, &template(text), &["app at", time])
            .await;
    }
    for (what, text) in [
        ("a tail call", "local f(x) = f(x + 1) tailstrict; f(0)"),
        (
            "a comprehension",
            "std.length([a + b + c for a in std.range(1, 2000) for b in std.range(1, 2000) for c in std.range(1, 2000)])",
        ),
    ] {
        let text = scene
            .refusal(scene.repository.job(source(), &jsonnet(text)))
            .await;
        assert!(
            text.contains(time) || text.contains("of memory, the limit"),
            "{what}: {text}"
        );
    }
    assert!(scene.engine.replaced.get() >= 3);
    for (what, text, says) in [
        (
            "include",
            "{{ define \"r\" }}{{ include \"r\" . }}{{ end }}{{ include \"r\" . }}",
            "\"r\" includes itself more than 1000 times",
        ),
        (
            "template",
            "{{ define \"r\" }}{{ template \"r\" . }}{{ end }}{{ template \"r\" . }}",
            "exceeded maximum template depth",
        ),
    ] {
        scene
            .refuses(what, &template(text), &["templates/a.yaml", says])
            .await;
    }
    let cycle = [
        ("app/kustomization.yaml", "resources: [../b]\n"),
        ("b/kustomization.yaml", "resources: [../app]\n"),
    ];
    scene.refuses("a cycle of bases", &cycle, &["cycle"]).await;
    let components = [
        ("app/kustomization.yaml", "components: [../b]\n"),
        (
            "b/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncomponents: [../c]\n",
        ),
        (
            "c/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncomponents: [../b]\n",
        ),
    ];
    scene
        .refuses("a cycle of components", &components, &["cycle"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_renders_itself_is_stopped() {
    let scene = Scene::new().await;
    let text =
        "{{ define \"r\" }}{{ tpl \"{{ include \\\"r\\\" . }}\" . }}{{ end }}{{ include \"r\" . }}";
    // Each round parses the chart again: memory or time may be up before the rounds are.
    let error = scene
        .refusal(scene.repository.job(source(), &template(text)))
        .await;
    assert!(
        error.contains("includes itself more than 1000 times")
            || error.contains("the limit of one render"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_eats_memory_is_stopped() {
    let scene = Scene::with(Duration::from_mins(1), 128 << 20).await;
    let limit = "more than 128 MiB of memory, the limit of one render";
    let doubled = "{{ $x := \"0123456789abcdef\" }}{{ range until 40 }}{{ $x = printf \"%s%s\" $x $x }}{{ end }}";
    for (what, files) in [
        ("doubling", template(doubled)),
        ("repeat", template("{{ repeat 2000000000 \"x\" | len }}")),
        ("a long list", template("{{ len (until 2000000000) }}")),
        (
            "1 GiB of output",
            template(
                "{{ $x := repeat 1048576 \"x\" }}{{ range until 1024 }}a: {{ $x }}\n{{ end }}",
            ),
        ),
    ] {
        scene.refuses(what, &files, &["app at", limit]).await;
    }
    for (what, text) in [
        (
            "a long text",
            "std.length(std.repeat('0123456789abcdef', 200000000))",
        ),
        (
            "doubling",
            "local f(x, n) = if n == 0 then x else f(x + x, n - 1) tailstrict; std.length(f('0123456789abcdef', 40))",
        ),
        (
            "a long array",
            "std.foldl(function(a, i) a + a, std.range(0, 60), [1, 2])[0]",
        ),
    ] {
        scene
            .refuses(
                what,
                &jsonnet(text),
                &[limit, "(after reading app/a.jsonnet)"],
            )
            .await;
    }
    assert!(scene.engine.replaced.get() >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_do_not_multiply() {
    let scene = Scene::new().await;
    let bomb = billion_laughs(12);
    let object = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n{bomb}");
    let good = (
        "app/templates/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {}\n",
    );
    let counted = "with aliases counted as what they stand for";
    let excessive = "document contains excessive aliasing";
    let overlay = "resources: [a.yaml]\nnamePrefix: x-\n";
    for (files, says) in [
        (
            vec![("app/a.yaml", object.as_str())],
            ["app/a.yaml:9", counted],
        ),
        (
            vec![CHART, ("app/templates/a.yaml", &object)],
            ["dome/templates/a.yaml (line 9", counted],
        ),
        (
            vec![CHART, good, ("app/values.yaml", &bomb)],
            ["values.yaml", excessive],
        ),
        (
            vec![good, ("app/Chart.yaml", &bomb)],
            ["Chart.yaml", excessive],
        ),
        (
            vec![CHART, good, ("app/.argocd-source.yaml", &bomb)],
            ["app/.argocd-source.yaml", counted],
        ),
        (
            vec![("app/kustomization.yaml", &bomb)],
            ["app/kustomization.yaml:6", counted],
        ),
        (
            vec![("app/kustomization.yaml", overlay), ("app/a.yaml", &object)],
            ["app/a.yaml:9", counted],
        ),
    ] {
        scene.refuses(says[0], &files, &says).await;
    }
    let source = json!({"repoURL": "r", "path": "app", "helm": {"values": bomb}});
    scene
        .refuses_source(
            "values of the source",
            source,
            &[CHART, good],
            &["source.helm.values", excessive],
        )
        .await;
    assert_eq!(scene.engine.replaced.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_levels_are_too_deep() {
    let scene = Scene::new().await;
    let lists = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    let maps = format!("{}1{}", "{\"a\":".repeat(DEEP), "}".repeat(DEEP));
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let object = format!("{head}data: {maps}\n");
    let json_object = format!("{{\"apiVersion\":\"v1\",\"kind\":\"A\",\"a\":{lists}}}");
    let values = format!("a: {lists}\n");
    let nested = format!("{head}data: {{{{ .Values.a | toJson }}}}\n");
    let good = ("app/templates/a.yaml", nested.as_str());
    let code = format!("{{kind: 'A', apiVersion: 'v1', a: {lists}}}");
    let grown =
        "{kind: 'A', apiVersion: 'v1', a: std.foldl(function(a, i) [a], std.range(1, 10000), [])}";
    let levels = "over 100 nested levels";
    let overlay = "resources: [a.yaml]\nnamePrefix: x-\n";
    for (files, says) in [
        (
            vec![("app/a.yaml", object.as_str())],
            ["app/a.yaml:4", levels],
        ),
        (
            vec![("app/a.json", &json_object)],
            ["app/a.json", "recursion limit exceeded at line 1"],
        ),
        (
            vec![CHART, ("app/templates/a.yaml", &object)],
            ["dome/templates/a.yaml (line 4 of its output)", levels],
        ),
        (
            vec![CHART, good, ("app/values.yaml", &values)],
            ["values.yaml", "exceeded max depth"],
        ),
        (
            vec![("app/kustomization.yaml", &values)],
            ["app/kustomization.yaml", levels],
        ),
        (
            vec![("app/kustomization.yaml", overlay), ("app/a.yaml", &object)],
            ["app/a.yaml:4", levels],
        ),
        (
            vec![("app/a.jsonnet", &code)],
            [
                // Of stack or of memory, whichever is up first.
                "app at",
                "(after reading app/a.jsonnet)",
            ],
        ),
        (
            vec![("app/a.jsonnet", grown)],
            ["app/a.jsonnet", "max stack frames exceeded"],
        ),
        (
            vec![CHART, ("app/.argocd-source.yaml", &values)],
            ["app/.argocd-source.yaml", levels],
        ),
    ] {
        scene.refuses(says[0], &files, &says).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_sizes_are_bounded() {
    let scene = Scene::with(Duration::from_mins(1), 512 << 20).await;
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a-";
    let many =
        format!("{{{{ range $i, $_ := until 100000 }}}}---\n{head}{{{{ $i }}}}\n{{{{ end }}}}");
    scene
        .refuses(
            "objects of a chart",
            &template(&many),
            &["over 20000 objects, the limit of one application"],
        )
        .await;
    let mut plain = String::new();
    for index in 0..100_000 {
        writeln!(plain, "---\n{head}{index}").unwrap();
    }
    scene
        .refuses(
            "plain objects",
            &[("app/a.yaml", &plain)],
            &["over 20000 objects"],
        )
        .await;
    let evaluated =
        "[{apiVersion: 'v1', kind: 'A', metadata: {name: 'a-' + i}} for i in std.range(1, 100000)]";
    scene
        .refuses(
            "Jsonnet's objects",
            &jsonnet(evaluated),
            &["over 20000 objects"],
        )
        .await;
    let output = "{{ $x := repeat 1048576 \"x\" }}{{ range until 80 }}a: {{ $x }}\n{{ end }}";
    scene
        .refuses(
            "output",
            &template(output),
            &["the output of", "is over the limit of 67108864"],
        )
        .await;
    let huge = "x".repeat(17 << 20);
    for name in ["app/values.yaml", "app/templates/a.yaml", "app/big.yaml"] {
        let files = if name == "app/big.yaml" {
            vec![(name, huge.as_str())]
        } else {
            vec![CHART, (name, huge.as_str())]
        };
        scene
            .refuses(
                "a huge file",
                &files,
                &[name, "17825792 bytes", "the limit of one file is 16777216"],
            )
            .await;
    }
    let asks = "{{ .Files.Get \"big.txt\" | len }}";
    let values = json!({"repoURL": "r", "path": "app", "helm": {"valueFiles": ["big.txt"]}});
    let limit = ["app/big.txt", "the limit of one file is 16777216"];
    let files = [
        CHART,
        ("app/templates/a.yaml", asks),
        ("app/big.txt", &huge),
    ];
    scene.refuses("a file of .Files", &files, &limit).await;
    let files = [CHART, ("app/big.txt", huge.as_str())];
    scene
        .refuses_source("a value file", values, &files, &limit)
        .await;
    let large = "x".repeat(15 << 20);
    let files = [
        CHART,
        ("app/templates/a", &large),
        ("app/templates/b", &large[1..]),
        ("app/templates/c", &large[2..]),
    ];
    scene
        .refuses(
            "files together",
            &files,
            &[
                "app/templates/c",
                "over 46137344 bytes, the limit of one render",
            ],
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_bounded() {
    let scene = Scene::new().await;
    for (count, says) in [
        (
            20_001,
            "app holds more than 20000 files, the limit of one render",
        ),
        (1_000_000, "app"),
    ] {
        let job = scene.repository.job_with_listing(source(), "app", count);
        let text = scene.refusal(job).await;
        assert!(text.contains(says), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_do_not_explode() {
    let scene = Scene::with(Duration::from_secs(10), 256 << 20).await;
    let text = "x".repeat(20_000);
    for regex in ["(a{1000}){1000}", "((((a{100}){100}){100}){100}){100}"] {
        let template_text = format!("{{{{ mustRegexMatch \"{regex}\" .Release.Name }}}}");
        scene
            .refuses(regex, &template(&template_text), &["templates/a.yaml:1"])
            .await;
    }
    let slow = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{m: \"{{{{ regexMatch \"^(x+x+)+y$\" \"{text}\" }}}}\"}}\n"
    );
    let rendered = scene
        .engine
        .render(scene.repository.job(source(), &template(&slow)))
        .await
        .unwrap();
    assert_eq!(rendered.objects[0]["data"]["m"], "false");
    for include in ["{a,b}".repeat(40), "{".repeat(1000), "[".repeat(5000)] {
        let source = json!({"repoURL": "r", "path": "app", "directory": {"include": include}});
        scene
            .refuses_source(
                "a glob",
                source,
                &[("app/a.yaml", "")],
                &["source.directory.include is malformed"],
            )
            .await;
    }
}
