//! A Vault that goes away in the middle of a release, and an agent that does; and values that change.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use deploy::{Stack, StackOptions, VaultPart};
use futures::StreamExt as _;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tests::installation::Options;
use tests::wait::{check, until_within};
use tests::{App, Installation, LocalStack, Scene};

use crate::secrets::project;

/// A release that failed is tried again after a while.
const PATIENCE: Duration = Duration::from_mins(3);

/// A Vault of one's own to break, and the agent's token for it in a file.
struct OwnVault {
    stack: Stack,
    address: String,
    root: String,
    token_file: PathBuf,
}

impl OwnVault {
    async fn start() -> anyhow::Result<Self> {
        // What clients of this process need comes with it.
        LocalStack::shared()?;
        let options = StackOptions {
            vault: VaultPart::DevServer,
            ..StackOptions::default()
        };
        let stack = Stack::start(&options).await?;
        let vault = stack.vault.as_ref().context("there is no Vault")?;
        let own = Self {
            address: vault.address(),
            root: vault.root_token().expose_secret().to_owned(),
            token_file: stack.folder().join("agent.token"),
            stack,
        };
        let rules = "path \"secret/*\" { capabilities = [\"read\"] }";
        own.post("sys/policies/acl/agent", &json!({"policy": rules}))
            .await?;
        own.new_token().await?;
        Ok(own)
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client
            .post(format!("{}/v1/{path}", self.address))
            .header("X-Vault-Token", &self.root)
            .json(body)
            .send()
            .await?
            .error_for_status()
            .with_context(|| format!("asking Vault for {path}"))?;
        Ok(serde_json::from_str(&answer.text().await?).unwrap_or_default())
    }

    async fn put(&self, path: &str, password: &str) -> anyhow::Result<()> {
        let data = json!({"data": {"password": password}});
        self.post(&format!("secret/data/{path}"), &data).await?;
        Ok(())
    }

    /// Into the agent's file.
    async fn new_token(&self) -> anyhow::Result<()> {
        let request = json!({"policies": ["agent"]});
        let made = self.post("auth/token/create", &request).await?;
        let token = made["auth"]["client_token"].as_str();
        std::fs::write(&self.token_file, token.context("no token")?)?;
        Ok(())
    }

    async fn revoke(&self) -> anyhow::Result<()> {
        let token = std::fs::read_to_string(&self.token_file)?;
        self.post("auth/token/revoke", &json!({"token": token}))
            .await?;
        Ok(())
    }

    /// With the key that a dev server prints.
    async fn unseal(&self) -> anyhow::Result<()> {
        let vault = self.stack.vault.as_ref().context("there is no Vault")?;
        let log = vault.process().context("it doesn't run")?.log();
        let log = std::fs::read_to_string(log)?;
        let key = log
            .lines()
            .find_map(|line| line.split_once("Unseal Key: "))
            .map(|(_, key)| key.trim().to_owned());
        let key = key.context("its log has no unseal key")?;
        self.post("sys/unseal", &json!({"key": key})).await?;
        Ok(())
    }
}

async fn towline(vault: &OwnVault, name: &str) -> anyhow::Result<Installation> {
    let mut options = Options::own(name).variable("TOWLINE_ROTATION_INTERVAL", "1");
    options.vault = Some((vault.address.clone(), vault.token_file.clone()));
    Installation::start(LocalStack::shared()?, options).await
}

/// A Secret with the password in it, in two keys.
fn manifest(scene: &str, note: &str) -> String {
    let reference = format!("<path:secret/data/{scene}#password>");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: credentials\n  labels: {{note: \"{note}\"}}\nstringData:\n  password: {reference}\n  \
         line: \"u:{reference}@h\"\n"
    )
}

async fn begun<'a>(
    scene: &'a Scene<'a>,
    vault: &OwnVault,
    more: &[(&str, &str)],
) -> anyhow::Result<App<'a>> {
    vault.put(&scene.name, "one").await?;
    let paths = format!("secret/data/{}", scene.name);
    let namespace = scene.towline.namespace();
    project(&scene.cluster, namespace, &scene.name, &paths).await?;
    let secret = manifest(&scene.name, "1");
    let mut files = vec![("web/secret.yaml", secret.as_str())];
    files.extend(more);
    let first = scene.repo.commit("first", &files)?;
    let app = scene
        .app("web")
        .strict()
        .set("/spec/project", scene.name.as_str())
        .create()
        .await?;
    app.settled(&first).await?;
    Ok(app)
}

