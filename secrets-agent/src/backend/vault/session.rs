//! What vaultrs is asked: everything about Vault in which no secret of an application passes.
//!
//! Its errors hold bodies, and it logs what Vault says in errors: neither leaves this file. Nothing here prints a session, since
//! the `Debug` of what it is made of shows the token.

use std::error::Error;
use std::future::Future;

use api::Sensitive;
use rustify::clients::reqwest::Client as HttpClient;
use rustify::errors::ClientError as HttpError;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;
use vaultrs::api::{AuthInfo, EndpointMiddleware};
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::error::ClientError;
use vaultrs::sys::ServerStatus;
use vaultrs::{auth, kv2, sys, token};
use zeroize::Zeroize as _;

use super::SetupError;
use super::certificate::CertificateLogin;
use super::connection::{Connection, Reply};
use super::lease::Lease;
use super::mount::{Mount, MountOf};
use crate::backend::BackendError;
use crate::policy::SecretPath;

/// A vaultrs client with one token, or with none.
pub(super) struct Session {
    connection: Connection,
    client: VaultClient,
}

/// A token that Vault gave or prolonged.
pub(super) struct Granted {
    pub(super) token: Sensitive,
    pub(super) lease: Lease,
}

impl Session {
    /// `token` is empty or fit for a header: vaultrs panics at others.
    pub(super) fn new(connection: &Connection, token: &str) -> Result<Self, SetupError> {
        // Everything is said, since what isn't comes from VAULT_… variables. The client is ours: that of vaultrs follows
        // redirects, and asks the environment for a proxy.
        let settings = VaultClientSettingsBuilder::default()
            .address(&connection.address)
            .ca_certs(Vec::new())
            .identity(None)
            .token("")
            .verify(true)
            .build()
            .map_err(|_| SetupError::Address(connection.address.clone()))?;
        let client = VaultClient {
            http: HttpClient::new(&connection.address, connection.client.clone()),
            middle: EndpointMiddleware {
                token: token.to_owned(),
                version: format!("v{}", settings.version),
                wrap: None,
                namespace: connection.namespace.clone(),
            },
            settings,
        };
        Ok(Self {
            connection: connection.clone(),
            client,
        })
    }

    pub(super) async fn log_in_with_jwt(
        &self,
        mount: &str,
        role: &str,
        jwt: &str,
    ) -> Result<Reply<Granted>, BackendError> {
        let login = auth::oidc::login(&self.client, mount, jwt, Some(role.to_owned()));
        self.granted(login).await
    }

    pub(super) async fn log_in_with_approle(
        &self,
        mount: &str,
        role_id: &str,
        secret_id: &str,
    ) -> Result<Reply<Granted>, BackendError> {
        let login = auth::approle::login(&self.client, mount, role_id, secret_id);
        self.granted(login).await
    }

    /// The client of this session's connection shows the certificate.
    pub(super) async fn log_in_with_certificate(
        &self,
        mount: &str,
        role: Option<&str>,
    ) -> Result<Reply<Granted>, BackendError> {
        let login = vaultrs::api::auth(&self.client, CertificateLogin { mount, role });
        self.granted(login).await
    }

    /// A new token by a token role, below this session's.
    pub(super) async fn token_of_role(&self, role: &str) -> Result<Reply<Granted>, BackendError> {
        self.granted(token::new_role(&self.client, role, None))
            .await
    }

    /// Prolongs this session's token.
    pub(super) async fn renew(&self) -> Result<Reply<Granted>, BackendError> {
        self.granted(token::renew_self(&self.client, None)).await
    }

    /// What is left of this session's token.
    pub(super) async fn look_up(&self) -> Result<Reply<Lease>, BackendError> {
        self.ask(async {
            let mut found = token::lookup_self(&self.client).await?;
            found.id.zeroize();
            Ok(Lease::new(found.ttl, found.renewable.unwrap_or_default()))
        })
        .await
    }

    /// The newest version of `path` below a mount of KV version 2.
    pub(super) async fn newest_version(
        &self,
        mount: &str,
        path: &str,
    ) -> Result<Reply<u64>, BackendError> {
        self.ask(async {
            let metadata = kv2::read_metadata(&self.client, mount, path).await?;
            Ok(metadata.current_version)
        })
        .await
    }

    /// The mount that `path` is in.
    pub(super) async fn mount_of(&self, path: &SecretPath) -> Result<Reply<Mount>, BackendError> {
        self.ask(vaultrs::api::exec_with_result(&self.client, MountOf(path)))
            .await
    }

    /// Whether Vault serves. Asked without token and outside of a namespace, since it is about the server.
    pub(super) async fn status(&self) -> Result<Reply<ServerStatus>, BackendError> {
        self.ask(sys::status(&self.client)).await
    }

    async fn granted(
        &self,
        call: impl Future<Output = Result<AuthInfo, ClientError>>,
    ) -> Result<Reply<Granted>, BackendError> {
        self.ask(async {
            let granted = call.await?;
            Ok(Granted {
                lease: Lease::new(granted.lease_duration, granted.renewable),
                token: Sensitive::new(granted.client_token),
            })
        })
        .await
    }

    async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<Reply<T>, BackendError> {
        // vaultrs logs Vault's errors word for word, and they may quote what was sent: nobody listens.
        match call.with_subscriber(Dispatch::none()).await {
            Ok(found) => Ok(Reply::Found(found)),
            Err(error) => self.translate(&error),
        }
    }

    fn translate<T>(&self, error: &ClientError) -> Result<Reply<T>, BackendError> {
        match error {
            ClientError::APIError { code, .. }
            | ClientError::RestClientError {
                source: HttpError::ServerResponseError { code, .. },
            } => self.connection.failed(*code),
            other => Err(causes(other)
                .find_map(|cause| cause.downcast_ref::<reqwest::Error>())
                .map_or_else(
                    || self.connection.unusable("its answer is not one of Vault's"),
                    |error| self.connection.broken(error),
                )),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.client.middle.token.zeroize();
    }
}

fn causes<'a>(error: &'a ClientError) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error as &'a (dyn Error + 'static)), |error| {
        (*error).source()
    })
}
