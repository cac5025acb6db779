//! Looks for newer versions of the paths in use: one request per path and round, however many applications use it.

use std::sync::Arc;
use std::time::Duration;

use bus::message::event::{Event, EventKind};
use bus::{Bus, BusError, ClusterId};
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, BackendError};
use crate::metrics::Metrics;
use crate::policy::SecretPath;
use crate::uses::{Outdated, Uses};

/// Looks once in each `interval`, the requests spread over it by chance; an interval of zero never looks.
pub(crate) async fn watch<B: Backend>(
    bus: Bus,
    cluster: ClusterId,
    backend: Arc<B>,
    uses: Arc<Uses>,
    metrics: Metrics,
    interval: Duration,
    token: CancellationToken,
) -> Result<(), BusError> {
    if interval.is_zero() {
        token.cancelled().await;
        return Ok(());
    }
    loop {
        let paths = uses.paths();
        metrics.paths(paths.len());
        let share = interval.div_f64(f64::from(
            u32::try_from(paths.len().max(1)).unwrap_or(u32::MAX),
        ));
        if paths.is_empty() && pause(share, &token).await.is_break() {
            return Ok(());
        }
        for path in paths {
            if pause(share, &token).await.is_break() {
                return Ok(());
            }
            match backend.newest_version(&path).await {
                Ok(Some(newest)) => {
                    for outdated in uses.rotate(&path, newest) {
                        metrics.rotated();
                        bus.event(&told(&cluster, &path, newest, &outdated)).await;
                    }
                }
                Ok(None) => {}
                // Whoever resolves it next is told; here nobody waits for an answer.
                Err(BackendError::NoPath { .. }) => {
                    tracing::debug!(%path, "a path in use is gone");
                }
                Err(error) => {
                    tracing::warn!(%path, error = %error, "can't look for a newer version");
                }
            }
        }
    }
}

/// Half to one and a half of `share`, so that agents and rounds don't fall into step.
async fn pause(share: Duration, token: &CancellationToken) -> std::ops::ControlFlow<()> {
    let share = share.mul_f64(rand::random_range(0.5..1.5));
    tokio::select! {
        () = token.cancelled() => std::ops::ControlFlow::Break(()),
        () = tokio::time::sleep(share) => std::ops::ControlFlow::Continue(()),
    }
}

fn told(cluster: &ClusterId, path: &SecretPath, newest: u64, outdated: &Outdated) -> Event {
    let Outdated {
        app,
        generation,
        version,
    } = outdated;
    Event::new(
        app,
        cluster,
        EventKind::SecretRotated,
        format!("{path} has version {newest}, the application uses {version}"),
    )
    .generation(*generation)
    .detail("path", path.as_str())
    .detail("version", newest.to_string())
}
