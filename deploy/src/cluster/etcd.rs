//! etcd, the API server's store. It holds every Secret, so even on loopback only
//! the API server's client certificate gets in.

use std::{ffi::OsString, path::Path, time::Duration};

use reqwest::Client;
use serde_json::{Value, json};

use super::{ClusterError, keys::Keys};
use crate::{
    component::Component,
    http,
    locate::locate,
    port,
    process::{Process, Program},
};

const READY_WITHIN: Duration = Duration::from_mins(1);

/// The store, with the client that gets in.
#[derive(Debug)]
pub(super) struct Etcd {
    pub(super) process: Process,
    pub(super) url: String,
    client: Client,
}

#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    #[error("etcd did not answer POST {path}")]
    NoAnswer {
        path: &'static str,
        source: reqwest::Error,
    },
    #[error("etcd does not say its revision")]
    NoRevision,
}

pub(super) async fn start(folder: &Path, keys: &Keys) -> Result<Etcd, ClusterError> {
    let executable = locate(Component::Etcd).await?;
    let url = format!("https://127.0.0.1:{}", port::free()?);
    let peer_url = format!("https://127.0.0.1:{}", port::free()?);
    let data = folder.join("etcd");
    let program = Program {
        name: Component::Etcd.name().to_owned(),
        executable,
        arguments: arguments(&url, &peer_url, &data, keys),
        environment: Vec::new(),
        folder: Some(folder.to_owned()),
        log: folder.join("etcd.log"),
    };
    let client = http::client(keys.etcd_trust())?;
    // A first try that lost its port may have left a store with that port in it.
    if data.exists() {
        std::fs::remove_dir_all(&data).map_err(|source| ClusterError::File {
            path: data.clone(),
            source,
        })?;
    }
    let process = Process::start(&program)?;
    process
        .ready(READY_WITHIN, || health(&client, &url))
        .await?;
    Ok(Etcd {
        process,
        url,
        client,
    })
}

impl Etcd {
    /// Forgets all versions but the newest ones.
    pub(super) async fn compact(&self) -> Result<(), EtcdError> {
        // Any key: the answer's header has the revision.
        let answer = self.post("/v3/kv/range", &json!({"key": "AA=="})).await?;
        let revision = answer["header"]["revision"]
            .as_str()
            .ok_or(EtcdError::NoRevision)?;
        let compaction = json!({"revision": revision, "physical": true});
        self.post("/v3/kv/compaction", &compaction).await.map(drop)
    }

    async fn post(&self, path: &'static str, body: &Value) -> Result<Value, EtcdError> {
        let failed = |source| EtcdError::NoAnswer { path, source };
        let request = self.client.post(format!("{}{path}", self.url)).json(body);
        let answer = request.send().await.map_err(failed)?;
        let answer = answer.error_for_status().map_err(failed)?;
        answer.json().await.map_err(failed)
    }
}

fn arguments(url: &str, peer_url: &str, data: &Path, keys: &Keys) -> Vec<OsString> {
    let flag = |name: &str, value: &std::ffi::OsStr| {
        let mut flag = OsString::from(format!("--{name}="));
        flag.push(value);
        flag
    };
    let authority = keys.authority_file();
    let certificate = keys.server_certificate();
    let key = keys.server_key();
    vec![
        "--name=local".into(),
        flag("data-dir", data.as_os_str()),
        format!("--listen-client-urls={url}").into(),
        format!("--advertise-client-urls={url}").into(),
        format!("--listen-peer-urls={peer_url}").into(),
        format!("--initial-advertise-peer-urls={peer_url}").into(),
        format!("--initial-cluster=local={peer_url}").into(),
        "--client-cert-auth".into(),
        flag("trusted-ca-file", authority.as_os_str()),
        flag("cert-file", certificate.as_os_str()),
        flag("key-file", key.as_os_str()),
        "--peer-client-cert-auth".into(),
        flag("peer-trusted-ca-file", authority.as_os_str()),
        flag("peer-cert-file", certificate.as_os_str()),
        flag("peer-key-file", key.as_os_str()),
        // The store ends with the stack: nothing has to survive a power cut.
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
    ]
}

async fn health(client: &Client, url: &str) -> Result<(), String> {
    let answer = client
        .get(format!("{url}/health"))
        .send()
        .await
        .map_err(|error| error.to_string())?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("its health is {status}")),
    }
}
