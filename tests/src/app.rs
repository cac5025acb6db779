//! An Application of a test's: specified, created, awaited, changed, deleted.

use anyhow::Context;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::installation::Installation;
use crate::scene::Scene;
use crate::wait::{check, until};

pub const FINALIZER: &str = api::annotations::RESOURCES_FINALIZER;

/// An Application before it is created.
pub struct AppBuilder<'a> {
    scene: &'a Scene<'a>,
    object: Value,
}

/// An Application in the cluster.
#[derive(Clone)]
pub struct App<'a> {
    cluster: Cluster,
    towline: &'a Installation,
    pub namespace: String,
    pub name: String,
}

impl<'a> AppBuilder<'a> {
    pub(crate) fn new(scene: &'a Scene<'a>, name: &str) -> Self {
        let object = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {
                "name": format!("{}-{name}", scene.name),
                "namespace": scene.towline.namespace(),
            },
            "spec": {
                "project": "default",
                "source": {
                    "repoURL": scene.repo.url(),
                    "path": name,
                    "targetRevision": "main",
                },
                "destination": {
                    "server": "https://kubernetes.default.svc",
                    "namespace": scene.namespace(),
                },
            },
        });
        Self { scene, object }
    }

    /// Sets a value by JSON pointer, making the objects on the way to it.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut place = &mut self.object;
        for token in pointer.split('/').skip(1) {
            place = &mut place[token.replace("~1", "/")];
        }
        *place = value.into();
        self
    }

    /// Several sources in the place of the one.
    #[must_use]
    pub fn sources(mut self, sources: &Value) -> Self {
        if let Some(spec) = self.object["spec"].as_object_mut() {
            spec.remove("source");
        }
        self.set("/spec/sources", sources.clone())
    }

    /// The folder in the repository; the application's name unless said.
    #[must_use]
    pub fn path(self, path: &str) -> Self {
        self.set("/spec/source/path", path)
    }

    #[must_use]
    pub fn automated(self) -> Self {
        self.set("/spec/syncPolicy/automated", json!({}))
    }

    /// Automated, and nothing is left behind or changed by hand.
    #[must_use]
    pub fn strict(self) -> Self {
        self.set(
            "/spec/syncPolicy/automated",
            json!({"prune": true, "selfHeal": true}),
        )
    }

    #[must_use]
    pub fn sync_options(self, options: &[&str]) -> Self {
        self.set("/spec/syncPolicy/syncOptions", json!(options))
    }

    #[must_use]
    pub fn annotation(self, key: &str, value: &str) -> Self {
        let key = key.replace('/', "~1");
        self.set(&format!("/metadata/annotations/{key}"), value)
    }

    #[must_use]
    pub fn finalizer(self, finalizer: &str) -> Self {
        self.set("/metadata/finalizers", json!([finalizer]))
    }

    /// The object as it would be created, for a repository of Applications.
    pub fn manifest(&self) -> String {
        self.object.to_string()
    }

    pub async fn create(self) -> anyhow::Result<App<'a>> {
        let scene = self.scene;
        scene.cluster.apply(&self.object).await?;
        let name = self.object["metadata"]["name"].as_str().unwrap_or_default();
        Ok(App::existing(scene, name))
    }
}

impl<'a> App<'a> {
    /// An Application that somebody else creates.
    pub fn existing(scene: &'a Scene<'a>, name: &str) -> Self {
        Self {
            cluster: scene.cluster.clone(),
            towline: scene.towline,
            namespace: scene.towline.namespace().to_owned(),
            name: name.to_owned(),
        }
    }

    /// The object.
    pub async fn get(&self) -> anyhow::Result<Value> {
        self.cluster
            .get("Application", &self.namespace, &self.name)
            .await
    }

