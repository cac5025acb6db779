//! How the agent gets its token: from a file, from the environment, for a JWT, by role id and secret id, or by certificate; and with that one a
//! project's. What is in a file is read at each login, so a rotated one takes effect when Vault refuses the old one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::Sensitive;
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

use super::SetupError;
use super::certificate;
use super::connection::{Connection, Reply};
use super::session::{Granted, Session};
use super::token::{Token, Tokens};
use crate::args::VaultArgs;
use crate::backend::BackendError;
use crate::metrics::{Metrics, VaultRequest};

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024;

pub(super) struct Login {
    method: Method,
    connection: Connection,
    /// Without a token.
    stranger: Session,
    metrics: Metrics,
}

enum Method {
    File(PathBuf),
    Token(Sensitive),
    Jwt {
        mount: String,
        role: String,
        file: PathBuf,
    },
    AppRole {
        mount: String,
        role_id: String,
        secret_id_file: PathBuf,
    },
    Certificate {
        mount: String,
        role: Option<String>,
        certificate: PathBuf,
        key: PathBuf,
    },
    TokenRole {
        project: String,
        role: String,
        parent: Arc<Tokens>,
    },
}

impl Login {
    pub(super) fn new(
        args: &VaultArgs,
        connection: &Connection,
        metrics: Metrics,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            method: Method::new(args).ok_or(SetupError::NoLogin)?,
            stranger: Session::new(connection, "")?,
            connection: connection.clone(),
            metrics,
        })
    }

    /// A project's, from a token role, with the agent's own token.
    pub(super) fn by_token_role(
        project: &str,
        role: String,
        parent: Arc<Tokens>,
        connection: &Connection,
        metrics: Metrics,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            method: Method::TokenRole {
                project: project.to_owned(),
                role,
                parent,
            },
            stranger: Session::new(connection, "")?,
            connection: connection.clone(),
            metrics,
        })
    }

    /// Whether each login makes Vault keep one more token.
    pub(super) fn makes_tokens(&self) -> bool {
        match self.method {
            Method::File(_) | Method::Token(_) => false,
            Method::Jwt { .. }
            | Method::AppRole { .. }
            | Method::Certificate { .. }
            | Method::TokenRole { .. } => true,
        }
    }

    pub(super) async fn log_in(&self) -> Result<Token, BackendError> {
        match &self.method {
            Method::Token(token) => self.given(token.expose()).await,
            Method::File(path) => self.given(&read(path).await?).await,
            Method::Jwt { mount, role, file } => {
                let jwt = read(file).await?;
                let login = self.stranger.log_in_with_jwt(mount, role, &jwt);
                let refused =
                    || format!("role `{role}` of auth method `{mount}` does not accept its JWT");
                self.exchanged(&self.connection, login, mount, refused)
                    .await
            }
            Method::AppRole {
                mount,
                role_id,
                secret_id_file,
            } => {
                let secret_id = read(secret_id_file).await?;
                let login = self
                    .stranger
                    .log_in_with_approle(mount, role_id, &secret_id);
                let refused =
                    || format!("auth method `{mount}` does not accept its role id and secret id");
                self.exchanged(&self.connection, login, mount, refused)
                    .await
            }
            Method::Certificate {
                mount,
                role,
                certificate,
                key,
            } => {
                let role = role.as_deref();
                // A client of its own is large.
                Box::pin(self.with_certificate(mount, role, certificate, key)).await
            }
            Method::TokenRole {
                project,
                role,
                parent,
            } => {
                // It ends in another login.
                Box::pin(self.for_project(project, role, parent)).await
            }
        }
    }

    async fn with_certificate(
        &self,
        mount: &str,
        role: Option<&str>,
        certificate: &Path,
        key: &Path,
    ) -> Result<Token, BackendError> {
        let identity = certificate::identity(certificate, key).await?;
        let unusable = |error: SetupError| BackendError::Login {
            why: error.to_string(),
        };
        // Vault wants the certificate again when the token is prolonged.
        let connection = self.connection.identified(identity).map_err(unusable)?;
        let stranger = Session::new(&connection, "").map_err(unusable)?;
        let login = stranger.log_in_with_certificate(mount, role);
        let refused = || {
            let certificate = certificate.display();
            format!("auth method `{mount}` does not accept the certificate {certificate}")
        };
        self.exchanged(&connection, login, mount, refused).await
    }

    async fn for_project(
        &self,
        project: &str,
        role: &str,
        parent: &Tokens,
    ) -> Result<Token, BackendError> {
        let mut own = Some(parent.current().await?);
        for _ in 0..2 {
            let Some(used) = own.take() else { break };
            let made = used.session.token_of_role(role);
            match self.metrics.timed(VaultRequest::Login, made).await {
                Ok(Reply::Found(granted)) => return Token::granted(&self.connection, &granted),
                // What Vault answers to a role that isn't there.
                Ok(Reply::Missing) | Err(BackendError::Failing { status: 400, .. }) => break,
                Ok(Reply::Denied) => own = parent.instead_of(&used).await?,
                Err(error) => return Err(error),
            }
        }
        Err(BackendError::Project {
            project: project.to_owned(),
            why: format!(
                "there is no token role `{role}`, or the agent lacks `update` on auth/token/create/{role}"
            ),
        })
    }

    /// A token that others made: Vault is asked how long it lasts.
    async fn given(&self, text: &str) -> Result<Token, BackendError> {
        let mut token = Token::new(&self.connection, text)?;
        let lookup = token.session.look_up();
        match self.metrics.timed(VaultRequest::Lookup, lookup).await? {
            Reply::Found(lease) => token.lease = lease,
            // It may lack the right to ask, and be good for what it is for.
            Reply::Missing | Reply::Denied => {}
        }
        Ok(token)
    }

    async fn exchanged(
        &self,
        connection: &Connection,
        login: impl Future<Output = Result<Reply<Granted>, BackendError>>,
        mount: &str,
        refused: impl FnOnce() -> String,
    ) -> Result<Token, BackendError> {
        let reply = match self.metrics.timed(VaultRequest::Login, login).await {
            // What Vault answers to a credential that it does not accept.
            Err(BackendError::Failing { status: 400, .. }) => Reply::Denied,
            reply => reply?,
        };
        let failed = |why: String| BackendError::Login { why };
        match reply {
            Reply::Found(granted) => Token::granted(connection, &granted),
            Reply::Missing => Err(failed(format!("no auth method is mounted at `{mount}`"))),
            Reply::Denied => Err(failed(refused())),
        }
    }
}

