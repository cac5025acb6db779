//! The store of Secrets on a real API server.

use deploy::{ClusterOptions, Stack, StackOptions, VaultPart};
use secrets_agent::backend::{Backend as _, BackendError, KubernetesSecrets};
use secrets_agent::policy::SecretPath;
use serde_json::json;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams};

fn path(text: &str) -> SecretPath {
    SecretPath::parse(text).unwrap()
}

#[tokio::test]
async fn a_secrets_data_is_read_and_a_change_of_it_is_another_version() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stack = Stack::start(&StackOptions {
        cluster: Some(ClusterOptions::default()),
        vault: VaultPart::Absent,
        ..StackOptions::default()
    })
    .await
    .unwrap();
    let kubeconfig = stack.cluster.as_ref().unwrap().kubeconfig().to_path_buf();
    let client = client_of(&kubeconfig).await;
    let secrets: Api<Secret> = Api::namespaced(client, "default");
    let made: Secret = serde_json::from_value(json!({
        "metadata": {"name": "shop"}, "stringData": {"user": "ada", "lines": "a\nb\n"},
    }))
    .unwrap();
    secrets.create(&PostParams::default(), &made).await.unwrap();

    let store = KubernetesSecrets::new("default".to_owned(), Some(&kubeconfig))
        .await
        .unwrap();
    let shop = path("k8s/shop");
    let document = store.read("", &shop, None).await.unwrap();
    assert_eq!(document.get("user").unwrap().expose(), b"ada");
    assert_eq!(document.get("lines").unwrap().expose(), b"a\nb\n");
    let first = document.version.unwrap();
    assert_eq!(store.newest_version("", &shop).await.unwrap(), Some(first));
    let change = Patch::Merge(json!({"stringData": {"user": "eve"}}));
    secrets
        .patch("shop", &PatchParams::default(), &change)
        .await
        .unwrap();
    assert_ne!(store.newest_version("", &shop).await.unwrap(), Some(first));

    for (text, wanted) in [
        ("k8s/none", "does not exist"),
        ("k8s/shop/user", "k8s/<name>"),
        ("k8s/No_Name", "does not exist"),
    ] {
        let error = store.read("", &path(text), None).await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let pinned = store.read("", &shop, Some(1)).await.unwrap_err();
    assert!(matches!(pinned, BackendError::Unreadable { .. }));
}

async fn client_of(kubeconfig: &std::path::Path) -> kube::Client {
    let file = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(file, &options)
        .await
        .unwrap();
    kube::Client::try_from(config).unwrap()
}
