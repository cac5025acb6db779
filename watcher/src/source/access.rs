//! How to say who we are to a Git host, and how to know that it is the right one.

use std::cell::Cell;
use std::sync::Arc;

use api::Sensitive;
use api::settings::{Credentials, Repository, RepositoryKind};
use git2::{CertificateCheckStatus, Cred, CredentialType, ErrorClass, ErrorCode, RemoteCallbacks};
use sha2::{Digest, Sha256};

use super::authorities::Authorities;
use super::known_hosts::{HostKeyError, KnownHosts};
use super::location::Location;

/// How a connection's login goes.
#[derive(Default)]
pub struct Login {
    /// Whether the credentials were handed over: who asks again refuses them.
    tried: Cell<bool>,
    /// libgit2 keeps no word of why a host key was refused.
    refused: Cell<Option<HostKeyError>>,
}

impl Login {
    /// Another connection follows.
    pub fn again(&self) {
        self.tried.set(false);
    }

    pub fn refused(&self) -> Option<HostKeyError> {
        self.refused.take()
    }
}

/// What a repository is fetched with.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of Argo CD's Secret"
)]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    pub credentials: Credentials,
    /// Certificates and host keys aren't checked. Only ever from the repository's own Secret.
    pub insecure: bool,
    /// A registry is spoken to without TLS.
    pub plain_http: bool,
    /// A Helm repository is a registry though its URL has no `oci://`.
    pub oci: bool,
    /// Files that Git LFS keeps are fetched too.
    pub lfs: bool,
    /// User and password go before a bearer token.
    pub force_basic: bool,
    /// The login of a Helm repository goes to other hosts, too, where its archives are: `helm.passCredentials` of the source.
    pub pass_credentials: bool,
    /// May hold a user and a password.
    pub proxy: Option<Sensitive>,
    pub no_proxy: Option<String>,
    pub known_hosts: Arc<KnownHosts>,
    pub authorities: Arc<Authorities>,
}

/// Whom an administrator vouched for. The same for all repositories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouched {
    pub known_hosts: Arc<KnownHosts>,
    pub authorities: Arc<Authorities>,
}

impl Access {
    pub fn of(repository: &Repository, vouched: &Vouched) -> Self {
        let insecure = match repository.kind {
            // For Git, Argo CD takes either for both.
            None | Some(RepositoryKind::Git) => {
                repository.insecure || repository.insecure_ignore_host_key
            }
            Some(RepositoryKind::Helm | RepositoryKind::Oci) => repository.insecure,
        };
        Self {
            credentials: repository.credentials.clone(),
            insecure,
            plain_http: repository.insecure_oci_force_http,
            oci: repository.enable_oci,
            lfs: repository.enable_lfs,
            force_basic: repository.force_http_basic_auth,
            pass_credentials: false,
            proxy: repository.proxy.clone(),
            no_proxy: repository.no_proxy.clone(),
            known_hosts: Arc::clone(&vouched.known_hosts),
            authorities: Arc::clone(&vouched.authorities),
        }
    }

    /// Tells two accesses apart without keeping a credential: repositories with different ones are fetched apart, or one
    /// application could read through another's credentials. Whom an administrator vouched for is the same for all.
    pub fn fingerprint(&self) -> [u8; 16] {
        let Self {
            credentials,
            insecure,
            plain_http,
            oci,
            lfs,
            force_basic,
            pass_credentials,
            proxy,
            no_proxy,
            known_hosts: _,
            authorities: _,
        } = self;
        let Credentials {
            username,
            password,
            bearer_token,
            ssh_private_key,
            tls_client_cert_data,
            tls_client_cert_key,
            github_app_private_key,
            github_app_id,
            github_app_installation_id,
            github_app_enterprise_base_url,
            unsupported,
        } = credentials;
        let secrets = [
            username,
            password,
            bearer_token,
            ssh_private_key,
            tls_client_cert_data,
            tls_client_cert_key,
            github_app_private_key,
            proxy,
        ];
        let secrets = secrets.map(|secret| secret.as_ref().map(Sensitive::expose));
        let texts = [
            github_app_enterprise_base_url.as_deref(),
            *unsupported,
            no_proxy.as_deref(),
        ];
        let mut digest = Sha256::new();
        for value in secrets.into_iter().chain(texts) {
            let length = value.map_or(u64::MAX, |value| value.len() as u64);
            digest.update(length.to_be_bytes());
            digest.update(value.unwrap_or_default());
        }
        for number in [github_app_id, github_app_installation_id] {
            digest.update(number.unwrap_or_default().to_be_bytes());
        }
        let flags = [
            insecure,
            plain_http,
            oci,
            lfs,
            force_basic,
            pass_credentials,
        ];
        digest.update(flags.map(|flag| u8::from(*flag)));
        let mut short = [0; 16];
        short.copy_from_slice(&digest.finalize()[..16]);
        short
    }

