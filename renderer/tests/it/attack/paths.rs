//! Out of the repository by a path, a link or an archive.

use std::io::Write;

use serde_json::json;

use super::{CHART, Scene, source};
use crate::repository::names;

const LEAVES: &str = "leaves the repository";
/// Links out of the repository, as a file and as a folder.
const OUT: [(&str, &str); 3] = [
    ("app/links/up", "-> ../../../etc/passwd"),
    ("app/links/host", "-> /etc/passwd"),
    ("app/links/loop", "-> loop"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_charts_fields_name_files_of_the_repository_only() {
    let scene = Scene::new().await;
    let files = [CHART, OUT[0], OUT[1], OUT[2]];
    for (path, says) in [
        ("../../etc/passwd", vec![LEAVES, "app/../../etc/passwd"]),
        ("/../etc/passwd", vec![LEAVES]),
        ("/etc/passwd", vec!["etc/passwd, which does not exist"]),
        (
            "links/up",
            vec!["app/links/up points to ../../../etc/passwd, out of"],
        ),
        ("links/host", vec!["app/links/host points to /etc/passwd"]),
        (
            "links/loop",
            vec!["app/links/loop", "more than 40 symbolic links"],
        ),
        ("file:///etc/passwd", vec!["source.helm.", "file"]),
        ("$env/../../x", vec!["env"]),
    ] {
        for helm in [
            json!({"valueFiles": [path]}),
            json!({"fileParameters": [{"name": "a", "path": path}]}),
        ] {
            let source = json!({"repoURL": "r", "path": "app", "helm": helm});
            scene
                .refuses_source(&format!("{helm}"), source, &files, &says)
                .await;
        }
    }
    assert_eq!(scene.engine.replaced.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_of_a_kustomization_stays_inside() {
    let scene = Scene::new().await;
    let object = (
        "app/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    );
    for field in [
        "resources: [PATH]",
        "components: [PATH]",
        "bases: [PATH]",
        "crds: [PATH]",
        "configurations: [PATH]",
        "transformers: [PATH]",
        "generators: [PATH]",
        "validators: [PATH]",
        "patchesStrategicMerge: [PATH]",
        "patches: [{path: PATH, target: {kind: ConfigMap}}]",
        "patchesJson6902: [{path: PATH, target: {version: v1, kind: ConfigMap, name: a}}]",
        "replacements: [{path: PATH}]",
        "openapi: {path: PATH}",
        "configMapGenerator: [{name: b, files: [PATH]}]",
        "configMapGenerator: [{name: b, files: ['key=PATH']}]",
        "configMapGenerator: [{name: b, envs: [PATH]}]",
        "secretGenerator: [{name: b, files: [PATH]}]",
        "secretGenerator: [{name: b, envs: [PATH]}]",
    ] {
        for (path, says) in [
            ("../../etc/passwd", LEAVES),
            ("links/up", "links/up points to ../../../etc/passwd"),
            ("links/host", "app/links/host points to /etc/passwd"),
            ("links/loop", "more than 40 symbolic links"),
        ] {
            let kustomization = format!(
                "resources: [a.yaml]\n{}\n",
                field
                    .replace("PATH", path)
                    .replace("resources: [", "resources: [a.yaml, ")
            );
            let kustomization = kustomization.replacen(
                if field.starts_with("resources") {
                    "resources: [a.yaml]\n"
                } else {
                    "\u{0}"
                },
                "",
                1,
            );
            let files = [
                object,
                OUT[0],
                OUT[1],
                OUT[2],
                ("app/kustomization.yaml", kustomization.as_str()),
            ];
            scene.refuses(&kustomization, &files, &[says]).await;
        }
    }
    assert_eq!(scene.engine.replaced.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_charts_folders_and_parameter_files_stay_inside() {
    let scene = Scene::new().await;
    let says = ["points to", "out of the repository"];
    for link in [
        "app/templates/x.yaml",
        "app/charts/x",
        "app/crds/x",
        "app/values.yaml",
        "app/values.schema.json",
        "app/.helmignore",
        "app/Chart.lock",
        "app/.argocd-source.yaml",
        "app/.argocd-source-dome.yaml",
    ] {
        for target in ["-> ../../../../etc/passwd", "-> /etc/passwd"] {
            scene.refuses(link, &[CHART, (link, target)], &says).await;
        }
    }
    for (link, target) in [
        ("app/x.yaml", "-> ../../etc/passwd"),
        ("app/x.yaml", "-> /etc/passwd"),
    ] {
        scene.refuses(link, &[(link, target)], &says).await;
    }
    scene
        .refuses("the path itself", &[("app", "-> ../etc")], &says)
        .await;
    let looped = [
        CHART,
        ("app/templates/up", "-> .."),
        ("app/templates/a", ""),
    ];
    scene
        .refuses("a folder in itself", &looped, &["app/templates"])
        .await;
    let mut job = scene.repository.job(source(), &[CHART]);
    job.last_mile = Some("../../etc".to_owned());
    assert!(scene.refusal(job).await.contains(LEAVES));
}

#[tokio::test(flavor = "multi_thread")]
async fn jsonnet_imports_and_libraries_stay_inside() {
    let scene = Scene::new().await;
    for (import, says) in [
        ("import '../../../etc/x.libsonnet'", LEAVES),
        ("importstr '../../etc/passwd'", LEAVES),
        ("importbin '/etc/passwd'", "\"/etc/passwd\" is absolute"),
        ("importstr 'links/up'", "app/links/up points to"),
        ("importstr 'links/host'", "app/links/host points to"),
        ("importstr 'links/loop'", "more than 40 symbolic links"),
        ("importstr 'links'", "is the folder app/links"),
        ("import 'main.jsonnet'", "max stack frames exceeded"),
    ] {
        let main = format!("local x = {import}; {{ kind: x }}");
        let files = [("app/main.jsonnet", main.as_str()), OUT[0], OUT[1], OUT[2]];
        scene.refuses(import, &files, &[says]).await;
    }
    for lib in ["../lib", "a/../../lib"] {
        let source =
            json!({"repoURL": "r", "path": "app", "directory": {"jsonnet": {"libs": [lib]}}});
        scene
            .refuses_source(lib, source, &[("app/a.jsonnet", "{}")], &[LEAVES, lib])
            .await;
    }
    let source =
        json!({"repoURL": "r", "path": "app", "directory": {"jsonnet": {"libs": ["out"]}}});
    let files = [("app/a.jsonnet", "import 'x'"), ("out", "-> ../lib")];
    scene
        .refuses_source(
            "a library that is a link",
            source,
            &files,
            &["out points to ../lib"],
        )
        .await;
    assert_eq!(scene.engine.replaced.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_reads_files_of_its_chart_only() {
    let scene = Scene::new().await;
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  \
        up: {{ .Files.Get \"../secret\" | quote }}\n  host: {{ .Files.Get \"/etc/passwd\" | quote }}\n  \
        glob: {{ (.Files.Glob \"../**\").AsConfig | quote }}\n";
    let files = [CHART, ("app/templates/a.yaml", template), ("secret", "x")];
    let rendered = scene
        .engine
        .render(scene.repository.job(source(), &files))
        .await
        .unwrap();
    assert_eq!(names(&rendered), ["ConfigMap/a"]);
    let data = &rendered.objects[0]["data"];
    assert_eq!((&data["up"], &data["host"]), (&json!(""), &json!("")));
    assert!(
        ["", "{}\n", "{}"].contains(&data["glob"].as_str().unwrap()),
        "{data}"
    );
}

/// What an entry of an archive is, its name, what a link points to, and its content: a text, and zeros behind it.
struct Entry {
    kind: u8,
    name: &'static str,
    target: &'static str,
    text: &'static [u8],
    zeros: usize,
}

fn mk_entry(kind: u8, name: &'static str, target: &'static str, zeros: usize) -> Entry {
    let text = b"";
    Entry {
        kind,
        name,
        target,
        text,
        zeros,
    }
}

/// A chart as a gzipped archive, with more entries.
fn mk_archive(entries: Vec<Entry>) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![0; 1 << 20];
    let chart = Entry {
        text: b"apiVersion: v2\nname: sub\nversion: 1.0.0\n",
        ..mk_entry(b'0', "sub/Chart.yaml", "", 0)
    };
    for entry in [chart].into_iter().chain(entries) {
        let size = entry.text.len() + entry.zeros;
        let mut head = [0_u8; 512];
        let mut put = |at: usize, text: &[u8]| head[at..at + text.len()].copy_from_slice(text);
        put(0, entry.name.as_bytes());
        put(100, b"0000644");
        put(124, format!("{size:011o}").as_bytes());
        put(148, b"        ");
        put(156, &[entry.kind]);
        put(157, entry.target.as_bytes());
        put(257, b"ustar\x0000");
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        gzip.write_all(&head).unwrap();
        gzip.write_all(entry.text).unwrap();
        let mut left = size.div_ceil(512) * 512 - entry.text.len();
        while left > 0 {
            let now = left.min(zeros.len());
            gzip.write_all(&zeros[..now]).unwrap();
            left -= now;
        }
    }
    gzip.write_all(&[0; 1024]).unwrap();
    gzip.finish().unwrap()
}

fn with_archive(scene: &Scene, entries: Vec<Entry>) -> renderer::Job {
    let archive = mk_archive(entries);
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let files: [(&str, &[u8]); 3] = [
        (CHART.0, CHART.1.as_bytes()),
        ("app/templates/a.yaml", template.as_bytes()),
        ("app/charts/sub.tgz", &archive),
    ];
    let mut job = scene.repository.job_of(source(), &files);
    // What can't be looked into may ask for anything.
    job.capabilities = Some(bus::message::cluster::Capabilities {
        kube_version: "v1.37.2".to_owned(),
        api_versions: Vec::new(),
    });
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_chart_holds_no_file_above_it_and_no_bomb() {
    let scene = Scene::new().await;
    let large = |count| {
        (0..count)
            .map(|_| mk_entry(b'0', "sub/big", "", 4 << 20))
            .collect()
    };
    for (what, entries, says) in [
        (
            "up",
            vec![mk_entry(b'0', "sub/../../x", "", 0)],
            "illegally references parent directory",
        ),
        (
            "backslashes",
            vec![mk_entry(b'0', "sub\\..\\..\\x", "", 0)],
            "illegally references parent directory",
        ),
        (
            "a drive",
            vec![mk_entry(b'0', "sub/c:/x", "", 0)],
            "illegally named files",
        ),
        (
            "one large file",
            vec![mk_entry(b'0', "sub/big", "", 101 << 20)],
            "104857600",
        ),
        ("many large files", large(40), "104857600"),
        (
            "a bomb in an archive in an archive",
            vec![Entry {
                text: mk_archive(large(40)).leak(),
                ..mk_entry(b'0', "sub/charts/inner.tgz", "", 0)
            }],
            "104857600",
        ),
    ] {
        let text = scene.refusal(with_archive(&scene, entries)).await;
        assert!(
            text.contains("sub.tgz") && text.contains(says),
            "{what}: {text}"
        );
    }
    assert_eq!(scene.engine.replaced.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_archives_of_which_each_is_allowed_are_too_much_together() {
    let scene = Scene::new().await;
    let archive = mk_archive(vec![mk_entry(b'0', "sub/big", "", 90 << 20)]);
    let names: Vec<String> = (0..20).map(|n| format!("app/charts/sub{n}.tgz")).collect();
    let mut files: Vec<(&str, &[u8])> = vec![(CHART.0, CHART.1.as_bytes())];
    files.extend(names.iter().map(|name| (name.as_str(), &archive[..])));
    let mut job = scene.repository.job_of(source(), &files);
    job.capabilities = Some(bus::message::cluster::Capabilities {
        kube_version: "v1.37.2".to_owned(),
        api_versions: Vec::new(),
    });
    let text = scene.refusal(job).await;
    assert!(
        text.contains("more than 256 MiB of memory, the limit of one render")
            && text.ends_with("(after reading app/Chart.yaml)"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_archive_names_outside_is_inside_or_nothing() {
    let scene = Scene::new().await;
    for (kind, name, target) in [
        (b'0', "/etc/x", ""),
        (b'2', "sub/link", "/etc/passwd"),
        (b'1', "sub/hard", "/etc/passwd"),
        (b'6', "sub/pipe", ""),
        (b'3', "sub/device", ""),
    ] {
        let job = with_archive(&scene, vec![mk_entry(kind, name, target, 0)]);
        let rendered = scene.engine.render(job).await.unwrap();
        assert_eq!(names(&rendered), ["ConfigMap/a"], "{name}");
    }
}
