//! The cluster as tests look at it: objects by kind and name.

use std::path::Path;

use anyhow::Context;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use crate::wait::{check, until};

/// Whom the API server sees when a test applies something.
pub const MANAGER: &str = "tests";

/// A client. It belongs to the runtime that made it.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
}

/// Kinds that tests use: kind, API version, plural.
const KINDS: &[(&str, &str, &str)] = &[
    ("Application", "argoproj.io/v1alpha1", "applications"),
    ("AppProject", "argoproj.io/v1alpha1", "appprojects"),
    (
        "ClusterRole",
        "rbac.authorization.k8s.io/v1",
        "clusterroles",
    ),
    ("ConfigMap", "v1", "configmaps"),
    ("Deployment", "apps/v1", "deployments"),
    ("Event", "v1", "events"),
    ("Job", "batch/v1", "jobs"),
    ("Namespace", "v1", "namespaces"),
    ("Pod", "v1", "pods"),
    ("Secret", "v1", "secrets"),
    ("Service", "v1", "services"),
    ("ServiceAccount", "v1", "serviceaccounts"),
    ("StatefulSet", "apps/v1", "statefulsets"),
    (
        "ValidatingAdmissionPolicy",
        "admissionregistration.k8s.io/v1",
        "validatingadmissionpolicies",
    ),
    (
        "ValidatingAdmissionPolicyBinding",
        "admissionregistration.k8s.io/v1",
        "validatingadmissionpolicybindings",
    ),
];

/// The API of a kind.
pub fn resource(kind: &str) -> anyhow::Result<ApiResource> {
    let &(kind, version, plural) = KINDS
        .iter()
        .find(|(known, _, _)| *known == kind)
        .with_context(|| format!("no test uses the kind {kind} yet"))?;
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    Ok(ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(group, version, kind),
        plural,
    ))
}

impl Cluster {
    pub async fn connect(kubeconfig: &Path) -> anyhow::Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig)?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Self {
            client: Client::try_from(config)?,
        })
    }

    /// Objects of a kind in a namespace; an empty one is for kinds that live in none.
    pub fn api(&self, kind: &str, namespace: &str) -> anyhow::Result<Api<DynamicObject>> {
        let resource = resource(kind)?;
        Ok(if namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        })
    }

    /// The object as JSON, if it is there.
    pub async fn find(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<Option<Value>> {
        let found = self.api(kind, namespace)?.get_opt(name).await?;
        Ok(found.map(serde_json::to_value).transpose()?)
    }

    /// The object, which must be there.
    pub async fn get(&self, kind: &str, namespace: &str, name: &str) -> anyhow::Result<Value> {
        self.find(kind, namespace, name)
            .await?
            .with_context(|| format!("{kind} {namespace}/{name} is not there"))
    }

    pub async fn list(&self, kind: &str, namespace: &str) -> anyhow::Result<Vec<Value>> {
        let list = self
            .api(kind, namespace)?
            .list(&ListParams::default())
            .await?;
        let values = list.items.into_iter().map(serde_json::to_value);
        Ok(values.collect::<Result<_, _>>()?)
    }

    /// Server-side apply, in the tests' name.
    pub async fn apply(&self, object: &Value) -> anyhow::Result<Value> {
        self.apply_as(MANAGER, object).await
    }

    /// Server-side apply in somebody's name, by force.
    pub async fn apply_as(&self, manager: &str, object: &Value) -> anyhow::Result<Value> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let kind = text("/kind").context("an object without a kind")?;
        let name = text("/metadata/name").context("an object without a name")?;
        let api = self.api(kind, text("/metadata/namespace").unwrap_or_default())?;
        let params = PatchParams::apply(manager).force();
        let applied = api
            .patch(name, &params, &Patch::Apply(object))
            .await
            .with_context(|| format!("applying {kind} {name}"))?;
        Ok(serde_json::to_value(applied)?)
    }

    /// A JSON merge patch.
    pub async fn patch(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> anyhow::Result<()> {
        let api = self.api(kind, namespace)?;
        let params = PatchParams {
            field_manager: Some("kubectl-edit".to_owned()),
            ..PatchParams::default()
        };
        api.patch(name, &params, &Patch::Merge(patch))
            .await
            .with_context(|| format!("patching {kind} {namespace}/{name}"))?;
        Ok(())
    }

    pub async fn delete(&self, kind: &str, namespace: &str, name: &str) -> anyhow::Result<()> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let api = self.api(kind, namespace)?;
        match api.delete(name, &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            outcome => outcome
                .map(drop)
                .with_context(|| format!("deleting {kind} {namespace}/{name}")),
        }
    }

    pub async fn namespace(&self, name: &str) -> anyhow::Result<()> {
        self.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .await?;
        Ok(())
    }

    /// The secret with which pushes to this installation are signed.
    pub async fn webhook_secret(&self, namespace: &str, secret: &str) -> anyhow::Result<()> {
        self.namespace(namespace).await?;
        self.apply(&json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": api::settings::SECRET,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/part-of": "argocd"},
            },
            "stringData": {(api::settings::WebhookKey::GitHub.name()): secret},
        }))
        .await?;
        Ok(())
    }

    pub async fn gone(&self, kind: &str, namespace: &str, name: &str) -> anyhow::Result<()> {
        until(&format!("{kind} {namespace}/{name} is gone"), || async {
            let found = self.find(kind, namespace, name).await?;
            check(found.is_none(), || "it is there".to_owned())
        })
        .await
    }

    /// Waits until the object is there and its field, by JSON pointer, has this value.
    pub async fn has(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        (field, value): (&str, &Value),
    ) -> anyhow::Result<Value> {
        until(
            &format!("{kind} {namespace}/{name} has {value} at {field}"),
            || async {
                let object = self.get(kind, namespace, name).await?;
                let found = object.pointer(field).unwrap_or(&Value::Null);
                check(found == value, || format!("it has {found}"))?;
                Ok(object)
            },
        )
        .await
    }
}
