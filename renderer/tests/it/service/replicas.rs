//! Two renderers at one stream of work: what has equal inputs is rendered once by the two together.

use super::*;

const CHART: (&str, &str) = (
    "dome/Chart.yaml",
    "apiVersion: v2\nname: dome\nversion: 1.0.0\n",
);
const TEMPLATE: (&str, &str) = (
    "dome/templates/a.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: {{ .Values.shutter | quote }}}\n",
);
const VALUES: (&str, &str) = ("dome/values.yaml", "shutter: closed\n");

/// Another renderer beside the scene's own, for as long as it is held.
struct Beside(tokio::task::JoinHandle<anyhow::Result<()>>);

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Beside {
    fn start(scene: &Scene) -> Self {
        let scratch = scene.folder.path().join("beside");
        std::fs::create_dir(&scratch).unwrap();
        let args = mk_args(&scene.nats, &scene.engine, &scratch, &[]);
        Self(tokio::spawn(renderer::run(args)))
    }
}

fn source() -> serde_json::Value {
    json!({"repoURL": "r", "path": "dome", "helm": {
        "valueFiles": ["values.yaml", "/sites/north.yaml"],
        "ignoreMissingValueFiles": true,
    }})
}

/// Whether a generation was rendered, and what it came to.
async fn rendered(scene: &Scene, generation: u64, files: &[(&str, &str)]) -> (bool, Digest) {
    scene.desire(generation, files, source()).await;
    scene.record(generation).await;
    let reused = scene.state(generation).await.reused;
    (!reused, scene.manifests().await.unwrap().digest)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_renderers_neither_renders_what_the_other_did_until_a_file_that_was_absent_appears()
{
    let scene = mk_scene().await;
    let beside = Beside::start(&scene);
    let chart = [CHART, TEMPLATE, VALUES];
    let (is_rendered, closed) = rendered(&scene, 1, &chart).await;
    assert!(is_rendered);

    // Commits elsewhere, whichever of the two takes them.
    for generation in 2..14 {
        let text = generation.to_string();
        let files = [CHART, TEMPLATE, VALUES, ("elsewhere", text.as_str())];
        let found = rendered(&scene, generation, &files).await;
        assert_eq!(found, (false, closed.clone()), "{generation}");
    }

    // A value file that may be missing, and was.
    let north = [
        CHART,
        TEMPLATE,
        VALUES,
        ("sites/north.yaml", "shutter: open\n"),
    ];
    let (is_rendered, open) = rendered(&scene, 14, &north).await;
    assert!(is_rendered);
    assert_ne!(open, closed);

    // Gone again, and back: both are known.
    for generation in [15, 17] {
        assert_eq!(
            rendered(&scene, generation, &chart).await,
            (false, closed.clone())
        );
        assert_eq!(
            rendered(&scene, generation + 1, &north).await,
            (false, open.clone())
        );
    }
    assert!(!beside.0.is_finished(), "the other renderer ended");
}
