//! How the API server is reached, and as whom: credentials are read again when the server no longer takes them, so that one that
//! is exchanged while the process runs interrupts nothing.

mod secret;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use kube::client::Body;
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use tower_service::Service;

use self::secret::SecretError;
use crate::live::Chain;

/// Credentials aren't read more often than this, however many requests are refused.
const PAUSE: Duration = Duration::from_secs(1);

/// Where the cluster's address and credentials are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The service account that the process runs as, or the default kubeconfig.
    Inferred,
    Kubeconfig {
        path: PathBuf,
        context: Option<String>,
    },
    /// The folder that a cluster Secret of Argo CD is mounted at.
    Secret(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    #[error("reading kubeconfig {}", path.display())]
    Kubeconfig {
        path: PathBuf,
        source: Box<KubeconfigError>,
    },
    #[error("reading the cluster Secret in {}", folder.display())]
    Secret {
        folder: PathBuf,
        source: SecretError,
    },
    #[error("using the cluster Secret in {}", folder.display())]
    UnusableSecret {
        folder: PathBuf,
        source: Box<KubeconfigError>,
    },
    #[error("finding the cluster's configuration")]
    Inferred(#[source] Box<InferConfigError>),
    #[error("making a client for the cluster")]
    Client(#[source] Box<kube::Error>),
}

/// A client that renews its credentials from `source`.
pub(crate) async fn connect(source: Source) -> Result<kube::Client, AccessError> {
    let client = source.client().await?;
    let namespace = client.default_namespace().to_owned();
    let renewing = Renewing(Arc::new(Shared {
        source,
        current: Mutex::new(Current {
            client,
            number: 0,
            read: Instant::now(),
        }),
        turn: tokio::sync::Mutex::new(()),
    }));
    Ok(kube::Client::new(renewing, namespace))
}

impl Source {
    async fn client(&self) -> Result<kube::Client, AccessError> {
        let mut config = match self {
            Self::Inferred => kube::Config::infer()
                .await
                .map_err(|source| AccessError::Inferred(Box::new(source)))?,
            Self::Kubeconfig { path, context } => {
                let failed = |source| AccessError::Kubeconfig {
                    path: path.clone(),
                    source: Box::new(source),
                };
                let file = Kubeconfig::read_from(path).map_err(failed)?;
                let options = KubeConfigOptions {
                    context: context.clone(),
                    ..KubeConfigOptions::default()
                };
                kube::Config::from_custom_kubeconfig(file, &options)
                    .await
                    .map_err(failed)?
            }
            Self::Secret(folder) => {
                let file = secret::read(folder).map_err(|source| AccessError::Secret {
                    folder: folder.clone(),
                    source,
                })?;
                kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                    .await
                    .map_err(|source| AccessError::UnusableSecret {
                        folder: folder.clone(),
                        source: Box::new(source),
                    })?
            }
        };
        // What is sent again, and when, is `resend`'s to say.
        config.default_retry = false;
        kube::Client::try_from(config).map_err(|source| AccessError::Client(Box::new(source)))
    }
}

#[derive(Clone)]
struct Renewing(Arc<Shared>);

struct Shared {
    source: Source,
    current: Mutex<Current>,
    /// Who holds it reads the credentials; the others wait for the outcome.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Current {
    client: kube::Client,
    /// Counts renewals.
    number: u64,
    read: Instant,
}

impl Shared {
    fn current(&self) -> Current {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        let (parts, body) = request.into_parts();
        let again = body.try_clone();
        let Current { client, number, .. } = self.current();
        let answer = client
            .send(Request::from_parts(parts.clone(), body))
            .await?;
        let Some(body) = again.filter(|_| answer.status() == StatusCode::UNAUTHORIZED) else {
            return Ok(answer);
        };
        if !self.renew(number).await {
            return Ok(answer);
        }
        self.current()
            .client
            .send(Request::from_parts(parts, body))
            .await
    }

    /// Whether there are other credentials than those of this number.
    async fn renew(&self, refused: u64) -> bool {
        let _turn = self.turn.lock().await;
        let now = self.current();
        if now.number != refused {
            return true;
        }
        if now.read.elapsed() < PAUSE {
            return false;
        }
        let renewed = self.source.client().await;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.read = Instant::now();
        match renewed {
            Ok(client) => {
                tracing::info!(
                    "the API server no longer takes our credentials; they were read again"
                );
                current.client = client;
                current.number += 1;
                true
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "the API server no longer takes our credentials, and they can't be read again");
                false
            }
        }
    }
}

impl Service<Request<Body>> for Renewing {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move { shared.send(request).await })
    }
}
