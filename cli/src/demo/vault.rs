//! The secret of the demo: a random value, written to the local Vault and shown to nobody.

use anyhow::{Context as _, bail};
use deploy::Vault;
use secrecy::ExposeSecret as _;

/// Writes `token` of `secret/data/observatory/alert-relay`.
pub(super) async fn write_secret(vault: &Vault) -> anyhow::Result<()> {
    let value = uuid::Uuid::new_v4().simple().to_string();
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .post(format!(
            "{}/v1/secret/data/observatory/alert-relay",
            vault.address()
        ))
        .header("X-Vault-Token", vault.root_token().expose_secret())
        .json(&serde_json::json!({"data": {"token": value}}))
        .send()
        .await
        .context("writing the demo's secret to Vault")?;
    if !answer.status().is_success() {
        bail!(
            "Vault answered {} when the demo's secret was written",
            answer.status()
        );
    }
    Ok(())
}
