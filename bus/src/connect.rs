//! Connecting: who we are to the broker, and waiting until it has what a service needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use tokio::sync::watch;

use crate::client::{Bus, Inner, reconnected};
use crate::error::BusError;
use crate::quiet::Quiet;
use crate::{role, stream};

/// How long a request to the broker may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a service looks whether what it waits for was created.
const WAIT_FOR_STREAMS: Duration = Duration::from_millis(500);

/// Where the broker is, and who we are to it.
#[derive(Clone, Debug, clap::Args)]
pub struct ConnectArgs {
    /// Address of NATS
    #[arg(
        long = "nats",
        env = "TOWLINE_NATS",
        default_value = "nats://127.0.0.1:4222",
        value_name = "URL"
    )]
    pub url: String,
    /// File with the NKey seed of this service's user
    #[arg(long = "nats-seed", env = "TOWLINE_NATS_SEED", value_name = "FILE")]
    pub seed: Option<PathBuf>,
    /// CA certificates of NATS, PEM
    #[arg(long = "nats-ca", env = "TOWLINE_NATS_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

impl Bus {
    /// Connects as `service`; waits for a broker that isn't there yet, and reconnects for ever.
    pub async fn connect(args: &ConnectArgs, service: &'static str) -> Result<Self, BusError> {
        let (connected, connections) = watch::channel(0);
        let attempts = Quiet::default();
        let seed = match &args.seed {
            Some(path) => Some(read_seed(path)?),
            None => None,
        };
        let public_key = seed.as_ref().map(|(_, public_key)| public_key.as_str());
        let mut options = async_nats::ConnectOptions::new()
            .name(format!("towline-{service}"))
            .custom_inbox_prefix(inbox_prefix(public_key, service))
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(|attempt| Duration::from_millis(50 * (1 << attempt.min(5))))
            .request_timeout(Some(REQUEST_TIMEOUT))
            .subscription_capacity(64 * 1024)
            .event_callback(move |event| {
                match &event {
                    async_nats::Event::Connected => {
                        attempts.forget();
                        connected.send_modify(|count| *count += 1);
                        tracing::info!("connected to NATS");
                    }
                    async_nats::Event::ServerError(error) => {
                        tracing::error!(%error, "NATS refused something");
                    }
                    async_nats::Event::Closed | async_nats::Event::Draining => {
                        tracing::debug!("the connection to NATS is closed");
                    }
                    async_nats::Event::ClientError(error) => {
                        // Of each attempt to connect: several a second at first.
                        if attempts.lets_through(&error.to_string(), Instant::now()) {
                            tracing::warn!(%error, "no connection to NATS; trying again");
                        }
                    }
                    other => tracing::warn!(event = %other, "NATS connection"),
                }
                async {}
            });
        if let Some((seed, _)) = seed {
            options = options.nkey(seed);
        }
        if let Some(path) = &args.ca {
            options = options
                .add_root_certificates(path.clone())
                .require_tls(true);
        }
        let client = options
            .connect(&args.url)
            .await
            .map_err(|source| BusError::Connect {
                url: args.url.clone(),
                source,
            })?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(REQUEST_TIMEOUT);
        let bus = Self {
            inner: Arc::new(Inner {
                client,
                jetstream,
                service,
                connections,
            }),
        };
        // Seen here once, so that the first connection is not taken for a new one later.
        let mut first = bus.inner.connections.clone();
        reconnected(&mut first).await;
        bus.wait_for_streams().await;
        Ok(bus)
    }

    /// Waits until somebody created what this service needs; says what is missing while it does.
    async fn wait_for_streams(&self) {
        let mut wanted = role::streams_of(self.inner.service);
        let quiet = Quiet::default();
        while !wanted.is_empty() {
            match stream::missing(self, &wanted).await {
                Ok(missing) => {
                    let names = missing.join(", ");
                    if !missing.is_empty() && quiet.lets_through(&names, Instant::now()) {
                        tracing::warn!(
                            missing = names,
                            "waiting for streams: `towline up` or `towline nats-provision` creates them"
                        );
                    }
                    wanted = missing
                        .into_iter()
                        .filter_map(|name| name.split(' ').next().map(str::to_owned))
                        .collect();
                }
                Err(error) => {
                    let error = crate::watch::causes(&error);
                    if quiet.lets_through(&error, Instant::now()) {
                        tracing::warn!(error, "waiting for NATS");
                    }
                }
            }
            if !wanted.is_empty() {
                tokio::time::sleep(WAIT_FOR_STREAMS).await;
            }
        }
    }
}

/// The inbox prefix of a user: all that it may subscribe to for answers. By key, so that no service reads another's.
pub(crate) fn inbox_prefix(public_key: Option<&str>, service: &str) -> String {
    format!("_INBOX_{}", public_key.unwrap_or(service))
}

/// The seed in a file, with the public key that belongs to it.
fn read_seed(path: &Path) -> Result<(String, String), BusError> {
    let name = || path.display().to_string();
    let seed = std::fs::read_to_string(path).map_err(|source| BusError::Seed {
        path: name(),
        source,
    })?;
    let seed = seed.trim().to_owned();
    let key = nkeys::KeyPair::from_seed(&seed).map_err(|source| BusError::Key {
        path: name(),
        source,
    })?;
    Ok((seed, key.public_key()))
}
