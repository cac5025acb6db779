//! The control cluster made ready: CRDs, the namespace of Applications, the `default` project, and nobody else at work.

use std::time::Duration;

use anyhow::{Context as _, bail};
use api::AppProject;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client, ResourceExt as _};

const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);
/// The label by which Argo CD's own charts and manifests name its controller.
const ARGO_CONTROLLER: &str = "app.kubernetes.io/name=argocd-application-controller";

/// A client of the cluster that `kubeconfig` names; of the environment's when none.
pub(crate) async fn client(kubeconfig: Option<&std::path::Path>) -> anyhow::Result<Client> {
    let config = match kubeconfig {
        Some(path) => {
            let file = kube::config::Kubeconfig::read_from(path)
                .with_context(|| format!("reading the kubeconfig {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default())
                .await?
        }
        None => kube::Config::infer()
            .await
            .context("finding a cluster: give --kubeconfig")?,
    };
    Client::try_from(config).context("making a client of the cluster")
}

/// Refuses to work beside a running Argo CD: the two would undo each other's work.
pub(crate) async fn refuse_to_fight(client: &Client) -> anyhow::Result<()> {
    let params = ListParams::default().labels(ARGO_CONTROLLER);
    let mut active = Vec::new();
    for set in Api::<StatefulSet>::all(client.clone())
        .list(&params)
        .await
        .context("looking for Argo CD")?
    {
        if set
            .status
            .as_ref()
            .and_then(|status| status.ready_replicas)
            .unwrap_or(0)
            > 0
        {
            active.push(format!(
                "StatefulSet {}/{}",
                set.namespace().unwrap_or_default(),
                set.name_any()
            ));
        }
    }
    for deployment in Api::<Deployment>::all(client.clone())
        .list(&params)
        .await
        .context("looking for Argo CD")?
    {
        if deployment
            .status
            .as_ref()
            .and_then(|status| status.ready_replicas)
            .unwrap_or(0)
            > 0
        {
            active.push(format!(
                "Deployment {}/{}",
                deployment.namespace().unwrap_or_default(),
                deployment.name_any()
            ));
        }
    }
    if active.is_empty() {
        return Ok(());
    }
    bail!(
        "an Argo CD controller is active here ({}): two controllers would undo each other's work.\nScale it to 0, or run \
         `towline up --observe`, which renders and compares but applies nothing and writes no status.",
        active.join(", ")
    )
}

/// Creates what is missing; changes nothing that is there.
pub(crate) async fn prepare(client: &Client, namespace: &str) -> anyhow::Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in api::crds() {
        let name = crd.name_any();
        create(&crds, &crd)
            .await
            .with_context(|| format!("creating the CRD {name}"))?;
        let established = await_condition(crds.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(ESTABLISHED_WITHIN, established)
            .await
            .with_context(|| {
                format!(
                    "the CRD {name} was not established in {} s",
                    ESTABLISHED_WITHIN.as_secs()
                )
            })?
            .with_context(|| format!("waiting for the CRD {name}"))?;
    }
    let manifest = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    let object: Namespace = serde_json::from_value(manifest)?;
    create(&Api::all(client.clone()), &object)
        .await
        .with_context(|| format!("creating namespace {namespace}"))?;
    let project: AppProject = serde_json::from_value(serde_json::json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "default", "namespace": namespace},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"namespace": "*", "server": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        },
    }))?;
    create(&Api::namespaced(client.clone(), namespace), &project)
        .await
        .context("creating the project `default`")
}

async fn create<K>(api: &Api<K>, object: &K) -> Result<(), kube::Error>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    match api.create(&PostParams::default(), object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}