impl Method {
    fn new(args: &VaultArgs) -> Option<Self> {
        let mount = |path: &str| path.trim_matches('/').to_owned();
        if let Some(role) = &args.vault_jwt_role {
            return Some(Self::Jwt {
                mount: mount(&args.vault_jwt_mount),
                role: role.clone(),
                file: args.vault_jwt_file.clone(),
            });
        }
        if let (Some(role_id), Some(file)) = (
            &args.vault_approle_role_id,
            &args.vault_approle_secret_id_file,
        ) {
            return Some(Self::AppRole {
                mount: mount(&args.vault_approle_mount),
                role_id: role_id.clone(),
                secret_id_file: file.clone(),
            });
        }
        if let (Some(certificate), Some(key)) = (&args.vault_cert, &args.vault_cert_key) {
            return Some(Self::Certificate {
                mount: mount(&args.vault_cert_mount),
                role: args.vault_cert_role.clone(),
                certificate: certificate.clone(),
                key: key.clone(),
            });
        }
        if let Some(path) = &args.vault_token_file {
            return Some(Self::File(path.clone()));
        }
        args.vault_token
            .as_ref()
            .filter(|token| !token.is_empty())
            .map(|token| Self::Token(token.clone()))
    }
}

pub(super) async fn read(path: &Path) -> Result<Zeroizing<String>, BackendError> {
    let failed = |error: std::io::Error| BackendError::Login {
        why: format!("{} cannot be read: {}", path.display(), error.kind()),
    };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .await
        .map_err(failed)?;
    let text = Zeroizing::new(text.trim().to_owned());
    if text.is_empty() {
        return Err(BackendError::Login {
            why: format!("{} is empty", path.display()),
        });
    }
    Ok(text)
}