async fn live(scene: &Scene<'_>) -> anyhow::Result<(String, String)> {
    let secret = scene.live("Secret", "credentials").await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let password = BASE64_STANDARD.decode(text(&secret["data"]["password"]))?;
    let note = text(&secret["metadata"]["labels"]["note"]);
    Ok((note, String::from_utf8(password)?))
}

async fn becomes(scene: &Scene<'_>, note: &str, password: &str) -> anyhow::Result<()> {
    until_within(&format!("{note} and its value"), PATIENCE, || async {
        let now = live(scene).await?;
        check(now == (note.to_owned(), password.to_owned()), || {
            now.0.clone()
        })
    })
    .await
}

#[tokio::test]
async fn a_release_waits_for_a_vault_that_revoked_its_token_or_is_sealed_and_live_objects_stay()
-> anyhow::Result<()> {
    let vault = OwnVault::start().await?;
    let towline = towline(&vault, "vault-away").await?;
    let scene = Scene::on(&towline, "vault-away").await?;
    let app = begun(&scene, &vault, &[]).await?;

    vault.put(&scene.name, "two").await?;
    becomes(&scene, "1", "two").await?;
    vault.revoke().await?;
    let second = manifest(&scene.name, "2");
    scene
        .push("second", &[("web/secret.yaml", &second)])
        .await?;
    app.condition("SecretError", &["Vault"]).await?;
    assert_eq!(live(&scene).await?, ("1".to_owned(), "two".to_owned()));
    vault.new_token().await?;
    becomes(&scene, "2", "two").await?;

    vault.post("sys/seal", &json!({})).await?;
    let third = manifest(&scene.name, "3");
    scene.push("third", &[("web/secret.yaml", &third)]).await?;
    app.condition("SecretError", &["sealed"]).await?;
    assert_eq!(live(&scene).await?, ("2".to_owned(), "two".to_owned()));
    vault.unseal().await?;
    becomes(&scene, "3", "two").await?;
    app.no_condition("SecretError").await
}

#[tokio::test]
async fn an_agent_killed_between_request_and_answer_is_asked_again_when_it_is_back()
-> anyhow::Result<()> {
    let vault = OwnVault::start().await?;
    let towline = towline(&vault, "agent-killed").await?;
    let scene = Scene::on(&towline, "agent-killed").await?;
    begun(&scene, &vault, &[]).await?;
    let mut asked = towline
        .inspector()
        .await?
        .subscribe("towline.v1.secret.in-cluster.resolve")
        .await?;
    let pid = towline.freeze_service("secrets-agent")?;
    let second = manifest(&scene.name, "2");
    scene
        .push("second", &[("web/secret.yaml", &second)])
        .await?;
    tokio::time::timeout(PATIENCE, asked.next())
        .await?
        .context("nobody asked")?;
    assert_eq!(live(&scene).await?.0, "1");
    towline.kill_service("secrets-agent")?;
    towline.restarted("secrets-agent", pid).await?;
    becomes(&scene, "2", "one").await
}

#[tokio::test]
async fn a_new_value_in_vault_reaches_the_object_and_restarts_its_pods() -> anyhow::Result<()> {
    let vault = OwnVault::start().await?;
    let towline = towline(&vault, "rotates").await?;
    let scene = Scene::on(&towline, "rotates").await?;
    let workload = |name: &str, annotations: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\n{annotations}spec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  \
             template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      containers:\n        - name: main\n          \
             image: \"example.org/web:1\"\n          envFrom: [{{secretRef: {{name: credentials}}}}]\n"
        )
    };
    let asks = workload(
        "asks",
        "  annotations: {towline.dev/restart-on-rotation: \"true\"}\n",
    );
    let quiet = workload("quiet", "");
    let app = begun(
        &scene,
        &vault,
        &[("web/asks.yaml", &asks), ("web/quiet.yaml", &quiet)],
    )
    .await?;
    vault.put(&scene.name, "two").await?;
    becomes(&scene, "1", "two").await?;
    let notes = |name: &'static str| {
        let scene = &scene;
        async move {
            let live = scene.live("Deployment", name).await?;
            anyhow::Ok(live["spec"]["template"]["metadata"]["annotations"].clone())
        }
    };
    until_within("the pods' template is another", PATIENCE, || async {
        let notes = notes("asks").await?;
        check(notes.to_string().contains("restart"), || notes.to_string())
    })
    .await?;
    assert!(!notes("quiet").await?.to_string().contains("restart"));
    app.is("Synced", "Healthy").await?;
    let path = format!("secret/data/{}", scene.name);
    until_within("the release is in the history", PATIENCE, || async {
        let history = app.command("history", &[]).await?;
        let told = history.contains("rotated") && history.contains(&path);
        check(told, || history)
    })
    .await
}
