//! The way to one Vault: its address and the HTTP client that all requests share.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Certificate, Client, Identity, redirect};
use url::Url;

use super::SetupError;
use crate::args::VaultArgs;
use crate::backend::BackendError;

const CONNECT: Duration = Duration::from_secs(3);
/// One request, from its first byte to the answer's last.
const WHOLE: Duration = Duration::from_secs(8);

#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    trust: Trust,
    /// Ends without a slash.
    pub(super) address: String,
    /// In Vault Enterprise; fit for a header.
    pub(super) namespace: Option<String>,
}

/// What Vault answers when it works.
pub(super) enum Reply<T> {
    Found(T),
    Missing,
    Denied,
}

impl Connection {
    pub(super) fn new(address: &Url, args: &VaultArgs) -> Result<Self, SetupError> {
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
        let namespace = args.vault_namespace.clone();
        if let Some(name) = &namespace
            && HeaderValue::from_str(name).is_err()
        {
            return Err(SetupError::Namespace);
        }
        let trust = Trust::read(address, args)?;
        Ok(Self {
            client: trust.client(None)?,
            trust,
            address: address.as_str().trim_end_matches('/').to_owned(),
            namespace,
        })
    }

    /// The same, whose requests show a client certificate.
    pub(super) fn identified(&self, identity: Identity) -> Result<Self, SetupError> {
        Ok(Self {
            client: self.trust.client(Some(identity))?,
            ..self.clone()
        })
    }

    pub(super) fn outside_namespaces(&self) -> Self {
        Self {
            namespace: None,
            ..self.clone()
        }
    }

    /// What an answer that is not a success means.
    pub(super) fn failed<T>(&self, status: u16) -> Result<Reply<T>, BackendError> {
        match status {
            // What can't be had by the method is not there to be read.
            404 | 405 => Ok(Reply::Missing),
            401 | 403 => Ok(Reply::Denied),
            status => Err(BackendError::Failing {
                address: self.address.clone(),
                status,
            }),
        }
    }

    /// What it means that there is no whole answer.
    pub(super) fn broken(&self, error: &reqwest::Error) -> BackendError {
        if error.is_timeout() && !error.is_connect() {
            return BackendError::Slow {
                address: self.address.clone(),
            };
        }
        self.unusable(if error.is_connect() {
            "no connection (address, network or TLS)"
        } else {
            "the connection broke"
        })
    }

    pub(super) fn unusable(&self, why: &'static str) -> BackendError {
        BackendError::Unreachable {
            address: self.address.clone(),
            why,
        }
    }
}

/// Whose certificates are believed.
#[derive(Clone)]
enum Trust {
    /// There are none: the address is plain HTTP.
    Plain,
    System,
    Only(Vec<Certificate>),
}

impl Trust {
    fn read(address: &Url, args: &VaultArgs) -> Result<Self, SetupError> {
        if address.scheme() == "http" {
            return Ok(Self::Plain);
        }
        let Some(path) = &args.vault_ca else {
            return Ok(Self::System);
        };
        let shown = || path.display().to_string();
        let pem = std::fs::read(path).map_err(|source| SetupError::ReadCa {
            path: shown(),
            source,
        })?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|source| SetupError::Ca {
            path: shown(),
            source,
        })?;
        Ok(Self::Only(certificates))
    }

    fn client(&self, identity: Option<Identity>) -> Result<Client, SetupError> {
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            // A redirect would carry the token elsewhere, and a proxy from the environment would see it.
            .redirect(redirect::Policy::none())
            .no_proxy();
        let client = match self {
            // Else building the client fails where no root certificates are installed.
            Self::Plain => client.tls_certs_only(Vec::new()),
            Self::System => client,
            Self::Only(certificates) => client.tls_certs_only(certificates.clone()),
        };
        let client = match identity {
            Some(identity) => client.identity(identity),
            None => client,
        };
        client.build().map_err(SetupError::Client)
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
