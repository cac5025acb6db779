//! `repository` and `repo-creds` Secrets.

use super::{Fields, SettingsError};
use crate::Sensitive;

/// What a Secret says about a repository, or about all whose URL starts with its own.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of Argo CD's Secret"
)]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repository {
    pub url: String,
    pub name: Option<String>,
    /// `None` is Git, unless the `repo-creds` that it takes its login from say otherwise.
    pub kind: Option<RepositoryKind>,
    /// Only this project's applications may use it.
    pub project: Option<String>,
    pub credentials: Credentials,
    /// Don't check certificates. Only ever said by the repository's own Secret.
    pub insecure: bool,
    /// The same for host keys; for Git, Argo CD takes either for both.
    pub insecure_ignore_host_key: bool,
    pub enable_lfs: bool,
    pub enable_oci: bool,
    /// Speak to a registry without TLS.
    pub insecure_oci_force_http: bool,
    pub force_http_basic_auth: bool,
    /// May hold a user and a password.
    pub proxy: Option<Sensitive>,
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
    pub github_app_id: Option<u64>,
    pub github_app_installation_id: Option<u64>,
    pub github_app_enterprise_base_url: Option<String>,
    /// A field that is set and that only Argo CD can use: logins of Google's and Microsoft's clouds.
    pub unsupported: Option<&'static str>,
}

impl Credentials {
    /// Whether there is anything to log in with, by Argo CD's rule.
    pub fn is_empty(&self) -> bool {
        let Self {
            username,
            password,
            bearer_token,
            ssh_private_key,
            tls_client_cert_data,
            tls_client_cert_key: _,
            github_app_private_key,
            github_app_id: _,
            github_app_installation_id: _,
            github_app_enterprise_base_url: _,
            unsupported,
        } = self;
        let secrets = [
            username,
            password,
            bearer_token,
            ssh_private_key,
            tls_client_cert_data,
            github_app_private_key,
        ];
        unsupported.is_none() && secrets.iter().all(|secret| secret.is_none())
    }

    /// Takes what it lacks from `other`.
    fn complete(&mut self, other: &Self) {
        fn take<T: Clone>(own: &mut Option<T>, other: Option<&T>) {
            if own.is_none() {
                *own = other.cloned();
            }
        }
        take(&mut self.username, other.username.as_ref());
        take(&mut self.password, other.password.as_ref());
        take(&mut self.bearer_token, other.bearer_token.as_ref());
        take(&mut self.ssh_private_key, other.ssh_private_key.as_ref());
        take(
            &mut self.tls_client_cert_data,
            other.tls_client_cert_data.as_ref(),
        );
        take(
            &mut self.tls_client_cert_key,
            other.tls_client_cert_key.as_ref(),
        );
        take(
            &mut self.github_app_private_key,
            other.github_app_private_key.as_ref(),
        );
        take(&mut self.github_app_id, other.github_app_id.as_ref());
        take(
            &mut self.github_app_installation_id,
            other.github_app_installation_id.as_ref(),
        );
        take(
            &mut self.github_app_enterprise_base_url,
            other.github_app_enterprise_base_url.as_ref(),
        );
        take(&mut self.unsupported, other.unsupported.as_ref());
    }
}

impl Repository {
    /// One that no Secret is about.
    pub fn unknown(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..Self::default()
        }
    }

    /// Takes login and connection from a `repo-creds` Secret, as Argo CD does where a repository has no login of its own.
    /// Never what makes a connection insecure.
    pub fn inherit(&mut self, template: &Self) {
        self.credentials.complete(&template.credentials);
        self.proxy = self.proxy.take().or_else(|| template.proxy.clone());
        self.no_proxy = self.no_proxy.take().or_else(|| template.no_proxy.clone());
        self.kind = self.kind.or(template.kind);
        self.enable_oci = template.enable_oci;
        self.insecure_oci_force_http = template.insecure_oci_force_http;
        self.force_http_basic_auth = template.force_http_basic_auth;
    }

    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, SettingsError> {
        Ok(Self {
            url: fields.required("url")?.trim().to_owned(),
            name: fields.owned("name")?,
            kind: match fields.text("type")? {
                None => None,
                Some(kind) if kind.eq_ignore_ascii_case("git") => Some(RepositoryKind::Git),
                Some(kind) if kind.eq_ignore_ascii_case("helm") => Some(RepositoryKind::Helm),
                Some(kind) if kind.eq_ignore_ascii_case("oci") => Some(RepositoryKind::Oci),
                Some(_) => return Err(fields.invalid("type", "git, helm or oci")),
            },
            project: fields.owned("project")?,
            credentials: Credentials::read(fields)?,
            insecure: fields.flag("insecure")?,
            insecure_ignore_host_key: fields.flag("insecureIgnoreHostKey")?,
            enable_lfs: fields.flag("enableLfs")?,
            enable_oci: fields.flag("enableOCI")?,
            insecure_oci_force_http: fields.flag("insecureOCIForceHttp")?,
            force_http_basic_auth: fields.flag("forceHttpBasicAuth")?,
            proxy: fields.sensitive("proxy")?,
            no_proxy: fields.owned("noProxy")?,
        })
    }
}

