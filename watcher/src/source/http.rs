//! An HTTP client for a repository: whose certificates it believes, which one it shows, and through which proxy it goes. As whom it
//! speaks is said by each request (`login`).

use std::error::Error;
use std::time::Duration;

use reqwest::ClientBuilder;
use url::Url;

use super::access::Access;
use super::proxy::NoProxy;
use super::tls::{self, TlsError};

const CONNECT: Duration = Duration::from_secs(10);
/// What hosts see of us. Some answer Git's own requests only to what looks like Git.
pub const USER_AGENT: &str = concat!("git/2.0 (towline ", env!("CARGO_PKG_VERSION"), ")");

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error("{0}")]
    Tls(#[from] TlsError),
    // Its text may hold a password.
    #[error("the proxy's URL can't be used: it must be http://host:port or https://host:port")]
    Proxy,
}

impl Access {
    /// A client that trusts, shows and goes through what this access says. Whether it follows redirects and how long it may
    /// take is the caller's to say.
    pub fn client(&self) -> Result<ClientBuilder, ClientError> {
        let tls = tls::config(&self.authorities, self.insecure, &self.credentials)?;
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT)
            .user_agent(USER_AGENT)
            .http1_only();
        // Without one of its own, the proxy of the environment counts, as for Argo CD.
        let Some(proxy) = &self.proxy else {
            return Ok(builder);
        };
        let proxy = Url::parse(proxy.expose()).map_err(|_| ClientError::Proxy)?;
        if !matches!(proxy.scheme(), "http" | "https") || !proxy.has_host() {
            return Err(ClientError::Proxy);
        }
        let no_proxy = NoProxy::parse(self.no_proxy.as_deref().unwrap_or_default());
        Ok(builder.proxy(reqwest::Proxy::custom(move |url| {
            (!no_proxy.covers(url)).then(|| proxy.clone())
        })))
    }
}

/// Why a request failed, without its URL, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Certificate(String),
    Timeout,
    Other(String),
}

/// What a client's error means.
pub fn failure(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    if error.is_timeout() {
        return Failure::Timeout;
    }
    let mut next: Option<&(dyn Error + 'static)> = Some(&error);
    let mut last = error.to_string();
    while let Some(cause) = next {
        last = cause.to_string();
        if let Some(rustls::Error::InvalidCertificate(why)) = tls_error(cause) {
            return Failure::Certificate(why.to_string());
        }
        next = cause.source();
    }
    Failure::Other(last)
}

/// TLS's own error, which travels inside errors of reading and writing.
fn tls_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    cause.downcast_ref().or_else(|| {
        let io = cause.downcast_ref::<std::io::Error>()?;
        let inner: &(dyn Error + 'static) = io.get_ref()?;
        tls_error(inner)
    })
}
