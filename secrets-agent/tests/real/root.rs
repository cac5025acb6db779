//! A person's work on a Vault, with the root token.

use std::path::PathBuf;

use deploy::Vault;
use secrecy::ExposeSecret;
use secrets_agent::VaultArgs;
use serde_json::{Value, json};

pub(crate) struct Root {
    pub(crate) client: reqwest::Client,
    pub(crate) address: String,
    token: String,
}

impl Root {
    pub(crate) fn of(vault: &Vault) -> Self {
        // As every process does once; here the first test wins.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            client: reqwest::Client::builder()
                .tls_certs_only(Vec::new())
                .no_proxy()
                .build()
                .unwrap(),
            address: vault.address(),
            token: vault.root_token().expose_secret().to_owned(),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let response = self
            .client
            .post(format!("{}/v1/{path}", self.address))
            .header("X-Vault-Token", &self.token)
            .header("Content-Type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Writes a new version of a KV v2 path.
    pub(crate) async fn put(&self, path: &str, data: Value) {
        self.post(path, &json!({ "data": data })).await;
    }

    /// Makes policy `agent`: to read `paths` and nothing else.
    pub(crate) async fn allow(&self, paths: &[&str]) {
        let rules: Vec<String> = paths
            .iter()
            .map(|path| format!("path \"{path}\" {{ capabilities = [\"read\"] }}"))
            .collect();
        self.post(
            "sys/policies/acl/agent",
            &json!({ "policy": rules.join("\n") }),
        )
        .await;
    }

    /// A token that may read `paths` and nothing else.
    pub(crate) async fn token(&self, paths: &[&str]) -> String {
        self.allow(paths).await;
        self.token_of(&json!({ "policies": ["agent"] })).await
    }

    pub(crate) async fn token_of(&self, request: &Value) -> String {
        let made = self.post("auth/token/create", request).await;
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// A role of auth method `approle` with policy `agent` and what `more` says: its id, and a secret id.
    pub(crate) async fn app_role(&self, more: Value) -> (String, String) {
        self.post("sys/auth/approle", &json!({"type": "approle"}))
            .await;
        let mut role = json!({"token_policies": ["agent"]});
        role.as_object_mut()
            .unwrap()
            .append(&mut more.as_object().unwrap().clone());
        self.post("auth/approle/role/agent", &role).await;
        self.post(
            "auth/approle/role/agent/role-id",
            &json!({"role_id": "agent-role"}),
        )
        .await;
        let made = self
            .post("auth/approle/role/agent/secret-id", &json!({}))
            .await;
        let secret_id = made["data"]["secret_id"].as_str().unwrap();
        ("agent-role".to_owned(), secret_id.to_owned())
    }

    pub(crate) fn args(&self) -> VaultArgs {
        args(&self.address)
    }
}

/// An address, and no way to log in yet.
pub(crate) fn args(address: &str) -> VaultArgs {
    VaultArgs {
        vault_addr: Some(address.parse().unwrap()),
        vault_namespace: None,
        vault_ca: None,
        vault_token_file: None,
        vault_token: None,
        vault_jwt_role: None,
        vault_jwt_file: PathBuf::new(),
        vault_jwt_mount: "jwt".to_owned(),
        vault_approle_role_id: None,
        vault_approle_secret_id_file: None,
        vault_approle_mount: "approle".to_owned(),
        vault_cert: None,
        vault_cert_key: None,
        vault_cert_role: None,
        vault_cert_mount: "cert".to_owned(),
        vault_project_role: None,
    }
}