impl Credentials {
    fn read(fields: &Fields<'_>) -> Result<Self, SettingsError> {
        const ELSEWHERE: [&str; 2] = ["gcpServiceAccountKey", "azureServicePrincipalClientSecret"];
        let mut unsupported = None;
        for key in ELSEWHERE {
            unsupported = unsupported.or(fields.text(key)?.map(|_| key));
        }
        if fields.flag("useAzureWorkloadIdentity")? {
            unsupported = Some("useAzureWorkloadIdentity");
        }
        Ok(Self {
            username: fields.sensitive("username")?,
            password: fields.sensitive("password")?,
            bearer_token: fields.sensitive("bearerToken")?,
            ssh_private_key: fields.sensitive("sshPrivateKey")?,
            tls_client_cert_data: fields.sensitive("tlsClientCertData")?,
            tls_client_cert_key: fields.sensitive("tlsClientCertKey")?,
            github_app_private_key: fields.sensitive("githubAppPrivateKey")?,
            github_app_id: fields.number("githubAppID")?,
            github_app_installation_id: fields.number("githubAppInstallationID")?,
            github_app_enterprise_base_url: fields.owned("githubAppEnterpriseBaseUrl")?,
            unsupported,
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
        assert_eq!(repository.kind, None);
        assert_eq!(
            repository.credentials.password.as_ref().unwrap().expose(),
            "canary-pass"
        );
        assert!(!format!("{repository:?}").contains("canary"));
    }

    fn read(kind: &str, fields: Value) -> Repository {
        match read_secret(&secret(kind, fields)).unwrap() {
            Some(Labelled::Repository(it) | Labelled::RepositoryCredentials(it)) => *it,
            other => panic!("not a repository: {other:?}"),
        }
    }

    #[test]
    fn a_repository_without_login_takes_the_templates_and_keeps_its_own_settings() {
        let mut own = read(
            "repository",
            json!({"url": "https://h/a", "insecure": "true", "enableLfs": "true", "proxy": "http://own"}),
        );
        let template = read(
            "repo-creds",
            json!({
                "url": "https://h/", "type": "helm", "insecureIgnoreHostKey": "true", "proxy": "http://wide",
                "githubAppID": "7", "githubAppPrivateKey": "canary", "enableOCI": "true", "forceHttpBasicAuth": "true",
            }),
        );
        assert!(own.credentials.is_empty() && !template.credentials.is_empty());
        own.inherit(&template);
        assert_eq!(own.credentials, template.credentials);
        assert_eq!(own.proxy, Some(Sensitive::new("http://own")));
        assert_eq!(own.kind, Some(RepositoryKind::Helm));
        assert!(own.insecure && own.enable_lfs && own.enable_oci && own.force_http_basic_auth);
        assert!(!own.insecure_ignore_host_key);
    }

    #[test]
    fn a_login_that_only_argo_cd_can_use_is_noticed() {
        let cloud = read(
            "repository",
            json!({"url": "u", "gcpServiceAccountKey": "canary"}),
        );
        assert_eq!(cloud.credentials.unsupported, Some("gcpServiceAccountKey"));
        assert!(!format!("{cloud:?}").contains("canary"));
    }

    #[test]
    fn an_apps_number_must_be_one() {
        let error = read_secret(&secret(
            "repository",
            json!({"url": "u", "githubAppID": "x"}),
        ));
        assert_eq!(
            error.unwrap_err().to_string(),
            "Secret argocd/s: githubAppID must be a number"
        );
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
