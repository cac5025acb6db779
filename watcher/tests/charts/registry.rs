//! A real registry, filled by the real Helm.

use std::process::Command;

use deploy::{Component, Registry};
use serde_json::json;
use tempfile::TempDir;
use watcher::source::Remote;
use watcher::source::error::FetchError;

use super::fetched::{anybody, archive, get, sha256, text};

struct Scene {
    registry: Registry,
    client: reqwest::Client,
    folder: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::start(folder.path()).await.unwrap();
        let client = anybody().client().unwrap().build().unwrap();
        Self {
            registry,
            client,
            folder,
        }
    }

    /// Has Helm make, pack and push a chart.
    async fn push_chart(&self, version: &str) {
        let helm = deploy::locate(Component::Helm).await.unwrap();
        let chart = self.folder.path().join("web");
        std::fs::create_dir_all(chart.join("templates")).unwrap();
        let about = format!("apiVersion: v2\nname: web\nversion: {version}\n");
        std::fs::write(chart.join("Chart.yaml"), about).unwrap();
        std::fs::write(chart.join("values.yaml"), "a: 1\n").unwrap();
        let run = |arguments: &[&str]| {
            let done = Command::new(&helm)
                .args(arguments)
                .current_dir(self.folder.path())
                .env("HOME", self.folder.path())
                .output()
                .unwrap();
            assert!(done.status.success(), "{done:?}");
        };
        run(&["package", "web"]);
        let to = format!("oci://{}/charts", self.registry.host());
        run(&["push", &format!("web-{version}.tgz"), &to, "--plain-http"]);
    }

    fn url(&self, below: &str) -> String {
        format!("http://{}/v2/{below}", self.registry.host())
    }

    async fn put_blob(&self, name: &str, blob: &[u8]) -> String {
        let digest = format!("sha256:{}", sha256(blob));
        let url = self.url(&format!("{name}/blobs/uploads/?digest={digest}"));
        let upload = self.client.post(url).body(blob.to_vec());
        let answer = upload.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        digest
    }

    /// Pushes an artifact with files; its digest.
    async fn push_files(&self, name: &str, tag: &str, layer: &[u8]) -> String {
        let config = self.put_blob(name, b"{}").await;
        let digest = self.put_blob(name, layer).await;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/vnd.example.config.v1",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": digest,
                "size": layer.len(),
            }],
        });
        self.put_manifest(name, tag, MANIFEST, &manifest).await
    }

    async fn put_manifest(
        &self,
        name: &str,
        tag: &str,
        kind: &str,
        manifest: &serde_json::Value,
    ) -> String {
        let text = manifest.to_string();
        let request = self
            .client
            .put(self.url(&format!("{name}/manifests/{tag}")))
            .header("content-type", kind)
            .body(text.clone());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        format!("sha256:{}", sha256(text.as_bytes()))
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[tokio::test]
async fn charts_that_helm_pushed_are_had_by_version_by_range_and_the_newest() {
    let scene = Scene::new().await;
    for version in ["1.2.0", "1.3.0+build.7"] {
        scene.push_chart(version).await;
    }
    let copy = scene.folder.path().join("copy");
    let remote = Remote::chart(
        &format!("oci://{}/charts", scene.registry.host()),
        "web",
        false,
    );
    let remote = remote.unwrap();
    for (target, version) in [
        ("1.2.0", "1.2.0"),
        ("1.3.0+build.7", "1.3.0+build.7"),
        ("~1.2", "1.2.0"),
        (">=1.0.0 <2", "1.3.0+build.7"),
        ("", "1.3.0+build.7"),
        ("*", "1.3.0+build.7"),
    ] {
        let revision = get(&remote, &anybody(), target, &copy).await.unwrap();
        assert_eq!(&*revision.id, version, "{target}");
        let about = text(&copy, &revision, "Chart.yaml");
        assert!(about.contains(&format!("version: {version}")), "{about}");
        assert_eq!(text(&copy, &revision, "values.yaml"), "a: 1\n");
    }
    for target in ["2.0.0", "^7"] {
        let refused = get(&remote, &anybody(), target, &copy).await.unwrap_err();
        assert!(
            matches!(
                refused,
                FetchError::NotFound { .. } | FetchError::Revision { .. }
            ),
            "{target}: {refused}"
        );
    }
}

#[tokio::test]
async fn an_artifact_is_had_by_tag_digest_and_range_also_as_a_list_of_one() {
    let scene = Scene::new().await;
    let copy = scene.folder.path().join("copy");
    let old = archive(&[("app/config.yaml", "a: 1\n")]);
    let new = archive(&[("app/config.yaml", "a: 2\n"), ("more.yaml", "b: 1\n")]);
    let first = scene.push_files("team/files", "1.0.0", &old).await;
    let second = scene.push_files("team/files", "1.1.0", &new).await;
    let url = format!("oci://{}/team/files", scene.registry.host());
    let remote = Remote::artifact(&url).unwrap();
    for (target, digest, content) in [
        ("1.0.0", &first, "a: 1\n"),
        ("^1.0", &second, "a: 2\n"),
        (first.as_str(), &first, "a: 1\n"),
    ] {
        let revision = get(&remote, &anybody(), target, &copy).await.unwrap();
        assert_eq!(&*revision.id, digest.as_str(), "{target}");
        assert_eq!(text(&copy, &revision, "app/config.yaml"), content);
    }
    // A tag that moves is another digest.
    scene.push_files("team/files", "latest", &old).await;
    let before = get(&remote, &anybody(), "latest", &copy).await.unwrap();
    scene.push_files("team/files", "latest", &new).await;
    let after = get(&remote, &anybody(), "latest", &copy).await.unwrap();
    assert_eq!((&*before.id, &*after.id), (&*first, &*second));

    let manifest = scene.url(&format!("team/files/manifests/{second}"));
    let manifest = scene.client.get(manifest).send().await.unwrap();
    let size = manifest.bytes().await.unwrap().len();
    let entry = json!({"mediaType": MANIFEST, "digest": second, "size": size});
    let list = |entries: Vec<serde_json::Value>| json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    let one = list(vec![entry.clone()]);
    let digest = scene.put_manifest("team/files", "list", INDEX, &one).await;
    let revision = get(&remote, &anybody(), "list", &copy).await.unwrap();
    assert_eq!(&*revision.id, digest.as_str());
    assert_eq!(text(&copy, &revision, "more.yaml"), "b: 1\n");
    let two = list(vec![entry.clone(), entry]);
    scene.put_manifest("team/files", "two", INDEX, &two).await;
    let refused = get(&remote, &anybody(), "two", &copy).await.unwrap_err();
    assert!(matches!(refused, FetchError::Content { .. }), "{refused}");
}
