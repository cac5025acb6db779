//! `repository` and `repo-creds` Secrets.

use super::{Fields, SettingsError};
use crate::Sensitive;

/// What a Secret says about a repository, or about all whose URL starts with its own.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of Argo CD's Secret"
)]
#[derive(Clone, Debug, PartialEq)]
pub struct Repository {
    pub url: String,
    pub name: Option<String>,
    pub kind: RepositoryKind,
    /// Only this project's applications may use it.
    pub project: Option<String>,
    pub credentials: Credentials,
    /// Don't check certificates or host keys. Only ever said by the Secret itself.
    pub insecure: bool,
    pub enable_lfs: bool,
    pub enable_oci: bool,
    pub force_http_basic_auth: bool,
    pub proxy: Option<String>,
    pub no_proxy: Option<String>,
}

/// What is behind a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryKind {
    Git,
    Helm,
    Oci,
}

/// How to say who we are. `Debug` shows no value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Credentials {
    pub username: Option<Sensitive>,
    pub password: Option<Sensitive>,
    pub bearer_token: Option<Sensitive>,
    pub ssh_private_key: Option<Sensitive>,
    pub tls_client_cert_data: Option<Sensitive>,
    pub tls_client_cert_key: Option<Sensitive>,
    pub github_app_private_key: Option<Sensitive>,
    pub github_app_id: Option<String>,
    pub github_app_installation_id: Option<String>,
    pub github_app_enterprise_base_url: Option<String>,
}

impl Credentials {
    /// Whether there is anything to log in with.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Repository {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, SettingsError> {
        Ok(Self {
            url: fields.required("url")?.trim().to_owned(),
            name: fields.owned("name")?,
            kind: match fields.text("type")? {
                None => RepositoryKind::Git,
                Some(kind) if kind.eq_ignore_ascii_case("git") => RepositoryKind::Git,
                Some(kind) if kind.eq_ignore_ascii_case("helm") => RepositoryKind::Helm,
                Some(kind) if kind.eq_ignore_ascii_case("oci") => RepositoryKind::Oci,
                Some(_) => {
                    return Err(SettingsError::Invalid {
                        secret: fields.name.clone(),
                        key: "type",
                        expected: "git, helm or oci",
                    });
                }
            },
            project: fields.owned("project")?,
            credentials: Credentials {
                username: fields.sensitive("username")?,
                password: fields.sensitive("password")?,
                bearer_token: fields.sensitive("bearerToken")?,
                ssh_private_key: fields.sensitive("sshPrivateKey")?,
                tls_client_cert_data: fields.sensitive("tlsClientCertData")?,
                tls_client_cert_key: fields.sensitive("tlsClientCertKey")?,
                github_app_private_key: fields.sensitive("githubAppPrivateKey")?,
                github_app_id: fields.owned("githubAppID")?,
                github_app_installation_id: fields.owned("githubAppInstallationID")?,
                github_app_enterprise_base_url: fields.owned("githubAppEnterpriseBaseUrl")?,
            },
            insecure: fields.flag("insecure")? || fields.flag("insecureIgnoreHostKey")?,
            enable_lfs: fields.flag("enableLfs")?,
            enable_oci: fields.flag("enableOCI")?,
            force_http_basic_auth: fields.flag("forceHttpBasicAuth")?,
            proxy: fields.owned("proxy")?,
            no_proxy: fields.owned("noProxy")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use serde_json::{Value, json};

    use super::super::{Labelled, read_secret};
    use super::*;

    fn secret(kind: &str, fields: Value) -> Secret {
        let mut secret: Secret = serde_json::from_value(json!({
            "metadata": {"namespace": "argocd", "name": "s", "labels": {"argocd.argoproj.io/secret-type": kind}},
        }))
        .unwrap();
        let Value::Object(fields) = fields else {
            panic!("fields are an object")
        };
        secret.data = Some(
            fields
                .into_iter()
                .map(|(key, value)| (key, k8s_openapi::ByteString(value.as_str().unwrap().into())))
                .collect(),
        );
        secret
    }

    #[test]
    fn a_repository_secret_is_read_and_shows_no_password() {
        let secret = secret(
            "repository",
            json!({"url": "https://h/a", "username": "canary-user", "password": "canary-pass", "insecure": "true"}),
        );
        let Some(Labelled::Repository(repository)) = read_secret(&secret).unwrap() else {
            panic!("not a repository")
        };
        assert!(repository.insecure);
        assert_eq!(repository.kind, RepositoryKind::Git);
        assert_eq!(
            repository.credentials.password.as_ref().unwrap().expose(),
            "canary-pass"
        );
        assert!(!format!("{repository:?}").contains("canary"));
    }

    #[test]
    fn a_secret_without_url_says_so() {
        let error = read_secret(&secret("repo-creds", json!({}))).unwrap_err();
        assert_eq!(error.to_string(), "Secret argocd/s has no url");
    }

    #[test]
    fn an_unreadable_flag_is_not_taken_for_insecure() {
        let error = read_secret(&secret(
            "repository",
            json!({"url": "u", "insecure": "maybe"}),
        ));
        assert!(matches!(
            error,
            Err(SettingsError::Invalid {
                key: "insecure",
                ..
            })
        ));
    }

    #[test]
    fn other_secrets_are_none_of_ours() {
        assert_eq!(read_secret(&secret("scm-creds", json!({}))).unwrap(), None);
    }

    #[test]
    fn a_cluster_secret_gives_id_and_address_and_not_its_config() {
        let secret = secret(
            "cluster",
            json!({"name": "edge-1", "server": "https://edge-1:6443/", "config": "{\"bearerToken\":\"canary\"}"}),
        );
        let Some(Labelled::Cluster(cluster)) = read_secret(&secret).unwrap() else {
            panic!("not a cluster")
        };
        assert_eq!(
            (cluster.id.as_str(), cluster.server.as_str()),
            ("edge-1", "https://edge-1:6443")
        );
        assert!(!format!("{cluster:?}").contains("canary"));
    }

    #[test]
    fn a_cluster_name_that_is_no_label_needs_an_id() {
        let fields = json!({"name": "arn:aws:eks/x", "server": "https://x"});
        let mut secret = secret("cluster", fields);
        assert!(read_secret(&secret).is_err());
        secret.metadata.annotations =
            Some([("towline.dev/cluster".to_owned(), "eks-x".to_owned())].into());
        let Some(Labelled::Cluster(cluster)) = read_secret(&secret).unwrap() else {
            panic!("not a cluster")
        };
        assert_eq!(cluster.id, "eks-x");
        assert_eq!(cluster.name, "arn:aws:eks/x");
    }
}
