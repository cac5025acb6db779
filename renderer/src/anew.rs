//! Renders each application anew now and then, though nothing of it changed, and holds the result against what the bus holds:
//! so that no input is overlooked isn't assumed, but counted. Nothing is published by it but a fault.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bus::message::desired::{Desired, DesiredState};
use bus::message::render::Render;
use bus::subject::{self, Bucket, Stream};
use bus::{AppId, ClusterId, Update};
use rand::seq::SliceRandom as _;
use tokio_util::sync::CancellationToken;

use crate::check::Remedy;
use crate::consume::{NotYet, Renderer, readable};
use crate::objects::Limits;
use crate::publish::Packed;
use crate::render;

/// Goes round all applications that were rendered, spread over `round`; zero: never.
pub(crate) async fn run(
    renderer: Arc<Renderer>,
    round: Duration,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let rounds = async {
        loop {
            let mut apps = rendered(&renderer).await;
            // A renderer that is replaced more often than once in a round would never come to those at the end of a fixed order.
            apps.shuffle(&mut rand::rng());
            let pause = pause(round, apps.len());
            if apps.is_empty() {
                tokio::time::sleep(pause).await;
            }
            for (cluster, app) in apps {
                tokio::time::sleep(pause).await;
                if let Err(error) = renderer.anew(&cluster, &app).await {
                    tracing::info!(%app, error = &error as &dyn std::error::Error, "not rendered anew this time");
                }
            }
        }
    };
    if round.is_zero() {
        token.cancelled().await;
        return Ok(());
    }
    tokio::select! {
        () = token.cancelled() => Ok(()),
        () = rounds => Ok(()),
    }
}

/// Between two of so many applications.
fn pause(round: Duration, apps: usize) -> Duration {
    /// An application that is new waits so long at most, if it is the first.
    const LONGEST: Duration = Duration::from_hours(1);
    match u32::try_from(apps) {
        Ok(0) => round.min(LONGEST),
        Ok(apps) => round / apps,
        Err(_) => round / u32::MAX,
    }
}

/// Of which there is a record.
async fn rendered(renderer: &Renderer) -> Vec<(ClusterId, AppId)> {
    let mut watch = renderer.bus.watch_bucket::<Render>(Bucket::Renders, ">");
    let mut found = Vec::new();
    loop {
        match watch.next().await {
            Update::Put(stored) => found.push((stored.value.cluster, stored.value.app)),
            Update::Ready => return found,
            // It is rendered when there is one again.
            Update::Deleted { .. } | Update::Unreadable { .. } => {}
        }
    }
}

impl Renderer {
    /// Renders what is wanted, unless its last render isn't known to be still right, or is under way.
    async fn anew(&self, cluster: &ClusterId, app: &AppId) -> Result<(), NotYet> {
        let subject = subject::desired(cluster, app);
        let desired = self.bus.last::<Desired>(Stream::Desired, &subject);
        let key = subject::application(cluster, app);
        let record = self.bus.get::<Render>(Bucket::Renders, &key);
        let (desired, record) = tokio::join!(desired, record);
        let (Some(desired), Some(record)) = (readable(desired)?, readable(record)?) else {
            return Ok(());
        };
        let DesiredState::Present(present) = &desired.state else {
            return Ok(());
        };
        if record.generation != desired.generation {
            return Ok(());
        }
        let job = Arc::new(self.job(&desired, present).await?);
        let parameters = job.parameters(&self.engine).map_err(NotYet::Parameters)?;
        let Some(earlier) = self.earlier(&desired, &job, &parameters, &record).await? else {
            return Ok(());
        };
        let rendered = render::render(&job, &self.pool, Limits::DEFAULT)
            .await
            .map_err(NotYet::Render)?;
        let packed = Packed::new(&rendered.objects)?;
        let all = (&desired, &**present);
        self.check(all, &job, &earlier, &packed, Remedy::HardRefresh)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_shared_among_the_applications() {
        let day = Duration::from_hours(24);
        assert_eq!(pause(day, 24), Duration::from_hours(1));
        assert_eq!(pause(day, 1), day);
        assert_eq!(pause(day, 0), Duration::from_hours(1));
        assert_eq!(pause(Duration::from_secs(2), 0), Duration::from_secs(2));
        assert!(pause(day, usize::MAX) > Duration::ZERO);
    }
}
