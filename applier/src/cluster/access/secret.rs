//! A cluster Secret of Argo CD, mounted into the pod: its keys are files of a folder, which Kubernetes keeps as they are in the
//! Secret. So an applier needs no access to the control cluster, and a credential that is exchanged there is read again here.

use std::io::Read;
use std::path::{Path, PathBuf};

use kube::config::Kubeconfig;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// A Secret holds at most so much, in bytes.
const MAX: u64 = 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is larger than {MAX} bytes", path.display())]
    TooLarge { path: PathBuf },
    /// Where, but not what: the text holds credentials.
    #[error("its `config` is not the JSON that Argo CD keeps there (line {line}, column {column})")]
    Config { line: usize, column: usize },
    #[error(
        "its `config` has `awsAuthConfig`, which Argo CD's own program serves: use `execProviderConfig` with `aws eks get-token`"
    )]
    Aws,
    #[error(
        "its `config` runs `argocd-k8s-auth`, which is Argo CD's own program: use the provider's, such as `kubelogin` or `gke-gcloud-auth-plugin`"
    )]
    OwnProgram,
    #[error("its `config` is not what a kubeconfig can say")]
    Kubeconfig,
}

/// `config`, as Argo CD documents it for declarative clusters.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    username: Option<String>,
    password: Option<String>,
    bearer_token: Option<String>,
    #[serde(rename = "tlsClientConfig")]
    tls: Tls,
    #[serde(rename = "awsAuthConfig")]
    aws: Option<serde::de::IgnoredAny>,
    #[serde(rename = "execProviderConfig")]
    exec: Option<Exec>,
    proxy_url: Option<String>,
    disable_compression: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tls {
    insecure: bool,
    server_name: Option<String>,
    /// These are base64, as in a kubeconfig.
    cert_data: Option<String>,
    key_data: Option<String>,
    ca_data: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Exec {
    command: String,
    args: Vec<String>,
    env: std::collections::BTreeMap<String, String>,
    api_version: String,
    install_hint: Option<String>,
}

/// What the folder says, as a kubeconfig.
pub(super) fn read(folder: &Path) -> Result<Kubeconfig, SecretError> {
    let server = file(&folder.join("server"))?;
    let config = file(&folder.join("config"))?;
    kubeconfig(server.trim(), &config)
}

fn file(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let failed = |source| SecretError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > MAX {
        return Err(SecretError::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(text)
}

fn kubeconfig(server: &str, config: &str) -> Result<Kubeconfig, SecretError> {
    let config: Config = serde_json::from_str(config).map_err(|error| SecretError::Config {
        line: error.line(),
        column: error.column(),
    })?;
    if config.aws.is_some() {
        return Err(SecretError::Aws);
    }
    let exec = config.exec.map(exec).transpose()?;
    let tls = config.tls;
    let name = "cluster";
    let kubeconfig = json!({
        "current-context": name,
        "clusters": [{"name": name, "cluster": {
            "server": server,
            "insecure-skip-tls-verify": tls.insecure,
            // The two exclude each other, as in Argo CD.
            "certificate-authority-data": some(tls.ca_data).filter(|_| !tls.insecure),
            "tls-server-name": some(tls.server_name),
            "proxy-url": some(config.proxy_url),
            "disable-compression": config.disable_compression,
        }}],
        "users": [{"name": name, "user": {
            "username": some(config.username),
            "password": some(config.password),
            "token": some(config.bearer_token),
            "client-certificate-data": some(tls.cert_data),
            "client-key-data": some(tls.key_data),
            "exec": exec,
        }}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    });
    serde_json::from_value(kubeconfig).map_err(|_| SecretError::Kubeconfig)
}

fn exec(exec: Exec) -> Result<Value, SecretError> {
    let program = Path::new(&exec.command).file_name();
    if program.is_some_and(|program| program == "argocd-k8s-auth") {
        return Err(SecretError::OwnProgram);
    }
    let variables = exec
        .env
        .into_iter()
        .map(|(name, value)| json!({"name": name, "value": value}));
    Ok(json!({
        "apiVersion": exec.api_version,
        "command": exec.command,
        "args": exec.args,
        "env": variables.collect::<Vec<_>>(),
        "installHint": exec.install_hint,
        "interactiveMode": "Never",
    }))
}

/// Go writes what isn't there as an empty text.
fn some(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use kube::config::{AuthInfo, Cluster};
    use secrecy::ExposeSecret;

    use super::*;

    fn parts(config: &str) -> (Cluster, AuthInfo) {
        let mut kubeconfig = kubeconfig("https://edge.example.org", config).unwrap();
        let cluster = kubeconfig.clusters.remove(0).cluster.unwrap();
        (cluster, kubeconfig.auth_infos.remove(0).auth_info.unwrap())
    }

    #[test]
    fn a_bearer_token_and_an_authority() {
        let (cluster, user) = parts(
            r#"{"bearerToken": "t0", "tlsClientConfig": {"insecure": false, "caData": "Y2E=", "serverName": "edge"}}"#,
        );
        assert_eq!(user.token.unwrap().expose_secret(), "t0");
        assert_eq!(cluster.server.as_deref(), Some("https://edge.example.org"));
        assert_eq!(cluster.certificate_authority_data.as_deref(), Some("Y2E="));
        assert_eq!(cluster.tls_server_name.as_deref(), Some("edge"));
    }

    #[test]
    fn a_client_certificate_and_no_verification() {
        let (cluster, user) = parts(
            r#"{"bearerToken": "", "tlsClientConfig": {"insecure": true, "caData": "Y2E=", "certData": "Y2VydA==", "keyData": "a2V5"}}"#,
        );
        assert_eq!(user.client_certificate_data.as_deref(), Some("Y2VydA=="));
        assert!(user.client_key_data.is_some() && user.token.is_none());
        assert_eq!(cluster.insecure_skip_tls_verify, Some(true));
        assert_eq!(cluster.certificate_authority_data, None);
    }

    #[test]
    fn a_program_of_the_provider_is_run() {
        let (_, user) = parts(
            r#"{"execProviderConfig": {"command": "aws", "args": ["eks", "get-token"], "env": {"AWS_REGION": "eu"},
                "apiVersion": "client.authentication.k8s.io/v1beta1"}}"#,
        );
        let exec = user.exec.unwrap();
        assert_eq!(exec.command.as_deref(), Some("aws"));
        assert_eq!(exec.args.unwrap(), ["eks", "get-token"]);
    }

    #[test]
    fn what_only_argo_cd_can_do_is_named() {
        let error = |config| kubeconfig("https://x", config).unwrap_err();
        let aws = error(r#"{"awsAuthConfig": {"clusterName": "c"}}"#);
        assert!(matches!(aws, SecretError::Aws));
        let gcp =
            error(r#"{"execProviderConfig": {"command": "argocd-k8s-auth", "args": ["gcp"]}}"#);
        assert!(matches!(gcp, SecretError::OwnProgram));
    }

    #[test]
    fn an_error_quotes_nothing_of_it() {
        let error = kubeconfig("https://x", r#"{"bearerToken": hunter2}"#).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}