    /// Waits until a condition on the object holds.
    pub async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        until(&format!("{}: {what}", self.name), || async {
            let app = self.get().await?;
            check(holds(&app), || summary(&app))?;
            Ok(app)
        })
        .await
    }

    /// Waits until it is Synced and Healthy at a commit.
    pub async fn settled(&self, commit: &str) -> anyhow::Result<Value> {
        self.until(&format!("Synced and Healthy at {commit}"), |app| {
            sync(app) == "Synced"
                && health(app) == "Healthy"
                && text(app, "/status/sync/revision") == commit
        })
        .await
    }

    /// Waits until it is Synced and Healthy with its sources at these revisions.
    pub async fn settled_at(&self, revisions: &[&str]) -> anyhow::Result<Value> {
        self.until(&format!("Synced and Healthy at {revisions:?}"), |app| {
            sync(app) == "Synced"
                && health(app) == "Healthy"
                && app.pointer("/status/sync/revisions") == Some(&json!(revisions))
        })
        .await
    }

    /// Waits until it has this sync status and health.
    pub async fn is(&self, wanted_sync: &str, wanted_health: &str) -> anyhow::Result<Value> {
        self.until(&format!("{wanted_sync} and {wanted_health}"), |app| {
            sync(app) == wanted_sync && health(app) == wanted_health
        })
        .await
    }

    /// Waits for a condition of a type whose message holds every one of `words`; its message.
    pub async fn condition(&self, kind: &str, words: &[&str]) -> anyhow::Result<String> {
        let app = self
            .until(&format!("condition {kind} with {words:?}"), |app| {
                condition(app, kind)
                    .is_some_and(|message| words.iter().all(|word| message.contains(word)))
            })
            .await?;
        Ok(condition(&app, kind).unwrap_or_default())
    }

    /// Waits until it has no condition of a type.
    pub async fn no_condition(&self, kind: &str) -> anyhow::Result<()> {
        self.until(&format!("no condition {kind}"), |app| {
            condition(app, kind).is_none()
        })
        .await?;
        Ok(())
    }

    /// A JSON merge patch.
    pub async fn patch(&self, patch: &Value) -> anyhow::Result<()> {
        self.cluster
            .patch("Application", &self.namespace, &self.name, patch)
            .await
    }

    pub async fn annotate(&self, key: &str, value: &str) -> anyhow::Result<()> {
        self.patch(&json!({"metadata": {"annotations": {key: value}}}))
            .await
    }

    pub async fn delete(&self) -> anyhow::Result<()> {
        self.cluster
            .delete("Application", &self.namespace, &self.name)
            .await
    }

    pub async fn gone(&self) -> anyhow::Result<()> {
        self.cluster
            .gone("Application", &self.namespace, &self.name)
            .await
    }

    /// Runs a `towline` command on it, such as `sync`, with further arguments.
    pub async fn command(&self, verb: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let all: Vec<&str> = [verb, self.name.as_str()]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        self.towline
            .told(&all)
            .await
            .with_context(|| format!("towline {verb} {}", self.name))
    }
}

/// Text at a JSON pointer; empty if there is none.
pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub fn sync(app: &Value) -> &str {
    text(app, "/status/sync/status")
}

pub fn health(app: &Value) -> &str {
    text(app, "/status/health/status")
}

/// The message of its condition of a type.
pub fn condition(app: &Value, kind: &str) -> Option<String> {
    let conditions = app.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|one| text(one, "/type") == kind)?;
    Some(text(found, "/message").to_owned())
}

/// What a failed wait shows.
pub fn summary(app: &Value) -> String {
    format!(
        "sync {:?} at {:?}{}, health {:?} ({}), operation {:?} ({}), conditions {}",
        sync(app),
        text(app, "/status/sync/revision"),
        app.pointer("/status/sync/revisions")
            .unwrap_or(&Value::from("")),
        health(app),
        text(app, "/status/health/message"),
        text(app, "/status/operationState/phase"),
        text(app, "/status/operationState/message"),
        app.pointer("/status/conditions").unwrap_or(&Value::Null)
    )
}