    /// For hosts that it isn't meant for: as nobody, with what an administrator vouched for and the way through the proxy.
    #[must_use]
    pub fn to_others(&self) -> Self {
        Self {
            proxy: self.proxy.clone(),
            no_proxy: self.no_proxy.clone(),
            known_hosts: Arc::clone(&self.known_hosts),
            authorities: Arc::clone(&self.authorities),
            ..Self::default()
        }
    }

    /// Callbacks that log in and check the host, for ssh: HTTP is ours (`smart`).
    pub fn callbacks<'a>(
        &'a self,
        location: &'a Location,
        login: &'a Login,
    ) -> RemoteCallbacks<'a> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks.credentials(move |_, user, allowed| {
            self.credential(location.user().or(user), allowed, login)
        });
        callbacks.certificate_check(move |certificate, host| {
            if self.insecure {
                return Ok(CertificateCheckStatus::CertificateOk);
            }
            let Some(certificate) = certificate.as_hostkey() else {
                // None of ours: libgit2 decides.
                return Ok(CertificateCheckStatus::CertificatePassthrough);
            };
            let key = certificate.hostkey().unwrap_or_default();
            self.known_hosts
                .check(&location.host, host, key)
                .map(|()| CertificateCheckStatus::CertificateOk)
                .map_err(|error| {
                    let message = error.to_string();
                    login.refused.set(Some(error));
                    git2::Error::new(ErrorCode::Certificate, ErrorClass::Ssh, message)
                })
        });
        callbacks
    }

    fn credential(
        &self,
        user: Option<&str>,
        allowed: CredentialType,
        login: &Login,
    ) -> Result<Cred, git2::Error> {
        let credentials = &self.credentials;
        let expose = |secret: &'_ Option<api::Sensitive>| {
            secret.as_ref().map(|secret| secret.expose().to_owned())
        };
        let own_user = expose(&credentials.username);
        // Only ssh asks for the name alone, and takes no other afterwards. A key has no name: it is the URL's, as in Argo CD.
        if allowed.contains(CredentialType::USERNAME) {
            let own_user = own_user.filter(|_| credentials.ssh_private_key.is_none());
            return Cred::username(user.or(own_user.as_deref()).unwrap_or("git"));
        }
        if allowed.contains(CredentialType::SSH_MEMORY)
            && let Some(key) = &credentials.ssh_private_key
        {
            if login.tried.replace(true) {
                return Err(denied("the host refuses the ssh key"));
            }
            return Cred::ssh_key_from_memory(user.unwrap_or("git"), None, key.expose(), None);
        }
        let user = own_user.as_deref().or(user).unwrap_or("git");
        if allowed.contains(CredentialType::USER_PASS_PLAINTEXT)
            && let Some(password) = &credentials.password
        {
            if login.tried.replace(true) {
                return Err(denied("the host refuses user and password"));
            }
            return Cred::userpass_plaintext(user, password.expose());
        }
        Err(denied(if allowed.contains(CredentialType::SSH_MEMORY) {
            "the host asks for an ssh key, and no repository or repo-creds Secret for it has sshPrivateKey"
        } else {
            "the host asks for credentials, and no repository or repo-creds Secret has any that fit"
        }))
    }
}

fn denied(message: &str) -> git2::Error {
    git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(user: &str, password: &str) -> Access {
        Access {
            credentials: Credentials {
                username: Some(Sensitive::new(user)),
                password: Some(Sensitive::new(password)),
                ..Credentials::default()
            },
            ..Access::default()
        }
    }

    #[test]
    fn different_credentials_have_different_fingerprints() {
        assert_eq!(with("a", "b").fingerprint(), with("a", "b").fingerprint());
        assert_ne!(with("a", "b").fingerprint(), with("a", "c").fingerprint());
        assert_ne!(with("ab", "c").fingerprint(), with("a", "bc").fingerprint());
        let insecure = Access {
            insecure: true,
            ..with("a", "b")
        };
        assert_ne!(insecure.fingerprint(), with("a", "b").fingerprint());
    }

    #[test]
    fn a_refused_password_is_not_sent_for_ever() {
        let (access, login) = (with("a", "b"), Login::default());
        let plain = CredentialType::USER_PASS_PLAINTEXT;
        assert!(access.credential(None, plain, &login).is_ok());
        let refused = access.credential(None, plain, &login).err();
        assert_eq!(refused.map(|error| error.code()), Some(ErrorCode::Auth));
        login.again();
        assert!(access.credential(None, plain, &login).is_ok());
    }

    #[test]
    fn nothing_prints_a_credential() {
        assert!(!format!("{:?}", with("canary", "canary")).contains("canary"));
    }
}
