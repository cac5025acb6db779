//! How to say who we are to a Git host, and how to know that it is the right one.

use std::sync::Arc;

use api::settings::{Credentials, Repository};
use git2::{CertificateCheckStatus, Cred, CredentialType, ErrorClass, ErrorCode, RemoteCallbacks};
use sha2::{Digest, Sha256};

use super::known_hosts::KnownHosts;
use super::location::Location;

/// How many times a host may ask for credentials in one connection: ssh asks for the user's name first.
const MAX_ASKED: u32 = 4;

/// What a repository is fetched with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    pub credentials: Credentials,
    /// Certificates and host keys aren't checked. Only ever from the repository's own Secret.
    pub insecure: bool,
    pub proxy: Option<String>,
    pub known_hosts: Arc<KnownHosts>,
}

impl Access {
    pub fn of(secret: &Repository, known_hosts: Arc<KnownHosts>) -> Self {
        Self {
            credentials: secret.credentials.clone(),
            insecure: secret.insecure,
            proxy: secret.proxy.clone(),
            known_hosts,
        }
    }

    /// Tells two accesses apart without keeping a credential: repositories with different ones are fetched apart, or one
    /// application could read through another's credentials.
    pub fn fingerprint(&self) -> [u8; 16] {
        let mut digest = Sha256::new();
        let credentials = &self.credentials;
        let secrets = [
            &credentials.username,
            &credentials.password,
            &credentials.bearer_token,
            &credentials.ssh_private_key,
            &credentials.tls_client_cert_data,
            &credentials.tls_client_cert_key,
            &credentials.github_app_private_key,
        ];
        for secret in secrets {
            let value = secret.as_ref().map(api::Sensitive::expose);
            digest.update(
                value
                    .map_or(u64::MAX, |value| value.len() as u64)
                    .to_be_bytes(),
            );
            digest.update(value.unwrap_or_default());
        }
        digest.update([u8::from(self.insecure)]);
        digest.update(self.proxy.as_deref().unwrap_or_default());
        let mut short = [0; 16];
        short.copy_from_slice(&digest.finalize()[..16]);
        short
    }

    /// The header that carries a bearer token, which libgit2 has no credential for.
    pub fn bearer_header(&self) -> Option<String> {
        let token = self.credentials.bearer_token.as_ref()?;
        (!token.is_empty()).then(|| format!("Authorization: Bearer {}", token.expose()))
    }

    /// Callbacks that log in and check the host.
    pub fn callbacks<'a>(&'a self, location: &'a Location) -> RemoteCallbacks<'a> {
        let mut callbacks = RemoteCallbacks::new();
        let mut asked = 0;
        callbacks.credentials(move |_, user, allowed| {
            asked += 1;
            if asked > MAX_ASKED {
                return Err(denied("the host refuses the credentials"));
            }
            self.credential(location.user().or(user), allowed, asked)
        });
        callbacks.certificate_check(move |certificate, host| {
            if self.insecure {
                return Ok(CertificateCheckStatus::CertificateOk);
            }
            let key = certificate.as_hostkey().and_then(|key| key.hostkey());
            match key {
                Some(key) if self.known_hosts.knows(&location.host, host, key) => {
                    Ok(CertificateCheckStatus::CertificateOk)
                }
                // libgit2's own verdict: the system's certificate authorities, ~/.ssh/known_hosts.
                _ => Ok(CertificateCheckStatus::CertificatePassthrough),
            }
        });
        callbacks
    }

    fn credential(
        &self,
        user: Option<&str>,
        allowed: CredentialType,
        asked: u32,
    ) -> Result<Cred, git2::Error> {
        let credentials = &self.credentials;
        let expose = |secret: &'_ Option<api::Sensitive>| {
            secret.as_ref().map(|secret| secret.expose().to_owned())
        };
        let own_user = expose(&credentials.username);
        let user = own_user.as_deref().or(user).unwrap_or("git");
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(user);
        }
        if allowed.contains(CredentialType::SSH_MEMORY)
            && let Some(key) = &credentials.ssh_private_key
        {
            return Cred::ssh_key_from_memory(user, None, key.expose(), None);
        }
        if allowed.contains(CredentialType::USER_PASS_PLAINTEXT)
            && let Some(password) = &credentials.password
        {
            if asked > 1 {
                return Err(denied("the host refuses user and password"));
            }
            return Cred::userpass_plaintext(user, password.expose());
        }
        Err(denied(
            "the host asks for credentials, and no repository or repo-creds Secret has any that fit",
        ))
    }
}

fn denied(message: &str) -> git2::Error {
    git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, message)
}

#[cfg(test)]
mod tests {
    use api::Sensitive;

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
        let access = with("a", "b");
        let plain = CredentialType::USER_PASS_PLAINTEXT;
        assert!(access.credential(None, plain, 1).is_ok());
        assert_eq!(
            access
                .credential(None, plain, 2)
                .err()
                .map(|error| error.code()),
            Some(ErrorCode::Auth)
        );
    }

    #[test]
    fn nothing_prints_a_credential() {
        assert!(!format!("{:?}", with("canary", "canary")).contains("canary"));
    }
}
