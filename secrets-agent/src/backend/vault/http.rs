//! Requests to Vault, and what each status means.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, redirect};
use url::Url;
use zeroize::Zeroizing;

use super::SetupError;
use super::body;
use crate::args::VaultArgs;
use crate::backend::BackendError;

const CONNECT: Duration = Duration::from_secs(3);
/// One request, from its first byte to the answer's last.
const WHOLE: Duration = Duration::from_secs(8);

pub(super) struct Http {
    client: Client,
    /// Ends without a slash.
    address: String,
    namespace: Option<HeaderValue>,
}

/// What Vault answers when it works.
pub(super) enum Reply {
    Body(Zeroizing<Vec<u8>>),
    Missing,
    Denied,
}

impl Http {
    pub(super) fn new(args: &VaultArgs) -> Result<Self, SetupError> {
        let address = &args.vault_addr;
        let is_plain = address.cannot_be_a_base()
            || !matches!(address.scheme(), "http" | "https")
            || address.path() != "/"
            || address.query().is_some()
            || address.fragment().is_some()
            || !address.username().is_empty()
            || address.password().is_some();
        if is_plain {
            return Err(SetupError::Address(without_user(address)));
        }
        if address.scheme() == "http" && !is_loopback(address) {
            tracing::warn!(%address, "Vault is reached without TLS: whoever is on the way reads the secrets");
        }
        let mut client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            // A redirect would carry the token elsewhere, and a proxy from the environment would see it.
            .redirect(redirect::Policy::none())
            .no_proxy();
        if address.scheme() == "http" {
            // Else building the client fails where no root certificates are installed.
            client = client.tls_certs_only(Vec::new());
        } else if let Some(path) = &args.vault_ca {
            let shown = || path.display().to_string();
            let pem = std::fs::read(path).map_err(|source| SetupError::ReadCa {
                path: shown(),
                source,
            })?;
            let certificates =
                Certificate::from_pem_bundle(&pem).map_err(|source| SetupError::Ca {
                    path: shown(),
                    source,
                })?;
            client = client.tls_certs_only(certificates);
        }
        let namespace = args
            .vault_namespace
            .as_ref()
            .map(|name| HeaderValue::from_str(name).map_err(|_| SetupError::Namespace))
            .transpose()?;
        Ok(Self {
            client: client.build().map_err(SetupError::Client)?,
            address: address.as_str().trim_end_matches('/').to_owned(),
            namespace,
        })
    }

    /// GETs `path`, which is in the form that URLs leave alone.
    pub(super) async fn get(
        &self,
        path: &str,
        version: Option<u64>,
        token: &HeaderValue,
    ) -> Result<Reply, BackendError> {
        let query = version.map_or_else(String::new, |version| format!("?version={version}"));
        let request = self
            .client
            .get(format!("{}/v1/{path}{query}", self.address))
            .header("X-Vault-Token", token);
        self.send(request).await
    }

    /// POSTs JSON to `path` without a token.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &Zeroizing<Vec<u8>>,
    ) -> Result<Reply, BackendError> {
        let request = self
            .client
            .post(format!("{}/v1/{path}", self.address))
            .header("Content-Type", "application/json")
            .body(body.to_vec());
        self.send(request).await
    }

    async fn send(&self, mut request: RequestBuilder) -> Result<Reply, BackendError> {
        request = request.header("X-Vault-Request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        self.reply(response).await
    }

    async fn reply(&self, response: Response) -> Result<Reply, BackendError> {
        match response.status() {
            StatusCode::OK => match body::read(response).await {
                Ok(body) => Ok(Reply::Body(body)),
                Err(body::ReadError::TooLarge) => Err(BackendError::Unreachable {
                    address: self.address.clone(),
                    why: "its answer is over the limit of 2 MiB",
                }),
                Err(body::ReadError::Broken(error)) => Err(self.unreachable(&error)),
            },
            StatusCode::NOT_FOUND => Ok(Reply::Missing),
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Ok(Reply::Denied),
            StatusCode::SERVICE_UNAVAILABLE => Err(BackendError::Sealed),
            status => Err(BackendError::Failing {
                address: self.address.clone(),
                status: status.as_u16(),
            }),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> BackendError {
        let address = self.address.clone();
        if error.is_timeout() && !error.is_connect() {
            return BackendError::Slow { address };
        }
        let why = if error.is_connect() {
            "no connection (address, network or TLS)"
        } else {
            "the connection broke"
        };
        BackendError::Unreachable { address, why }
    }
}

fn is_loopback(address: &Url) -> bool {
    match address.host() {
        Some(url::Host::Ipv4(host)) => host.is_loopback(),
        Some(url::Host::Ipv6(host)) => host.is_loopback(),
        Some(url::Host::Domain(host)) => host == "localhost",
        None => false,
    }
}

/// For an error message: an address may have been given with a password in it.
fn without_user(address: &Url) -> String {
    let mut address = address.clone();
    if address.set_username("").is_err() || address.set_password(None).is_err() {
        return "(not shown)".to_owned();
    }
    address.to_string()
}
